"""A small CNN that tells from a render what was rendered: context, and all else that its record states.

It judges generated pictures: its answers say whether the prompt can be seen, its penultimate features are the
space of the Frechet distance. The further heads (tone, age, glasses, hair ...) are there so that these
features know more of a picture than its scene.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from rich.progress import Progress
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from fairgen.errors import UserError

from .autoencoder import to_tensor
from .contexts import CONTEXTS
from .renders import Pictures, Renders, load_renders, shards_of

SIDE = 128
"""Pixels that a picture is brought to, whatever it was made at."""
FEATURES = 192
_CROP = 112
_BATCH = 64
_RATE = 2e-3
_BESIDE = 0.1
"""Weight of each further head's loss beside the context's."""
_NOT_SEEN = ("context", "phrase", "biased", "tone", "clothes")
"""Fields of a record that say what the context says, or what no picture shows."""
_MOST_WORDS = 64


@dataclass(frozen=True)
class Heads:
    """What is asked beside the context: ``numbers`` (name -> mean and standard deviation) and ``words``
    (name -> its values).
    """

    numbers: dict[str, tuple[float, float]]
    words: dict[str, list[str]]

    @classmethod
    def of(cls, records: list[dict[str, Any]]) -> Heads:
        """Every field that varies and is in all records."""
        names = [n for n in records[0] if n not in _NOT_SEEN and all(n in record for record in records)]
        numbers, words = {}, {}
        for name in names:
            values = [record[name] for record in records]
            if all(isinstance(v, float | int) and not isinstance(v, bool) for v in values):
                if np.ptp(values) > 0:
                    numbers[name] = (float(np.mean(values)), float(np.std(values)))
            elif all(isinstance(v, str | bool) for v in values):
                known = sorted({str(v) for v in values})
                if 1 < len(known) <= _MOST_WORDS:
                    words[name] = known
        return cls(numbers, words)

    def targets(self, records: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised numbers n x numbers, and places of words n x words (-1: unknown)."""
        numbers = [[(r[n] - mean) / sd for n, (mean, sd) in self.numbers.items()] for r in records]
        places = {name: {word: k for k, word in enumerate(known)} for name, known in self.words.items()}
        words = [[place.get(str(r[name]), -1) for name, place in places.items()] for r in records]
        return torch.tensor(numbers, dtype=torch.float32), torch.tensor(words, dtype=torch.long)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.body(x))


