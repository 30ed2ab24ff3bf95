"""Steers a diffusers pipeline while it samples: different strengths for each picture of a batch.

The denoiser (``pipe.unet`` or ``pipe.transformer``) is watched through PyTorch's own forward hooks; neither
weights nor diffusers' code change, and nothing is left behind. Which rows of the denoiser's batch are the
conditional ones is found by what stands in them, not by where they usually stand: the rows that hold the
plain prompt's embedding are steered, so a pipeline may put both halves into one call, call twice, or have no
second half at all.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fairgen.errors import UserError
from fairgen.steering.conditioning import (
    ANCHORS,
    Conditioning,
    Family,
    TonePath,
    denoiser,
    family,
    tone_path,
)

if TYPE_CHECKING:
    import torch

_SAME = 0.05
"""Relative difference per token up to which two embeddings are the same prompt (half precision differs by
about a hundredth between batch sizes)."""
_NO_BATCH = ("img_ids", "txt_ids", "joint_attention_kwargs", "cross_attention_kwargs", "attention_kwargs")
"""Arguments of denoisers whose first axis is not the batch."""


@dataclass
class Call:
    """One call of the denoiser, while it is being made.

    Attributes:
        arguments: name -> value; an action may replace values. rows: the conditional rows of the batch.
        pictures: for each of these rows, which picture it belongs to. active: which of these rows are steered
            at all (strength 0 is not touched).
        batch: rows in all. denoiser: the module itself, for further evaluations (these are not steered).
    """

    arguments: dict[str, Any]
    rows: torch.Tensor
    pictures: list[int]
    active: list[int]
    batch: int
    denoiser: Callable[..., Any]

    @property
    def conditional_only(self) -> bool:
        return len(self.pictures) == self.batch

    def toned(self, text: Sequence[Conditioning], kind: Family, *, only: bool = False) -> dict[str, Any]:
        """The arguments with the active rows' text replaced; with ``only``, of these rows alone."""
        import torch

        changed = dict(self.arguments)
        places = self.rows[self.active]
        if only:
            changed = {
                name: value if name in _NO_BATCH else _rows_of(value, places, self.batch)
                for name, value in changed.items()
            }
            places = torch.arange(len(self.active), device=self.rows.device)
        changed["encoder_hidden_states"] = _put(
            changed["encoder_hidden_states"], places, [t.hidden for t in text]
        )
        if kind.pooled_in is not None:
            outer, _, inner = kind.pooled_in.partition(".")
            pooled = [t.pooled for t in text]
            if inner:
                changed[outer] = dict(changed[outer])
                changed[outer][inner] = _put(changed[outer][inner], places, pooled)
            else:
                changed[outer] = _put(changed[outer], places, pooled)
        if kind.mask is not None:
            name = "encoder_attention_mask"
            changed[name] = _put(changed[name], places, [t.mask for t in text])
        return changed


def _put(values: torch.Tensor, rows: torch.Tensor, new: Sequence[Any]) -> torch.Tensor:
    import torch

    changed = values.clone()
    changed[rows] = torch.stack([n.to(values.device, values.dtype) for n in new])
    return changed


def _rows_of(value: Any, rows: torch.Tensor, batch: int) -> Any:
    """The given rows of every tensor within ``value`` whose first axis is the batch."""
    import torch

    if isinstance(value, torch.Tensor):
        return value[rows] if value.ndim and value.shape[0] == batch else value
    if isinstance(value, Mapping):
        return {key: _rows_of(inner, rows, batch) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_rows_of(inner, rows, batch) for inner in value)
    return value


class Action(ABC):
    """What a technique does in one call of the denoiser; one a file, beside its technique."""

    uses_callback: bool
    """Whether `ToneGuidance` may also be given as ``callback_on_step_end``."""

    def reset(self) -> None:  # noqa: B027
        """Told before each call of the pipeline; an action that keeps nothing leaves this as it is."""

    @abstractmethod
    def before(self, call: Call, text: Sequence[Conditioning], kind: Family) -> None:
        """Change ``call.arguments``; ``text``: the toned prompt of each active row."""

    def after(
        self, call: Call, output: torch.Tensor, text: Sequence[Conditioning], kind: Family
    ) -> torch.Tensor:
        """The denoiser's output (rows x ...) as the pipeline shall see it."""
        return output


