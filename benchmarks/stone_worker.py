"""Runs inside the benchmark's own environment: picture paths on standard input, a JSON line for each.

stone (skin-tone-classifier) is measured as it is installed; it is no dependency of this project.
"""

import json
import sys
import time

import stone

MONK = sys.argv[1].split(",")  # swatches, light to dark
NAMES = [str(k) for k in range(len(MONK))]

for line in sys.stdin:
    path = line.strip()
    begun = time.perf_counter()
    try:
        faces = stone.process(path, "color", tone_palette=MONK, tone_labels=NAMES).get("faces", [])
    except Exception as error:  # whatever it raises is a picture that it did not read
        print(f"{path}: {error!r}", file=sys.stderr)
        faces = []
    seconds = time.perf_counter() - begun
    first = faces[0] if faces and faces[0].get("face_id") != "NA" else {}
    dominant = max(first.get("dominant_colors", []), key=lambda c: float(c["percent"]), default={})
    answer = {"path": path, "skin": dominant.get("color"), "monk": first.get("tone_label")}
    print(json.dumps({**answer, "seconds": seconds}), flush=True)
