"""Damages a run folder at random, as disks, editors and careless scripts do."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

from fairgen.runs import RUN_FILE

OF_LINES = ("flip", "drop", "double", "swap", "cut", "late header")
OF_PICTURES = ("flip picture", "replace", "lose", "exchange")


def mutate(run: Path, rng: random.Random) -> str:
    """Do one random damage to a run; what comes back says which."""
    kind = rng.choice(OF_LINES + OF_PICTURES)
    path = run / RUN_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    at = rng.randrange(len(lines))
    pictures = sorted(run.rglob("*.png"))
    picture, other = rng.sample(pictures, 2)
    if kind == "flip":
        data = bytearray(b"".join(lines))
        place = rng.randrange(len(data))
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        return f"flip byte {place}"
    if kind in OF_PICTURES:
        _spoil(kind, picture, other, rng)
        return f"{kind} {picture.relative_to(run)} ({other.relative_to(run)})"
    if kind == "drop":
        del lines[at]
    elif kind == "double":
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif kind == "swap":
        to = rng.randrange(len(lines))
        lines[at], lines[to] = lines[to], lines[at]
    elif kind == "cut":
        at = rng.randrange(len(b"".join(lines)))
        lines = [b"".join(lines)[:at]]
    else:
        lines.insert(at, lines[0])
    path.write_bytes(b"".join(lines))
    return f"{kind} {at}"


def _spoil(kind: str, picture: Path, other: Path, rng: random.Random) -> None:
    if kind == "lose":
        picture.unlink()
    elif kind == "exchange":
        one, two = picture.read_bytes(), other.read_bytes()
        picture.write_bytes(two)
        other.write_bytes(one)
    elif kind == "replace":
        Image.new("RGB", (8, 8), tuple(rng.randrange(256) for _ in range(3))).save(picture)
    else:
        data = bytearray(picture.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        picture.write_bytes(data)
