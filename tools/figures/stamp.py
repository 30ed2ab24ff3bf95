"""What figures are of: identities, versions and date, written into every JSON file that a benchmark makes."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fairgen._version import __version__
from fairgen.common.documents import read_document
from fairgen.common.files import write_text
from fairgen.common.resources import embedded_model_dir
from fairgen.models.folder import find_model
from fairgen.runs import fingerprint_of
from fairgen.steering.calibration import Calibration
from fairgen.steering.response import PromptResponse
from skin_tone.identity import identity
from skin_tone.scales import SCALES

MODEL = "embedded model"
CALIBRATIONS = "calibrations"
READERS = "readers"
KEY = "measured"
"""Where a JSON file carries its stamp."""

_PACKAGES = ("torch", "diffusers", "transformers", "mediapipe", "numpy", "scikit-image", "gradio")


@cache
def identities() -> dict[str, str]:
    """What ships: name -> 'sha256:<hex>'.

    The embedded model's is the fingerprint that `fairgen model info` prints. The calibrations' is of their
    files and of the strengths that are chosen by them: figures are stale when either changes.
    """
    folder = find_model("embedded")
    held = hashlib.sha256()
    for path in sorted((embedded_model_dir() / "calibrations").glob("*.json")):
        held.update(path.name.encode() + b"\0" + path.read_bytes())
        held.update(json.dumps(_chosen(read_document(path, Calibration, "calibration"))).encode())
    return {
        MODEL: fingerprint_of(folder.weight_hashes() | folder.other_hashes()),
        CALIBRATIONS: f"sha256:{held.hexdigest()}",
        READERS: identity(),
    }


def _chosen(calibration: Calibration) -> dict[str, list[list[float]]]:
    """Scale -> its classes' strengths: at first, and after three pictures that came out 10 degrees darker."""
    chosen = {}
    for scale in sorted(SCALES):
        response = PromptResponse(calibration.curve, scale)
        chosen[scale] = [[response.strength(name)[0] for name in response.scale.classes]]
        for strength, ita in zip(calibration.curve.strengths[::3], calibration.curve.ita[::3], strict=True):
            response.observe(strength, ita - 10, 5.0)
        chosen[scale].append([response.strength(name)[0] for name in response.scale.classes])
    return chosen


def stamp(of: Sequence[str]) -> dict[str, Any]:
    """What stands under ``measured`` in a JSON file of figures.

    Args:
        of: names of `identities` that the figures depend on.
    """
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "fairgen": __version__,
        "python": platform.python_version(),
        "packages": found,
        "cores": os.cpu_count(),
        "of": {name: identities()[name] for name in of},
    }


def hold_work(work: Path, of: Sequence[str]) -> None:
    """Hold a work folder to the model and the readers that ship; a new one becomes theirs.

    Args:
        work: the folder; it is made where it is missing.
        of: names of `identities` that what lies in it depends on.

    Raises:
        SystemExit: it holds work of another model or by other readers.
    """
    work.mkdir(parents=True, exist_ok=True)
    path = work / "of.json"
    mine = {name: identities()[name] for name in of}
    if not path.exists():
        write_text(path, json.dumps(mine, indent=1) + "\n")
    elif json.loads(path.read_text(encoding="utf-8")) != mine:
        raise SystemExit(f"{work} holds work of another model or by other readers: choose another --work.")


def write_figures(path: Path, document: dict[str, Any], of: Sequence[str], *, flat: bool = False) -> None:
    """Write figures as JSON, with what they are of.

    Args:
        path: the file; it is replaced as a whole.
        document: the figures; the stamp is added under ``measured``.
        of: names of `identities` that the figures depend on.
        flat: one row of a list on each line, for long tables.
    """
    stamped = {"command": document["command"], KEY: stamp(of)} | document
    text = _flat(stamped) if flat else json.dumps(stamped, indent=1)
    write_text(path, f"{text}\n")


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_flat(one)}" for key, one in value.items()]
        return "{" + ",\n".join(parts) + "}" if any("\n" in part for part in parts) else json.dumps(value)
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return "[\n" + ",\n".join(json.dumps(one) for one in value) + "\n]"
    return json.dumps(value)
