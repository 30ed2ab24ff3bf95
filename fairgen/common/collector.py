"""The garbage collector, switched off while much is built that stays."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Build much that stays without the garbage collector, which walks through it again and again: the more
    there is, the longer each walk.

    Does nothing where the collector is off already. It is switched for the whole process.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def uncollected_imports() -> Iterator[None]:
    """Import big libraries as `uncollected`, which saves a quarter of the time; what is there at the end is
    never walked again.
    """
    begun = gc.isenabled()
    with uncollected():
        try:
            yield
        finally:
            if begun:
                gc.freeze()
