"""Trains the small network that looks at the pixels of a face (`skin_tone.pixels`)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from rich.progress import track
from safetensors.torch import save_file

from skin_tone.pixels import CHANNELS, HEIGHT, WIDTH, channels

Floats = npt.NDArray[np.float64]
_WIDTHS = (16, 24, 32, 48)
_HIDDEN = 64
_BATCH = 128


class PixelNetwork(torch.nn.Module):
    """The same layers as `skin_tone.pixels.Network`."""

    def __init__(self) -> None:
        super().__init__()
        widths = (CHANNELS, *_WIDTHS)
        self.convolution = torch.nn.ModuleList(torch.nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(widths))
        cells = _WIDTHS[-1] * -(-HEIGHT // 16) * -(-WIDTH // 16)
        last = torch.nn.Linear(_HIDDEN, 4)
        torch.nn.init.zeros_(last.weight)
        self.dense = torch.nn.ModuleList([torch.nn.Linear(cells, _HIDDEN), last])

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """n x `CHANNELS` x height x width -> n x 4: log factors, log of their error."""
        x = planes
        for layer in self.convolution:
            x = F.relu(layer(x))
        x = F.relu(self.dense[0](F.dropout(x.flatten(1), 0.2, self.training)))
        guess: torch.Tensor = self.dense[1](x)
        return guess


def train(
    grids: npt.NDArray[np.uint8], skin: Floats, gains: Floats, weight: Floats, *, epochs: int, seed: int
) -> PixelNetwork:
    """Fit to the factors by which light and camera changed the skin.

    Args:
        grids: n x height x width x 3. skin: n x 3, as `channels` takes it. gains: n x 3, logarithms of true
            over seen. weight: n, how much each counts.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    planes = torch.from_numpy(np.stack([channels(g, s) for g, s in zip(grids, skin, strict=True)])).half()
    wanted, counts = torch.from_numpy(gains).float(), torch.from_numpy(weight / weight.mean()).float()
    network = PixelNetwork().train()
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05)
    total = epochs * (len(planes) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=total)
    for _ in track(range(total), "pixel network", transient=True):
        rows = torch.from_numpy(rng.integers(0, len(planes), _BATCH))
        x = planes[rows].float()
        if rng.random() < 0.5:
            x = x.flip(-1)
        x = torch.roll(x, (int(rng.integers(-2, 3)), int(rng.integers(-2, 3))), (2, 3))  # the mesh errs too
        x = x * (1 + 0.03 * torch.randn(len(x), CHANNELS, 1, 1))
        out = network(x)
        error, log_sigma = out[:, :3] - wanted[rows], out[:, 3].clamp(-4, 1)
        narrow = F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.05, reduction="none").sum(1)
        likelihood = log_sigma + 0.5 * (error[:, 0].detach() / log_sigma.exp()).square()
        loss = (counts[rows] * (narrow + 0.05 * likelihood)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def predict(network: PixelNetwork, grids: npt.NDArray[np.uint8], skin: Floats) -> Floats:
    """What the network says of each face, n x 4."""
    out = []
    with torch.no_grad():
        for i in range(0, len(grids), 256):
            part = zip(grids[i : i + 256], skin[i : i + 256], strict=True)
            out.append(network(torch.from_numpy(np.stack([channels(g, s) for g, s in part]))))
    return np.asarray(torch.cat(out).double())


def save(network: PixelNetwork, out: Path) -> None:
    """fp16 safetensors."""
    temporary = out.with_suffix(".tmp")
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, temporary)
    temporary.chmod(0o644)  # safetensors writes for its user alone
    temporary.replace(out)
