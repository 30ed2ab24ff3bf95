"""The known-bias bench: the embedded model's bias beside the table that made it, and methods of mitigation.

    python benchmarks/known_bias.py run                       # all of it; goes on where it stopped
    python benchmarks/known_bias.py bias                      # the bias alone, as it is measured
    python benchmarks/known_bias.py run FILE.py:FUNCTION      # your own method
    python benchmarks/known_bias.py table RESULT.json ...     # results side by side

What a method is given and what it returns: docs/known-bias.md.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import page_tables
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fairgen import cli
from fairgen.cli import common

if TYPE_CHECKING:
    from fairgen.bench import MeasuredBias
    from fairgen.bench.bench import Bench
    from fairgen.bench.running import Asked, Setup
    from fairgen.bench.tables import TextTable
    from fairgen.models.known_bias import KnownBias

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
_HERE = Path(__file__).resolve().parent
_RESULTS = _HERE / "known_bias"
_BIAS = _HERE / "known_bias.json"
_PAGE = _HERE.parent / "docs" / "known-bias.md"

_Model = Annotated[str, typer.Option(help="'embedded', a hub id or a folder.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
_Count = Annotated[int, typer.Option(min=2, max=10_000, help="Pictures for each prompt.")]
_Seed = Annotated[int, typer.Option(min=0, help="Every picture's seed follows from it.")]
_Work = Annotated[
    Path, typer.Option(help="Folder for finished sets; run the same command again to continue.")
]
_Workers = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Processes; by default 2 on a CPU, else 1.", show_default=False),
]
_TableFile = Annotated[
    Path | None,
    typer.Option(help="Table of the model's bias; by default known_bias.json beside its weights."),
]


@app.command()
def bias(
    model: _Model = "embedded",
    device: _Device = "auto",
    table: _TableFile = None,
    count: _Count = 30,
    seed: _Seed = 0,
    work: _Work = Path("runs/known-bias"),
    workers: _Workers = None,
    as_json: bool = common.JSON,
) -> None:
    """Print the model's bias as it is measured, prompt by prompt, beside the table that made it."""
    known, setup = _setup(model, device, table, 1, count, seed, work)
    measured = _run(setup, known, [], workers, bias=True)[1]
    assert measured is not None
    if as_json:
        typer.echo(measured.model_dump_json())
    else:
        _show_bias(measured)


@app.command()
def run(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            help="Methods that ship with the bench, by name, or your own as module:function or "
            "FILE.py:function. By default all that ship, and the bias.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What your own method is called.")] = None,
    version: Annotated[str, typer.Option(help="Its version.")] = "",
    url: Annotated[str | None, typer.Option(help="Where one reads about it.")] = None,
    model: _Model = "embedded",
    device: _Device = "auto",
    table: _TableFile = None,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts, spread evenly over the table.")] = 12,
    count: _Count = 30,
    seed: _Seed = 0,
    work: _Work = Path("runs/known-bias"),
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = _RESULTS,
    workers: _Workers = None,
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
    known, setup = _setup(model, device, table, prompts, count, seed, work)
    written, measured = _run(setup, known, asked, workers, bias=not methods, out=out)
    if measured is not None:
        _show_bias(measured)
        if out == _RESULTS:
            write_document(measured, _BIAS)
    _show_boards([out / f"{result}.json" for result in written])
    if out == _RESULTS:
        _put()
    common.stderr().print(f"Results: {', '.join(f'{one}.json' for one in written)} in {out}", markup=False)


@app.command()
def table(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Result files; by default those of the repository.", show_default=False),
    ] = None,
    docs: Annotated[
        bool, typer.Option("--docs", help="Put the repository's into docs/known-bias.md.")
    ] = False,
) -> None:
    """Print a leaderboard for each set of conditions, out of result files (which are checked)."""
    _show_boards(results or _shipped_results())
    if docs:
        _put()


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


def _run(
    setup: Setup,
    known: KnownBias,
    asked: Sequence[Asked],
    workers: int | None,
    *,
    bias: bool,
    out: Path | None = None,
) -> tuple[list[str], MeasuredBias | None]:
    """Names of the results that were written to ``out``, and the bias where it was asked for."""
    from fairgen.bench import measured_bias
    from fairgen.bench.running import open_bench
    from fairgen.common.documents import write_document
    from skin_tone.identity import identity

    with contextlib.ExitStack() as stack:
        with common.stderr().status("Loading the model …"):
            bench = stack.enter_context(open_bench(setup))
        if workers is None:
            workers = min(2, os.cpu_count() or 1) if bench.generator.info.device == "cpu" else 1
        _work(bench, setup, asked, workers, bias=bias)
        written = []
        for one in asked:
            result = bench.result(one.entry(), workers=workers)
            if out is not None:
                write_document(result, out / f"{result.method.name}.json")
            written.append(result.method.name)
        readings = bench.work.readings()
        if not bias:
            return written, None
        own = {"fingerprint": bench.fingerprint, "reader": identity()}
        return written, measured_bias(known, readings).model_copy(update=own)


def _work(bench: Bench, setup: Setup, asked: Sequence[Asked], workers: int, *, bias: bool) -> None:
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


def _markdown(one: TextTable) -> str:
    return page_tables.table(one.titles, one.rows)


def _show_bias(measured: MeasuredBias) -> None:
    from fairgen.bench.tables import bias_sentences, bias_table

    print(_markdown(bias_table(measured)), *bias_sentences(measured), sep="\n", end="\n\n")


def _shipped_results() -> list[Path]:
    return sorted(_RESULTS.glob("*.json"))


def _boards(paths: Sequence[Path]) -> str:
    from fairgen.bench import leaderboard, load_result
    from fairgen.errors import UserError

    if not paths:
        raise UserError("There are no results yet: `python benchmarks/known_bias.py run` makes them.")
    return "\n\n".join(
        f"{one.heading}\n\n{_markdown(one)}" for one in leaderboard(list(map(load_result, paths)))
    )


def _show_boards(paths: Sequence[Path]) -> None:
    print(_boards(paths))


def _put() -> None:
    """Put what lies in the repository into docs/known-bias.md."""
    from fairgen.bench import MeasuredBias, bias_table
    from fairgen.bench.tables import bias_sentences
    from fairgen.common.documents import read_document

    page_tables.put("leaderboard", _boards(_shipped_results()), _PAGE)
    if _BIAS.is_file():
        measured = read_document(_BIAS, MeasuredBias, "measured bias")
        text = f"{_markdown(bias_table(measured))}\n\n" + "\n- ".join(bias_sentences(measured))
        page_tables.put("bias", text, _PAGE)


if __name__ == "__main__":
    sys.exit(cli.run(command=app, name="known_bias"))
