"""The lines of a run file, each with what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from fairgen.runs.chain import ChainCheck
from fairgen.runs.contradictions import Contradictions
from fairgen.runs.records import AuditRecord, Record, RunRecord, parse_record

CHANGED = "does not follow from the line before it: it was changed, or lines were lost, added or moved here"


@dataclass(frozen=True)
class Line:
    """One line of a run file.

    Attributes:
        number: from 1.
        raw: its bytes, with the line break.
        record: None where it is no record.
        faults: what is wrong, each as the end of a sentence that begins with "Line 5".
        torn: it has no line break: the machine stopped while it was written, and it counts for nothing.
    """

    number: int
    raw: bytes
    record: Record | None
    faults: list[str] = field(default_factory=list)
    torn: bool = False

    @property
    def session(self) -> str | None:
        """The session that it names, as far as it can be read."""
        if self.record is not None:
            return None if isinstance(self.record, RunRecord | AuditRecord) else self.record.session
        try:
            found = json.loads(self.raw)
        except ValueError:
            return None
        name = found.get("session") if isinstance(found, dict) else None
        return name if isinstance(name, str) else None


def examined(lines: Iterable[bytes]) -> Iterator[Line]:
    """Look at the lines of a run file, in their order. Memory is that of `Contradictions`."""
    chain, said = ChainCheck(), Contradictions()
    for number, raw in enumerate(lines, 1):
        if not raw.endswith(b"\n"):
            yield Line(number, raw, None, torn=True)
            return
        follows = chain.holds(raw)
        try:
            record = parse_record(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            fault = f"is no record that this version of fairgen reads: {first['msg']}"
            yield Line(number, raw, None, [fault])
            continue
        faults = said.feed(record)
        yield Line(number, raw, record, faults if follows else [*faults, CHANGED])
