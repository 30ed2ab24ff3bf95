"""``fairgen monitor SOURCE``: watch pictures that a product serves; alarm when they leave their target."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.common.text import one_line
from fairgen.errors import UserError

if TYPE_CHECKING:
    from fairgen.monitor import Alarm, Monitor
    from fairgen.monitor.kept_page import KeptPage
    from fairgen.monitor.sources import Offer
    from fairgen.targets import FairnessSpec

_PAGE_SECONDS = 60.0
_BEHIND = 50
_ENOUGH = 20
"""Pictures after which it is known how many a second are read."""


def monitor(
    source: str = typer.Argument(
        help="A folder of pictures as it fills, a run folder, or - for JSON lines on standard input."
    ),
    spec: str = common.SPEC,
    target: str | None = common.TARGET,
    state: Path = typer.Option(
        Path("monitor.sqlite"), "--state", help="File in which it goes on after a stop or a crash."
    ),
    reader: str = typer.Option(
        "calibrated", "--reader", help="Who reads pictures: calibrated, or second (three times as fast)."
    ),
    reader_error: str | None = typer.Option(
        None,
        "--reader-error",
        help="Errors of the reader that count as on target: validated (as shipped), none, or a JSON file. "
        "Default: validated; for readings on standard input none.",
    ),
    level: float = typer.Option(
        0.05, "--level", help="Chance that it ever alarms although all contexts stay on target."
    ),
    contexts: int | None = typer.Option(
        None, "--contexts", help="How many contexts share that chance; default: those of the spec, or 1."
    ),
    by_folder: bool = typer.Option(False, "--by-folder", help="Each folder in the folder is a context."),
    every: int = typer.Option(1, "--every", help="Look at every so many pictures of each context only."),
    once: bool = typer.Option(False, "--once", help="Look at what is there, and end."),
    stop: bool = typer.Option(False, "--stop", help="End at the first alarm."),
    interval: float = typer.Option(2.0, "--interval", help="Seconds between looks at a folder or run."),
    page: Path | None = typer.Option(None, "--page", help="Keep an HTML page of the state here."),
    metrics: str | None = typer.Option(
        None, "--metrics", help="Serve /metrics for Prometheus: a port of this machine alone, or HOST:PORT."
    ),
    webhook: str | None = typer.Option(
        None, "--webhook", help="Send every alarm to this address (POST, JSON)."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print alarms and the end as JSON lines."),
) -> None:
    """Watch pictures, made by any generator, against a declared target; alarm when they are off or changed.

    It may look after every picture and still errs once in twenty monitors at most. Exit code 3: it alarmed.
    Ctrl-C and SIGTERM end it; started again with the same --state it goes on, and counts nothing twice.
    """
    common.check_range("--interval", interval, 0.05, 3600)
    declared = common.resolve_spec(spec, target)
    from fairgen.monitor.metrics import metrics_text, serving
    from fairgen.monitor.monitor import Monitor
    from fairgen.monitor.page import write_page
    from fairgen.monitor.webhook import check_webhook

    kind = _kind(source)
    error = reader_error or ("none" if kind == "lines" else "validated")
    address = _address(metrics) if metrics else None
    hook = check_webhook(webhook) if webhook else None
    watch = _Watch(as_json, hook)
    with contextlib.ExitStack() as stack:
        watching = stack.enter_context(
            Monitor(
                declared,
                state=state,
                reader=reader,
                reader_error=error,
                level=level,
                contexts=contexts,
                every=every,
                on_alarm=watch.tell,
            )
        )
        if address:
            port = stack.enter_context(serving(*address, lambda: metrics_text(watching, watch.waiting)))
            watch.say(f"Metrics: http://{address[0]}:{port}/metrics")
        watch.say(
            f"Watching {'standard input' if kind == 'lines' else source} against {declared.name}; reader's "
            f"errors: {watching.error.about}; level {level:g} over {watching.contexts} "
            f"context{'s' if watching.contexts > 1 else ''}"
            + (f"; one picture in {every} is looked at" if every > 1 else "")
        )
        stack.enter_context(_ended_by_signal())
        offers = _offers(kind, source, declared, watching, by_folder, once, interval)
        try:
            with contextlib.ExitStack() as keeping:
                kept = None if page is None else keeping.enter_context(_kept(watching, page, watch))
                _follow(watching, watch, offers, stop, kept)
        except KeyboardInterrupt:
            watch.say("Ended; with the same --state it goes on from here.")
        if page is not None:
            write_page(watching, page)
            watch.say(f"Page: {page}")
        watch.end(watching)
        alarmed = watching.alarmed
    if alarmed:
        raise typer.Exit(3)


def _kept(watching: Monitor, page: Path, watch: _Watch) -> KeptPage:
    from fairgen.monitor.kept_page import KeptPage

    def failed(error: UserError) -> None:
        watch.say(f"The page was not written: {error}")

    return KeptPage(watching, page, seconds=_PAGE_SECONDS, failed=failed)


def _kind(source: str) -> str:
    from fairgen.runs import RUN_FILE

    if source == "-":
        return "lines"
    folder = Path(source)
    if not folder.is_dir():
        raise UserError(f"{source} is no folder: name one, or - for JSON lines on standard input.")
    return "run" if (folder / RUN_FILE).is_file() else "folder"


def _address(given: str) -> tuple[str, int]:
    host, colon, port = given.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or (colon and not host):
        raise UserError(f"--metrics {given} is no port, and no HOST:PORT: give one, such as 9464.")
    return host.strip("[]") or "127.0.0.1", int(port)


def _offers(
    kind: str,
    source: str,
    spec: FairnessSpec,
    watching: Monitor,
    by_folder: bool,
    once: bool,
    interval: float,
) -> Iterator[Offer | None]:
    """Pictures as they come; None where a look found no more."""
    from fairgen.monitor.sources import folder_offers, line_offers, run_offers

    if kind == "lines":
        yield from line_offers(sys.stdin.buffer, list(spec.target))
        return
    while True:
        began = time.monotonic()
        if kind == "run":
            yield from run_offers(Path(source), watching.knows, spec.scale)
        else:
            yield from folder_offers(Path(source), watching.knows, by_folder=by_folder)
        yield None
        if once:
            return
        time.sleep(max(interval, time.monotonic() - began))  # a look never takes more than half of the time


def _follow(
    watching: Monitor, watch: _Watch, offers: Iterator[Offer | None], stop: bool, page: KeptPage | None
) -> None:
    for offer in offers:
        if offer is None:
            continue
        raised = len(watching.raised)
        watch.take(watching, offer)
        new = watching.raised[raised:]
        if page is not None:
            page.taken(alarm=bool(new))
        if stop and any(alarm.level == "alarm" for alarm in new):
            return


class _Watch:
    """What the command says while it watches."""

    def __init__(self, as_json: bool, webhook: str | None) -> None:
        self._json, self._webhook, self._console = as_json, webhook, common.stderr()
        self.waiting = 0
        self._began, self._read, self._told_behind = 0.0, 0, 0

    def say(self, text: str) -> None:
        common.say(one_line(text), self._console)

    def take(self, watching: Monitor, offer: Offer) -> None:
        tone = offer.tone
        if tone is None:
            done = watching.observe(str(offer.path), offer.context, prompt=offer.prompt, id=offer.id)
        else:
            path = str(offer.path) if offer.path else None
            done = watching.take(lambda: tone, offer.context, prompt=offer.prompt, id=offer.id, path=path)
        if done is not None and done.problem:
            self.say(f"not opened: {offer.path}: {done.problem}")
        if not self._read:
            self._began = time.monotonic()  # the first picture had to wait for the models
        self._read += 1
        self.waiting = offer.waiting
        self._behind(watching)

    def _behind(self, watching: Monitor) -> None:
        """Say so where more and more pictures wait."""
        from fairgen.monitor.words import backlog_sentence

        if self.waiting < _BEHIND:
            self._told_behind = 0
        elif self._read > _ENOUGH and self.waiting >= max(_BEHIND, 2 * self._told_behind):
            self._told_behind = self.waiting
            rate = (self._read - 1) / max(time.monotonic() - self._began, 1e-9)
            quicker = watching.reader_name == "calibrated"
            self.say(backlog_sentence(self.waiting, rate, watching.every, quicker=quicker))

    def tell(self, alarm: Alarm) -> None:
        from fairgen.monitor.webhook import post_alarm
        from fairgen.monitor.words import alarm_sentence

        if self._json:
            fields = asdict(alarm)
            common.echo_json({"type": fields.pop("level"), **fields})
        else:
            common.say(one_line(alarm_sentence(alarm)))
        if self._webhook and (problem := post_alarm(self._webhook, alarm)):
            self.say(f"The webhook was not told of it: {problem}.")

    def end(self, watching: Monitor) -> None:
        from fairgen.monitor.words import context_line

        if self._json:
            document = {
                "type": "end",
                "spec_hash": watching.settings["target"],
                "reader": watching.reader_name,
                "reader_error": watching.error.about,
                "level": watching.levels.level,
                "sampling": watching.every,
                "contexts": [found.model_dump(mode="json") for found in watching.figures()],
                "alarms": [asdict(alarm) for alarm in watching.raised],
            }
            common.echo_json(document)
            return
        for found in watching.figures():
            common.say(one_line(context_line(found)))


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
