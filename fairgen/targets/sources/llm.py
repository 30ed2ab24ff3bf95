"""From a language model's replies to a target: their mean, their agreement, and when it is not to be used."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from fairgen._version import __version__
from fairgen.errors import UserError
from fairgen.stats import jensen_shannon
from fairgen.targets import Citation, Confidence, Context, Elicitation, FairnessSpec
from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.asking import Asked
from fairgen.targets.sources.plain_text import cut
from fairgen.targets.sources.reply import Proposal, RejectedReply, parse_reply
from fairgen.targets.sources.uniform import uniform_spec
from skin_tone.scales import SCALES

__all__ = ["MAX_PROMPTS", "THRESHOLD", "Combined", "citations_kept", "combine", "conclude", "llm_spec"]

THRESHOLD = 0.5
"""Confidence and agreement below it make the target uniform, as in Nizam & Davis, arXiv 2604.21036."""

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
        confidence: mean of what the valid replies state, 0 to 1; None where no reply is valid.
        class_confidence: the same by class; None where no reply says it.
        citations: of all valid replies, each once, those that most replies name first.
        about, why, mapping: in the words of the valid reply whose shares are nearest to the mean.
        notes: what was rejected, mended or left out.
        checked: whether the citations have been looked up.
    """

    asked: Asked
    shares: tuple[dict[str, float], ...]
    proposal: dict[str, float] | None
    agreement: float | None
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
        try:
            valid.append((number, _parsed(reply, scale)))
        except RejectedReply as rejected:
            notes.append(f"Reply {number} is not used: {rejected.reason}.")
    notes += [f"Reply {number}: {note}" for number, proposal in valid for note in proposal.notes]
    if others := sorted({r.served_model for r in asked.replies if r.served_model} - {asked.endpoint.model}):
        notes.append(f"The server calls the model {', '.join(others)}.")
    if not all(reply.structured for reply in asked.replies):
        notes.append(
            "The server refused to be asked by JSON schema, so the schema was only part of the words."
        )
    proposals = [proposal for _, proposal in valid]
    if not proposals:
        return Combined(asked, (), None, None, None, {}, (), "", "", "", tuple(notes))
    shares = tuple(proposal.shares for proposal in proposals)
    mean = {
        name: round(math.fsum(s[name] for s in shares) / len(shares), 9) for name in SCALES[scale].classes
    }
    number, nearest = min(valid, key=lambda pair: jensen_shannon(pair[1].shares, mean))
    citations, cited = _merged(proposals, max_citations)
    if len(citations) < cited:
        notes.append(f"Of {cited} different citations the {len(citations)} that most replies name are kept.")
    if len(proposals) > 1:
        notes.append(f"About, why and mapping are in the words of reply {number}, the nearest to the mean.")
        if len({asked.replies[number - 1].text for number, _ in valid}) == 1:
            notes.append("The valid replies are the same to the letter, so their agreement says nothing.")
    else:
        notes.append("There is one valid reply only, so agreement cannot be told.")
    return Combined(
        asked=asked,
        shares=shares,
        proposal=mean,
        agreement=_agreement(shares),
        confidence=round(math.fsum(p.confidence for p in proposals) / len(proposals), 4),
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
        f"Asked {asked.samples} times for {asked.question.prompt!r} at {where}, temperature "
        f"{'left to the server' if warmth is None else f'{warmth:g}'}; {len(asked.replies)} replies came."
    )
    missed = Counter(asked.failures).items()
    return text + "".join(f" {count} did not come: {reason}." for reason, count in missed)


def _parsed(reply: RawReply, scale: str) -> Proposal:
    if reply.refused:
        raise RejectedReply(f"the model refused: {ascii(reply.text[:120])[1:-1]}")
    try:
        return parse_reply(reply.text, scale)
    except RejectedReply as rejected:
        if reply.finish in (None, "stop"):
            raise
        raise RejectedReply(f"{rejected.reason} (the server stopped it: {reply.finish})") from None


def _mean(values: list[float]) -> float | None:
    return round(math.fsum(values) / len(values), 4) if values else None


def _agreement(shares: Sequence[dict[str, float]]) -> float | None:
    distances = [jensen_shannon(a, b) for a, b in itertools.combinations(shares, 2)]
    return round(1 - math.fsum(distances) / len(distances), 4) if distances else None


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


def conclude(combined: Combined, *, threshold: float = THRESHOLD, max_raw: int = _MAX_RAW) -> Context:
    """The target for the question's prompt: the proposal, or uniform with the reason in the elicitation.

    Uniform where fewer than half of the wanted replies are valid, where stated confidence or agreement is
    below ``threshold`` (0 to 1), where nothing is cited, or where the citations were looked up and none was
    found. ``max_raw`` bounds each raw reply that is kept, in bytes; a reply that is cut says so.
    """
    asked = combined.asked
    fallback = "; ".join(_doubts(combined, threshold)) or None
    notes = list(combined.notes)
    if any(len(reply.text.encode()) > max_raw for reply in asked.replies):
        notes.append(f"Raw replies are cut to {max_raw} bytes here.")
    elicitation = Elicitation(
        model=asked.endpoint.model,
        asked_on=max(reply.asked_at for reply in asked.replies).date(),
        prompt_hash=asked.question.hash,
        replies=[cut(reply.text, max_raw) for reply in asked.replies],
        agreement=combined.agreement,
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


def _doubts(combined: Combined, threshold: float) -> list[str]:
    """Why the proposal is not to be used; empty where it is."""
    asked, valid = combined.asked, len(combined.shares)
    doubts = []
    if 2 * valid < asked.samples:
        doubts.append(
            f"{valid} of the {asked.samples} replies asked for {'is' if valid == 1 else 'are'} valid"
        )
    if combined.proposal is None or combined.confidence is None:
        return doubts
    if combined.confidence < threshold:
        doubts.append(f"stated confidence {combined.confidence:.2f} is below {threshold:g}")
    if combined.agreement is not None and combined.agreement < threshold:
        doubts.append(f"agreement {combined.agreement:.2f} is below {threshold:g}")
    if not combined.citations:
        doubts.append("no source is cited")
    elif combined.checked and all(citation.checked != "found" for citation in combined.citations):
        doubts.append(f"none of {len(combined.citations)} cited passages was found on its page")
    return doubts


def llm_spec(
    answers: Sequence[Combined],
    *,
    name: str | None = None,
    threshold: float = THRESHOLD,
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
            "declared_by": f"{asked.endpoint.model}, a language model, asked through fairgen {__version__}",
            "declared_on": declared_on or date.today(),
            **fields,
        }
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-") or "llm"


def citations_kept(prompts: int) -> int:
    """How many citations a prompt's target keeps in a document of so many prompts."""
    return max(1, min(_MAX_CITATIONS, _ALL_CITATIONS // max(prompts, 1)))
