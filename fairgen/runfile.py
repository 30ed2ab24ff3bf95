"""The run file: ``run.jsonl``, an append-only log of pydantic records, one JSON object a line.

The file is the product of a run: whatever a report, a table or a later re-score shows is computed from it.
One file can hold several sessions (one session = one prompt under one technique, for instance the unsteered
and the steered arm of a comparison, or every prompt of an audit); each line names the session it belongs to.
Lines are never rewritten. What is decided later is appended (`FillRecord`).

Order of lines: one `RunRecord`; then for each session a `SessionRecord`, its `PictureRecord`s in the order of
generation, any `FillRecord`s, and, when the session ended by itself, a `Summary`. A session without a summary
was interrupted.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fairgen.errors import UserError
from fairgen.spec.approval import Approval

RUN_FILE = "run.jsonl"

Decision = Literal["kept", "discarded", "abstained"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelInfo(_Record):
    """What sampled the pictures, precisely enough to sample them again."""

    name: str = Field(description="the model as it was asked for: 'embedded', a hub id or a folder")
    source: Literal["embedded", "folder", "hub", "pipeline"]
    pipeline: str = Field(description="class name of the diffusers pipeline")
    scheduler: str
    device: str
    dtype: str
    steps: int
    guidance_scale: float | None = Field(description="None: the pipeline's own default")
    height: int | None = Field(description="pixels; None: unknown, the pipeline's own")
    width: int | None = Field(description="pixels")
    weights: dict[str, str] = Field(description="file inside the model folder -> 'sha256:<hex>'")
    versions: dict[str, str] = Field(description="package -> version, python included")


class RunRecord(_Record):
    """First line of the file."""

    type: Literal["run"] = "run"
    schema_version: Literal[1] = 1
    created_at: datetime
    fairgen: str = Field(description="version of fairgen that wrote the file")
    note: str = (
        "fairgen run file: one JSON record a line. Every picture named here is synthetic (made by a "
        "generative model). Skin tones are read from pixels; they say nothing about any person."
    )


class SessionRecord(_Record):
    """One prompt under one technique: everything that was fixed before the first picture."""

    type: Literal["session"] = "session"
    schema_version: Literal[1] = 1
    session: str = Field(description="id, unique in the file; also the name of the session's folder")
    started_at: datetime
    prompt: str
    count: int = Field(description="pictures wanted")
    seed: int
    steering: str = Field(description="the technique that was asked for: 'none', 'prompt', ...")
    steered: bool = Field(description="False for 'none', and where the technique stays off (see notes)")
    notes: list[str] = Field(default_factory=list)
    spec: dict[str, Any] = Field(description="the whole spec document")
    spec_hash: str = Field(description="'sha256:<hex>' of the spec's content")
    context: int | None = Field(
        default=None,
        ge=0,
        description="index in the spec's contexts of the one that gave the target; None: the top-level one",
    )
    scale: str
    classes: list[str] = Field(description="light -> dark")
    target: dict[str, float] = Field(description="class -> declared share")
    requested: dict[str, int] = Field(description="class -> whole-number quota; sums to count")
    round_size: int = Field(description="pictures between two feedback steps")
    max_tries: int = Field(description="at most this many pictures for a slot")
    feedback: bool = Field(
        default=True, description="False: the quota was asked for blindly and every picture kept (open loop)"
    )
    batch_size: int
    technique: dict[str, Any] = Field(default_factory=dict, description="the technique's own parameters")
    model: ModelInfo


class PictureRecord(_Record):
    """One generated picture, kept or not."""

    type: Literal["picture"] = "picture"
    schema_version: Literal[1] = 1
    session: str
    index: int = Field(ge=0, description="order of generation in the session, from 0")
    slot: int = Field(
        ge=0, description="place in the set, 0 ... count-1; a slot has the same first seed in every arm"
    )
    attempt: int = Field(ge=0, description="0 = first pass")
    round: int = Field(ge=0, description="feedback round, from 0")
    seed: int
    prompt: str = Field(description="as it was sent to the model")
    wanted: str | None = Field(description="class that was asked for; None where steering is off")
    word: str | None = Field(description="tone word used, where the technique uses one")
    steering: dict[str, Any] = Field(default_factory=dict, description="what else the technique did")
    measured: str | None = Field(
        description="class of the largest face on the session's scale; None: abstained"
    )
    abstained: str | None = Field(description="reason code where no tone was read")
    decision: Decision = Field(
        description="kept: fills a place in the set; discarded: its class was full; abstained: no tone was "
        "read, so it fills no quota"
    )
    file: str | None = Field(description="path relative to the run folder; None where pictures are not saved")
    seconds: float = Field(ge=0, description="its share of the batch's sampling time plus its reading time")
    readings: list[dict[str, Any]] = Field(description="skin_tone readings as JSON, largest face first")


class FillRecord(_Record):
    """A picture that was put into its slot after all, because the slot's tries were used up."""

    type: Literal["fill"] = "fill"
    schema_version: Literal[1] = 1
    session: str
    index: int = Field(description="the picture")
    slot: int = Field(description="the slot that it fills")
    missing: str = Field(description="class nearest to the picture's that the quota still lacked")
    measured: str | None = Field(description="class that the picture shows instead; None: no tone was read")
    file: str | None = Field(description="the picture's path from now on")


