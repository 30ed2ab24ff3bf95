"""Trains the small network that looks at the pixels of a face (`skin_tone.pixels`)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from rich.progress import track
from safetensors.torch import save_file

from skin_tone.pixels import CHANNELS, EYES_HEIGHT, EYES_WIDTH, HEIGHT, WIDTH, Grids, Planes, planes

Floats = npt.NDArray[np.float64]
_WIDTHS, _EYES_WIDTHS = (16, 24, 32, 48), (12, 24, 32, 32)
_HIDDEN = 96
_BATCH = 128


class PixelNetwork(torch.nn.Module):
    """The same layers as `skin_tone.pixels.Network`."""

    def __init__(self) -> None:
        super().__init__()
        self.face, self.eyes = _convolutions(_WIDTHS), _convolutions(_EYES_WIDTHS)
        cells = _WIDTHS[-1] * -(-HEIGHT // 16) * -(-WIDTH // 16)
        cells += _EYES_WIDTHS[-1] * -(-EYES_HEIGHT // 16) * -(-EYES_WIDTH // 16)
        last = torch.nn.Linear(_HIDDEN, 4)
        torch.nn.init.zeros_(last.weight)
        self.dense = torch.nn.ModuleList([torch.nn.Linear(cells, _HIDDEN), last])

    def forward(self, face: torch.Tensor, eyes: torch.Tensor) -> torch.Tensor:
        """n x `CHANNELS` x height x width of either -> n x 4: log factors, log of their error."""
        ends = []
        for x, layers in ((face, self.face), (eyes, self.eyes)):
            for layer in layers:
                x = F.relu(layer(x))
            ends.append(x.flatten(1))
        x = F.relu(self.dense[0](F.dropout(torch.cat(ends, 1), 0.2, self.training)))
        guess: torch.Tensor = self.dense[1](x)
        return guess


def _convolutions(widths: tuple[int, ...]) -> torch.nn.ModuleList:
    return torch.nn.ModuleList(torch.nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise((CHANNELS, *widths)))


@dataclass(frozen=True)
class Faces:
    """Many faces: ``face`` n x `HEIGHT` x `WIDTH` x 3, ``eyes`` n x `EYES_HEIGHT` x `EYES_WIDTH` x 3, uint8,
    and ``skin`` n x 3, as `planes` takes it.
    """

    face: npt.NDArray[np.uint8]
    eyes: npt.NDArray[np.uint8]
    skin: Floats

    def __len__(self) -> int:
        return len(self.skin)

    def planes(self, part: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network sees of some of them, in half precision."""
        faces, eyes, skin = self.face[part], self.eyes[part], self.skin[part]
        seen = Planes(
            np.empty((len(skin), CHANNELS, HEIGHT, WIDTH), np.float16),
            np.empty((len(skin), CHANNELS, EYES_HEIGHT, EYES_WIDTH), np.float16),
        )
        for i in range(len(skin)):  # one at a time: all of them in float32 take tens of gigabytes
            seen.face[i], seen.eyes[i] = planes(Grids(faces[i], eyes[i]), skin[i])
        return torch.from_numpy(seen.face), torch.from_numpy(seen.eyes)


def train(faces: Faces, gains: Floats, weight: Floats, *, epochs: int, seed: int) -> PixelNetwork:
    """Fit to the factors by which light and camera changed the skin.

    Args:
        gains: n x 3, logarithms of true over seen. weight: n, how much each counts.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    face, eyes = faces.planes()
    wanted, counts = torch.from_numpy(gains).float(), torch.from_numpy(weight / weight.mean()).float()
    network = PixelNetwork().train()
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05)
    total = epochs * (len(faces) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=total)
    for _ in track(range(total), "pixel network", transient=True):
        rows = torch.from_numpy(rng.integers(0, len(faces), _BATCH))
        mirrored, light = rng.random() < 0.5, 1 + 0.03 * torch.randn(_BATCH, CHANNELS, 1, 1)
        seen = []
        for values in (face, eyes):
            x = values[rows].float() * light
            x = x.flip(-1) if mirrored else x
            # Shifted by a little: the mesh errs too.
            seen.append(torch.roll(x, (int(rng.integers(-2, 3)), int(rng.integers(-2, 3))), (2, 3)))
        out = network(*seen)
        error, log_sigma = out[:, :3] - wanted[rows], out[:, 3].clamp(-4, 1)
        narrow = F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.05, reduction="none").sum(1)
        likelihood = log_sigma + 0.5 * (error[:, 0].detach() / log_sigma.exp()).square()
        loss = (counts[rows] * (narrow + 0.05 * likelihood)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def predict(network: PixelNetwork, faces: Faces) -> Floats:
    """What the network says of each face, n x 4."""
    out = []
    with torch.no_grad():
        for i in range(0, len(faces), 256):
            face, eyes = faces.planes(slice(i, i + 256))
            out.append(network(face.float(), eyes.float()))
    return np.asarray(torch.cat(out).double())


def save(network: PixelNetwork, out: Path) -> None:
    """fp16 safetensors."""
    temporary = out.with_suffix(".tmp")
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, temporary)
    temporary.chmod(0o644)  # safetensors writes for its user alone
    temporary.replace(out)
