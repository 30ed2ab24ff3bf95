"""Bytes of the archive that carry no file: other tools pass over them, and a check names each."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evidence.conftest import checked

Bytes = Callable[[bytes], bytes]


def _end(data: bytes) -> int:
    return data.rindex(b"PK\x05\x06")


def _directory(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, _end(data) + 16)[0])


def archive_comment(data: bytes) -> bytes:
    return data[:-2] + struct.pack("<H", 5) + b"hello"


def trailing(data: bytes) -> bytes:
    return data + b"\0\0\0"


def prefixed(data: bytes) -> bytes:
    return b"#!/bin/sh\n" + data


def between(data: bytes) -> bytes:
    """Bytes between the last file and the directory, with an offset that fits."""
    at, end = _directory(data), _end(data)
    moved = data[:at] + b"hidden" + data[at:end]
    return moved + data[end : end + 16] + struct.pack("<I", at + 6) + data[end + 20 :]


def file_comment(data: bytes) -> bytes:
    return _in_entry(data, 32, b"hi")


def extra_in_directory(data: bytes) -> bytes:
    return _in_entry(data, 30, b"UT\x01\x00x")


def _in_entry(data: bytes, length_at: int, more: bytes) -> bytes:
    """Something behind the name of the directory's first entry, with lengths that fit."""
    at, end = _directory(data), _end(data)
    name = struct.unpack_from("<H", data, at + 28)[0]
    entry = bytearray(data[at : at + 46 + name])
    struct.pack_into("<H", entry, length_at, len(more))
    directory = bytes(entry) + more + data[at + 46 + name : end]
    closing = bytearray(data[end:])
    struct.pack_into("<I", closing, 12, len(directory))
    return data[:at] + directory + bytes(closing)


def extra_in_header(data: bytes) -> bytes:
    """An extra field in the last file's own header, the directory's offset moved along."""
    at = data.rindex(b"PK\x03\x04", 0, _directory(data))
    name = struct.unpack_from("<H", data, at + 26)[0]
    head = bytearray(data[at : at + 30 + name])
    struct.pack_into("<H", head, 28, 4)
    moved = data[:at] + bytes(head) + b"UT\x00\x00" + data[at + 30 + name :]
    end = _end(moved)
    closing = bytearray(moved[end:])
    struct.pack_into("<I", closing, 16, _directory(data) + 4)
    return moved[:end] + bytes(closing)


def other_name_in_header(data: bytes) -> bytes:
    return data.replace(b"index.html", b"Index.html", 1)


def time_in_header(data: bytes) -> bytes:
    return data[:10] + b"\x21\x08" + data[12:]


def time_in_directory(data: bytes) -> bytes:
    at = _directory(data) + 12
    return data[:at] + b"\x21\x08" + data[at + 2 :]


def directory_in_another_order(data: bytes) -> bytes:
    at, end = _directory(data), _end(data)
    entries, place = [], at
    while place < end:
        length = 46 + struct.unpack_from("<H", data, place + 28)[0]
        entries.append(data[place : place + length])
        place += length
    entries[0], entries[1] = entries[1], entries[0]
    return data[:at] + b"".join(entries) + data[end:]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (archive_comment, "has a comment"),
        (trailing, "bytes after its end"),
        (prefixed, "bytes stand before the archive"),
        (between, "belong to no file"),
        (file_comment, "comment on index.html"),
        (extra_in_directory, "extra fields for index.html"),
        (extra_in_header, "has extra fields"),
        (other_name_in_header, "its own header calls it Index.html"),
        (time_in_header, "The header of index.html was changed"),
        (time_in_directory, "The entry of index.html in the archive's directory was changed"),
        (directory_in_another_order, "lists its files in another order"),
    ],
)
def test_bytes_that_carry_no_file(change: Bytes, said: str, pack: Path, tmp_path: Path) -> None:
    data = change(pack.read_bytes())
    forged = tmp_path / "forged.zip"
    forged.write_bytes(data)
    with zipfile.ZipFile(forged) as archive:
        assert len(archive.namelist()) > 20  # other tools open it without a word
    (fault,) = checked(forged).faults
    assert said in fault
