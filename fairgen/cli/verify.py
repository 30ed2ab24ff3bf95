"""``fairgen verify PATH...``: read pictures that any generator made, and hold them against a spec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.cli.telling import telling
from fairgen.common.text import counted, one_line
from fairgen.errors import UserError

if TYPE_CHECKING:
    from fairgen.scoring.verify import PictureResult, Verification


def verify(
    paths: list[Path] = typer.Argument(help="Pictures, or folders that hold some."),
    spec: str = common.SPEC,
    target: str | None = common.TARGET,
    prompt: str | None = typer.Option(
        None, "--prompt", help="What the pictures were made of: picks the target of a spec that has several."
    ),
    out: Path | None = typer.Option(
        None, "--out", help="Write report.html, pictures.csv and summary.json here."
    ),
    force: bool = common.FORCE,
    reader: str = typer.Option(
        "calibrated",
        "--reader",
        help="Who reads: calibrated, or second (independent of the one that steers).",
    ),
    tolerance: float = common.TOLERANCE,
    require: bool = common.REQUIRE,
    c2pa_trust: Path | None = typer.Option(
        None,
        "--c2pa-trust",
        envvar="FAIRGEN_C2PA_TRUST",
        help="PEM file of the authorities whose signers of content credentials count as trusted.",
    ),
    single: bool | None = common.SINGLE,
    as_json: bool = common.JSON,
) -> None:
    """Read the skin tones of pictures that any generator made, and hold them against a declared target.

    Counts the largest face of each picture. Broken files are listed and counted, never skipped in silence.
    Says what the pictures state about their origin, and names those changed after they were signed.
    """
    common.check_range("--tolerance", tolerance, 0, 1)
    declared = common.resolve_spec(spec, target)
    from fairgen.provenance.reading import MarkReader
    from fairgen.scoring.verify import Verification, find_pictures, make_reader, verify_pictures

    chosen, marks = make_reader(reader), MarkReader(c2pa_trust)
    files, left_out = find_pictures(paths)
    written = None
    with ExitStack() as stack:
        stack.enter_context(chosen)
        writer = None
        if out is not None:
            from fairgen.report.verified import verification_writer

            common.claim_out(out, force=force)
            writer = stack.enter_context(verification_writer(out, len(files), common.layout(single)))
        steps = verify_pictures(files, declared, chosen, marks, writer.saw if writer else None)
        results = tuple(_read(steps, len(files)))
        done = Verification(declared, results, reader, prompt, left_out)
        _warn(done)
        document = done.to_json()
        if writer is not None:
            written = writer.write(done)
    if as_json:
        common.echo_json(document)
    else:
        _show(done, document)
        if written is not None:
            typer.echo(f"Report: {written.html}")
            common.echo_pages(written.pages, written.html)
    if require and (document["tv"] is None or document["tv"] > tolerance):
        raise typer.Exit(3)


def _read(steps: Iterator[PictureResult], total: int) -> Iterator[PictureResult]:
    """The results, under a progress bar; without a terminal a line now and then."""
    from rich.progress import track

    console = common.stderr()
    if console.is_terminal:
        yield from track(steps, "Reading", total=total, console=console, transient=True)
        return
    with telling("Reading") as tell:
        for number, result in enumerate(steps, 1):
            tell(f"{number:,} of {total:,} pictures")
            yield result


def _warn(done: Verification) -> None:
    """Say which files could not be opened, or were changed; `UserError` where none could be opened."""
    warn = common.stderr()
    for bad in done.unreadable:
        common.say(one_line(f"not opened: {bad.name}: {bad.unreadable}"), warn)
    for bad in done.tampered:
        problem = bad.marks.credentials.problem
        common.say(one_line(f"changed after it was signed, or damaged: {bad.name}: {problem}"), warn)
    if len(done.unreadable) == len(done.results):
        raise UserError("None of the files could be opened as a picture.")


def _show(done: Verification, document: dict[str, object]) -> None:
    from fairgen.provenance.reading import mark_sentence
    from fairgen.report.words import reason_text

    console = common.stdout()
    console.print(common.distribution_table("", done.spec.scale, done.target, {"measured": done.counts}))
    if document["tv"] is not None:
        console.print(
            f"TV {document['tv']:.3f} from the declared target; chance floor "
            f"{document['noise_floor_tv']:.3f} "
            f"for {counted(sum(done.counts.values()), 'picture')}; test of a "
            f"difference from the target: p = {document['p_value']:.3g} (if the "
            "pictures are independent draws)"
        )
    else:
        console.print("No skin tone could be read in any picture.")
    reasons = ", ".join(f"{reason_text(code)} ({n})" for code, n in done.abstentions.items())
    console.print(
        f"{counted(len(done.results), 'file')}: {document['count']} counted, "
        f"{document['abstained']} not read",
        end="",
    )
    console.print(f" ({reasons})" if reasons else "", end="")
    console.print(f", {len(done.unreadable)} not opened")
    for note in done.notes:
        common.say(one_line(note))
    says = mark_sentence(done.mark_counts())
    common.say(one_line(f"What they say about themselves: {says}"))
