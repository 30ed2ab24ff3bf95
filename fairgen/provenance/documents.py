"""Signs files that are no pictures, with the certificate that signs pictures, and checks such signatures.

A signature is a file of its own: the plain signature over the document's bytes (ECDSA in DER, RSA-PSS or
Ed25519, by the certificate's key), so that ``openssl dgst -verify`` checks it too. A timestamp is the answer
of an RFC 3161 authority about the signature's bytes, as ``openssl ts -verify`` reads it.
Needs the extra ``fairgen[c2pa]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from fairgen.errors import UserError
from fairgen.provenance.signing import TSA, SigningConfig, SigningIdentity

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["DocumentSigner", "Stamp", "check_signature", "check_trust", "read_stamp"]

_MAX_ANSWER = 1_000_000
_PATIENCE = 20.0
_HASHES: Final = {"256": "SHA256", "384": "SHA384", "512": "SHA512"}


def require_cryptography(what: str) -> None:
    """Raise `UserError` that names the extra where what signatures need is not installed."""
    try:
        import cryptography
        import rfc3161_client  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{what} needs the extra c2pa: install it with pip install 'fairgen[c2pa]'."
        ) from error
    del cryptography


class DocumentSigner:
    """Signs documents, and has the signatures time-stamped where an authority is configured.

    Raises:
        UserError: the extra is missing, or as `SigningIdentity.read`.
    """

    def __init__(self, config: SigningConfig) -> None:
        require_cryptography("Signing an evidence pack")
        self._identity = SigningIdentity.read(config)
        self._tsa = config.tsa
        self.record = self._identity.record

    @property
    def chain(self) -> bytes:
        """The certificates as PEM, the signer's first."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return b"".join(one.public_bytes(Encoding.PEM) for one in self._identity.chain)

    def sign(self, document: bytes) -> bytes:
        """The signature. With an EC or Ed25519 key, it is the same each time."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

        key, algorithm = self._identity.key, self.record.algorithm
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(document)
        digest = getattr(hashes, _HASHES[algorithm[2:]])()
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(document, ec.ECDSA(digest, deterministic_signing=True))
        assert isinstance(key, rsa.RSAPrivateKey)  # `SigningIdentity.read` lets no other through
        return key.sign(document, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)

    def stamp(self, signature: bytes) -> bytes | None:
        """The timestamp authority's answer about a signature (DER); None where none is configured.

        Raises:
            UserError: it does not answer, or refuses.
        """
        if self._tsa is None:
            return None
        import urllib3
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        request = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).build()
        try:
            # One address that the user named; it is asked once, so a redirect is not followed.
            answer = urllib3.PoolManager(retries=False, timeout=_PATIENCE).request(
                "POST",
                self._tsa,
                body=request.as_bytes(),
                headers={"Content-Type": "application/timestamp-query"},
                preload_content=False,
            )
            data = answer.read(_MAX_ANSWER + 1)
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UserError(
                f"The timestamp authority that {TSA} names does not answer: check the address and the "
                f"network, or unset {TSA} to sign without a timestamp."
            ) from error
        if answer.status != 200 or read_stamp(data, signature) is None:
            raise UserError(
                f"The timestamp authority that {TSA} names gave no timestamp (HTTP {answer.status})."
            )
        return data


def check_signature(document: bytes, signature: bytes, signer: Certificate, algorithm: str) -> bool:
    """Whether the signature is of these bytes, by the key of this certificate and the named algorithm."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    key = signer.public_key()
    name = _HASHES.get(algorithm[2:])
    try:
        if isinstance(key, ed25519.Ed25519PublicKey) and algorithm == "ed25519":
            key.verify(signature, document)
            return True
        if name is None:
            return False
        digest: Any = getattr(hashes, name)()
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm.startswith("es"):
            key.verify(signature, document, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm.startswith("ps"):
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            key.verify(signature, document, pss, digest)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def check_trust(chain: Sequence[Certificate], roots: Sequence[Certificate], when: datetime) -> str | None:
    """Why a signer's chain does not lead to one of the authorities at that time; None: it does.

    RFC 5280's path validation; the signer's certificate must be for signing (key usage and extended key usage
    present, as C2PA asks).
    """
    from cryptography.x509 import ExtendedKeyUsage, KeyUsage
    from cryptography.x509.verification import (
        Criticality,
        ExtensionPolicy,
        PolicyBuilder,
        Store,
        VerificationError,
    )

    own = (
        ExtensionPolicy.permit_all()
        .require_present(KeyUsage, Criticality.AGNOSTIC, None)
        .require_present(ExtendedKeyUsage, Criticality.AGNOSTIC, None)
    )
    policy = (
        PolicyBuilder()
        .store(Store(list(roots)))
        .time(when)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=own)
    )
    try:
        policy.build_client_verifier().verify(chain[0], list(chain[1:]))
    except VerificationError as error:
        return str(error)
    return None


@dataclass(frozen=True)
class Stamp:
    """What a timestamp says.

    Attributes:
        time: when the authority saw the signature.
        authority: the subject of its certificate, where the answer carries it.
        trusted: whether its chain leads to an authority that was given; None: none was given.
    """

    time: datetime
    authority: str
    trusted: bool | None


def read_stamp(data: bytes, signature: bytes, roots: Sequence[Certificate] = ()) -> Stamp | None:
    """A timestamp authority's answer (RFC 3161, DER) about a signature; None: it is no timestamp of it."""
    from cryptography.x509 import load_der_x509_certificate
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        answer = decode_timestamp_response(data)
        token = answer.tst_info
    except ValueError:
        return None
    # More bytes than the answer's own would be seen by nobody.
    if answer.as_bytes() != data or token.message_imprint.message != hashlib.sha256(signature).digest():
        return None
    certificates = [load_der_x509_certificate(one) for one in answer.signed_data.certificates]
    issuers = {one.issuer for one in certificates}
    leaves = [one for one in certificates if one.subject not in issuers or one.subject == one.issuer]
    name = leaves[0].subject.rfc4514_string() if leaves else "an authority that is not named"
    if not roots:
        return Stamp(token.gen_time, name, None)
    builder = VerifierBuilder()
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        return Stamp(token.gen_time, name, builder.build().verify_message(answer, signature))
    except VerificationError:
        return Stamp(token.gen_time, name, False)
