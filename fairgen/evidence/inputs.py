"""What a pack is made from: run folders, the model's card, the environment, the reader's figures."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from itertools import chain, count
from pathlib import Path
from typing import Any

from fairgen.common.resources import embedded_model_dir, shipped_benchmark
from fairgen.common.text import slug
from fairgen.errors import UserError
from fairgen.evidence.identity import reader_identity
from fairgen.evidence.manifest import PicturesIn
from fairgen.runs import RUN_FILE, ModelInfo, SignerRecord, ahead_of, check_run
from fairgen.runs.writer import open_locked

__all__ = [
    "ABROAD",
    "IDENTITY",
    "RENDERS",
    "Inputs",
    "PackRun",
    "card_of",
    "environment",
    "find_runs",
    "installed_files",
    "validation_files",
]

IDENTITY = "reader/identity.json"
RENDERS = "reader/confusion-on-renders.json"
ABROAD = "reader/other-generators.json"
_SITES = {"site-packages", "dist-packages"}
_BENCHMARKS = {RENDERS: "reader_confusion.json", ABROAD: "reader_abroad.json"}
_CARD_BYTES = 1 << 20
_OF_THE_INSTALLER = {"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""Files beside RECORD that pip and uv add to what a wheel brings."""


@dataclass(frozen=True)
class PackRun:
    """One run of a pack.

    Attributes:
        name: its folder under runs/ in the pack. title: what the run folder was called.
        folder: where it lies now. packed: its pictures that are in the pack, by their path in the folder.
    """

    name: str
    title: str
    folder: Path
    packed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Inputs:
    """Everything that the computed files of a pack follow from.

    Attributes:
        cards: fingerprint of a model -> the text of its card.
        documents: path in the pack -> a JSON document that was taken as it is.
    """

    fairgen: str
    created_at: datetime
    pictures: PicturesIn
    runs: tuple[PackRun, ...]
    signer: SignerRecord | None = None
    cards: dict[str, bytes] = field(default_factory=dict)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)


def find_runs(folders: Sequence[Path]) -> list[PackRun]:
    """Look at the runs that are to be packed.

    Raises:
        UserError: a folder is no run, is given twice, is still being written, or something is wrong with it.
    """
    found: list[PackRun] = []
    for given in folders:
        folder = (given.parent if given.name == RUN_FILE else given).resolve()
        if any(folder == one.folder for one in found):
            raise UserError(f"{given} is given twice: name each run once.")
        checked = check_run(folder)
        if checked.faults:
            more = len(checked.faults) - 1
            raise UserError(
                f"{checked.faults[0].text.rstrip('.')}{f' (and {more:,} more faults)' if more else ''}: "
                f"`fairgen run check {shlex.quote(str(given))}` lists what is wrong. A run is packed as "
                "evidence when nothing is."
            )
        if ahead_of(folder) or any("was written while" in note for note in checked.notes):
            raise UserError(
                f"{given} is not finished: sets wait for their turn in it. `fairgen audit --resume "
                f"{shlex.quote(str(given))}` ends it."
            )
        if not checked.pictures:
            raise UserError(f"{given} holds no pictures yet: generate into it first.")
        stem, taken = slug(folder.name) or "run", {one.name for one in found}
        names = chain([stem], (f"{stem}-{number}" for number in count(2)))
        name = next(name for name in names if name not in taken)
        _require_no_writer(folder)
        found.append(PackRun(name, folder.name, folder))
    return found


def _require_no_writer(folder: Path) -> None:
    """Raise `UserError` where another process writes the run; nobody can write one that is read-only."""
    path = folder / RUN_FILE
    if os.access(path, os.W_OK):
        open_locked(path).close()


def card_of(model: ModelInfo, given: Path | None) -> tuple[bytes | None, str]:
    """The card of a model, and a sentence about it.

    A card is taken from the model's own folder only where the weights there are those that the run recorded.

    Args:
        given: the card that the user names.

    Raises:
        UserError: that cannot be read, or is no text.
    """
    if given is not None:
        return _text(given), f"The card of {model.short_name} is the file that was named, {given.name}."
    if model.source == "embedded":
        folder = embedded_model_dir()
    elif model.source == "folder":
        folder = Path(model.name)
    else:
        return None, f"No card of {model.short_name} is in the pack: name one with --model-card."
    card = next((folder / name for name in ("README.md", "model_card.md") if (folder / name).is_file()), None)
    if card is None:
        return None, f"No card lies beside {model.short_name}: name one with --model-card."
    changed = [name for name, sha in model.weights.items() if _sha256(folder / name) != sha]
    if changed:
        return None, (
            f"The card of {model.short_name} was left out: {changed[0]} beside it is not what the run "
            "recorded."
        )
    return _text(card), f"The card of {model.short_name} lay beside the weights that the run recorded."


def _text(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        if len(data) > _CARD_BYTES:
            raise UserError(f"The model card {path} is larger than 1 MiB: give a text file.")
        data.decode()
    except UnicodeDecodeError:
        raise UserError(f"The model card {path} is no UTF-8 text.") from None
    except OSError as error:
        raise UserError(f"The model card {path} cannot be read ({error.strerror}).") from error
    return data


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        return None


def environment() -> dict[str, Any]:
    """Python, the system and the packages installed here: name -> version, and name -> `installed_files`."""
    # Ray and setuptools, once imported, put folders of theirs on the path: copies they keep for themselves.
    places = [place for place in sys.path if _SITES.isdisjoint(Path(place).parent.parts)]
    packages: dict[str, str] = {}
    files: dict[str, str | None] = {}
    for found in metadata.distributions(path=places):
        if name := found.metadata["Name"]:
            key = re.sub(r"[-_.]+", "-", name).lower()
            if key not in packages:
                packages[key], files[key] = found.version, installed_files(found)
    return {
        "of": "the environment in which the pack was written; each model's record says with which "
        "versions of the libraries the pictures were made",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(sorted(packages.items())),
        "files": dict(sorted(files.items())),
    }


def installed_files(package: metadata.Distribution) -> str | None:
    """One SHA-256 over the names and hashes of the files that a package's wheel brought.

    They are in the list that its installer wrote: RECORD, by the "Recording installed projects" specification
    of the Python Packaging User Guide. What the installer adds or rewrites (scripts, compiled files, notes of
    its own) is left out, so the same wheel gives the same hash on every machine. The files are not read.

    Returns:
        ``sha256:<hex>`` of the lines "path,hash", sorted, each ended by a line feed; None: no list of hashes.
    """
    text = package.read_text("RECORD")
    if not text:
        return None
    lines = sorted(
        f"{row[0]},{row[1]}\n"
        for row in csv.reader(text.splitlines())
        if len(row) == 3 and _of_the_wheel(*row[:2])
    )
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}" if lines else None


def _of_the_wheel(path: str, digest: str) -> bool:
    folder, _, name = path.rpartition("/")
    noted = folder.endswith(".dist-info") and name in _OF_THE_INSTALLER
    return bool(digest) and not path.startswith(("..", "/")) and not path.endswith(".pyc") and not noted


def validation_files() -> dict[str, dict[str, Any]]:
    """The reader's identity, and its published figures: path in the pack -> document.

    Raises:
        UserError: the installation is incomplete.
    """
    found: dict[str, dict[str, Any]] = {IDENTITY: reader_identity().model_dump()}
    for name, file in _BENCHMARKS.items():
        found[name] = json.loads(shipped_benchmark(file).read_text(encoding="utf-8"))
    return found
