"""A real HTTP server on loopback that speaks the OpenAI protocol, well or badly.

All replies here are fixtures, written by hand for tests: no model ever gave them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.endpoint import Chat, Endpoint, messages, run

PICTURES = {"very_light": 10, "light": 15, "intermediate": 20, "tan": 20, "brown": 20, "dark": 15}
SHARES = {"very_light": 0.1, "light": 0.15, "intermediate": 0.2, "tan": 0.2, "brown": 0.2, "dark": 0.15}
CITATION = {
    "title": "Fixture census",
    "publisher": "Fixture office",
    "year": 2022,
    "url": "https://stats.fixture-office.gov/census",
    "quote": "of the nurses in the fixture, 45 per cent",
    "claim": "how many nurses there are",
}


def pictures(counts: dict[str, int], margin: int = 5) -> dict[str, dict[str, int]]:
    """Counts of 100 with a range around each."""
    return {k: {"count": n, "low": max(0, n - margin), "high": n + margin} for k, n in counts.items()}


def fixture_reply(**changes: Any) -> dict[str, Any]:
    """A valid reply on ita6, with some keys changed; ``shares`` take the place of the counts of pictures."""
    reply: dict[str, Any] = {
        "about": "Nurses at work in the fixture country.",
        "citations": [CITATION],
        "mapping": "Census groups were spread over neighbouring tones.",
        "why": "The prompt names an occupation and a country.",
        "pictures": pictures(PICTURES),
    }
    if "shares" in changes:
        del reply["pictures"]
    return reply | changes


def said(content: object, *, as_is: bool = False, finish: str = "stop", **message: Any) -> bytes:
    """The body of a chat completion whose message is `content` (JSON where it is not text already, unless it
    goes `as_is`).
    """
    text = content if as_is or isinstance(content, str) or content is None else json.dumps(content)
    return json.dumps(
        {
            "id": "fixture",
            "object": "chat.completion",
            "created": 0,
            "model": "fixture-model",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish,
                    "message": {"role": "assistant", "content": text} | message,
                }
            ],
            "usage": {"prompt_tokens": 900, "completion_tokens": 300, "total_tokens": 1200},
        }
    ).encode()


Turn = Callable[["Handler"], None]
"""Answers one request."""


def sends(
    body: bytes, status: int = 200, kind: str = "application/json", headers: dict[str, str] | None = None
) -> Turn:
    """A plain HTTP answer."""

    def turn(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return turn


def replies(content: object, **message: Any) -> Turn:
    """A chat completion."""
    return sends(said(content, **message))


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """A server-sent event with a piece of a message."""
    data = {"model": "fixture-model", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(data)}\n\n".encode()


def pieces(message: dict[str, Any], size: int = 40) -> list[dict[str, Any]]:
    """A message in the pieces that a stream is made of: texts cut small, all else whole."""
    found: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for key, value in message.items():
        if isinstance(value, str):
            found += [{key: value[at : at + size]} for at in range(0, len(value), size)]
        else:
            found.append({key: value})
    return found


def streams(
    message: dict[str, Any], *, finish: str = "stop", then: Callable[[Handler], None] | None = None
) -> Turn:
    """A chat completion in pieces, with the count of tokens at its end; where `then` is given, that happens
    instead of an end.
    """

    def turn(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for piece in pieces(message):
            handler.wfile.write(event(piece))
            handler.wfile.flush()
        if then is not None:
            return then(handler)
        usage = {"choices": [], "usage": {"prompt_tokens": 900, "completion_tokens": 300}}
        handler.wfile.write(event({}, finish) + f"data: {json.dumps(usage)}\n\ndata: [DONE]\n\n".encode())

    return turn


def stalls(handler: Handler) -> None:
    """Nothing more, for as long as the test lasts."""
    handler.server.stopping.wait(60)


def breaks(handler: Handler) -> None:
    """The server says in the middle of a stream that it failed."""
    handler.wfile.write(b'data: {"error": {"message": "fixture trouble"}}\n\n')


def never_ends(handler: Handler) -> None:
    """One token after another, until the client hangs up; notes how many went out."""
    try:
        while not handler.server.stopping.wait(0.0005):
            handler.wfile.write(event({"content": "word "}))
            handler.wfile.flush()
            handler.server.flooded += 1
    except OSError:
        handler.server.hung_up.set()


def fails(status: int, message: str = "fixture trouble", headers: dict[str, str] | None = None) -> Turn:
    """An HTTP error in OpenAI's form."""
    return sends(json.dumps({"error": {"message": message}}).encode(), status, headers=headers)


