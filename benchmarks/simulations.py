"""How often the intervals of `fairgen.stats` cover and its tests err, by simulation; writes the tables of
docs/statistics.md.

    python benchmarks/simulations.py            # prints them, writes benchmarks/simulations.json
    python benchmarks/simulations.py --quick    # a tenth of the sets, prints only
    python benchmarks/simulations.py --only coverage,grid   # the others from benchmarks/simulations.json

Everything is seeded: the same tables come out again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import page_tables
import simulation_tables
import typer
from interval_methods import METHODS
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from fairgen import stats
from tools.figures.stamp import write_figures

Vector = NDArray[np.float64]
Row = dict[str, Any]

_HERE = Path(__file__).resolve().parent
_PAGE = _HERE.parent / "docs" / "statistics.md"
_COMMAND = "python benchmarks/simulations.py"

SIZES = (6, 12, 30, 100, 300)
CLASSES = (3, 6, 10)
BY_HAND = {
    3: (0.7, 0.2, 0.1),
    6: (0.4, 0.3, 0.1, 0.1, 0.05, 0.05),
    10: (0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.03, 0.02, 0.01),
}
"""Skewed targets as a user would declare them."""


def shapes(k: int) -> dict[str, Vector]:
    """Shares of k classes, by name."""
    rare, empty = np.full(k, 0.99 / (k - 1)), np.full(k, 1 / (k - 1))
    rare[-1], empty[-1] = 0.01, 0.0
    small = np.full(k, 0.13 / (k - 2))
    small[:2] = 0.62, 0.25
    return {
        "even": np.full(k, 1 / k),
        "skewed by hand": np.array(BY_HAND[k]),
        "one class of 1 %": rare,
        "one class never": empty,
        "two large, the others alike": small,
    }


def _named(values: Vector) -> dict[str, int]:
    return {f"c{i}": int(value) for i, value in enumerate(values)}


def _target(shares: Vector) -> dict[str, float]:
    return {f"c{i}": float(share) for i, share in enumerate(shares)}


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng([20260421, *key])


def coverage(k: int, shape: str, n: int, sets: int) -> Row:
    """How often all k intervals hold at once, and their mean width, by method."""
    shares = shapes(k)[shape]
    drawn = _rng(k, n, list(shapes(k)).index(shape)).multinomial(n, shares, size=sets)
    row: Row = {"classes": k, "shape": shape, "n": n, "methods": {}}
    for name, (part, method) in METHODS.items():
        some = drawn[: round(part * sets)]
        bounds = {counts: method(counts) for counts in set(map(tuple, some.tolist()))}
        each = np.array([bounds[tuple(counts)] for counts in some.tolist()])
        held = ((each[:, :, 0] <= shares + 1e-12) & (shares - 1e-12 <= each[:, :, 1])).all(axis=1)
        row["methods"][name] = {
            "covered": float(held.mean()),
            "width": float((each[:, :, 1] - each[:, :, 0]).mean()),
            "sets": len(some),
        }
    return row


GRID, GRID_SHAPES, BLOCK = (12, 300), 500, 25
"""Pictures from and to, shapes in all, shapes of one task."""


def random_shapes(block: int, sets: int) -> Row:
    """Coverage and mean width at random numbers of classes, shares and pictures, by method."""
    rng = _rng(17, block)
    row: Row = {"block": block, "sets": sets, "shapes": []}
    for _ in range(BLOCK):
        k, n = int(rng.integers(2, 11)), int(np.exp(rng.uniform(*np.log(GRID))))
        shares = rng.dirichlet(np.full(k, np.exp(rng.uniform(np.log(0.2), np.log(5)))))
        counts, often = np.unique(rng.multinomial(n, shares, size=sets), axis=0, return_counts=True)
        found: Row = {"classes": k, "n": n}
        for name in list(METHODS)[:2]:
            each = np.array([METHODS[name][1](tuple(c)) for c in counts.tolist()])
            held = ((each[:, :, 0] <= shares + 1e-12) & (shares - 1e-12 <= each[:, :, 1])).all(axis=1)
            width = (each[:, :, 1] - each[:, :, 0]).mean(axis=1)
            found[name] = {
                "covered": float(np.average(held, weights=often)),
                "width": float(np.average(width, weights=often)),
            }
        row["shapes"].append(found)
    return row


READERS = {"certain": 0.02, "sharp": 0.5, "doubtful": 4.0}
"""Concentration of the Dirichlet law that a reader's probabilities of a picture follow."""


