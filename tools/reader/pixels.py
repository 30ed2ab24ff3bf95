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

from skin_tone.colour import LUMINANCE
from skin_tone.pixels import CHANNELS, EYES_HEIGHT, EYES_WIDTH, HEIGHT, LOGS, OVAL, WIDTH

Floats = npt.NDArray[np.float64]
_WIDTHS, _EYES_WIDTHS = (24, 40, 64, 96), (20, 40, 64, 64)
_HIDDEN = 128
_CONSISTENCY = 1.0  # how much it counts how far the estimates of one shot lie apart
_BATCH = 128
_TOGETHER = 4  # pictures of one shot in a batch


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


class Faces:
    """Many faces, on one device.

    Args:
        face: n x `HEIGHT` x `WIDTH` x 3, eyes: n x `EYES_HEIGHT` x `EYES_WIDTH` x 3, uint8 sRGB.
        skin: n x 3, as `skin_tone.pixels.planes` takes it.
    """

    def __init__(
        self,
        face: npt.NDArray[np.uint8],
        eyes: npt.NDArray[np.uint8],
        skin: Floats,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self._grids = [torch.from_numpy(grid).to(self.device) for grid in (face, eyes)]
        self._skin = torch.from_numpy(skin).float().to(self.device)
        self._logs, self._oval = (torch.from_numpy(v).to(self.device) for v in (LOGS, OVAL))
        self._luminance = torch.tensor(LUMINANCE, dtype=torch.float32, device=self.device)

    def __len__(self) -> int:
        return len(self._skin)

    def planes(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the network sees of some of them: `skin_tone.pixels.planes` of many at a time."""
        face, eyes = (self._channels(grid[rows], self._skin[rows]) for grid in self._grids)
        return face * self._oval, eyes

    def _channels(self, grid: torch.Tensor, skin: torch.Tensor) -> torch.Tensor:
        light = self._logs[grid.int()]
        y = light @ self._luminance
        skin = skin[:, :, None, None]
        against = (
            y - skin[:, 0],
            light[..., 0] - light[..., 1] - skin[:, 1],
            light[..., 2] - light[..., 1] - skin[:, 2],
        )
        clipped, black = grid.amax(-1) >= 250, grid.amax(-1) <= 5
        return torch.stack((*against, y + 1.5, 2.0 * clipped, 2.0 * black), 1).clamp(-4, 4)


def train(
    faces: Faces,
    gains: Floats,
    weight: Floats,
    shot: npt.NDArray[np.int64],
    *,
    epochs: int,
    seed: int,
) -> PixelNetwork:
    """Fit to the factors by which light and camera changed the skin.

    Args:
        gains: n x 3, logarithms of true over seen. weight: n, how much each counts.
        shot: n, which of them show the same shot.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    device = faces.device
    wanted = torch.from_numpy(gains).float().to(device)
    counts = torch.from_numpy(weight / weight.mean()).float().to(device)
    order = np.argsort(shot, kind="stable")
    _, begin, many = np.unique(shot[order], return_index=True, return_counts=True)
    network = PixelNetwork().to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05)
    total = epochs * (len(faces) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=total)
    for _ in track(range(total), "pixel network", transient=True):
        chosen = rng.integers(0, len(begin), _BATCH // _TOGETHER)
        within = rng.random((len(chosen), _TOGETHER)) * many[chosen, None]
        picked = order[begin[chosen, None] + within.astype(np.int64)].ravel()
        rows = torch.from_numpy(picked).to(device)
        mirrored = rng.random() < 0.5
        light = 1 + 0.03 * torch.randn(len(rows), CHANNELS, 1, 1, device=device)
        seen = []
        for x in faces.planes(rows):
            x = x * light
            x = x.flip(-1) if mirrored else x
            # Shifted by a little: the mesh errs too.
            seen.append(torch.roll(x, (int(rng.integers(-2, 3)), int(rng.integers(-2, 3))), (2, 3)))
        out = network(*seen)
        error, log_sigma = out[:, :3] - wanted[rows], out[:, 3].clamp(-4, 1)
        likelihood = log_sigma + 0.5 * (error[:, 0].detach() / log_sigma.exp()).square()
        loss = (counts[rows] * (_narrow(error) + 0.05 * likelihood)).mean()
        of_shot = error.view(-1, _TOGETHER, 3)
        loss = loss + _CONSISTENCY * _narrow(of_shot - of_shot.mean(1, keepdim=True)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def _narrow(error: torch.Tensor) -> torch.Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.05, reduction="none").sum(-1)


def predict(network: PixelNetwork, faces: Faces) -> Floats:
    """What the network says of each face, n x 4."""
    out = []
    with torch.no_grad():
        for i in range(0, len(faces), 256):
            rows = torch.arange(i, min(i + 256, len(faces)), device=faces.device)
            out.append(network(*faces.planes(rows)).cpu())
    return np.asarray(torch.cat(out).double())


def save(network: PixelNetwork, out: Path) -> None:
    """fp16 safetensors."""
    temporary = out.with_suffix(".tmp")
    tensors = {name: value.half().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, temporary)
    temporary.chmod(0o644)  # safetensors writes for its user alone
    temporary.replace(out)
