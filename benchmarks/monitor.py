"""How often `fairgen monitor` alarms on streams on target, and how soon on streams that are not; writes
tables of docs/statistics.md.

    python benchmarks/monitor.py [--streams 2000]  # prints them, writes benchmarks/monitor.json
    python benchmarks/monitor.py --quick           # a tenth of the streams and of their length, prints only

Everything is seeded. The work is done in pieces, which are kept in runs/monitor-benchmark: stopped,
it goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import monitor_streams
import numpy as np
import page_tables
import typer
from monitor_shifts import DISTANCES, HALVED, WAYS, fixed_sample, halves, knowing, moved
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from scipy.stats import chi2
from simulations import BY_HAND

from fairgen.common.files import write_text
from fairgen.scoring.monitored import Levels
from fairgen.stats.sequential import ChangeProcess, EProcess, ShareBox, change_bins, reading_box
from skin_tone.confusion import confusion
from tools.figures.stamp import READERS, write_figures

Vector = NDArray[np.float64]
Classes = NDArray[np.int8]
Row = dict[str, Any]

_HERE = Path(__file__).resolve().parent
_PAGE = _HERE.parent / "docs" / "statistics.md"
_COMMAND = "python benchmarks/monitor.py"
LENGTH, STREAMS, BLOCK = 100_000, 2_000, 250
LEVELS = Levels()
CHANGES = (0, 1_000, 10_000)
"""Pictures on target before the stream leaves it."""
KNOWING = ("knows the shift", "knows all but which")
FASTEST = 30
"""Chi-square tests are repeated from this picture on: below, expected counts are too small."""


@dataclass(frozen=True)
class Target:
    """A declared target, and by whom its pictures are read."""

    name: str
    shares: tuple[float, ...]
    reader: bool = False


TARGETS = (
    Target("six even", (1 / 6,) * 6),
    Target("six skewed", BY_HAND[6]),
    Target("ten skewed", BY_HAND[10]),
    Target("six even, read with the reader's errors", (1 / 6,) * 6, reader=True),
)

READ, VALIDATIONS = (0.3, 0.2, 0.1), (1, 10)
"""Distances with the reader's errors, and sizes of its validation, in shipped ones."""


def rng(*key: int) -> np.random.Generator:
    """A generator of its own for every piece."""
    return np.random.default_rng([20261128, *key])


def draw(source: np.random.Generator, shares: Vector, streams: int, length: int) -> Classes:
    """Classes, shape (streams, length)."""
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, source.random((streams, length)), side="right").astype(np.int8)


@cache
def reader_errors() -> Vector:
    """The confusion that the simulated reader truly has: the posterior mean of the shipped validation."""
    counts = confusion("calibrated", "ita6").counts + 0.5
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def validated(source: np.random.Generator, target: Vector, times: int = 1) -> ShareBox:
    """What a new validation of that reader, so many times as large as the shipped one, allows."""
    faces = times * confusion("calibrated", "ita6").counts.sum(axis=1).astype(int)
    counts = np.array([source.multinomial(n, row) for n, row in zip(faces, reader_errors(), strict=True)])
    return reading_box(target, [counts.astype(float)], level=1 - LEVELS.reader)


@dataclass(eq=False)
class Watch:
    """Both tests over many streams: what `fairgen monitor` runs for one."""

    target: EProcess
    change: ChangeProcess
    lines: tuple[float, float]

    @classmethod
    def over(cls, box: ShareBox, streams: int) -> Watch:
        return cls(
            EProcess(box, streams=streams),
            ChangeProcess(change_bins(box.centre), len(box.low), streams=streams),
            (1 / LEVELS.target(exact=box.is_point), 1 / LEVELS.change),
        )