class Summary(_Record):
    """How close a finished session came to its declared target; the object that ``--json`` prints.

    ``generated = kept + discarded + abstained`` and ``sum(measured.values()) = kept`` always hold. Distances
    compare shares of ``measured`` (or ``first_pass``) with ``target``; they are None where no picture could
    be read.
    """

    type: Literal["summary"] = "summary"
    schema_version: Literal[1] = 1
    session: str
    prompt: str
    model: str
    device: str
    spec: str = Field(description="name of the spec")
    spec_hash: str
    approval: Approval | None = Field(
        default=None, description="whether a person stands behind the spec; None: not recorded"
    )
    scale: str
    classes: list[str]
    target: dict[str, float]
    steering: str
    steered: bool
    notes: list[str] = Field(description="sentences for the reader: steering stays off, tries ran out, ...")
    seed: int
    count: int = Field(description="pictures wanted")
    requested: dict[str, int]
    first_pass: dict[str, int] = Field(description="measured classes of the first attempt of every slot")
    first_pass_abstained: int
    measured: dict[str, int] = Field(description="measured classes of the final set")
    kept: int = Field(description="pictures of the set with a measured tone")
    generated: int
    discarded: int = Field(description="pictures with a measured tone that are not in the set")
    abstained: int = Field(description="pictures in which no tone was read")
    abstentions: dict[str, int] = Field(description="reason code -> pictures")
    filled: int = Field(description="places filled with another class after the tries ran out")
    missing: int = Field(description="count - kept: places of the set whose picture has no reading")
    words: dict[str, int] = Field(description="tone word -> pictures made with it")
    faces: dict[str, int] = Field(
        default_factory=dict,
        description="measured classes of every face in the final set, where a picture shows more than one",
    )
    faces_tv: float | None = Field(default=None, description="distance of ``faces`` from the target")
    tv: float | None
    alignment_error: float | None
    fd: float | None
    kl: float | None
    noise_floor_tv: float = Field(description="mean TV of a perfect independent sampler (this count)")
    first_pass_tv: float | None
    seconds: float
    out: str | None = Field(description="the run folder")


Record = Annotated[
    RunRecord | SessionRecord | PictureRecord | FillRecord | Summary, Field(discriminator="type")
]
_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


