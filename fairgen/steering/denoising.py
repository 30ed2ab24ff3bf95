"""Steers between two steps, at the denoiser: what it is given for the toned prompts is put in place of what
it is given for the plain ones.

The pipeline itself prepares both: its call is begun with the toned prompts and stopped where it first calls
the denoiser (`first_calls`). Arguments that differ from those of the plain call are the text. The hooks act
for one pipeline's call in one thread, whoever else shares the module.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fairgen.errors import UserError
from fairgen.steering.conditioning import Blend, Path, leaves, replaced
from fairgen.steering.encoding import LENGTH_MATTERS

if TYPE_CHECKING:
    import torch

Arguments = dict[str, Any]
"""``{"args": tuple, "kwargs": dict}`` of one call of a module."""

_DENOISERS = ("unet", "transformer", "prior", "decoder")
_BESIDE = ("controlnet", "transformer_2")
_TIMES = ("timestep", "timesteps", "t", "timestep_ratio", "r", "timestep_r")
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
_NOT_BY_ROWS = ("cross_attention_kwargs", "joint_attention_kwargs", "attention_kwargs")


class _StopError(Exception):
    """The first call of the denoiser has been seen."""


def denoiser(pipe: Any) -> Any:
    """The module that is called at every step; None where the pipeline has none of its own."""
    return next((m for name in _DENOISERS if _is_module(m := getattr(pipe, name, None))), None)


def _is_module(value: Any) -> bool:
    import torch

    return isinstance(value, torch.nn.Module)


def _modules(pipe: Any) -> dict[str, Any]:
    """The denoiser under its name, and modules that are called beside it with the same text."""
    names = [name for name in _DENOISERS if _is_module(getattr(pipe, name, None))][:1]
    names += [name for name in _BESIDE if _is_module(getattr(pipe, name, None))]
    return {name: getattr(pipe, name) for name in names}


def first_calls(pipe: Any, begin: Callable[[], Any]) -> dict[str, Arguments]:
    """What the denoiser, and modules called before it, are given first when the pipeline is called by
    ``begin``; that call is stopped there.
    """
    modules = _modules(pipe)
    main = next(iter(modules))
    thread = threading.get_ident()
    seen: dict[str, Arguments] = {}

    def watch(name: str) -> Callable[..., None]:
        def before(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() != thread:
                return
            seen.setdefault(name, _snapshot(args, kwargs))
            if name == main:
                raise _StopError

        return _eager(before)

    bar = vars(pipe).get("_progress_bar_config")
    with contextlib.ExitStack() as stack:
        for name, module in modules.items():
            handle = module.register_forward_pre_hook(watch(name), with_kwargs=True, prepend=True)
            stack.callback(handle.remove)
        pipe._progress_bar_config = {**(bar or {}), "disable": True}
        stack.callback(_put_bar_back, pipe, bar)
        with contextlib.suppress(_StopError):
            begin()
    if main not in seen:
        raise UserError(f"{type(pipe).__name__} was called without a call of its {main}: nothing to steer.")
    return seen


def _put_bar_back(pipe: Any, bar: Any) -> None:
    if bar is None:
        del pipe._progress_bar_config
    else:
        pipe._progress_bar_config = bar


def _eager(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps torch.compile from looking into a hook."""
    import torch

    disable: Callable[[Callable[..., Any]], Callable[..., Any]] = torch.compiler.disable
    return disable(hook)


@contextlib.contextmanager
def same_noise(generator: Any) -> Iterator[None]:
    """What is drawn inside does not count: the generators (None: torch's own) go on from where they were."""
    import torch

    generators = generator if isinstance(generator, list | tuple) else [generator]
    states = [g.get_state() for g in generators if g is not None]
    used: Callable[[], bool] = torch.cuda.is_initialized
    devices = range(torch.cuda.device_count()) if used() else ()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for one, state in zip([g for g in generators if g is not None], states, strict=True):
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
            if not any(_differ(value, other) for other in others.values()):
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
        if any(_differ(value[row], other) for other in toned.values()):
            new[row] = blend.mix(value[row], toned)
    return new


