"""Whether steering acted: each picture against the one that the toned prompt makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fairgen.steering.guidance import ToneGuidance
from tests.doubles import text_to_image as t2i

PROMPT = "a portrait of a doctor"
DARK = f"{PROMPT} with very dark skin"


def as_toned(
    pipe: Any,
    call: Callable[[str], torch.Tensor],
    *,
    exact: float = 1e-3,
    unlike: torch.Tensor | None = None,
    **given: Any,
) -> None:
    """Two pictures of one prompt: strength 0 is the plain one bit for bit, and 1 the toned prompt's.

    Args:
        call: prompt -> the two pictures.
        exact: largest difference, as a share of what the tone words change.
        unlike: the plain pictures without what the call is combined with, which must change them.
        given: to `ToneGuidance`.
    """
    with ToneGuidance(pipe, strength=[0.0, 1.0], **given):
        steered = call(PROMPT)
    plain, toned = call(PROMPT), call(DARK)
    effect = float((toned[1] - plain[1]).abs().max())
    assert effect > 0, "the tone words change nothing: the test is wrong"
    if unlike is not None:
        assert not torch.allclose(plain, unlike, rtol=1e-3, atol=1e-3), "what is combined changes nothing"
    assert torch.equal(steered[0], plain[0])
    assert float((steered[1] - toned[1]).abs().max()) <= exact * effect


def acts(
    pipe: Any,
    name: str = "StableDiffusionPipeline",
    technique: str = "embedding",
    unlike: torch.Tensor | None = None,
    **more: Any,
) -> None:
    """The same for a pipeline of `text_to_image`, called with ``more``."""

    def call(prompt: str) -> torch.Tensor:
        made: torch.Tensor = t2i.sample(name, pipe, [prompt] * 2, **more)
        return made

    as_toned(pipe, call, technique=technique, unlike=unlike)
