"""Loads a diffusers text-to-image pipeline as it is and samples batches with it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from fairgen.common.libraries import quiet_libraries
from fairgen.errors import UserError
from fairgen.models.contract import FLAGGED
from fairgen.models.fingerprint import described
from fairgen.models.near_noise import check_varies, near_noise
from fairgen.models.reading import text_tokenizer
from fairgen.models.settings import SamplingSettings, steps_argument
from fairgen.runs import ModelInfo
from fairgen.steering import Steering, registry
from fairgen.steering.calibration import Calibration, calibration_in
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.errors import SampledTogetherError
from fairgen.steering.memory import Memory
from fairgen.steering.request import Request
from fairgen.steering.support import check_steerable

_OWN = (
    "prompt",
    "generator",
    "latents",
    "num_inference_steps",
    "output_type",
    "num_images_per_prompt",
    "return_dict",
)
"""Arguments of a pipeline's call that fairgen gives itself."""
_SETTINGS = ("guidance_scale", "height", "width")
"""Arguments of a pipeline's call that are settings of the model."""
_ONE_PROMPT = (
    "AmusedPipeline",
    "DreamLiteMobilePipeline",
    "PRXPipeline",
    "PRXPixelPipeline",
    "StableDiffusionParadigmsPipeline",
    "VQDiffusionPipeline",
    "WuerstchenCombinedPipeline",
)
"""Pipelines that fail with several prompts or generators in a call, whatever their annotations say, or make
pictures that depend on the others of a batch.
"""


_ONE_TEXT = (str(str), "str", "str | None", "Optional[str]", "typing.Optional[str]")
"""How a prompt is annotated that may be no list."""


class Watcher(Protocol):
    """Who follows the sampling of a batch; what it is told changes no picture."""

    def step(self, done: int, total: int, latents: Any) -> None:
        """A step is done: steps until now, steps in all, and the batch's latents (None: not told)."""

    def pictures(self, made: Sequence[Image.Image]) -> None:
        """The batch is done: its pictures, in the order of the latents."""


