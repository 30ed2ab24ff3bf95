"""What people put onto a loaded pipeline: LoRAs, words of their own, another autoencoder or scheduler."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairgen.errors import UserError
from fairgen.models.files import read_contents
from fairgen.models.fingerprint import hash_of, options_hash
from fairgen.models.folder import file_hash
from fairgen.models.options import LoraFile, ModelOptions, TokenFile
from fairgen.models.schedulers import with_scheduler

__all__ = ["put_on"]


def put_on(pipe: Any, options: ModelOptions) -> dict[str, str]:
    """Change a pipeline that was loaded here as the options say.

    Returns what its pictures hang on beside its own weights: name -> 'sha256:<hex>', for its fingerprint.

    Raises:
        UserError: a file cannot be used, or does not fit the pipeline.
    """
    found: dict[str, str] = {}
    if options.vae is not None:
        found |= _put_vae(pipe, Path(options.vae).expanduser())
    for place, inversion in enumerate(options.textual_inversion):
        found |= _put_words(pipe, inversion, place)
    if options.lora:
        found |= _put_loras(pipe, options.lora)
    if options.scheduler is not None:
        pipe.scheduler = with_scheduler(pipe, options.scheduler)
        found[f"scheduler {type(pipe.scheduler).__name__}"] = options_hash(pipe.scheduler)
    if options.vae_tiling:
        vae: Any = getattr(pipe, "vae", None)
        if not hasattr(vae, "enable_tiling"):
            raise UserError(f"The autoencoder of {type(pipe).__name__} cannot decode in tiles: leave it out.")
        vae.enable_tiling()
        found["vae tiling"] = hash_of(True)
    return found


def _put_loras(pipe: Any, loras: Sequence[LoraFile]) -> dict[str, str]:
    found, names = {}, []
    if not hasattr(pipe, "load_lora_weights"):
        raise UserError(f"{type(pipe).__name__} takes no LoRA: leave it out for this model.")
    for place, lora in enumerate(loras):
        path = Path(lora.file).expanduser()
        contents = read_contents(path, "LoRA")
        if contents.kind != "LoRA":
            raise UserError(f"{path} is no LoRA ({contents.kind}): give the file of a LoRA.")
        name = f"lora{place}"
        try:
            pipe.load_lora_weights(
                str(path.resolve().parent),
                weight_name=path.name,
                adapter_name=name,
                use_safetensors=True,
                local_files_only=True,
            )
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
            # Whatever diffusers and PEFT raise for a LoRA of another model.
            raise UserError(
                f"The LoRA {path} does not fit a {type(pipe).__name__}: {_first(error)}"
            ) from error
        held = {part for part, adapters in pipe.get_list_adapters().items() if name in adapters}
        if not held:
            raise UserError(
                f"The LoRA {path} changes nothing in a {type(pipe).__name__}: it was made for another kind "
                "of model."
            )
        names.append(name)
        told = f"lora {path.name} x {lora.weight:g}"
        # Files of one name from several folders: diffusers calls every LoRA that it saves the same.
        found[f"{told} ({place})" if told in found else told] = file_hash(path)
    pipe.set_adapters(names, [lora.weight for lora in loras])
    return found


def _put_words(pipe: Any, inversion: TokenFile, place: int) -> dict[str, str]:
    from safetensors.torch import load_file

    path = Path(inversion.file).expanduser()
    contents = read_contents(path, "textual inversion")
    if contents.kind != "textual inversion":
        raise UserError(f"{path} is no textual inversion ({contents.kind}): give the file of one.")
    if not hasattr(pipe, "load_textual_inversion"):
        raise UserError(f"{type(pipe).__name__} takes no textual inversion: leave it out for this model.")
    state = load_file(path)
    token = inversion.token or next((name for name in state if name.startswith("<")), path.stem)
    pairs = (
        [("text_encoder", "tokenizer", state["clip_l"]), ("text_encoder_2", "tokenizer_2", state["clip_g"])]
        if set(state) == {"clip_l", "clip_g"}
        else [("text_encoder", "tokenizer", next(iter(state.values())))]
    )
    try:
        for encoder, tokenizer, vectors in pairs:
            pipe.load_textual_inversion(
                {token: vectors},
                token=token,
                text_encoder=getattr(pipe, encoder),
                tokenizer=getattr(pipe, tokenizer),
            )
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"The textual inversion {path} does not fit a {type(pipe).__name__}: {_first(error)}"
        ) from error
    return {f"textual inversion {place} {token}": file_hash(path)}


def _put_vae(pipe: Any, path: Path) -> dict[str, str]:
    """Another autoencoder: a single file of the class that the pipeline has, or a folder of any class."""
    import diffusers

    if getattr(pipe, "vae", None) is None:
        raise UserError(f"{type(pipe).__name__} has no autoencoder to put another in the place of.")
    dtype = pipe.vae.dtype
    try:
        if path.is_dir():
            files = sorted(path.glob("*.safetensors"))
            if not (path / "config.json").is_file() or not files:
                raise UserError(
                    f"The folder {path} holds no autoencoder as safetensors (config.json and weights): "
                    "check it."
                )
            made = diffusers.AutoModel.from_pretrained(
                str(path),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                torch_dtype=dtype,
            )
            told = [path / "config.json", *files]
            hashes = {f"vae/{file.name}": file_hash(file) for file in told}
        else:
            contents = read_contents(path, "VAE")
            if contents.kind not in ("autoencoder", "checkpoint"):
                raise UserError(f"{path} is no autoencoder ({contents.kind}): give the file of one.")
            made = _autoencoder(pipe.vae, path, dtype)
            hashes = {f"vae/{path.name}": file_hash(path)}
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"The autoencoder {path} cannot be used: {_first(error)}") from error
    if not hasattr(made, "decode") or any(value.is_meta for value in made.state_dict().values()):
        raise UserError(f"{path} is no whole autoencoder of this kind: give another one.")
    if _latents(made) != _latents(pipe.vae):
        raise UserError(
            f"The autoencoder {path} has {_latents(made)} latent channels, that of this model "
            f"{_latents(pipe.vae)}: use one that was made for this kind of model."
        )
    pipe.vae = made.to(pipe.vae.device)
    return hashes


def _autoencoder(old: Any, path: Path, dtype: Any) -> Any:
    """The single file as an autoencoder with the old one's configuration."""
    if not hasattr(old, "from_single_file"):
        raise UserError(f"A {type(old).__name__} cannot be opened from a single file: give a folder.")
    with tempfile.TemporaryDirectory(prefix="fairgen-vae-") as made:
        old.save_config(made)
        return type(old).from_single_file(
            str(path), config=made, subfolder="", local_files_only=True, torch_dtype=dtype
        )


def _latents(vae: Any) -> int | None:
    found = getattr(vae.config, "latent_channels", None)
    return int(found) if isinstance(found, int) else None


def _first(error: Exception) -> str:
    """The first line of what a library said."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") + "." if lines else f"{type(error).__name__}."