def now() -> datetime:
    """The time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns write errors that a user can mend (disk full, no permission, not a folder) into `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"No space is left on the disk to write {path}: free some, or choose another --out."
            ) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise UserError(
                f"{path} cannot be written: choose a folder that you may write to with --out."
            ) from error
        if isinstance(error, NotADirectoryError | FileExistsError | IsADirectoryError):
            raise UserError(
                f"{path} cannot be written, a file or folder is in the way: choose another --out."
            ) from error
        raise


class RunWriter:
    """Appends records to ``folder/run.jsonl``; the folder is made where it does not exist.

    Each record is one ``write`` of one whole line, flushed to the operating system; `sync` forces it to the
    disk (sessions do so after their header, after every round and at their end). Opening an existing file
    drops a torn last line.
    """

    def __init__(self, folder: Path, *, fairgen_version: str) -> None:
        self.folder = folder
        self.path = folder / RUN_FILE
        self.dropped_torn_line = False
        with disk_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
            size = self._file.tell()
            if size:
                self._drop_torn_tail(size)
        if self._file.tell() == 0:
            self.write(RunRecord(created_at=now(), fairgen=fairgen_version))

    def _drop_torn_tail(self, size: int) -> None:
        end = self.path.read_bytes().rfind(b"\n") + 1
        if end != size:
            self._file.truncate(end)
            self._file.seek(end)
            self.dropped_torn_line = True

    def write(self, record: BaseModel) -> None:
        with disk_errors(self.path):
            self._file.write(record.model_dump_json().encode() + b"\n")
            self._file.flush()

    def sync(self) -> None:
        with disk_errors(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if not self._file.closed:
            self.sync()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@dataclass
class SessionRun:
    """One session as read back."""

    record: SessionRecord
    pictures: list[PictureRecord] = field(default_factory=list)
    fills: list[FillRecord] = field(default_factory=list)
    summary: Summary | None = None

    @property
    def finished(self) -> bool:
        return self.summary is not None

    def final_set(self) -> list[PictureRecord]:
        """The pictures that make up the set, in slot order.

        Unsteered: the first ``count`` pictures. Steered: the kept ones, and those that filled a slot whose
        tries ran out (they come back with their new file and the decision "kept"). Either has ``count``
        pictures once the session is finished; those without a reading have the decision "abstained".
        """
        fills = {fill.index: fill for fill in self.fills}
        chosen = []
        for picture in self.pictures:
            fill = fills.get(picture.index)
            if fill is not None:
                decision = "abstained" if fill.measured is None else "kept"
                update = {"slot": fill.slot, "file": fill.file, "decision": decision}
                chosen.append(picture.model_copy(update=update))
            elif picture.decision == "kept" or not self.record.steered:
                chosen.append(picture)
        return sorted(chosen, key=lambda picture: picture.slot)

    def left_out(self) -> list[PictureRecord]:
        """Every picture that is not in the final set, in the order of generation."""
        inside = {picture.index for picture in self.final_set()}
        return [picture for picture in self.pictures if picture.index not in inside]


@dataclass
class Run:
    """A run file as read back; ``problems`` says in sentences what was torn or missing."""

    folder: Path
    record: RunRecord
    sessions: dict[str, SessionRun]
    problems: list[str]

    def path(self, file: str | None) -> Path | None:
        """Where a record's ``file`` lies."""
        return None if file is None else self.folder / file


def parse_record(line: bytes | str) -> Record:
    """One line -> its record; raises pydantic's ValidationError."""
    return _RECORD.validate_json(line)


def read_run(folder: str | Path) -> Run:
    """Read a run folder (or the path of its run.jsonl).

    A torn last line (the machine stopped while it was written) is left out and said in ``problems``; any
    other broken line is a `UserError` that gives its number, since silently skipping it would change the
    figures.
    """
    path = Path(folder)
    if path.name != RUN_FILE:
        path = path / RUN_FILE
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{folder} is no run folder (it has no {RUN_FILE}): give the folder that --out named."
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    *lines, tail = data.split(b"\n")
    problems = []
    if tail:
        problems.append("The last line of the run file is torn (stopped while writing); it was left out.")
    run: RunRecord | None = None
    sessions: dict[str, SessionRun] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = parse_record(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise UserError(
                f"{path}, line {number} is no record that this version of fairgen reads: {first['msg']}."
            ) from error
        if isinstance(record, RunRecord):
            run = run or record
        elif isinstance(record, SessionRecord):
            sessions[record.session] = SessionRun(record)
        elif record.session not in sessions:
            raise UserError(
                f"{path}, line {number} belongs to session {record.session!r}, which the file does not open."
            )
        else:
            _file_under(sessions[record.session], record)
    if run is None:
        raise UserError(f"{path} is no fairgen run file: its first line must be the run record.")
    problems += [
        f"Session {name} was interrupted: it has no summary."
        for name, session in sessions.items()
        if not session.finished
    ]
    return Run(path.parent, run, sessions, problems)


def _file_under(session: SessionRun, record: PictureRecord | FillRecord | Summary) -> None:
    if isinstance(record, PictureRecord):
        session.pictures.append(record)
    elif isinstance(record, FillRecord):
        session.fills.append(record)
    else:
        session.summary = record
