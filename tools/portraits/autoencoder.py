"""Trains the autoencoder (diffusers' AutoencoderTiny, 8x smaller, 8 channels) on rendered portraits.

The loss is divided by local contrast: a plain L1 in sRGB cares least where contrast is lowest, so the
details of *dark* faces would be lost first. Skin, eyes and mouth weigh more than the rest. The gate after
training is the share of faces found in reconstructions, by tone (evaluate.py).
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from .dataset import Portraits

HELD_OUT = 400  # the first portraits of the set are never trained on
_LEARNING_RATE = 2e-3
_BATCH = 24
_CROP = 80  # the network is convolutional: pieces of pictures teach it as well, in 40 % of the time


def new_autoencoder(width: int = 64, latent_channels: int = 8) -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(width,) * 4,
        decoder_block_out_channels=(width,) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 3, 2, 0),
        latent_channels=latent_channels,
    )


def to_tensor(images: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """uint8 n x h x w x 3 to float n x 3 x h x w in -1..1."""
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return (x.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def local_contrast(x: torch.Tensor) -> torch.Tensor:
    """Standard deviation of luma in a 9 x 9 window, n x 1 x h x w."""
    luma = x.mean(1, keepdim=True)
    mean = F.avg_pool2d(luma, 9, 1, 4, count_include_pad=False)
    square = F.avg_pool2d(luma * luma, 9, 1, 4, count_include_pad=False)
    return (square - mean * mean).clamp_min(0).sqrt()


def reconstruction_loss(y: torch.Tensor, x: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
    """Contrast-normalised L1 of values and of their gradients, L1 and L2 of 4x4 means; ``face``: n x 1 x h x
    w, 0-1.
    """
    weight = (1 + 2 * face) / (local_contrast(x) + 0.08)
    weight = weight / weight.mean((2, 3), keepdim=True)
    d = y - x
    values = (weight * d.abs()).mean()
    across = (weight[..., 1:] * (d[..., 1:] - d[..., :-1]).abs()).mean()
    down = (weight[..., 1:, :] * (d[..., 1:, :] - d[..., :-1, :]).abs()).mean()
    coarse = F.avg_pool2d(d, 4)
    # The squares pull saturated colours out of the grey that an L1 is content with for long.
    return values + 0.8 * (across + down) + 0.5 * coarse.abs().mean() + 2 * coarse.square().mean()


def _psnr(model: AutoencoderTiny, images: npt.NDArray[np.uint8], device: torch.device) -> float:
    values = []
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        for i in range(0, len(images), 50):
            x = to_tensor(images[i : i + 50], device)
            y = model.decode(model.encode(x).latents).sample.float().clamp(-1, 1)
            values.append(-10 * torch.log10(((y - x) / 2).square().mean((1, 2, 3))))
    return float(torch.cat(values).mean())


def train_autoencoder(
    data: Path,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    width: int = 64,
    latent_channels: int = 8,
    device: str = "cpu",
    piece_minutes: float | None = None,
) -> None:
    """Train for ``minutes`` in all; ``piece_minutes`` ends this run early. A checkpoint in ``out`` is
    resumed.
    """
    dev = torch.device(device)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    portraits = Portraits(data)
    model = new_autoencoder(width, latent_channels).to(dev, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), _LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    spent, step = 0.0, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=dev, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        spent, step = float(state["seconds"]), int(state["step"])
        rng = np.random.default_rng([seed, step])

    def save(seconds: float) -> None:
        state = {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "seconds": seconds,
            "step": step,
        }
        temporary = checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(checkpoint)
        model.save_pretrained(out / "vae")

    start, budget, losses = time.monotonic(), minutes * 60, []
    with Progress(
        *Progress.get_default_columns()[:2], TimeRemainingColumn(), TextColumn("{task.fields[note]}")
    ) as bar:
        task = bar.add_task("autoencoder", total=budget, completed=int(spent), note="")
        while True:
            seconds = spent + time.monotonic() - start
            ended = piece_minutes is not None and seconds - spent > piece_minutes * 60
            if seconds >= budget or ended:
                break
            rate = (
                _LEARNING_RATE
                * min(1, (step + 1) / 100)
                * (0.5 * (1 + math.cos(math.pi * seconds / budget)) + 0.01)
            )
            for group in optimiser.param_groups:
                group["lr"] = rate
            pick = rng.integers(HELD_OUT, len(portraits), _BATCH)
            side = portraits.images.shape[1]
            # Near the middle, where the faces are, more often than in the corners.
            row, column = (int(v) // 8 * 8 for v in (side - _CROP + 8) * rng.beta(1.5, 1.5, 2))
            window = np.s_[pick, row : row + _CROP, column : column + _CROP]
            x = to_tensor(portraits.images[window], dev)
            face = torch.from_numpy(portraits.skin[window]).to(dev)[:, None].float() / 255
            if rng.random() < 0.5:
                x, face = x.flip(-1), face.flip(-1)
            face = F.max_pool2d(face, 9, 1, 4)  # eyes, brows and mouth lie inside the skin
            with torch.autocast(dev.type, torch.bfloat16):
                z = model.encode(x.contiguous(memory_format=torch.channels_last)).latents
                y = model.decode(z + 0.05 * torch.randn_like(z)).sample
            z = z.float()
            spread = (z.mean((0, 2, 3)).square() + (z.std((0, 2, 3)) - 1).square()).mean()
            loss = reconstruction_loss(y.float(), x, face) + 0.02 * spread
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            step += 1
            losses.append(float(loss.detach()))
            bar.update(task, completed=seconds)
            if step % 200 == 0:
                psnr = _psnr(model, portraits.images[:100], dev)
                note = f"step {step} loss {np.mean(losses[-200:]):.4f} PSNR {psnr:.2f} dB"
                bar.update(task, note=note)
                bar.console.print(f"{seconds:6.0f} s  {note}")
                save(seconds)
    save(spent + time.monotonic() - start)
    print(f"autoencoder: {step} steps, held-out PSNR {_psnr(model, portraits.images[:HELD_OUT], dev):.2f} dB")
