"""Which skin-tone reader is installed, which library finds the faces, and which code makes the pages."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable

from pydantic import Field

from fairgen._version import __version__
from fairgen.common.documents import Part
from fairgen.runs import fingerprint_of
from skin_tone.identity import identity

__all__ = ["ReaderIdentity", "reader_identity", "software_hash"]

_CODE = (".py", ".j2", ".css", ".js", ".yaml", ".txt")


class ReaderIdentity(Part):
    """Two readers with equal ``identity`` and ``mediapipe`` give the same readings."""

    package: str = "skin_tone"
    fairgen: str = Field(description="version of fairgen that it came with")
    identity: str = Field(description="'sha256:<hex>': `skin_tone.identity.identity`")
    mediapipe: str = Field(description="version of the library that finds the faces; empty: not installed")

    def same_reader(self, other: ReaderIdentity) -> bool:
        """Whether readings of the two may be compared."""
        return (self.identity, self.mediapipe) == (other.identity, other.mediapipe)


def reader_identity() -> ReaderIdentity:
    """The identity of the installed `skin_tone`."""
    try:
        mediapipe = metadata.version("mediapipe")
    except metadata.PackageNotFoundError:
        mediapipe = ""
    return ReaderIdentity(fairgen=__version__, identity=identity(), mediapipe=mediapipe)


@cache
def software_hash() -> str:
    """'sha256:<hex>' over the code of `fairgen` and `skin_tone`; the same code makes the same pages."""
    found: dict[str, str] = {}
    for package in ("fairgen", "skin_tone"):
        _hash_code(resources.files(package), package, found)
    return fingerprint_of(found)


def _hash_code(folder: Traversable, place: str, found: dict[str, str]) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in ("_data", "__pycache__"):
            _hash_code(entry, f"{place}/{entry.name}", found)
        elif entry.name.endswith(_CODE):
            sha = hashlib.sha256(entry.read_bytes()).hexdigest()
            found[f"{place}/{entry.name}"] = f"sha256:{sha}"
