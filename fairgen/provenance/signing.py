"""Signed content credentials (C2PA) in the pictures that fairgen writes.

Needs the extra ``fairgen[c2pa]`` and a certificate: the environment variables `CERT` and `KEY` name PEM
files (the chain, signer first; the private key), `TSA` the URL of an RFC 3161 timestamp authority, `ALG` the
algorithm where the key allows several. Whatever C2PA would refuse is refused before a picture is sampled. The
key stays in memory: no log, record or message holds it.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from PIL import Image

from fairgen.errors import UserError
from fairgen.provenance.block import IPTC_EXTENSION, TRAINED_ALGORITHMIC_MEDIA, Provenance, iptc_fields
from fairgen.runs import SignerRecord

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

CERT: Final = "FAIRGEN_C2PA_CERT"
KEY: Final = "FAIRGEN_C2PA_KEY"
TSA: Final = "FAIRGEN_C2PA_TSA"
ALG: Final = "FAIRGEN_C2PA_ALG"
ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
BLOCK_LABEL = "org.fairgen.provenance"
"""Label of the assertion with fairgen's own block, in the reverse-domain form that C2PA asks for."""
OFFLINE: Final = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}
"""Settings of the C2PA library: it reads without the network, and adds no thumbnail to a small picture."""

_MAX_PEM = 1_000_000
_MAX_TRUST_LIST = 10_000_000
_RETRIES = (1.0, 4.0)


def c2pa_library() -> Any:
    """The module ``c2pa``. Raises `UserError` that names the extra where it is not installed."""
    try:
        import c2pa
    except ImportError as error:
        raise UserError(
            "Content credentials need the extra c2pa: install it with pip install 'fairgen[c2pa]', or unset "
            f" {CERT} and {KEY}."
        ) from error
    return c2pa


@dataclass(frozen=True)
class SigningConfig:
    """With what pictures are to be signed; nothing is read or checked yet."""

    cert: Path
    key: Path
    tsa: str | None = None
    algorithm: str | None = None

    @classmethod
    def from_environment(cls, cert: Path | None = None, key: Path | None = None) -> Self | None:
        """What the arguments and, for those left out, the environment say; None where neither names a file.

        Raises:
            UserError: a certificate without its key, a key without its certificate, or other settings of
                signing without either.
        """
        found = {name: os.environ.get(name, "").strip() for name in (CERT, KEY, TSA, ALG)}
        chain = str(cert) if cert else found[CERT]
        private = str(key) if key else found[KEY]
        if chain and private:
            return cls(Path(chain), Path(private), found[TSA] or None, found[ALG].lower() or None)
        if chain:
            raise UserError(
                f"There is a certificate to sign with, but no private key: set {KEY} or --c2pa-key too."
            )
        if private:
            raise UserError(
                f"There is a private key to sign with, but no certificate: set {CERT} or --c2pa-cert too."
            )
        if given := [name for name in (TSA, ALG) if found[name]]:
            raise UserError(
                f"{given[0]} is set, but nothing to sign with: set {CERT} and {KEY}, or unset it."
            )
        return None


@dataclass(frozen=True)
class SigningIdentity:
    """A certificate chain and its private key, read and checked: who signs pictures and documents.

    Attributes:
        chain: the signer's certificate first, then those that issued it.
        key: the private key of the first.
    """

    chain: list[Certificate]
    key: PrivateKeyTypes
    record: SignerRecord

    @classmethod
    def read(cls, config: SigningConfig) -> Self:
        """Read both files.

        Raises:
            UserError: a file cannot be read or is no PEM; key and certificate do not belong together; a
                certificate is expired, not valid yet, self-signed or out of order; the algorithm does not fit
                the key, or the address of the timestamp authority is none.
        """
        chain = _read_chain(config.cert)
        key = _read_key(config.key)
        _check_chain(chain, config.cert)
        if chain[0].public_key() != key.public_key():
            raise UserError(
                f"The private key {config.key} does not belong to the first certificate in {config.cert}: "
                "give the key that it was issued for, and put the signer's certificate first."
            )
        algorithm = _algorithm(key, config)
        if config.tsa is not None and urlsplit(config.tsa).scheme not in ("http", "https"):
            raise UserError(f"{TSA} must be the http(s) address of a timestamp authority.")
        from cryptography.hazmat.primitives.hashes import SHA256

        record = SignerRecord(
            subject=chain[0].subject.rfc4514_string(),
            issuer=chain[0].issuer.rfc4514_string(),
            fingerprint=f"sha256:{chain[0].fingerprint(SHA256()).hex()}",
            not_after=chain[0].not_valid_after_utc,
            algorithm=algorithm,
            timestamps=config.tsa is not None,
        )
        return cls(chain, key, record)


