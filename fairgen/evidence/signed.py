"""Checks who signed the manifest of a pack, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fairgen.evidence.findings import Findings
from fairgen.evidence.manifest import CHAIN, MANIFEST, SIGNATURE, TIMESTAMP, Manifest
from fairgen.provenance.documents import check_signature, check_trust, read_stamp, require_cryptography
from fairgen.provenance.signing import read_trust_list
from fairgen.runs import SignerRecord

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["check_signed"]


def check_signed(
    manifest: Manifest,
    folder: Path,
    signature: bytes | None,
    stamp: bytes | None,
    trust: Path | None,
    findings: Findings,
) -> None:
    """Say whether the signature holds, whose it is, and what the timestamp says.

    Args:
        folder: where the pack was unpacked.

    Raises:
        UserError: the trust list cannot be read, or fairgen[c2pa] is not installed.
    """
    if manifest.signer is None:
        findings.note("The pack is not signed: anybody could have written it.")
        return
    require_cryptography("Checking a signed pack")
    from cryptography.exceptions import UnsupportedAlgorithm

    roots = read_trust_list(trust)[1] if trust else []
    # Whoever wrote the pack chose its certificates: their parts are decoded late, and may be broken.
    try:
        _check(manifest, manifest.signer, folder, signature, stamp, roots, findings)
    except (ValueError, UnsupportedAlgorithm) as error:
        findings.fault(f"The signature cannot be checked: a certificate in the pack is broken ({error}).")


def _check(
    manifest: Manifest,
    signer: SignerRecord,
    folder: Path,
    signature: bytes | None,
    stamp: bytes | None,
    roots: list[Certificate],
    findings: Findings,
) -> None:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificates

    try:
        chain = load_pem_x509_certificates((folder / CHAIN).read_bytes())
    except (OSError, ValueError):
        findings.fault(f"{CHAIN} holds no certificate, so the signature cannot be checked.")
        return
    fingerprint = f"sha256:{chain[0].fingerprint(SHA256()).hex()}"
    if fingerprint != signer.fingerprint:
        findings.fault(f"{CHAIN} is of another signer than the one that the manifest names.")
        return
    subject = chain[0].subject.rfc4514_string()
    if signature is None:
        findings.fault(f"The manifest names a signer, {subject}, and there is no whole {SIGNATURE}.")
        return
    if not check_signature(manifest.to_bytes(), signature, chain[0], signer.algorithm):
        findings.fault(
            f"The signature is wrong: {MANIFEST} or {SIGNATURE} was changed, or another key signed it."
        )
        return
    said = (subject, chain[0].issuer.rfc4514_string(), chain[0].not_valid_after_utc)
    if said != (signer.subject, signer.issuer, signer.not_after):
        findings.fault("The manifest says of its signer what the certificate does not.")
    findings.holds(f"The manifest is signed by {subject}, certificate {fingerprint}.")
    when = _time(manifest, signature, stamp, roots, findings)
    if not chain[0].not_valid_before_utc <= when <= chain[0].not_valid_after_utc:
        findings.fault(f"The certificate of {subject} was not valid at {when:%Y-%m-%d %H:%M} UTC.")
    elif datetime.now(UTC) > chain[0].not_valid_after_utc and stamp is None:
        findings.note(
            f"The certificate of {subject} has expired since, and no authority states when it signed."
        )
    _trust(chain, roots, when, findings)


def _time(
    manifest: Manifest, signature: bytes, stamp: bytes | None, roots: list[Certificate], findings: Findings
) -> datetime:
    """When it was signed: by the timestamp where it holds, else by the manifest."""
    assert manifest.signer is not None
    if not manifest.signer.timestamps:
        findings.note("No authority states when the pack was signed.")
        return manifest.created_at
    found = read_stamp(stamp, signature, roots) if stamp else None
    if found is None:
        what = "is of another signature, or was changed" if stamp else "is gone"
        findings.fault(f"The timestamp {TIMESTAMP} {what}.")
        return manifest.created_at
    if found.trusted is False:
        findings.fault(f"The timestamp {TIMESTAMP} leads to no authority of --trust, or was changed.")
        return manifest.created_at
    sure = "" if found.trusted else ", which was not checked: no --trust names it"
    tell = findings.holds if found.trusted else findings.note
    tell(f"Signed before {found.time:%Y-%m-%d %H:%M:%S} UTC by the timestamp of {found.authority}{sure}.")
    if found.time < manifest.created_at and (manifest.created_at - found.time).total_seconds() > 300:
        findings.fault("The timestamp is older than the time that the manifest states.")
    return found.time if found.trusted else manifest.created_at


def _trust(chain: list[Certificate], roots: list[Certificate], when: datetime, findings: Findings) -> None:
    if not roots:
        findings.note("Whether to trust the signer is open: --trust names no authority.")
        return
    problem = check_trust(chain, roots, when)
    if problem is None:
        findings.holds("The signer's certificate leads to an authority of --trust.")
    else:
        findings.fault(f"The signer's certificate leads to no authority of --trust ({problem}).")
