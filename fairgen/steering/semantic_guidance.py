"""Semantic guidance: what the denoiser would do for the toned prompt, less what it does for the plain one."""

from __future__ import annotations

from typing import ClassVar

from fairgen.steering.continuous import ContinuousTechnique


class SemanticGuidance(ContinuousTechnique):
    """``eps(x, P) -> eps(x, P) + (eps(x, T(s)) - eps(x, P))`` in the conditional rows.

    Signed strength in [-1.3, 1.3], light -> dark. Whatever a pipeline makes of conditional and unconditional
    rows afterwards (guidance of any scale, rescaled, in one call or two), the result is what it would make
    for the toned prompt alone, whether the model predicts noise, velocity or flow. One further evaluation of
    the conditional rows a step: 1.5x while it acts with classifier-free guidance, 2x without, and for
    denoisers whose rows fairgen does not know how to take apart.

    Source: semantic guidance (Brack et al., arXiv 2301.12247), with one term and no threshold. There the
    term is added to the guided prediction, scaled by the guidance; added to the conditional rows, guidance
    scales it itself.
    """

    name: ClassVar[str] = "semantic"
