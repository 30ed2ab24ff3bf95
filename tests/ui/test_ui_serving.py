"""How the web app is started, and whom it answers: options, ports, hosts, logins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from fairgen.cli.serve import read_auth
from fairgen.errors import UserError
from fairgen.targets.sources.permitted import permitted
from fairgen.ui.server.hosts import Hosts
from fairgen.ui.server.logins import FREE, Waits
from fairgen.ui.server.settings import Settings
from tests.doubles.ui_server import PATIENCE, environment, free_port, wait_for


def test_users_are_read_from_texts_and_files_and_passwords_never_repeated(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("ann:a:b\nbob:c\n")
    assert read_auth([str(file), "eve:d"]) == [("ann", "a:b"), ("bob", "c"), ("eve", "d")]
    for wrong in ("s3cret", ":s3cret", "s3cret:"):
        with pytest.raises(UserError) as caught:
            read_auth([wrong])
        assert "s3cret" not in str(caught.value)


def serve(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fairgen", "serve", *options]
    env = {key: value for key, value in environment().items() if key != "FAIRGEN_AUTH"}
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=env, cwd=cwd)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "add --auth"),
        (["--share"], "add --auth"),
        (["--auth", "nobody", "--share"], "--auth takes user:password"),
        (["--auth", "a:b", "--no-auth", "--share"], "contradict"),
    ],
)
def test_a_server_that_others_can_reach_asks_for_auth(tmp_path: Path, options: list[str], says: str) -> None:
    done = serve(*options, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


HALF_IMPORTED = """
import sys, types
from fairgen.ui.work.engine import Engine

Engine.load = Engine.reader = lambda *_: None
Engine(("another",)).preload().join()
from gradio.utils import MatplotlibBackendMananger

# As while another thread imports it:
sys.modules["matplotlib.pyplot"] = types.ModuleType("matplotlib.pyplot")
with MatplotlibBackendMananger():
    pass
"""


@pytest.mark.parametrize("backend", ["", "Agg", "svg"])
def test_a_request_is_answered_while_pyplot_is_being_imported(tmp_path: Path, backend: str) -> None:
    env = environment() | {"MPLBACKEND": backend}
    command = [sys.executable, "-c", HALF_IMPORTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=env, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    import socket

    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = serve("--port", str(port), cwd=tmp_path)
    assert done.returncode == 2
    assert "another --port" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "/nowhere/model"], "no model at /nowhere/model"),
        (["--runs", "/proc/x"], "another folder with --runs"),
        (["--llm-server", "localhost:11434"], "no web address"),
        (["--monitor", "nowhere/shop.sqlite"], "lies in no folder that is there"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path, options: list[str], says: str) -> None:
    done = serve("--port", str(free_port()), *options, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("listens", "header", "known"),
    [
        ("127.0.0.1", "127.0.0.1:7860", True),
        ("127.0.0.1", "LOCALHOST.:7860", True),
        ("127.0.0.1", "[::1]:7860", True),
        ("127.0.0.1", "other.example", True),  # allowed
        ("127.0.0.1", "192.168.1.7", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "evil.example@127.0.0.1", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "127.0.0.1:7860:1", False),
        ("0.0.0.0", "192.168.1.7:7860", True),  # no page can name an address that is not the server's
        ("0.0.0.0", "evil.example", False),
        ("box.local", "box.local:1", True),
    ],
)
def test_hosts_that_a_server_answers_to(listens: str, header: str, known: bool) -> None:
    hosts = Hosts.of(Settings(host=listens, allowed_hosts=("other.example",)))
    assert hosts.know(header) is known


@pytest.mark.parametrize(
    ("origin", "header", "own"),
    [
        ("http://127.0.0.1:7860", "127.0.0.1:7860", True),
        ("https://other.example", "other.example", True),
        ("https://other.example", "127.0.0.1:7860", True),  # a proxy that changes the host
        ("http://127.0.0.1:3000", "127.0.0.1:7860", False),
        ("http://localhost:7860", "127.0.0.1:7860", False),
        ("https://evil.example", "127.0.0.1:7860", False),
        ("null", "127.0.0.1:7860", False),
        ("file://", "127.0.0.1:7860", False),
        ("http://127.0.0.1:x", "127.0.0.1:7860", False),
    ],
)
def test_origins_that_may_use_a_server(origin: str, header: str, own: bool) -> None:
    hosts = Hosts.of(Settings(allowed_hosts=("other.example",)))
    assert hosts.own(origin, header) is own


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("http://llm.example:8000/v1", True),
        ("http://llm.example:8000/v1/", True),
        ("http://llm.example:8000/v1/more", True),
        ("http://llm.example:8000/v2", False),
        ("http://llm.example:8000/v11", False),
        ("http://llm.example:8000/v1/../admin", False),
        ("http://llm.example:8000/v1/%2e%2e/admin", False),
        ("http://llm.example/v1", False),
        ("https://llm.example:8000/v1", False),
        ("http://llm.example:8000@evil.example/v1", False),
        ("http://me:pw@llm.example:8000/v1", False),
        ("http://127.0.0.1:1/v1", True),  # no port was given: all of them
        ("http://127.0.0.1.evil.example/v1", False),
        ("file:///etc/passwd", False),
        ("http://[", False),
    ],
)
def test_language_models_that_a_visitor_may_name(address: str, allowed: bool) -> None:
    servers = ("http://llm.example:8000/v1", "http://127.0.0.1")
    if allowed:
        assert permitted(address, servers) == address
    else:
        with pytest.raises(UserError, match="--llm-server"):
            permitted(address, servers)


def test_the_environments_own_language_model_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://own.example/v1/")
    assert permitted("http://own.example/v1", ()) is None
    assert permitted(None, ()) is None


def test_who_guesses_passwords_waits_twice_as_long_each_time() -> None:
    now = [0.0]
    waits = Waits(clock=lambda: now[0])
    for _ in range(FREE):
        assert waits.left("a", "b") == 0
        waits.failed("a", "b")
    assert waits.left("a") == 1
    assert waits.left("c") == 0
    now[0] += 1
    assert waits.left("a", "b") == 0
    waits.failed("a")
    assert waits.left("a", "b") == 2
    for _ in range(20):
        waits.failed("a")
    assert waits.left("a") == 60
    waits.succeeded("b")
    assert waits.left("b") == 0
    now[0] += 901
    assert waits.left("a") == 0


def _holds(code: str, folder: Path) -> None:
    """Run the code in a process of its own, in which nothing is imported yet."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr


