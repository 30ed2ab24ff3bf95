"""What techniques with a continuous strength share: a calibrated curve, corrected while a session runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from fairgen.errors import UserError
from fairgen.steering.base import Steered, Steering, Technique
from fairgen.steering.calibration import WORDS_MARGIN, Calibration
from fairgen.steering.prompt_variants import TEMPLATE, with_word
from fairgen.steering.response import LEAST_LIMIT, LIMIT, PromptResponse

if TYPE_CHECKING:
    from skin_tone import ToneReading


class ContinuousTechnique(Technique):
    """Asks for a class by the strength that, by the model's dose-response and this session's pictures, most
    likely gives it. Where the model was found to reach further that way, the words of the path's end stand in
    the prompt too. Subclasses say how the strength acts.

    Args:
        scale: a key of `skin_tone.SCALES`.
        calibration: the model's dose-response for this technique.
        limit: largest strength that is asked for, 0.1-1.3. Less changes a picture less, and reaches fewer
            classes.

    Raises:
        UserError: the limit is out of range.
    """

    name: ClassVar[str]

    def __init__(self, scale: str, calibration: Calibration, limit: float = LIMIT) -> None:
        self.scale = scale
        self.calibration = calibration
        self.limit = check_limit(limit)
        self._response = PromptResponse(calibration.curve, scale, limit)
        worded = calibration.worded
        self._worded = None if worded is None else PromptResponse(worded, scale, limit)

    @property
    def steering(self) -> Steering:
        known = self.calibration
        return Steering(self.name, known.start, known.stop, known.anchors)

    def steer(self, prompt: str, wanted: Sequence[str]) -> list[Steered]:
        made = []
        light, dark = self.calibration.end_words
        for tone in wanted:
            response = self._best(tone)
            strength, chance = response.strength(tone)
            word = (light if strength < 0 else dark) if response is self._worded else None
            detail = {"strength": strength, "chance": round(chance, 3), "offset": round(response.offset, 3)}
            text = prompt if word is None else with_word(prompt, word)
            made.append(Steered(text, tone, word, detail, strength))
        return made

    def _best(self, tone: str) -> PromptResponse:
        """Without words in the prompt, unless with them the class is clearly likelier."""
        if self._worded is None:
            return self._response
        alone, both = self._response.strength(tone)[1], self._worded.strength(tone)[1]
        return self._worded if both > alone + WORDS_MARGIN else self._response

    def prompts(self, prompt: str) -> list[str]:
        toned = [with_word(prompt, word) for _, word in self.calibration.path]
        if self._worded is None:
            return toned
        ends = [with_word(prompt, word) for word in self.calibration.end_words]
        return toned + [with_word(end, word) for end in ends for _, word in self.calibration.path]

    def parameters(self) -> dict[str, Any]:
        known = self.calibration
        told: dict[str, Any] = {
            "start": known.start,
            "stop": known.stop,
            "anchors": [list(anchor) for anchor in known.path],
            "calibration": known.content_hash(),
            "curve": known.curve.model_dump(mode="json"),
        }
        if known.worded is not None:
            told["words"] = {
                "ends": list(known.end_words),
                "template": TEMPLATE,
                "curve": known.worded.model_dump(mode="json"),
            }
        return told | ({"limit": self.limit} if self.limit < LIMIT else {})

    def observe(self, steered: Steered, reading: ToneReading) -> None:
        if reading.ita is None or reading.ita_sigma is None:
            return
        response = self._response if steered.word is None else self._worded
        if response is not None:
            response.observe(steered.strength, reading.ita, reading.ita_sigma)

    def expected(self) -> dict[str, dict[str, float]]:
        """Class asked for -> class -> probability of reading it, as known so far."""
        classes = self._response.scale.classes
        made = {}
        for place, tone in enumerate(classes):
            row = self._best(tone).matrix()[place]
            made[tone] = dict(zip(classes, map(float, row), strict=True))
        return made

    def out_of_reach(self, wanted: Sequence[str]) -> list[str]:
        """Those of the classes that the calibration does not promise."""
        known = self.calibration.reach(self.scale, self.limit)
        return [one.tone for one in known if one.tone in wanted and not one.reached]


def check_limit(limit: float) -> float:
    """The largest strength, if it is one from 0.1 to 1.3. Raises `UserError`."""
    number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if not number or not LEAST_LIMIT <= limit <= LIMIT:
        raise UserError(
            f"The largest strength must be a number from {LEAST_LIMIT} to {LIMIT}, not {str(limit)[:40]!r}."
        )
    return float(limit)
