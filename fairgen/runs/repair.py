"""Moves what is broken in a run aside, so that the rest can be believed and gone on with."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from fairgen._version import __version__
from fairgen.common.files import disk_errors, now, replacing
from fairgen.errors import UserError
from fairgen.runs.chain import chained
from fairgen.runs.check import RunCheck, check_run
from fairgen.runs.contradictions import PLANLESS
from fairgen.runs.lines import CHANGED, Line, examined
from fairgen.runs.reader import session_names
from fairgen.runs.records import AuditRecord, RunRecord
from fairgen.runs.turns import ahead_of
from fairgen.runs.writer import RUN_FILE, line_of, no_run_folder, open_locked


@dataclass
class Repaired:
    """What `repair_run` did.

    Attributes:
        aside: where everything went. sessions: those whose records and pictures went there, to be made again.
        pictures: single pictures that went there.
        before: what was wrong.
    """

    aside: Path
    before: RunCheck
    sessions: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)


def repair_run(folder: str | Path) -> Repaired | None:
    """Move sessions with a broken record, and pictures that are not what was recorded, to ``broken-1`` (2, 3
    ...) in the run folder, with a copy of the run file as it was. Nothing is deleted.

    ``fairgen audit --resume`` then makes them again. The folder is locked meanwhile, and a stop at any moment
    leaves a run that is checked and repaired as before. None: nothing was wrong.

    Raises:
        UserError: it is no run folder, another process writes it, the disk refuses, or an audit's own record
            is broken, without which nothing can be made again.
    """
    path = Path(folder)
    root = path.parent if path.name == RUN_FILE else path
    if not (root / RUN_FILE).is_file():
        raise no_run_folder(folder)
    with closing(open_locked(root / RUN_FILE)):
        found = check_run(root)
        return _repaired(root, found) if found.faults else None


def _repaired(root: Path, found: RunCheck) -> Repaired:
    with (root / RUN_FILE).open("rb") as file:
        head = list(itertools.islice(examined(file), 2))
    _require_plan(root, head)
    in_records = [fault for fault in found.faults if fault.run_file is not None]
    named = {fault.session for fault in in_records if fault.session is not None}
    bad, waiting = _with_waiting(root, named, {str(fault.run_file) for fault in in_records})
    aside = next(p for n in itertools.count(1) if not (p := root / f"broken-{n}").exists())
    done = Repaired(aside, found, sorted(bad))
    with disk_errors(aside):
        aside.mkdir()
        shutil.copyfile(root / RUN_FILE, aside / RUN_FILE)
        for name in done.sessions:
            _move(root, aside, name)
        for fault in found.faults:
            if fault.file is not None and _move(root, aside, fault.file):
                done.pictures.append(fault.file)
        # Pictures first: without the records they are made again, and without the pictures so are these.
        for place in waiting:
            _move(root, aside, place.relative_to(root).as_posix())
        if in_records:
            with replacing(root / RUN_FILE) as made:
                _rewrite(root / RUN_FILE, made, bad, head)
    return done


def _require_plan(root: Path, head: list[Line]) -> None:
    """Refuse where an audit's record is broken: what it planned is not told anywhere else."""
    if not head or isinstance(head[0].record, AuditRecord):
        return  # the first line alone was lost
    second = head[-1]
    lost = PLANLESS in second.faults
    # The link of a sound record breaks where the line before it was changed.
    sound = second.session is not None or (second.faults == [CHANGED] and head[0].faults)
    if lost or (second.faults and second.number == 2 and not sound):
        why = PLANLESS if lost else second.faults[0]
        raise UserError(
            f"{root / RUN_FILE}, line 2 {why}. It says what the run is of, so the run cannot be gone on "
            "with: begin it again, with --force to move what is there aside."
        )


def _with_waiting(root: Path, bad: set[str], files: Iterable[str]) -> tuple[set[str], list[Path]]:
    """What waits for its turn goes with the sessions that it continues. What comes back is all broken
    sessions, and the folders of waiting lines to move.
    """
    files, bad, waiting = set(files), set(bad), []
    left = ahead_of(root)
    while touched := [
        place
        for place in left
        if (place / RUN_FILE).relative_to(root).as_posix() in files
        or bad.intersection(session_names(place / RUN_FILE))
    ]:
        for place in touched:
            left.remove(place)
            waiting.append(place)
            bad.update(session_names(place / RUN_FILE))
    return bad, waiting


def _move(root: Path, aside: Path, name: str) -> bool:
    """Move a file or folder of the run; False where there is none. Names are data: none leads outside."""
    old, new = root / name, aside / name
    if not old.exists() or root.resolve() not in old.resolve().parents:
        return False
    new.parent.mkdir(parents=True, exist_ok=True)
    old.rename(new)
    return True


def _rewrite(path: Path, made: Path, bad: set[str], head: list[Line]) -> None:
    """The run file without the broken sessions and without lines that are no records, linked anew."""
    link = ""
    with path.open("rb") as file, made.open("wb") as new:
        if not head or not isinstance(head[0].record, RunRecord) or head[0].faults:
            audit = any(isinstance(each.record, AuditRecord) for each in head)
            first = RunRecord(created_at=now(), fairgen=__version__, audit=audit)
            line, link = chained(line_of(first), link)
            new.write(line)
        for line_ in examined(file):
            if isinstance(line_.record, AuditRecord):
                stays = line_.number <= 2
            elif isinstance(line_.record, RunRecord):
                stays = line_.number == 1 and not line_.faults
            else:
                stays = line_.record is not None and line_.session not in bad
            if stays:
                line, link = chained(line_.raw, link)
                new.write(line)
