"""What the subcommands share: consoles, option parsing, small tables. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from fairgen._version import __version__
from fairgen.common.files import disk_errors
from fairgen.common.text import counted, one_line, slug
from fairgen.errors import UserError
from fairgen.models.kinds import kinds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fairgen.loop.events import Calibrating
    from fairgen.models.contract import Model
    from fairgen.models.options import ModelOptions
    from fairgen.runs import Distances
    from fairgen.targets import FairnessSpec
    from skin_tone.pool import ReaderPool

DEFAULT_SPEC = "uniform"

SPEC = typer.Option(
    DEFAULT_SPEC, "--spec", help="Declared target: a spec's name (see `fairgen spec list`) or its file."
)
TARGET = typer.Option(None, "--target", help='The target by hand: "light=0.5,medium=1/4,dark=1/4".')
RUN = typer.Argument(help="The run folder (or its run.jsonl).")
JSON_FILE = typer.Option(None, "--out", "-o", help="Write the JSON to this file as well.")
OUT = typer.Option(None, "--out", help="Run folder; by default a new one under runs/.")
FORCE = typer.Option(
    False,
    "--force",
    help="Write into --out even if it is not empty; a run in it is moved to previous-1.",
)
MODEL = typer.Option("embedded", "--model", help=f"{'; or '.join(kind.sentence for kind in kinds())}.")
DEVICE = typer.Option("auto", "--device", help="auto, cpu, cuda, cuda:N or mps.")
BATCH = typer.Option(None, "--batch-size", help="Pictures sampled at once; by default what fits the device.")
SEED = typer.Option(0, "--seed", help="Every picture's seed follows from it.")
TOLERANCE = typer.Option(
    0.1, "--tolerance", help="Largest TV from the declared target that --require accepts."
)
REQUIRE = typer.Option(
    False, "--require", help="Exit with code 3 where the target is not met within --tolerance."
)
C2PA_CERT = typer.Option(
    None,
    "--c2pa-cert",
    envvar="FAIRGEN_C2PA_CERT",
    help="Sign the pictures (C2PA content credentials): PEM file of the certificate chain.",
)
C2PA_KEY = typer.Option(
    None, "--c2pa-key", envvar="FAIRGEN_C2PA_KEY", help="PEM file of the certificate's private key."
)
SINGLE = typer.Option(
    None,
    "--single-file/--folder",
    help="One page that holds every picture, or an overview with pages of pictures in report-pages beside "
    "it. By default by their number.",
)
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")


class Shown(StrEnum):
    """Which pictures a page or a pack holds."""

    ALL = "all"
    THIN = "thin"
    NONE = "none"


class Interrupted(Exception):
    """Ctrl-C; the message says what was kept."""


def stdout() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(highlight=False)


def stderr() -> Console:
    """The console for progress."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str, console: Console | None = None) -> None:
    """Print words as they are: nothing in them is markup, and a line stays one to be copied.

    Args:
        console: where to; by default where results go.
    """
    (console or stdout()).print(text, markup=False, soft_wrap=True)


def echo_json(document: Mapping[str, Any]) -> None:
    """The one JSON object of ``--json``."""
    typer.echo(json.dumps(document, ensure_ascii=False))


def table(words: Iterable[str], figures: Iterable[str] = (), **options: Any) -> Table:
    """A table with columns of words, and then of figures, which stand to the right.

    Args:
        options: of `rich.table.Table`, such as ``title``.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, title_justify="left", **options)
    for heading in words:
        made.add_column(heading)
    for heading in figures:
        made.add_column(heading, justify="right")
    return made


def tone(scale: str, key: str) -> Text:
    """A class for a table: its colour and its name."""
    from rich.text import Text

    from skin_tone.scales import SCALES

    return Text.assemble(("██ ", SCALES[scale].swatches[key]), SCALES[scale].labels[key])


def percent(share: float) -> str:
    """A share for a table: ``12.5 %``."""
    return f"{share:.1%}".replace("%", " %")


def layout(single: bool | None) -> Literal["auto", "single", "folder"]:
    """``--single-file`` or ``--folder`` as `fairgen.report.paging.Layout`."""
    return "auto" if single is None else "single" if single else "folder"


def echo_pages(pages: int, html: Path) -> None:
    """Say where the pages of a report lie; nothing where it is one page."""
    if pages:
        where = html.parent / "report-pages"
        typer.echo(f"Pictures: {counted(pages, 'page')} in {where} (--single-file for one file)")


def check_range(name: str, value: float | None, low: float, high: float) -> None:
    """`UserError` where an option's value is outside [low, high]; NaN is always outside."""
    if value is not None and not low <= value <= high:
        raise UserError(f"{name} is {value:g}: give a number from {low:g} to {high:g}.")


def resolve_spec(spec: str, target: str | None) -> FairnessSpec:
    """``--spec`` or, where given, ``--target``: shares by hand on the scale whose classes they name.

    A void approval is said on standard error.
    """
    from fairgen.targets import load_spec, spec_from_shares

    if target is None:
        declared = load_spec(spec)
        if declared.approval == "void":
            void = f"The spec {declared.name}: {declared.approval_text}"
            say(one_line(f"{void}; `fairgen spec approve` signs it again."), stderr())
        return declared
    if spec != DEFAULT_SPEC:
        raise UserError("--spec and --target both declare a target: give one of them.")
    return spec_from_shares(target)


@contextlib.contextmanager
def loaded(
    model: str, device: str, options: ModelOptions | None = None
) -> Iterator[tuple[Model, ReaderPool]]:
    """The generator of ``--model`` on ``--device``, and readers that are closed afterwards."""
    with stderr().status("Loading the model …"):
        from fairgen.models.loading import load_model
        from skin_tone.pool import ReaderPool

        generator = load_model(model, device, options=options)
        reader = ReaderPool(background=generator.info.device != "cpu")
    with reader:
        yield generator, reader


