"""What the records of a run say against each other: pure, fed record by record, flat in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fairgen.runs.records import (
    AuditPrompt,
    AuditRecord,
    Decision,
    FillRecord,
    PictureRecord,
    Record,
    RunRecord,
    SessionRecord,
    Summary,
)

HEADLESS = "is not the run record, with which a run file begins"

PLANLESS = "is not the audit's record, which line 1 says follows: it was lost"

_AS_BEGUN = (
    "prompt",
    "count",
    "seed",
    "steering",
    "steered",
    "scale",
    "classes",
    "target",
    "requested",
    "spec_hash",
)
"""Fields that a summary repeats from its session's record."""

_AfterHeader = AuditRecord | SessionRecord | PictureRecord | FillRecord | Summary


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture, as far as later lines can contradict it."""

    slot: int
    attempt: int
    measured: str | None
    abstained: str | None
    decision: Decision


@dataclass
class _Open:
    """A session whose summary has not come."""

    record: SessionRecord
    pictures: dict[int, _Seen] = field(default_factory=dict)
    tries: Counter[int] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    fills: dict[int, str | None] = field(default_factory=dict)
    next: int = 0


class Contradictions:
    """Is given every record of a run file in its order, and says what each has against those before it.

    Memory holds a few values for each picture of the sessions that have no summary yet, and the names of the
    others.
    """

    def __init__(self) -> None:
        self._begun = False
        self._of_audit = False
        self._second = False
        self._audit: AuditRecord | None = None
        self._asked: dict[str, tuple[AuditPrompt, str]] = {}
        self._open: dict[str, _Open] = {}
        self._closed: set[str] = set()

    def feed(self, record: Record) -> list[str]:
        """What is wrong with the record, each as the end of a sentence that begins with "Line 5"."""
        first, second, self._begun = not self._begun, self._second, True
        self._second = first
        if isinstance(record, RunRecord):
            self._of_audit = first and bool(record.audit)
            return [] if first else ["begins a run file once more"]
        planless = second and self._of_audit and not isinstance(record, AuditRecord)
        lost = [HEADLESS] if first else [PLANLESS] if planless else []
        return [*lost, *self._after_header(record, first or second)]

    def _after_header(self, record: _AfterHeader, second: bool) -> Iterable[str]:
        if isinstance(record, AuditRecord):
            return self._begin(record, second)
        if isinstance(record, SessionRecord):
            return self._opened(record)
        if record.session in self._closed:
            return [f"goes on with session {record.session!r} after its summary"]
        if record.session not in self._open:
            return [f"belongs to session {record.session!r}, which the file does not open"]
        session = self._open[record.session]
        if isinstance(record, PictureRecord):
            return self._picture(session, record)
        if isinstance(record, FillRecord):
            return _filled(session, record)
        del self._open[record.session]
        self._closed.add(record.session)
        return _summed(session, record)

    def _begin(self, record: AuditRecord, second: bool) -> list[str]:
        if not second:
            return ["is an audit's record, which belongs into line 2"]
        self._audit, self._asked = record, record.sessions()
        return []

    def _opened(self, record: SessionRecord) -> Iterator[str]:
        name = record.session
        if name in self._open or name in self._closed:
            yield f"opens session {name!r} a second time"
            return
        self._open[name] = _Open(record)
        if list(record.target) != record.classes or not record.requested.keys() <= record.target.keys():
            yield f"gives session {name!r} classes that differ from those of its target"
        if sum(record.requested.values()) != record.count:
            yield (
                f"asks for {sum(record.requested.values())} pictures by class and {record.count} in all "
                f"in session {name!r}"
            )
        if self._audit is None:
            return
        if name not in self._asked:
            yield f"opens session {name!r}, which is no part of the audit"
            return
        prompt, arm = self._asked[name]
        begun = (record.prompt, record.count, record.seed, record.steering, record.spec_hash)
        if begun != (prompt.prompt, prompt.count, prompt.seed, arm, prompt.spec):
            yield f"opens session {name!r} otherwise than the audit's record plans it"
        if record.model.changed_files(self._audit.model):
            yield f"opens session {name!r} with another model than the audit's"

    def _picture(self, session: _Open, record: PictureRecord) -> Iterator[str]:
        head, at = session.record, f"session {record.session!r}"
        in_order = record.index == session.next
        if not in_order:
            yield f"is picture {record.index} of {at}, where picture {session.next} follows"
        elif record.attempt != session.tries[record.slot]:
            yield (
                f"is attempt {record.attempt} at place {record.slot} of {at}, where attempt "
                f"{session.tries[record.slot]} follows"
            )
        session.next = record.index + 1
        session.tries[record.slot] = record.attempt + 1
        seen = _Seen(record.slot, record.attempt, record.measured, record.abstained, record.decision)
        session.pictures[record.index] = seen
        if record.slot >= head.count:
            yield f"has place {record.slot} of {at}, which has {head.count}"
        if record.attempt >= head.max_tries:
            yield f"is attempt {record.attempt} at a place of {at}, which allows {head.max_tries}"
        if record.measured is not None and record.measured not in head.target:
            yield f"was read as {record.measured!r}, which is no class of {at}"
        if (record.measured is None) != (record.decision == "abstained") or (record.measured is None) != (
            record.abstained is not None
        ):
            yield f"says that a picture of {at} was read and that it was not"
        elif record.measured not in (None, _read(record, head.scale)):
            yield f"gives a picture of {at} another class than its own reading does"
        if record.decision == "kept" and record.measured is not None:
            session.kept[record.measured] += 1
            most = head.requested.get(record.measured, 0)
            if head.steered and head.feedback and session.kept[record.measured] > most:
                yield f"keeps more pictures of {record.measured!r} than {at} asked for"


def _read(record: PictureRecord, scale: str) -> str | None:
    """The class by the picture's largest face; where its reading names none, the one that was recorded."""
    classes = record.readings[0].get("classes") if record.readings else None
    return classes.get(scale, record.measured) if isinstance(classes, dict) else record.measured


