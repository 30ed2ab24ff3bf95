"""What text encoder and UNet are taught, in one folder that can travel to an accelerator: the autoencoder's
latents of the renders, where the face lies in each, and captions as tokens.

Latents are kept in 8 bits: their step is a tenth of their channel's spread, a rounding error of 3 % of it,
where the decoder was trained with a noise of 10 %. 20,000 portraits seen once are 100 MB, 56 once compressed.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from rich.progress import track
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from fairgen.errors import UserError

from .autoencoder import HELD_OUT, SIDE, to_tensor
from .captions import MODEL_MAX_LENGTH
from .dataset import Portraits
from .precision import mixed_precision
from .skin import TONE_WORDS
from .text import build_tokenizer

_STEP = 0.1  # of a channel's standard deviation
_CLIPPED = 1e-3  # of the latents may lie beyond ten standard deviations
_BATCH = 50
_CAPTIONS = 16  # phrasings of each portrait
_FILE, _VAE, _TOKENIZER = "lessons.safetensors", "vae", "tokenizer"
_LONGEST_FIRST = sorted(
    range(len(TONE_WORDS)), key=lambda k: -len(TONE_WORDS[k])
)  # "very dark" before "dark"


@dataclass(frozen=True)
class Lessons:
    """The whole set, on one device; row ``r`` of the pictures is portrait ``r % len(tokens)``.

    latents: n x c x 16 x 16, int8, in steps of ``step`` (c), a channel's unscaled unit.
    faces: n x 16 x 16, uint8, the share of face in each cell.
    tokens: portraits x captions x length, int16; told: portraits x captions, the number of the tone word that
    a caption says, `len(TONE_WORDS)` for none. empty: length, the tokens of no caption at all.
    """

    latents: torch.Tensor
    step: torch.Tensor
    faces: torch.Tensor
    tokens: torch.Tensor
    told: torch.Tensor
    empty: torch.Tensor
    vae: Path
    tokenizer: Path

    @property
    def spread(self) -> float:
        """Standard deviation of the latents, unscaled."""
        return float((self.latents * self.step[:, None, None]).std())


def tone_told(caption: str) -> int:
    """The number of the tone word that a caption says, `len(TONE_WORDS)` for none."""
    return next((k for k in _LONGEST_FIRST if f"{TONE_WORDS[k]} skin" in caption), len(TONE_WORDS))


def load_lessons(folder: Path, device: torch.device) -> Lessons:
    """What `prepare` wrote.

    Raises:
        UserError: it wrote nothing there.
    """
    path = folder / _FILE
    if not path.exists():
        raise UserError(f"{folder} holds no lessons: run `python -m tools.portraits prepare` first.")
    return Lessons(**load_file(path, str(device)), vae=folder / _VAE, tokenizer=folder / _TOKENIZER)


def prepare(data: Path, vae: Path, out: Path, *, views: int = 2, seed: int = 0, device: str = "cpu") -> None:
    """Write ``out``; an existing one is replaced. ``views``: 2 for every portrait and its mirror picture, 1
    for the one or the other, by chance.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        folder = Path(scratch) / "lessons"
        model = AutoencoderTiny.from_pretrained(vae).to(device).eval().requires_grad_(False)
        model.save_pretrained(folder / _VAE)
        tokenizer = build_tokenizer(folder / _TOKENIZER)
        portraits = Portraits(data)
        tensors = _seen(model, portraits, views, np.random.default_rng(seed), torch.device(device))
        tensors |= _read(tokenizer, portraits, np.random.default_rng([seed, 1]))
        save_file(tensors, folder / _FILE)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)


def _seen(
    vae: AutoencoderTiny, portraits: Portraits, views: int, rng: np.random.Generator, device: torch.device
) -> dict[str, torch.Tensor]:
    """Latents and faces of every portrait that trainings see."""
    latents, faces = [], []
    count = len(portraits)
    turned = rng.integers(0, 2, count).astype(bool)
    for view in range(views):
        for i in track(range(HELD_OUT, count, _BATCH), f"encoding, view {view + 1} of {views}"):
            part = slice(i, min(i + _BATCH, count))
            with torch.no_grad(), mixed_precision(device):
                x = to_tensor(portraits.images[part], device)
                skin = torch.from_numpy(portraits.skin[part]).to(device)[:, None].float() / 255
                face = F.max_pool2d(F.adaptive_avg_pool2d(skin, SIDE), 3, 1, 1)  # eyes and mouth as well
                mirror = torch.from_numpy(turned[part] ^ bool(view)).to(device)[:, None, None, None]
                x = torch.where(mirror, x.flip(-1), x).contiguous(memory_format=torch.channels_last)
                found = vae.encode(x).latents
            latents.append(found.float().cpu())
            faces.append((torch.where(mirror, face.flip(-1), face)[:, 0] * 255).round().byte().cpu())
    whole = torch.cat(latents)
    step = _STEP * whole.std((0, 2, 3))
    levels = (whole / step[:, None, None]).round()
    if float((levels.abs() > 127).float().mean()) > _CLIPPED:
        raise ValueError("the autoencoder's latents are not centred on 0 and do not fit into 8 bits")
    levels = levels.clamp(-127, 127).to(torch.int8).contiguous()
    return {"latents": levels, "step": step, "faces": torch.cat(faces)}


def _read(
    tokenizer: CLIPTokenizer, portraits: Portraits, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    """Captions of every portrait that trainings see, as tokens."""
    captions = [portraits.caption(k, rng) for k in range(HELD_OUT, len(portraits)) for _ in range(_CAPTIONS)]
    distinct, which = np.unique(captions, return_inverse=True)
    tokens = tokenizer(
        ["", *distinct],
        padding="max_length",
        max_length=MODEL_MAX_LENGTH,
        truncation=True,
        return_tensors="pt",
    ).input_ids.to(torch.int16)
    told = torch.tensor([tone_told(str(words)) for words in distinct], dtype=torch.int8)
    rows = torch.from_numpy(which)
    return {
        "empty": tokens[0].clone(),
        "tokens": tokens[1:][rows].view(-1, _CAPTIONS, MODEL_MAX_LENGTH).contiguous(),
        "told": told[rows].view(-1, _CAPTIONS).contiguous(),
    }
