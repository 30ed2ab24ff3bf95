"""Several readers side by side, so that reading a batch takes a fraction of the time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from PIL import Image

    from skin_tone import SkinToneReader, ToneReading

__all__ = ["ReaderPool", "ToneReader"]

_MOST = 4


class ToneReader(Protocol):
    """What a session needs of a reader; `skin_tone.SkinToneReader` is one. One that can also `start` a batch
    (`skin_tone.pool.ReaderPool`) is given whole batches, and reads them as it sees fit.
    """

    def read(self, image: Image.Image) -> Sequence[ToneReading]: ...


class ReaderPool:
    """`skin_tone.SkinToneReader`, several times over; a picture's readings are the same whichever reads it.

    MediaPipe and NumPy leave the interpreter's lock while they work, so threads do. Used in a ``with`` block.

    Args:
        size: readers, 1 or more; default: one a core, 4 at most.
        background: read while the caller goes on. It pays beside an accelerator; where the model itself
            needs every core, they only get in each other's way.
    """

    def __init__(self, size: int | None = None, *, background: bool = False) -> None:
        from skin_tone import SkinToneReader

        self.background = background
        self.size = size or min(_MOST, os.cpu_count() or 1)
        self._free: SimpleQueue[SkinToneReader] = SimpleQueue()
        self._stack = ExitStack()
        for _ in range(self.size):
            self._free.put(self._stack.enter_context(SkinToneReader()))
        self._threads = self._stack.enter_context(ThreadPoolExecutor(self.size, "reader"))

    def read(self, image: Image.Image) -> Sequence[ToneReading]:
        """As `skin_tone.SkinToneReader.read`."""
        reader = self._free.get()
        try:
            return reader.read(image)
        finally:
            self._free.put(reader)

    def start(self, images: Sequence[Image.Image]) -> Callable[[], list[Sequence[ToneReading]]]:
        """Begin to read pictures; the call that is returned waits for their readings, in that order.

        Without ``background`` nothing begins before that call.
        """
        if not self.background:
            return lambda: self._read(images)()
        return self._read(images)

    def _read(self, images: Sequence[Image.Image]) -> Callable[[], list[Sequence[ToneReading]]]:
        tasks = [self._threads.submit(self.read, image) for image in images]
        return lambda: [task.result() for task in tasks]

    def close(self) -> None:
        """Free the readers."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
