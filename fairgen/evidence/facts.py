"""What follows from a run file: figures, what was left out and why, decisions in their order."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from fairgen.evidence.inputs import PackRun
from fairgen.report.declaration import approval_in
from fairgen.report.tables import PICTURES, csv_text, csv_writer, picture_rows, set_columns, set_rows
from fairgen.report.words import aside_note, reason_text
from fairgen.runs import (
    RUN_FILE,
    FillRecord,
    ModelInfo,
    PictureRecord,
    RunReader,
    SessionRecord,
    SessionRun,
    SpecDocument,
    Summary,
)
from fairgen.runs.lines import examined
from fairgen.scoring.collect import Collected, collect
from fairgen.scoring.figures import ReportFigures
from fairgen.targets import FairnessSpec

__all__ = ["Decision", "RunFacts", "SpecUse", "document_hash", "facts_of", "models_of"]

_LEFT_OUT = (
    "session", "prompt", "arm", "index", "slot", "attempt", "seed", "asked_for", "measured", "why", "file",
)  # fmt: skip
_DECISIONS = ("line", "session", "what", "picture", "place", "detail")


@dataclass(frozen=True)
class Decision:
    """Something that was decided otherwise than the plan said, or a note about it."""

    line: int
    session: str
    what: str
    picture: int | None
    place: int | None
    detail: str

    @property
    def is_note(self) -> bool:
        """Whether it is only a sentence of the run file about the set."""
        return self.what.startswith("note")


@dataclass(frozen=True)
class SpecUse:
    """A set whose spec is another document than that of the set before it in the run with a spec of its name.

    Attributes:
        line: of the set's record. session: the set. began: when.
        content: hash of the document's content; the hash that the record names, where this version of fairgen
            cannot read the document.
    """

    line: int
    session: str
    began: datetime
    content: str
    document: SpecDocument

    @property
    def name(self) -> str:
        """The spec's."""
        return str(self.document.get("name", "by hand"))

    @property
    def approval(self) -> str:
        """In words."""
        return approval_in(self.document, self.content)


@dataclass
class RunFacts:
    """What one run says, beside its own file.

    Attributes:
        collected: its figures, and the sets behind them.
        pictures: every picture that a record names, as it lies in the run folder; each once, in the order of
            the records.
        reasons: why pictures are in no set, in words -> how many.
        without_hash: pictures whose record holds no hash of the pixels.
        other_specs: sets whose record holds another spec than the hash that it names, which an earlier record
            names too.
        uses: of specs, in the order of the records.
    """

    run: PackRun
    collected: Collected
    lines: int
    pictures: list[str]
    decisions: list[Decision]
    reasons: Counter[str]
    without_hash: int
    pictures_csv: str
    left_out_csv: str
    models: list[ModelInfo] = field(default_factory=list)
    other_specs: list[str] = field(default_factory=list)
    uses: list[SpecUse] = field(default_factory=list)

    @property
    def figures(self) -> ReportFigures:
        """The figures of the run."""
        return self.collected.figures

    @property
    def sets_csv(self) -> str:
        """One row a prompt under an arm."""
        return csv_text(set_columns(self.figures.prompts), set_rows(self.figures.prompts))

    @property
    def decisions_csv(self) -> str:
        """One row a decision, in the order of the run file."""
        return csv_text(_DECISIONS, map(vars, self.decisions))

    @property
    def left_out(self) -> list[str]:
        """Pictures that the records name and the pack does not hold."""
        return [file for file in self.pictures if file not in self.run.packed]


