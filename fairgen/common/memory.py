"""How the C library keeps memory that is no longer used."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_KEPT = 2**30
"""Bytes at the end of the heap."""


def keep_freed_memory() -> bool:
    """Let the C library keep up to 1 GiB of freed memory for what is asked for next, in place of giving large
    blocks back to the system at once.

    Sampling on the CPU asks for the same large blocks at every step, and each time the system clears fresh
    pages for them first. It holds for the whole process: a program's own choice, and not a library's.

    Returns:
        Whether it could be asked for: glibc's mallopt(3) takes it, other C libraries do not.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all((mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, _KEPT)))
