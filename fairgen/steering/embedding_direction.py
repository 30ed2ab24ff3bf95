"""A path of tones through the text embedding: each picture's prompt embedding is replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from fairgen.steering.conditioning import Conditioning, Family
from fairgen.steering.continuous import ContinuousTechnique
from fairgen.steering.guidance import Action, Call


class SwapEmbeddings(Action):
    """``e(prompt)`` becomes ``T(s)``, a point between the embeddings of toned prompts
    (`fairgen.steering.conditioning.TonePath`), in the conditional rows. No extra cost but the encoding.

    Sources: directions between contrasting prompts in the text embedding are known from weak guidance (CVPR
    2025) and attribute control (Baumann et al., CVPR 2025); the path with anchors, measured strengths for
    each picture of a batch, and the warm-up are ours.
    """

    uses_callback = True

    def __init__(self, pipe: Any, guidance_scale: float | None = None) -> None:
        """What is done is the same for every pipeline and scale."""

    def before(self, call: Call, text: Sequence[Conditioning], kind: Family) -> None:
        call.arguments = call.toned(text, kind)


class EmbeddingDirection(ContinuousTechnique):
    """Signed strength in [-1.3, 1.3], light -> dark; ``start`` is found by calibration, ``stop`` is 1."""

    name: ClassVar[str] = "embedding"
