"""Attacks on the server by raw HTTP: none succeeds, none leaves a traceback in an answer or in the log."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import fairgen
from tests.doubles.ui_server import environment, free_port, wait_for

USER, PASSWORD = "ann", "correct horse battery"
ENVIRONMENTS_KEY = "sk-environments-own-0123456789abcdef"
EVIL = "http://evil.example"
SERVE = """
import sys
from pathlib import Path
from fairgen.ui.server.app import launch
from fairgen.ui.server.settings import Settings
from fairgen.ui.work.engine import Engine
port, runs, model, name, password = sys.argv[1:]
launch(Settings(port=int(port), runs=Path(runs), auth=((name, password),)), Engine((model,), any_model=True))
"""


@dataclass
class Target:
    """The server under attack, and what an attacker would like to reach."""

    port: int
    folder: Path
    log: Path
    lure: str
    """A web address that the server shall never ask for."""
    asked: list[str]
    """What came there: path and key."""
    cookie: str = ""

    def send(self, raw: bytes) -> tuple[int, dict[str, str], str]:
        """(status, headers, body) of the answer to a request as it is."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as line:
            line.sendall(raw)
            parts = []
            while part := line.recv(65536):
                parts.append(part)
        head, _, body = b"".join(parts).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        return int(first.split()[1]) if first else 0, headers, body.decode("utf-8", "replace")

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        host: str | None = None,
        signed_in: bool = True,
        kind: str = "application/json",
        **headers: str,
    ) -> tuple[int, dict[str, str], str]:
        """As `send`, of a request made from its parts; underscores in names of headers are hyphens."""
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{self.port}'}"]
        given = {"Connection": "close", "Content-Length": str(len(content)), "Content-Type": kind}
        if signed_in:
            given["Cookie"] = self.cookie
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines += [f"{name}: {value}" for name, value in given.items()]
        return self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    def call(self, endpoint: str, data: list[Any]) -> str:
        """The whole answer of one of the named endpoints."""
        status, _, body = self.ask("POST", f"/gradio_api/call/{endpoint}", {"data": data})
        assert status == 200, body
        event = json.loads(body)["event_id"]
        return self.ask("GET", f"/gradio_api/call/{endpoint}/{event}")[2]

    def login(self, name: str, password: str) -> tuple[int, dict[str, str], str]:
        """Try to sign in."""
        form = urlencode({"username": name, "password": password}).encode()
        return self.ask("POST", "/login", form, signed_in=False, kind="application/x-www-form-urlencoded")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with a password and the environment's key, which loads no model."""
    folder = tmp_path_factory.mktemp("attacked")
    asked: list[str] = []

    class Lure(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('authorization', '')}")
            self.send_error(404)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            return

    lure = ThreadingHTTPServer(("127.0.0.1", 0), Lure)
    threading.Thread(target=lure.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    port, log = free_port(), folder / "server.log"
    model = folder / "secret-folder" / "model"
    model.mkdir(parents=True)
    command = [sys.executable, "-c", SERVE, str(port), str(folder / "runs"), str(model), USER, PASSWORD]
    own = environment() | {"OPENAI_API_KEY": ENVIRONMENTS_KEY, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    own |= {"FAIRGEN_IMAGES_URL": f"http://127.0.0.1:{lure.server_port}/v1", "FAIRGEN_IMAGES_KEY": "sk-x"}
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=own, cwd=folder)
    try:
        wait_for(f"http://127.0.0.1:{port}/", process, log)
        found = Target(port, folder, log, f"http://127.0.0.1:{lure.server_port}/x.png", asked)
        status, headers, _ = found.login(USER, PASSWORD)
        assert status == 200
        found.cookie = headers["set-cookie"].split(";")[0]
        assert found.ask("GET", "/gradio_api/info")[0] == 200
        yield found
    finally:
        process.terminate()
        process.wait(30)
        lure.shutdown()
        lure.server_close()


Attack = Callable[[Target], object]
JOIN = {"data": [], "fn_index": 0, "session_hash": "foreign"}


def _file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}} | more


