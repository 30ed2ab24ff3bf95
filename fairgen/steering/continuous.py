"""What techniques with a continuous strength share: a calibrated curve, corrected while a session runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from fairgen.steering.base import Steered, Steering, Technique
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.prompt_variants import with_word
from fairgen.steering.response import PromptResponse

if TYPE_CHECKING:
    from fairgen.steering.calibration import Calibration
    from skin_tone import ToneReading


class ContinuousTechnique(Technique):
    """Asks for a class by the strength that, by the model's dose-response and this session's pictures, most
    likely gives it. Subclasses say how the strength acts.

    Args:
        scale: a key of `skin_tone.SCALES`.
        calibration: the model's dose-response for this technique.
    """

    name: ClassVar[str]

    def __init__(self, scale: str, calibration: Calibration) -> None:
        self.scale = scale
        self.calibration = calibration
        self._response = PromptResponse(calibration.curve, scale)

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
        }

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