class ContextNet(nn.Module):
    """n x 3 x side x side in -1..1 to features n x `FEATURES` (>= 0); `heads` answer from these."""

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.described = heads
        steps: list[nn.Module] = []
        for into, out, kernel in ((3, 32, 5), (32, 64, 3), (64, 128, 3), (128, FEATURES, 3)):
            steps += [
                nn.Conv2d(into, out, kernel, stride=2, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*steps, _Residual(FEATURES), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.context = nn.Linear(FEATURES, len(CONTEXTS))
        self.numbers = nn.Linear(FEATURES, len(heads.numbers)) if heads.numbers else None
        self.words = nn.ModuleList(nn.Linear(FEATURES, len(known)) for known in heads.words.values())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.body(x)
        return features

    def loss(
        self, x: torch.Tensor, context: torch.Tensor, numbers: torch.Tensor, words: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropies of context and words, squared errors of the numbers."""
        features = F.dropout(self(x), 0.2, self.training)
        loss = F.cross_entropy(self.context(features), context, label_smoothing=0.05)
        if self.numbers is not None:
            loss = loss + _BESIDE * (self.numbers(features) - numbers).square().mean(0).sum()
        for k, head in enumerate(self.words):
            known = words[:, k] >= 0
            if known.any():
                loss = loss + _BESIDE * F.cross_entropy(head(features[known]), words[known, k])
        return loss


@dataclass(frozen=True)
class Seen:
    """What the classifier sees: ``features`` n x `FEATURES`, ``context`` n: the likeliest."""

    features: npt.NDArray[np.float64]
    context: npt.NDArray[np.int64]

    def top1(self, truth: npt.NDArray[np.int64]) -> float:
        """Share of pictures whose context is the likeliest."""
        return float(np.mean(self.context == truth))


def look(net: ContextNet, pictures: Pictures, *, mirror: bool = False) -> Seen:
    """Features and answers for pictures of side `SIDE`."""
    net.eval()
    device = next(net.parameters()).device
    features, contexts = [], []
    with torch.no_grad():
        for i in range(0, len(pictures), 128):
            x = to_tensor(pictures[i : i + 128], device)
            found = net(x.flip(-1).contiguous() if mirror else x)
            features.append(found.double().cpu().numpy())
            contexts.append(net.context(found).argmax(1).cpu().numpy())
    return Seen(np.concatenate(features), np.concatenate(contexts))


def split(data: Path, held_out: Path | None) -> tuple[list[Path], list[Path]]:
    """Shards to learn from, and shards to be judged by: a folder of their own, else the last tenth.

    Raises:
        UserError: a folder holds no shards, or there is only one.
    """
    shards = shards_of(data)
    if held_out is not None:
        return shards, shards_of(held_out)
    if len(shards) < 2:
        raise UserError(f"{data} holds one shard alone, none to judge by: render more, or give --held-out.")
    kept = len(shards) - max(1, len(shards) // 10)
    return shards[:kept], shards[kept:]


def train_classifier(
    data: Path,
    out: Path,
    *,
    held_out: Path | None = None,
    epochs: int = 8,
    limit: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    piece_minutes: float | None = None,
) -> dict[str, Any] | None:
    """Train for ``epochs`` in all; goes on from the checkpoint beside ``out``.

    Returns the held-out figures, which are in the file too; None where ``piece_minutes`` ended this run
    before the last epoch.

    Raises:
        UserError: the shards cannot be used, or the checkpoint belongs to other ones.
    """
    learn, judge = split(data, held_out)
    renders = load_renders(learn, SIDE, limit)
    dev = torch.device(device)
    heads = Heads.of(renders.records)
    torch.manual_seed(seed)
    net = ContextNet(heads).to(dev)
    optimiser = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=1e-3)
    checkpoint = out.with_suffix(".checkpoint.pt")
    plan = {"renders": len(renders), "heads": asdict(heads), "epochs": epochs, "seed": seed}
    epoch = _resume(checkpoint, plan, net, optimiser, dev)
    contexts = torch.from_numpy(renders.contexts).to(dev)
    numbers, words = (t.to(dev) for t in heads.targets(renders.records))
    out.parent.mkdir(parents=True, exist_ok=True)
    start, batches = time.monotonic(), math.ceil(len(renders) / _BATCH)
    with Progress() as progress:
        bar = progress.add_task("classifier", total=epochs * batches, completed=epoch * batches)
        while epoch < epochs:
            # Of the epoch alone, so that a run that was broken off ends as if it had not been.
            rng = np.random.default_rng([seed, epoch])
            torch.manual_seed(int(rng.integers(2**31)))
            net.train()
            order = rng.permutation(len(renders))
            for i in range(0, len(order), _BATCH):
                pick = order[i : i + _BATCH]
                done = epoch + i / len(order)
                _step(net, optimiser, _RATE * _shape(done / epochs), renders.images[pick], rng,
                      contexts[pick], numbers[pick], words[pick])  # fmt: skip
                progress.advance(bar)
            epoch += 1
            _save_checkpoint(checkpoint, plan, epoch, net, optimiser)
            spent = (time.monotonic() - start) / 60
            # Ends before the limit, not after it: an epoch takes as long as those before.
            if piece_minutes is not None and epoch < epochs and spent * 2 > piece_minutes:
                progress.console.print(f"{epoch} of {epochs} epochs; the same command goes on.")
                return None
    figures = _figures(net, load_renders(judge, SIDE), own=held_out is not None)
    save_classifier(net, figures, out)
    return figures


def _step(
    net: ContextNet,
    optimiser: torch.optim.Optimizer,
    rate: float,
    images: Pictures,
    rng: np.random.Generator,
    contexts: torch.Tensor,
    numbers: torch.Tensor,
    words: torch.Tensor,
) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    x = _varied(to_tensor(images, contexts.device), rng)
    optimiser.zero_grad()
    net.loss(x, contexts, numbers, words).backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _shape(done: float) -> float:
    """Share of the learning rate at a share of the way: a short warm-up, then half a cosine."""
    return min(1.0, done / 0.03 + 0.05) * 0.5 * (1 + math.cos(math.pi * done))


def _varied(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Small crops, mirror pictures, and light that differs a little in strength, contrast and colour."""
    row, column = rng.integers(0, SIDE - _CROP + 1, 2)
    x = x[..., row : row + _CROP, column : column + _CROP]
    if rng.random() < 0.5:
        x = x.flip(-1)
    n = len(x)
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (n, 1, 1, 1)) * rng.uniform(0.96, 1.04, (n, 3, 1, 1)))
    shift = torch.from_numpy(rng.uniform(-0.08, 0.08, (n, 1, 1, 1)))
    return (x * gain.to(x) + shift.to(x)).contiguous(memory_format=torch.channels_last)


def _resume(
    checkpoint: Path,
    plan: dict[str, Any],
    net: ContextNet,
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> int:
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location=device, weights_only=True)
    if state["plan"] != json.dumps(plan):
        raise UserError(f"{checkpoint} was begun on other renders or with other settings: delete it.")
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["epoch"])


