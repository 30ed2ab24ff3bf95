"""Figures of a monitor for Prometheus: text in its exposition format, and the server of ``/metrics``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from fairgen.errors import UserError
from fairgen.monitor.monitor import Monitor
from fairgen.scoring.monitored import ContextFigures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = {"quiet": 0, "warning": 1, "alarm": 2}


def metrics_text(monitor: Monitor, waiting: int = 0) -> str:
    """All figures as they stand (https://prometheus.io/docs/instrumenting/exposition_formats/).

    Args:
        monitor: whose.
        waiting: pictures that wait to be read.
    """
    contexts = monitor.figures()
    tests = [({"context": c.context, "test": name}, test) for c in contexts for name, test in c.tests.items()]
    alarms = Counter((a.context, a.test) for a in monitor.raised if a.level == "alarm")
    unread = [(c.context, {**c.abstained, "unreadable": c.unreadable}) for c in contexts]
    lines: list[str] = []

    def table(name: str, kind: str, words: str, rows: Iterable[tuple[dict[str, str], float]]) -> None:
        lines.append(f"# HELP fairgen_monitor_{name} {words}")
        lines.append(f"# TYPE fairgen_monitor_{name} {kind}")
        lines.extend(f"fairgen_monitor_{name}{_labels(labels)} {value:.10g}" for labels, value in rows)

    def by_class(name: str, kind: str, words: str, of: Callable[[ContextFigures, str], float]) -> None:
        labels = ((c, {"context": c.context, "tone": tone}) for c in contexts for tone in c.target)
        table(name, kind, words, ((each, of(c, each["tone"])) for c, each in labels))

    table(
        "offered_total",
        "counter",
        "Pictures offered.",
        [({"context": c.context}, c.offered) for c in contexts],
    )
    by_class(
        "read_total",
        "counter",
        "Pictures whose skin tone was read, by class.",
        lambda c, tone: c.counts[tone],
    )
    table(
        "not_read_total",
        "counter",
        "Pictures whose skin tone was not read, by reason.",
        [({"context": name, "reason": r}, n) for name, reasons in unread for r, n in reasons.items()],
    )
    by_class("declared_share", "gauge", "Declared share.", lambda c, tone: c.target[tone])
    end = "end of the confidence sequence of the share."
    by_class("share_low", "gauge", f"Lower {end}", lambda c, tone: c.intervals[tone][0])
    by_class("share_high", "gauge", f"Upper {end}", lambda c, tone: c.intervals[tone][1])
    evidence = [(labels, test.evidence) for labels, test in tests]
    table("evidence", "gauge", "E-value of the test, 1 at the start.", evidence)
    borders = [(labels, test.line) for labels, test in tests if test.line is not None]
    table("evidence_line", "gauge", "E-value at which the test alarms.", borders)
    states = [(labels, _STATES[test.state]) for labels, test in tests]
    table("state", "gauge", "0 quiet, 1 warning, 2 alarm, as it stands now.", states)
    raised = [(labels, alarms[labels["context"], labels["test"]]) for labels, _ in tests]
    table("alarms_total", "counter", "Alarms raised.", raised)
    table("waiting", "gauge", "Pictures that wait to be read.", [({}, waiting)])
    table("sampling", "gauge", "One picture in so many is looked at.", [({}, monitor.every)])
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
