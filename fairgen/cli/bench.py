"""``fairgen bench``: a model's known bias as it is measured, and methods of mitigation held against it.

What a method is given and what it returns: docs/known-bias.md.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common

if TYPE_CHECKING:
    from fairgen.bench.bench import Bench
    from fairgen.bench.running import Asked, Setup
    from fairgen.models.known_bias import KnownBias

app = typer.Typer(
    help="Methods of mitigation, held against a model whose bias is known: `fairgen bench run` measures "
    "those that ship, or your own.",
    no_args_is_help=True,
)

_COUNT = typer.Option(30, "--count", min=2, max=10_000, help="Pictures for each prompt.")
_WORK = typer.Option(
    Path("runs/known-bias"),
    "--work",
    help="Folder for finished sets; run the same command again to continue.",
)
_WORKERS = typer.Option(None, "--workers", min=1, max=64, help="Processes; by default 2 on a CPU, else 1.")
_TABLE = typer.Option(
    None, "--table", help="Table of the model's bias; by default known_bias.json beside its weights."
)


@app.command()
def bias(
    model: str = common.MODEL,
    device: str = common.DEVICE,
    table: Path | None = _TABLE,
    count: int = _COUNT,
    seed: int = common.SEED,
    work: Path = _WORK,
    workers: int | None = _WORKERS,
    out: Path | None = typer.Option(None, "--out", help="Save it as this JSON file too."),
    as_json: bool = common.JSON,
) -> None:
    """Show the model's bias as it is measured, prompt by prompt, beside the table that made it."""
    from fairgen.bench import bias_table, measured_bias
    from fairgen.bench.tables import bias_sentences
    from fairgen.common.documents import write_document
    from skin_tone.identity import identity

    known, setup = _setup(model, device, table, 1, count, seed, work)
    with _opened(setup, workers) as (bench, processes):
        _make(bench, setup, (), processes, bias=True)
        own = {"fingerprint": bench.fingerprint, "reader": identity()}
        measured = measured_bias(known, bench.work.readings()).model_copy(update=own)
    if out is not None:
        write_document(measured, out)
    if as_json:
        typer.echo(measured.model_dump_json())
    else:
        typer.echo("\n".join([bias_table(measured).markdown(), "", *bias_sentences(measured)]))


@app.command()
def run(
    methods: list[str] | None = typer.Argument(
        None,
        help="Methods that ship, by name, or your own as module:function or FILE.py:function. By default all "
        "that ship.",
    ),
    name: str | None = typer.Option(None, "--name", help="What your own method is called."),
    version: str = typer.Option("", "--version", help="Its version."),
    url: str | None = typer.Option(None, "--url", help="Where one reads about it."),
    model: str = common.MODEL,
    device: str = common.DEVICE,
    table: Path | None = _TABLE,
    prompts: int = typer.Option(12, "--prompts", min=1, help="Prompts, spread evenly over the table."),
    count: int = _COUNT,
    seed: int = common.SEED,
    work: Path = _WORK,
    out: Path | None = typer.Option(
        None, "--out", help="Folder for the results; by default results in --work."
    ),
    workers: int | None = _WORKERS,
) -> None:
    """Run methods on the bench and write a result file for each; goes on where it stopped."""
    from fairgen.bench.entries import SHIPPED
    from fairgen.bench.running import Asked
    from fairgen.common.documents import write_document
    from fairgen.errors import UserError

    own = [one for one in methods or () if ":" in one]
    if len(own) > 1 or (not own and (name or version or url)):
        raise UserError("--name, --version and --url are for one method of your own: give one at a time.")
    asked = [Asked(one, name, version, url) if one in own else Asked(one) for one in methods or SHIPPED]
    for one in asked:
        one.entry()  # a mistake is told before anything is loaded
    _, setup = _setup(model, device, table, prompts, count, seed, work)
    folder = out or work / "results"
    written = []
    with _opened(setup, workers) as (bench, processes):
        _make(bench, setup, asked, processes)
        for one in asked:
            result = bench.result(one.entry(), workers=processes)
            written.append(folder / f"{result.method.name}.json")
            write_document(result, written[-1])
    typer.echo(boards(written))
    common.stderr().print(f"Results: {', '.join(one.name for one in written)} in {folder}", markup=False)


@app.command()
def table(results: list[Path] = typer.Argument(help="Result files.")) -> None:
    """Check result files and show them side by side, a leaderboard for each set of conditions."""
    typer.echo(boards(results))


def boards(paths: Sequence[Path]) -> str:
    """The leaderboards of result files, as Markdown.

    Raises:
        UserError: a file is no result, or its figures do not follow from its counts.
    """
    from fairgen.bench import leaderboard, load_result

    found = leaderboard([load_result(path) for path in paths])
    return "\n\n".join(f"{one.heading}\n\n{one.markdown()}" for one in found)


def _setup(
    model: str, device: str, table: Path | None, prompts: int, count: int, seed: int, work: Path
) -> tuple[KnownBias, Setup]:
    from fairgen.bench.result import BenchPlan
    from fairgen.bench.running import Setup
    from fairgen.common.documents import read_document
    from fairgen.common.libraries import quiet_libraries
    from fairgen.errors import UserError
    from fairgen.models.folder import find_model
    from fairgen.models.known_bias import KnownBias, load_known_bias
    from skin_tone.scales import SCALES

    if table is not None:
        known: KnownBias | None = read_document(table, KnownBias, "table of a known bias")
    else:
        with quiet_libraries():
            known = load_known_bias(find_model(model).path)
    if known is None:
        raise UserError(f"The model {model!r} has no known_bias.json beside its weights: give its --table.")
    scale = SCALES["ita6"]
    plan = BenchPlan(
        prompts=tuple(known.rows[k].prompt for k in known.spread_out(prompts)),
        count=count,
        seed=seed,
        scale=scale.name,
        target=dict.fromkeys(scale.classes, 1 / len(scale.classes)),
    )
    numbers = {row.prompt: k for k, row in enumerate(known.rows)}
    return known, Setup(model, device, plan, numbers, work)


@contextlib.contextmanager
def _opened(setup: Setup, workers: int | None) -> Iterator[tuple[Bench, int]]:
    """The bench, and the processes that work on it."""
    from fairgen.bench.running import open_bench

    with contextlib.ExitStack() as stack:
        with common.stderr().status("Loading the model …"):
            bench = stack.enter_context(open_bench(setup))
        on_cpu = bench.generator.info.device == "cpu"
        yield bench, workers or (min(2, os.cpu_count() or 1) if on_cpu else 1)


def _make(bench: Bench, setup: Setup, asked: Sequence[Asked], workers: int, *, bias: bool = False) -> None:
    """Make the sets that are still missing."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fairgen.bench.running import missing_jobs, run_jobs

    jobs = missing_jobs(bench, asked, bias=bias)
    if workers > 1:
        os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started now
    console = common.stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    done = 0
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("sets", total=len(jobs))
            for job in run_jobs(bench, setup, jobs, workers):
                done += 1
                what = job.asked.entry().record.name if job.asked else "bias"
                progress.update(bar, advance=1, description=what)
    except KeyboardInterrupt:
        raise common.Interrupted(
            f"Interrupted: {done} of {len(jobs)} sets were made and are kept in {setup.work}; run the "
            "same command again to continue."
        ) from None
