"""Loads a diffusers text-to-image pipeline as it is, or takes one that is loaded already."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from fairgen.common.collector import uncollected_imports
from fairgen.common.libraries import quiet_libraries, versions
from fairgen.errors import UserError
from fairgen.models.additions import put_on
from fairgen.models.contract import Model
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.fingerprint import fingerprints, setting_hashes
from fairgen.models.folder import ModelFolder, find_model, looks_like_file, require_utf8
from fairgen.models.kinds import kind_of
from fairgen.models.memory import place
from fairgen.models.near_noise import check_varies
from fairgen.models.options import ModelOptions, is_settings, read_settings
from fairgen.models.reading import check_reads_prompts
from fairgen.models.settings import SamplingSettings, main_scheduler
from fairgen.models.single_file import SingleFile, open_single_file
from fairgen.runs import ModelInfo
from fairgen.steering.denoiser import denoiser

_PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "numpy", "pillow", "mediapipe")
DEVICES = ("auto", "cuda", "cuda:N", "mps", "cpu")


def load_model(
    model: str = "embedded",
    device: str = "auto",
    *,
    name: str | None = None,
    options: ModelOptions | None = None,
    **given: Any,
) -> Model:
    """Load a model for sampling.

        load_model("my-model.safetensors", lora=["style.safetensors:0.8"], steps=25, offload="model")

    Args:
        model: "embedded"; a single file (.safetensors in its original layout, or .gguf); a local folder in
            diffusers format; a hub id (looked for on this machine first); a YAML or JSON file of settings,
            which holds ``model`` and options; ``api:NAME``, a model behind an API (`load_remote` in
            `fairgen.models.remote`); or the name of another kind of model (`fairgen.models.kinds`).
            Only safetensors and GGUF.
        device: "auto" takes CUDA, then MPS (Apple), then the CPU.
        name: what run files call it; default: ``model``.
        options: how it is opened.
        given: fields of `ModelOptions` by name (``steps``, ``guidance_scale``, ``lora``, ``scheduler`` ...),
            which count before ``options``, as these do before a file of settings.

    Raises:
        UserError: the model does not exist, cannot be reached, is of the wrong kind, does not fit into
            memory; the device is not there; a value is out of range.
    """
    require_utf8(model)
    chosen = ModelOptions.of(given).over(options or ModelOptions())
    called = name or model
    if is_settings(model):
        model, own = read_settings(Path(model).expanduser())
        chosen = chosen.over(own)
    loaded: Model = resolve_name(kind_of(model).home)(model, device, name=called, options=chosen)
    return loaded


def load_diffusers(
    model: str,
    device: str = "auto",
    *,
    name: str | None = None,
    options: ModelOptions | None = None,
    **given: Any,
) -> DiffusersModel:
    """Load a diffusers pipeline; as `load_model`, for the kind "diffusers"."""
    chosen = ModelOptions.of(given).over(options or ModelOptions())
    if chosen.api_quality or chosen.api_seeds:
        raise UserError("--api-quality and --api-seeds are for models behind an API, named api:NAME.")
    where = _device(device)
    with uncollected_imports(), quiet_libraries():
        source = _source(model, chosen)
        dtype = _dtype(source, where) if chosen.dtype == "auto" else chosen.dtype
        pipe, weights = _load(source, model, where, dtype, chosen)
        check_reads_prompts(pipe, model)
        if chosen.vary:
            check_varies(pipe)
    folder = source if isinstance(source, ModelFolder) else None
    defaults = folder.defaults() if folder else {}
    settings = SamplingSettings.build(
        pipe, defaults, chosen.steps, chosen.guidance_scale, chosen.height, chosen.width
    )
    info = ModelInfo(
        name=name or model,
        source=folder.source if folder else "file",
        pipeline=type(pipe).__name__,
        scheduler=type(main_scheduler(pipe)).__name__,
        device=where,
        dtype=dtype,
        weights=weights,
        files=source.other_hashes(),
        versions=versions(*_PACKAGES),
        options=chosen.given(),
        **asdict(settings),
    )
    made = DiffusersModel(pipe, info, folder.path if folder else None)
    if chosen.negative_prompt is not None:
        made = made.called_with({"negative_prompt": chosen.negative_prompt})
    return made


def _source(model: str, options: ModelOptions) -> ModelFolder | SingleFile:
    """Where the model lies. Raises `UserError`."""
    path = Path(model).expanduser()
    if model and path.exists() and not path.is_dir():
        if options.variant is not None:
            raise UserError("A single file has no variants: leave --variant out.")
        return open_single_file(path, options.base)
    if looks_like_file(model):
        raise UserError(f"There is no file {model}: check the path.")
    if options.base is not None:
        raise UserError("--base is for models that are a single file: leave it out for a folder or a hub id.")
    return find_model(model, options.variant)


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
        name: what it is called in run files; default: the hub id or the name of the folder that it was loaded
            from. steps, guidance_scale, height, width: as in `load_model`.

    Raises:
        UserError: a value is out of range, or unknown to the pipeline.
    """
    _check_pipeline(pipe)
    origin = name or _origin(pipe)
    settings = SamplingSettings.build(pipe, {}, steps, guidance_scale, height, width)
    info = ModelInfo(
        name=origin or type(pipe).__name__,
        source="pipeline",
        pipeline=type(pipe).__name__,
        scheduler=type(main_scheduler(pipe)).__name__,
        device=str(pipe._execution_device),
        dtype=str(pipe.dtype).removeprefix("torch."),
        weights=fingerprints(pipe),
        files=setting_hashes(pipe),
        versions=versions(*_PACKAGES),
        **asdict(settings),
    )
    return DiffusersModel(pipe, info)


