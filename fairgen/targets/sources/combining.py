"""What several replies to one question say together: mean, agreement, citations, notes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from fairgen.stats import jensen_shannon
from fairgen.targets import Citation
from fairgen.targets.sources.agreement import (
    LEAST_COVERAGE,
    agreement_of,
    chance_agreement,
    is_overconfident,
    range_coverage,
)
from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.asking import Asked, Judge
from fairgen.targets.sources.reply import Proposal, RejectedReply, parse_reply
from skin_tone.scales import SCALES

__all__ = ["MAX_CITATIONS", "Combined", "combine", "unusable"]

MAX_CITATIONS = 12
"""Citations of one target that are kept."""


@dataclass(frozen=True)
class Combined:
    """What the replies to one question say together.

    Attributes:
        shares: the valid replies' shares, class -> share, in the order of the replies.
        proposal: their mean; None where no reply is valid.
        agreement: 1 - mean Jensen-Shannon distance (base 2) over all pairs of valid replies, 0 to 1; None
            where there are fewer than two.
        chance_agreement: what as many random replies reach in at most 1 of 20 cases; None as agreement.
        ranges: class -> lowest and highest share that the model calls likely, mean over the valid replies
            that say so.
        range_coverage: how often a share of one reply lies in the range of another, 0 to 1; None where no two
            replies can be held against each other.
        confidence: mean of what valid replies state of their own accord, 0 to 1; None where none does.
        class_confidence: the same by class.
        citations: of all valid replies, each once, those that most replies name first.
        about: in the words of the valid reply whose shares are nearest to the mean.
        why: in the same reply's words.
        mapping: in the same reply's words.
        notes: what was rejected, mended or left out.
        checked: whether the citations have been looked up.
    """

    asked: Asked
    shares: tuple[dict[str, float], ...]
    proposal: dict[str, float] | None
    agreement: float | None
    chance_agreement: float | None
    ranges: dict[str, tuple[float, float]]
    range_coverage: float | None
    confidence: float | None
    class_confidence: dict[str, float | None]
    citations: tuple[Citation, ...]
    about: str
    why: str
    mapping: str
    notes: tuple[str, ...]
    checked: bool = False

    def with_checked(self, citations: Sequence[Citation]) -> Combined:
        """The same, with citations that have been looked up."""
        return replace(self, citations=tuple(citations), checked=True)


def combine(asked: Asked, *, max_citations: int = MAX_CITATIONS) -> Combined:
    """Parse the replies and put the valid ones together. Rejected ones are counted, with their reasons."""
    scale = asked.question.scale
    notes = [_counted(asked)]
    valid: list[tuple[int, Proposal]] = []
    for number, reply in enumerate(asked.replies, start=1):
        if reply.asked_again is not None:
            came = "" if reply.first is not None else ", but nothing came"
            notes.append(f"Reply {number} was asked for once more{came}: at first, {reply.asked_again}.")
        try:
            valid.append((number, _parsed(reply, scale)))
        except RejectedReply as rejected:
            notes.append(f"Reply {number} is not used: {rejected.reason}.")
    notes += [f"Reply {number}: {note}" for number, proposal in valid for note in proposal.notes]
    if others := sorted({r.served_model for r in asked.replies if r.served_model} - {asked.endpoint.model}):
        notes.append(f"The server calls the model {', '.join(others)}.")
    if not all(reply.structured for reply in asked.replies):
        notes.append(
            "The server refused to be asked by JSON schema, so the reply's form was only part of the words."
        )
    proposals = [proposal for _, proposal in valid]
    if not proposals:
        return Combined(asked, (), None, None, None, {}, None, None, {}, (), "", "", "", tuple(notes))
    shares = tuple(proposal.shares for proposal in proposals)
    mean = {
        name: round(math.fsum(s[name] for s in shares) / len(shares), 9) for name in SCALES[scale].classes
    }
    number, nearest = min(valid, key=lambda pair: jensen_shannon(pair[1].shares, mean))
    citations, cited = _merged(proposals, max_citations)
    notes += _contradictions(proposals)
    if len(citations) < cited:
        notes.append(f"Of {cited} different citations the {len(citations)} that most replies name are kept.")
    if len(proposals) > 1:
        notes.append(f"About, why and mapping are in the words of reply {number}, the nearest to the mean.")
        if len({asked.replies[number - 1].text for number, _ in valid}) == 1:
            notes.append("The valid replies are the same to the letter, so their agreement says nothing.")
    else:
        notes.append("There is only one valid reply, so agreement is not known.")
    coverage = range_coverage(proposals)
    if is_overconfident(coverage):
        notes.append(
            f"Its ranges hold {coverage:.0%} of the numbers of its other replies, fewer than "
            f"{LEAST_COVERAGE:.0%}: it is surer than its own answers agree."
        )
    return Combined(
        asked=asked,
        shares=shares,
        proposal=mean,
        agreement=agreement_of(shares),
        chance_agreement=chance_agreement(len(shares), len(mean)),
        ranges=_mean_ranges(proposals, SCALES[scale].classes),
        range_coverage=coverage,
        confidence=_mean([p.confidence for p in proposals if p.confidence is not None]),
        class_confidence={
            name: _mean([p.class_confidence[name] for p in proposals if name in p.class_confidence])
            for name in SCALES[scale].classes
        },
        citations=citations,
        about=nearest.about,
        why=nearest.why,
        mapping=nearest.mapping,
        notes=tuple(notes),
    )


def _counted(asked: Asked) -> str:
    where = "a server on this machine" if asked.endpoint.is_local else asked.endpoint.base_url
    warmth = asked.endpoint.temperature
    text = (
        f"Asked {asked.samples} times for {asked.question.prompt!r}, population "
        f"{asked.question.population}, at {where}, temperature "
        f"{'left to the server' if warmth is None else f'{warmth:g}'}; {len(asked.replies)} replies came."
    )
    missed = Counter(asked.failures).items()
    return text + "".join(f" {count} did not come: {reason}." for reason, count in missed)


def unusable(scale: str) -> Judge:
    """Why a reply about ``scale`` is to be asked for once more; a refusal is an answer, and left at that."""

    def judge(reply: RawReply) -> str | None:
        if reply.refused or reply.finish == "content_filter":
            return None
        try:
            _parsed(reply, scale)
        except RejectedReply as rejected:
            return rejected.reason
        return None

    return judge


def _parsed(reply: RawReply, scale: str) -> Proposal:
    if reply.refused:
        raise RejectedReply(f"the model refused: {ascii(reply.text[:120])[1:-1]}")
    if reply.thought and not reply.text.strip():
        raise RejectedReply(f"it thought aloud and gave no answer{_stopped(reply)}")
    try:
        proposal = parse_reply(reply.text, scale)
    except RejectedReply as rejected:
        raise RejectedReply(f"{rejected.reason}{_stopped(reply)}") from None
    came = []
    if reply.form != "text":
        came.append(f"it came as a {'tool call' if reply.form == 'tool call' else 'list of parts'}.")
    if reply.thought:
        came.append("its thinking aloud was left out.")
    if _stopped(reply):
        came.append(f"its JSON object was whole, though it did not end{_stopped(reply)}.")
    return replace(proposal, notes=(*came, *proposal.notes))


def _stopped(reply: RawReply) -> str:
    """Why a reply ended before its end, in brackets; empty where it did not."""
    match reply.finish:
        case None | "stop" | "tool_calls" | "function_call":
            return ""
        case "length":
            return " (it ran out of tokens)"
        case "stalled" | "broken off":
            return f" (the stream {'stalled' if reply.finish == 'stalled' else 'was broken off'})"
        case other:
            return f" (the server stopped it: {other})"


def _mean(values: list[float]) -> float | None:
    return round(math.fsum(values) / len(values), 4) if values else None


def _mean_ranges(proposals: Sequence[Proposal], classes: Sequence[str]) -> dict[str, tuple[float, float]]:
    given = {name: [p.ranges[name] for p in proposals if name in p.ranges] for name in classes}
    return {
        name: (round(fmean(low for low, _ in some), 4), round(fmean(high for _, high in some), 4))
        for name, some in given.items()
        if some
    }


def _contradictions(proposals: Sequence[Proposal]) -> list[str]:
    """Addresses that replies say to be of different publishers, which is how invented sources show."""
    publishers: dict[str, set[str]] = {}
    for citation in (c for proposal in proposals for c in proposal.citations):
        if citation.url and citation.publisher:
            publishers.setdefault(citation.url, set()).add(citation.publisher.casefold())
    return [
        f"{url} is cited as the page of {len(names)} different publishers."
        for url, names in publishers.items()
        if len(names) > 1
    ]


def _merged(proposals: Sequence[Proposal], limit: int) -> tuple[tuple[Citation, ...], int]:
    """The citations that most replies name, each once by address and quote; and how many there are in all."""
    named: dict[tuple[str, str], list[Citation]] = {}
    for proposal in proposals:
        in_this_reply = {_identity(citation): citation for citation in proposal.citations}
        for identity, citation in in_this_reply.items():
            named.setdefault(identity, []).append(citation)
    ranked = sorted(named.values(), key=len, reverse=True)  # stable: then by first appearance
    return tuple(same[0] for same in ranked[:limit]), len(ranked)


def _identity(citation: Citation) -> tuple[str, str]:
    where = citation.url or citation.title.casefold()
    return where, " ".join((citation.quote or "").casefold().split())
