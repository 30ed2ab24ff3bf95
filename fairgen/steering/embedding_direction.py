"""A path of tones through the text embedding: each picture's prompt embedding is replaced."""

from __future__ import annotations

from typing import ClassVar

from fairgen.steering.continuous import ContinuousTechnique


class EmbeddingDirection(ContinuousTechnique):
    """Signed strength in [-1.3, 1.3], light -> dark; ``start`` is found by calibration, ``stop`` is 1.

    ``e(prompt)`` becomes ``T(s)``, a point between the encodings of toned prompts
    (`fairgen.steering.conditioning.Blend`). No extra cost but the encoding.

    Sources: directions between contrasting prompts in the text embedding are known from weak guidance (CVPR
    2025) and attribute control (Baumann et al., CVPR 2025); the path with anchors, measured strengths for
    each picture of a batch, and the warm-up are ours.
    """

    name: ClassVar[str] = "embedding"