class DiffusersModel:
    """A loaded pipeline with fixed settings.

    The picture for a request depends on the request alone, not on the batch it is sampled in, up to floating
        point: every picture has a `torch.Generator` of its own, on the CPU, so that a seed means the same on
        every device.
    """

    def __init__(
        self,
        pipe: Any,
        info: ModelInfo,
        folder: Path | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.pipe = pipe
        self.info = info
        self.folder = folder
        """The model's folder, if it was loaded from one."""
        self._accepts = inspect.signature(type(pipe).__call__).parameters
        self._arguments = dict(arguments or {})
        self._memory: dict[str, Memory] = {}
        self._mixes = True  # until the pipeline says that strength 0 cannot be sampled beside others
        self.watcher: Watcher | None = None
        """Told of every step of sampling."""

    def on(self, pipe: Any, info: ModelInfo) -> DiffusersModel:
        """The same model, called in the same way, on another pipeline of the same parts."""
        return DiffusersModel(pipe, info, self.folder, self._arguments)

    def called_with(self, arguments: Mapping[str, Any]) -> DiffusersModel:
        """The same model, called with further arguments, such as ``negative_prompt`` or ``image``.

        Raises:
            UserError: the pipeline takes no such argument, or fairgen gives it itself.
        """
        self._check_arguments(arguments)
        own = {name: arguments[name] for name in _SETTINGS if name in arguments}
        settings = {name: own.get(name, getattr(self.info, name)) for name in _SETTINGS}
        if own:
            SamplingSettings.build(self.pipe, {}, self.info.steps, **settings)
        arguments = self._arguments | {name: arguments[name] for name in arguments if name not in own}
        info = self.info.model_copy(update=settings | {"arguments": described(arguments)})
        made = DiffusersModel(self.pipe, info, self.folder, arguments)
        made._memory = self._memory
        return made

    def _check_arguments(self, arguments: Mapping[str, Any]) -> None:
        from fairgen.steering.guidance import given_embeddings

        own = sorted(set(arguments) & {*_OWN, steps_argument(self.pipe)})
        if own:
            raise UserError(
                f"{', '.join(own)} of {self.info.pipeline} is set by fairgen: give FairPipeline the prompt, "
                "the seed, the steps and the number of pictures."
            )
        lists = sorted(name for name, value in arguments.items() if is_texts(name, value))
        if lists:
            raise UserError(
                f"{', '.join(lists)} is the same for all pictures of a set: give one text, not a list."
            )
        embeddings = sorted(given_embeddings(arguments))
        if embeddings:
            raise UserError(
                f"A set is made from its prompt, which {self.info.pipeline} would not read beside "
                f"{', '.join(embeddings)}: leave these out, or steer single calls with "
                "fairgen.ToneGuidance(..., encode=...)."
            )
        unknown = sorted(set(arguments) - set(self._accepts))
        if unknown:  # what pipelines take beside their own arguments, they leave unread
            raise UserError(
                f"{self.info.pipeline} takes no {', '.join(unknown)}: leave it out for this model."
            )

    @property
    def threads(self) -> int | None:
        """Threads of torch, on which the last bits of a CPU's pictures depend; None on another device."""
        import torch

        return torch.get_num_threads() if self.info.device == "cpu" else None

    @property
    def default_batch_size(self) -> int:
        """Pictures sampled at once unless the user says otherwise: 4; 1 for large ones without CUDA."""
        pixels = (self.info.height or 1024) * (self.info.width or 1024)
        return 1 if not self.info.device.startswith("cuda") and pixels > 256 * 256 else 4

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise `UserError` for a prompt that the model would cut short: its tone word would be lost."""
        found = [getattr(self.pipe, f"tokenizer{number}", None) for number in ("", "_2", "_3")]
        tokenizers = [text_tokenizer(one) for one in found if one is not None]
        if not tokenizers:
            return
        # Where a pipeline has several text encoders, the one that reads furthest counts.
        reader = max(tokenizers, key=lambda tokenizer: tokenizer.model_max_length)
        limit = reader.model_max_length
        own = self._accepts.get("max_sequence_length")
        if own is not None and isinstance(own.default, int):
            limit = min(limit, own.default)
        for prompt in prompts:
            with quiet_libraries():
                length = len(reader(prompt, truncation=False).input_ids)
            if length > limit:
                raise UserError(
                    f"The prompt {_shorten(prompt)!r} is too long for this model ({length} tokens, it reads "
                    f"{limit}): shorten it."
                )

    def chosen_technique(self, name: str) -> str:
        """As `Model.chosen_technique`: "auto" depends on whether the pipeline can be steered inside."""
        return registry.chosen(name, self.pipe)

    def check_techniques(self, names: Sequence[str]) -> None:
        """As `Model.check_techniques`: those with a strength need a pipeline that can be steered inside."""
        for name in names:
            if self.chosen_technique(name) in registry.continuous():
                check_steerable(self.pipe)

    def calibration(self, technique: str) -> Calibration | None:
        """As `Model.calibration`: the one in ``calibrations/`` beside the weights."""
        if self.folder is None:
            return None
        return calibration_in(self.folder / "calibrations", self.info, technique)

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        """Sample one RGB picture for each request, all at once (one batch for each distinct ``extra``).

        ``steering``: how the strengths of the requests act; None: they must be 0.

        Raises `UserError` where the batch does not fit into memory, an extra argument is unknown to the
        pipeline, or the pipeline cannot be steered this way.
        """
        pictures: dict[int, Image.Image] = {}
        groups = _groups(requests, apart=not self._mixes, alone=self._takes_one)
        while groups:
            group = groups.pop(0)
            batch = [requests[place] for place in group]
            try:
                made = self._sample(batch, steering)
            except SampledTogetherError:
                if not self._mixes:
                    raise
                self._mixes = False
                plain = [place for place in group if not requests[place].strength]
                groups[:0] = [plain, [place for place in group if requests[place].strength]]
                continue
            pictures |= dict(zip(group, made, strict=True))
        return [pictures[place] for place in range(len(requests))]

    @property
    def _takes_one(self) -> bool:
        """Whether pictures are sampled one at a time: the pipeline takes one prompt (DreamLite), its
        scheduler draws noise that depends on the whole batch, or so does what it makes of a picture.
        """
        prompt = self._accepts.get("prompt")
        one = self.info.pipeline in _ONE_PROMPT or (prompt and str(prompt.annotation) in _ONE_TEXT)
        return bool(one) or self._draws_elsewhere or self._begins_with_a_picture

    @property
    def _begins_with_a_picture(self) -> bool:
        """Whether one picture is given for the whole batch, and encoded with the noise of the batch's first
        one (inpainting), or wanted again for each prompt (T2I adapters).
        """
        shared = "Adapter" in self.info.pipeline or {"strength", "mask_image"} & set(self._accepts)
        return bool(shared) and any("image" in n and "ip_adapter" not in n for n in self._arguments)

    @property
    def _draws_elsewhere(self) -> bool:
        """Whether the scheduler draws noise without the pictures' own generators, which flow-matching
        pipelines do not hand to it.
        """
        scheduler = getattr(self.pipe, "scheduler", None)
        stochastic = getattr(getattr(scheduler, "config", None), "stochastic_sampling", False)
        return bool(stochastic) or type(scheduler).__name__ == "FlowMatchLCMScheduler"

    def _guidance(
        self, batch: Sequence[Request], steering: Steering | None
    ) -> contextlib.AbstractContextManager[object]:
        if not any(request.strength for request in batch):
            return contextlib.nullcontext()
        if steering is None:
            raise ValueError("requests with a strength need to be told how it acts")
        from fairgen.steering.guidance import ToneGuidance

        return ToneGuidance(
            self.pipe,
            [request.prompt for request in batch],
            [request.strength for request in batch],
            technique=steering.technique,
            start=steering.start,
            stop=steering.stop,
            anchors=steering.anchors or ANCHORS,
            memory=self._memory,
        )

    @contextlib.contextmanager
    def _noise_of(self, seed: int) -> Iterator[None]:
        """Where noise is drawn without generators, it depends on the picture's seed all the same."""
        import torch

        if not (self._draws_elsewhere or self._arguments):
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield

    def _sample(self, batch: Sequence[Request], steering: Steering | None) -> list[Image.Image]:
        import torch

        extra = self._arguments | dict(batch[0].extra)
        self._check_arguments(extra)
        arguments: dict[str, Any] = {
            "prompt": [request.prompt for request in batch],
            "generator": [torch.Generator("cpu").manual_seed(request.seed) for request in batch],
            steps_argument(self.pipe): self.info.steps,
            "output_type": "pil",
        }
        if self._takes_one:
            arguments["prompt"], arguments["generator"] = arguments["prompt"][0], arguments["generator"][0]
        for name in _SETTINGS:
            value = getattr(self.info, name)
            if value is not None:
                arguments[name] = value
        if self.watcher is not None and "callback_on_step_end" in self._accepts:
            arguments["callback_on_step_end"] = self._tell_step
        original: Sequence[int] = self.info.options.get("vary", ())
        if original:
            check_varies(self.pipe, list(extra))
        try:
            with (
                quiet_libraries(),
                self._noise_of(batch[0].seed),
                near_noise(self.pipe, original),
                self._guidance(batch, steering),
            ):
                more = extra if self._takes_one else _per_picture(extra, len(batch))
                output = self.pipe(**arguments, **more)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise UserError(
                f"{len(batch)} pictures at once do not fit into the memory of {self.info.device}: use a "
                "smaller --batch-size."
            ) from error
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(batch)
        pictures = [picture.convert("RGB") for picture in _pictures(output, self.info.pipeline)]
        for picture, flagged in zip(pictures, flags, strict=True):
            if flagged:
                picture.info[FLAGGED] = True
        if self.watcher is not None:
            self.watcher.pictures(pictures)
        return pictures

    def _tell_step(self, pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if self.watcher is not None:
            self.watcher.step(
                step + 1, int(getattr(pipe, "num_timesteps", self.info.steps) or 0), tensors.get("latents")
            )
        return {}


def is_texts(name: str, value: Any) -> bool:
    """Whether an argument is a list of texts, one for each prompt (`editing_prompt` lists edits)."""
    kind = name.startswith(("prompt", "negative_prompt"))
    return kind and isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def _per_picture(extra: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The arguments; texts, and embeddings of one (``negative_prompt_embeds``), again for each picture."""
    made = dict(extra)
    for name, value in extra.items():
        if isinstance(value, str):
            made[name] = [value] * count
        elif "prompt" in name and hasattr(value, "shape") and value.shape[:1] == (1,):
            made[name] = value.repeat(count, *[1] * (value.ndim - 1))
    return made


def _pictures(output: Any, name: str) -> Sequence[Image.Image]:
    """The pictures that a pipeline returned; of a video its middle frame."""
    found = next((getattr(output, key) for key in ("images", "image") if hasattr(output, key)), None)
    if found is None and hasattr(output, "frames"):
        found = [video[len(video) // 2] for video in output.frames]
    if found is None or not all(isinstance(picture, Image.Image) for picture in found):
        raise UserError(f"{name} returns no pictures: fairgen needs a text-to-image pipeline.")
    return found  # type: ignore[no-any-return]


def _groups(requests: Sequence[Request], *, apart: bool, alone: bool) -> list[list[int]]:
    """Places of requests that are sampled together; ``apart``: not those with and without a strength;
    ``alone``: none.
    """
    groups: list[list[int]] = []
    for place, request in enumerate(requests):
        for group in groups:
            first = requests[group[0]]
            if alone or (apart and bool(first.strength) != bool(request.strength)):
                continue
            if first.extra == request.extra:
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
