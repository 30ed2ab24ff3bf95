"""Trains the autoencoder (diffusers' AutoencoderTiny, 16 x 16 latents of 16 channels) on rendered portraits.

The loss is divided by local contrast: a plain L1 in sRGB cares least where contrast is lowest, so the
details of *dark* faces would be lost first. Skin, eyes and mouth weigh more than the rest. In the last part
of the training a small discriminator of patches, thrown away afterwards, asks for the fine texture that an L1
smooths away (Esser et al., arXiv 2012.09841, whose adaptive weight is used). The gate after training is the
share of faces found in reconstructions, by tone (evaluate.py).
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from .dataset import Portraits
from .muon import Muon, has_matrix
from .precision import mixed_precision
from .warm_start import fit_front, grow_autoencoder

HELD_OUT = 400  # the first portraits of the set are never trained on
SIDE = 16  # of the latents
_RATE, _MUON_RATE = 2e-3, 5e-3  # of AdamW for biases and colours, and of Muon for all other kernels
_KNOWING_SHARE = 0.3  # of those rates where the training starts from what is known: the full ones undo it
_BATCH = 16
_CROP = 128  # the network is convolutional: pieces of pictures teach it as well, in a quarter of the time
_NOISE = 0.1  # in latents of unit spread, so that the decoder forgives what a diffusion model gets wrong
_CRITIC_FROM = 0.65  # share of the training after which the discriminator joins
_KEPT_SHARE = 0.5  # weight of the latents that a grown autoencoder shall keep, beside the reconstruction
_CRITIC_WEIGHT = 0.15  # of its gradient beside the reconstruction's, at the last layer


def new_autoencoder(size: int = 256, width: int = 48, latent_channels: int = 16) -> AutoencoderTiny:
    """An autoencoder of pictures ``size`` px wide (128 or 256)."""
    levels = int(math.log2(size // SIDE)) + 1
    encoder, decoder = (0, 0, 1, 4, 6), (6, 4, 2, 1, 0)  # blocks cost little where pictures are small
    return AutoencoderTiny(
        encoder_block_out_channels=(width,) * levels,
        decoder_block_out_channels=(width,) * levels,
        num_encoder_blocks=encoder[-levels:],
        num_decoder_blocks=decoder[:levels],
        latent_channels=latent_channels,
    )


def new_critic(width: int = 48) -> torch.nn.Sequential:
    """A discriminator that judges patches of about 30 px (Isola et al., arXiv 1611.07004)."""
    layers: list[torch.nn.Module] = []
    for before, after, stride in ((3, width, 2), (width, 2 * width, 2), (2 * width, 3 * width, 1)):
        convolution = torch.nn.Conv2d(before, after, 4, stride, 1)
        layers += [torch.nn.utils.parametrizations.spectral_norm(convolution), torch.nn.LeakyReLU(0.2)]
    return torch.nn.Sequential(*layers, torch.nn.Conv2d(3 * width, 1, 4, 1, 1))


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
    with torch.no_grad(), mixed_precision(device):
        for i in range(0, len(images), 20):
            x = to_tensor(images[i : i + 20], device)
            y = model.decode(model.encode(x).latents).sample.float().clamp(-1, 1)
            values.append(-10 * torch.log10(((y - x) / 2).square().mean((1, 2, 3))))
    return float(torch.cat(values).mean())


class _Trainer:
    """Model, discriminator, their optimisers, and the checkpoint they come from."""

    def __init__(
        self,
        data: Path,
        out: Path,
        *,
        seed: int,
        width: int,
        channels: int,
        device: str,
        decoder_of: Path | None,
        grown_from: Path | None,
    ) -> None:
        self.device, self.out, self.whole = torch.device(device), out, decoder_of is None
        self.share = 1.0 if decoder_of is grown_from is None else _KNOWING_SHARE
        torch.manual_seed(seed)
        self.portraits = Portraits(data)
        size = self.portraits.images.shape[1]
        model = (
            new_autoencoder(size, width, channels)
            if decoder_of is None
            else AutoencoderTiny.from_pretrained(decoder_of)
        )
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.model.encoder.requires_grad_(self.whole)
        self.critic = new_critic().to(self.device)
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        kernels = [p for p in self.weights if has_matrix(p)]
        others = [p for p in self.weights if not has_matrix(p)]
        self.optimiser = torch.optim.AdamW(others, _RATE, betas=(0.9, 0.99), weight_decay=1e-4)
        self.muon = Muon(kernels, _MUON_RATE)
        self.critic_optimiser = torch.optim.AdamW(self.critic.parameters(), 4e-4, betas=(0.5, 0.9))
        self.seconds, self.step = 0.0, 0
        out.mkdir(parents=True, exist_ok=True)
        self.rng = np.random.default_rng(seed)
        self.known = AutoencoderTiny.from_pretrained(grown_from).to(self.device) if grown_from else None
        if self._checkpoint.exists():
            state = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.seconds, self.step = float(state["seconds"]), int(state["step"])
            self.rng = np.random.default_rng([seed, self.step])
        elif self.known is not None:
            grow_autoencoder(self.model, self.known)
            pieces = (self._pieces()[0] for _ in iter(int, 1))
            left = fit_front(self.model, self.known, pieces)
            print(f"grown from {grown_from}: its first features are met but for {left:.1%} of their variance")

    @property
    def _checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "critic": self.critic,
            "optimiser": self.optimiser,
            "muon": self.muon,
            "critic_optimiser": self.critic_optimiser,
        }

    def save(self, seconds: float) -> None:
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts().items()}
        temporary = self._checkpoint.with_suffix(".tmp")
        torch.save(state | {"seconds": seconds, "step": self.step}, temporary)
        temporary.replace(self._checkpoint)
        self.model.save_pretrained(self.out / "vae")

    def _pieces(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Random pieces of pictures, n x 3 x h x w in -1..1, and how much of each pixel is face."""
        pick = self.rng.integers(HELD_OUT, len(self.portraits), _BATCH)
        side = self.portraits.images.shape[1]
        crop = min(_CROP, side)
        # Near the middle, where the faces are, more often than in the corners.
        row, column = (int(v) // SIDE * SIDE for v in (side - crop + SIDE) * self.rng.beta(1.5, 1.5, 2))
        window = np.s_[pick, row : row + crop, column : column + crop]
        x = to_tensor(self.portraits.images[window], self.device)
        face = torch.from_numpy(self.portraits.skin[window]).to(self.device)[:, None].float() / 255
        if self.rng.random() < 0.5:
            x, face = x.flip(-1), face.flip(-1)
        face = F.max_pool2d(face, 15, 1, 7)  # eyes, brows and mouth lie inside the skin
        return x.contiguous(memory_format=torch.channels_last), face

    def learn(self, share: float) -> float:
        """One step, at ``share`` (0-1) of the training; returns the loss."""
        pace = min(1, (self.step + 1) / 100) * (0.5 * (1 + math.cos(math.pi * share)) + 0.01)
        for optimiser, rate in ((self.optimiser, _RATE), (self.muon, _MUON_RATE)):
            optimiser.param_groups[0]["lr"] = rate * self.share * pace
        judged = share > _CRITIC_FROM or not self.whole
        x, face = self._pieces()
        with mixed_precision(self.device):
            z = self.model.encode(x).latents
            y = self.model.decode(z + _NOISE * torch.randn_like(z)).sample
        z, y = z.float(), y.float()
        spread = (z.mean((0, 2, 3)).square() + (z.std((0, 2, 3)) - 1).square()).mean()
        loss = reconstruction_loss(y, x, face) + 0.02 * spread
        if self.known is not None:
            with torch.no_grad():
                kept = self.known.encode(F.avg_pool2d(x, 2)).latents.float()
            loss = loss + _KEPT_SHARE * (z[:, : kept.shape[1]] - kept).square().mean()
        total = loss + self._judged(y, loss) if judged else loss
        self.model.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        self.muon.step()
        if judged:
            self._teach_critic(x, y.detach())
        self.step += 1
        return float(loss.detach())

    def _judged(self, y: torch.Tensor, loss: torch.Tensor) -> torch.Tensor:
        with mixed_precision(self.device):
            verdict = -self.critic(y).float().mean()
        last = self.model.decoder.layers[-1].weight
        (ours,) = torch.autograd.grad(loss, last, retain_graph=True)
        (theirs,) = torch.autograd.grad(verdict, last, retain_graph=True)
        weight = _CRITIC_WEIGHT * ours.norm() / (theirs.norm() + 1e-6)
        judged: torch.Tensor = weight.clamp(max=10).detach() * verdict
        return judged

    def _teach_critic(self, x: torch.Tensor, y: torch.Tensor) -> None:
        with mixed_precision(self.device):
            real, made = self.critic(x).float(), self.critic(y).float()
        loss = F.relu(1 - real).mean() + F.relu(1 + made).mean()
        self.critic_optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.critic_optimiser.step()


def train_autoencoder(
    data: Path,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    width: int = 48,
    latent_channels: int = 16,
    device: str = "cpu",
    piece_minutes: float | None = None,
    decoder_of: Path | None = None,
    grown_from: Path | None = None,
) -> None:
    """Train for ``minutes`` in all; ``piece_minutes`` ends this run early. A checkpoint in ``out`` is
    resumed. With ``decoder_of``, an autoencoder, only its decoder is trained, with the discriminator from the
    beginning: the latents stay as they are, and so a UNet that was trained on them stays right. With
    ``grown_from``, an autoencoder of pictures half as large, the training starts from it, and its latent
    channels go on meaning the same.
    """
    trainer = _Trainer(
        data,
        out,
        seed=seed,
        width=width,
        channels=latent_channels,
        device=device,
        decoder_of=decoder_of,
        grown_from=grown_from,
    )
    pictures, model, dev = trainer.portraits.images, trainer.model, trainer.device
    spent, start, budget, losses = trainer.seconds, time.monotonic(), minutes * 60, []
    with Progress(
        *Progress.get_default_columns()[:2], TimeRemainingColumn(), TextColumn("{task.fields[note]}")
    ) as bar:
        task = bar.add_task("autoencoder", total=budget, completed=int(spent), note="")
        while True:
            seconds = spent + time.monotonic() - start
            ended = piece_minutes is not None and seconds - spent > piece_minutes * 60
            if seconds >= budget or ended:
                break
            losses.append(trainer.learn(seconds / budget))
            bar.update(task, completed=seconds)
            if trainer.step % 200 == 0:
                psnr = _psnr(model, pictures[:60], dev)
                note = f"step {trainer.step} loss {np.mean(losses[-200:]):.4f} PSNR {psnr:.2f} dB"
                bar.update(task, note=note)
                bar.console.print(f"{seconds:6.0f} s  {note}")
                trainer.save(seconds)
    trainer.save(spent + time.monotonic() - start)
    print(f"autoencoder: {trainer.step} steps, held-out PSNR {_psnr(model, pictures[:HELD_OUT], dev):.2f} dB")
