"""What a pipeline gives its denoiser first, for plain and for toned prompts.

The pipeline itself prepares it: its own call is begun, and stopped where it first calls the denoiser.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairgen.errors import UserError
from fairgen.steering.conditioning import Blend, leaves, replaced
from fairgen.steering.denoiser import Arguments, eager, modules_of, snapshot
from fairgen.steering.layout import differ


class _StopError(Exception):
    """The first call of the denoiser has been seen."""


def first_calls(pipe: Any, begin: Callable[[], Any]) -> dict[str, Arguments]:
    """What the denoiser, and modules called before it, are given first when the pipeline is called by
    ``begin``; that call is stopped there.
    """
    modules = modules_of(pipe)
    main = next(iter(modules))
    thread = threading.get_ident()
    seen: dict[str, Arguments] = {}

    def watch(name: str) -> Callable[..., None]:
        def before(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() != thread:
                return
            seen.setdefault(name, snapshot(args, kwargs))
            if name == main:
                raise _StopError

        return eager(before)

    bar = vars(pipe).get("_progress_bar_config")
    with contextlib.ExitStack() as stack:
        for name, module in modules.items():
            hook = module.register_forward_pre_hook(watch(name), with_kwargs=True, prepend=True)
            stack.enter_context(hook)
        pipe._progress_bar_config = {**(bar or {}), "disable": True}
        if bar is None:
            stack.callback(delattr, pipe, "_progress_bar_config")
        else:
            stack.callback(setattr, pipe, "_progress_bar_config", bar)
        with contextlib.suppress(_StopError):
            begin()
    if main not in seen:
        raise UserError(f"{type(pipe).__name__} was called without a call of its {main}: nothing to steer.")
    return seen


@contextlib.contextmanager
def same_noise(generator: Any) -> Iterator[None]:
    """What is drawn inside does not count: the generators (None: torch's own) go on from where they were."""
    import torch

    given = generator if isinstance(generator, list | tuple) else [generator]
    generators = [one for one in given if one is not None]
    states = [one.get_state() for one in generators]
    used: Callable[[], bool] = torch.cuda.is_initialized
    devices = range(torch.cuda.device_count()) if used() else ()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for one, state in zip(generators, states, strict=True):
            one.set_state(state)


def mixed_calls(
    pipe: Any, variants: Mapping[int | None, Mapping[str, Arguments]], blends: Sequence[Blend]
) -> dict[str, Arguments]:
    """The arguments for each picture's own blend, from those of calls with one anchor's words throughout
    (None: the plain prompts).
    """
    count = len(blends)
    made: dict[str, Arguments] = {}
    for name, plain in variants[None].items():
        changes = {}
        toned = {
            anchor: dict(leaves(calls[name])) for anchor, calls in variants.items() if anchor is not None
        }
        for path, value in leaves(plain):
            others = {anchor: found.get(path) for anchor, found in toned.items()}
            if not any(differ(value, other) for other in others.values()):
                continue
            if any(getattr(o, "shape", None) != getattr(value, "shape", None) for o in others.values()):
                raise UserError(
                    f"{type(pipe).__name__} cannot be steered: it encodes longer prompts to more tokens, and "
                    "these cannot be mixed. --steering prompt works with it."
                )
            if not hasattr(value, "shape") or not value.ndim or value.shape[0] % count:
                raise UserError(
                    f"{type(pipe).__name__} cannot be steered: its text does not stand in rows, one for each "
                    "picture. --steering prompt works with it."
                )
            changes[path] = _mixed_rows(value, others, blends)
        made[name] = replaced(plain, changes)
    return made


def _mixed_rows(value: Any, others: Mapping[int, Any], blends: Sequence[Blend]) -> Any:
    new = value.contiguous().clone()
    for row in range(len(value)):
        blend = blends[row % len(blends)]
        toned = {anchor: others[anchor][row] for anchor in blend.anchors}
        if any(differ(value[row], other) for other in toned.values()):
            new[row] = blend.mix(value[row], toned)
    return new