class PictureSigner:
    """Signs PNG files; made once, used for every picture of a run.

    Making one checks the chain and the key, signs a trial picture and lets C2PA's own reader validate it; a
    timestamp authority is asked then, and for every picture.

    Raises:
        UserError: the extra is missing; as `SigningIdentity.read`; C2PA refuses the certificate for another
            reason, or the timestamp authority does not answer.
    """

    def __init__(self, config: SigningConfig) -> None:
        c2pa = c2pa_library()
        identity = SigningIdentity.read(config)
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        self.record = identity.record
        algorithm, chain, key = identity.record.algorithm, identity.chain, identity.key
        pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._c2pa = c2pa
        self._lock = threading.Lock()
        try:
            self._context = c2pa.Context(c2pa.Settings.from_dict(OFFLINE))
            self._signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, pem, secret, config.tsa))
        except c2pa.C2paError as error:
            raise UserError(f"C2PA refuses the certificate {config.cert}: {error}.") from error
        self._try(config)

    def _try(self, config: SigningConfig) -> None:
        """Sign one black pixel and read it back."""
        plain = io.BytesIO()
        Image.new("RGB", (1, 1)).save(plain, format="PNG")
        try:
            signed = self._signed(plain.getvalue(), _claim("trial", datetime.now(UTC)))
            with self._c2pa.Reader(io.BytesIO(signed), context=self._context) as reader:
                found = json.loads(reader.json())
        except self._c2pa.C2paError as error:
            if config.tsa is not None and _is_network(error):
                raise UserError(
                    f"The timestamp authority that {TSA} names does not answer: check the address and the "
                    f"network, or unset {TSA} to sign without timestamps."
                ) from error
            raise UserError(
                f"C2PA refuses to sign with {config.cert} ({error}): use a certificate with the key usage "
                "digitalSignature and the extended key usage emailProtection or documentSigning."
            ) from error
        if found["validation_state"] not in ("Valid", "Trusted"):
            codes = ", ".join(problem["code"] for problem in found.get("validation_status", []))
            raise UserError(
                f"C2PA does not accept what {config.cert} signs ({codes}): use another certificate."
            )

    def sign(self, png: bytes, provenance: Provenance) -> bytes:
        """The same picture with content credentials; every other byte of the file stays as it is.

        Raises:
            UserError: the signature failed (the certificate expired during the run, the timestamp authority
                stopped answering).
            ValueError: the picture has content credentials already; a second "created" would deny the first.
        """
        c2pa = self._c2pa
        with io.BytesIO(png) as source:
            present = c2pa.Reader.try_create(source, context=self._context)
        if present is not None:
            present.close()
            raise ValueError("the picture has content credentials already")
        manifest = manifest_of(provenance)
        for pause in (*_RETRIES, None):
            try:
                return self._signed(png, manifest)
            except c2pa.C2paError as error:
                if pause is None or not _is_network(error):
                    raise UserError(
                        f"A picture could not be signed, so it was not written ({error}): mend that, or sign "
                        f"without ({CERT}, {TSA})."
                    ) from error
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _signed(self, png: bytes, manifest: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        # C2PA does not say that a signer may be used by several threads at once.
        with self._lock, self._c2pa.Builder(json.dumps(manifest), context=self._context) as builder:
            builder.sign(self._signer, "image/png", io.BytesIO(png), out)
        return out.getvalue()


def signer_from_environment(cert: Path | None = None, key: Path | None = None) -> PictureSigner | None:
    """The signer that the arguments or the environment name; None where signing is not configured.

    Raises `UserError` as `SigningConfig.from_environment` and `PictureSigner` do.
    """
    config = SigningConfig.from_environment(cert, key)
    return None if config is None else PictureSigner(config)


def manifest_of(provenance: Provenance) -> dict[str, Any]:
    """What is claimed about a picture made so, as C2PA's manifest definition.

    A ``c2pa.created`` action with IPTC's digital source type (C2PA specification 2.2, "Actions"), the IPTC
    fields of the XMP packet as ``cawg.metadata``, and fairgen's block under `BLOCK_LABEL`.
    """
    claim = _claim(provenance.fairgen, provenance.created_at)
    iptc = {f"Iptc4xmpExt:{name}": value for name, value in iptc_fields(provenance).items()}
    claim["assertions"] += [
        {
            "label": "cawg.metadata",
            "kind": "Json",
            "data": {"@context": {"Iptc4xmpExt": IPTC_EXTENSION}, **iptc},
        },
        {"label": BLOCK_LABEL, "kind": "Json", "data": provenance.model_dump(mode="json")},
    ]
    return claim


def _claim(version: str, when: datetime) -> dict[str, Any]:
    """That fairgen created it, by a generative model."""
    tool = {"name": "fairgen", "version": version}
    created = {
        "action": "c2pa.created",
        "when": when.isoformat(),
        "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "softwareAgent": tool,
        "description": "Sampled by a generative text-to-image model; it shows no real person.",
    }
    return {
        "claim_generator_info": [tool],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }


def _is_network(error: Exception) -> bool:
    return "http resolver" in str(error)


def _read_pem(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_PEM + 1)
    except OSError as error:
        raise UserError(f"The {what} {path} cannot be read ({error.strerror}): check the path.") from error
    if len(data) > _MAX_PEM:
        raise UserError(f"The {what} {path} is larger than a megabyte: give a PEM file.")
    return data


def read_trust_list(path: Path) -> tuple[bytes, list[Certificate]]:
    """The PEM file of certificate authorities, and what it holds.

    Raises:
        UserError: it cannot be read, or holds no certificate.
    """
    from cryptography.x509 import load_pem_x509_certificates

    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TRUST_LIST + 1)
        if len(data) > _MAX_TRUST_LIST:
            raise UserError(f"The trust list {path} is larger than 10 MB: give certificates in PEM format.")
        return data, load_pem_x509_certificates(data)
    except OSError as error:
        raise UserError(
            f"The trust list {path} cannot be read ({error.strerror}): check the path."
        ) from error
    except ValueError as error:
        raise UserError(f"The trust list {path} holds no certificate in PEM format.") from error


