"""The file of a pack: a zip archive whose every byte follows from the files in it, and a strict reader.

The archive follows PKWARE's APPNOTE 6.3, with the parts of it that carry no file left empty: no comment, no
extra field, no time, no folder, nothing before, between or after the files. Common zip libraries pass over
such places, so bytes could be changed there unseen. This reader holds all of them against what the writer
would have written.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from fairgen.errors import UserError

__all__ = ["Archive", "ArchiveFault", "ArchiveWriter", "Member", "read_archive", "unsafe_name"]

STORED: Final = 0
DEFLATED: Final = 8
MOST_FILES = 65_534
MOST_BYTES = (1 << 32) - (1 << 20)
"""Of the archive: four gigabytes, without the extensions that larger ones need."""
MOST_RATIO = 100
"""A file may unpack to so many times its packed size. Run files come to about 10, deflate ends at 1,032."""
MOST_RATIO_IN_ALL = 25
_FREE = 1 << 20
"""What any file may unpack to, whatever its packed size."""
_FREE_IN_ALL = 1 << 28

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_SIGN, _CENTRAL_SIGN, _END_SIGN = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_MADE_BY, _NEEDED, _UTF8 = 0x0314, 20, 0x0800
_TIME, _DATE = 0, 0x21
"""Midnight of 1 January 1980: the archive says nothing of when files were written."""
_ATTRIBUTES = 0o100644 << 16
_CHUNK = 1 << 20
_NAME_BYTES = 500


class ArchiveFault(Exception):
    """The archive is not as `ArchiveWriter` writes it; the message says where, as a whole sentence."""


@dataclass(frozen=True)
class Member:
    """One file of the archive.

    Attributes:
        packed, size: bytes in the archive, and unpacked.
        offset: where its header begins.
    """

    name: str
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def data(self) -> int:
        """Where its bytes begin."""
        return self.offset + _LOCAL.size + len(self.name.encode())

    def local(self) -> bytes:
        """Its header."""
        name = self.name.encode()
        return (
            _LOCAL.pack(
                _LOCAL_SIGN, _NEEDED, _UTF8, self.method, _TIME, _DATE, self.crc, self.packed, self.size,
                len(name), 0,
            )
            + name
        )  # fmt: skip

    def central(self) -> bytes:
        """Its entry in the directory at the end."""
        name = self.name.encode()
        return (
            _CENTRAL.pack(
                _CENTRAL_SIGN, _MADE_BY, _NEEDED, _UTF8, self.method, _TIME, _DATE, self.crc, self.packed,
                self.size, len(name), 0, 0, 0, 0, _ATTRIBUTES, self.offset,
            )
            + name
        )  # fmt: skip


def _end(members: Iterable[Member], offset: int) -> bytes:
    """The directory of the files, and what ends the archive."""
    entries = [member.central() for member in members]
    directory = b"".join(entries)
    count = len(entries)
    return directory + _END.pack(_END_SIGN, 0, 0, count, count, len(directory), offset, 0)


def unsafe_name(name: str) -> str | None:
    """What is wrong with the name of a file in a pack, as the end of a sentence; None: nothing."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        return "leads out of the pack"
    if not name or "" in parts or "." in parts or not all(c.isprintable() for c in name):
        return "is no plain path"
    return "is too long" if len(name.encode()) > _NAME_BYTES else None


@dataclass
class Digests:
    """What `ArchiveWriter.add` found while it wrote: SHA-256 of a file, and of its bytes in the archive."""

    size: int
    sha256: str
    packed_sha256: str | None


