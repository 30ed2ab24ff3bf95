"""One pipeline class each: how it is built and called; the table of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

STEPS = 2


@dataclass(frozen=True)
class Case:
    """One pipeline class.

    Attributes:
        build: makes the components, by the names of the pipeline's own arguments.
        call: what it is called with, beside prompt and generator.
        guided: further arguments that switch guidance on, with a negative prompt where it takes one; None:
            it knows no guidance.
        plain: further arguments that switch guidance off.
        one: it takes one prompt at a time.
        single: arguments that are given once, even for several prompts, where most take a list.
        each: arguments that are given once for each prompt.
        one_seed: it takes one generator only, for the whole batch.
        shrunk: attributes of the pipeline that are set to less than its own, so that it stays small.
    """

    build: Callable[[], dict[str, Any]]
    call: dict[str, Any] = field(default_factory=dict)
    guided: dict[str, Any] | None = None
    plain: dict[str, Any] | None = None
    one: bool = False
    single: tuple[str, ...] = ()
    each: tuple[str, ...] = ()
    one_seed: bool = False
    shrunk: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, Case] = {}


def case(*names: str, **given: Any) -> Callable[[Callable[[], dict[str, Any]]], Callable[[], dict[str, Any]]]:
    """Registers a builder for some classes that are called alike."""

    def register(build: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        for name in names:
            CASES[name] = Case(build, **given)
        return build

    return register


def sample(name: str, pipe: Any, prompts: Any, count: int | None = None, **more: Any) -> Any:
    """The pictures (latents) of a call, a seed for each; ``count``: how many there are."""
    import inspect

    import torch
    from numpy import array

    known = CASES[name]
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    takes = inspect.signature(type(pipe).__call__).parameters
    given = {"output_type": "latent"} | known.call | more
    if "num_inference_steps" in takes:
        given = {"num_inference_steps": STEPS} | given
    negative = given.get("negative_prompt")
    if isinstance(negative, str) and not known.one and "negative_prompt" not in known.single:
        given["negative_prompt"] = [negative] * len(texts)
    for argument in known.each:
        given[argument] = [given[argument]] * len(texts)
    torch.manual_seed(0)  # not all noise comes from the generators
    seeds = [torch.Generator().manual_seed(seed) for seed in range(count or len(texts))]
    result = pipe(
        prompt=texts[0] if known.one else texts,
        generator=seeds[0] if known.one or known.one_seed else seeds,
        **given,
    )
    found = next(getattr(result, key) for key in ("images", "image") if hasattr(result, key))
    if isinstance(found, list):
        found = torch.stack([torch.as_tensor(one if hasattr(one, "shape") else array(one)) for one in found])
    return torch.as_tensor(found).float()


def make(name: str) -> Any:
    """The pipeline, the same weights each time."""
    import diffusers
    import torch

    torch.manual_seed(0)
    return built(getattr(diffusers, name), CASES[name].build(), CASES[name].shrunk)


def built(kind: Any, parts: dict[str, Any], shrunk: dict[str, Any]) -> Any:
    """A pipeline of a class that is made of these parts, or of some of them."""
    import inspect

    known = inspect.signature(kind.__init__).parameters
    pipe = ready(kind(**{key: value for key, value in parts.items() if key in known}))
    for attribute, value in shrunk.items():
        setattr(pipe, attribute, value)
    return pipe


def ready(pipe: Any) -> Any:
    """The pipeline, in use: no layer keeps the text out."""
    import torch

    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
            for weight in part.parameters():
                if weight.ndim > 1 and not weight.any():  # begun at zero: no text would come through
                    torch.nn.init.normal_(weight, std=0.2)
    pipe.set_progress_bar_config(disable=True)
    return pipe


GUIDED = {"guidance_scale": 4.0, "negative_prompt": "a blurry photo"}
UNGUIDED = {"guidance_scale": 1.0}
SMALL = {"height": 16, "width": 16}