def _filled(session: _Open, record: FillRecord) -> Iterator[str]:
    at = f"session {record.session!r}"
    picture = session.pictures.get(record.index)
    if picture is None:
        yield f"fills a place with picture {record.index} of {at}, which has no record"
        return
    if record.index in session.fills:
        yield f"fills a place of {at} with picture {record.index} a second time"
    session.fills[record.index] = record.measured
    if picture.decision == "kept" or not session.record.steered:
        yield f"fills a place of {at} with picture {record.index}, which was kept before"
    if (record.slot, record.measured) != (picture.slot, picture.measured):
        yield f"says of picture {record.index} of {at} what its own record does not"


def _summed(session: _Open, record: Summary) -> Iterator[str]:
    head, at = session.record, f"session {record.session!r}"
    for key in _AS_BEGUN:
        if getattr(record, key) != getattr(head, key):
            yield f"sums up {at} with another {key} than it began with"
    pictures = session.pictures
    inside = [
        seen
        for index, seen in pictures.items()
        if index in session.fills or seen.decision == "kept" or not head.steered
    ]
    first = [seen for seen in pictures.values() if seen.attempt == 0]
    unread = Counter(seen.abstained for seen in pictures.values() if seen.abstained is not None)
    measured = Counter(seen.measured for seen in inside if seen.measured is not None)
    outside = [seen for seen in pictures.values() if seen.measured is not None]
    expected = {
        "generated": len(pictures),
        "kept": measured.total(),
        "discarded": len(outside) - measured.total(),
        "abstained": unread.total(),
        "filled": sum(shown is not None for shown in session.fills.values()),
    }
    for key, number in expected.items():
        if getattr(record, key) != number:
            yield f"counts {getattr(record, key)} pictures of {at} as {key}, where its records hold {number}"
    if len(inside) != head.count:
        yield f"ends {at} with {len(inside)} pictures in the set, which has {head.count} places"
    counted = Counter(seen.measured for seen in first if seen.measured is not None)
    for name, then, now in (
        ("measured", record.measured, measured),
        ("first_pass", record.first_pass, counted),
        ("abstentions", record.abstentions, unread),
    ):
        if +Counter(then) != now:
            yield f"gives {at} other numbers under {name} than its records hold"