def first_alarms(
    watch: Watch, pictures: Classes, ties: np.random.Generator, *, until_both: bool = False
) -> dict[str, list[int]]:
    """Number of the picture at which each test first alarmed, 1 and up; 0 for never. A stream is followed
    until one of them does, or both.
    """
    streams, length = pictures.shape
    found = {"target": np.zeros(streams, int), "change": np.zeros(streams, int)}
    rows = np.arange(streams)
    for t in range(length):
        seen = pictures[rows, t].astype(np.int64)
        values = {
            "target": watch.target.update(seen) >= watch.lines[0],
            "change": watch.change.update(seen, ties.random(len(rows))) >= watch.lines[1],
        }
        if not any(over.any() for over in values.values()):
            continue
        for name, over in values.items():
            new = rows[over]
            found[name][new[found[name][new] == 0]] = t + 1
        alarmed = [found[name][rows] > 0 for name in values]
        over = alarmed[0] & alarmed[1] if until_both else alarmed[0] | alarmed[1]
        rows = rows[~over]
        watch.target.keep(~over)
        watch.change.keep(~over)
        if not len(rows):
            break
    return {name: values.tolist() for name, values in found.items()}


def repeated_chi_square(pictures: Classes, shares: Vector, every: int) -> list[int]:
    """The picture at which Pearson's test, done after every so many, first has p <= .05; 0: never."""
    line = float(chi2.isf(0.05, len(shares) - 1))
    return monitor_streams.chi_square(pictures, shares, FASTEST, every, line)


def on_target(number: int, block: int, streams: int, length: int) -> Row:
    """A block of streams on target: first alarms, whether the intervals covered, repeated chi-square."""
    target = TARGETS[number]
    shares, source = np.array(target.shares), rng(1, number, block)
    box = validated(source, shares) if target.reader else ShareBox.point(shares)
    read = shares @ reader_errors() if target.reader else shares
    pictures = draw(source, read, streams, length)
    row: Row = {"kind": "on target", "number": number, "streams": streams, "length": length}
    monitor_streams.check(box, pictures[:40, :1500])
    lines = Watch.over(box, 1).lines
    row |= monitor_streams.first_alarms(box, pictures, source, lines)
    if not target.reader:
        row["covered"] = monitor_streams.covered(pictures, shares)
        row |= {f"chi-square every {e}": repeated_chi_square(pictures, shares, e) for e in (1, 100)}
    return row


def cusum_line(block: int, streams: int, length: int) -> Row:
    """Peaks of the CUSUM over streams on the even target, from which its line is set."""
    shares = np.array(TARGETS[0].shares)
    peaks, _ = monitor_streams.cusums(draw(rng(2, block), shares, streams, length), shares)
    return {"kind": "cusum", "peaks": peaks}


def delays(way: str, tv: float, change: int, read: int, streams: int) -> Row:
    """Pictures from the first off-target one to the first alarm, streams that alarmed before left out.

    Args:
        read: 0: readings are exact; else the reader errs, and its validation has so many times the faces of
            the shipped one.
    """
    source = rng(3, list(WAYS).index(way), round(tv * 100), change, int(read))
    even, off = np.full(6, 1 / 6), moved(way, tv)
    box = validated(source, even, read) if read else ShareBox.point(even)
    if read:
        even, off = even @ reader_errors(), off @ reader_errors()
    after = 10_000 if read else round(80 / tv**2)
    pictures = np.concatenate(
        [draw(source, even, streams, change), draw(source, off, streams, after)], axis=1
    )
    found = first_alarms(Watch.over(box, streams), pictures, source, until_both=change > 0)
    row: Row = {"kind": "delay", "way": way, "tv": tv, "after": change, "reader": read, "streams": streams}
    row |= found
    if not read and change == 0:
        row["chi-square every 1"] = repeated_chi_square(pictures[:, :1500], even, 1)
    return row


def cusum_delays(way: str, tv: float, change: int, line: float, streams: int) -> Row:
    """The same of the CUSUM."""
    source = rng(3, list(WAYS).index(way), round(tv * 100), change, 0)
    even, off = np.full(6, 1 / 6), moved(way, tv)
    pictures = np.concatenate(
        [draw(source, even, streams, change), draw(source, off, streams, round(80 / tv**2))], axis=1
    )
    _, first = monitor_streams.cusums(pictures, even, line)
    return {"kind": "cusum delay", "way": way, "tv": tv, "after": change, "line": line, "first": first}


def possible(way: str, tv: float, streams: int) -> Row:
    """When tests alarm that know more than a monitor can, on the streams of `delays` off from the start.
    ``knows all but which``: the distance, and that three classes gain evenly what the others lose.
    """
    source, even = rng(3, list(WAYS).index(way), round(tv * 100), 0, 0), np.full(6, 1 / 6)
    pictures = draw(source, moved(way, tv), streams, round(80 / tv**2))[:, : round(40 / tv**2)]
    row: Row = {"kind": "possible", "way": way, "tv": tv, "streams": streams}
    row["knows the shift"] = knowing(pictures, even, moved(way, tv)[None])
    if way in HALVED:
        row["knows all but which"] = knowing(pictures, even, halves(tv))
    return row


