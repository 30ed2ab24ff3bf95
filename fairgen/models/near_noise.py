"""Variations of one picture: sampling begins near the noise that the picture began with."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Iterator, Sequence
from typing import Any

from fairgen.errors import UserError
from fairgen.runs import ModelInfo

SHARE = 0.4
"""Of new noise, in standard deviations: about a quarter of the way round to noise that has nothing in common
with the old one. Less leaves nothing to choose from, more another person.
"""


def check_varies(pipe: Any, given: Sequence[str] = ()) -> None:
    """Raise `UserError` where a pipeline's pictures do not begin with noise that can be drawn near by.

    Args:
        pipe: the pipeline, or its class.
        given: names of what else it is called with.
    """
    kind = pipe if isinstance(pipe, type) else type(pipe)
    prepare = getattr(kind, "prepare_latents", None)
    if prepare is None or "generator" not in inspect.signature(prepare).parameters:
        raise UserError(f"{kind.__name__} draws its noise in a way of its own: leave --vary out.")
    if any("image" in name and "ip_adapter" not in name for name in given):
        raise UserError("A picture that begins with another picture cannot be varied: leave --vary out.")


def varies(model: ModelInfo) -> bool:
    """Whether pictures of a recorded model can be varied: it takes seeds, and `check_varies` accepts it."""
    import diffusers

    kind = getattr(diffusers, model.pipeline, None)
    if not model.seeded or not isinstance(kind, type):
        return False
    try:
        check_varies(kind, list(model.arguments))
    except UserError:
        return False
    return True


@contextlib.contextmanager
def near_noise(pipe: Any, seeds: Sequence[int]) -> Iterator[None]:
    """Within the block, pictures begin near the noise of the last of ``seeds``; without any, with their own.

    sqrt(1 - s^2) times the one noise and s times another, independent one are again normal noise of the same
    variance, whatever the shape of the latents and however a scheduler scales them.

    Args:
        pipe: what `check_varies` accepts. Only this instance is changed, and as it was afterwards.
        seeds: of the picture; before it, of the one that it was itself a variation of, and so on.
    """
    if not seeds:
        yield
        return
    prepare = pipe.prepare_latents
    signature = inspect.signature(prepare)

    def drawn_near(*args: Any, **given: Any) -> Any:
        bound = signature.bind(*args, **given)
        own = bound.arguments["generator"]
        made = prepare(*bound.args, **bound.kwargs)
        noise: Any = None
        for seed in seeds:
            bound.arguments["generator"] = _again(own, seed)
            noise = _mixed(noise, _latents(prepare(*bound.args, **bound.kwargs)))
        noise = _mixed(noise, _latents(made))
        return (noise, *made[1:]) if isinstance(made, tuple) else noise

    pipe.prepare_latents = drawn_near
    try:
        yield
    finally:
        del pipe.prepare_latents


def _again(own: Any, seed: int) -> Any:
    """As many generators as the pictures have, all at the beginning of ``seed``."""
    import torch

    if isinstance(own, list):
        return [torch.Generator("cpu").manual_seed(seed) for _ in own]
    return torch.Generator("cpu").manual_seed(seed)


def _latents(made: Any) -> Any:
    return made[0] if isinstance(made, tuple) else made


def _mixed(old: Any, new: Any) -> Any:
    return new if old is None else math.sqrt(1 - SHARE**2) * old + SHARE * new
