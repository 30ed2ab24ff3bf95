"""The pictures of a report in the size in which its pages show them, kept in one file on the disk."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Executor
from pathlib import Path
from threading import Lock

from PIL import Image

from fairgen.report.images import MISSING, inside, uri_of
from fairgen.report.thumbnails import Size, webp
from fairgen.runs import PictureRecord, Saw, SessionRun

__all__ = ["Gallery", "Shrink"]

Shrink = Callable[[Path, Image.Image], tuple[str, bytes]]
"""A file and what it shows -> media type and bytes for the page."""


class Gallery:
    """Holds every picture once it was opened for the check against its record: none is decoded again.

    Memory holds a place and a length for each. Threads may add to it. Used in a ``with`` block.

    Args:
        path: the file to keep them in; the caller deletes it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._path = path
        self._end = 0
        self._places: dict[str, tuple[int, int, str]] = {}
        self._lock = Lock()

    def add(self, names: Iterable[str], kind: str, data: bytes) -> None:
        """Keep a picture under one or several names."""
        with self._lock:
            os.pwrite(self._file.fileno(), data, self._end)
            self._places.update(dict.fromkeys(names, (self._end, len(data), kind)))
            self._end += len(data)

    def watch(self, root: Path, shrink: Shrink, places: int | None = None) -> Saw:
        """What `fairgen.runs.ShownPictures` is given so that every picture that it opens is kept.

        Args:
            root: the run folder; pictures outside it are not kept.
            places: only pictures of the first so many places of a set; None: all, also those left out.
        """

        def of(session: SessionRun) -> Callable[[PictureRecord, Path, Image.Image], None]:
            wanted = None if places is None else {p.index for p in session.final_set()[:places]}
            moved = {fill.index: fill.file for fill in session.fills}

            def keep(picture: PictureRecord, path: Path, image: Image.Image) -> None:
                names = {name for name in (picture.file, moved.get(picture.index)) if name is not None}
                is_shown = wanted is None or picture.index in wanted
                if is_shown and not names <= self._places.keys() and inside(path, root):
                    self.add(names, *shrink(path, image))

            return keep

        return of

    def uri(self, name: str | None) -> str:
        """``data:`` URI of a picture; of one that is not here, a grey square that says "not saved"."""
        if name not in self._places:
            return MISSING
        return uri_of(self._places[name][2], self._bytes(name))

    def length(self, name: str | None) -> int:
        """How many characters its URI has."""
        if name not in self._places:
            return len(MISSING)
        _, length, kind = self._places[name]
        return len(f"data:{kind};base64,") + 4 * -(-length // 3)

    def smaller(self, names: Collection[str | None], size: Size, threads: Executor) -> Gallery:
        """Those of the pictures in a smaller size, in a file beside this one."""
        made = Gallery(self._path.with_name(f"{self._path.name}-{size.side}"))

        def shrink(name: str) -> None:
            with Image.open(io.BytesIO(self._bytes(name))) as image:
                made.add([name], "image/webp", webp(image, size))

        for _ in threads.map(shrink, {name for name in names if name in self._places and name is not None}):
            pass
        return made

    def _bytes(self, name: str) -> bytes:
        at, length, _ = self._places[name]
        return os.pread(self._file.fileno(), length, at)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
