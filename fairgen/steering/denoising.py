"""Steers between two steps, at the denoiser: what it is given for the toned prompts is put in place of what
it is given for the plain ones.

The pipeline itself prepares both (`fairgen.steering.first_calls`). Arguments that differ from those of the
plain call are the text. The hooks act for one pipeline's call in one thread, whoever else shares the module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from fairgen.errors import UserError
from fairgen.steering.conditioning import Path, leaves, replaced
from fairgen.steering.denoiser import Arguments, altered, by_rows, eager, modules_of, snapshot, time_of
from fairgen.steering.layout import differ, length_matters

if TYPE_CHECKING:
    import torch

_NOT_BY_ROWS = ("cross_attention_kwargs", "joint_attention_kwargs", "attention_kwargs")


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
        self._modules = modules_of(pipe)
        self._main = next(iter(self._modules))
        self._by_rows = by_rows(self._modules[self._main])
        if semantic:
            self._refuse_semantic()
        self._thread = threading.get_ident()
        self._hooks = ExitStack()
        self._text: dict[str, dict[Path, tuple[Any, Any]]] = {}
        self._put: dict[tuple[str, Path], tuple[Any, Any]] = {}
        self._seen: list[float] = []
        self._acted: bool | None = None  # in this step; None: it is not steered
        self._inside = False
        self._changes: dict[Path, Any] = {}
        self._call: Arguments = {}

    def _refuse_semantic(self) -> None:
        name = type(self._pipe).__name__
        if "controlnet" in self._modules:
            raise UserError(
                f"Semantic steering does not reach the controlnet of {name}: use embedding steering."
            )
        reason = altered(self._modules[self._main])
        if reason is not None:
            raise UserError(
                f"Semantic steering evaluates the denoiser of {name} once more in each step, which {reason} "
                "would take for a step of its own: switch it off, or use embedding steering."
            )

    def __enter__(self) -> Self:
        for name, module in self._modules.items():
            before = eager(self._watcher(name))
            hook = module.register_forward_pre_hook(before, with_kwargs=True, prepend=True)
            self._hooks.enter_context(hook)
        if self._semantic:
            main = self._modules[self._main]
            self._hooks.enter_context(main.register_forward_hook(eager(self._after), with_kwargs=True))
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self._hooks.close()
        if kind is None and self._acted is False:
            raise self._unknown()

    def _unknown(self) -> UserError:
        return UserError(
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
            call = snapshot(args, kwargs)
            progress = self._progress(module, call)
            self._learn(name, call)
            if not self._start <= progress < self._stop:
                return None
            self._acted = bool(self._acted)
            changes = self._substitutes(name, call)
            if changes and name == self._main:
                self._acted = True
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

        value = time_of(module, call)
        if value is None:  # a denoiser that is told no time: every call of it is a step
            value = len(self._seen) + float(module is not self._modules[self._main])
        if not self._seen or self._seen[-1] != value:
            if self._acted is False:
                raise self._unknown()
            self._acted = None
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
            for path in plain | toned
            if differ(plain.get(path), toned.get(path))
        }
        for value, new in self._text[name].values():
            long = getattr(value, "shape", None) != getattr(new, "shape", None)
            if long and value is not None and new is not None and length_matters(type(self._pipe).__name__):
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
        if _predicts_more(output):
            raise UserError(
                f"The denoiser of {type(self._pipe).__name__} predicts more than a picture, which semantic "
                "steering does not reach: use embedding steering."
            )
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
            found |= {row for row in range(batch) if differ(old[row], new[row])}
        return sorted(found)


def _prediction(output: Any) -> Any:
    """What a denoiser predicts, a row or an entry of a list for each of the batch."""
    return output if hasattr(output, "shape") else output[0]


def _predicts_more(output: Any) -> bool:
    """Whether there is a second prediction (UniDiffuser: of the text)."""
    if hasattr(output, "shape"):
        return False
    values = output.values() if isinstance(output, Mapping) else output
    return sum(hasattr(value, "shape") for value in values) > 1


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
        if torch.equal(value, plain[block]) and differ(plain[block], toned[block]):
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
