"""From a language model's replies to a target: their mean, their agreement, and when it is not to be used."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import fmean

from fairgen import __version__
from fairgen.errors import UserError
from fairgen.sources.ask_cache import RawReply
from fairgen.sources.asking import Asked, Judge
from fairgen.sources.chance import chance_agreement
from fairgen.sources.guards import LEAST_COVERAGE, agreement_of, doubts, is_overconfident, range_coverage
from fairgen.sources.plain_text import cut
from fairgen.sources.reply import Proposal, RejectedReply, parse_reply
from fairgen.sources.uniform import uniform_spec
from fairgen.spec import Citation, Confidence, Context, Elicitation, FairnessSpec
from fairgen.spec.support import support
from fairgen.stats import jensen_shannon
from skin_tone.scales import SCALES

__all__ = ["MAX_PROMPTS", "Combined", "citations_kept", "combine", "conclude", "llm_spec", "unusable"]

MAX_PROMPTS = 200
"""Prompts in one document, which has to stay small enough to be loaded again."""

_MAX_CITATIONS = 12
_ALL_CITATIONS = 600
_MAX_RAW = 16_000
_ALL_RAW = 768 * 1024


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


def combine(asked: Asked, *, max_citations: int = _MAX_CITATIONS) -> Combined:
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
        notes.append("There is one valid reply only, so agreement cannot be told.")
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


def conclude(combined: Combined, *, threshold: float | None = None, max_raw: int = _MAX_RAW) -> Context:
    """The target for the question's prompt: the proposal, or uniform with the reason in the elicitation.

    Uniform where `doubts` finds a reason; else the elicitation says whether a source was found.

    Args:
        combined: what the replies say together.
        threshold: least agreement, 0 to 1; that of random replies has to be exceeded in any case.
        max_raw: most bytes of each raw reply that is kept; a reply that is cut says so.
    """
    asked = combined.asked
    fallback = "; ".join(doubts(combined, threshold)) or None
    notes = list(combined.notes)
    if any(len(reply.text.encode()) > max_raw for reply in asked.replies):
        notes.append(f"Raw replies are cut to {max_raw} bytes here.")
    elicitation = Elicitation(
        model=asked.endpoint.model,
        asked_on=max(reply.asked_at for reply in asked.replies).date(),
        prompt_hash=asked.question.hash,
        replies=[cut(reply.text, max_raw) for reply in asked.replies],
        population=asked.question.population,
        agreement=combined.agreement,
        chance_agreement=combined.chance_agreement,
        ranges=combined.ranges or None,
        range_coverage=combined.range_coverage,
        support=None if fallback else support(combined.citations),
        fallback=fallback,
        notes=cut("\n".join(notes), 4_000),
    )
    fields = {"prompts": [asked.question.prompt], "citations": combined.citations, "elicitation": elicitation}
    if fallback or combined.proposal is None:
        uniform = uniform_spec(asked.question.scale)
        why = f"The model's proposal is not used: {fallback}. {uniform.why}"
        return Context(target=uniform.target, about=uniform.about, why=why, mapping=uniform.mapping, **fields)
    return Context(
        target=combined.proposal,
        confidence=Confidence(overall=combined.confidence, classes=combined.class_confidence),
        about=combined.about,
        why=combined.why,
        mapping=combined.mapping,
        **fields,
    )


def llm_spec(
    answers: Sequence[Combined],
    *,
    name: str | None = None,
    threshold: float | None = None,
    declared_on: date | None = None,
) -> FairnessSpec:
    """The document: of one answer its target; of several a context for each prompt, uniform for all others.

    Args:
        answers: to questions on one scale, from one model.
        name: lower case, digits, dots and dashes; by default from the prompt.
        threshold: see `conclude`.
        declared_on: default today.

    Raises:
        UserError: there are more than ``MAX_PROMPTS`` answers.
    """
    if not 1 <= len(answers) <= MAX_PROMPTS:
        raise UserError(f"One spec holds 1 to {MAX_PROMPTS} prompts, not {len(answers)}: make several files.")
    asked = answers[0].asked
    replies = sum(len(answer.asked.replies) for answer in answers)
    max_raw = min(_MAX_RAW, _ALL_RAW // replies)
    contexts = [conclude(answer, threshold=threshold, max_raw=max_raw) for answer in answers]
    if len(contexts) == 1:
        fields = contexts[0].model_dump(exclude={"prompts"})
    else:
        uniform = uniform_spec(asked.question.scale)
        fields = {
            "target": uniform.target,
            "about": f"For prompts that no context names: {uniform.about}",
            "why": uniform.why,
            "contexts": [context.model_dump() for context in contexts],
        }
    return FairnessSpec.model_validate(
        {
            "name": name or _slug(asked.question.prompt if len(answers) == 1 else "prompts"),
            "version": 1,
            "scale": asked.question.scale,
            "source": "llm",
            "declared_by": _declared_by(asked.endpoint.model, contexts),
            "declared_on": declared_on or date.today(),
            **fields,
        }
    )


def _declared_by(model: str, contexts: Sequence[Context]) -> str:
    """Whose shares these are: a target that fell back is fairgen's own, and no model's."""
    proposed = [context for context in contexts if context.elicitation and not context.elicitation.fallback]
    if not proposed:
        return f"fairgen {__version__}: uniform, since what {model}, a language model, replied is not used"
    by = f"{model}, a language model, asked through fairgen {__version__}"
    if len(contexts) == 1:
        return by
    return f"{by} ({len(proposed)} of {len(contexts)} contexts); uniform for all other prompts by fairgen"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-") or "llm"


def citations_kept(prompts: int) -> int:
    """How many citations a prompt's target keeps in a document of so many prompts."""
    return max(1, min(_MAX_CITATIONS, _ALL_CITATIONS // max(prompts, 1)))