def _origin(pipe: Any) -> str:
    """The hub id of a pipeline, or the name of its folder: not the path, since pictures travel."""
    origin = str(getattr(pipe, "name_or_path", "") or getattr(pipe.config, "_name_or_path", "") or "")
    return Path(origin).resolve().name if origin and Path(origin).is_dir() else origin


def _check_pipeline(pipe: Any) -> None:
    """Raise `UserError` for what cannot be called with a prompt."""
    from diffusers import DiffusionPipeline, ModularPipeline

    name = type(pipe).__name__
    if isinstance(pipe, ModularPipeline):
        raise UserError(
            f"{name} is a modular pipeline: steer its blocks with fairgen.steering.modular.steered, or give "
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


def _dtype(source: ModelFolder | SingleFile, device: str) -> str:
    if isinstance(source, SingleFile):
        embedded, transformer = False, source.is_transformer
    else:
        embedded, transformer = source.source == "embedded", "unet" not in source.index
    # The embedded model is so small that half precision gains nothing; its pictures agree across devices.
    if embedded or device == "cpu":
        return "float32"
    return "bfloat16" if transformer and device != "mps" else "float16"


def _load(
    source: ModelFolder | SingleFile, name: str, device: str, dtype: str, options: ModelOptions
) -> tuple[Any, dict[str, str]]:
    """The pipeline, and what its pictures hang on: name -> hash."""
    import torch

    try:
        pipe = source.load(dtype)
        own = source.weight_hashes()
        added = put_on(pipe, options)
        pipe = place(pipe, device, options.offload)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UserError(
            f"The model {name!r} does not fit into the memory of {device}: use --offload model (or group), "
            "--device cpu, or a smaller model."
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        # Whatever diffusers and transformers raise for files that contradict each other.
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise UserError(
            f"The model {name!r} cannot be loaded as a {source.pipeline_class}: {reason}"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    if options.compile:
        if (module := denoiser(pipe)) is None:
            raise UserError(f"{type(pipe).__name__} has no denoiser to compile: leave --compile out.")
        module.compile()
    if options.vae is not None:
        own = {key: value for key, value in own.items() if not key.startswith(("vae/", "base/vae/"))}
    return pipe, own | added
