"""What commands that ask a language model share: options, what it will cost, the bar."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import typer

from fairgen.cli import common
from fairgen.errors import UserError

PROMPT = typer.Argument(None, help="What the pictures will be asked for.")
SCALE = typer.Option("ita6", "--scale", help="ita6, monk10 or lmd3.")
MODEL = typer.Option(..., "--model", help="The language model's name, as its server knows it.")
BASE_URL = typer.Option(None, "--base-url", help="The server; by default OPENAI_BASE_URL, else OpenAI.")
TEMPERATURE = typer.Option(None, "--temperature", help="0 to 2; by default the server's.")
TIMEOUT = typer.Option(180.0, "--timeout", help="Seconds that one request may take.")
PARALLEL = typer.Option(
    None,
    "--parallel",
    min=1,
    max=32,
    help="Requests at the same time; by default 4, and 1 for a server on this machine.",
)
YES = typer.Option(False, "--yes", help="Start without asking, whatever it costs.")
CHARACTERS_A_TOKEN = 4


def check_ranges(temperature: float | None, timeout: float) -> None:
    """`UserError` where ``--temperature`` or ``--timeout`` is out of its range."""
    common.check_range("--temperature", temperature, 0, 2)
    common.check_range("--timeout", timeout, 0.1, 3600)


def agree_to_cost(calls: int, kept: int, tokens_in: int, tokens_out: int, *, yes: bool) -> None:
    """Say how many requests there will be, and go on only with consent.

    Args:
        calls: requests in all.
        kept: how many of them have a reply on disk.
        tokens_in: rough number of tokens of the requests that are left.
        tokens_out: the most tokens that their replies are likely to have.
        yes: consent was given on the command line.

    Raises:
        UserError: nobody is there to be asked.
        typer.Abort: consent was refused.
    """
    left = calls - kept
    on_disk = f"; {kept} more are on disk already" if kept else ""
    print(
        f"This takes {left} requests, about {tokens_in:,} tokens in and up to {tokens_out:,} out{on_disk}.",
        file=sys.stderr,
    )
    if yes or not left:
        return
    if not sys.stdin.isatty():
        raise UserError("Nobody is there to agree to that: add --yes to start.")
    typer.confirm("Start?", abort=True, err=True)


@contextlib.contextmanager
def replies(total: int) -> Iterator[Callable[[int], None]]:
    """`replies_bar`; Ctrl-C says that the replies are kept."""
    try:
        with replies_bar(total) as advance:
            yield advance
    except KeyboardInterrupt:
        raise common.Interrupted(
            "Interrupted: the replies so far are kept; run the same command again to continue."
        ) from None


@contextlib.contextmanager
def replies_bar(total: int, *, lines: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar for so many replies, which the block tells how many more came.

    Without a terminal ``lines`` say so instead, one for every tenth of them.
    """
    from rich.progress import Progress

    console = common.stderr()
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("Asking", total=total)
        told = 0

        def advance(count: int) -> None:
            nonlocal told
            progress.advance(task, count)
            done = int(progress.tasks[0].completed)
            if lines and not console.is_terminal and 10 * done // max(total, 1) > told:
                told = 10 * done // total
                print(f"Asking: {done} of {total} replies", file=sys.stderr, flush=True)

        yield advance