class ToneGuidance:
    """Steers the next call of a pipeline, in a ``with`` block, or as its ``callback_on_step_end``.

        guidance = ToneGuidance(pipe, "a portrait of a doctor", [-0.8, 0.3])
        with guidance:
            pipe("a portrait of a doctor", num_images_per_prompt=2)

        pipe(prompt, callback_on_step_end=guidance,
             callback_on_step_end_tensor_inputs=guidance.tensor_inputs)

    A callback is called after a step, so it cannot act in the first one; the ``with`` block can, and works
    for pipelines without the callback too. What it changes is put back at the end of the block, also after
    an exception or Ctrl-C.

    Args:
        pipe: a diffusers text-to-image pipeline (see `fairgen.steering.conditioning.FAMILIES`).
        prompt: the prompt, or one for each entry of ``strength``, exactly as the pipeline is called with it.
        strength: for each picture, in the pipeline's order; 0 leaves it as it is, above 0 is darker, below
            lighter, useful in [-1.3, 1.3]. A number holds for every picture.
        technique: "embedding" or "semantic".
        start: fraction of the steps from which on it acts, 0 <= start < stop.
        stop: fraction of the steps up to which it acts, start < stop <= 1.
        guidance_scale: what the pipeline is called with; "semantic" needs it where the pipeline does not keep
            it (PixArt).
        anchors: strength -> tone words, light to dark.
        settings: what else the pipeline is called with and that changes its embeddings (``clip_skip``,
            ``prompt_2`` and the like; the tone words are added to further prompts too).

    Raises:
        UserError: the pipeline cannot be steered this way; a value is out of range.
    """

    def __init__(
        self,
        pipe: Any,
        prompt: str | Sequence[str],
        strength: float | Sequence[float],
        *,
        technique: str = "embedding",
        start: float = 0.0,
        stop: float = 1.0,
        guidance_scale: float | None = None,
        anchors: Sequence[tuple[float, str]] = ANCHORS,
        settings: Mapping[str, Any] | None = None,
        paths: Mapping[str, TonePath] | None = None,
    ) -> None:
        from fairgen.steering.registry import action

        self.strengths = (
            [float(strength)] if isinstance(strength, int | float) else [float(s) for s in strength]
        )
        self.prompts = [prompt] * len(self.strengths) if isinstance(prompt, str) else list(prompt)
        if len(self.prompts) > 1 and len(self.strengths) == 1:
            self.strengths *= len(self.prompts)
        self.pipe = pipe
        self._kind = family(pipe)
        self._action = action(technique, pipe, guidance_scale)
        self.technique = technique
        self.start, self.stop = start, stop
        self._check()
        known = dict(paths or {})
        for text in dict.fromkeys(self.prompts):
            if text not in known and any(self.strengths):
                known[text] = tone_path(pipe, text, anchors, settings)
        self._paths = known
        self._handles: list[Any] = []
        self._reset()

    def _check(self) -> None:
        if not self.strengths or len(self.prompts) != len(self.strengths):
            raise UserError(
                f"ToneGuidance got {len(self.prompts)} prompts and {len(self.strengths)} strengths: give one "
                "prompt, or as many as strengths."
            )
        if not all(-10 <= s <= 10 for s in self.strengths):
            raise UserError(f"A strength is a number from -10 to 10, not {self.strengths}.")
        if not 0 <= self.start < self.stop <= 1:
            raise UserError(
                f"start and stop are fractions of the steps, 0 <= start < stop <= 1, not {self.start}, "
                f"{self.stop}."
            )

    def _reset(self) -> None:
        self._seen: list[float] = []
        self._matched = self._looked = False
        self._inside = False
        self._call: Call | None = None
        self._text: list[Conditioning] = []
        self._rows: dict[str, tuple[torch.Tensor, list[int], torch.Tensor]] | None = None
        self._action.reset()

    # The with block ------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._handles:
            raise UserError("This ToneGuidance is already in use: make one for each call of the pipeline.")
        self._reset()
        if any(self.strengths):
            module = denoiser(self.pipe)
            # torch.compile wraps the module; the names of the arguments are the original's.
            self._signature = inspect.signature(getattr(module, "_orig_mod", module).forward)
            self._handles = [
                module.register_forward_pre_hook(self._before, with_kwargs=True),
                module.register_forward_hook(self._after, with_kwargs=True),
            ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        used, self._handles = bool(self._handles), []
        if used and value is None and self._looked and not self._matched:
            raise UserError(self._unknown())

    def _unknown(self) -> str:
        return (
            f"{type(self.pipe).__name__} was called with another prompt than ToneGuidance, or with its own "
            "embeddings, so nothing was steered: give both the same prompt (and clip_skip and the like as "
            "settings)."
        )

    def _before(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._inside:
            return None
        self._call = None
        bound = self._signature.bind(*args, **kwargs)
        arguments = dict(bound.arguments)
        arguments.update(arguments.pop("kwargs", {}))
        progress = self._progress(arguments.get("timestep"))
        if not self.start <= progress < self.stop:
            return None
        self._looked = True
        hidden = arguments.get("encoder_hidden_states")
        if hidden is None:
            raise UserError(f"{type(self.pipe).__name__} cannot be steered: its denoiser gets no embeddings.")
        # An extra call for guidance by skipped layers (SD 3.5) has conditional rows alone.
        both = arguments.get("skip_layers") is None
        rows, pictures = self._conditional(hidden, both_halves=both)
        if not pictures:
            if len(self._seen) > 1 and not self._matched:
                raise UserError(self._unknown())
            self._call = Call(arguments, rows, [], [], hidden.shape[0], module)
            return None
        self._matched = True
        active = [place for place, picture in enumerate(pictures) if self.strengths[picture]]
        steered = [pictures[place] for place in active]
        self._text = [self._paths[self.prompts[p]].at(self.strengths[p]) for p in steered]
        self._call = Call(arguments, rows, pictures, active, hidden.shape[0], module)
        self._action.before(self._call, self._text, self._kind)
        return (), self._call.arguments

    def _after(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if self._inside or self._call is None:
            return None
        self._inside = True
        try:
            sample = output[0] if isinstance(output, tuple) else output.sample
            changed = self._action.after(self._call, sample, self._text, self._kind)
        finally:
            self._inside = False
        if changed is sample:
            return None
        if isinstance(output, tuple):
            return (changed, *output[1:])
        output.sample = changed
        return output

    def _progress(self, timestep: Any) -> float:
        """Which share of the steps is done, 0 at the first."""
        import torch

        value = float(timestep.flatten()[0]) if isinstance(timestep, torch.Tensor) else float(timestep)
        if self._seen and value > self._seen[-1]:
            # Timesteps fall within a call: the pipeline was called again in the same block.
            self._seen, self._matched = [], False
            self._action.reset()
        if not self._seen or self._seen[-1] != value:
            self._seen.append(value)
        planned = getattr(self.pipe.scheduler, "timesteps", None)
        steps = len(self._seen) if planned is None else len(torch.unique(torch.as_tensor(planned)))
        # Some schedulers list a last timestep at which nothing is predicted (SCM); others list one twice.
        steps = min(steps, getattr(self.pipe, "num_timesteps", None) or steps)
        return (len(self._seen) - 1) / max(1, steps)

    def _conditional(
        self, hidden: torch.Tensor, *, both_halves: bool = True
    ) -> tuple[torch.Tensor, list[int]]:
        """Rows that hold a plain prompt, and the picture of each; ``both_halves``: whether the batch may have
        unconditional ones.
        """
        import torch

        first = next(iter(self._paths.values())).plain.hidden
        if hidden.ndim != 3 or hidden.shape[1:] != first.shape:
            return torch.empty(0, dtype=torch.long), []
        alike = {text: _same(hidden, path.plain.hidden) for text, path in self._paths.items()}
        rows = torch.stack(list(alike.values())).any(0).nonzero().flatten()
        # An unconditional half with the very same prompt cannot be told by its content.
        guided = both_halves and getattr(self.pipe, "do_classifier_free_guidance", False)
        if guided and len(rows) == hidden.shape[0]:
            rows = rows[len(rows) // 2 :]
        if len(rows) % len(self.prompts):
            raise UserError(
                f"{type(self.pipe).__name__} samples {len(rows)} pictures, but ToneGuidance has "
                f"{len(self.prompts)} strengths: give one for each."
            )
        each = max(1, len(rows) // len(self.prompts))
        pictures = [place // each for place in range(len(rows))]
        for row, picture in zip(rows.tolist(), pictures, strict=True):
            if not bool(alike[self.prompts[picture]][row]):
                raise UserError(f"{type(self.pipe).__name__} orders its prompts otherwise than ToneGuidance.")
        return rows, pictures

    # The callback --------------------------------------------------------------------------------------

    @property
    def tensor_inputs(self) -> list[str]:
        """For ``callback_on_step_end_tensor_inputs``. Raises `UserError` where the callback cannot steer."""
        name = type(self.pipe).__name__
        if not self._action.uses_callback:
            raise UserError(f"{self.technique!r} steering does not work as a callback: use a with block.")
        writable = getattr(self.pipe, "_callback_tensor_inputs", None) or []
        needed = [key for key in self._kind.callback if key in writable]
        if self._kind.callback[0] not in needed or self._kind.mask is not None:
            lacks = (
                "it has no callback_on_step_end" if not writable else "its mask hides the added tone words"
            )
            raise UserError(f"{name} cannot be steered through a callback ({lacks}): use a with block.")
        return needed

    def __call__(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """diffusers' ``callback_on_step_end``: replaces the embeddings for the steps to come."""
        names = self.tensor_inputs
        if step == 0:
            self._reset()
        if not any(self.strengths):
            return tensors
        if self._rows is None:
            rows, pictures = self._conditional(tensors[names[0]])
            if not pictures:
                raise UserError(self._unknown())
            self._rows = {name: (rows, pictures, tensors[name][rows].clone()) for name in names}
        total = getattr(pipe, "num_timesteps", None) or len(pipe.scheduler.timesteps)
        acts = self.start <= (step + 1) / total < self.stop
        changed = dict(tensors)
        for place, name in enumerate(names):
            rows, pictures, plain = self._rows[name]
            text = [self._paths[self.prompts[p]].at(self.strengths[p]) for p in pictures]
            new = [
                plain[k] if not acts or not self.strengths[p] else (t.hidden, t.pooled)[place]
                for k, (p, t) in enumerate(zip(pictures, text, strict=True))
            ]
            changed[name] = _put(tensors[name], rows, new)
        return changed


def _same(hidden: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    """Which rows of ``hidden`` (rows x tokens x width) hold the embedding ``plain``."""
    expected = plain.to(hidden.device).float()
    size = expected.norm(dim=-1).clamp_min(1e-3)
    alike: torch.Tensor = ((hidden.float() - expected).norm(dim=-1) / size).amax(-1) < _SAME
    return alike