def say_requests(generator: Model, least: int, most: int) -> None:
    """Say on standard error what a model behind an API will be asked for, before it is."""
    info = generator.info
    if info.source != "api":
        return
    many = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    say(
        f"{info.name}: {many} requests to {info.arguments['address']}, one for each picture that is made; "
        "whoever runs it may charge for each.",
        stderr(),
    )


def require_free(out: Path, *, force: bool) -> Path:
    """``-o``, where a spec can be written to it; told before anything is asked or paid for the spec.

    Raises `UserError` where it is there without ``force``, is a folder, a device or a pipe, or has no folder.
    """
    try:
        if out.is_dir():
            raise UserError(f"-o {out} is a folder: name a file, such as {out / 'spec.yaml'}.")
        if out.exists() and not out.is_file():
            raise UserError(f"-o {out} is a device or a pipe: name a file.")
        if out.exists() and not force:
            raise UserError(f"{out} exists: choose another -o, or add --force.")
        if not out.parent.is_dir():
            raise UserError(f"-o {out}: there is no folder {out.parent}: make it first.")
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise UserError(f"-o {str(out)[:80]} cannot be written to ({error.strerror}).") from None
    return out


def distance_line(sets: Iterable[tuple[str, Distances]]) -> str:
    """``TV from the declared target (0 = as declared): unsteered 0.53, steered 0.03; chance floor 0.16``.

    The chance floor is of the pictures that the TV is of: where that differs between sets, each has its own.
    """
    named = list(sets)
    parts = [f"{name} " + ("not known" if one.tv is None else f"{one.tv:.2f}") for name, one in named]
    floors = dict.fromkeys(f"{one.noise_floor_tv:.2f}" for _, one in named if one.noise_floor_tv is not None)
    what = "chance floor" if len(floors) == 1 else "chance floors"
    chance = f"; {what} {', '.join(floors)}" if floors else ""
    return f"TV from the declared target (0 = as declared): {', '.join(parts)}{chance}"


def number(value: float | None, places: int) -> str:
    """A figure for a table; a dash where it is not known."""
    return "–" if value is None else f"{value:.{places}f}"


def signed(value: float | None) -> str:
    """A difference for a table, with its sign."""
    return "–" if value is None else f"{value:+z.3f}"


def say_calibrating(event: Calibrating, console: Console) -> None:
    """Say that a calibration comes first, where it begins."""
    if event.done == 0:
        say(
            f"{event.model} has no calibration for {event.technique!r} steering yet: a short one of "
            f"{event.total} pictures comes first.",
            console,
        )


def default_out(kind: str, words: str) -> Path:
    """``runs/<kind>-<words>-<time>``: a folder that does not exist yet."""
    stem = "-".join(p for p in (kind, slug(words), f"{datetime.now():%Y%m%d-%H%M%S}") if p)
    folder = Path("runs") / stem
    number = 2
    while folder.exists():
        folder = Path("runs") / f"{stem}-{number}"
        number += 1
    return folder


def claim_out(folder: Path, *, force: bool) -> Path:
    """Make sure that a run may be written to ``folder``, which need not exist.

    With ``force``, a run that lies there already is moved to ``folder/previous-1`` (2, 3 ...), whole; files
    that are no part of a run are left alone. Raises `UserError` where ``folder`` is a file, or holds anything
    without ``force``.
    """
    with disk_errors(folder):  # a name that is too long
        there = folder.exists()
    if there and not folder.is_dir():
        raise UserError(f"--out {folder} is a file: name a folder.")
    if there and any(not _unbegun(path) for path in folder.iterdir()):
        if not force:
            raise UserError(f"--out {folder} is not empty: choose another folder, or add --force.")
        _set_aside(folder)
    return folder


def _unbegun(path: Path) -> bool:
    """Whether it is the run file of a run that was stopped before its first record."""
    from fairgen.runs import RUN_FILE, holds_records

    return path.name == RUN_FILE and path.is_file() and not holds_records(path)


def _set_aside(folder: Path) -> None:
    from fairgen.runs import AHEAD, RUN_FILE, RunWriter, session_names

    if not (folder / RUN_FILE).exists():
        return
    RunWriter(folder, fairgen_version=__version__).close()  # refused where somebody writes it
    parts = {RUN_FILE, AHEAD, "summary.json", "report.html", "report.json", "report-pages"}
    parts |= {f"{name}.{kind}" for name in ("pictures", "sets") for kind in ("csv", "parquet")}
    files = [folder / RUN_FILE, *(folder / AHEAD).glob(f"*/{RUN_FILE}")]
    parts |= {Path(name).name for file in files for name in session_names(file)}
    aside = next(p for n in itertools.count(1) if not (p := folder / f"previous-{n}").exists())
    with disk_errors(aside):
        aside.mkdir()
        for part in sorted(parts):
            if (folder / part).exists():
                (folder / part).rename(aside / part)


def distribution_table(
    title: str, scale: str, target: Mapping[str, float], columns: Mapping[str, Mapping[str, int]]
) -> Table:
    """Classes down, one column for the declared shares and one for each set of counts, by its name."""
    made = table(["skin tone"], ["declared", *columns], title=title, title_style="bold")
    for key, share in target.items():
        cells = [percent(share)]
        for counts in columns.values():
            total = sum(counts.values())
            count = counts.get(key, 0)
            cells.append(f"{count:>3}  {count / total:>4.0%}".replace("%", " %") if total else "–")
        made.add_row(tone(scale, key), *cells)
    return made
