"""Links each line of a run file to the one before it, so that damage shows.

The last key of a line, ``chain``, is the beginning of a SHA-256 over the ``chain`` of the line before and the
rest of its own line. A line that was changed, dropped, doubled or moved breaks the chain at a known place.
It finds damage by accident: who means to forge a run can compute it anew.
Files of fairgen before 0.2 have no chain, and may go on with one from some line on.
"""

from __future__ import annotations

import hashlib
import re

_KEY = re.compile(rb',"chain":"([0-9a-f]{16})"\}\n?\Z')


def unchained(line: bytes) -> tuple[bytes, str | None]:
    """A line without its link and its line break, and the link; None where it has none."""
    found = _KEY.search(line, max(0, len(line) - 40))
    if found is None:
        return line.removesuffix(b"\n"), None
    return line[: found.start()] + b"}", found[1].decode()


def chained(line: bytes, before: str) -> tuple[bytes, str]:
    """A record as a line that follows the line with the link ``before`` ("": the first), and its own link."""
    content, _ = unchained(line)
    link = _link(content, before)
    return content[:-1] + f',"chain":"{link}"}}\n'.encode(), link


def _link(content: bytes, before: str) -> str:
    return hashlib.sha256(before.encode() + content).hexdigest()[:16]


class ChainCheck:
    """Is given the lines of a file in their order."""

    def __init__(self) -> None:
        self._before = ""

    def holds(self, line: bytes) -> bool:
        """Whether the line follows the one before it, unchanged."""
        content, link = unchained(line)
        if link is None:
            return not self._before  # older lines have no links; later ones never lack them
        expected, self._before = _link(content, self._before), link
        return link == expected
