"""``fairgen spec check NAMES``: whether specs are sound and signed; with leave, whether sources say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from fairgen.cli import common
from fairgen.common.text import counted, one_line, visible
from fairgen.errors import UserError

if TYPE_CHECKING:
    from fairgen.targets import Citation, FairnessSpec
    from fairgen.targets.citations import Verdict

CHECK_STYLES = {"unchecked": "", "found": "green", "not_found": "bold red", "unreachable": "yellow"}


def check(
    names: list[str] = typer.Argument(help="Specs' names or files."),
    citations: bool = typer.Option(
        False, "--citations", help="Fetch the cited pages and look for the quotes (uses the network)."
    ),
    write: bool = typer.Option(
        False, "--write", help="With --citations: keep the results in the files. Approvals stay valid."
    ),
) -> None:
    """Say whether specs are sound, and whether their approval holds; with --citations, whether sources do.

    The first that is not sound ends with exit code 2, and its line and reason. A void approval (the document
    was changed after it was signed) is shown as VOID, and the exit code is 3.
    """
    from fairgen.targets import load_spec
    from fairgen.targets.checked import all_citations, require_own_file, save_checked, with_citations

    if write and not citations:
        raise UserError("--write keeps what a check of the citations found: add --citations.")
    if write:
        for name in names:
            require_own_file(name)
    specs = []
    for name in names:
        spec = load_spec(name)
        specs.append((name, spec))
        typer.echo(one_line(_verdict(name, spec)))
    if citations:
        cited = [all_citations(spec) for _, spec in specs]
        try:
            verdicts = iter(look_up([citation for some in cited for citation in some]))
        except KeyboardInterrupt:
            raise common.Interrupted("Interrupted while looking citations up: nothing was kept.") from None
        for (name, spec), some in zip(specs, cited, strict=True):
            judged = [next(verdicts) for _ in some]
            _show(name, some, judged)
            if write and judged:
                kept = save_checked(with_citations(spec, [v.citation for v in judged]), name)
                note = "" if kept else " (the document was written again, its comments are lost)"
                typer.echo(one_line(f"Written: {name}{note}"))
    if any(spec.approval == "void" for _, spec in specs):
        raise typer.Exit(3)


def look_up(citations: Sequence[Citation]) -> list[Verdict]:
    """Fetch the pages that are cited, saying before which hosts are asked, under a progress bar."""
    from rich.progress import Progress

    from fairgen.targets.citations import judge_citations, pages_to_fetch

    console = common.stderr()
    if pages := pages_to_fetch(citations):
        hosts = Counter(urlsplit(page).hostname or "" for page in pages)
        asked = ", ".join(f"{host} ({count:,})" if count > 1 else host for host, count in hosts.items())
        common.say(one_line(f"Fetching {counted(len(pages), 'page')} from {asked}"), console)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("Looking citations up", total=len(citations))
        return judge_citations(citations, on_done=lambda done: progress.update(task, completed=done))


def _verdict(name: str, spec: FairnessSpec) -> str:
    from fairgen.targets.support import declared_support

    contexts = f", {counted(len(spec.contexts), 'context')}" if spec.contexts else ""
    support = declared_support(spec.model_dump(mode="json"), None)
    unsupported = support if "unsupported" in support else ""
    verdict = "VOID" if spec.approval == "void" else "sound"
    return (
        f"{name}: {verdict}; {spec.name} version {spec.version}, {spec.scale}{contexts}, "
        f"{spec.approval_text}, {f'{unsupported}, ' if unsupported else ''}{spec.content_hash()}"
    )


def _show(name: str, before: Sequence[Citation], verdicts: Sequence[Verdict]) -> None:
    from rich.text import Text

    console = common.stdout()
    if not verdicts:
        common.say(one_line(f"{name} cites nothing."))
        return
    table = common.table(["citation", "state", "before", "reason"], title=Text(name))
    for column in table.columns:
        column.overflow = "fold"
    for old, verdict in zip(before, verdicts, strict=True):
        state = verdict.citation.checked
        table.add_row(
            Text(visible(old.title)),
            Text(state.replace("_", " "), style=CHECK_STYLES[state]),
            Text(old.checked.replace("_", " ")),
            Text(visible(verdict.reason)),
        )
    console.print(table)
    counts = Counter(verdict.citation.checked for verdict in verdicts)
    console.print(", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in counts.items()))
