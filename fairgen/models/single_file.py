"""Loads a single-file checkpoint in its original layout: Stable Diffusion, SDXL, SD 3, Flux and others.

diffusers translates the tensors; the configuration comes from a base (`fairgen.models.base`), from this
machine wherever it is there. What the file lacks (the text encoders of a Flux checkpoint) is the base's.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from fairgen.errors import UserError
from fairgen.models.base import Base, find_base, parts_with_weights
from fairgen.models.files import Contents, read_contents
from fairgen.models.folder import file_hash, setting_hashes_of

__all__ = ["SingleFile", "open_single_file"]

_INSTEAD = {
    "LoRA": "is a LoRA: give a model with --model and this file with --lora",
    "textual inversion": "is a textual inversion: give a model with --model and this file with "
    "--textual-inversion",
    "autoencoder": "is an autoencoder alone: give a model with --model and this file with --vae",
    "ControlNet": "is a ControlNet, which makes no pictures from words: give a text-to-image model",
    "IP-Adapter": "is an IP-Adapter, which makes no pictures from words: give a text-to-image model",
    "part": "is one part of a model in diffusers' format: give the whole folder (with model_index.json)",
    "other": "is no text-to-image model that diffusers knows from a single file: give another file, or a "
    "folder in diffusers' format",
}
_CLIP = ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l.")
_PLACES = {
    "vae": ("first_stage_model.", "vae."),
    "text_encoder": _CLIP,
    "text_encoder_2": ("conditioner.embedders.1.", "text_encoders.clip_g."),
}
"""Beginnings of a part's tensors in the original layouts."""


class SingleFile:
    """A checkpoint whose kind and configuration are known.

    Args:
        contents: what the file holds.
        base: where its configuration and what it lacks come from.
    """

    def __init__(self, contents: Contents, base: Base) -> None:
        self.path = contents.path
        self.base = base
        self._contents = contents
        self._denoiser = next(
            (part for part in ("unet", "transformer") if base.index.get(part, [None])[0]), ""
        )
        if not self._denoiser:
            raise _not_openable(base.pipeline_class, "a single file")
        self.lent = tuple(part for part in parts_with_weights(base) if not self._holds(part))
        """Parts that come from the base."""
        lacking = [part for part in self.lent if not base.weights_of(part)]
        if lacking:
            raise UserError(
                f"{self.path} holds no {' and no '.join(lacking)}, and neither does the base {base.name}: "
                "name a folder in diffusers' format that does with --base."
            )

    @property
    def is_transformer(self) -> bool:
        """Whether the denoiser is a transformer, not a UNet."""
        return self._denoiser == "transformer"

    @property
    def pipeline_class(self) -> str:
        """Class name of the pipeline."""
        return self.base.pipeline_class

    def other_hashes(self) -> dict[str, str]:
        """As `weight_hashes`, of the base's index, configurations and vocabularies."""
        found = setting_hashes_of(self.base.path, dict(self.base.index))
        return {f"base/{name}": value for name, value in found.items()}

    def weight_hashes(self) -> dict[str, str]:
        """File -> 'sha256:<hex>': the checkpoint, what the base lends, and how it sets the scheduler."""
        found = {self.path.name: file_hash(self.path)}
        scheduler = self.base.path / "scheduler" / "scheduler_config.json"
        if scheduler.is_file():
            found["base/scheduler/scheduler_config.json"] = file_hash(scheduler)
        for part in self.lent:
            for file in self.base.weights_of(part):
                found[f"base/{file.relative_to(self.base.path).as_posix()}"] = file_hash(file)
        return found

    def load(self, dtype: str) -> Any:
        """The pipeline, on the CPU.

        Raises:
            UserError: the file and its base do not fit together, or the file lacks weights.
        """
        import torch
        from diffusers.loaders.single_file_utils import SingleFileComponentError

        try:
            pipe = self._loaded(getattr(torch, dtype))
        except SingleFileComponentError as error:  # of none of a part's names there are weights
            raise self._incomplete("the weights of a part") from error
        except NotImplementedError as error:  # of torch: what was not there cannot be converted
            raise self._incomplete("weights") from error
        self._check_whole(pipe)
        return self._with_prediction(pipe)

    def _loaded(self, chosen: Any) -> Any:
        """The pipeline as diffusers loads it; ``chosen``: the precision."""
        import diffusers

        with self.base.without_pickles() as folder:
            parts = {part: _part(folder, self.base, part, chosen) for part in self.lent}
            if self._contents.kind == "gguf":
                parts[self._denoiser] = self._quantised(folder, chosen)
                return diffusers.DiffusionPipeline.from_pretrained(
                    str(folder), use_safetensors=True, local_files_only=True, torch_dtype=chosen, **parts
                )
            kind = _openable(self.pipeline_class, "a single file")
            return kind.from_single_file(
                str(self.path), config=str(folder), local_files_only=True, torch_dtype=chosen, **parts
            )

    def _holds(self, part: str) -> bool:
        """Whether the file has this part."""
        if part == self._denoiser:
            return True
        kind = str(self.base.index[part][1])
        if kind.startswith("T5Encoder"):
            return self._contents.has("text_encoders.t5xxl.")
        if part == "vae":  # of some autoencoders, such as the tiny one, there is no original layout
            import diffusers

            own = hasattr(getattr(diffusers, kind, None), "from_single_file")
            return own and self._contents.has(*_PLACES["vae"])
        if kind not in ("CLIPTextModel", "CLIPTextModelWithProjection"):
            return False
        return self._contents.has(*_PLACES.get(part, ("\0",)))

    def _quantised(self, folder: Path, dtype: Any) -> Any:
        """The denoiser from a GGUF file, whose weights stay quantised and are computed with in ``dtype``."""
        import diffusers

        if importlib.util.find_spec("gguf") is None:
            raise UserError("GGUF files need the package gguf: pip install 'fairgen[gguf]'.")
        kind = _openable(str(self.base.index[self._denoiser][1]), "GGUF")
        return kind.from_single_file(
            str(self.path),
            config=str(folder),
            subfolder=self._denoiser,
            local_files_only=True,
            quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=dtype),
            torch_dtype=dtype,
        )

    def _check_whole(self, pipe: Any) -> None:
        """Refuse what diffusers leaves without a word: weights that the file does not have."""
        import torch

        for name, part in pipe.components.items():
            if not isinstance(part, torch.nn.Module):
                continue
            missing = [key for key, value in part.state_dict().items() if value.is_meta]
            if missing:
                raise self._incomplete(f"{len(missing)} weights of the {name} ({missing[0]})")

    def _incomplete(self, what: str) -> UserError:
        return UserError(
            f"{self.path} lacks {what}: it is another kind of model than its base {self.base.name}, or not "
            "whole."
        )

    def _with_prediction(self, pipe: Any) -> Any:
        """Some SDXL checkpoints say by an empty tensor that they predict v, or were trained to pure noise."""
        if "v_pred" in self._contents.shapes:
            changes: dict[str, Any] = {"prediction_type": "v_prediction"}
            if "ztsnr" in self._contents.shapes:
                changes["rescale_betas_zero_snr"] = True
            pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **changes)
        return pipe


