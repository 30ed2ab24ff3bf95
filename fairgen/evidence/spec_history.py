"""What became of specs while the runs of a pack were made: edited, approved again, citations looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from fairgen.evidence.facts import Decision, RunFacts, SpecUse
from fairgen.targets import FairnessSpec

__all__ = ["spec_changes", "with_spec_decisions"]

FIRST = "note: first use of a spec"
_SHOWN, _LONGEST = 8, 60
_SAID_APART = FairnessSpec.APPROVAL_FIELDS | {"version"}


def with_spec_decisions(facts: list[RunFacts]) -> list[RunFacts]:
    """The same facts, with what became of the specs among the decisions, at the set that first shows it.

    Specs are told apart by their names. A set is compared with the last one before it, in any run of the
    pack, that used a spec of that name; runs are put together by when their sets began.
    """
    found: dict[str, list[Decision]] = {one.run.name: [] for one in facts}
    for one, decision in _decisions(facts):
        found[one.run.name].append(decision)
    return [
        replace(one, decisions=sorted([*found[one.run.name], *one.decisions], key=lambda d: d.line))
        for one in facts
    ]


def spec_changes(facts: list[RunFacts]) -> list[Decision]:
    """Every change of a spec that was used before, in order."""
    return [decision for _, decision in _decisions(facts) if not decision.is_note]


def _decisions(facts: list[RunFacts]) -> Iterator[tuple[RunFacts, Decision]]:
    last: dict[str, SpecUse] = {}
    for one, use in _in_order(facts):
        before = last.get(use.name)
        last[use.name] = use
        said = _first(use) if before is None else _change(before, use)
        if said is not None:
            yield one, Decision(use.line, use.session, said[0], None, None, said[1])


def _in_order(facts: list[RunFacts]) -> list[tuple[RunFacts, SpecUse]]:
    """By when the set began, in the same second by the spec's version; within a run by its lines, whatever
    its clock said.
    """
    keyed: list[tuple[tuple[datetime, int], RunFacts, SpecUse]] = []
    for one in facts:
        latest: tuple[datetime, int] | None = None
        for use in one.uses:
            version = use.document.get("version")
            own = (use.began, version if isinstance(version, int) else 0)
            latest = own if latest is None else max(latest, own)
            keyed.append((latest, one, use))
    return [(one, use) for _, one, use in sorted(keyed, key=lambda entry: entry[0])]


def _first(use: SpecUse) -> tuple[str, str]:
    by, on = use.document.get("declared_by"), use.document.get("declared_on")
    declared = f"declared by {by} on {on}; " if by else ""
    return FIRST, f"{use.name} version {use.document.get('version', '?')}; {declared}{use.approval}"


def _change(before: SpecUse, use: SpecUse) -> tuple[str, str] | None:
    """What was done, and how; None: the two sets used the same document."""
    if before.document == use.document:
        return None
    name, old, new = use.name, before.document.get("version", "?"), use.document.get("version", "?")
    approvals = f"before {before.approval}, now {use.approval}"
    if before.content != use.content:
        version = f"version {old} to {new}" if old != new else f"still called version {new}"
        return "spec edited", f"{name}, {version}: {_listed(before.document, use.document)}; {approvals}"
    if any(before.document.get(key) != use.document.get(key) for key in FairnessSpec.APPROVAL_FIELDS):
        what = "spec approved again" if use.document.get("approved_by") else "approval of a spec taken back"
        return what, f"{name} version {new}, content as before: {approvals}"
    return "citations of a spec looked up again", f"{name} version {new}, content as before"


def _listed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    changes = [text for text in _differences(before, after) if text.split(":")[0] not in _SAID_APART]
    more = len(changes) - _SHOWN
    return ", ".join(changes[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """``target.dark: 0.1 to 0.3`` for each value that differs, mappings gone into."""
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{at}{key}.")
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and old != new:
            yield f"{at}{key}: changed"
        elif old != new:
            yield f"{at}{key}: {_short(old)} to {_short(new)}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"{len(value)} entries"
    text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
