"""Trains text encoder and UNet of the embedded model on the autoencoder's latents.

v-prediction with a zero terminal signal-to-noise ratio (Lin et al., arXiv 2305.08891); timesteps are drawn
where a 16 x 16 latent has most to learn (log-SNR near -1, in the way of Karras et al., arXiv 2206.00364)
and, for one half, evenly; 10 % of the captions are empty, for classifier-free guidance; an
exponential moving average of the weights is what is saved.

A caption is short and its padding long, and cross-attention finds the padding first: left to itself the
UNet learns the context, which soon stands in every padding state, and stays blind to tone words. So a
linear head (thrown away afterwards) must tell the tone word from the padding states, which carries it there
from the first minutes on.
"""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .autoencoder import HELD_OUT, SIDE, to_tensor
from .captions import MODEL_MAX_LENGTH
from .dataset import Portraits
from .muon import Muon, has_matrix
from .skin import TONE_WORDS
from .text import build_tokenizer
from .warm_start import copy_text_encoder, copy_unet

_NOISE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
_RATE, _MUON_RATE = 1e-3, 2e-3  # of AdamW (text encoder, first and last layer, biases), of Muon for the rest
_EMPTY_SHARE = 0.1
_HEAD_SHARE = 0.05  # weight of the tone head's cross-entropy beside the denoising loss
_BROAD_SHARE = 4.0  # first weight of the errors of 4 x 4 means, where tones lie, beside those of single cells
_FACE_SHARE = 1.5  # how much more an error in the face weighs than elsewhere (the minimum stays where it is)
_EMA = 0.999
_LONGEST_FIRST = sorted(
    range(len(TONE_WORDS)), key=lambda k: -len(TONE_WORDS[k])
)  # "very dark" before "dark"


def new_unet(latent_channels: int = 16) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("DownBlock2D", "DownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        block_out_channels=(128, 192, 256),
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MODEL_MAX_LENGTH,
            projection_dim=128,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
    )


