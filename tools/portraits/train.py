"""Trains text encoder and UNet of the embedded model on the autoencoder's latents.

v-prediction with a zero terminal signal-to-noise ratio (Lin et al., arXiv 2305.08891); timesteps are drawn
where a 16 x 16 latent has most to learn (log-SNR near -1, in the way of Karras et al., arXiv 2206.00364)
and, for one half, evenly; 10 % of the captions are empty, for classifier-free guidance; an
exponential moving average of the weights is what is saved.

A caption is short and its padding long, and cross-attention finds the padding first: left to itself the
UNet learns the context, which soon stands in every padding state, and stays blind to tone words. So a
linear head (thrown away afterwards) must tell the tone word from the padding states, which carries it there
from the first minutes on.

On an accelerator a step is a thousand small kernels, whose launching takes longer than they do: there it is
captured once as a CUDA graph and replayed.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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

from .autoencoder import SIDE
from .captions import MODEL_MAX_LENGTH
from .lessons import load_lessons
from .muon import Muon, has_matrix
from .precision import mixed_precision
from .skin import TONE_WORDS
from .warm_start import copy_text_encoder, copy_unet

_NOISE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "steps_offset": 1,  # nothing with this spacing, but diffusers warns of 0
}
_RATE, _MUON_RATE = 1e-3, 2e-3  # of AdamW (text encoder, first and last layer, biases), of Muon for the rest
_EMPTY_SHARE = 0.1
_HEAD_SHARE = 0.05  # weight of the tone head's cross-entropy beside the denoising loss
_BROAD_SHARE = 4.0  # first weight of the errors of 4 x 4 means, where tones lie, beside those of single cells
_FACE_SHARE = 1.5  # how much more an error in the face weighs than elsewhere (the minimum stays where it is)
_EMA = 0.999
_LOOK_EVERY = 20  # steps between two looks at the loss, each of which waits for the device


def new_unet(latent_channels: int = 16) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(96, 160, 256),
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


class _Batch(NamedTuple):
    """What one step sees: latents of unit spread, the weight of their cells, captions, timesteps, noise."""

    latents: torch.Tensor
    weight: torch.Tensor
    tokens: torch.Tensor
    told: torch.Tensor
    timesteps: torch.Tensor
    noise: torch.Tensor


class _Pace(NamedTuple):
    """What changes from step to step, on the device: learning rates, share of the training that is still to
    come (1-0), and how far the averages follow.
    """

    rate: torch.Tensor
    muon_rate: torch.Tensor
    left: torch.Tensor
    follow: torch.Tensor


class Trainer:
    """Holds models, averages, optimiser and schedule; `fit` runs until the time is spent.

    Raises:
        UserError: ``lessons`` holds none.
        ValueError: ``start`` is a UNet of another shape.
    """

    def __init__(
        self,
        lessons: Path,
        out: Path,
        *,
        seed: int,
        batch: int,
        device: str,
        start: Path | None = None,
    ) -> None:
        self.out, self.batch, self.device, self.seed = out, batch, torch.device(device), seed
        torch.manual_seed(seed)
        self.lessons = load_lessons(lessons, self.device)
        out.mkdir(parents=True, exist_ok=True)
        self.tokenizer = CLIPTokenizer.from_pretrained(
            self.lessons.tokenizer, model_max_length=MODEL_MAX_LENGTH
        )
        self.vae = AutoencoderTiny.from_pretrained(self.lessons.vae).to(self.device).eval()
        self.vae.requires_grad_(False)
        scale = 1 / self.lessons.spread
        self.vae.register_to_config(scaling_factor=scale)
        self.latent_step = (self.lessons.step * scale)[:, None, None]
        self.unet, self.text = self._models(self.lessons.latents.shape[1], start)
        self.head = torch.nn.Linear(self.text.config.hidden_size, len(TONE_WORDS) + 1).to(self.device)
        self.unet_average = copy.deepcopy(self.unet).eval().requires_grad_(False)
        self.text_average = copy.deepcopy(self.text).eval().requires_grad_(False)
        named = list(self.unet.named_parameters())
        inner = {n for n, p in named if has_matrix(p) and not n.startswith(("conv_in.", "conv_out."))}
        others = [p for n, p in named if n not in inner]
        others += [*self.text.parameters(), *self.head.parameters()]
        self.pace = _Pace(*(torch.zeros((), device=self.device) for _ in _Pace._fields))
        self.optimiser = torch.optim.AdamW(
            others,
            self.pace.rate,
            betas=(0.9, 0.99),
            weight_decay=1e-3,
            foreach=self.device.type == "cuda",  # on a CPU it takes no learning rate that is a tensor
            capturable=self.device.type == "cuda",
        )
        self.muon = Muon((p for n, p in named if n in inner), self.pace.muon_rate)
        self.weights = [*(p for n, p in named if n in inner), *others]
        schedule = DDIMScheduler(clip_sample=False, **_NOISE)
        self.alphas = schedule.alphas_cumprod.to(self.device)
        self.snr = self.alphas / (1 - self.alphas)
        self.step, self.seconds = 0, 0.0
        self._resume()

    def _models(self, channels: int, start: Path | None) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """Fresh ones, or those of a pipeline, which may have fewer latent channels, less attention, other
        words.
        """
        text = new_text_encoder(self.tokenizer)
        if start is None:
            return new_unet(channels).to(self.device), text.to(self.device)
        known = StableDiffusionPipeline.from_pretrained(start)
        unet = new_unet(channels)
        copy_unet(unet, known.unet)
        copy_text_encoder(text, self.tokenizer, known.text_encoder, known.tokenizer)
        return unet.to(self.device), text.to(self.device)

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
        self.optimiser.param_groups[0]["lr"] = self.pace.rate
        self.muon.param_groups[0]["lr"] = self.pace.muon_rate
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

    def _draw(self, generator: torch.Generator) -> _Batch:
        count, portraits = self.batch, len(self.lessons.tokens)

        def below(end: int) -> torch.Tensor:
            return torch.randint(end, (count,), generator=generator, device=self.device)

        who = below(portraits)
        row = who + portraits * below(len(self.lessons.latents) // portraits)
        caption = below(self.lessons.tokens.shape[1])
        silent = torch.rand(count, generator=generator, device=self.device) < _EMPTY_SHARE
        latents = self.lessons.latents[row] * self.latent_step
        weight = 1 + _FACE_SHARE * self.lessons.faces[row][:, None] / 255
        return _Batch(
            latents,
            weight / weight.mean((2, 3), keepdim=True),
            torch.where(silent[:, None], self.lessons.empty, self.lessons.tokens[who, caption]).long(),
            torch.where(silent, len(TONE_WORDS), self.lessons.told[who, caption]).long(),
            draw_timesteps(self.snr, count, generator),
            torch.randn(latents.shape, generator=generator, device=self.device),
        )

    def _loss(self, batch: _Batch) -> torch.Tensor:
        signal = self.alphas[batch.timesteps].sqrt()[:, None, None, None]
        noise_share = (1 - self.alphas[batch.timesteps]).sqrt()[:, None, None, None]
        noisy = signal * batch.latents + noise_share * batch.noise
        velocity = signal * batch.noise - noise_share * batch.latents
        with mixed_precision(self.device):
            states = self.text(batch.tokens)[0]
            guess = self.unet(noisy, batch.timesteps, states).sample
        error = guess.float() - velocity
        # A squared error has the same minimum under any weighting of its frequencies; this one learns tones
        # sooner, which are few broad numbers among two thousand, and leaves detail for the later part.
        broad = F.avg_pool2d(error, 4).square().mean()
        loss: torch.Tensor = (batch.weight * error.square()).mean() + _BROAD_SHARE * self.pace.left**2 * broad
        return loss + _HEAD_SHARE * self._tone_loss(states.float(), batch)

    def _tone_loss(self, states: torch.Tensor, batch: _Batch) -> torch.Tensor:
        """Cross-entropy of the tone word (or of its absence) as told from every padding state."""
        nothing = -100
        wanted = batch.told[:, None].expand(batch.tokens.shape)
        wanted = torch.where(batch.tokens == self.tokenizer.pad_token_id, wanted, nothing)
        return F.cross_entropy(self.head(states).flatten(0, 1), wanted.flatten(), ignore_index=nothing)

    def _learn(self, batch: _Batch) -> torch.Tensor:
        """One step on one batch; everything that it needs is on the device. The loss."""
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        self.muon.step()
        with torch.no_grad():
            for average, live in ((self.unet_average, self.unet), (self.text_average, self.text)):
                kept = list(average.parameters())
                ahead = torch._foreach_sub(list(live.parameters()), kept)
                torch._foreach_mul_(ahead, self.pace.follow)
                torch._foreach_add_(kept, ahead)
        return loss.detach()

    def _step_by_step(self, batch: _Batch) -> torch.Tensor:
        self.optimiser.zero_grad()
        self.muon.zero_grad()
        return self._learn(batch)

    def _captured(self, generator: torch.Generator) -> Callable[[_Batch], torch.Tensor]:
        """`_learn` as a CUDA graph. Its warming up takes some steps at a learning rate of nothing."""
        torch.backends.cudnn.benchmark = True
        place = self._draw(generator)
        for number in self.pace:
            number.zero_()
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                self._step_by_step(place)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        self.optimiser.zero_grad()  # so that the graph makes gradients of its own
        self.muon.zero_grad()
        with torch.cuda.graph(graph):
            loss = self._learn(place)

        def replay(batch: _Batch) -> torch.Tensor:
            for into, value in zip(place, batch, strict=True):
                into.copy_(value)
            graph.replay()
            return loss

        return replay

    def fit(self, minutes: float, *, piece_minutes: float | None = None, pace: float = 1.0) -> None:
        """Train until ``minutes`` in all are spent (cosine learning rate over them), or this piece of
        them; ``pace``: the share of the usual learning rates that it begins with, 0-1.
        """
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + self.step)
        budget, begun, saved = minutes * 60, self.seconds, time.monotonic()
        start, noted = time.monotonic(), 0
        learn = self._captured(generator) if self.device.type == "cuda" else self._step_by_step
        total = torch.zeros((), device=self.device)
        with Progress(
            *Progress.get_default_columns()[:2], TimeRemainingColumn(), TextColumn("{task.fields[note]}")
        ) as bar:
            task = bar.add_task("UNet", total=budget, completed=int(begun), note="")
            while self.seconds < budget and (
                piece_minutes is None or self.seconds - begun < piece_minutes * 60
            ):
                share = self.seconds / budget
                now = pace * min(1, (self.step + 1) / 200) * (0.5 * (1 + math.cos(math.pi * share)) + 0.01)
                follow = 1 - min(_EMA, (2 + self.step) / (11 + self.step))
                values = (_RATE * now, _MUON_RATE * now, 1 - share, follow)
                for number, value in zip(self.pace, values, strict=True):
                    number.fill_(value)
                total += learn(self._draw(generator))
                self.step += 1
                if self.step % _LOOK_EVERY == 0:
                    mean = float(total) / (self.step - noted)
                    bar.update(task, note=f"step {self.step} loss {mean:.4f}")
                    if self.step % (10 * _LOOK_EVERY) == 0:
                        bar.console.print(f"{self.seconds:6.0f} s  step {self.step} loss {mean:.4f}")
                        noted = self.step
                        total.zero_()
                self.seconds = begun + time.monotonic() - start
                bar.update(task, completed=self.seconds)
                if time.monotonic() - saved > 240:
                    self.save()
                    saved = time.monotonic()
        self.save()
