"""A real web server on loopback that counts what it is asked, and plays servers that misbehave."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Route = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with the route of the path; ``stopped`` ends those that would go on for ever."""

    protocol_version = "HTTP/1.1"
    server: WebServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        self.close_connection = True
        route = self.server.routes.get(self.path.partition("?")[0])
        with suppress(ConnectionError, TimeoutError):
            if route is None:
                self.send(404, b"no such page")
            else:
                route(self)

    def send(
        self,
        status: int,
        body: bytes = b"",
        type_: str | None = "text/html; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        if type_ is not None:
            self.send_header("Content-Type", type_)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self, headers: Mapping[str, str] | None = None) -> None:
        """Only the head of an answer whose body ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def drip(self, pieces: Iterator[bytes], pause: float) -> None:
        """Send pieces, with pauses, until they end, the client leaves or the test does."""
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
            if self.server.stopped.wait(pause):
                return

    def log_message(self, format: str, *args: Any) -> None:
        pass


class WebServer(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, routes: Mapping[str, Route]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes = dict(routes)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.stopped = threading.Event()
        self.scheme = "http"

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [path for path, _ in self.requests]

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def refuse(self, address: str, port: int) -> str | None:
        """The rule for addresses in tests: this server, and nothing else in the world."""
        return None if (address, port) == ("127.0.0.1", self.port) else "its address is not a public one"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that leaves in the middle is what many of the tests are about


@contextmanager
def web_server(routes: Mapping[str, Route], tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """A server that answers until the block ends."""
    server = WebServer(routes)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def page(
    html: str | bytes, type_: str | None = "text/html; charset=utf-8", status: int = 200, **headers: str
) -> Route:
    """A route that answers with a page; ``Content_Encoding="gzip"`` sets the header Content-Encoding."""
    body = html.encode() if isinstance(html, str) else html
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send(status, body, type_, named)


def redirect(to: str, status: int = 302) -> Route:
    """A route that redirects."""
    return lambda handler: handler.send(status, b"", None, {"Location": to})


def dripping(handler: Handler) -> None:
    """A route whose body never ends, and comes a byte at a time."""
    handler.begin()
    handler.drip(repeat(b"x"), 0.05)


def own_certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server with a new certificate for these names, and for a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives.append(x509.IPAddress(ipaddress.ip_address("192.0.2.1")))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(
        cadata=certificate.public_bytes(serialization.Encoding.PEM).decode()
    )
