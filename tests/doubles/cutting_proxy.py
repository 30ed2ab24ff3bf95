"""A TCP proxy on loopback that cuts all its connections when told to, as a line that drops does."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)  # closing sends RST: nobody says goodbye when a line drops


class CuttingProxy:
    """Forwards every connection to a port of loopback, but for the time of `cut`."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._down = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._waiting = threading.Thread(target=self._accept, daemon=True)
        self._waiting.start()

    def cut(self, seconds: float) -> None:
        """Break every connection, let none come about for so long, and return."""
        with self._lock:
            self._down = True
            lines, self._lines = self._lines, set()
        for line in lines:
            _break(line)
        time.sleep(seconds)
        self._down = False

    def close(self) -> None:
        """End for good."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the next line
        self._waiting.join()
        self._listener.close()
        self.cut(0)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._down:
                _break(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # the server is not there at present
                _break(near)
                continue
            with self._lock:
                self._lines |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _break(line: socket.socket) -> None:
    with suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        line.shutdown(socket.SHUT_RDWR)
    line.close()


@contextmanager
def proxy_to(port: int) -> Iterator[CuttingProxy]:
    """A proxy to that port, for the time of the block."""
    proxy = CuttingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
