"""Figures of a monitor for Prometheus: text in its exposition format, and the server of ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from fairgen.errors import UserError
from fairgen.monitor.monitor import Monitor

__all__ = ["metrics_text", "serving"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = {"quiet": 0, "warning": 1, "alarm": 2}

_Row = tuple[dict[str, str], float]


def metrics_text(monitor: Monitor, waiting: int = 0) -> str:
    """All figures as they stand (https://prometheus.io/docs/instrumenting/exposition_formats/).

    Args:
        monitor: whose.
        waiting: pictures that wait to be read.
    """
    contexts = monitor.figures()
    alarms = [a for a in monitor.raised if a.level == "alarm"]

    def by_class(values: dict[str, dict[str, float]]) -> list[_Row]:
        return [({"context": c, "tone": t}, v) for c, found in values.items() for t, v in found.items()]

    tables: list[tuple[str, str, str, Iterable[_Row]]] = [
        (
            "offered_total",
            "counter",
            "Pictures offered.",
            [({"context": c.context}, c.offered) for c in contexts],
        ),
        (
            "read_total",
            "counter",
            "Pictures whose skin tone was read, by class.",
            by_class({c.context: {t: float(n) for t, n in c.counts.items()} for c in contexts}),
        ),
        (
            "not_read_total",
            "counter",
            "Pictures whose skin tone was not read, by reason.",
            [
                ({"context": c.context, "reason": r}, n)
                for c in contexts
                for r, n in {**c.abstained, "unreadable": c.unreadable}.items()
            ],
        ),
        ("declared_share", "gauge", "Declared share.", by_class({c.context: c.target for c in contexts})),
        (
            "share_low",
            "gauge",
            "Lower end of the confidence sequence of the share.",
            by_class({c.context: {t: v[0] for t, v in c.intervals.items()} for c in contexts}),
        ),
        (
            "share_high",
            "gauge",
            "Upper end of the confidence sequence of the share.",
            by_class({c.context: {t: v[1] for t, v in c.intervals.items()} for c in contexts}),
        ),
        (
            "evidence",
            "gauge",
            "E-value of the test, 1 at the start.",
            [
                ({"context": c.context, "test": name}, test.evidence)
                for c in contexts
                for name, test in c.tests.items()
            ],
        ),
        (
            "evidence_line",
            "gauge",
            "E-value at which the test alarms.",
            [
                ({"context": c.context, "test": name}, test.line)
                for c in contexts
                for name, test in c.tests.items()
                if test.line is not None
            ],
        ),
        (
            "state",
            "gauge",
            "0 quiet, 1 warning, 2 alarm, as it stands now.",
            [
                ({"context": c.context, "test": name}, _STATES[test.state])
                for c in contexts
                for name, test in c.tests.items()
            ],
        ),
        (
            "alarms_total",
            "counter",
            "Alarms raised.",
            [
                (
                    {"context": c.context, "test": name},
                    sum((a.context, a.test) == (c.context, name) for a in alarms),
                )
                for c in contexts
                for name in c.tests
            ],
        ),
        ("waiting", "gauge", "Pictures that wait to be read.", [({}, waiting)]),
        ("sampling", "gauge", "One picture in so many is looked at.", [({}, monitor.every)]),
    ]
    lines = []
    for name, kind, words, rows in tables:
        lines += [f"# HELP fairgen_monitor_{name} {words}", f"# TYPE fairgen_monitor_{name} {kind}"]
        lines += [f"fairgen_monitor_{name}{_labels(labels)} {value:.10g}" for labels, value in rows]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{k}="{escaped(v)}"' for k, v in labels.items()) + "}" if labels else ""


@contextmanager
def serving(host: str, port: int, text: Callable[[], str]) -> Iterator[int]:
    """Serve ``/metrics`` while the block runs; the port.

    Args:
        host: address to listen on.
        port: 0: any that is free.
        text: makes the answer.

    Raises:
        UserError: the address is taken, or not this machine's.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path.split("?")[0] != "/metrics":
                self.send_error(404, "Only /metrics is here")
                return
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args  # a scrape every few seconds is no news

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise UserError(
            f"/metrics cannot be served on {host}, port {port} ({error.strerror}): choose another --metrics."
        ) from error
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