class ArchiveWriter:
    """Writes files one after the other; `close` ends the archive.

    Args:
        file: open for writing, seekable, empty.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._members: list[Member] = []

    def add(self, name: str, content: bytes | Path, *, deflate: bool) -> Iterator[int]:
        """Write one file; yields how many of its bytes were read. Its `Digests` are in `last` afterwards.

        Raises:
            UserError: the name leads out of the pack, or the archive grows too large.
            OSError: the file cannot be read.
        """
        if problem := unsafe_name(name):
            raise UserError(f"{name!r} {problem}: such a file cannot go into an evidence pack.")
        if len(self._members) >= MOST_FILES:
            raise UserError(f"The pack would hold more than {MOST_FILES:,} files: add --pictures thin.")
        head = Member(name, DEFLATED if deflate else STORED, 0, 0, 0, self._file.tell())
        self._file.write(head.local())
        crc, size, whole, packed = 0, 0, hashlib.sha256(), hashlib.sha256()
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15) if deflate else None
        for chunk in _chunks(content):
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
            whole.update(chunk)
            self._put(squeeze.compress(chunk) if squeeze else chunk, packed)
            yield len(chunk)
        if squeeze:
            self._put(squeeze.flush(), packed)
        end = self._file.tell()
        done = Member(name, head.method, crc, end - head.data, size, head.offset)
        self._file.seek(head.offset)
        self._file.write(done.local())
        self._file.seek(end)
        self._members.append(done)
        digest = f"sha256:{packed.hexdigest()}" if deflate else None
        self.last = Digests(size, f"sha256:{whole.hexdigest()}", digest)

    def _put(self, data: bytes, digest: hashlib._Hash) -> None:
        if self._file.tell() + len(data) > MOST_BYTES:
            raise UserError(
                "The pack would be larger than four gigabytes: add --pictures thin, or pack fewer runs at "
                "once."
            )
        digest.update(data)
        self._file.write(data)

    def close(self) -> None:
        """Write the directory; the file itself stays open."""
        self._file.write(_end(self._members, self._file.tell()))


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


@dataclass
class Archive:
    """An archive whose headers were found as they should be. What is in its files was not looked at."""

    path: Path
    members: list[Member]

    def find(self, name: str) -> Member | None:
        """The file of that name."""
        return next((member for member in self.members if member.name == name), None)

    def copy(self, member: Member, into: Callable[[bytes], object]) -> Digests:
        """Unpack a file, piece by piece.

        Raises:
            ArchiveFault: its bytes are not what its header says.
        """
        crc, size, whole, packed = 0, 0, hashlib.sha256(), hashlib.sha256()
        for piece in self._unpacked(member, packed):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            if size > member.size:
                raise ArchiveFault(f"{member.name} unpacks to more than the {member.size:,} bytes it states.")
            whole.update(piece)
            into(piece)
        if crc != member.crc or size != member.size:
            raise ArchiveFault(f"{member.name} was changed: its bytes do not give its checksum.")
        digest = f"sha256:{packed.hexdigest()}" if member.method == DEFLATED else None
        return Digests(size, f"sha256:{whole.hexdigest()}", digest)

    def read(self, member: Member) -> bytes:
        """A whole file. Raises `ArchiveFault` as `copy`."""
        pieces: list[bytes] = []
        self.copy(member, pieces.append)
        return b"".join(pieces)

    def _unpacked(self, member: Member, packed: hashlib._Hash) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-15)
        left = member.packed
        with self.path.open("rb") as file:
            file.seek(member.data)
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise ArchiveFault(f"{member.name} ends early: the pack was cut short while it was read.")
                left -= len(chunk)
                packed.update(chunk)
                if member.method == STORED:
                    yield chunk
                    continue
                try:
                    while chunk:
                        yield inflate.decompress(chunk, _CHUNK)
                        chunk = inflate.unconsumed_tail
                except zlib.error as error:
                    raise ArchiveFault(
                        f"{member.name} was changed: it cannot be unpacked ({error})."
                    ) from error
        if member.method == DEFLATED and (not inflate.eof or inflate.unused_data):
            raise ArchiveFault(f"{member.name} was changed: its packed bytes do not end where they should.")


def read_archive(path: Path) -> Archive:
    """Read the headers of an archive and hold each byte of them against what `ArchiveWriter` writes.

    Raises:
        UserError: it cannot be read, is no whole zip archive, or is made to harm who unpacks it: a name that
            leads elsewhere or is there twice, a file that unpacks to very many times its size.
        ArchiveFault: it is otherwise than `ArchiveWriter` writes it.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            directory, end = _tail(file, path, size)
            entries = _directory(directory, end[3], path)
            archive = Archive(path, list(_heads(file, entries, end[6])))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    if directory != _end(archive.members, end[6])[: len(directory)]:
        raise ArchiveFault(_difference(directory, archive.members))
    return archive


def _tail(file: IO[bytes], path: Path, size: int) -> tuple[bytes, tuple[int, ...]]:
    """The directory's bytes, and the numbers of the record that ends the archive."""
    file.seek(max(0, size - _END.size - 0xFFFF))
    tail = file.read()
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != _END_SIGN:
        found = tail.rfind(_END_SIGN)
        if found < 0 or len(tail) - found < _END.size:
            raise UserError(f"{path} is no whole zip file: it was cut short, or is something else.")
        comment = _END.unpack_from(tail, found)[7]
        beyond = len(tail) - found - _END.size
        what = "a comment" if comment == beyond else "bytes after its end"
        raise ArchiveFault(f"The archive has {what} ({beyond:,} bytes), which the pack was not written with.")
    end = _END.unpack_from(tail, at)
    _, disk, start_disk, here, count, length, offset, comment = end
    if disk or start_disk or here != count or comment:
        raise ArchiveFault("The record that ends the archive was changed.")
    before = size - _END.size - length - offset
    if before > 0:
        raise ArchiveFault(f"{before:,} bytes stand before the archive or before its directory.")
    if before < 0:
        raise UserError(f"{path} is no whole zip file: bytes are missing from it.")
    file.seek(offset)
    return file.read(length), end


