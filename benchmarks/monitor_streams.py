"""The inner loops of benchmarks/monitor.py in C, for 10**10 steps are too many for Python; `check` holds them
against `fairgen.stats.sequential`.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from fairgen.stats.sequential import ChangeProcess, EProcess, ShareBox, change_bins
from fairgen.stats.sequential.alternatives import alternatives

Vector = NDArray[np.float64]
Stream = NDArray[np.int8]

_SOURCE = Path(__file__).with_suffix(".c")


@cache
def _library() -> ctypes.CDLL:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("This benchmark needs a C compiler: install gcc.")
    made = Path(tempfile.mkdtemp(prefix="fairgen-")) / "streams.so"
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(_SOURCE), "-o", str(made), "-lm"], check=True)
    library = ctypes.CDLL(str(made))
    for name in ("first_alarm", "cusum", "chi_square"):
        getattr(library, name).restype = ctypes.c_long
    return library


def _pointer(values: NDArray[Any]) -> ctypes.c_void_p:
    assert values.flags.c_contiguous
    return ctypes.c_void_p(values.ctypes.data)


def _before(stream: Stream, k: int) -> Vector:
    """How many pictures of the same class came before each picture."""
    result = np.empty(len(stream))
    for number in range(k):
        here = np.flatnonzero(stream == number)
        result[here] = np.arange(len(here))
    return result


def _learnt(test: EProcess, stream: Stream) -> Vector:
    """The factor that the learning bet of `EProcess` wins with each picture of a stream."""
    k = len(test._prior)
    total = test._prior.sum() + np.arange(len(stream))
    guess = (test._prior[stream] + _before(stream, k)) / total
    if test.box.is_point:
        return np.asarray(guess / test.box.low[stream])
    counts = np.cumsum(stream[:, None] == np.arange(k), axis=0)
    counts[1:] = counts[:-1].copy()
    counts[0] = 0
    null = test.box.project((test._prior + counts) / total[:, None])
    return np.asarray(guess / null[np.arange(len(stream)), stream])


def _alarm(test: EProcess, line: float) -> Callable[[Stream], int]:
    """Finds the first alarm of a stream."""
    plan = test.plan

    def find(stream: Stream) -> int:
        t = np.arange(len(stream))
        unspent = (1 - plan.from_start) * (1 + t / plan.patience) ** -plan.tail
        begins = np.concatenate([[plan.from_start], unspent[:-1] - unspent[1:]])
        learnt = np.ascontiguousarray(_learnt(test, stream)) if plan.learning else None
        found: int = _library().first_alarm(
            _pointer(stream),
            ctypes.c_long(len(stream)),
            ctypes.c_int(len(test._weights)),
            _pointer(test._ratios),
            _pointer(test._weights),
            _pointer(begins),
            _pointer(unspent),
            ctypes.c_double(plan.learning),
            None if learnt is None else _pointer(learnt),
            ctypes.c_double(line),
        )
        return found

    return find


def _bins(stream: Stream, ties: Vector, bins: Vector, k: int) -> Stream:
    """The bins of the ranks of `ChangeProcess`."""
    upto = np.empty(len(stream))
    for number in range(k):
        here = stream == number
        upto[here] = np.cumsum(stream <= number)[here]
    own = _before(stream, k) + 1
    ranks = (upto - own + ties * own) / np.arange(1, len(stream) + 1)
    return np.searchsorted(np.cumsum(bins)[:-1], ranks, side="right").astype(np.int8)


def first_alarms(
    box: ShareBox, pictures: Stream, ties: np.random.Generator, lines: tuple[float, float]
) -> dict[str, list[int]]:
    """Number of the picture at which each test first alarmed, 1 and up; 0 for never.

    Args:
        box: what is on target.
        pictures: classes, shape (streams, length).
        ties: of the ranks.
        lines: of "off target" and of "changed".
    """
    bins, k = change_bins(box.centre), len(box.low)
    off = _alarm(EProcess(box), lines[0])
    changed = _alarm(ChangeProcess(bins, k)._test, lines[1])
    rows = [np.ascontiguousarray(row) for row in pictures]
    return {
        "target": [off(row) for row in rows],
        "change": [changed(_bins(row, ties.random(len(row)), bins, k)) for row in rows],
    }


def covered(pictures: Stream, shares: Vector, level: float = 0.95) -> list[bool]:
    """Whether the intervals of `fairgen.stats.sequential.share_sequence` hold for all classes at all moments:
    `log_excess` stays below its line.
    """
    length = pictures.shape[1]
    table = gammaln(np.arange(length + 1) + 0.5)
    whole = gammaln(np.arange(length + 1) + 1.0) + np.log(np.pi)
    logs = np.log(shares), np.log1p(-shares)
    return [
        bool(
            _library().covered(
                _pointer(np.ascontiguousarray(row)),
                ctypes.c_long(length),
                ctypes.c_int(len(shares)),
                *map(_pointer, (*logs, table, whole)),
                ctypes.c_double(np.log(len(shares) / (1 - level))),
            )
        )
        for row in pictures
    ]


def chi_square(pictures: Stream, shares: Vector, first: int, every: int, line: float) -> list[int]:
    """The picture at which Pearson's statistic first reached ``line``, looked at after every so many pictures
    from ``first`` on; 0: never.
    """
    return [
        _library().chi_square(
            _pointer(np.ascontiguousarray(row)),
            ctypes.c_long(len(row)),
            ctypes.c_int(len(shares)),
            _pointer(shares),
            ctypes.c_long(first),
            ctypes.c_long(every),
            ctypes.c_double(line),
        )
        for row in pictures
    ]


def cusums(pictures: Stream, shares: Vector, line: float = 1e300) -> tuple[list[float], list[int]]:
    """Page's CUSUM, the largest over the alternatives: its peak, and when it first reached ``line``, or 0."""
    ways, weights = alternatives(shares)
    gains = np.ascontiguousarray(np.log(np.maximum(ways, 1e-300) / shares).T)
    start = np.log(weights / weights.max())
    peaks, firsts = [], []
    for row in pictures:
        peak = ctypes.c_double()
        firsts.append(
            _library().cusum(
                _pointer(np.ascontiguousarray(row)),
                ctypes.c_long(len(row)),
                ctypes.c_int(len(weights)),
                _pointer(gains),
                _pointer(start),
                ctypes.c_double(line),
                ctypes.byref(peak),
            )
        )
        peaks.append(peak.value)
    return peaks, firsts


def check(box: ShareBox, pictures: Stream) -> None:
    """Hold the C code against the Python code: lines that are soon crossed are crossed at the same pictures.

    Raises:
        AssertionError: they differ.
    """
    lines = (1.02, 1.02)
    streams, length = pictures.shape
    found = first_alarms(box, pictures, np.random.default_rng(0), lines)
    off = EProcess(box, streams=streams)
    changed = ChangeProcess(change_bins(box.centre), len(box.low), streams=streams)
    ties = np.random.default_rng(0)
    each = np.stack([ties.random(length) for _ in range(streams)])
    first = {"target": np.zeros(streams, int), "change": np.zeros(streams, int)}
    for t in range(length):
        seen = pictures[:, t].astype(np.int64)
        for name, over in (
            ("target", off.update(seen) >= lines[0]),
            ("change", changed.update(seen, each[:, t]) >= lines[1]),
        ):
            first[name][over & (first[name] == 0)] = t + 1
    assert {name: values.tolist() for name, values in first.items()} == found
    assert all(any(values) for values in found.values())
