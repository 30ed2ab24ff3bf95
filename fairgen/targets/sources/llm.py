"""From a language model's replies to a target: their mean, their agreement, and when it is not to be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from fairgen._version import __version__
from fairgen.common.text import slug
from fairgen.errors import UserError
from fairgen.targets import Confidence, Context, Elicitation, FairnessSpec
from fairgen.targets.sources.combining import MAX_CITATIONS, Combined
from fairgen.targets.sources.guards import doubts
from fairgen.targets.sources.plain_text import cut
from fairgen.targets.sources.uniform import uniform_spec
from fairgen.targets.support import support

__all__ = ["MAX_PROMPTS", "citations_kept", "conclude", "llm_spec"]

MAX_PROMPTS = 200
"""Prompts in one document, which has to stay small enough to be loaded again."""

_ALL_CITATIONS = 600
_MAX_RAW = 16_000
_ALL_RAW = 768 * 1024


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
    answers: Sequence[Combined], *, name: str | None = None, threshold: float | None = None
) -> FairnessSpec:
    """The document: of one answer its target; of several a context for each prompt, uniform for all others.

    Args:
        answers: to questions on one scale, from one model.
        name: lower case, digits, dots and dashes; by default from the prompt.
        threshold: see `conclude`.

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
            "name": name or slug(asked.question.prompt if len(answers) == 1 else "prompts", 64) or "llm",
            "version": 1,
            "scale": asked.question.scale,
            "source": "llm",
            "declared_by": _declared_by(asked.endpoint.model, contexts),
            "declared_on": date.today(),
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


def citations_kept(prompts: int) -> int:
    """How many citations a prompt's target keeps in a document of so many prompts."""
    return max(1, min(MAX_CITATIONS, _ALL_CITATIONS // max(prompts, 1)))
