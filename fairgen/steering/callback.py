"""Steering by diffusers' ``callback_on_step_end``: embeddings are replaced after the first step."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from fairgen.errors import UserError
from fairgen.steering.conditioning import leaves
from fairgen.steering.encoding import EncodeCall
from fairgen.steering.layout import differ
from fairgen.steering.memory import Memory

if TYPE_CHECKING:
    import torch

    from fairgen.steering.encode_request import Pictures


class Guidance(Protocol):
    """What is asked of a `fairgen.steering.guidance.ToneGuidance`."""

    strengths: list[float]
    start: float
    stop: float

    def texts(self, given: Mapping[str, Any]) -> tuple[list[str], int]:
        """The prompts of a call, and how many pictures of each."""

    def pictures(self, texts: Sequence[str], each: int) -> Pictures:
        """What is made of them."""


def writable(pipe: Any) -> list[str]:
    """The tensors of the pipeline's callback that may hold the prompt.

    Raises:
        UserError: there are none.
    """
    names = getattr(pipe, "_callback_tensor_inputs", None) or []
    found = [name for name in names if "embeds" in name and not name.startswith("negative")]
    if not found:
        lacks = "it has no callback_on_step_end" if not names else "its embeddings are not writable there"
        raise UserError(
            f"{type(pipe).__name__} cannot be steered through a callback ({lacks}): use a with block."
        )
    return found


class CallbackSteering:
    """One call of a pipeline that is steered by its callback.

    Args:
        guidance: what it is steered by.
        pipe: the pipeline, in the middle of its call.
        names: the tensors that it may change (`writable`).

    Raises:
        UserError: the call has one step only, or holds text that the callback cannot change.
    """

    def __init__(self, guidance: Guidance, pipe: Any, names: list[str]) -> None:
        self._guidance = guidance
        self._name = type(pipe).__name__
        self._names = names
        self._steps = getattr(pipe, "num_timesteps", None) or len(pipe.scheduler.timesteps)
        if self._steps < 2:
            raise UserError(
                f"A callback acts after the first step, and {self._name} was called with one step only: "
                "use a with block."
            )
        # Perturbed-attention guidance has the conditional rows twice.
        self._blocks = 2 if getattr(pipe, "do_perturbed_attention_guidance", False) else 1
        given = _call_of(pipe)
        self._pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
        if any(guidance.strengths):
            self._pairs = self._encoded(pipe, given)

    def _encoded(self, pipe: Any, given: dict[str, Any]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Plain and toned, for everything that the prompt is encoded to."""
        import torch

        texts, each = self._guidance.texts(given)
        if not callable(getattr(pipe, "encode_prompt", None)):
            raise UserError(f"{self._name} has no encode_prompt: steer it in a with block.")
        wanted = inspect.signature(pipe.encode_prompt).parameters
        arguments = {
            name: given[name]
            for name in wanted
            if name in given and not any(word in name for word in ("negative", "embeds", "attention_mask"))
        }
        fixed = {"device": pipe._execution_device, "do_classifier_free_guidance": False}
        arguments |= {name: value for name, value in fixed.items() if name in wanted} | {"prompt": texts}
        if "num_images_per_prompt" in wanted:
            arguments["num_images_per_prompt"] = each
        with torch.no_grad():
            plain = pipe.encode_prompt(**arguments)
            call = EncodeCall(
                self._name, pipe.encode_prompt, arguments, self._guidance.pictures(texts, each), Memory()
            )
            toned = dict(leaves(call.toned(plain)))
        return [
            (value, toned[path])
            for path, value in leaves(plain)
            if isinstance(value, torch.Tensor) and differ(value, toned[path])
        ]

    def after(self, step: int, tensors: dict[str, Any]) -> dict[str, Any]:
        """The tensors for the next step, after step ``step`` (0 is the first)."""
        if not self._pairs:
            return tensors
        missing = [name for name in self._names if name not in tensors]
        if missing:
            raise UserError(
                f"{self._name} does not hand {', '.join(missing)} to the callback: call it with "
                "callback_on_step_end_tensor_inputs=guidance.tensor_inputs."
            )
        acts = self._guidance.start <= (step + 1) / self._steps < self._guidance.stop
        changed = dict(tensors)
        for plain, toned in self._pairs:
            found = False
            for name in self._names:
                before = changed[name]
                after = _swapped(before, plain, toned, self._blocks, acts=acts)
                if after is not None:
                    changed[name], found = after, True
                    break
            if not found:
                raise UserError(
                    f"{self._name} cannot be steered through a callback (part of what it encodes, such as a "
                    "mask or a pooled embedding, cannot be changed there, or was changed by another "
                    "callback): use a with block."
                )
        return changed


def _swapped(
    tensor: torch.Tensor, plain: torch.Tensor, toned: torch.Tensor, blocks: int, *, acts: bool
) -> torch.Tensor | None:
    """The tensor with its ``blocks`` of conditional rows toned, or plain again; None if it has no such."""
    if toned.shape != plain.shape or tensor.shape[1:] != plain.shape[1:] or len(tensor) < len(plain):
        return None
    new = tensor.clone()
    left = blocks
    # Unconditional rows stand before the conditional ones, so the last blocks that fit are taken.
    for begin in range(len(tensor) - len(plain), -1, -len(plain)):
        block = tensor[begin : begin + len(plain)]
        if left and any(_alike(block, known.to(block.device, block.dtype)) for known in (plain, toned)):
            new[begin : begin + len(plain)] = (toned if acts else plain).to(block.device, block.dtype)
            left -= 1
    return new if left < blocks else None


def _alike(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Equal but for rounding; half precision differs by about a hundredth between batch sizes."""
    import torch

    tolerance = 1e-4 if first.dtype == torch.float32 else 0.03
    difference = float((first.float() - second.float()).norm())
    return difference <= tolerance * max(1e-6, float(second.float().norm()))


def _call_of(pipe: Any) -> dict[str, Any]:
    """What the pipeline that is being called knows: a callback is told neither the prompt nor the like."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "__call__" and frame.f_locals.get("self") is pipe:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}
