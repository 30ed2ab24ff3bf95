"""The audit of the embedded model over the 36 shipped prompts: its report, and the table of docs/audit.md.

    python benchmarks/occupations.py --work FOLDER      # goes on where it stopped; half an hour on two cores

What lands in docs/audit-of-the-embedded-model is what `fairgen report --pictures thin` makes; the picture on
README's first screen is the top of that page.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import page_tables
import typer

from tools.figures.stamp import CALIBRATIONS, MODEL, READERS, hold_work, write_figures
from tools.screenshots.report import top_of_page

_HERE = Path(__file__).resolve().parent
_DOCS = _HERE.parent / "docs"
_SHIPPED = ("report.html", "report.json", "sets.csv")
_GROUPS = ("high", "middle", "low", "other")
_OF = (MODEL, CALIBRATIONS, READERS)


def main(
    work: Annotated[Path, typer.Option(help="Folder of the run.")],
    workers: Annotated[int | None, typer.Option(min=1, help="As for fairgen audit; by default none.")] = None,
) -> None:
    """Run the audit, make its report, and put both into docs/."""
    hold_work(work, _OF)
    run = work / "embedded-model"
    # From the folder that it lies in: a run file holds the path that was given for it.
    how = ["--workers", str(workers)] if workers else []
    if not (run / "run.jsonl").exists():
        _fairgen("audit", "--out", run.name, *how, cwd=work)
    elif not (run / "report.json").exists():
        _fairgen("audit", "--resume", run.name, *how, cwd=work)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        _fairgen("report", str(run), "--pictures", "thin", "--single-file", "--out", str(made))
        shipped = _DOCS / "audit-of-the-embedded-model"
        shipped.mkdir(exist_ok=True)
        for name in _SHIPPED:
            shutil.copyfile(made / name, shipped / name)
        report = json.loads((made / "report.json").read_text(encoding="utf-8"))
        top_of_page(made / "report.html", _DOCS / "images" / "audit.png")
    arms = _arms(report)
    document = {"command": "python benchmarks/occupations.py --work FOLDER", "arms": arms}
    page_tables.put("occupations", table(arms), _DOCS / "audit.md")
    write_figures(_HERE / "occupations.json", document, _OF)


def _fairgen(*arguments: str, cwd: Path | None = None) -> None:
    search = os.environ | {"PYTHONPATH": str(_HERE.parent)}
    done = subprocess.run([sys.executable, "-m", "fairgen", *arguments], cwd=cwd, env=search)
    if done.returncode:
        sys.exit(done.returncode)


def _arms(report: dict[str, Any]) -> list[dict[str, Any]]:
    groups = {row["group"]: row["arms"] for row in report["groups"]}
    rows = []
    for arm in report["arms"]:
        kept = ("arm", "prompts", "generated", "counted", "mean_tv", "mean_first_pass_tv", "mean_chance_tv")
        more = ("mean_alignment_error", "worst_prompt", "worst_tv", "made_per_kept", "hit_rate")
        row = {key: arm[key] for key in (*kept, *more)}
        row["groups"] = {name: groups[name][arm["arm"]]["mean_tv"] for name in _GROUPS}
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown, for docs/audit.md."""
    titles = (
        "arm",
        "mean TV",
        "first pass",
        "alignment error",
        "worst prompt",
        *_GROUPS,
        "made per kept",
        "hits",
    )
    cells = [
        [
            row["arm"],
            f"{row['mean_tv']:.3f}",
            f"{row['mean_first_pass_tv']:.3f}",
            f"{row['mean_alignment_error']:.4f}",
            f"{row['worst_prompt'].removeprefix('a portrait of ')}, {row['worst_tv']:.3f}"
            if row["worst_tv"] > 1e-9
            else "none is off",
            *(f"{row['groups'][name]:.3f}" for name in _GROUPS),
            f"{row['made_per_kept']:.3f}",
            "" if row["hit_rate"] is None else f"{row['hit_rate']:.3f}",
        ]
        for row in rows
    ]
    made = sum(row["generated"] for row in rows)
    return f"{page_tables.table(titles, cells)}\n\n{made:,} pictures in all."


if __name__ == "__main__":
    typer.run(main)