def refuses_schema(content: object) -> Turn:
    """400 to a request for structured output, else a chat completion."""

    def turn(handler: Handler) -> None:
        schema = "response_format" in handler.asked.body
        (fails(400, "response_format is not supported") if schema else replies(content))(handler)

    return turn


def gzip_bomb(size: int) -> Turn:
    """A small body that unpacks to a huge one, although the client asked for none."""
    import gzip

    return sends(gzip.compress(said("x" * size)), headers={"Content-Encoding": "gzip"})


def late(seconds: float, then: Turn) -> Turn:
    """Silence first."""

    def turn(handler: Handler) -> None:
        handler.server.stopping.wait(seconds)
        then(handler)

    return turn


def drips(seconds: float, chunk: bytes = b" ") -> Turn:
    """Headers at once, then a byte now and then, and never an end."""

    def turn(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        while not handler.server.stopping.wait(seconds):
            handler.wfile.write(chunk)
            handler.wfile.flush()

    return turn


def drips_headers(seconds: float) -> Turn:
    """Headers without end, one now and then: no read ever waits for long."""

    def turn(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        number = 0
        while not handler.server.stopping.wait(seconds):
            number += 1
            handler.wfile.write(f"X-Header-{number}: 1\r\n".encode())
            handler.wfile.flush()

    return turn


def drops(body: bytes) -> Turn:
    """Half of what was promised, then the connection is closed."""

    def turn(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        handler.connection.close()

    return turn


def floods(size: int) -> Turn:
    """A valid completion of `size` bytes, sent in pieces; notes how much of it was taken."""

    def turn(handler: Handler) -> None:
        body = said("x" * size)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for start in range(0, len(body), 65_536):
            handler.wfile.write(body[start : start + 65_536])
            handler.server.flooded = start

    return turn


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float


class Server(ThreadingHTTPServer):
    """Answers the n-th request by the n-th turn, and all further ones by the last."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, turns: Sequence[Turn]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.turns = list(turns)
        self.requests: list[Request] = []
        self.flooded = 0
        self.models: bytes | None = None  # what GET /v1/models answers; None: 501
        self.hung_up = threading.Event()
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """One connection, for one request."""

    protocol_version = "HTTP/1.1"
    server: Server
    asked: Request

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, json.loads(raw), time.monotonic())
        with self.server.lock:
            turn = self.server.turns[min(len(self.server.requests), len(self.server.turns) - 1)]
            self.server.requests.append(request)
        self.asked = request
        self.close_connection = True
        turn(self)

    def do_GET(self) -> None:
        """The list of models, where there is one."""
        self.close_connection = True
        if self.path != "/v1/models" or self.server.models is None:
            return self.send_error(501)
        sends(self.server.models)(self)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def serving(*turns: Turn) -> Iterator[Server]:
    """A server on a free port of loopback, stopped afterwards."""
    server = Server(turns)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def say(endpoint: Endpoint, user: str, *, system: str | None = None, **wishes: Any) -> RawReply:
    """One reply to one message; ``wishes`` are those of `Chat.say`."""

    async def work() -> RawReply:
        async with Chat(endpoint) as chat:
            return await chat.say(messages(user, system=system), **wishes)

    return run(work())
