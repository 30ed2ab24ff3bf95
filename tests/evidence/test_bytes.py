"""A byte changed anywhere in a pack is found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fairgen.errors import UserError
from tests.evidence.conftest import checked


def _found(data: bytes, at: int, value: int, forged: Path, roots: Path) -> bool:
    forged.write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
    try:
        return bool(checked(forged, roots).faults)
    except UserError:
        return True


def _unfound(pack: Path, roots: Path, forged: Path, number: int, seed: int) -> list[tuple[int, int]]:
    data, rng = pack.read_bytes(), random.Random(seed)
    changes = []
    for _ in range(number):
        at = rng.randrange(len(data))
        changes.append((at, (data[at] + rng.randrange(1, 256)) % 256))
    return [(at, value) for at, value in changes if not _found(data, at, value, forged, roots)]


def test_twenty_changed_bytes_are_found(pack: Path, roots: Path, tmp_path: Path) -> None:
    assert _unfound(pack, roots, tmp_path / "forged.zip", 20, seed=1) == []


def test_bytes_of_headers_signature_and_end_are_found(pack: Path, roots: Path, tmp_path: Path) -> None:
    """Where a random byte seldom falls: the last headers, the signature, the directory, the end."""
    data = pack.read_bytes()
    start = data.rindex(b"PK\x03\x04")
    places = [*range(start, start + 110, 16), len(data) - 22, len(data) - 12, len(data) - 3, len(data) - 1]
    for at in places:
        assert _found(data, at, data[at] ^ 1, tmp_path / "forged.zip", roots), at


@pytest.mark.exhaustive
def test_a_thousand_changed_bytes_are_found(pack: Path, roots: Path, tmp_path: Path) -> None:
    assert _unfound(pack, roots, tmp_path / "forged.zip", 1_000, seed=2) == []
    assert checked(pack, roots).faults == []  # nothing else was found all the time