class Denoising:
    """Hooks on a pipeline's denoiser for one call of the pipeline.

    Args:
        toned: what the denoiser is given first for the toned prompts (`first_calls`).
        start, stop: fractions of the steps between which it acts.
        semantic: evaluate the denoiser for the toned prompts too, and take the difference (see
            `fairgen.steering.semantic_guidance`), instead of replacing what it is given.
    """

    def __init__(
        self, pipe: Any, toned: Mapping[str, Arguments], start: float, stop: float, *, semantic: bool
    ) -> None:
        self._pipe = pipe
        self._toned = toned
        self._start, self._stop = start, stop
        self._semantic = semantic
        self._modules = _modules(pipe)
        self._main = next(iter(self._modules))
        self._by_rows = _by_rows(self._modules[self._main])
        if semantic:
            self._refuse_semantic()
        self._thread = threading.get_ident()
        self._handles: list[Any] = []
        self._text: dict[str, dict[Path, tuple[Any, Any]]] = {}
        self._put: dict[tuple[str, Path], tuple[Any, Any]] = {}
        self._seen: list[float] = []
        self._acted: list[bool] = []
        self._inside = False
        self._changes: dict[Path, Any] = {}
        self._call: Arguments = {}

    def _refuse_semantic(self) -> None:
        name, module = type(self._pipe).__name__, self._modules[self._main]
        if "controlnet" in self._modules:
            raise UserError(
                f"Semantic steering does not reach the controlnet of {name}: use embedding steering."
            )
        reason = altered(module)
        if reason is not None:
            raise UserError(
                f"Semantic steering evaluates the denoiser of {name} once more in each step, which {reason} "
                "would take for a step of its own: switch it off, or use embedding steering."
            )

    def __enter__(self) -> Self:
        for name, module in self._modules.items():
            before = _eager(self._watcher(name))
            self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True, prepend=True))
        if self._semantic:
            after = _eager(self._after)
            main = self._modules[self._main]
            self._handles.append(main.register_forward_hook(after, with_kwargs=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if value is None and self._acted and not all(self._acted):
            raise UserError(self._unknown())

    def _unknown(self) -> str:
        return (
            f"What the denoiser of {type(self._pipe).__name__} is given for the prompt was changed while it "
            "sampled, so steering could not act in every step: leave out what changes it, or steer with "
            "start=0, stop=1."
        )

    def _mine(self) -> bool:
        return not self._inside and threading.get_ident() == self._thread

    def _watcher(self, name: str) -> Callable[..., Any]:
        def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not self._mine():
                return None
            call = _snapshot(args, kwargs)
            progress = self._progress(module, call)
            self._learn(name, call)
            if not self._start <= progress < self._stop:
                return None
            if not self._acted:
                self._acted.append(False)
            changes = self._substitutes(name, call)
            if changes and name == self._main:
                self._acted[-1] = True
            if self._semantic:
                if name == self._main:
                    self._changes, self._call = changes, call
                return None
            new = replaced(call, changes)
            return tuple(new["args"]), new["kwargs"]

        return before

    def _progress(self, module: Any, call: Arguments) -> float:
        """Which share of the steps is done, 0 at the first."""
        import torch

        value = _time(module, call)
        if value is None:  # a denoiser that is told no time: every call of it is a step
            value = len(self._seen) + float(module is not self._modules[self._main])
        if not self._seen or self._seen[-1] != value:
            if self._acted and not self._acted[-1]:
                raise UserError(self._unknown())
            self._acted = []
            self._seen.append(value)
        planned = getattr(self._pipe.scheduler, "timesteps", None)
        steps = len(self._seen) if planned is None else len(torch.unique(torch.as_tensor(planned)))
        # Some schedulers list a last timestep at which nothing is predicted (SCM); others list one twice.
        steps = min(steps, getattr(self._pipe, "num_timesteps", None) or steps)
        return (len(self._seen) - 1) / max(1, steps)

    def _learn(self, name: str, call: Arguments) -> None:
        """Where the text stands: what differs between the first plain call and the toned one."""
        if name in self._text:
            return
        if name not in self._toned:  # a second denoiser, which takes over later
            self._text[name] = dict(self._text.get(self._main, {}))
            return
        plain, toned = dict(leaves(call)), dict(leaves(self._toned[name]))
        # A mask may be there for one of them only: where nothing is padded, pipelines pass none.
        self._text[name] = {
            path: (plain.get(path), toned.get(path))
            for path in [*plain, *(path for path in toned if path not in plain)]
            if _differ(plain.get(path), toned.get(path))
        }
        for value, new in self._text[name].values():
            long = getattr(value, "shape", None) != getattr(new, "shape", None)
            if long and value is not None and new is not None and type(self._pipe).__name__ in LENGTH_MATTERS:
                raise UserError(
                    f"{type(self._pipe).__name__} cannot change the length of its text between two steps: "
                    "use embedding steering with start=0, stop=1."
                )
        if name == self._main and not self._text[name]:
            raise UserError(
                f"{type(self._pipe).__name__} gives its denoiser the same for the prompt and the toned "
                "prompts at first, so it cannot be steered between two steps: use start=0, stop=1."
            )

    def _substitutes(self, name: str, call: Arguments) -> dict[Path, Any]:
        """The toned values for whatever stands there for the plain prompts."""
        here = dict(leaves(call))
        changes: dict[Path, Any] = {}
        added: dict[Path, Any] = {}
        for path, (plain, toned) in self._text[name].items():
            value = here.get(path)
            if value is None or plain is None:
                if value is None and plain is None:
                    added[path] = toned
                continue
            last = self._put.get((name, path))
            if last is None or last[0] is not value:
                last = (value, _in_place_of(value, plain, toned))
                self._put[name, path] = last
            if last[1] is not None:
                changes[path] = last[1]
        if changes:
            changes |= added
        return changes

    def _after(self, module: Any, _args: Any, _kwargs: Any, output: Any) -> Any:
        if not self._mine() or not self._changes:
            return None
        import torch

        call = self._call
        sample = _prediction(output)
        rows = self._changed_rows(call, len(sample))
        some = self._by_rows and len(rows) < len(sample)
        some = some and not any(call["kwargs"].get(name) for name in _NOT_BY_ROWS)
        new = replaced(call, self._changes)
        if some:
            new = _rows_of(new, torch.tensor(rows, device=sample.device), len(sample))
        self._inside = True
        try:
            with torch.no_grad():
                toned = _prediction(module(*new["args"], **new["kwargs"]))
        finally:
            self._inside = False
        changed = sample.clone() if isinstance(sample, torch.Tensor) else list(sample)
        for place, row in enumerate(rows):
            changed[row] = toned[place if some else row]
        if isinstance(output, torch.Tensor):
            return changed
        if isinstance(output, tuple):
            return (changed, *output[1:])
        output[next(iter(output))] = changed
        return output

    def _changed_rows(self, call: Arguments, batch: int) -> list[int]:
        """Rows of the batch whose text changes."""
        here = dict(leaves(call))
        found: set[int] = set()
        for path, new in self._changes.items():
            old = here.get(path)
            if (
                old is None
                or not hasattr(old, "shape")
                or new is None
                or old.shape != new.shape
                or old.shape[:1] != (batch,)
            ):
                return list(range(batch))
            found |= {row for row in range(batch) if _differ(old[row], new[row])}
        return sorted(found)


def _prediction(output: Any) -> Any:
    """What a denoiser predicts, a row or an entry of a list for each of the batch."""
    return output if hasattr(output, "shape") else output[0]


def altered(module: Any) -> str | None:
    """What counts a denoiser's calls and reuses what it computed before; None where nothing does."""
    bare = _bare(module)
    for inner in bare.modules():
        registry = getattr(inner, "_diffusers_hook", None)
        for name in getattr(registry, "hooks", {}):
            if any(word in name for word in ("cache", "fbc", "broadcast", "taylor", "teacache")):
                return "its cache (enable_cache)"
    if "forward" in vars(bare) and not hasattr(bare, "_hf_hook"):
        return "what has replaced its forward method (DeepCache?)"
    return None


def _by_rows(module: Any) -> bool:
    """Whether some rows of a batch can be evaluated alone: they look at no other row."""
    bare = _bare(module)
    if type(bare).__name__ not in _BY_ROWS:
        return False
    return {type(each).__name__ for each in bare.attn_processors.values()} <= _PLAIN_PROCESSORS


def _bare(module: Any) -> Any:
    """The module inside torch.compile's."""
    return getattr(module, "_orig_mod", module)


def _snapshot(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """A call's arguments with lists of its own: UNets take residuals out of those that they are given."""
    return {
        "args": tuple(list(v) if isinstance(v, list) else v for v in args),
        "kwargs": {name: list(v) if isinstance(v, list) else v for name, v in kwargs.items()},
    }


def _time(module: Any, call: Arguments) -> float | None:
    """The timestep that a denoiser is called with."""
    import torch

    names = list(inspect.signature(type(_bare(module)).forward).parameters)[1:]
    given = dict(zip(names, call["args"], strict=False)) | call["kwargs"]
    value = next((given[name] for name in _TIMES if given.get(name) is not None), None)
    if value is None:
        return None
    return float(value.flatten()[0]) if isinstance(value, torch.Tensor) else float(value)


def _in_place_of(value: Any, plain: Any, toned: Any) -> Any:
    """The toned value where ``value`` is the plain one or one block of its rows; else None."""
    import torch

    if toned is None:
        return None
    if not isinstance(value, torch.Tensor) or not isinstance(plain, torch.Tensor):
        return toned if type(value) is type(plain) and value == plain else None
    if value.shape == plain.shape:
        return toned if torch.equal(value, plain) else None
    if value.ndim != plain.ndim or value.shape[1:] != plain.shape[1:] or not len(value):
        return None
    for begin in range(0, len(plain) - len(value) + 1, len(value)):
        block = slice(begin, begin + len(value))
        if torch.equal(value, plain[block]) and _differ(plain[block], toned[block]):
            return toned[block]
    return None


def _rows_of(value: Any, rows: torch.Tensor, batch: int) -> Any:
    """The given rows of every tensor within ``value`` whose first axis is the batch."""
    found = {
        path: leaf[rows]
        for path, leaf in leaves(value)
        if hasattr(leaf, "shape") and leaf.ndim and leaf.shape[0] == batch
    }
    return replaced(value, found)


def _differ(first: Any, second: Any) -> bool:
    import torch

    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return first.shape != second.shape or not torch.equal(first, second)
    if callable(first):
        return False
    return bool(type(first) is not type(second) or first != second)
