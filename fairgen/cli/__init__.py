"""The ``fairgen`` command. One file a subcommand; nothing heavy is imported before a subcommand runs.

Exit codes: 0 done; 2 bad input (one line that says what is wrong, and how to fix it); 3 done, but the target
was not met within the tolerance although ``--require`` was given, or ``spec check`` found a void approval;
130 interrupted; 1 anything else.
"""

from __future__ import annotations

import errno
import functools
import io
import sys
import traceback
from collections.abc import Sequence

import typer

from fairgen.cli import bench, evidence, model, probe, run_folder, spec
from fairgen.cli.audit import audit as audit_command
from fairgen.cli.calibrate import calibrate as calibrate_command
from fairgen.cli.common import Interrupted
from fairgen.cli.compare import compare as compare_command
from fairgen.cli.demo import demo as demo_command
from fairgen.cli.generate import generate as generate_command
from fairgen.cli.monitor import monitor as monitor_command
from fairgen.cli.report import report as report_command
from fairgen.cli.score import score as score_command
from fairgen.cli.serve import serve as serve_command
from fairgen.cli.verify import verify as verify_command
from fairgen.common.text import one_line
from fairgen.errors import UserError

app = typer.Typer(
    name="fairgen",
    help="Steer and assess the skin-tone distribution of text-to-image output against a target that you "
    "declare.",
    epilog="Skin tone is what the pixels of a synthetic picture show: not race, not ethnicity.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("generate")(generate_command)
app.command("audit")(audit_command)
app.command("calibrate")(calibrate_command)
app.command("score")(score_command)
app.command("compare")(compare_command)
app.command("verify")(verify_command)
app.command("monitor")(monitor_command)
app.command("report")(report_command)
app.command("demo")(demo_command)
app.command("serve")(serve_command)
app.add_typer(spec.app, name="spec")
app.add_typer(model.app, name="model")
app.add_typer(run_folder.app, name="run")
app.add_typer(evidence.app, name="evidence")
app.add_typer(probe.app, name="probe")
app.add_typer(bench.app, name="bench")


def _print_version(value: bool) -> None:
    if value:
        from fairgen._version import __version__

        typer.echo(f"fairgen {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
    ),
    debug: bool = typer.Option(
        False, "--debug", help="Show the traceback of an unexpected error (works after any command)."
    ),
) -> None:
    del version, debug  # acted on by the callback and by run()


def run(
    argv: Sequence[str] | None = None, *, command: typer.Typer | None = None, name: str = "fairgen"
) -> int:
    """Run one command line (without the program's name) and return its exit code; errors become one line on
    standard error.

    Args:
        command, name: another program that should treat errors in the same way, such as a benchmark.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    end = args.index("--") if "--" in args else len(args)
    debug = "--debug" in args[:end]
    args = [a for a in args[:end] if a != "--debug"] + args[end:]
    try:
        code = _built(command or app)(args=args, prog_name=name, standalone_mode=False)
    except (UserError, typer.TyperException) as error:
        said = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        return _fail(2, said, name)
    except (KeyboardInterrupt, Interrupted, typer.Abort) as error:
        return _fail(130, str(error) or "Interrupted before anything was written.", name)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return _fail(2, "No space is left on the disk: free some, or write elsewhere with --out.", name)
        if _is_memory(error):
            return _fail(2, "The memory ran out: choose a smaller --batch-size, or --device cpu.", name)
        hint = "" if debug else " (run again with --debug for the traceback)"
        return _fail(1, f"Unexpected {type(error).__name__}: {error}{hint}", name)
    if code == 130:  # typer turns a plain Ctrl-C into this code
        return _fail(130, "Interrupted before anything was written.", name)
    return int(code or 0)


_built = functools.cache(typer.main.get_command)
"""A program's commands, put together once: that takes longer than many a command that is run in-process."""


def _is_memory(error: Exception) -> bool:
    """Whether it says that the memory, or what may be used of it (``ulimit -v``), ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return (isinstance(error, OSError) and error.errno == errno.ENOMEM) or (
        isinstance(error, RuntimeError | OSError | ImportError)
        and any(words in said for words in ("allocate memory", "start new thread", "failed to map segment"))
    )


def main() -> None:
    """The console script's entry: never returns."""
    _write_any_character()
    sys.exit(run())


def _write_any_character() -> None:
    """Let standard output take what its encoding cannot hold: a file or pipe gets UTF-8, as fairgen reads its
    documents; a terminal shows question marks. Names of files that are no UTF-8 are written as ``\\udce9``.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.encoding.lower() == "utf-8":
            sys.stdout.reconfigure(errors="backslashreplace")
        elif sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _fail(code: int, message: str, name: str) -> int:
    print(f"{name}: {one_line(message)}", file=sys.stderr)
    return code
