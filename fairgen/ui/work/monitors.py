"""The monitors that whoever started the server lets its visitors see."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairgen.monitor.onlooker import Onlooker
    from fairgen.monitor.store import SeenPicture, Trouble

ADDRESS = "watched"
"""Of what they show, and the first part of that of each picture."""
MOST = 30
"""Contexts of one monitor that are shown."""
_SECONDS = 1.0
"""Between two looks at the states, however many visitors ask."""
_SIDE = 192
"""Longest side of a thumbnail in pixels: twice what it is shown as."""
_FIRST = "It is being read for the first time."
_TROUBLES: dict[Trouble, str] = {
    "missing": "Nothing has been written here yet. It appears as soon as its monitor has been started.",
    "foreign": "Its file is not the state of a monitor. Whoever started this server can name another one.",
    "version": "Its state is of another version of fairgen than this server. Start both with the same one.",
    "locked": "Its state is kept by another program at the moment. This page looks again by itself.",
    "closed": "This server may not open its state. Whoever started it can change that.",
}


@dataclass(frozen=True)
class Look:
    """One monitor as it is shown.

    Attributes:
        name: among the others.
        body: HTML of its figures; empty: there are none.
        trouble: why they could not be read, or not be read again.
    """

    name: str
    body: str = ""
    trouble: str = ""


class Monitors:
    """States of monitors that other processes write, looked at for the visitors of one server. Thread-safe.

    Visitors see names, never paths. Whatever they ask, the states are looked at once a second at most, and
    read only where something was written; who asks meanwhile gets what was seen before, and waits for nobody.

    Args:
        states: files that ``fairgen monitor`` has as ``--state``; they need not be there yet.
        clock: seconds, for tests.
    """

    def __init__(self, states: Sequence[Path] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._states = tuple(Path(state).absolute() for state in states)
        self.names = _names(self._states)
        self._clock = clock
        self._secret = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._onlookers: list[Onlooker] = []
        self._looks: list[Look] = [Look(name, trouble=_FIRST) for name in self.names]
        self._shown: list[dict[str, Path]] = [{} for _ in self.names]
        self._next = 0.0

    def look(self) -> list[Look]:
        """All as they stand."""
        from fairgen.monitor.onlooker import Onlooker

        if self._lock.acquire(blocking=False):
            try:
                began = self._clock()
                if began >= self._next:
                    self._onlookers = self._onlookers or [Onlooker(state) for state in self._states]
                    for place in range(len(self.names)):
                        self._look(place)
                    # Looking never takes more than half of the time.
                    self._next = self._clock() + max(_SECONDS, self._clock() - began)
            finally:
                self._lock.release()
        return list(self._looks)

    def _look(self, place: int) -> None:
        from fairgen.monitor.page import parts_text
        from fairgen.monitor.store import StateError

        onlooker, name, before = self._onlookers[place], self.names[place], self._looks[place]
        try:
            if not onlooker.look() and before.body and not before.trouble:
                return
        except StateError as error:
            kept = before.body if error.trouble == "locked" else ""
            if not kept:
                self._shown[place] = {}
            self._looks[place] = Look(name, kept, _TROUBLES[error.trouble])
            return
        shown: dict[str, Path] = {}

        def address(picture: SeenPicture) -> str | None:
            file = Path(picture.path) if picture.path else None
            if file is None or not file.is_absolute() or not file.is_file():
                return None
            mark = self._mark(f"{place}\0{picture.id}\0{picture.path}")
            shown[mark] = file
            return f"{ADDRESS}/{mark}"

        last = None
        if onlooker.last is not None:
            last = f"{datetime.fromtimestamp(onlooker.last, UTC):%Y-%m-%d %H:%M:%S} UTC"
        body = parts_text(onlooker, address, name=name, most=MOST, last=last)
        self._looks[place], self._shown[place] = Look(name, body), shown

    def _mark(self, picture: str) -> str:
        """Stands for a picture in its address; tells nothing of it."""
        found = hmac.new(self._secret, picture.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return found.hexdigest()[:32]

    def picture(self, mark: str) -> Path | None:
        """The file behind the address of a picture that is shown at present, or None."""
        return next((shown[mark] for shown in list(self._shown) if mark in shown), None)


def thumbnail(file: Path) -> bytes | None:
    """A WebP of a picture; None where the file is gone or is no picture."""
    try:
        said = file.stat()
        return _small(file, said.st_mtime_ns, said.st_size) if file.is_file() else None
    except OSError:
        return None


@lru_cache(maxsize=512)
def _small(file: Path, changed: int, size: int) -> bytes | None:
    del changed, size  # of the file: another picture under its name is made anew
    from PIL import Image

    from fairgen.report.thumbnails import Size, webp

    small = Size(_SIDE, 76)
    try:
        with Image.open(file) as image:
            image.draft("RGB", (2 * _SIDE, 2 * _SIDE))  # spares decoding a JPEG in full
            return webp(image, small)
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


def _names(states: Sequence[Path]) -> tuple[str, ...]:
    """A name for each: that of its file, with a number where several have it."""
    stems = [state.stem for state in states]
    many = Counter(stems)
    seen: Counter[str] = Counter()
    names = []
    for stem in stems:
        seen[stem] += 1
        names.append(f"{stem} {seen[stem]}" if many[stem] > 1 else stem)
    return tuple(names)
