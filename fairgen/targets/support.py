"""Whether a target that a language model proposed rests on a source that was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairgen.common.text import counted
from fairgen.targets.parts import Citation, Elicitation, Support

__all__ = [
    "citation_state",
    "counted_states",
    "declared_support",
    "is_unsupported",
    "source_and_state",
    "support",
    "support_note",
    "support_text",
]

_STATES = {
    "found": "found on its page",
    "not_found": "not found on its page",
    "unreachable": "on a page that could not be reached",
    "unquoted": "without an address or a quote to look for",
    "unchecked": "that nobody has looked up",
}


def citation_state(citation: Citation) -> str:
    """found, not_found, unreachable, unchecked, or unquoted: there is nothing that a check could look for."""
    if citation.checked == "unchecked" and not (citation.url and citation.quote):
        return "unquoted"
    return citation.checked


def source_and_state(citation: Citation) -> tuple[str, str]:
    """A citation in words: title, publisher and year, as far as they are known; and its state."""
    named = (citation.title, citation.publisher, citation.year)
    state = citation_state(citation).replace("_", " ").replace("unquoted", "nothing to look for")
    return ", ".join(str(part) for part in named if part), state


def counted_states(citations: Sequence[Citation]) -> str:
    """How many citations are in each state: "1 found on its page, 2 that nobody has looked up"; of a single
    one "one that nobody has looked up".
    """
    states = [citation_state(citation) for citation in citations]
    if len(states) == 1:
        return f"one {_STATES[states[0]]}"
    return ", ".join(f"{states.count(state)} {words}" for state, words in _STATES.items() if state in states)


def support(citations: Sequence[Citation]) -> Support:
    """supported where the quote of at least one citation was found on its page, else unsupported."""
    return "supported" if any(citation.checked == "found" for citation in citations) else "unsupported"


def is_unsupported(elicitation: Elicitation | None, citations: Sequence[Citation]) -> bool:
    """Whether a language model proposed these shares and no source for them was found."""
    return support_text(elicitation, citations).startswith("unsupported")


def support_text(elicitation: Elicitation | None, citations: Sequence[Citation]) -> str:
    """ "unsupported: " or "supported: " and why; empty where no model proposed the shares that are used."""
    if elicitation is None or elicitation.fallback:
        return ""
    if not citations:
        return "unsupported: it cites no source"
    word = support(citations)
    cited = "its only citation is" if len(citations) == 1 else f"of {len(citations)} citations,"
    return f"{word}: {cited} {counted_states(citations)}"


def declared_support(spec: Mapping[str, Any], context: int | None) -> str:
    """`support_text` of a target in a document as JSON: of the context with that index, or of the top-level
    one (None). Of a document with contexts the latter also says how many of their targets are unsupported.
    """
    contexts = spec.get("contexts") or []
    if context is not None:
        return _text_of(contexts[context])
    texts = [text for part in contexts if (text := _text_of(part))]
    if not texts:
        return _text_of(spec)
    bad = sum(text.startswith("unsupported") for text in texts)
    of = f"of {counted(len(texts), 'context')} that a language model proposed {bad}"
    found = f"{of} {'is' if bad == 1 else 'are'} unsupported"
    return "; ".join(part for part in (_text_of(spec), found) if part)


def support_note(spec: Mapping[str, Any], context: int | None) -> str | None:
    """A sentence for whoever uses a target, where a language model proposed it and no source was found.

    Args:
        spec: the document as JSON.
        context: index of the context whose target is used; None: the top-level target.
    """
    text = _text_of(spec if context is None else spec["contexts"][context])
    if not text.startswith("unsupported"):
        return None
    return f"The target is what a language model proposed, {text}."


def _text_of(part: Mapping[str, Any]) -> str:
    asked, citations = part.get("elicitation"), part.get("citations") or []
    return support_text(
        Elicitation.model_validate(asked) if asked else None, [Citation.model_validate(c) for c in citations]
    )