def _read_chain(path: Path) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(_read_pem(path, "certificate"))
    except ValueError as error:
        raise UserError(
            f"{path} holds no certificate in PEM format: it must begin with -----BEGIN CERTIFICATE-----, the "
            "signer's first, then those that issued it."
        ) from error


def _read_key(path: Path) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read_pem(path, "private key")
    # The causes are left out of these errors: they might quote the key.
    try:
        return load_pem_private_key(data, password=None)
    except TypeError:
        raise UserError(
            f"The private key {path} is encrypted: decrypt it (openssl pkey) into a file that only you may "
            "read."
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UserError(f"{path} holds no private key in PEM format that can be read.") from None


def _check_chain(chain: list[Certificate], path: Path) -> None:
    from cryptography.exceptions import InvalidSignature

    signer = chain[0]
    if signer.subject == signer.issuer:
        raise UserError(
            f"The certificate {path} is self-signed, which C2PA refuses for signing: have one issued by a "
            "certificate authority, and put the signer's certificate first."
        )
    now = datetime.now(UTC)
    for certificate in chain:
        name = certificate.subject.rfc4514_string()
        if now > certificate.not_valid_after_utc:
            raise UserError(
                f"The certificate of {name} in {path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: "
                "renew it."
            )
        if now < certificate.not_valid_before_utc:
            raise UserError(
                f"The certificate of {name} in {path} is not valid before "
                f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: check the clock, or wait."
            )
    for issued, issuer in pairwise(chain):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise UserError(
                f"The certificates in {path} are no chain: {issued.subject.rfc4514_string()} was not issued "
                f"by {issuer.subject.rfc4514_string()}, which follows it."
            ) from error


def _algorithm(key: PrivateKeyTypes, config: SigningConfig) -> str:
    """The algorithm that was asked for, or the key's usual one."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    fitting: tuple[str, ...] = ()
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves:
        fitting = (curves[key.curve.name],)
    elif isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        fitting = ("ps256", "ps384", "ps512")
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        fitting = ("ed25519",)
    if not fitting:
        raise UserError(
            f"C2PA cannot sign with the kind of key in {config.key}: use EC P-256, P-384 or P-521, RSA of "
            "2048 bits or more, or Ed25519."
        )
    if config.algorithm is None:
        return fitting[0]
    if config.algorithm not in ALGORITHMS:
        raise UserError(f"{ALG} must be one of {', '.join(ALGORITHMS)}, not {config.algorithm!r}.")
    if config.algorithm not in fitting:
        raise UserError(
            f"The key {config.key} cannot sign with {config.algorithm}: set {ALG} to {' or '.join(fitting)}, "
            "or unset it."
        )
    return config.algorithm
