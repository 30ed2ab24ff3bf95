"""Loads a diffusers text-to-image pipeline as it is and samples batches with it."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import platform
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from fairgen.errors import UserError
from fairgen.modelfolder import ModelFolder, find_model
from fairgen.quiet import quiet_libraries
from fairgen.runfile import ModelInfo
from fairgen.sampling import SamplingSettings
from fairgen.startup import uncollected_imports

if TYPE_CHECKING:
    from fairgen.steering import Steering
    from fairgen.steering.conditioning import TonePath

DEVICES = ("auto", "cuda", "cuda:N", "mps", "cpu")
DTYPES = ("auto", "float32", "float16", "bfloat16")
_PATHS = 64
"""Encoded prompts that are kept."""
FLAGGED = "fairgen_safety_checker"
"""Key in a picture's ``info`` when the model's own safety checker blanked it."""


@dataclass(frozen=True)
class Request:
    """One picture to sample."""

    prompt: str
    seed: int
    """0 ... 2**64 - 1."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the pipeline's call, such as negative_prompt; requests with equal ones share a
    batch.
    """
    strength: float = 0.0
    """Of the steering that `Generator.generate` is given; 0 leaves the picture as the model makes it."""


def load_generator(
    model: str = "embedded",
    device: str = "auto",
    *,
    dtype: str = "auto",
    steps: int | None = None,
    guidance_scale: float | None = None,
    height: int | None = None,
    width: int | None = None,
) -> Generator:
    """Load a model for sampling.

    Args:
        model: "embedded", a local folder in diffusers format, or a hub id (looked for on this machine first).
            Only safetensors.
        device: "auto" takes CUDA, then MPS (Apple), then the CPU.
        dtype: "auto" is float32 on a CPU and for the embedded model; elsewhere float16 for UNets and bfloat16
            for transformers.
        steps: 1-1000. Default, like the next three: ``fairgen.json`` beside the weights, else the pipeline's
            own.
        guidance_scale: 0-100.
        height, width: 16-4096 pixels, multiples of the pipeline's step (8 for Stable Diffusion).

    Raises:
        UserError: the model does not exist, cannot be reached, is of the wrong kind, does not fit into
            memory; the device is not there; a value is out of range.
    """
    chosen = _device(device)
    if dtype not in DTYPES:
        raise UserError(f"There is no precision {dtype!r}: use one of {', '.join(DTYPES)}.")
    with uncollected_imports(), quiet_libraries():
        folder = find_model(model)
        chosen_dtype = _dtype(folder, chosen) if dtype == "auto" else dtype
        pipe = _load(folder, chosen, chosen_dtype)
    settings = SamplingSettings.build(pipe, folder.defaults(), steps, guidance_scale, height, width)
    info = ModelInfo(
        name=model,
        source=folder.source,
        pipeline=type(pipe).__name__,
        scheduler=type(pipe.scheduler).__name__,
        device=chosen,
        dtype=chosen_dtype,
        steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        height=settings.height,
        width=settings.width,
        weights=folder.weight_hashes(),
        versions=_versions(),
    )
    return Generator(pipe, info, folder.path)


def wrap_pipeline(
    pipe: Any,
    *,
    name: str | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    height: int | None = None,
    width: int | None = None,
) -> Generator:
    """A generator around somebody else's pipeline, which stays as it is, on its device and in its precision.

    Args:
        name: what it is called in run files; default: where it was loaded from. steps, guidance_scale,
            height, width: as in `load_generator`.

    Raises:
        UserError: a value is out of range, or unknown to the pipeline.
    """
    from fairgen.steering.conditioning import denoiser

    module = denoiser(pipe)
    origin = name or str(getattr(pipe, "name_or_path", "") or getattr(pipe.config, "_name_or_path", "") or "")
    settings = SamplingSettings.build(pipe, {}, steps, guidance_scale, height, width)
    info = ModelInfo(
        name=origin or type(pipe).__name__,
        source="pipeline",
        pipeline=type(pipe).__name__,
        scheduler=type(pipe.scheduler).__name__,
        device=str(pipe._execution_device),
        dtype=str(pipe.dtype).removeprefix("torch."),
        steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        height=settings.height,
        width=settings.width,
        weights={} if module is None else {"denoiser": _fingerprint(module)},
        versions=_versions(),
    )
    return Generator(pipe, info)


def _fingerprint(module: Any) -> str:
    """'sha256:<hex>' over names, shapes and norms of a module's weights: cheap, and the same on every device
    only to a few digits, to which the norms are rounded.
    """
    import torch

    state = module.state_dict()
    if any(value.is_meta for value in state.values()):  # offloaded layer by layer
        from accelerate.utils.modeling import get_state_dict_offloaded_model

        state = get_state_dict_offloaded_model(module)
    held = hashlib.sha256()
    with torch.no_grad():
        for key, value in sorted(state.items()):
            held.update(f"{key}{tuple(value.shape)}{float(value.float().norm()):.3g}".encode())
    return f"sha256:{held.hexdigest()}"


class Generator:
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


def _device(device: str) -> str:
    import torch

    if re.fullmatch(r"cuda:\d{1,3}", device):
        count = torch.cuda.device_count()
        if int(device[5:]) >= count:
            raise UserError(f"There is no {device}: this machine has {count} CUDA devices (from cuda:0).")
        return device
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, there in available.items() if there)
    if device not in available:
        raise UserError(f"There is no device {device!r}: use one of {', '.join(DEVICES)}.")
    if not available[device]:
        raise UserError(f"This machine (or its torch) has no {device}: use --device auto or cpu.")
    return device


def _dtype(folder: ModelFolder, device: str) -> str:
    # The embedded model is so small that half precision gains nothing; so its pictures agree across devices.
    if device == "cpu" or folder.source == "embedded":
        return "float32"
    if device == "mps" or "unet" in folder.index:
        return "float16"
    return "bfloat16"


def _load(folder: ModelFolder, device: str, dtype: str) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    try:
        loader: Any = DiffusionPipeline  # its from_pretrained carries no types
        pipe = loader.from_pretrained(
            str(folder.path),
            use_safetensors=True,
            local_files_only=True,
            variant=folder.variant,
            torch_dtype=getattr(torch, dtype),
        )
        pipe = pipe.to(device)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UserError(
            f"The model {folder.name!r} does not fit into the memory of {device}: use --device cpu, or a "
            "smaller model."
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        # Whatever diffusers and transformers raise for a folder whose files contradict each other.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"The model {folder.name!r} cannot be loaded as a {folder.pipeline_class}: {reason}"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("torch", "diffusers", "transformers", "safetensors", "numpy", "pillow", "mediapipe"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
