"""``fairgen serve``: the web app."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import typer

from fairgen.cli import common
from fairgen.common.addresses import is_web_address
from fairgen.common.files import disk_errors
from fairgen.errors import UserError
from fairgen.models.kinds import REMOTE

AUTH_VARIABLE = "FAIRGEN_AUTH"


def serve(
    host: str = typer.Option(
        "127.0.0.1", "--host", help="Address to listen on; any but this machine's own needs --auth."
    ),
    port: int = typer.Option(7860, "--port", min=1, max=65535, help="Port to listen on."),
    share: bool = typer.Option(
        False, "--share", help="Also open a public address through Gradio's tunnel; needs --auth."
    ),
    auth: list[str] | None = typer.Option(
        None,
        "--auth",
        help=f"user:password of who may sign in (may be given again), or the path of a file with one a line; "
        f"better than on the command line: the variable {AUTH_VARIABLE}.",
    ),
    no_auth: bool = typer.Option(False, "--no-auth", help="Serve other machines without a password."),
    allowed_host: list[str] | None = typer.Option(
        None,
        "--allowed-host",
        help="A host name under which the server is reached, beside the loopback's and --host, such as that "
        "of a proxy; may be given again. Requests for other names are refused.",
    ),
    llm_server: list[str] | None = typer.Option(
        None,
        "--llm-server",
        help="Address of a language model that the page may ask for targets, beside OPENAI_BASE_URL or "
        "OpenAI; may be given again. Without a port: all ports of that host.",
    ),
    model: list[str] = typer.Option(
        ["embedded"],
        "--model",
        help="'embedded', a hub id, a folder in diffusers' format, a single file, or a file of settings; may "
        "be given again. The first is the default.",
    ),
    model_folder: Path | None = typer.Option(
        None, "--model-folder", help="Folder of further models and LoRAs to offer on the page."
    ),
    monitor: list[Path] | None = typer.Option(
        None,
        "--monitor",
        help="State of a `fairgen monitor` (its --state) to show in a tab of its own; may be given again.",
    ),
    device: str = common.DEVICE,
    runs: Path = typer.Option(Path("runs"), "--runs", help="Folder to write runs to."),
    open_browser: bool = typer.Option(False, "--open", help="Open the page in the browser."),
) -> None:
    """Serve the web app: choose a target, watch the set converge, see the evidence. Ctrl-C ends it."""
    users = read_auth([*(auth or []), *filter(None, [os.environ.get(AUTH_VARIABLE)])])
    from fairgen.ui.server.settings import LOOPBACK

    public = share or host not in LOOPBACK
    if public and not users and not no_auth:
        raise UserError(
            f"Others could reach this server: add --auth user:password (or set {AUTH_VARIABLE}), or say "
            "--no-auth."
        )
    if users and no_auth:
        raise UserError("--auth and --no-auth contradict each other: give one of them.")
    servers = check_servers(llm_server or [])
    for name in model:
        if name.startswith((".", "/", "~")) and not Path(name).expanduser().exists():
            raise UserError(f"There is no model at {name}: --model takes a folder or a file that is there.")
        if name.startswith(REMOTE):
            from fairgen.models.remote import load_remote

            load_remote(name)  # nothing is asked of it: only whether there are an address and a key
    if model_folder is not None and not model_folder.expanduser().is_dir():
        raise UserError(f"There is no folder {model_folder}: name one that holds models.")
    states = check_monitors(monitor or [])
    _check_port(host, port)
    _check_runs(runs)
    from fairgen.ui.work.engine import Engine

    # Torch and the model take longer to load than the page: begin with them.
    engine = Engine(tuple(model), any_model=not public, device=device, folder=model_folder)
    engine.preload()
    from fairgen.ui.server.app import launch
    from fairgen.ui.server.settings import Settings

    launch(
        Settings(
            host=host,
            port=port,
            share=share,
            auth=tuple(users),
            runs=runs,
            open_browser=open_browser,
            allowed_hosts=tuple(allowed_host or ()),
            llm_servers=servers,
            monitors=states,
        ),
        engine,
    )


def _check_runs(runs: Path) -> None:
    """Raise `UserError` where the folder cannot be made: better now than after a model was loaded."""
    with disk_errors(runs):
        try:
            runs.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:  # as /proc answers
            raise UserError(f"{runs} cannot be made: choose another folder with --runs.") from None


def _check_port(host: str, port: int) -> None:
    """Raise `UserError` where the port is taken: better now than after a model was loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"The server cannot listen on {host}, port {port} ({error.strerror}): choose another --port."
            ) from error


def check_monitors(given: list[Path]) -> tuple[Path, ...]:
    """The states of ``--monitor``. One that no monitor has written yet is said, and may come later.

    Raises:
        UserError: there is another file, or the folder is missing.
    """
    if not given:
        return ()  # without what monitors import: the page would wait for it
    from fairgen.monitor.store import StateError, Store

    for state in given:
        if state.is_dir() or not state.parent.is_dir():
            what = "is a folder" if state.is_dir() else "lies in no folder that is there"
            raise UserError(f"--monitor {state} {what}: name the file that `fairgen monitor` has as --state.")
        try:
            Store(state, read_only=True).close()
        except StateError as error:
            if error.trouble in ("foreign", "version", "closed"):
                raise UserError(
                    f"--monitor {state} cannot be shown: {error} It takes the --state of a `fairgen monitor`."
                ) from error
            typer.echo(
                f"fairgen: nobody has written {state} yet; its tab shows it once a monitor does.", err=True
            )
    return tuple(given)


def check_servers(given: list[str]) -> tuple[str, ...]:
    """The addresses of ``--llm-server``. Raises `UserError` where one is none."""
    for address in given:
        if not is_web_address(address):
            raise UserError(
                f"--llm-server {address!r} is no web address: it looks like http://localhost:11434/v1."
            )
    return tuple(given)


def read_auth(given: list[str]) -> list[tuple[str, str]]:
    """``user:password`` texts, or files that hold one a line, as pairs.

    Raises `UserError`, which never repeats a password.
    """
    users = []
    for entry in given:
        lines = [entry]
        if ":" not in entry:
            try:
                lines = Path(entry).read_text(encoding="utf-8").split()
            except (OSError, UnicodeDecodeError):
                raise UserError(
                    "--auth takes user:password, or the path of a file that holds one a line."
                ) from None
        for line in lines:
            name, colon, password = line.partition(":")
            if not (name and colon and password):
                raise UserError("--auth needs a name and a password in each entry, as user:password.")
            users.append((name, password))
    return users