def refused(status: int, *args: Any, **parts: Any) -> Attack:
    """A request whose answer has this status, and allows no other origin anything."""

    def attack(target: Target) -> object:
        found, headers, body = target.ask(*args, **parts)
        assert found == status, (found, body[:300])
        assert headers.get("access-control-allow-origin", "") not in (EVIL, "null", "*")
        return body

    return attack


def answered(says: str, endpoint: str, *data: Any) -> Attack:
    """A call of an endpoint that is answered with a sentence."""

    def attack(target: Target) -> object:
        given = json.loads(json.dumps(data).replace("LURE", target.lure))
        body = target.call(endpoint, given)
        assert "event: error" in body
        assert says in body, body[:400]
        return body

    return attack


def raw(status: int, request: str) -> Attack:
    """A request as it is; PORT stands for the server's."""

    def attack(target: Target) -> object:
        found, _, body = target.send(request.replace("PORT", str(target.port)).encode())
        assert found == status, (found, body[:300])
        return body

    return attack


ASKED = ("ita6", 1, False, "residents")
REST = (1, "none", 0, 1, "", 1, None)
ASK = ("a nurse", "a-model")
TWO_HOSTS = "GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
NO_UPLOAD = "no upload to this server"
ATTACKS: dict[str, Attack] = {
    # DNS rebinding: the browser of a visitor thinks that this machine is evil.example
    "rebinding, page": refused(421, "GET", "/", host="evil.example"),
    "rebinding, config": refused(421, "GET", "/config", host="evil.example:7860"),
    "rebinding, call": refused(421, "POST", "/gradio_api/call/ask", {"data": [*ASK]}, host="evil.example"),
    "rebinding, same origin": refused(
        421, "POST", "/gradio_api/queue/join", JOIN, host="evil.example", Origin=EVIL
    ),
    "rebinding, login": refused(421, "POST", "/login", b"username=a&password=b", host="evil.example"),
    "rebinding, files": refused(421, "GET", "/files/a/b/run.jsonl", host="evil.example"),
    "rebinding, look-alike": refused(421, "GET", "/", host="127.0.0.1.evil.example"),
    "rebinding, user part": refused(421, "GET", "/", host="127.0.0.1@evil.example"),
    "two hosts": raw(400, TWO_HOSTS),
    "no host": raw(421, "GET / HTTP/1.0\r\n\r\n"),
    "forwarded host": refused(421, "GET", "/", X_Forwarded_Host="evil.example"),
    # Other sites' pages
    "cross-origin, call": refused(403, "POST", "/gradio_api/call/server", {"data": []}, Origin=EVIL),
    "cross-origin, join": refused(403, "POST", "/gradio_api/queue/join", JOIN, Origin=EVIL),
    "cross-origin, stream": refused(403, "GET", "/gradio_api/queue/data?session_hash=x", Origin=EVIL),
    "cross-origin, upload": refused(403, "POST", "/gradio_api/upload", b"", Origin=EVIL),
    "cross-origin, preflight": refused(
        403, "OPTIONS", "/gradio_api/queue/join", Origin=EVIL, Access_Control_Request_Method="POST"
    ),
    "cross-origin, sandbox": refused(403, "POST", "/gradio_api/queue/join", JOIN, Origin="null"),
    "cross-origin, other port": refused(
        403, "POST", "/gradio_api/queue/join", JOIN, Origin="http://127.0.0.1:1"
    ),
    "cross-origin, cancel": refused(403, "POST", "/gradio_api/cancel", JOIN, Origin=EVIL),
    "cross-origin, login": refused(403, "POST", "/login", b"username=a&password=b", Origin=EVIL),
    "cross-site, without an origin": refused(
        403, "GET", "/gradio_api/queue/data?session_hash=x", Sec_Fetch_Site="cross-site"
    ),
    "cross-site, frame": refused(
        403, "GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe"
    ),
    "text as JSON": refused(
        403, "POST", "/gradio_api/queue/join", JOIN, kind="text/plain", Sec_Fetch_Site="same-site"
    ),
    # The server as somebody's web client
    "fetch, a file's path": answered(NO_UPLOAD, "check", [_file("LURE")], "uniform", None),
    "fetch, a file's url": answered(NO_UPLOAD, "check", [_file("x.png", url="LURE")], "uniform", None),
    "fetch, upper case": answered(NO_UPLOAD, "check", [_file(" HTTP:" + "//127.0.0.1:1/")], "uniform", None),
    "fetch, elsewhere in the data": answered("must be text", "spec", _file("LURE")),
    "fetch, bare": answered(NO_UPLOAD, "check", ["LURE"], "uniform", None),
    "fetch, nested": answered("share", "generate", "a nurse", "", {"light": _file("LURE")}, *REST),
    "fetch, file route": refused(403, "GET", "/gradio_api/file=http://127.0.0.1:1/"),
    "fetch, proxy": refused(404, "GET", "/gradio_api/proxy=http://127.0.0.1:1/"),
    "fetch, language model": answered("started with", "ask", *ASK, "LURE", "", *ASKED),
    "fetch, language model and a key": answered("started with", "ask", *ASK, "LURE", "sk-x", *ASKED),
    "fetch, model behind an API": answered(
        "was started with them", "generate", "a nurse", "uniform", None, 1, "none", 0, 1, "api:dear", 1, None
    ),
    "fetch, spec": answered("no spec", "spec", "LURE"),
    # Files of the machine
    "path, absolute": answered(NO_UPLOAD, "check", [_file("/etc/passwd")], "uniform", None),
    "path, dots": answered(NO_UPLOAD, "check", [_file("../../../../etc/passwd")], "uniform", None),
    "path, null": answered(NO_UPLOAD, "check", [_file("a\0b")], "uniform", None),
    "path, a folder": answered(NO_UPLOAD, "check", [_file("/")], "uniform", None),
    "path, no text": answered(NO_UPLOAD, "check", [_file("x") | {"path": 7}], "uniform", None),
    "path, file route": refused(403, "GET", "/gradio_api/file=/etc/passwd"),
    "path, files": refused(404, "GET", "/files/../../../../etc/passwd"),
    "path, encoded": refused(404, "GET", "/files/a/b/..%2f..%2f..%2fetc%2fpasswd"),
    "path, spec": answered("no spec", "spec", "../../../../etc/passwd"),
    "path, model": answered(
        "exist", "generate", "a nurse", "uniform", None, 1, "none", 0, 1, "/nowhere/m", 1, None
    ),
    # What belongs to others
    "foreign run": answered("not yours", "run", "a" * 16, "b" * 32),
    "foreign run, stop": answered("not yours", "stop", "a" * 16, ""),
    "foreign run, no text": answered("not yours", "run", {"a": 1}, ""),
    "foreign run, path": answered("not yours", "run", "../../.index/x", "y"),
    "foreign run, surrogate": answered("not yours", "run", "\ud800", "\ud800"),
    "foreign files": refused(404, "GET", f"/files/{'a' * 16}/{'b' * 32}/run.jsonl"),
    "not signed in, call": refused(401, "POST", "/gradio_api/call/server", {"data": []}, signed_in=False),
    "not signed in, files": refused(401, "GET", "/files/a/b/c.png", signed_in=False),
    "not signed in, heartbeat": refused(401, "GET", "/gradio_api/heartbeat/x", signed_in=False),
    "not signed in, false token": refused(401, "GET", "/config", signed_in=False, Cookie="access-token=x"),
    # Too much
    "oversized, said": refused(413, "POST", "/gradio_api/queue/join", b"", Content_Length="9999999999"),
    "too few arguments": refused(400, "POST", "/gradio_api/call/stop", {"data": []}),
    "too many arguments": refused(400, "POST", "/gradio_api/call/spec", {"data": ["a"] * 900}),
    "oversized, no number": refused(400, "POST", "/gradio_api/queue/join", b"", Content_Length="1e9"),
    "oversized, login": refused(413, "POST", "/login", b"username=" + b"a" * 20_000, signed_in=False),
    "nested deeply": refused(400, "POST", "/gradio_api/queue/join", b'{"data":' + b"[" * 9000 + b"]" * 9000),
    "no JSON": refused(422, "POST", "/gradio_api/queue/join", b"{"),
    "parts that are not used": refused(404, "POST", "/gradio_api/vibe-code", {}),
    "deep link": refused(404, "GET", "/?deep_link=../../x"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_without_a_traceback(target: Target, name: str) -> None:
    logged = target.log.stat().st_size
    body = str(ATTACKS[name](target))
    for secret in ("Traceback", "root:", str(target.folder), ENVIRONMENTS_KEY, "site-packages"):
        assert secret not in body
    assert not target.asked
    log = target.log.read_bytes()[logged:].decode()
    assert "Traceback" not in log
    assert ENVIRONMENTS_KEY not in log


def test_the_server_shows_whoever_asks_no_path_of_its_own(target: Target) -> None:
    told = target.call("server", [])
    assert '"model"' in told
    assert str(target.folder) not in told
    page = target.ask("GET", "/")[2]
    assert str(target.folder) not in page
    assert "frame-ancestors 'self'" in target.ask("GET", "/")[1]["content-security-policy"]


def test_the_page_for_signing_in_keeps_the_name(target: Target) -> None:
    page = target.ask("GET", "/", signed_in=False)
    assert page[0] == 200
    assert 'action="login"' in page[2]
    form = urlencode({"username": '<b>"Carla', "password": ""}).encode()
    kind = "application/x-www-form-urlencoded"
    again = target.ask("POST", "/login", form, signed_in=False, kind=kind, Accept="text/html")
    assert again[0] == 400
    assert "&lt;b&gt;&#34;Carla" in again[2]
    assert "Type your name" in again[2]


def test_a_flood_of_logins_is_slowed_down_for_that_name_alone(target: Target) -> None:
    answers = [target.login("bob", f"guess {n}") for n in range(40)]
    status = [found for found, _, _ in answers]
    assert status[:4] == [401] * 4
    assert status[4:].count(429) >= 30  # a second, two, four ... for each one that is let through
    late = next(found for found in answers if found[0] == 429)
    assert int(late[1]["retry-after"]) >= 1
    assert "wait" in json.loads(late[2])["detail"]
    assert target.login("bob", PASSWORD)[0] == 429
    assert "Traceback" not in target.log.read_text()


def test_a_link_to_the_page_is_shown_as_fairgen_s(target: Target) -> None:
    status, headers, page = target.ask("GET", "/?__theme=dark", Accept_Encoding="gzip, br")
    assert status == 200
    assert headers["content-length"] == str(len(page.encode()))
    said = dict(re.findall(r'<meta (?:property|name)="((?:og|twitter):[^"]+)" content="([^"]*)"', page))
    assert said["og:title"] == said["twitter:title"]
    assert said["og:title"].startswith("fairgen: ")
    assert said["og:description"].startswith("Declare the skin tones")
    metas = re.findall(r"<meta[^>]*>", page)
    assert not [one for one in metas if re.search("gradio|Click to try", one, re.IGNORECASE)]
    assert sum("og:title" in one for one in metas) == 1
    assert "window.gradio_config" in page
    icon = target.ask("GET", re.findall(r'<link rel="icon"[^>]*href="\.([^"]*)"', page)[0])[2]
    own = (Path(fairgen.__file__).parent / "ui" / "templates" / "favicon.png").read_bytes()
    assert icon == own.decode("utf-8", "replace")
    for path in re.findall(r'<link rel="manifest" href="([^"]*)"', page):
        assert "gradio" not in target.ask("GET", path)[2].lower()
