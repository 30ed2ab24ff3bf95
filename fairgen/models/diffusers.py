"""Loads a diffusers text-to-image pipeline as it is and samples batches with it."""

from __future__ import annotations

import contextlib
import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from fairgen.common.libraries import quiet_libraries
from fairgen.errors import UserError
from fairgen.models.contract import FLAGGED
from fairgen.runs import ModelInfo
from fairgen.steering.request import Request

if TYPE_CHECKING:
    from fairgen.steering import Steering
    from fairgen.steering.conditioning import TonePath

_PATHS = 64
"""Encoded prompts that are kept."""


class DiffusersModel:
    """A loaded pipeline with fixed settings.

    The picture for a request hangs on the request alone, not on the batch it is sampled in, up to floating
        point: every picture has a `torch.Generator` of its own, on the CPU, so that a seed means the same on
        every device.
    """

    def __init__(self, pipe: Any, info: ModelInfo, folder: Path | None = None) -> None:
        self.pipe = pipe
        self.info = info
        self.folder = folder
        """Where the model lies, if it was loaded from a folder."""
        self._accepts = inspect.signature(type(pipe).__call__).parameters
        self._paths: OrderedDict[str, TonePath] = OrderedDict()

    @property
    def threads(self) -> int | None:
        """Threads of torch, on which a CPU's pictures hang in their last bits; None on another device."""
        import torch

        return torch.get_num_threads() if self.info.device == "cpu" else None

    @property
    def default_batch_size(self) -> int:
        """Pictures sampled at once unless the user says otherwise: 4; 1 for large ones without CUDA."""
        pixels = (self.info.height or 1024) * (self.info.width or 1024)
        return 1 if not self.info.device.startswith("cuda") and pixels > 256 * 256 else 4

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise `UserError` for a prompt that the model would cut short: the tone word at its end goes."""
        names = ("tokenizer", "tokenizer_2", "tokenizer_3")
        tokenizers = [found for name in names if (found := getattr(self.pipe, name, None)) is not None]
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

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        """Sample one RGB picture for each request, all at once (one batch for each distinct ``extra``).

        ``steering``: how the strengths of the requests act; None: they must be 0.

        Raises `UserError` where the batch does not fit into memory, an extra argument is unknown to the
        pipeline, or the pipeline cannot be steered this way.
        """
        pictures: dict[int, Image.Image] = {}
        for group in _groups(requests):
            batch = [requests[place] for place in group]
            for place, picture in zip(group, self._sample(batch, steering), strict=True):
                pictures[place] = picture
        return [pictures[place] for place in range(len(requests))]

    def _guidance(
        self, batch: Sequence[Request], steering: Steering | None
    ) -> contextlib.AbstractContextManager[object]:
        if not any(request.strength for request in batch):
            return contextlib.nullcontext()
        if steering is None:
            raise ValueError("requests with a strength need to be told how it acts")
        from fairgen.steering.conditioning import tone_path
        from fairgen.steering.guidance import ToneGuidance

        extra = batch[0].extra
        prompts = [request.prompt for request in batch]
        for prompt in prompts:
            # What else the pipeline is called with may change the embeddings.
            if extra or prompt not in self._paths:
                self._paths[prompt] = tone_path(self.pipe, prompt, settings=extra)
            self._paths.move_to_end(prompt)
        while len(self._paths) > max(_PATHS, len(batch)):
            self._paths.popitem(last=False)
        paths = {prompt: self._paths[prompt] for prompt in prompts}
        if extra:
            self._paths.clear()
        return ToneGuidance(
            self.pipe,
            prompts,
            [request.strength for request in batch],
            technique=steering.technique,
            start=steering.start,
            stop=steering.stop,
            guidance_scale=self._guidance_scale(),
            paths=paths,
        )

    def _guidance_scale(self) -> float | None:
        """What the pipeline is called with, its own default where nothing was set."""
        if self.info.guidance_scale is not None or "guidance_scale" not in self._accepts:
            return self.info.guidance_scale
        return float(self._accepts["guidance_scale"].default)

    def _sample(self, batch: Sequence[Request], steering: Steering | None) -> list[Image.Image]:
        import torch

        extra = batch[0].extra
        unknown = set(extra) - set(self._accepts)
        if unknown:
            raise UserError(
                f"{self.info.pipeline} takes no {', '.join(sorted(unknown))}: leave it out for this model."
            )
        arguments: dict[str, Any] = {
            "prompt": [request.prompt for request in batch],
            "generator": [torch.Generator("cpu").manual_seed(request.seed) for request in batch],
            "num_inference_steps": self.info.steps,
            "output_type": "pil",
        }
        for name in ("guidance_scale", "height", "width"):
            value = getattr(self.info, name)
            if value is not None:
                arguments[name] = value
        try:
            with quiet_libraries(), self._guidance(batch, steering):
                output = self.pipe(**arguments, **_per_picture(extra, len(batch)))
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise UserError(
                f"{len(batch)} pictures at once do not fit into the memory of {self.info.device}: use a "
                "smaller --batch-size."
            ) from error
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(batch)
        pictures = [picture.convert("RGB") for picture in output.images]
        for picture, flagged in zip(pictures, flags, strict=True):
            if flagged:
                picture.info[FLAGGED] = True
        return pictures


def _per_picture(extra: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {name: [value] * count if isinstance(value, str) else value for name, value in extra.items()}


def _groups(requests: Sequence[Request]) -> list[list[int]]:
    groups: list[list[int]] = []
    for place, request in enumerate(requests):
        for group in groups:
            if requests[group[0]].extra == request.extra:
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