def _directory(data: bytes, count: int, path: Path) -> list[Member]:
    """The files as the directory has them."""
    entries: list[tuple[bytes, tuple[int, ...]]] = []
    at = 0
    while at < len(data):
        if data[at : at + 4] != _CENTRAL_SIGN or at + _CENTRAL.size > len(data):
            raise ArchiveFault(f"The archive's directory was changed at its entry {len(entries) + 1}.")
        numbers = _CENTRAL.unpack_from(data, at)
        name_length, extra, comment = numbers[10:13]
        start = at + _CENTRAL.size
        name = data[start : start + name_length]
        shown = name.decode("utf-8", "replace")
        if comment:
            raise ArchiveFault(
                f"The directory has a comment on {shown}, which the pack was not written with."
            )
        if extra:
            raise ArchiveFault(f"The directory has extra fields for {shown}, which the pack lacked.")
        entries.append((name, numbers))
        at = start + name_length
    if len(entries) != count:
        raise ArchiveFault(f"The archive states {count:,} files, and its directory lists {len(entries):,}.")
    _check_names([name for name, _ in entries], path)
    members = [Member(name.decode(), n[4], n[7], n[8], n[9], offset=n[16]) for name, n in entries]
    for one in members:
        if one.size > max(_FREE, MOST_RATIO * one.packed):
            sizes = f"from {one.packed:,} to {one.size:,} bytes"
            raise UserError(f"{path} is no evidence pack: {one.name} would unpack {sizes}.")
    whole = sum(one.size for one in members)
    if whole > max(_FREE_IN_ALL, MOST_RATIO_IN_ALL * path.stat().st_size):
        raise UserError(f"{path} is no evidence pack: it would unpack to {whole:,} bytes.")
    return members


def _check_names(names: list[bytes], path: Path) -> None:
    seen: set[str] = set()
    folders: set[str] = set()
    for raw in names:
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            raise UserError(f"{path} is no evidence pack: a name in it is no UTF-8 text.") from None
        if problem := unsafe_name(name):
            raise UserError(f"{path} is no evidence pack: the name {name[:80]!r} in it {problem}.")
        # Two names that a file system may hold to be the same would overwrite each other.
        same = unicodedata.normalize("NFC", name).casefold()
        if same in seen:
            raise UserError(f"{path} is no evidence pack: it holds {name[:80]!r} twice.")
        seen.add(same)
        folders.update(same[:place] for place, char in enumerate(same) if char == "/")
    if both := seen & folders:
        raise UserError(f"{path} is no evidence pack: {min(both)[:80]!r} is a file in it and a folder.")


def _heads(file: IO[bytes], entries: list[Member], end: int) -> Iterator[Member]:
    """Each file whose own header is that of its entry; they must follow each other at once."""
    at = 0
    for member in sorted(entries, key=lambda one: one.offset):
        if member.method not in (STORED, DEFLATED):
            raise ArchiveFault(f"{member.name} is packed by a method that fairgen does not use.")
        file.seek(at)
        head = file.read(_LOCAL.size)
        if member.offset != at or head[:4] != _LOCAL_SIGN or len(head) < _LOCAL.size:
            raise ArchiveFault(f"Bytes that belong to no file stand before {member.name}, or files overlap.")
        length, extra = _LOCAL.unpack(head)[9:11]
        name = file.read(length)
        if name != member.name.encode():
            own = name.decode("utf-8", "replace")
            raise ArchiveFault(f"The directory calls a file {member.name}, its own header calls it {own}.")
        if extra:
            raise ArchiveFault(f"The header of {member.name} has extra fields, which the pack lacked.")
        if head + name != member.local():
            raise ArchiveFault(f"The header of {member.name} was changed.")
        if member.method == STORED and member.packed != member.size:
            raise ArchiveFault(f"The header of {member.name} contradicts itself.")
        at = member.data + member.packed
        yield member
    if at != end:
        raise ArchiveFault("Bytes that belong to no file stand before the archive's directory.")


def _difference(directory: bytes, members: list[Member]) -> str:
    at = 0
    for member in members:
        entry = member.central()
        if directory[at : at + len(entry)] != entry:
            break
        at += len(entry)
    else:
        return "The archive's directory was changed."
    if sorted(directory) == sorted(_end(members, 0)[: len(directory)]):
        return "The archive's directory lists its files in another order than they stand in."
    return f"The entry of {member.name} in the archive's directory was changed."