def encode_set(
    vae: AutoencoderTiny, portraits: Portraits, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents of every portrait and of its mirror picture, 2n x c x 16 x 16, unscaled, and the share of face
    in each of their cells, 2n x 1 x 16 x 16, 0-1.
    """
    latents, faces = [], []
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        for mirror in (False, True):
            for i in range(0, len(portraits), 50):
                x = to_tensor(portraits.images[i : i + 50], device)
                skin = torch.from_numpy(portraits.skin[i : i + 50]).to(device)[:, None].float() / 255
                face = F.max_pool2d(F.adaptive_avg_pool2d(skin, SIDE), 3, 1, 1)  # eyes and mouth as well
                if mirror:
                    x, face = x.flip(-1).contiguous(memory_format=torch.channels_last), face.flip(-1)
                latents.append(vae.encode(x).latents.float())
                faces.append(face)
    return torch.cat(latents), torch.cat(faces)


def draw_timesteps(snr: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """``count`` timesteps: half uniform, half with log-SNR near N(-1, 2).

    The uniform half is what teaches tone words: the colour of a face shows through noise until late, since it
    fills many latent cells, so that words decide it only where next to nothing of the picture is left.
    """
    log_snr = snr.clamp_min(1e-9).log()
    gap = (log_snr[:-1] - log_snr[1:]).abs().clamp_max(0.5)
    density = torch.exp(-0.5 * ((log_snr + 1) / 2).square()) * torch.cat([gap, gap[-1:]])
    p = 0.5 * density / density.sum() + 0.5 / len(snr)
    return torch.multinomial(p, count, replacement=True, generator=generator)


class Trainer:
    """Holds models, averages, optimiser and schedule; `fit` runs until the time is spent."""

    def __init__(
        self,
        data: Path,
        vae: Path,
        out: Path,
        *,
        seed: int,
        batch: int,
        device: str,
        start: Path | None = None,
    ) -> None:
        self.out, self.batch, self.device, self.seed = out, batch, torch.device(device), seed
        torch.manual_seed(seed)
        self.portraits = Portraits(data, pixels=False)
        out.mkdir(parents=True, exist_ok=True)
        self.tokenizer = build_tokenizer(out / "tokenizer")
        self.vae = AutoencoderTiny.from_pretrained(vae).to(self.device).eval().requires_grad_(False)
        latents, faces = self._encoded(data)
        weight = 1 + _FACE_SHARE * faces
        self.weight = weight / weight.mean((2, 3), keepdim=True)
        scale = 1 / float(latents.std())
        self.vae.register_to_config(scaling_factor=scale)
        self.latents = latents * scale
        self.unet, self.text = self._models(latents.shape[1], start)
        self.head = torch.nn.Linear(self.text.config.hidden_size, len(TONE_WORDS) + 1).to(self.device)
        self.unet_average = copy.deepcopy(self.unet).eval().requires_grad_(False)
        self.text_average = copy.deepcopy(self.text).eval().requires_grad_(False)
        named = list(self.unet.named_parameters())
        inner = {n for n, p in named if has_matrix(p) and not n.startswith(("conv_in.", "conv_out."))}
        others = [p for n, p in named if n not in inner]
        others += [*self.text.parameters(), *self.head.parameters()]
        self.optimiser = torch.optim.AdamW(others, _RATE, betas=(0.9, 0.99), weight_decay=1e-3)
        self.muon = Muon((p for n, p in named if n in inner), _MUON_RATE)
        schedule = DDIMScheduler(clip_sample=False, **_NOISE)
        self.alphas = schedule.alphas_cumprod.to(self.device)
        self.snr = self.alphas / (1 - self.alphas)
        self.step, self.seconds = 0, 0.0
        self._resume()

    def _models(self, channels: int, start: Path | None) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """Fresh ones, or those of a pipeline; it may have fewer latent channels and other words."""
        text = new_text_encoder(self.tokenizer)
        if start is None:
            return new_unet(channels).to(self.device), text.to(self.device)
        known = StableDiffusionPipeline.from_pretrained(start)
        config = {**known.unet.config, "in_channels": channels, "out_channels": channels}
        unet = UNet2DConditionModel.from_config(config)
        copy_unet(unet, known.unet)
        copy_text_encoder(text, self.tokenizer, known.text_encoder, known.tokenizer)
        return unet.to(self.device), text.to(self.device)

    def _encoded(self, data: Path) -> tuple[torch.Tensor, torch.Tensor]:
        """The set's latents and faces, kept beside the checkpoint for the next piece of the training."""
        kept = self.out / "latents.pt"
        if kept.exists():
            stored = torch.load(kept, map_location=self.device, weights_only=True)
            if len(stored["latents"]) == 2 * len(self.portraits):
                return stored["latents"], stored["faces"]
        latents, faces = encode_set(self.vae, Portraits(data), self.device)
        temporary = kept.with_suffix(".tmp")
        torch.save({"latents": latents, "faces": faces}, temporary)
        temporary.replace(kept)
        return latents, faces

    @property
    def _checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {
            "unet": self.unet,
            "text": self.text,
            "head": self.head,
            "unet_average": self.unet_average,
            "text_average": self.text_average,
        }

    def _resume(self) -> None:
        if not self._checkpoint.exists():
            return
        state = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
        for name, module in self._modules().items():
            module.load_state_dict(state[name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.muon.load_state_dict(state["muon"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])

    def save(self) -> None:
        state: dict[str, Any] = {name: module.state_dict() for name, module in self._modules().items()}
        state |= {"optimiser": self.optimiser.state_dict(), "muon": self.muon.state_dict()}
        state |= {"step": self.step, "seconds": self.seconds}
        temporary = self._checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self._checkpoint)
        self.pipeline().save_pretrained(self.out / "pipeline")

    def pipeline(self) -> StableDiffusionPipeline:
        """The averaged model as a plain pipeline."""
        return StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.text_average,
            tokenizer=self.tokenizer,
            unet=self.unet_average,
            scheduler=DPMSolverMultistepScheduler(
                algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero", **_NOISE
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def _loss(self, rng: np.random.Generator, generator: torch.Generator, left: float) -> torch.Tensor:
        """Loss of one batch; ``left``: share of the training that is still to come, 1-0."""
        count, total = self.batch, len(self.portraits)
        pick = rng.integers(HELD_OUT, total, count)
        mirrored = rng.integers(0, 2, count) * total
        words = ["" if rng.random() < _EMPTY_SHARE else self.portraits.caption(int(i), rng) for i in pick]
        rows = torch.from_numpy(pick + mirrored)
        x, weight = self.latents[rows], self.weight[rows]
        distinct, which = np.unique(words, return_inverse=True)
        tokens = self.tokenizer(
            list(distinct),
            padding="max_length",
            max_length=MODEL_MAX_LENGTH,
            truncation=True,
            return_tensors="pt",
        ).input_ids.to(self.device)
        t = draw_timesteps(self.snr.cpu(), count, generator).to(self.device)
        signal = self.alphas[t].sqrt()[:, None, None, None]
        noise_share = (1 - self.alphas[t]).sqrt()[:, None, None, None]
        noise = torch.randn(x.shape, generator=generator).to(self.device)
        noisy, velocity = signal * x + noise_share * noise, signal * noise - noise_share * x
        with torch.autocast(self.device.type, torch.bfloat16):
            states = self.text(tokens)[0]
            context = states[torch.from_numpy(which).to(self.device)]
            guess = self.unet(noisy, t, context).sample
        error = guess.float() - velocity
        # A squared error has the same minimum under any weighting of its frequencies; this one learns tones
        # sooner, which are few broad numbers among two thousand, and leaves detail for the later part.
        broad = F.avg_pool2d(error, 4).square().mean()
        loss: torch.Tensor = (weight * error.square()).mean() + _BROAD_SHARE * left**2 * broad
        return loss + _HEAD_SHARE * self._tone_loss(states.float(), tokens, list(distinct))

    def _tone_loss(self, states: torch.Tensor, tokens: torch.Tensor, words: list[str]) -> torch.Tensor:
        """Cross-entropy of the tone word (or of its absence) as told from every padding state."""
        told = [
            next((k for k in _LONGEST_FIRST if f"{TONE_WORDS[k]} skin" in w), len(TONE_WORDS)) for w in words
        ]
        wanted = torch.tensor(told, device=self.device)[:, None].expand(tokens.shape)
        padding = tokens == self.tokenizer.pad_token_id
        return F.cross_entropy(self.head(states)[padding], wanted[padding])

    def fit(self, minutes: float, *, piece_minutes: float | None = None, pace: float = 1.0) -> None:
        """Train until ``minutes`` in all are spent (cosine learning rate over them), or this piece of
        them; ``pace``: the share of the usual learning rates that it begins with, 0-1.
        """
        rng = np.random.default_rng([self.seed, self.step])
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        budget, begun, saved, losses = minutes * 60, self.seconds, time.monotonic(), []
        start = time.monotonic()
        averaged = [(self.unet_average, self.unet), (self.text_average, self.text)]
        optimisers = ((self.optimiser, _RATE), (self.muon, _MUON_RATE))
        weights = [p for optimiser, _ in optimisers for p in optimiser.param_groups[0]["params"]]
        with Progress(
            *Progress.get_default_columns()[:2], TimeRemainingColumn(), TextColumn("{task.fields[note]}")
        ) as bar:
            task = bar.add_task("UNet", total=budget, completed=int(begun), note="")
            while self.seconds < budget and (
                piece_minutes is None or self.seconds - begun < piece_minutes * 60
            ):
                share = self.seconds / budget
                now = pace * min(1, (self.step + 1) / 200) * (0.5 * (1 + math.cos(math.pi * share)) + 0.01)
                for optimiser, rate in optimisers:
                    optimiser.param_groups[0]["lr"] = rate * now
                    optimiser.zero_grad()
                loss = self._loss(rng, generator, 1 - share)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                for optimiser, _ in optimisers:
                    optimiser.step()
                self.step += 1
                keep = min(_EMA, (1 + self.step) / (10 + self.step))
                with torch.no_grad():
                    for average, live in averaged:
                        torch._foreach_lerp_(list(average.parameters()), list(live.parameters()), 1 - keep)
                losses.append(float(loss.detach()))
                self.seconds = begun + time.monotonic() - start
                bar.update(task, completed=self.seconds)
                if self.step % 200 == 0:
                    note = f"step {self.step} loss {np.mean(losses[-200:]):.4f}"
                    bar.console.print(f"{self.seconds:6.0f} s  {note}")
                    bar.update(task, note=note)
                if time.monotonic() - saved > 240:
                    self.save()
                    saved = time.monotonic()
        self.save()