def test_building_the_app_loads_no_model(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fairgen.ui.server.app import build_app; "
        "from fairgen.ui.work.engine import Engine; from fairgen.ui.work.jobs import Services; "
        "from fairgen.ui.work.limits import Limits; from fairgen.ui.work.visits import Runs; "
        "from fairgen.ui.work.workshop import Workshop; "
        "build_app(Services(Engine(), Runs(Path('runs')), Limits(), Workshop(1))); "
        "assert 'torch' not in sys.modules and 'mediapipe' not in sys.modules, 'loaded'; "
        "assert not Path('runs').exists()"
    )
    _holds(code, tmp_path)


def test_with_auth_nothing_is_open_and_the_password_is_in_no_answer(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "fairgen", "serve", "--port", str(port), "--monitor", "later.sqlite"]
    env = environment() | {"FAIRGEN_AUTH": "ann:s3cret-word"}
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=env, cwd=tmp_path)
    try:
        wait_for(url, process, log)
        with httpx.Client(base_url=url) as visitor:
            page = visitor.get("/").text
            assert "fg-go" not in page
            assert visitor.get("/files/x/y/report.html").status_code == 401
            assert visitor.get("/watched").status_code == 401
            assert visitor.post("/gradio_api/call/specs", json={"data": []}).status_code == 401
            assert visitor.post("/gradio_api/upload", files={"files": ("x.png", b"x")}).status_code == 401
            wrong = visitor.post("/login", data={"username": "ann", "password": "wrong"})
            assert wrong.status_code == 401
            visitor.post("/login", data={"username": "ann", "password": "s3cret-word"}).raise_for_status()
            page = visitor.get("/").text
            assert "fg-go" in page
            assert "s3cret-word" not in page + visitor.get("/config").text
            assert visitor.get("/files/x/y/report.html").status_code == 404
            assert "Nothing has been written here yet" in visitor.get("/watched").text
    finally:
        process.terminate()
        process.wait(30)
    assert "s3cret-word" not in log.read_text()


def test_gradio_is_imported_without_writing_its_type_stubs(tmp_path: Path) -> None:
    """Where Gradio's writer has gone, so may `fairgen.ui.stubs`."""
    code = (
        "import inspect; from pathlib import Path; "
        "import fairgen.ui.server.app; import gradio, gradio.component_meta as meta; "
        "source = Path(inspect.getfile(meta)).read_text('utf-8'); "
        "assert 'def create_or_modify_pyi(' in source, 'gone'; "
        "assert meta.create_or_modify_pyi.__module__ == 'fairgen.ui.stubs'; "
        "assert gradio.Image(label='one').label == 'one'"
    )
    _holds(code, tmp_path)
