"""The contract of a steering technique, and the rule for prompts that already name a skin tone.

A technique turns a prompt and the class wanted for each picture of a round into what the model is called
with. It touches neither weights nor diffusers' code. A technique keeps what it learnt from earlier pictures
(`Technique.observe`), so use a fresh one for each session when the same seed shall give the same pictures.

Techniques with a continuous effect take a signed ``strength`` (0 = off, above 0 darker, below 0 lighter) and
act between ``start`` and ``stop``, fractions of the sampling steps in 0-1, as in diffusers' guiders; they
report them in `parameters`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from skin_tone import ToneReading


@dataclass(frozen=True)
class Steered:
    """What one picture is to be sampled with."""

    prompt: str
    wanted: str
    """Class of the session's scale."""
    word: str | None = None
    """The tone word in the prompt, where the technique uses words."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What else was done, for the run file; JSON values only."""
    strength: float = 0.0
    """For techniques with a continuous effect; 0 leaves the picture as it is."""


@dataclass(frozen=True)
class Steering:
    """How a technique acts inside sampling: its name, and between which fractions of the steps."""

    technique: str
    start: float = 0.0
    stop: float = 1.0
    anchors: tuple[tuple[float, str], ...] | None = None
    """The path of tones, strength -> tone words; None: the usual one
    (`fairgen.steering.conditioning.ANCHORS`).
    """


class Technique(ABC):
    """One way to steer. Subclasses live one a file and document formula, ranges and paper."""

    name: ClassVar[str]

    @abstractmethod
    def steer(self, prompt: str, wanted: Sequence[str]) -> list[Steered]:
        """One `Steered` for each wanted class, in that order."""

    @abstractmethod
    def prompts(self, prompt: str) -> list[str]:
        """Every prompt that `steer` may send for this one, so that it can be checked beforehand (length)."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What the technique was set to, as JSON values, for the run file."""

    @property
    def steering(self) -> Steering | None:
        """How it acts inside sampling; None for a technique of words alone."""
        return None

    def observe(self, steered: Steered, reading: ToneReading) -> None:  # noqa: B027
        """Told for every picture in which a tone was read.

        A technique that learns nothing leaves this as it is.
        """

    def expected(self) -> Mapping[str, Mapping[str, float]] | None:
        """Class asked for -> class -> probability of reading it, where the technique knows beforehand."""
        return None

    def stays_off(self, prompt: str) -> str | None:
        """A sentence why this prompt must not be steered, or None."""
        named = named_tone(prompt)
        if named is None:
            return None
        return f"The prompt already names a skin tone ({named!r}), so steering stays off."


# Words that describe light or dark skin; they count only beside "skin", "complexion" or the like: "brown
# hair" names no skin tone.
_ADJECTIVE = (
    r"(?:fair(?:er|est)?|pale(?:r|st)?|light(?:er|est)?|white|ivory|porcelain|alabaster|peach|rosy|pink"
    r"|beige|cream(?:y)?|olive|tan(?:ned|ner)?|golden|honey|caramel|bronze[d]?|medium|brown|chestnut|mocha|chocolate"
    r"|cocoa|coffee|ebony|dark(?:er|est)?|deep(?:er|est)?|black|dusky|swarthy|sallow|yellow(?:ish)?)"
)
_SKIN = r"(?:skin(?:ned)?|complexion(?:ed)?|skin[- ]?(?:tone[ds]?|colou?r(?:ed)?))"
_PERSON = (
    r"(?:m[ae]n|wom[ae]n|persons?|people|males?|females?|boys?|girls?|guys?|lad(?:y|ies)|gentlem[ae]n"
    r"|child(?:ren)?|kids?|faces?)"
)
_PATTERNS = [
    # "dark skin", "light-skinned", "very fair and smooth skin", "olive complexion"
    rf"{_ADJECTIVE}(?:[\s-]+(?:and[\s-]+)?\w+){{0,1}}[\s-]+{_SKIN}",
    # "skin is dark", "skin tone: brown", "skin color of deep ebony"
    rf"{_SKIN}(?:\s+(?:tone|colou?r))?\s*(?:[:=]|\b(?:is|of|as|that\s+is)\b)\s*(?:\w+\s+)?{_ADJECTIVE}",
    # "black man", "white woman", "brown person": the colour words that are said of people
    rf"(?:black|white|brown)[\s-]+(?:\w+[\s-]+)?{_PERSON}",
    # scales that are tones by themselves
    r"(?:monk(?:\s+(?:skin\s+tone|scale))?\s*\d+|fitzpatrick(?:\s+(?:type|scale))?\s*(?:\d|[iv]+))",
    # words that mean a skin tone wherever they stand
    r"(?:swarthy|(?:dark|fair)[- ]?complected|albino|melanin[- ]rich|sun[- ]?tanned)",
]
_NAMED_TONE = re.compile(r"\b(?:" + "|".join(_PATTERNS) + r")\b", re.IGNORECASE)


def named_tone(prompt: str) -> str | None:
    """The words of the prompt that name a skin tone, or None.

    Found: a tone word beside "skin", "skinned", "complexion" or "skin tone"; black, white or brown said of a
    person; a few words that mean a tone by themselves ("swarthy", "Monk 7"). Not taken for a tone: colours of
    other things ("brown hair", "black coat", "tan suit"), skin without a tone ("a skin doctor"), and words
    for nationality, ethnicity or race, which name no tone.
    """
    match = _NAMED_TONE.search(prompt)
    return match.group(0) if match else None
