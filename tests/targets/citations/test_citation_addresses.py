"""Which addresses the citation checker goes to: odd notations, private ones, redirects, rebinding, TLS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fairgen.targets.citations import (
    Fetcher,
    Unreachable,
    check_citations,
    judge_citations,
    refuse_unless_public,
)
from fairgen.targets.citations.address import is_public
from tests.doubles.cited_pages import HTML, WITHOUT, cite, fetcher, verdict
from tests.doubles.web_server import WebServer, dripping, own_certificate, page, redirect, web_server


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server({"/": page(HTML), "/other": page(WITHOUT)}) as running:
        yield running


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a",
        "gopher://127.0.0.1:70/_x",
        "javascript:alert(1)",
        "data:text/html,x",
        "//example.org/",
        "example.org",
        "http://",
        "http:///path",
        "http://[::1",
        "http://[fe80::1%25eth0]/",
        "http://user@127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://example.org\\@127.0.0.1/",
        "http://127.0.0.1 /",
        "http://127.0.0.1/\r\nX: y",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1:99999/",
        "http://a:b:c/",
        "http://" + "a" * 3000 + "/",
        "http://①②⑦.⓪.⓪.①/",
    ],
)
def test_odd_addresses_are_refused_before_anything_is_resolved(url: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was resolved")

    with pytest.raises(Unreachable, match="refused: ") as caught:
        Fetcher(resolve=resolve, refuse=lambda address, port: None).fetch(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1"),
        *("192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0"),
        *("fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::"),
        *("2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "3fff::1"),
        *("5f00::1", "not an address", ""),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)
    assert refuse_unless_public(address, 443) == "its address is not a public one"


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "2002:101:101::", "64:ff9b::101:101"],
)
def test_addresses_that_are_public(address: str) -> None:
    assert refuse_unless_public(address, 80) is None
    assert refuse_unless_public(address, 443) is None
    assert refuse_unless_public(address, 22) == "port 22 is not one of the web's (80, 443)"


def test_by_default_this_machine_is_not_reached(server: WebServer) -> None:
    for url in (server.url("/"), server.url("/", "localhost"), "http://127.0.0.1/", "http://[::1]/"):
        (citation,) = check_citations([cite(url)])
        assert citation.checked == "unreachable"
    assert server.requests == []


def test_one_private_address_among_public_ones_refuses_the_name(server: WebServer) -> None:
    state, _ = verdict(server, "/", resolve=lambda host, port: ["127.0.0.1", "10.0.0.1"])
    assert state == "found"  # an address is its own answer, and nothing is resolved
    url = server.url("/", "some.name")
    options = {"resolve": lambda host, port: ["127.0.0.1", "10.0.0.1"]}
    (found,) = judge_citations([cite(url)], fetcher=fetcher(server, **options))
    assert (found.citation.checked, found.reason) == (
        "unreachable",
        "refused: its address is not a public one (some.name)",
    )
    assert len(server.requests) == 1


def test_a_name_is_resolved_once_and_the_connection_goes_where_it_was_checked(server: WebServer) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    url = server.url("/", "rebinds.example")
    (citation,) = check_citations([cite(url)], fetcher=fetcher(server, resolve=resolve))
    assert citation.checked == "found"
    assert asked == ["rebinds.example"]
    assert server.requests[0][1]["Host"] == f"rebinds.example:{server.port}"
    (citation,) = check_citations([cite(url)], fetcher=fetcher(server, resolve=resolve))
    assert citation.checked == "unreachable"
    assert len(server.requests) == 1


def test_redirects_are_resolved_and_checked_anew(server: WebServer) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    server.routes["/go"] = redirect("/")
    url = server.url("/go", "rebinds.example")
    (found,) = judge_citations([cite(url)], fetcher=fetcher(server, resolve=lambda host, port: next(answers)))
    assert found.citation.checked == "unreachable"
    assert server.paths == ["/go"]


@pytest.mark.parametrize(
    "to",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://user:x@127.0.0.1/",
        "//10.0.0.1/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "javascript:alert(1)",
        "http://127.0.0.1:1/",
    ],
)
def test_redirects_to_what_is_refused(server: WebServer, to: str) -> None:
    server.routes["/go"] = redirect(to)
    state, reason = verdict(server, "/go")
    assert state == "unreachable"
    assert reason.startswith("refused: ")
    assert server.paths == ["/go"]


def test_redirects_are_followed_and_told(server: WebServer) -> None:
    for number in range(5):
        server.routes[f"/{number}"] = redirect(f"{number + 1}", 301 + number % 2)
    server.routes["/5"] = page(HTML)
    server.routes["/loop"] = redirect("/loop")
    server.routes["/six"] = redirect("/0")
    server.routes["/nowhere"] = lambda handler: handler.send(302)
    assert verdict(server, "/0") == (
        "found",
        f"the page holds the quote, which redirected to 127.0.0.1:{server.port}/5",
    )
    assert verdict(server, "/six") == ("unreachable", "it redirects more than 5 times")
    assert verdict(server, "/loop") == ("unreachable", "it redirects more than 5 times")
    assert verdict(server, "/nowhere") == ("unreachable", "it redirects to nowhere (HTTP 302)")


def test_tls_goes_to_the_checked_address_and_holds_the_certificate_against_the_name(tmp_path: Path) -> None:
    for_server, for_client = own_certificate(tmp_path, "cited.example")
    with web_server({"/": page(HTML), "/down": redirect("http://cited.example/")}, for_server) as server:
        trusting = fetcher(server, tls=lambda: for_client)
        quoted = [cite(server.url("/", host)) for host in ("cited.example", "other.example")]
        found, wrong = judge_citations(quoted, fetcher=trusting)
        assert found.citation.checked == "found"
        assert server.requests[0][1]["Host"] == f"cited.example:{server.port}"
        assert wrong.citation.checked == "unreachable"
        assert wrong.reason.startswith("its certificate is not valid (Hostname mismatch")
        (unknown,) = judge_citations(quoted[:1], fetcher=fetcher(server))
        assert unknown.reason.startswith("its certificate is not valid (self")
        assert server.paths == ["/"]
        with pytest.raises(Unreachable, match="from https to unprotected http"):
            trusting.fetch(server.url("/down", "cited.example"))
        server.routes["/slow"] = dripping
        before = time.monotonic()
        with pytest.raises(Unreachable, match=r"it took longer than 0\.4 seconds"):
            replace(trusting, seconds=0.4).fetch(server.url("/slow", "cited.example"))
        assert time.monotonic() - before < 60