def bootstrap(reader: str, shape: str, n: int, sets: int) -> Row:
    """Coverage of the bootstrap with a calibrated reader of 6 classes: a picture's true class is drawn from
    the reader's own probabilities.
    """
    shares, target = shapes(6)[shape], _target(np.full(6, 1 / 6))
    rng = _rng(6, n, list(READERS).index(reader), len(shape))
    truth_tv = 0.5 * float(np.abs(shares - 1 / 6).sum())
    hits: dict[str, list[float]] = {name: [] for name in ("set shares", "set tv", "shares", "tv", "width")}
    for number in range(sets):
        rows = rng.dirichlet(shares * READERS[reader] + 1e-9, size=n)
        true = (rng.random(n)[:, None] >= np.cumsum(rows, axis=1)[:, :-1]).sum(axis=1)
        real = np.bincount(true, minlength=6) / n
        read = [dict(zip(target, map(float, row), strict=True)) for row in rows]
        for redraw, share_key, tv_key, about in (
            (False, "set shares", "set tv", real),
            (True, "shares", "tv", shares),
        ):
            found = stats.bootstrap(read, target, redraw_pictures=redraw, draws=500, seed=number)
            pairs = np.array(list(found.shares.values()))
            held = (pairs[:, 0] <= about + 1e-9) & (about - 1e-9 <= pairs[:, 1])
            tv = 0.5 * float(np.abs(about - 1 / 6).sum())
            hits[share_key].append(float(held.mean()))
            hits[tv_key].append(float(found.tv[0] - 1e-9 <= tv <= found.tv[1] + 1e-9))
        hits["width"].append(found.tv[1] - found.tv[0])
    means = {name: float(np.mean(values)) for name, values in hits.items()}
    return {"reader": reader, "shape": shape, "n": n, "tv_true": truth_tv, "sets": sets} | means


def difference(k: int, shape: str, n: int, sets: int) -> Row:
    """How often the difference test rejects a sampler that follows the target, at 5 %."""
    shares = shapes(k)[shape]
    target = _target(shares)
    drawn = _rng(k, n, 7, len(shape)).multinomial(n, shares, size=sets)
    p = {
        row: stats.multinomial_test(_named(np.array(row)), target) for row in set(map(tuple, drawn.tolist()))
    }
    rejected = float(np.mean([p[tuple(row)] <= 0.05 for row in drawn.tolist()]))
    exact = stats.has_exact_test(target, n)
    return {"classes": k, "shape": shape, "n": n, "rejected": rejected, "exact": exact, "sets": sets}


def moved(shares: Vector, by: float, pairs: int) -> Vector:
    """Shares at total variation ``by``: moved from the last ``pairs`` classes to the first ones."""
    result = shares.copy()
    result[:pairs] += by / pairs
    result[-pairs:] -= by / pairs
    return result


