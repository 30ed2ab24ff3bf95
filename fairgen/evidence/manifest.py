"""``manifest.json``: what a pack holds, file by file, each with its SHA-256; this is what is signed."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from fairgen.common.documents import Part, json_schema
from fairgen.errors import UserError
from fairgen.runs import SignerRecord

__all__ = [
    "CHAIN",
    "MANIFEST",
    "SIGNATURE",
    "TIMESTAMP",
    "Manifest",
    "PackedFile",
    "PackedRun",
    "PicturesIn",
    "Role",
    "manifest_schema",
    "parse_manifest",
]

MANIFEST, SIGNATURE, TIMESTAMP = "manifest.json", "manifest.sig", "manifest.tsr"
CHAIN = "certificates.pem"
PicturesIn = Literal["all", "thin", "none"]
Role = Literal["given", "computed"]
_KIND: Final = "fairgen evidence pack"
_VERSION: Final = 1
_HASH = r"^sha256:[0-9a-f]{64}$"


class PackedFile(Part):
    """One file."""

    path: str = Field(min_length=1, max_length=500, description="name in the pack")
    bytes: int = Field(ge=0, description="unpacked")
    sha256: str = Field(pattern=_HASH, description="'sha256:<hex>' of the file")
    packed_sha256: str | None = Field(
        default=None,
        pattern=_HASH,
        description="'sha256:<hex>' of its bytes in the archive; None where they are the file's own",
    )
    role: Role = Field(
        description="given: taken as it was; computed: follows from that, and a check makes it again"
    )


class PackedRun(Part):
    """One run folder."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$", description="folder under runs/")
    folder: str = Field(description="what the run folder was called")
    lines: int = Field(ge=1, description="lines of its run file")
    pictures: int = Field(ge=0, description="pictures that its records name")
    packed: int = Field(ge=0, description="how many of them are in the pack")


class Manifest(Part):
    """The whole document. Its bytes are those that `to_bytes` gives; any other spelling counts as changed."""

    kind: Literal["fairgen evidence pack"] = _KIND
    schema_version: Literal[1] = _VERSION
    fairgen: str = Field(description="version of fairgen that wrote the pack")
    software: str = Field(
        pattern=_HASH, description="'sha256:<hex>' over the code of fairgen and skin_tone that wrote the pack"
    )
    created_at: AwareDatetime
    note: str = (
        "Evidence about pictures that a generative model made. It says what was measured, and leaves the "
        "judgement to who reads it. Skin tone is what a picture shows: not race, not ethnicity."
    )
    pictures: PicturesIn = Field(description="which pictures are in the pack")
    runs: list[PackedRun] = Field(min_length=1)
    signer: SignerRecord | None = Field(
        default=None, description="who signs this manifest, in manifest.sig; None: not signed"
    )
    files: list[PackedFile] = Field(min_length=1, description="in the order in which they stand in the pack")

    def to_bytes(self) -> bytes:
        """The document as it stands in a pack."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def parse_manifest(data: bytes, origin: str) -> Manifest:
    """Read a manifest.

    Raises:
        UserError: it is no such document, or a newer version's.
        ValueError: it is spelt otherwise than `Manifest.to_bytes` would.
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{origin} is no evidence pack: its {MANIFEST} is no JSON.") from error
    if not isinstance(raw, dict) or raw.get("kind") != _KIND:
        raise UserError(f"{origin} is no evidence pack: its {MANIFEST} is of another kind.")
    version = raw.get("schema_version")
    if isinstance(version, int) and version > _VERSION:
        raise UserError(
            f"{origin} is a pack of version {version}, and this fairgen reads version {_VERSION}: install "
            "a newer fairgen."
        )
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{origin} is no evidence pack: {MANIFEST}, {place}: {first['msg']}.") from error
    if manifest.to_bytes() != data:
        raise ValueError("spelt otherwise than fairgen writes it")
    return manifest


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``manifest.json``."""
    return json_schema(Manifest, "Manifest of a fairgen evidence pack", "serialization")
