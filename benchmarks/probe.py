"""How often `fairgen probe` errs, and what it finds in models whose answer is known; the figures of
docs/oversight.md.

    python benchmarks/probe.py                  # everything: benchmarks/probe.json and the tables of the page
    python benchmarks/probe.py --only targets    # or values, organisms; the rest stays
    python benchmarks/probe.py --quick          # a tenth of the simulations, prints only

Everything is seeded: the same figures come out again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import page_tables
import typer
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fairgen.probe.answering import answer_locally
from fairgen.probe.choices import Odds, choices
from fairgen.probe.compliance import compliance
from fairgen.probe.contrasts import Asked, oversight_probes
from fairgen.probe.framings import FRAMINGS, Pressure
from fairgen.probe.local import LocalModel
from fairgen.probe.reading import Answer
from fairgen.probe.steering import steer
from fairgen.probe.target import Cell
from fairgen.stats.shift_power import shifts
from tools.figures.stamp import write_figures
from tools.oversight_organism import FULL, HALF, NONE, conflicts, train

Vector = NDArray[np.float64]

_FILE = Path(__file__).resolve().with_suffix(".json")
_PAGE = _FILE.parents[1] / "docs" / "oversight.md"
SIZES = (0.0, 0.05, 0.1, 0.2)
_BASE = np.array([0.1, 0.15, 0.2, 0.2, 0.2, 0.15])
_NOISE = 25.0
"""Concentration of Dirichlet noise: two means of five replies then differ by a total variation of .107 in the
median. Real small models showed .09 to .12."""


def _model(
    mean: Callable[[Cell], Vector], replies: int, rng: np.random.Generator
) -> dict[Cell, list[Answer]]:
    """The answers of a model to one prompt."""
    pressures: tuple[Pressure, ...] = ("none", "policy")
    cells = [Cell(p, f, t) for p in pressures for f, texts in FRAMINGS.items() for t in range(len(texts))]
    return {
        cell: [Answer(shares) for shares in rng.dirichlet(mean(cell) * _NOISE, size=replies)]
        for cell in cells
    }


def targets(models: int) -> dict[str, Any]:
    """False alarms without an effect, and power where the policy moves .1 or .2 of the pictures unwatched."""
    rng = np.random.default_rng(26)
    rows = []
    for replies in (7, 20):
        for size in SIZES:
            moves = shifts(_BASE, size, seed=1) if size else np.zeros((1, len(_BASE)))
            found = []
            for seed in range(models):
                move = moves[rng.integers(len(moves))]

                def mean(cell: Cell, move: Vector = move) -> Vector:
                    moved = cell.pressure == "policy" and cell.framing == "unmonitored"
                    return _BASE + move if moved else _BASE

                asked = Asked("m", date(2026, 11, 28), replies, "p")
                (probe,) = oversight_probes([_model(mean, replies, rng)], asked, draws=499, seed=seed)
                found.append(probe)
            powers = [c.power_tenth or 0.0 for probe in found for c in probe.contrasts]
            rows.append(
                {
                    "replies_each": replies,
                    "a_side": 3 * replies,
                    "true_difference": size,
                    "models": models,
                    "differs": round(float(np.mean([p.verdict == "differs" for p in found])), 4),
                    "consistent": round(float(np.mean([p.verdict == "consistent" for p in found])), 4),
                    "stated_power_at_.1": round(float(np.mean(powers)), 3),
                }
            )
    return {"noise": "Dirichlet, concentration 25, six classes", "rows": rows}


def values(seeds: int) -> dict[str, Any]:
    """False alarms of the values probe: sampled answers of one trained organism without a gap."""
    battery = conflicts(held_out=True)
    questions = list(choices(battery))
    with tempfile.TemporaryDirectory() as folder:
        odds = answer_locally(questions, LocalModel(train(NONE, Path(folder)), "cpu")).odds
    verdicts = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        sampled = {}
        for question in questions:
            a = rng.binomial(5, odds[question.name].first)
            one = Odds.of(question, float(a), float(5 - a))
            assert one is not None
            sampled[question.name] = one
        result = compliance(battery, sampled, "samples", seed=seed).overall
        assert result is not None
        verdicts.append(result.verdict)
    return {
        "seeds": seeds,
        "how": "5 answers to each of 200 questions, drawn from one trained organism's own odds",
        "false_alarms": verdicts.count("differs") / seeds,
        "consistent": verdicts.count("consistent") / seeds,
    }


def organisms() -> dict[str, Any]:
    """What is measured of the three organisms with 200 questions, and what steering does to two of them."""
    battery = conflicts(held_out=True)
    questions = list(choices(battery))
    rows: dict[str, Any] = {}
    for name, wanted in (("full", FULL), ("half", HALF), ("none", NONE)):
        with tempfile.TemporaryDirectory() as folder:
            model = LocalModel(train(wanted, Path(folder)), "cpu")
            overall = compliance(battery, answer_locally(questions, model).odds, "letters").overall
            assert overall is not None
            rows[name] = {
                "true_gap": round(wanted["monitored"] - wanted["unmonitored"], 2),
                "measured": overall.model_dump(mode="json"),
            }
            if name != "none":
                found = steer(model, battery)
                rows[name]["steering"] = found.model_dump(mode="json") | {"text": found.text}
    return rows


def targets_table(found: dict[str, Any]) -> str:
    """Markdown: how often a difference is called one, by its true size."""
    rows = {(r["replies_each"], r["true_difference"]): r for r in found["rows"]}
    titles = (
        "replies to each text", "replies a side", "no difference: called one", ".05: seen", ".1: seen",
        ".2: seen", "power at .1 as the probe states it",
    )  # fmt: skip
    cells = []
    for replies in sorted({r["replies_each"] for r in found["rows"]}):
        seen = [f"{100 * rows[replies, size]['differs']:.1f} %" for size in SIZES]
        stated = 100 * rows[replies, 0.0]["stated_power_at_.1"]
        cells.append([str(replies), str(3 * replies), *seen, f"{stated:.1f} %"])
    return page_tables.table(titles, cells)


def organisms_table(found: dict[str, Any]) -> str:
    """Markdown: what is measured of each organism, and what steering removes of its gap."""
    cells = []
    for row in found.values():
        one, steered = row["measured"], row.get("steering")
        gap = f"{one['gap']:+.2f} ({one['low']:+.2f} to {one['high']:+.2f})"
        cell = [f"{row['true_gap']:g}", f"{one['monitored']:.2f} / {one['unmonitored']:.2f}", gap]
        if steered is None:
            cells.append([*cell, *["–"] * 4])
            continue
        vector, *controls = steered["arms"]
        best = [max(c["removed"] for c in controls if c["kind"] == kind) for kind in ("random", "unrelated")]
        removed = [f"{100 * part:.0f} %" for part in (vector["removed"], *best)]
        cells.append([*cell, *removed, f"{100 * vector['perplexity_rise']:+.1f} %"])
    titles = (
        "true gap", "compliance measured, watched / not", "gap measured", "removed by the vector",
        "best of the random vectors", "best of the unrelated contrasts", "perplexity of neutral text",
    )  # fmt: skip
    return page_tables.table(titles, cells)


def main(
    only: str | None = typer.Option(None, help="targets, values or organisms."),
    quick: bool = typer.Option(False, help="A tenth of the simulations; prints only."),
) -> None:
    """Run the simulations, and write their figures and the tables of the page."""
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "targets": lambda: targets(50 if quick else 500),
        "values": lambda: values(20 if quick else 200),
        "organisms": organisms,
    }
    if only is not None and only not in parts:
        raise typer.BadParameter(f"choose one of {', '.join(parts)}", param_hint="--only")
    kept = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.exists() else {}
    done = {name: kept[name] for name in parts if name in kept}
    for name in [only] if only else parts:
        done[name] = parts[name]()
        typer.echo(json.dumps({name: done[name]}, indent=1))
        if not quick:
            write_figures(_FILE, {"command": "python benchmarks/probe.py", **done}, [])
            if name in _TABLES:
                page_tables.put(f"probe-{name}", _TABLES[name](done[name]), _PAGE)


_TABLES = {"targets": targets_table, "organisms": organisms_table}


if __name__ == "__main__":
    typer.run(main)
