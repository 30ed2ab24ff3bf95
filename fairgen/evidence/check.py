"""Checks an evidence pack without trusting it: its bytes, its signature, and that the rest follows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fairgen.common.files import disk_errors
from fairgen.errors import UserError
from fairgen.evidence.archive import Archive, ArchiveFault, read_archive
from fairgen.evidence.findings import NAMED, Finding, Findings
from fairgen.evidence.following import check_contents
from fairgen.evidence.manifest import MANIFEST, SIGNATURE, TIMESTAMP, Manifest, parse_manifest
from fairgen.evidence.signed import check_signed

__all__ = ["Finding", "PackCheck", "check_pack"]

_MANIFEST_BYTES = 1 << 28
_SIGNATURE_BYTES = 1 << 20


@dataclass
class PackCheck:
    """What a check found, in the order in which it looked."""

    path: Path
    findings: Findings = field(default_factory=Findings)
    manifest: Manifest | None = None

    @property
    def faults(self) -> list[str]:
        """What does not hold."""
        return [finding.text for finding in self.findings if finding.state == "fault"]


def pack_size(path: Path) -> int:
    """Bytes of a pack, which is what `check_pack` yields in all. Raises `UserError` where there is none."""
    try:
        if not path.is_file():
            raise UserError(f"There is no evidence pack {path}: check the path.")
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error


def check_pack(path: Path, trust: Path | None = None) -> Generator[int, None, PackCheck]:
    """Check a pack; yields how many of its bytes were looked at. Leaves no file, and uses no network.

    Args:
        trust: PEM file of the authorities whose signers and timestamps count as trusted.

    Raises:
        UserError: it is no evidence pack, was cut short, is a newer version's, or is made to harm who unpacks
            it; the trust list cannot be read; a signed pack needs fairgen[c2pa].
    """
    done = PackCheck(path)
    findings = done.findings
    pack_size(path)
    try:
        archive = read_archive(path)
        manifest = _manifest(archive, findings)
    except ArchiveFault as fault:
        findings.fault(str(fault))
        return done
    if manifest is None:
        return done
    done.manifest = manifest
    with ExitStack() as held:
        with disk_errors(Path(tempfile.gettempdir())):
            name = held.enter_context(tempfile.TemporaryDirectory(prefix="fairgen-evidence-"))
        folder = Path(name)
        _require_room(archive, folder)
        listed = _listing(archive, manifest, findings)
        intact = yield from _unpack(archive, manifest, folder, findings)
        signature, stamp = (_beside(archive, name, findings) for name in (SIGNATURE, TIMESTAMP))
        check_signed(manifest, folder, signature, stamp, trust, findings)
        if listed and intact:
            check_contents(manifest, folder, findings)
        else:
            findings.note("What the pack states was not computed anew, since its files are not as they were.")
    return done


def _manifest(archive: Archive, findings: Findings) -> Manifest | None:
    member = archive.find(MANIFEST)
    if member is None:
        raise UserError(f"{archive.path} is no evidence pack: it has no {MANIFEST}.")
    if member.size > _MANIFEST_BYTES:
        raise UserError(f"{archive.path} is no evidence pack: its {MANIFEST} has {member.size:,} bytes.")
    try:
        return parse_manifest(archive.read(member), str(archive.path))
    except ValueError as error:
        findings.fault(f"{MANIFEST} was changed: it is {error}.")
        return None


def _beside(archive: Archive, name: str, findings: Findings) -> bytes | None:
    """A file that the manifest cannot list, since it is about the manifest; None where there is none."""
    member = archive.find(name)
    if member is None:
        return None
    if member.size > _SIGNATURE_BYTES:
        raise UserError(f"{archive.path} is no evidence pack: its {name} has {member.size:,} bytes.")
    try:
        return archive.read(member)
    except ArchiveFault as fault:
        findings.fault(str(fault))
        return None


def _require_room(archive: Archive, folder: Path) -> None:
    needed = sum(member.size for member in archive.members)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"Unpacking {archive.path} to check it takes {needed / 1e9:.1f} GB, and {folder.parent} has "
            f"{free / 1e9:.1f}: free some, or set TMPDIR to another folder."
        )


def _listing(archive: Archive, manifest: Manifest, findings: Findings) -> bool:
    """Whether the pack holds every file of its manifest; what is too many or in another order is said."""
    names = [member.name for member in archive.members]
    wanted = [file.path for file in manifest.files]
    last = [MANIFEST, *([SIGNATURE] if manifest.signer else [])]
    last += [TIMESTAMP] if TIMESTAMP in names and manifest.signer and manifest.signer.timestamps else []
    expected = [*wanted, *last]
    added = [name for name in names if name not in set(expected)]
    missing = [name for name in expected if name not in set(names)]
    for name in added[:NAMED]:
        is_signature = name.startswith("manifest.") or name.endswith((".sig", ".p7s", ".tsr", ".asc"))
        what = "is a second signature or timestamp" if is_signature else "was added"
        findings.fault(f"{name} {what}: the manifest does not list it.")
    for name in missing[:NAMED]:
        findings.fault(f"{name} is gone: the manifest lists it.")
    if len(added) > NAMED or len(missing) > NAMED:
        findings.fault(f"In all, {len(added):,} files were added and {len(missing):,} are gone.")
    if len(set(wanted)) < len(wanted):
        findings.fault("The manifest lists a file twice.")
    elif not added and not missing and names != expected:
        at = next(name for name, other in zip(names, expected, strict=True) if name != other)
        findings.fault(f"The files stand in another order than in the manifest, from {at} on.")
    elif not added and not missing:
        findings.holds(f"The archive holds {len(names):,} files in their order, and no other byte.")
    return not missing and len(set(wanted)) == len(wanted)


def _unpack(
    archive: Archive, manifest: Manifest, folder: Path, findings: Findings
) -> Generator[int, None, bool]:
    """Write the files of the manifest to ``folder``, and hold each against its hash; whether all are so."""
    changed: list[str] = []
    by_name = {member.name: member for member in archive.members}
    for listed in manifest.files:
        member = by_name.get(listed.path)
        if member is None:
            continue
        path = folder / listed.path
        try:
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    found = archive.copy(member, file.write)
        except ArchiveFault as fault:
            changed.append(str(fault))
            continue
        now = (found.size, found.sha256, found.packed_sha256)
        if now != (listed.bytes, listed.sha256, listed.packed_sha256):
            changed.append(f"{listed.path} was changed: its hash is not that of the manifest.")
        yield member.packed
    for text in changed[:NAMED]:
        findings.fault(text)
    if len(changed) > NAMED:
        findings.fault(f"In all, {len(changed):,} files were changed.")
    if not changed:
        findings.holds(f"The SHA-256 of {len(manifest.files):,} files is that of the manifest.")
    return not changed
