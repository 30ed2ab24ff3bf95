"""Which reader this is: the identity that figures, results and evidence name."""

from __future__ import annotations

import hashlib
from importlib.resources import files

__all__ = ["METHOD", "identity"]

_NOT_FITTED = ("confusion.json", "selftest.json")

METHOD = 4
"""Rises whenever a change of code changes what either reader reads. A test compares the readings of the
self-test's faces with those on record, and fails where they moved and this number did not."""


def identity() -> str:
    """Everything that a reading depends on, other than the picture.

    Returns:
        'sha256:<hex>' over `METHOD` and all fitted data (``*.json`` and ``*.safetensors`` in this package) of
        both readers. Equal identities read alike, but for rounding between processors.
    """
    held = hashlib.sha256(f"skin_tone method {METHOD}\0".encode())
    for part in sorted(files("skin_tone").iterdir(), key=lambda one: one.name):
        fitted = part.name.endswith((".json", ".safetensors")) and part.name not in _NOT_FITTED
        if part.is_file() and fitted:
            content = part.read_bytes()
            held.update(f"{part.name}\0{len(content)}\0".encode() + content)
    return f"sha256:{held.hexdigest()}"
