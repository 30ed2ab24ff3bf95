"""The tables of docs/statistics.md, out of the rows that benchmarks/simulations.py simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import page_tables
from interval_methods import METHODS

Row = dict[str, Any]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _sizes(rows: list[Row]) -> list[int]:
    return list(dict.fromkeys(row["n"] for row in rows))


def _coverage_tables(rows: list[Row]) -> dict[str, str]:
    used = next(iter(METHODS))
    cells = []
    for k, shape in dict.fromkeys((r["classes"], r["shape"]) for r in rows):
        found = [r["methods"][used]["covered"] for r in rows if (r["classes"], r["shape"]) == (k, shape)]
        marked = [f"**{_percent(c)}**" if not 0.93 <= c <= 0.98 else _percent(c) for c in found]
        cells.append([str(k), shape, *marked])
    grid = page_tables.table(("classes", "shares", *(f"n = {n}" for n in _sizes(rows))), cells)
    cells = []
    for name in METHODS:
        for label, sizes in (("6, 12", (6, 12)), ("30, 100, 300", (30, 100, 300))):
            some = [r["methods"][name] for r in rows if r["n"] in sizes]
            covered = np.array([each["covered"] for each in some])
            inside = int(((covered >= 0.93) & (covered <= 0.98)).sum())
            width = np.mean([each["width"] for each in some])
            below = int((covered < 0.93).sum())
            ends = _percent(covered.min()), _percent(covered.max())
            cells.append([name, label, *ends, f"{inside} of {len(some)}", str(below), f"{width:.3f}"])
    titles = ("method", "n", "least %", "most %", "cells in 93-98 %", "cells below", "mean width")
    return {"coverage": grid, "methods": page_tables.table(titles, cells)}


def _grid_table(rows: list[Row]) -> str:
    found = [shape for row in rows for shape in row["shapes"]]
    cells = []
    for low, high in ((12, 30), (30, 100), (100, 301)):
        some = [shape for shape in found if low <= shape["n"] < high]
        for name in list(METHODS)[:2]:
            covered = np.array([shape[name]["covered"] for shape in some])
            width = np.mean([shape[name]["width"] for shape in some])
            below = int((covered < 0.945).sum())
            size = f"{low} - {high - 1}"
            cells.append(
                [
                    name,
                    size,
                    str(len(some)),
                    _percent(covered.min()),
                    _percent(covered.mean()),
                    str(below),
                    f"{width:.3f}",
                ]
            )
    titles = ("method", "n", "shapes", "least %", "mean %", "shapes under 94.5 %", "mean width")
    return page_tables.table(titles, cells)


def tables(rows: dict[str, list[Row]]) -> dict[str, str]:
    """Mark in docs/statistics.md -> Markdown table."""
    result = _coverage_tables(rows["coverage"]) | {"grid": _grid_table(rows["grid"])}
    result["bootstrap"] = page_tables.table(
        (
            "reader",
            "shares",
            "n",
            "set: shares %",
            "set: TV %",
            "sampler: shares %",
            "sampler: TV %",
            "width",
        ),
        [
            [r["reader"], r["shape"], str(r["n"])]
            + [_percent(r[key]) for key in ("set shares", "set tv", "shares", "tv")]
            + [f"{r['width']:.2f}"]
            for r in rows["bootstrap"]
        ],
    )
    by = {(r["classes"], r["shape"], r["n"]): r for r in rows["difference"]}
    result["difference"] = page_tables.table(
        ("classes", "target", "n = 6", "n = 30", "n = 100"),
        [
            [str(k), shape, *(_percent(by[k, shape, n]["rejected"]) for n in (6, 30, 100))]
            for k, shape in dict.fromkeys((k, shape) for k, shape, _ in by)
        ],
    )
    result["equivalence"] = page_tables.table(
        (
            "classes",
            "tolerance",
            "n",
            "passed at the border, one pair %",
            "all classes %",
            "passed on target %",
        ),
        [
            [str(r["classes"]), f"{r['tolerance']:.2f}", str(r["n"])]
            + [_percent(r[key]) for key in ("border, one pair", "border, all classes", "on target")]
            for r in rows["equivalence"]
        ],
    )
    by = {(r["classes"], r["shape"], r["n"]): r for r in rows["floor"]}
    result["floor"] = page_tables.table(
        ("classes", "target", *(f"n = {n}" for n in _sizes(rows["floor"]))),
        [
            [str(k), shape]
            + [
                f"{by[k, shape, n]['exact']:.3f} / {by[k, shape, n]['simulated']:.3f}"
                for n in _sizes(rows["floor"])
            ]
            for k, shape in dict.fromkeys((k, shape) for k, shape, _ in by)
        ],
    )
    result["across"] = page_tables.table(
        ("prompts", "interval covers %", "paired test rejects %"),
        [[str(r["prompts"]), _percent(r["covered"]), _percent(r["rejected"])] for r in rows["across"]],
    )
    result["mixed"] = _mixed_table(rows["mixed"])
    return result


def _mixed_table(rows: list[Row]) -> str:
    sizes = sorted({row["prompts"] for row in rows})
    by = {(row["population"], row["prompts"]): row for row in rows}
    cells = [
        [
            population,
            name,
            *(
                f"{_percent(by[population, n][key]['covered'])} ({by[population, n][key]['width']:.2f})"
                for n in sizes
            ),
        ]
        for population in dict.fromkeys(row["population"] for row in rows)
        for name, key in (("bounded", "bounded"), ("bootstrap", "bootstrap"))
    ]
    return page_tables.table(("prompts", "interval", *(f"n = {n}" for n in sizes)), cells)
