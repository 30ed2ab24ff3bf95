"""Makes the start of a command shorter."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected_imports() -> Iterator[None]:
    """Import big libraries without the garbage collector, which takes a quarter of the time to walk again and
    again through what stays for good; what is there at the end is never walked again.

    Does nothing where the collector is off already. It is switched for the whole process.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
