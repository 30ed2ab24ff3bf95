"""The citation checker against a real server on loopback: what is found, what is refused, and how it ends."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from fairgen.targets import Citation
from fairgen.targets.citations import Fetcher, Unreachable, check_citations, judge_citations, pages_to_fetch
from tests.doubles.cited_pages import HTML, QUOTE, WITHOUT, cite, fetcher, verdict
from tests.doubles.web_server import Handler, Route, WebServer, dripping, page, redirect, web_server


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server({"/": page(HTML), "/other": page(WITHOUT)}) as running:
        yield running


def test_found_and_not_found_with_the_time(server: WebServer) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    given = [cite(server.url("/")), cite(server.url("/other")), cite(server.url("/nowhere"))]
    checked = check_citations(given, fetcher=fetcher(server))
    assert [c.checked for c in checked] == ["found", "not_found", "not_found"]
    for citation in checked:
        assert citation.checked_at is not None
        assert before <= citation.checked_at <= datetime.now(UTC)
        assert citation.checked_at.utcoffset() == datetime.now(UTC).utcoffset()
        assert Citation.model_validate(citation.model_dump()) == citation
    assert [c.checked for c in given] == ["unchecked"] * 3
    assert verdict(server, "/nowhere")[1] == "there is no such page (HTTP 404)"


def test_nothing_is_fetched_without_leave(server: WebServer) -> None:
    citations = [cite(server.url("/")), cite(server.url("/#part")), cite(None)]
    assert pages_to_fetch(citations) == [server.url("/")]
    assert server.requests == []


def test_what_cannot_be_looked_up_stays_unchecked_and_is_not_fetched(server: WebServer) -> None:
    claimed = cite(server.url("/"), None).model_copy(
        update={"checked": "found", "checked_at": datetime.now(UTC)}
    )
    given = [cite(None), cite(server.url("/"), ""), cite(server.url("/"), "of the nurses"), claimed]
    verdicts = judge_citations(given, fetcher=fetcher(server))
    assert [(v.citation.checked, v.citation.checked_at) for v in verdicts] == [("unchecked", None)] * 4
    assert [v.reason.partition(":")[0] for v in verdicts] == ["not checked"] * 4
    assert "no web address" in verdicts[0].reason
    assert "no quote" in verdicts[1].reason
    assert "too short" in verdicts[2].reason
    assert server.requests == []


def test_a_page_is_fetched_once_for_all_its_citations(server: WebServer) -> None:
    done: list[int] = []
    given = [
        cite(server.url("/#a")),
        cite(None),
        cite(server.url("/other")),
        cite(server.url("/#b"), "this page goes on about other things"),
        cite(server.url("/"), "a sentence that is nowhere to be seen"),
    ]
    checked = check_citations(given, fetcher=fetcher(server), on_done=done.append)
    assert [c.checked for c in checked] == ["found", "unchecked", "not_found", "found", "not_found"]
    assert server.paths == ["/", "/other"]
    assert done == [1, 4, 5]


def test_the_request_says_who_asks_and_carries_nothing_else(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.routes["/cookie"] = page(HTML, Set_Cookie="a=b")
    assert verdict(server, "/cookie")[0] == "found"
    assert verdict(server, "/?q=é", resolve=lambda host, port: ["127.0.0.1"])[0] == "found"
    for _, headers in server.requests:
        assert headers["User-Agent"].startswith("fairgen/")
        assert headers["Host"] == f"127.0.0.1:{server.port}"
        assert not {"Cookie", "Authorization", "Referer"} & set(headers)
    assert server.paths[-1] == "/?q=%C3%A9"


def endless(handler: Handler) -> None:
    handler.begin()
    handler.drip(itertools.repeat(b"<p>and on and on and on</p>" * 1000), 0)


def dripping_known_length(handler: Handler) -> None:
    handler.begin({"Content-Length": "1000000"})
    handler.drip(itertools.repeat(b"x"), 0.05)


def dripping_chunks(handler: Handler) -> None:
    handler.begin({"Transfer-Encoding": "chunked"})
    handler.drip(itertools.chain([b"5"], itertools.repeat(b"0")), 0.05)


def dripping_head(handler: Handler) -> None:
    handler.drip(itertools.chain([b"HTTP/1.1 200 OK\r\nX: "], itertools.repeat(b"x")), 0.05)


def always_continue(handler: Handler) -> None:
    handler.drip(itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), 0.01)


def silent(handler: Handler) -> None:
    handler.drip(itertools.repeat(b""), 0.05)


@pytest.mark.parametrize(
    "route",
    [dripping, dripping_known_length, dripping_chunks, dripping_head, always_continue, silent],
    ids=lambda route: route.__name__,
)
def test_no_answer_outlasts_the_time(server: WebServer, route: Route) -> None:
    server.routes["/slow"] = route
    before = time.monotonic()
    state, reason = verdict(server, "/slow", seconds=0.4)
    assert time.monotonic() - before < 60
    assert (state, reason) == ("unreachable", "it took longer than 0.4 seconds")


def test_the_time_is_for_all_redirects_together(server: WebServer) -> None:
    def wait(handler: Handler) -> None:
        handler.server.stopped.wait(0.15)
        handler.send(302, b"", None, {"Location": f"/wait?{len(handler.server.requests)}"})

    server.routes["/wait"] = wait
    assert verdict(server, "/wait", seconds=0.4) == ("unreachable", "it took longer than 0.4 seconds")


def test_names_that_do_not_resolve(server: WebServer) -> None:
    hanging = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        hanging.wait(5)
        return []

    def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    for resolve, reason in ((hang, "was not resolved in time"), (fail, "is not known, or there is no")):
        with pytest.raises(Unreachable, match=f"the name invented.example {reason}"):
            Fetcher(resolve=resolve, seconds=0.2).fetch("https://invented.example/a")
    hanging.set()


def bomb() -> bytes:
    return gzip.compress(b"<p>" + b"nurses " * 20_000_000)


def test_size_is_bounded_packed_or_not(server: WebServer) -> None:
    packed = bomb()
    assert len(packed) < 500_000
    server.routes |= {
        "/endless": endless,
        "/bomb": page(packed, Content_Encoding="gzip"),
        "/twice": page(gzip.compress(packed), Content_Encoding="gzip, gzip"),
        "/length": lambda handler: handler.begin({"Content-Length": str(10**9)}),
        "/packed": page(gzip.compress(HTML.encode()), Content_Encoding="gzip"),
        "/broken": page(b"this is no gzip", Content_Encoding="gzip"),
        "/brotli": page(b"\x0b", Content_Encoding="br"),
    }
    for path in ("/endless", "/bomb", "/length"):
        assert verdict(server, path) == ("unreachable", "it is larger than 5 MB"), path
    for path in ("/twice", "/broken", "/brotli"):
        assert verdict(server, path)[1].startswith("it is packed in a way that cannot be read"), path
    assert verdict(server, "/packed")[0] == "found"


def headers(*lines: bytes) -> Route:
    def route(handler: Handler) -> None:
        handler.wfile.write(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""]))

    return route


def test_answers_that_are_no_http(server: WebServer) -> None:
    server.routes |= {
        "/line": headers(b"X: " + b"x" * 100_000),
        "/many": headers(*[b"X: x"] * 500),
        "/rubbish": lambda handler: handler.drip(iter([b"SSH-2.0-x\r\n"]), 0),
        "/nothing": lambda handler: None,
        "/short": headers(b"Content-Type: text/html", b"Content-Length: 500"),
        "/chunk": headers(b"Content-Type: text/html", b"Transfer-Encoding: chunked"),
    }
    for path in ("/line", "/many", "/rubbish", "/nothing", "/short", "/chunk"):
        assert verdict(server, path) == (
            "unreachable",
            "the connection broke, or the server does not speak HTTP",
        ), path
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match="the server takes no connections"):
        Fetcher(refuse=lambda address, port: None).fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("application/pdf", "it is a PDF, which cannot be read here: look the quote up by hand"),
        ("image/png", "it is the type 'image/png', which cannot be read here: look the quote up by hand"),
        ("application/json; charset=utf-8", "it is JSON, which cannot"),
        ("application/octet-stream", "it is the type 'application/octet-stream'"),
        ("", "it is a page that does not state its type"),
        (None, "it is a page that does not state its type"),
        ("text/html\x1b[2J", "it is the type 'text/html\\x1b[2j'"),
    ],
)
def test_types_that_are_not_read(server: WebServer, type_: str | None, reason: str) -> None:
    server.routes["/file"] = page(HTML, type_)
    state, said = verdict(server, "/file")
    assert state == "unreachable"
    assert said.startswith(reason)


@pytest.mark.parametrize("status", [204, 206, 300, 304, 400, 401, 402, 403, 407, 418, 429, 451, 500, 503])
def test_answers_that_are_no_page_are_unreachable(server: WebServer, status: int) -> None:
    server.routes["/status"] = page(HTML if status not in (204, 304) else b"", status=status)
    state, reason = verdict(server, "/status")
    assert state == "unreachable"
    assert str(status) in reason


def test_login_and_consent_pages_are_unreachable(server: WebServer) -> None:
    form = '<form><input name="p" type="password"></form>'
    server.routes |= {
        "/form": page(WITHOUT + form),
        "/form-and-text": page(HTML + form),
        "/article": redirect("/consent?continue=/article"),
        "/consent": page(WITHOUT),
        "/moved": redirect("/other"),
        "/scripts": page("<html><body><div id=root></div><script>" + QUOTE + "</script></body></html>"),
    }
    assert verdict(server, "/form") == (
        "unreachable",
        "a page that asks for a password came instead of the text",
    )
    assert verdict(server, "/form-and-text")[0] == "found"
    assert verdict(server, "/article")[0] == "unreachable"
    assert verdict(server, "/consent")[0] == "not_found"
    assert verdict(server, "/moved")[0] == "not_found"
    assert verdict(server, "/scripts") == (
        "unreachable",
        "the page shows next to no text without its scripts",
    )


def test_a_server_that_drips_its_tls_handshake_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        stopped = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB follows, says TLS
                while not stopped.wait(0.05):
                    try:
                        connection.sendall(b"\x00")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        before = time.monotonic()
        with pytest.raises(Unreachable):
            Fetcher(refuse=lambda address, port: None, seconds=0.4).fetch(f"https://127.0.0.1:{port}/")
        assert time.monotonic() - before < 60
        stopped.set()
        thread.join()