def equivalence(k: int, tolerance: float, n: int, sets: int) -> Row:
    """How often the equivalence test passes a sampler exactly at the tolerance, and one on the target."""
    even = np.full(k, 1 / k)
    target = _target(even)
    passed: dict[str, float | None] = {}
    places = {"border, one pair": 1, "border, all classes": k // 2, "on target": 0}
    for number, (name, pairs) in enumerate(places.items()):
        if pairs and tolerance / pairs > 1 / k:
            passed[name] = None
            continue
        shares = moved(even, tolerance, pairs) if pairs else even
        drawn = _rng(k, n, round(tolerance * 1000), number).multinomial(n, shares, size=sets)
        p = [stats.equivalence_test(_named(row), target, tolerance) for row in drawn]
        passed[name] = float(np.mean(np.array(p) <= 0.05))
    return {"classes": k, "tolerance": tolerance, "n": n, "sets": sets} | passed


def floor(k: int, shape: str, n: int, sets: int) -> Row:
    """The chance floor beside its simulated value."""
    shares = shapes(k)[shape]
    gap = _rng(k, n, 11, len(shape)).multinomial(n, shares, size=sets) / n - shares
    simulated = float(0.5 * np.abs(gap).sum(axis=1).mean())
    exact = stats.noise_floor(_target(shares), n)
    return {"classes": k, "shape": shape, "n": n, "exact": exact, "simulated": simulated, "sets": sets}


def across(prompts: int, sets: int) -> Row:
    """Figures over prompts whose total variation is that of 30 pictures from samplers that vary by prompt."""
    rng = _rng(prompts, 13)

    def arm(size: int) -> Vector:
        samplers = rng.dirichlet(np.array(BY_HAND[6]) * 10, size=size)
        return np.asarray(0.5 * np.abs(rng.multinomial(30, samplers) / 30 - 1 / 6).sum(axis=-1))

    truth = float(arm(400_000).mean())
    covered, rejected = [], []
    for number in range(sets):
        found = stats.mean_interval(arm(prompts).tolist(), draws=1000, seed=number)
        covered.append(found.low <= truth <= found.high)
        pair = stats.paired_difference(arm(prompts).tolist(), arm(prompts).tolist(), draws=1000, seed=number)
        rejected.append(pair.p_value <= 0.05)
    return {
        "prompts": prompts,
        "covered": float(np.mean(covered)),
        "rejected": float(np.mean(rejected)),
        "sets": sets,
    }


FAR = np.array([0.9, 0.02, 0.02, 0.02, 0.02, 0.02])
POPULATIONS = (
    "vary smoothly",
    "all alike",
    "15 % far off",
    "5 % far off",
    "half and half",
    "85 % far off",
    "exact but for 5 %",
    "exact but for 15 %",
)
"""Kinds of prompts: how their samplers differ."""


def distances_of(population: str, size: int, rng: np.random.Generator) -> Vector:
    """Total variation of 30 pictures from a uniform target of 6 classes, one a prompt of that population."""
    even = np.full(6, 1 / 6)
    if population in ("vary smoothly", "all alike"):
        hand = np.array(BY_HAND[6])
        samplers = rng.dirichlet(hand * 10, size=size) if population == "vary smoothly" else hand
        drawn = rng.multinomial(30, samplers, size=None if population == "vary smoothly" else size)
        return np.asarray(0.5 * np.abs(drawn / 30 - 1 / 6).sum(axis=-1))
    parts = {"half and half": 0.5, "85 % far off": 0.85, "5 % far off": 0.05, "exact but for 5 %": 0.05}
    far = rng.random(size) < parts.get(population, 0.15)
    drawn = rng.multinomial(30, np.where(far[:, None], FAR, even))
    tv = 0.5 * np.abs(drawn / 30 - 1 / 6).sum(axis=-1)
    return np.where(far, tv, 0.0) if population.startswith("exact") else np.asarray(tv)


def mixed(population: str, prompts: int, sets: int) -> Row:
    """Coverage and mean width of the two intervals for a mean over prompts."""
    rng = _rng(prompts, 19, POPULATIONS.index(population))
    truth = float(distances_of(population, 400_000, rng).mean())
    row: Row = {"population": population, "prompts": prompts, "sets": sets}
    methods = {"bounded": stats.bounded_mean_interval, "bootstrap": stats.mean_interval}
    found: dict[str, list[tuple[bool, float]]] = {name: [] for name in methods}
    for number in range(sets):
        values = distances_of(population, prompts, rng).tolist()
        for name, method in methods.items():
            if name == "bootstrap" and number >= sets // 2:
                continue
            one = method(values, draws=1000, seed=number)
            found[name].append((one.low <= truth <= one.high, one.high - one.low))
    for name, pairs in found.items():
        row[name] = {
            "covered": float(np.mean([a for a, _ in pairs])),
            "width": float(np.mean([b for _, b in pairs])),
        }
    return row


def tasks(scale: float) -> Iterator[tuple[str, Callable[..., Row], tuple[Any, ...]]]:
    """(table, function, arguments) of every row."""

    def sets(full: int) -> int:
        return max(50, round(full * scale))

    for k in CLASSES:
        for shape in shapes(k):
            for n in SIZES:
                yield "coverage", coverage, (k, shape, n, sets(10_000))
                if shape != "two large, the others alike":
                    yield "floor", floor, (k, shape, n, sets(200_000))
            for n in (6, 30, 100):
                if shape in ("even", "skewed by hand", "one class of 1 %"):
                    yield "difference", difference, (k, shape, n, sets(1_000))
        for tolerance in (0.1, 0.16, 0.2):
            for n in (30, 100, 300):
                yield "equivalence", equivalence, (k, tolerance, n, sets(2_000))
    for block in range(GRID_SHAPES // BLOCK):
        yield "grid", random_shapes, (block, sets(2_000))
    for reader in READERS:
        for shape in ("even", "skewed by hand"):
            for n in (12, 30, 100):
                yield "bootstrap", bootstrap, (reader, shape, n, sets(500))
    for prompts in (6, 12, 36):
        yield "across", across, (prompts, sets(500))
    for population in POPULATIONS:
        for prompts in (3, 6, 10, 12, 36, 100):
            yield "mixed", mixed, (population, prompts, sets(2_000))


def main(quick: bool = False, only: str | None = None, workers: int = 2) -> None:
    """Simulate, print the tables, and write them unless ``--quick``."""
    file = _HERE / "simulations.json"
    rows: dict[str, list[Row]] = json.loads(file.read_text(encoding="utf-8"))["rows"] if only else {}
    chosen = only.split(",") if only else None
    rows = {name: found for name, found in rows.items() if chosen is None or name not in chosen}
    todo = [task for task in tasks(0.1 if quick else 1.0) if chosen is None or task[0] in chosen]
    with Progress(console=Console(stderr=True)) as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task("rows", total=len(todo))
        for name, future in [(name, pool.submit(work, *given)) for name, work, given in todo]:
            rows.setdefault(name, []).append(future.result())
            progress.advance(bar)
    for name, text in simulation_tables.tables(rows).items():
        print(f"\n{name}\n\n{text}")
        if not quick:
            page_tables.put(name, text, _PAGE)
    if not quick:
        write_figures(file, {"command": _COMMAND, "rows": rows}, [], flat=True)


if __name__ == "__main__":
    typer.run(main)
