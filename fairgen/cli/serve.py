"""``fairgen serve``: the web app."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import typer

from fairgen.cli import common
from fairgen.errors import UserError

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
        show_default=False,
    ),
    no_auth: bool = typer.Option(False, "--no-auth", help="Serve other machines without a password."),
    model: list[str] = typer.Option(
        ["embedded"],
        "--model",
        help="'embedded', a hub id, a folder in diffusers' format, a single file, or a file of settings; may "
        "be given again. The first is the default.",
    ),
    model_folder: Path | None = typer.Option(
        None,
        "--model-folder",
        help="Folder of further models and LoRAs to offer on the page.",
        show_default=False,
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
    if model_folder is not None and not model_folder.expanduser().is_dir():
        raise UserError(f"There is no folder {model_folder}: name one that holds models.")
    _check_port(host, port)
    from fairgen.ui.work.engine import Engine

    # Torch and the model take longer to load than the page: begin with them.
    engine = Engine(tuple(model), any_model=not public, device=device, folder=model_folder)
    engine.preload()
    from fairgen.ui.server.app import launch
    from fairgen.ui.server.settings import Settings

    launch(
        Settings(host=host, port=port, share=share, auth=tuple(users), runs=runs, open_browser=open_browser),
        engine,
    )


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
