"""A pipeline's denoiser: where it is, what is called beside it, and what one call of it is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from fairgen.errors import UserError

Arguments = dict[str, Any]
"""``{"args": tuple, "kwargs": dict}`` of one call of a module."""

_DENOISERS = ("unet", "transformer", "prior", "decoder")
_BESIDE = ("controlnet", "transformer_2")
_TIMES = ("timestep", "timesteps", "t", "timestep_ratio", "r", "timestep_r", "timestep_img")
_BY_ROWS = (
    "UNet2DConditionModel",
    "SD3Transformer2DModel",
    "PixArtTransformer2DModel",
    "SanaTransformer2DModel",
)
"""Denoisers whose arguments all have the batch as their first axis, so that some rows can be evaluated."""
_PLAIN_PROCESSORS = {
    "AttnProcessor",
    "AttnProcessor2_0",
    "JointAttnProcessor2_0",
    "SanaAttnProcessor2_0",
    "SanaLinearAttnProcessor2_0",
}
"""Others, such as those of perturbed-attention guidance, look at several rows at once or remember them."""


def denoiser(pipe: Any) -> Any:
    """The module that is called at every step; None where the pipeline has none of its own, or a first and a
    second stage that both read the text (UnCLIP).
    """
    found = {name: m for name in _DENOISERS if _is_module(m := getattr(pipe, name, None))}
    return None if {"prior", "decoder"} <= set(found) else next(iter(found.values()), None)


def _is_module(value: Any) -> bool:
    import torch

    return isinstance(value, torch.nn.Module)


def modules_of(pipe: Any) -> dict[str, Any]:
    """The denoiser under its name, and modules that are called beside it with the same text."""
    names = [name for name in _DENOISERS if _is_module(getattr(pipe, name, None))][:1]
    names += [name for name in _BESIDE if _is_module(getattr(pipe, name, None))]
    return {name: getattr(pipe, name) for name in names}


def altered(module: Any) -> str | None:
    """What counts a denoiser's calls and reuses what it computed before; None where nothing does."""
    inside = bare(module)
    for inner in inside.modules():
        registry = getattr(inner, "_diffusers_hook", None)
        for name in getattr(registry, "hooks", {}):
            if any(word in name for word in ("cache", "fbc", "broadcast", "taylor", "teacache")):
                return "its cache (enable_cache)"
    if "forward" in vars(inside) and not hasattr(inside, "_hf_hook"):
        return "what has replaced its forward method (DeepCache?)"
    return None


def by_rows(module: Any) -> bool:
    """Whether some rows of a batch can be evaluated alone: they look at no other row."""
    inside = bare(module)
    if type(inside).__name__ not in _BY_ROWS:
        return False
    return {type(each).__name__ for each in inside.attn_processors.values()} <= _PLAIN_PROCESSORS


def bare(module: Any) -> Any:
    """The module inside torch.compile's."""
    return getattr(module, "_orig_mod", module)


def eager(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps torch.compile from looking into a hook."""
    import torch

    disable: Callable[[Callable[..., Any]], Callable[..., Any]] = torch.compiler.disable
    return disable(hook)


def snapshot(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """A call's arguments with lists of its own: UNets take residuals out of those that they are given."""
    return {
        "args": tuple(list(v) if isinstance(v, list) else v for v in args),
        "kwargs": {name: list(v) if isinstance(v, list) else v for name, v in kwargs.items()},
    }


def time_of(module: Any, call: Arguments) -> float | None:
    """The timestep that a denoiser is called with.

    Raises:
        UserError: there are several, which belong to several steps.
    """
    import torch

    names = list(inspect.signature(type(bare(module)).forward).parameters)[1:]
    given = dict(zip(names, call["args"], strict=False)) | call["kwargs"]
    value = next((given[name] for name in _TIMES if given.get(name) is not None), None)
    if value is None:
        return None
    if not isinstance(value, torch.Tensor):
        return float(value)
    times = value.flatten().tolist()
    if value.ndim == 1 and len(set(times)) > 1:
        raise UserError(
            f"{type(bare(module)).__name__} is called for several steps at once, so steering can neither "
            "begin nor end between two: use embedding steering with start=0, stop=1."
        )
    return float(times[0])
