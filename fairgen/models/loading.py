"""Loads a diffusers text-to-image pipeline as it is, or takes one that is loaded already."""

from __future__ import annotations

import contextlib
import inspect
import platform
import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from fairgen.common.libraries import quiet_libraries, uncollected_imports
from fairgen.errors import UserError
from fairgen.models.contract import Model
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.fingerprint import fingerprints, setting_hashes
from fairgen.models.folder import ModelFolder, find_model
from fairgen.models.kinds import kind_of
from fairgen.models.reading import check_reads_prompts
from fairgen.models.settings import SamplingSettings
from fairgen.runs import ModelInfo

if TYPE_CHECKING:
    pass

DEVICES = ("auto", "cuda", "cuda:N", "mps", "cpu")

DTYPES = ("auto", "float32", "float16", "bfloat16")


def load_model(
    model: str = "embedded",
    device: str = "auto",
    *,
    dtype: str = "auto",
    steps: int | None = None,
    guidance_scale: float | None = None,
    height: int | None = None,
    width: int | None = None,
    name: str | None = None,
) -> Model:
    """Load a model for sampling.

    Args:
        model: "embedded", a local folder in diffusers format, a hub id (looked for on this machine first),
            or the name of another kind of model (`fairgen.models.kinds`). Only safetensors.
        device: "auto" takes CUDA, then MPS (Apple), then the CPU.
        dtype: "auto" is float32 on a CPU and for the embedded model; elsewhere float16 for UNets and bfloat16
            for transformers.
        steps: 1-1000. Default, like the next three: ``fairgen.json`` beside the weights, else the pipeline's
            own.
        guidance_scale: 0-100.
        height: 16-4096 pixels, a multiple of the pipeline's step (8 for Stable Diffusion).
        width: likewise.
        name: what run files call it; default: ``model``.

    Raises:
        UserError: the model does not exist, cannot be reached, is of the wrong kind, does not fit into
            memory; the device is not there; a value is out of range.
    """
    module, _, function = kind_of(model).home.partition(":")
    loaded: Model = getattr(import_module(module), function)(
        model,
        device,
        dtype=dtype,
        steps=steps,
        guidance_scale=guidance_scale,
        height=height,
        width=width,
        name=name,
    )
    return loaded


def load_diffusers(
    model: str,
    device: str = "auto",
    *,
    dtype: str = "auto",
    steps: int | None = None,
    guidance_scale: float | None = None,
    height: int | None = None,
    width: int | None = None,
    name: str | None = None,
) -> DiffusersModel:
    """Load a diffusers pipeline; as `load_model`, for the kind "diffusers"."""
    chosen = _device(device)
    if dtype not in DTYPES:
        raise UserError(f"There is no precision {dtype!r}: use one of {', '.join(DTYPES)}.")
    with uncollected_imports(), quiet_libraries():
        folder = find_model(model)
        chosen_dtype = _dtype(folder, chosen) if dtype == "auto" else dtype
        pipe = _load(folder, chosen, chosen_dtype)
        check_reads_prompts(pipe, model)
    settings = SamplingSettings.build(pipe, folder.defaults(), steps, guidance_scale, height, width)
    info = ModelInfo(
        name=name or model,
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
        files=folder.other_hashes(),
        versions=_versions(),
    )
    return DiffusersModel(pipe, info, folder.path)


def wrap_pipeline(
    pipe: Any,
    *,
    name: str | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    height: int | None = None,
    width: int | None = None,
) -> DiffusersModel:
    """A generator around somebody else's pipeline, which stays as it is, on its device and in its precision.

    Args:
        name: what it is called in run files; default: where it was loaded from. steps, guidance_scale,
            height, width: as in `load_model`.

    Raises:
        UserError: a value is out of range, or unknown to the pipeline.
    """
    _check_pipeline(pipe)
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
        weights=fingerprints(pipe),
        files=setting_hashes(pipe),
        versions=_versions(),
    )
    return DiffusersModel(pipe, info)


def _check_pipeline(pipe: Any) -> None:
    """Raise `UserError` for what cannot be called with a prompt."""
    from diffusers import DiffusionPipeline, ModularPipeline

    name = type(pipe).__name__
    if isinstance(pipe, ModularPipeline):
        raise UserError(
            f"{name} is a modular pipeline: put fairgen.steering.modular.ToneSteps into its blocks, or give "
            "fairgen the pipeline that it was made from."
        )
    if not isinstance(pipe, DiffusionPipeline):
        raise UserError(f"A diffusers pipeline is needed, or the name of a model, not {name}.")
    if "prompt" not in inspect.signature(type(pipe).__call__).parameters:
        raise UserError(f"{name} is not called with a prompt: fairgen needs a text-to-image pipeline.")
    encoders = [part for key, part in pipe.components.items() if key.startswith("text_encoder")]
    if encoders and all(part is None for part in encoders):
        raise UserError(
            f"The text encoders of {name} are not loaded, so it cannot read a prompt: load them, or steer "
            "its embeddings with fairgen.ToneGuidance(..., encode=...)."
        )
    with quiet_libraries():
        check_reads_prompts(pipe, name)


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
