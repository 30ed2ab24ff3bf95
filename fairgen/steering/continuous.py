"""What techniques with a continuous strength share: a calibrated curve, corrected while a session runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from fairgen.errors import UserError
from fairgen.steering.base import Steered, Steering, Technique
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.prompt_variants import with_word
from fairgen.steering.response import LEAST_LIMIT, LIMIT, PromptResponse

if TYPE_CHECKING:
    from fairgen.steering.calibration import Calibration
    from skin_tone import ToneReading


class ContinuousTechnique(Technique):
    """Asks for a class by the strength that, by the model's dose-response and this session's pictures, most
    likely gives it. Subclasses say how the strength acts.

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

    @property
    def steering(self) -> Steering:
        return Steering(self.name, self.calibration.start, self.calibration.stop)

    def steer(self, prompt: str, wanted: Sequence[str]) -> list[Steered]:
        made = []
        for tone in wanted:
            strength, chance = self._response.strength(tone)
            detail = {
                "strength": strength,
                "chance": round(chance, 3),
                "offset": round(self._response.offset, 3),
            }
            made.append(Steered(prompt, tone, None, detail, strength))
        return made

    def prompts(self, prompt: str) -> list[str]:
        return [with_word(prompt, word) for _, word in ANCHORS]

    def parameters(self) -> dict[str, Any]:
        return {
            "start": self.calibration.start,
            "stop": self.calibration.stop,
            "anchors": [list(anchor) for anchor in ANCHORS],
            "calibration": self.calibration.content_hash(),
            "curve": self.calibration.curve.model_dump(mode="json"),
        } | ({"limit": self.limit} if self.limit < LIMIT else {})

    def observe(self, steered: Steered, reading: ToneReading) -> None:
        if reading.ita is not None and reading.ita_sigma is not None:
            self._response.observe(steered.strength, reading.ita, reading.ita_sigma)

    def expected(self) -> dict[str, dict[str, float]]:
        """Class asked for -> class -> probability of reading it, as known so far."""
        classes = self._response.scale.classes
        matrix = self._response.matrix()
        return {
            a: dict(zip(classes, map(float, row), strict=True))
            for a, row in zip(classes, matrix, strict=True)
        }


def check_limit(limit: float) -> float:
    """The largest strength, if it is one from 0.1 to 1.3. Raises `UserError`."""
    number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if not number or not LEAST_LIMIT <= limit <= LIMIT:
        raise UserError(
            f"The largest strength must be a number from {LEAST_LIMIT} to {LIMIT}, not {str(limit)[:40]!r}."
        )
    return float(limit)