Task = tuple[str, Callable[..., Row], tuple[Any, ...]]


def tasks(scale: float, streams: int) -> list[Task]:
    """(name of the piece, function, arguments); the short ones first."""
    length, blocks = round(LENGTH * scale), max(1, round(streams * scale / BLOCK))
    some = max(50, round(1_000 * scale))
    found: list[Task] = [
        (
            f"delay-{way}-{tv}-{change}",
            delays,
            (way, tv, change, 0, some if change < 10_000 else some // 2),
        )
        for change in CHANGES
        for tv in DISTANCES
        for way in WAYS
    ]
    found += [
        (f"read-{times}-{way}-{tv}-{change}", delays, (way, tv, change, times, some // 5))
        for times in VALIDATIONS
        for change in CHANGES[:2]
        for tv in READ
        for way in list(WAYS)[:1]
    ]
    found += [(f"possible-{way}-{tv}", possible, (way, tv, some)) for tv in DISTANCES for way in WAYS]
    found.append(("cusum", cusum_line, (0, 2 * BLOCK, length)))
    return found + [
        (f"on-target-{number}-{block}", on_target, (number, block, BLOCK, length))
        for block in range(blocks)
        for number in range(len(TARGETS))
    ]


def _median(row: Row, names: tuple[str, ...], change: int) -> float | None:
    """Median pictures after the change until any of the named tests alarmed; None: half of them never did."""
    firsts = np.array([row[name] for name in names])
    first = np.where(firsts > 0, firsts, np.inf).min(axis=0)
    after = first[first > change] - change
    middle = float(np.median(after))
    return middle if np.isfinite(middle) else None


def _share(rows: list[Row], names: tuple[str, ...]) -> str:
    ever = [any(pair) for r in rows for pair in zip(*(r[name] for name in names), strict=True)]
    return f"{100 * float(np.mean(ever)):.1f}"


def false_alarm_table(rows: list[Row]) -> str:
    """How many streams on target ever alarmed, and how many had intervals that held throughout."""
    cells = []
    for number, target in enumerate(TARGETS):
        here = [r for r in rows if r["kind"] == "on target" and r["number"] == number]
        if not here:
            continue
        held = [c for r in here for c in r.get("covered", [])]
        exact = not target.reader
        cells.append(
            [
                target.name,
                f"{sum(r['streams'] for r in here):,}",
                _share(here, ("target", "change")),
                _share(here, ("target",)),
                _share(here, ("change",)),
                f"{100 * float(np.mean(held)):.1f}" if held else "–",
                _share(here, ("chi-square every 1",)) if exact else "–",
                _share(here, ("chi-square every 100",)) if exact else "–",
            ]
        )
    titles = ("target", "streams", "any alarm %", "off target %", "changed %", "intervals hold %")
    return page_tables.table((*titles, "chi-square after each picture %", "every 100 pictures %"), cells)


def delay_tables(rows: list[Row]) -> tuple[str, str]:
    """Median pictures to the alarm with exact readings, and with the reader's errors."""

    def text(value: float | None) -> str:
        return "not found" if value is None else f"{value:.0f}"

    any_test = ("target", "change")
    by = {(r["way"], r["tv"], r["after"], r["reader"]): r for r in rows if r["kind"] == "delay"}
    cusum = {(r["way"], r["tv"], r["after"]): r for r in rows if r["kind"] == "cusum delay"}
    best = {(r["way"], r["tv"]): r for r in rows if r["kind"] == "possible"}
    cells, read = [], []
    for tv in DISTANCES:
        for way in WAYS:
            start = by[way, tv, 0, 0]
            ours = [text(_median(by[way, tv, change, 0], any_test, change)) for change in CHANGES]
            known = [
                text(_median(best[way, tv], (name,), 0)) if name in best[way, tv] else "–" for name in KNOWING
            ]
            line = [f"{tv:.2f}", way, ours[0], *known, *ours[1:]]
            line += [text(_median(by[way, tv, 1_000, 0], ("change",), 1_000))]
            line += [text(_median(cusum[way, tv, change], ("first",), change)) for change in CHANGES[:2]]
            line += [text(_median(start, ("chi-square every 1",), 0)), str(fixed_sample(way, tv))]
            cells.append(line)
    for times in VALIDATIONS:
        for tv in READ:
            way = next(iter(WAYS))
            found = [by[way, tv, change, times] for change in CHANGES[:2]]
            faces = times * int(confusion("calibrated", "ita6").counts.sum())
            read.append(
                [f"{tv:.2f}", way, f"{faces:,}"]
                + [text(_median(r, any_test, r["after"])) for r in found]
                + [text(_median(found[1], ("change",), 1_000))]
            )
    titles = ("TV", "what moved", *(f"after {c:,} on target" if c else "from the start" for c in CHANGES))
    others = ("“changed” alone, after 1,000", "CUSUM, start", "CUSUM, after 1,000")
    ideal = ("knows the shift", "knows all but which classes")
    exact = page_tables.table(
        (*titles[:3], *ideal, *titles[3:], *others, "chi-square each picture", "one planned test"), cells
    )
    return exact, page_tables.table((*titles[:2], "validated on faces", *titles[2:4], others[0]), read)


def main(quick: bool = False, workers: int = 2, streams: int = STREAMS) -> None:
    """Simulate what is missing, print the tables, and write them unless ``--quick``."""
    todo = tasks(0.1 if quick else 1.0, streams)
    folder = _HERE.parent / "runs" / ("monitor-benchmark-quick" if quick else "monitor-benchmark")
    done: dict[str, Row] = {}
    with Progress(console=Console(stderr=True)) as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task("pieces", total=len(todo))

        def run(some: list[Task]) -> None:
            waiting = {}
            for name, work, given in some:
                file = folder / f"{name}.json"
                if file.exists():
                    done[name] = json.loads(file.read_text(encoding="utf-8"))
                    progress.advance(bar)
                else:
                    waiting[name] = pool.submit(work, *given)
            for name, future in waiting.items():
                done[name] = future.result()
                write_text(folder / f"{name}.json", json.dumps(done[name]))
                progress.advance(bar)

        run(todo)
        peaks = [p for row in done.values() if row["kind"] == "cusum" for p in row["peaks"]]
        line = float(np.quantile(peaks, 0.95))
        some = max(50, round((100 if quick else 1_000) / 2))
        last: list[Task] = [
            (f"cusum-delay-{way}-{tv}-{change}", cusum_delays, (way, tv, change, line, some))
            for change in CHANGES[:2]
            for tv in DISTANCES
            for way in WAYS
        ]
        progress.update(bar, total=len(todo) + len(last))
        run(last)
    rows = list(done.values())
    exact, read = delay_tables(rows)
    found = {"monitor-false": false_alarm_table(rows), "monitor-delays": exact, "monitor-read": read}
    for name, text in found.items():
        print(f"\n{name}\n\n{text}")
        if not quick:
            page_tables.put(name, text, _PAGE)
    if not quick:
        document = {
            "command": _COMMAND if streams == STREAMS else f"{_COMMAND} --streams {streams}",
            "cusum_line": line,
            "rows": [_counted(row) for row in rows],
        }
        write_figures(_HERE / "monitor.json", document, [READERS], flat=True)


def _counted(row: Row) -> Row:
    """A piece for the shipped file: lists of first alarms as quartiles and how many never came."""
    result: Row = {}
    if "target" in row and "change" in row:
        result["any alarm"] = sum(map(any, zip(row["target"], row["change"], strict=True)))
    for name, value in row.items():
        if not isinstance(value, list):
            result[name] = value
        elif name == "covered":
            result["not covered"] = value.count(False)
        elif name == "peaks":
            result["peaks 95 %"] = float(np.quantile(value, 0.95))
        else:
            after = [v - row.get("after", 0) for v in value if v > row.get("after", 0)]
            result[name] = {
                "alarms": len(after),
                "before the change": sum(0 < v <= row.get("after", 0) for v in value),
                "quartiles": [float(q) for q in np.quantile(after, (0.25, 0.5, 0.75))] if after else None,
            }
    return result


if __name__ == "__main__":
    typer.run(main)
