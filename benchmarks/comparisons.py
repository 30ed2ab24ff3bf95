"""How often `fairgen compare` calls two runs different: of equal models (an error, at most 5 %), and of
models that differ; writes a table of docs/statistics.md.

    python benchmarks/comparisons.py [--sets 200]    # prints it, writes benchmarks/comparisons.json

Each prompt has a sampler of its own (Dirichlet about a skewed target of six classes). Both runs draw from it;
where models differ, the second one moves a share of its pictures from the lightest towards the other classes.
The test is the one over prompts, `fairgen.stats.paired_rarefied`, as `fairgen compare` calls it.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import page_tables
import typer
from numpy.typing import NDArray
from rich.progress import track

from fairgen import stats
from fairgen.scoring.compare import PART
from tools.figures.stamp import write_figures

Vector = NDArray[np.float64]
Row = dict[str, Any]

_HERE = Path(__file__).resolve().parent
_COMMAND = "python benchmarks/comparisons.py"
COUNTS = ((6, 30), (12, 60), (30, 60), (30, 30))
PROMPTS = (8, 12, 24, 36)
MOVED = (0.0, 0.1, 0.2)
"""Share of the second model's pictures that are of another class: TV between the models."""
ABOUT = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
EVEN = {f"c{i}": 1 / 6 for i in range(6)}


def moved(samplers: Vector, share: float) -> Vector:
    """Samplers, prompts x classes, with up to ``share`` of the first class given to the others."""
    taken = np.minimum(samplers[:, :1], share)
    rest = np.broadcast_to(taken / (samplers.shape[1] - 1), (len(samplers), samplers.shape[1] - 1))
    return np.concatenate([samplers[:, :1] - taken, samplers[:, 1:] + rest], axis=1)


def rejected(counts: tuple[int, int], prompts: int, share: float, sets: int) -> Row:
    """How often the test over prompts says "different" at 5 %."""
    rng = np.random.default_rng([20260421, *counts, prompts, round(share * 100)])
    found = []
    for _ in range(sets):
        samplers = rng.dirichlet(ABOUT * 10, size=prompts)
        first = rng.multinomial(counts[0], samplers)
        second = rng.multinomial(counts[1], moved(samplers, share))
        pairs: list[stats.SetPair] = [
            (dict(zip(EVEN, map(int, a), strict=True)), dict(zip(EVEN, map(int, b), strict=True)), EVEN)
            for a, b in zip(first, second, strict=True)
        ]
        found.append(stats.paired_rarefied(pairs, PART).p_value <= 0.05)
    return {
        "counts": counts,
        "prompts": prompts,
        "moved": share,
        "rejected": float(np.mean(found)),
        "sets": sets,
    }


def table(rows: list[Row]) -> str:
    """Markdown, for docs/statistics.md."""
    by = {(tuple(r["counts"]), r["prompts"], r["moved"]): r["rejected"] for r in rows}
    titles = ("pictures a prompt", "prompts", "equal models %", *(f"TV {m} apart %" for m in MOVED[1:]))
    return page_tables.table(
        titles,
        [
            [f"{a} / {b}", str(n), *(f"{100 * by[(a, b), n, m]:.1f}" for m in MOVED)]
            for (a, b), n in product(COUNTS, PROMPTS)
        ],
    )


def main(sets: int = 200, workers: int = 2) -> None:
    """Simulate, print the table and write it."""
    cells = list(product(COUNTS, PROMPTS, MOVED))
    with ProcessPoolExecutor(workers) as pool:
        work = [pool.submit(rejected, *cell, sets) for cell in cells]
        rows = [future.result() for future in track(work, "Comparing")]
    text = table(rows)
    print(text)
    page_tables.put("compare", text, _HERE.parent / "docs" / "statistics.md")
    write_figures(_HERE / "comparisons.json", {"command": _COMMAND, "rows": rows}, [], flat=True)


if __name__ == "__main__":
    typer.run(main)