def facts_of(run: PackRun) -> RunFacts:
    """Read the run file twice: by sets, and line by line. No picture is opened.

    Raises:
        UserError: it is damaged, or holds no picture.
    """
    tables = _Tables()
    collected = collect(RunReader(run.folder), tables.watch)
    pictures: dict[tuple[str, int], str] = {}
    decisions: list[Decision] = []
    models: dict[str, ModelInfo] = {}
    specs = _Specs({key: [document] for key, document in collected.figures.specs.items()})
    without_hash = lines = 0
    with (run.folder / RUN_FILE).open("rb") as file:
        for line in examined(file):
            if line.torn:
                break
            lines, record = line.number, line.record
            if isinstance(record, SessionRecord):
                models.setdefault(record.model.fingerprint, record.model)
                specs.watch(line.number, record)
            if isinstance(record, PictureRecord | FillRecord) and record.file is not None:
                pictures[record.session, record.index] = record.file
                without_hash += isinstance(record, PictureRecord) and record.pixels is None
            if isinstance(record, SessionRecord | FillRecord | Summary):
                decisions += _decided(line.number, record)
    return RunFacts(
        run,
        collected,
        lines,
        list(dict.fromkeys(pictures.values())),
        decisions,
        tables.reasons,
        without_hash,
        tables.pictures.getvalue(),
        tables.left_out.getvalue(),
        list(models.values()),
        specs.others,
        specs.uses,
    )


def models_of(facts: list[RunFacts]) -> dict[str, ModelInfo]:
    """Fingerprint -> model, in the order in which the runs use them; in a pack they are numbered from 1."""
    return {model.fingerprint: model for one in facts for model in one.models}


def document_hash(document: SpecDocument) -> str | None:
    """Hash of the content of a spec; None: this version of fairgen cannot read it."""
    try:
        return FairnessSpec.model_validate_json(json.dumps(document)).content_hash()
    except ValidationError:
        return None


@dataclass
class _Specs:
    """Specs while the records are read.

    Attributes:
        known: hash -> documents that were found to have that content. uses, others: as in `RunFacts`.
    """

    known: dict[str, list[SpecDocument]]
    uses: list[SpecUse] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    _last: dict[str, SpecDocument] = field(default_factory=dict)

    def watch(self, line: int, record: SessionRecord) -> None:
        documents = self.known.setdefault(record.spec_hash, [record.spec])
        if record.spec not in documents:
            # The same content may be approved later, and its citations looked up again.
            if document_hash(record.spec) != record.spec_hash:
                self.others.append(record.session)
            else:
                documents.append(record.spec)
        name = str(record.spec.get("name"))
        if self._last.get(name) != record.spec:
            self._last[name] = record.spec
            content = document_hash(record.spec) or record.spec_hash
            self.uses.append(SpecUse(line, record.session, record.started_at, content, record.spec))


def _decided(line: int, record: SessionRecord | FillRecord | Summary) -> Iterator[Decision]:
    if isinstance(record, FillRecord):
        what = "place filled after its tries ran out"
        detail = f"lacked {record.missing}, shows {record.measured or 'no tone that was read'}"
        yield Decision(line, record.session, what, record.index, record.slot, detail)
        return
    if isinstance(record, SessionRecord):
        if record.steering != "none" and not record.steered:
            yield Decision(line, record.session, "steering stayed off", None, None, record.steering)
        if record.steered and not record.feedback:
            yield Decision(line, record.session, "no feedback: every picture kept", None, None, "")
    for note in record.notes:
        at = "note at the beginning" if isinstance(record, SessionRecord) else "note at the end"
        yield Decision(line, record.session, at, None, None, note)


class _Tables:
    """Rows of pictures while the sets are read."""

    def __init__(self) -> None:
        self.pictures, self.left_out = io.StringIO(), io.StringIO()
        self.reasons: Counter[str] = Counter()
        self._add_picture = csv_writer(PICTURES, self.pictures)
        self._add_left_out = csv_writer(_LEFT_OUT, self.left_out)

    def watch(self, session: SessionRun, arm: str, group: str | None) -> None:
        for row in picture_rows(session, arm, group):
            self._add_picture(row)
        for picture in session.left_out():
            why = _why(picture, session)
            self.reasons[why] += 1
            more = {"prompt": session.record.prompt, "arm": arm, "asked_for": picture.wanted, "why": why}
            self._add_left_out(dict(picture) | more)


def _why(picture: PictureRecord, session: SessionRun) -> str:
    if picture.measured is None:
        return f"not read: {reason_text(picture.abstained) or 'no reason was recorded'}"
    return aside_note(session.record.target.get(picture.measured, 0.0))
