"""Memory does not grow with the number of pictures: each measurement is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GROWTH = 1.10
_HEAD = """
import resource, sys
from pathlib import Path
folder, number = Path(sys.argv[1]), int(sys.argv[2])
"""
_TAIL = """
if sys.platform == "linux":
    # Not ru_maxrss: it begins with what the process that started this one held.
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
print(peak, file=sys.stderr)
"""

VERIFY = """
import contextlib, io
from tests.doubles.fake_run import reading
from PIL import Image
from fairgen import cli
from fairgen.scoring import verify
from skin_tone import ToneReading

# Full readings, outlines included, at once: the true reader would take half a minute for a thousand.
outlines = {f"patch {k}": [(i, i) for i in range(12)] for k in range(8)}
full = ToneReading.model_validate(reading("#a07050") | {"outlines": outlines}).model_dump_json()

class Reader:
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def read(self, image):
        return [ToneReading.model_validate_json(full)]

verify.make_reader = lambda name: Reader()
(folder / "in").mkdir(exist_ok=True)
for k in range(number):
    Image.new("RGB", (48, 48), (k % 256, 90, 80)).save(folder / "in" / f"{k:05}.png")
with contextlib.redirect_stdout(io.StringIO()):
    assert cli.run(["verify", str(folder / "in")]) == 0
"""

AUDIT = """
from tests.doubles.session_doubles import BatchBound, InfoReader
from fairgen.audit.plan import plan_audit
from fairgen.audit.runner import Audit, look_back
from fairgen.targets import load_spec

(folder / "list.txt").write_text("\\n".join(f"a person number {k}" for k in range(number)))
plan = plan_audit(folder / "list.txt", load_spec("uniform"), count=12, arms=("none", "prompt"))
for left in (False, True):
    done = look_back(folder / "run") if left else None
    model = BatchBound(spread=18.0, plain=30.0)
    for event in Audit(plan, model, InfoReader(), folder / "run", batch_size=4, left=done).run():
        pass
"""


def peak(script: str, folder: Path, number: int) -> int:
    """Peak resident memory in KiB."""
    folder.mkdir()
    # The tests keep freed memory (tests/conftest.py); what is measured here shall not.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment |= {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + script + _TAIL, str(folder), str(number)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize(("script", "few", "many"), [(VERIFY, 100, 1000), (AUDIT, 10, 60)])
def test_peak_memory_stays_where_it_is(script: str, few: int, many: int, tmp_path: Path) -> None:
    small, large = peak(script, tmp_path / "few", few), peak(script, tmp_path / "many", many)
    assert large <= GROWTH * small, f"{few}: {small} KiB, {many}: {large} KiB"
