"""Which pictures of a run may be shown: those that still show what was recorded of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fairgen.common.text import counted
from fairgen.runs.reader import SessionRun
from fairgen.runs.records import PictureRecord
from fairgen.runs.resume import damaged

if TYPE_CHECKING:
    from PIL import Image

Saw = Callable[[SessionRun], "Callable[[PictureRecord, Path, Image.Image], None]"]
"""A session -> what is given each of its whole pictures: record, file, and the decoded picture."""

_NAMED = 3


class ShownPictures:
    """Leaves out pictures that are gone or are not what was recorded, and remembers them.

    Each session is looked at once, however often it is asked for.

    Args:
        folder: the run folder.
        saw: is given every other picture as it is decoded, from ``threads`` where there are some.
    """

    def __init__(self, folder: Path, saw: Saw | None = None, threads: Executor | None = None) -> None:
        self.folder = folder
        self._saw = saw
        self._threads = threads
        self._lost: dict[str, frozenset[int]] = {}
        self._gone: list[str] = []
        self._other: list[str] = []

    def of(self, session: SessionRun) -> SessionRun:
        """The session as it was recorded, without the files of such pictures."""
        name = session.record.session
        if name not in self._lost:
            self._lost[name] = self._look(session)
        lost = self._lost[name]
        if not lost:
            return session
        pictures = [p.model_copy(update={"file": None}) if p.index in lost else p for p in session.pictures]
        fills = [f.model_copy(update={"file": None}) if f.index in lost else f for f in session.fills]
        return replace(session, pictures=pictures, fills=fills)

    def _look(self, session: SessionRun) -> frozenset[int]:
        saw = None if self._saw is None else self._saw(session)
        lost = damaged(session, self.folder, saw, self._threads)
        for _, file in lost:
            (self._other if (self.folder / file).is_file() else self._gone).append(file)
        return frozenset(picture.index for picture, _ in lost)

    @property
    def problems(self) -> list[str]:
        """What was left out so far, in sentences."""
        found = ((self._gone, "gone"), (self._other, "not what was recorded"))
        return [_sentence(files, what) for files, what in found if files]


def _sentence(files: list[str], what: str) -> str:
    more = len(files) - _NAMED
    named = ", ".join(files[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    verb, it_was = ("is", "it was") if len(files) == 1 else ("are", "they were")
    return (
        f"{counted(len(files), 'picture')} {verb} {what} ({named}): counted as {it_was} read, and not shown."
    )
