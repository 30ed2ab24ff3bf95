"""Writing to disk: files that are whole or not there, and errors in words that say how to fix them."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fairgen.errors import UserError

__all__ = ["disk_errors", "file_errors", "now", "replacing", "work_folder", "write_text"]

_LOCK = "lock"
_NO_PLACE = frozenset(
    {errno.ENAMETOOLONG, errno.ENOENT, errno.EINVAL, errno.ENODEV, errno.ENXIO, errno.ELOOP}
)
"""What a name that is too long gives, /proc, a file system that is gone."""


def now() -> datetime:
    """The time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns write errors that a user can mend (disk full, no permission, not a folder) into `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem = f"No space is left on the disk to write {path}: free some, or choose another --out."
        elif error.errno == errno.EFBIG:
            problem = f"{path} may not grow further (see `ulimit -f`): raise the limit."
        elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
            problem = f"{path} cannot be written: choose a folder that you may write to with --out."
        elif isinstance(error, NotADirectoryError | FileExistsError | IsADirectoryError):
            problem = f"{path} cannot be written, a file or folder is in the way: choose another --out."
        elif error.errno in _NO_PLACE:
            problem = f"{_short(path)} cannot be written ({error.strerror}): choose another --out."
        else:
            raise
        raise UserError(problem) from error


@contextmanager
def file_errors(what: str) -> Iterator[None]:
    """Turns whatever the system says of a file into `UserError`: ``what`` and the reason."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{what}: {reason}.") from None


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 200 else f"{text[:80]}…{text[-40:]}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The name of a file beside ``path``, for the block to write.

    When the block ends without an error, the file takes the place of ``path``; otherwise it is deleted. So
    ``path`` is never half written. The name begins with a dot and ends in ``.tmp``.
    """
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield made
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


@contextmanager
def work_folder(folder: Path, name: str) -> Iterator[Path]:
    """A new hidden folder in ``folder`` for files in the making, deleted when the block ends.

    A process that is killed leaves its folder behind; the next one in the same place deletes it. Whether its
    process lives is told by a lock (on POSIX systems; elsewhere such folders stay).

    Args:
        name: what is made, for the folder's name: ``.<name>.<hex>.tmp``.
    """
    for left in folder.glob(f".{name}.*.tmp"):
        _delete_unused(left)
    made = folder / f".{name}.{secrets.token_hex(4)}.tmp"
    made.mkdir(mode=0o700)
    try:
        with (made / "unlocked").open("w") as held:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (made / "unlocked").rename(made / _LOCK)  # so that nobody finds it without its lock
            yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _delete_unused(left: Path) -> None:
    """A work folder whose process has ended."""
    if sys.platform == "win32" or left.is_symlink():
        return
    import fcntl

    try:
        if left.stat().st_uid != os.getuid():
            return
        with (left / _LOCK).open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    except OSError:  # in use, begun this moment, gone by now, or not ours to delete
        return


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text, whole or not at all; folders that are missing are made. What UTF-8 cannot hold (half
    of a surrogate pair) is written as ``\\ud800``.

    Raises:
        UserError: the disk refuses.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as made:
            made.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    return path
