"""A certificate authority for tests, what it signs with, and pictures to sign and to tamper with."""

from __future__ import annotations

import builtins
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from PIL import Image

from fairgen.provenance.signing import SigningConfig
from tools.example_authority import Key, certificate

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def issue(
    name: str,
    by: Issued | None = None,
    *,
    authority: bool = False,
    days: tuple[int, int] = (-1, 30),
    signing: bool = True,
    key: Key | None = None,
) -> Issued:
    """A certificate as C2PA's profile asks for; without ``by`` self-signed."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test Pictures"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    made = certificate(
        subject,
        by.certificate.subject if by else subject,
        key,
        by.key if by else key,
        (NOW + timedelta(days[0]), NOW + timedelta(days[1])),
        authority=authority,
        signing=signing,
    )
    return Issued(made, key)


ROOT = issue("Test Root", authority=True)
MIDDLE = issue("Test Issuer", ROOT, authority=True)
SIGNER = issue("Test Signer", MIDDLE)


def config(
    folder: Path,
    *chain: Issued,
    key: Key | None = None,
    tsa: str | None = None,
    algorithm: str | None = None,
    encryption: KeySerializationEncryption | None = None,
    form: PrivateFormat = PrivateFormat.PKCS8,
) -> SigningConfig:
    """Writes chain.pem and key.pem."""
    chain = chain or (SIGNER, MIDDLE)
    cert, private = folder / "chain.pem", folder / "key.pem"
    cert.write_bytes(b"".join(each.pem for each in chain))
    private.write_bytes((key or chain[0].key).private_bytes(Encoding.PEM, form, encryption or NoEncryption()))
    return SigningConfig(cert, private, tsa, algorithm)


def picture() -> Image.Image:
    """A small picture with many values."""
    return Image.radial_gradient("L").resize((24, 16)).convert("RGB")


def rewritten(data: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A PNG file whose last chunk of that kind is changed, with the right checksum."""
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    place = max(i for i, (found, _) in enumerate(chunks) if found == kind)
    chunks[place] = (kind, change(chunks[place][1]))
    parts = [
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
        for name, body in chunks
    ]
    return data[:8] + b"".join(parts)


def flipped(body: bytes) -> bytes:
    """One bit of it changed."""
    middle = len(body) * 3 // 4 + 1  # a row of pixels begins with its filter, which is left alone
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def pixel_changed(body: bytes) -> bytes:
    """The same for compressed pixels."""
    return zlib.compress(flipped(zlib.decompress(body)), 9)


def without_c2pa(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were not installed."""
    real = builtins.__import__

    def blocked(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "c2pa":
            raise ImportError("No module named 'c2pa'")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "c2pa")
    monkeypatch.setattr(builtins, "__import__", blocked)
