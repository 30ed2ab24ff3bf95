"""Tone words added to the prompt: the method of Nizam & Davis, arXiv 2604.21036 (2026), and the baseline for
all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from fairgen.errors import UserError
from fairgen.steering.base import Steered, Technique

if TYPE_CHECKING:
    from skin_tone import ToneReading

TONE_WORDS = ("very fair", "fair", "olive", "tan", "brown", "dark brown", "dark", "very dark")
"""Light -> dark. The embedded model was trained with these eight; other models know them as ordinary
English."""

CLASS_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "ita6": {
        "very_light": ("very fair",),
        "light": ("fair",),
        "intermediate": ("olive",),
        "tan": ("tan",),
        "brown": ("brown", "dark brown"),
        "dark": ("dark", "very dark"),
    },
    "lmd3": {
        "light": ("very fair", "fair"),
        "medium": ("olive", "tan"),
        "dark": ("brown", "dark brown", "dark", "very dark"),
    },
    "monk10": {
        "monk_1": ("very fair",),
        "monk_2": ("very fair", "fair"),
        "monk_3": ("fair",),
        "monk_4": ("fair", "olive"),
        "monk_5": ("olive", "tan"),
        "monk_6": ("tan", "brown"),
        "monk_7": ("brown", "dark brown"),
        "monk_8": ("dark brown", "dark"),
        "monk_9": ("dark", "very dark"),
        "monk_10": ("very dark",),
    },
}
"""Scale -> class (light -> dark) -> the words tried first. Measured tones correct this table while a session
runs."""

MIN_READINGS = 3
GOOD_ENOUGH = 0.5
MARGIN = 0.1


class PromptVariants(Technique):
    """``"<prompt> with <word> skin"``, the word chosen for the wanted class.

    The words of a class take turns. What the model makes of a word is measured: the mean probability of every
    class over the pictures made with it. A word is judged once it has `MIN_READINGS` readings. Then, for a
    wanted class c with own words W:

    1. own words with fewer readings take their turn first;
    2. while the best judged word gives c in less than half of its readings (mean probability below
       `GOOD_ENOUGH`), the next word of the ladder is tried, towards the wanted class;
    3. otherwise the judged words within `MARGIN` of the best mean probability of c take turns (where none
       gives c at all: the one that comes nearest on the scale).

    Sources: the paper's prompt variants for the words; the correction is ours. Probabilities rather than ITA
    means, so that it works on every scale and at the open ends of one.

    Raises `UserError` for a scale without a word table.
    """

    name: ClassVar[str] = "prompt"

    def __init__(self, scale: str) -> None:
        if scale not in CLASS_WORDS:
            known = ", ".join(CLASS_WORDS)
            raise UserError(f"Prompt steering has no words for the scale {scale!r}: use one of {known}.")
        self.scale = scale
        self.words = CLASS_WORDS[scale]
        self._classes = tuple(self.words)
        self._turns: dict[str, int] = dict.fromkeys(self._classes, 0)
        self._readings: dict[str, int] = dict.fromkeys(TONE_WORDS, 0)
        self._sums = {word: dict.fromkeys(self._classes, 0.0) for word in TONE_WORDS}

    def steer(self, prompt: str, wanted: Sequence[str]) -> list[Steered]:
        return [self._steer_one(prompt, tone) for tone in wanted]

    def _steer_one(self, prompt: str, wanted: str) -> Steered:
        candidates = self._candidates(wanted)
        word = candidates[self._turns[wanted] % len(candidates)]
        self._turns[wanted] += 1
        return Steered(with_word(prompt, word), wanted, word)

    def prompts(self, prompt: str) -> list[str]:
        return [with_word(prompt, word) for word in TONE_WORDS]

    def parameters(self) -> dict[str, Any]:
        return {"words": {tone: list(words) for tone, words in self.words.items()}, "template": TEMPLATE}

    def observe(self, steered: Steered, reading: ToneReading) -> None:
        if steered.word is None:
            return
        self._readings[steered.word] += 1
        for tone, share in reading.probabilities[self.scale].items():
            self._sums[steered.word][tone] += share

    def _judged(self, word: str) -> bool:
        return self._readings[word] >= MIN_READINGS

    def _score(self, word: str, wanted: str) -> float:
        return self._sums[word][wanted] / self._readings[word]

    def _position(self, word: str) -> float:
        """Mean place on the scale, 0 (lightest class) ... classes - 1."""
        sums = self._sums[word]
        return sum(place * sums[tone] for place, tone in enumerate(self._classes)) / self._readings[word]

    def _candidates(self, wanted: str) -> Sequence[str]:
        fresh = [word for word in self.words[wanted] if not self._judged(word)]
        if fresh:
            return fresh
        judged = [word for word in TONE_WORDS if self._judged(word)]
        place = self._classes.index(wanted)
        best = max(
            judged, key=lambda word: (round(self._score(word, wanted), 2), -abs(self._position(word) - place))
        )
        if self._score(best, wanted) < GOOD_ENOUGH:
            too_dark = self._position(best) > place
            neighbour = TONE_WORDS.index(best) + (-1 if too_dark else 1)
            if 0 <= neighbour < len(TONE_WORDS) and not self._judged(TONE_WORDS[neighbour]):
                return [TONE_WORDS[neighbour]]
        floor = self._score(best, wanted) - MARGIN
        return [word for word in judged if self._score(word, wanted) >= floor] if floor > 0 else [best]


TEMPLATE = "{prompt} with {word} skin"


def with_word(prompt: str, word: str) -> str:
    """The prompt with the tone word; closing punctuation is dropped so that one phrase results."""
    return TEMPLATE.format(prompt=prompt.strip().rstrip(" .,;:"), word=word)