def _save_checkpoint(
    checkpoint: Path, plan: dict[str, Any], epoch: int, net: ContextNet, optimiser: torch.optim.Optimizer
) -> None:
    temporary = checkpoint.with_suffix(".tmp")
    state = {"plan": json.dumps(plan), "epoch": epoch, "net": net.state_dict()}
    torch.save(state | {"optimiser": optimiser.state_dict()}, temporary)
    temporary.replace(checkpoint)


def _figures(net: ContextNet, renders: Renders, *, own: bool) -> dict[str, Any]:
    seen, truth = look(net, renders.images), renders.contexts
    missed = Counter((int(t), int(s)) for t, s in zip(truth, seen.context, strict=True) if t != s)
    return {
        "held_out": "a folder of their own" if own else "the last shards of the data",
        "held_out_renders": len(renders),
        "rendered_at": renders.rendered,
        "held_out_top1": seen.top1(truth),
        "confused_most": [
            [CONTEXTS[t].phrase, CONTEXTS[s].phrase, number] for (t, s), number in missed.most_common(5)
        ],
    }


def save_classifier(net: ContextNet, figures: dict[str, Any], out: Path) -> None:
    """Weights as safetensors; what they answer, and how well, in the file's header."""
    header = {
        "heads": json.dumps(asdict(net.described)),
        "contexts": json.dumps([context.phrase for context in CONTEXTS]),
        "figures": json.dumps(figures),
    }
    temporary = out.with_suffix(".tmp")
    save_file({k: v.contiguous().cpu() for k, v in net.state_dict().items()}, temporary, metadata=header)
    temporary.replace(out)


def load_classifier(path: Path, device: str = "cpu") -> tuple[ContextNet, dict[str, Any]]:
    """The classifier and its held-out figures.

    Raises:
        UserError: the file is no classifier, or was trained on other contexts.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        contexts, described = json.loads(header["contexts"]), json.loads(header["heads"])
        figures: dict[str, Any] = json.loads(header["figures"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is no classifier: `python -m tools.portraits classifier` makes one."
        ) from error
    if contexts != [context.phrase for context in CONTEXTS]:
        raise UserError(f"{path} knows other contexts than contexts.py: train it again.")
    numbers = {name: (float(m), float(s)) for name, (m, s) in described["numbers"].items()}
    net = ContextNet(Heads(numbers, described["words"]))
    net.load_state_dict(weights)
    return net.to(device).eval(), figures
