"""Single files of weights: whether they may be opened at all, and what they are, by their tensors' names.

Only safetensors and GGUF are opened. A header is read before anything else, and nothing in it is executed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fairgen.errors import UserError

__all__ = ["Contents", "Kind", "read_contents"]

Kind = Literal[
    "checkpoint",
    "gguf",
    "LoRA",
    "textual inversion",
    "autoencoder",
    "ControlNet",
    "IP-Adapter",
    "part",
    "other",
]
_PICKLED = (".ckpt", ".bin", ".pt", ".pth", ".pkl", ".pickle")
_MAGIC = (
    (b"PK\x03\x04", "a pickle of PyTorch or a zip archive"),
    (b"\x80", "a pickle"),
    (b"GGUF", "a GGUF file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!", "a script"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"Rar!", "a rar archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
    (b"<", "a web page"),
)
_MOST_TENSORS = 200_000


@dataclass(frozen=True)
class Contents:
    """What a file of weights holds.

    Attributes:
        path: where it lies.
        kind: what it is.
        shapes: tensor -> its shape; empty for GGUF.
        metadata: what the header says beside the tensors.
    """

    path: Path
    kind: Kind
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]

    def has(self, *prefixes: str) -> bool:
        """Whether a tensor's name begins with one of these."""
        return any(name.startswith(prefixes) for name in self.shapes)


def read_contents(path: Path, what: str) -> Contents:
    """Look into a file of weights.

    Args:
        path: the file.
        what: what it was given as, for messages, such as "model" or "LoRA".

    Raises:
        UserError: it is missing, a pickle, damaged, or nothing that may be opened; the sentence says what to
            do.
    """
    _check_name(path, what)
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise UserError(f"The {what} {path} cannot be read ({error.strerror}).") from error
    if path.suffix == ".gguf":
        if not start.startswith(b"GGUF"):
            raise UserError(f"The {what} {path} is no GGUF file, whatever its name says: download it again.")
        return Contents(path, "gguf", {}, {})
    shapes, metadata = _header(path, what, start)
    return Contents(path, _kind(shapes), shapes, metadata)


def _check_name(path: Path, what: str) -> None:
    suffix = path.suffix.lower()
    if path.is_dir():
        raise UserError(f"The {what} {path} is a folder: name a file in it.")
    if not path.exists():
        raise UserError(f"There is no {what} {path}: check the path.")
    if not path.is_file():
        raise UserError(f"The {what} {path} is a device or a pipe: name a file.")
    if suffix in _PICKLED:
        raise UserError(
            f"The {what} {path} is a pickle ({suffix}), which can run code when it is opened: look for the "
            "same as .safetensors, or convert it on a machine that may be lost (torch.load with "
            "weights_only=True, then safetensors.torch.save_file)."
        )
    if path.suffix not in (".safetensors", ".gguf"):  # diffusers goes by the name, capitals included
        raise UserError(
            f"The {what} {path} does not end in .safetensors or .gguf, and nothing else is opened: rename "
            "it if it is one of these, else look for such a file."
        )


def _header(path: Path, what: str, start: bytes) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    if not start:
        raise UserError(f"The {what} {path} is empty: download it again.")
    try:
        with safe_open(path, framework="np") as tensors:
            names = list(tensors.keys())
            if len(names) > _MOST_TENSORS:
                raise UserError(f"The {what} {path} lists {len(names)} tensors, which no model has.")
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
            metadata = dict(tensors.metadata() or {})
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        found = next((words for magic, words in _MAGIC if start.lstrip().startswith(magic)), None)
        reason = f"is {found}, whatever its name says" if found else "is damaged or cut off"
        raise UserError(f"The {what} {path} {reason}: download it again, as .safetensors.") from error
    if not shapes:
        raise UserError(f"The {what} {path} holds no weights: download it again.")
    return shapes, metadata


_LORA = re.compile(
    r"(^lora_(unet|te\d?|transformer)_|^lycoris_|[._]lora[._]?(up|down|A|B|mid)\b|\.lora\.|"
    r"\.(hada_w1_a|lokr_w1|lokr_w2|oft_blocks|dora_scale|diff_b)\b)"
)
_DENOISER = (
    "model.diffusion_model.",
    "double_blocks.",
    "single_blocks.",
    "joint_blocks.",
    "double_layers.",
    "layers.0.adaLN_modulation",
    "cap_embedder.",
    "distilled_guidance_layer.",
    "single_stream_modulation.",
    "txtfusion.",
    "txt_in.text_norm.",
    "double_stream_blocks.",
    "early_stream_modulations.",
    "blocks.0.cross_attn.q_linear",
)
_PART = (
    "down_blocks.", "mid_block.", "transformer_blocks.", "single_transformer_blocks.", "text_model.",
    "encoder.block.", "model.layers.", "model.embed_tokens.", "encoder.down_blocks.",
)  # fmt: skip
_AUTOENCODER = (
    "encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "first_stage_model.", "vae.", "bn.", "loss.",
    "model_ema.",
)  # fmt: skip


def _kind(names: Collection[str]) -> Kind:
    """What kind of file has tensors of these names; the first that fits counts."""

    def some(*beginnings: str) -> bool:
        return any(name.startswith(beginnings) for name in names)

    if sum(bool(_LORA.search(name)) for name in names) * 3 >= len(names):
        return "LoRA"
    if set(names) in ({"emb_params"}, {"clip_l", "clip_g"}, {"clip_l"}, {"clip_g"}):
        return "textual inversion"
    if len(names) == 1 and some("<"):
        return "textual inversion"
    if some("control_model.", "controlnet_", "input_hint_block.", "control_layers."):
        return "ControlNet"
    if some("ip_adapter.", "image_proj."):
        return "IP-Adapter"
    if some(*_DENOISER):
        return "checkpoint"
    if any("decoder." in name for name in names) and all(name.startswith(_AUTOENCODER) for name in names):
        return "autoencoder"
    return "part" if some(*_PART) else "other"
