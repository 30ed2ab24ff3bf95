"""Steers a diffusers pipeline while it samples: different strengths for each picture of a batch.

Neither weights nor diffusers' code change, and nothing is left behind. The pipeline's own call is begun as
its user wrote it; what it encodes for a prompt is toned (`fairgen.steering.encoding`), or, where steering
must act between two steps or the pipeline has no ``encode_prompt``, what its denoiser is given
(`fairgen.steering.denoising`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

from diffusers.callbacks import PipelineCallback

from fairgen.errors import UserError
from fairgen.steering.attachment import attach, detach, encoders, guidance_of
from fairgen.steering.callback import CallbackSteering, writable
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.denoiser import denoiser
from fairgen.steering.denoising import Denoising
from fairgen.steering.embeddings import OwnEmbeddings
from fairgen.steering.encode_request import (
    COUNTS,
    PROMPTS,
    NeedsOwnPromptsError,
    Pictures,
    arguments_of,
    own_lists,
)
from fairgen.steering.encoding import Encoder
from fairgen.steering.errors import SampledTogetherError
from fairgen.steering.first_calls import first_calls, mixed_calls, same_noise
from fairgen.steering.memory import Memory
from fairgen.steering.prompt_variants import with_word
from fairgen.steering.registry import continuous
from fairgen.steering.support import check_steerable, couples_pictures


class ToneGuidance(PipelineCallback):  # type: ignore[misc]
    """Steers the calls of a diffusers pipeline, in a ``with`` block or as its ``callback_on_step_end``.

        with ToneGuidance(pipe, strength=[-0.8, 0.3]):
            pipe("a portrait of a doctor", num_images_per_prompt=2)

        pipe(prompt, callback_on_step_end=ToneGuidance(pipe, strength=0.5))

    Prefer the ``with`` block: it also acts in the first step, and works with pipelines that have no callback.
    (A callback is called after each step, so it cannot act in the first one.) At the end of the block, also
    after an exception or Ctrl-C, the pipeline is as it was before. A block steers only calls in the thread
    that entered it.

    Args:
        pipe: a diffusers text-to-image pipeline.
        prompt: the prompt that the pipeline will be called with, or one for each entry of ``strength``;
            default: the prompt of the call. Needed if you call the pipeline with embeddings.
        strength: one number for all pictures, or one for each picture (in the pipeline's order) or each
            prompt. 0 changes nothing, above 0 is darker, below 0 lighter; useful from -1.3 to 1.3.
        technique: "embedding" or "semantic" (see docs/steering.md).
        start: fraction of the steps at which steering starts, 0 <= start < stop.
        stop: fraction of the steps at which steering ends, start < stop <= 1.
        anchors: pairs of strength and tone words, light to dark, at least two.
        encode: if you call the pipeline with embeddings: a function from a prompt to these arguments for that
            prompt, ``{"prompt_embeds": ..., "pooled_prompt_embeds": ...}``, each with one row.
        embeddings: instead of ``encode``, these arguments for each anchor: strength -> arguments.
        memory: a dictionary that keeps encoded prompts for later use with the same pipeline.

    Raises:
        UserError: the pipeline cannot be steered this way, or a value is out of range.
    """

    def __init__(
        self,
        pipe: Any,
        prompt: str | Sequence[str] | None = None,
        strength: float | Sequence[float] | None = None,
        *,
        technique: str = "embedding",
        start: float = 0.0,
        stop: float = 1.0,
        anchors: Sequence[tuple[float, str]] = ANCHORS,
        encode: Callable[[str], Mapping[str, Any]] | None = None,
        embeddings: Mapping[float, Mapping[str, Any]] | None = None,
        memory: dict[str, Memory] | None = None,
    ) -> None:
        super().__init__()
        if strength is None:
            raise UserError("ToneGuidance needs a strength, or one for each picture.")
        self.strengths = (
            [float(strength)] if isinstance(strength, int | float) else [float(s) for s in strength]
        )
        self.prompts = [prompt] if isinstance(prompt, str) else None if prompt is None else list(prompt)
        self.pipe = pipe
        self.technique = technique
        self.start, self.stop = start, stop
        self.anchors = tuple(sorted(anchors))
        self._own = OwnEmbeddings(encode, embeddings) if encode or embeddings else None
        self._memory = {} if memory is None else memory
        check_steerable(pipe)
        self._check()
        self._active: dict[tuple[int, str], Encoder] | None = None
        self._calls = 0
        self._entered = False
        self._busy = False
        self._callback: CallbackSteering | None = None

    def _check(self) -> None:
        if self.technique not in continuous():
            raise UserError(f"There is no guidance {self.technique!r}: use one of {', '.join(continuous())}.")
        if self.prompts is not None and len(self.prompts) > 1 and len(self.strengths) > 1:
            fewer, more = sorted((len(self.prompts), len(self.strengths)))
            if more % fewer:
                raise UserError(
                    f"ToneGuidance got {len(self.prompts)} prompts and {len(self.strengths)} strengths: give "
                    "one prompt, or as many as strengths."
                )
        if not self.strengths or not all(-10 <= s <= 10 for s in self.strengths):
            raise UserError(f"A strength is a number from -10 to 10, not {self.strengths}.")
        if not 0 <= self.start < self.stop <= 1:
            raise UserError(
                f"start and stop are fractions of the steps, 0 <= start < stop <= 1, not {self.start}, "
                f"{self.stop}."
            )
        if len(self.anchors) < 2 or len({place for place, _ in self.anchors}) < len(self.anchors):
            raise UserError("ToneGuidance needs two anchors or more, each with a strength of its own.")

    # The with block ------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._entered:
            raise UserError("This ToneGuidance is already in use: make one for each block.")
        attach(self.pipe, self)
        self._entered = True
        self._calls = 0
        return self

    def __exit__(self, *exc: object) -> None:
        self._entered = False
        detach(self.pipe)

    def run(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of the pipeline inside the block (see `fairgen.steering.attachment`)."""
        if self._busy:  # our own preparation
            return call(*args, **kwargs)
        given = arguments_of(call, args, kwargs)
        if isinstance(given.get("callback_on_step_end"), ToneGuidance):
            raise UserError("A ToneGuidance block and a ToneGuidance callback at once steer twice: use one.")
        self._busy = True
        try:
            return self._steered(lambda changed: call(**own_lists(changed)), given)
        finally:
            self._busy = False
            self._calls += 1

    def encode(
        self,
        encoder: tuple[Any, str],
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """A prompt is encoded inside the block (see `fairgen.steering.attachment`)."""
        owner, method = encoder
        toning = None if self._active is None else self._active.get((id(owner), method))
        return original(*args, **kwargs) if toning is None else toning(original, args, kwargs)

    # One call of the pipeline --------------------------------------------------------------------------

    def _steered(self, call: Callable[[dict[str, Any]], Any], given: dict[str, Any]) -> Any:
        texts, each = self.texts(given)
        pictures = self.pictures(texts, each)
        if not any(pictures.strengths):
            return call(given)
        if not all(pictures.strengths) and couples_pictures(self.pipe):
            raise SampledTogetherError(
                f"{type(self.pipe).__name__} goes on to later steps when all pictures of a batch are ready, "
                "so one of strength 0 would change beside others: sample it in a call of its own."
            )
        try:
            return self._toned(call, given, pictures)
        except NeedsOwnPromptsError:
            # Every picture gets a prompt of its own, which is the same set of pictures in the same order.
            given, texts = _apart(given, texts, each)
            pictures = Pictures(tuple(texts), 1, pictures.strengths, self.anchors)
            return self._toned(call, given, pictures)

    def _toned(self, call: Callable[[dict[str, Any]], Any], given: dict[str, Any], pictures: Pictures) -> Any:
        own = given_embeddings(given)
        if own:
            if self._own is None:
                raise UserError(
                    f"{type(self.pipe).__name__} was called with its own embeddings ({', '.join(own)}): give "
                    "ToneGuidance encode=..., which encodes a prompt as you did, or embeddings=..., or call "
                    "the pipeline with the prompt."
                )
            toned_call = partial(call, given | self._own.toned(type(self.pipe).__name__, own, pictures))
        elif encoders(self.pipe):
            toned_call = partial(self._encoding, partial(call, given), pictures)
        else:
            return self._between_steps(call, given, self._variants(call, given, pictures))
        if self.technique == "embedding" and (self.start, self.stop) == (0, 1):
            return toned_call()
        if denoiser(self.pipe) is None:
            raise UserError(
                f"{type(self.pipe).__name__} has no denoiser of its own, so it is steered in all steps or "
                "none: use embedding steering with start=0, stop=1."
            )
        with same_noise(given.get("generator")):
            toned = first_calls(self.pipe, toned_call)
        return self._between_steps(call, given, toned)

    def _between_steps(
        self, call: Callable[[dict[str, Any]], Any], given: dict[str, Any], toned: Mapping[str, Any]
    ) -> Any:
        with Denoising(self.pipe, toned, self.start, self.stop, semantic=self.technique == "semantic"):
            return call(given)

    def _encoding(self, call: Callable[[], Any], pictures: Pictures) -> Any:
        """The call, with every picture's own tone in what is encoded."""
        name = type(self.pipe).__name__
        self._active = {
            (id(owner), method): Encoder(
                name, pictures, self._memory.setdefault(f"{id(owner)}.{method}", Memory())
            )
            for owner, method in encoders(self.pipe)
        }
        try:
            result = call()
            if not any(encoder.steered for encoder in self._active.values()):
                raise UserError(
                    f"{name} encoded no prompt when it was called, so nothing was steered: call it with a "
                    "prompt."
                )
            return result
        finally:
            self._active = None

    def _variants(
        self, call: Callable[[dict[str, Any]], Any], given: dict[str, Any], pictures: Pictures
    ) -> Mapping[str, Any]:
        """What the denoiser is given first, from calls with each anchor's words."""
        blends = pictures.blends()
        found: dict[int | None, Any] = {}
        for anchor in [None, *sorted({a for blend in blends for a in blend.anchors})]:
            changed = dict(given)
            if anchor is not None:
                word = self.anchors[anchor][1]
                for name in PROMPTS:
                    value = given.get(name)
                    if isinstance(value, str):
                        changed[name] = with_word(value, word)
                    elif value is not None:
                        changed[name] = [with_word(each, word) for each in value]
            with same_noise(given.get("generator")):
                found[anchor] = first_calls(self.pipe, partial(call, changed))
        return mixed_calls(self.pipe, found, blends)

    def texts(self, given: Mapping[str, Any]) -> tuple[list[str], int]:
        """The prompts of the call, and how many pictures of each."""
        each = next((int(given[name] or 1) for name in COUNTS if name in given), 1)
        value = given.get("prompt")
        own = given_embeddings(given)
        if value is None and own:
            rows = len(next(iter(own.values())))
            return self._known(rows), each
        texts = [value] if isinstance(value, str) else value
        if (
            not isinstance(texts, list | tuple)
            or not all(isinstance(text, str) for text in texts)
            or not texts
        ):
            raise UserError(
                f"{type(self.pipe).__name__} was called without a prompt that is text, or a list of such."
            )
        if self.prompts is not None and list(texts) != self._expected(len(texts), each):
            raise UserError(
                f"{type(self.pipe).__name__} was called with another prompt than ToneGuidance: give both the "
                "same prompt, or ToneGuidance none."
            )
        return list(texts), each

    def _expected(self, count: int, each: int) -> list[str]:
        """The prompts that this guidance was made for, as a call with so many would have them."""
        known = self.prompts or []
        if len(known) == 1:
            return known * count
        return known[::each] if len(known) == count * each else known

    def _known(self, count: int) -> list[str]:
        if self.prompts is None or len(self._expected(count, 1)) != count:
            raise UserError(
                f"{type(self.pipe).__name__} was called with embeddings of {count} prompts: tell "
                "ToneGuidance these prompts."
            )
        return self._expected(count, 1)

    def pictures(self, texts: Sequence[str], each: int) -> Pictures:
        total = len(texts) * each
        strengths = self.strengths
        if len(strengths) == 1:
            strengths = strengths * total
        elif len(strengths) == len(texts):
            strengths = [strength for strength in strengths for _ in range(each)]
        if len(strengths) != total:
            raise UserError(
                f"{type(self.pipe).__name__} samples {total} pictures, but ToneGuidance has "
                f"{len(self.strengths)} strengths: give one for each."
            )
        return Pictures(tuple(texts), each, tuple(strengths), self.anchors)

    # The callback --------------------------------------------------------------------------------------

    @property
    def tensor_inputs(self) -> list[str]:
        """For ``callback_on_step_end_tensor_inputs``, where the pipeline does not ask for them itself.

        Raises:
            UserError: a callback cannot steer this pipeline, or not this way.
        """
        if self.technique != "embedding":
            raise UserError(f"{self.technique!r} steering does not work as a callback: use a with block.")
        return writable(self.pipe)

    def callback_fn(
        self, pipeline: Any, step_index: int, timesteps: Any, callback_kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """diffusers' ``callback_on_step_end``: replaces the embeddings for the steps to come."""
        if guidance_of(pipeline) is not None:
            raise UserError("A ToneGuidance block and a ToneGuidance callback at once steer twice: use one.")
        if step_index == 0 or self._callback is None:
            self._callback = CallbackSteering(self, pipeline, self.tensor_inputs)
        return self._callback.after(step_index, callback_kwargs)


def given_embeddings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that hold the prompt's embeddings, where a call was given some."""
    found = {
        name: value
        for name, value in given.items()
        if value is not None and "prompt_embeds" in name and not name.startswith("negative")
    }
    return found if any(hasattr(v, "shape") or isinstance(v, list) for v in found.values()) else {}


def _apart(given: dict[str, Any], texts: list[str], each: int) -> tuple[dict[str, Any], list[str]]:
    """The same call with a prompt for each picture."""
    changed = dict(given)
    for name, value in given.items():
        if name in COUNTS:
            changed[name] = 1
        elif "prompt" in name and isinstance(value, str):
            changed[name] = [value] * (len(texts) * each) if name in PROMPTS else value
        elif "prompt" in name and isinstance(value, list | tuple) and len(value) == len(texts):
            changed[name] = [one for one in value for _ in range(each)]
    return changed, [text for text in texts for _ in range(each)]