def _openable(name: str, source: str) -> Any:
    """The class of diffusers of that name, which must be one that opens single files. Raises `UserError`."""
    import diffusers

    kind: Any = getattr(diffusers, name)
    if not hasattr(kind, "from_single_file"):
        raise _not_openable(name, source)
    return kind


def _not_openable(name: str, source: str) -> UserError:
    return UserError(f"A {name} cannot be opened from {source}: give a folder in diffusers' format.")


def _part(folder: Path, base: Base, name: str, dtype: Any) -> Any:
    """One of the base's parts."""
    from diffusers import pipelines

    # The library is diffusers, transformers or a module of the former, as `find_base` made sure.
    library, kind = base.index[name]
    module: Any = getattr(pipelines, library, None) or importlib.import_module(library)
    return getattr(module, kind).from_pretrained(
        str(folder), subfolder=name, local_files_only=True, use_safetensors=True, torch_dtype=dtype
    )


def open_single_file(path: Path, base: str | None) -> SingleFile:
    """Look into a checkpoint and find its base.

    Raises:
        UserError: it may not be opened, is no text-to-image model, or has no base.
    """
    contents = read_contents(path, "model")
    if contents.kind in _INSTEAD:
        raise UserError(f"{path} {_INSTEAD[contents.kind]}.")
    if contents.kind == "gguf" and base is None and not path.with_suffix("").is_dir():
        raise UserError(
            f"{path} holds a denoiser alone, as GGUF files do: name a folder or hub id in diffusers' format "
            "of the same model with --base, for everything else."
        )
    return SingleFile(contents, find_base(contents, base))
