"""Runs to pack as evidence, and packs that were tampered with: by strangers, and by whoever holds the key."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from fairgen.audit.plan import plan_audit
from fairgen.audit.runner import Audit
from fairgen.evidence.archive import ArchiveWriter
from fairgen.evidence.manifest import CHAIN, MANIFEST, SIGNATURE, Manifest, PackedFile
from fairgen.provenance.documents import DocumentSigner
from fairgen.runs import RUN_FILE
from fairgen.runs.chain import chained
from fairgen.targets import load_spec
from tests.doubles.session_doubles import ConfusedGenerator, InfoReader

WHEN = datetime.now(UTC).replace(microsecond=0)
"""Within the tests' certificates, which are valid from the day before they were made."""
LIST = "# [high]\na doctor\n# [low]\na janitor\n"
Files = dict[str, bytes]


def make_run(folder: Path) -> Path:
    """A small audit of an approved spec, with pictures that are discarded or not read, and filled places."""
    folder.mkdir(parents=True, exist_ok=True)
    prompts = folder / "prompts.txt"
    prompts.write_text(LIST)
    spec = load_spec("uniform").approved("A. Person", date(2026, 11, 27))
    plan = plan_audit(prompts, spec, count=5, arms=("none", "prompt"), max_tries=2, seed=4)
    model = ConfusedGenerator(spread=18.0, unreadable=0.1, plain=25.0)
    run = folder / "small-audit"
    for _ in Audit(plan, model, InfoReader(), run, batch_size=4).run():
        pass
    return run


def files_in(pack: Path) -> Files:
    """Name -> content, in the order of the pack."""
    with zipfile.ZipFile(pack) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write_files(pack: Path, files: Mapping[str, bytes], stored: frozenset[str] = frozenset()) -> None:
    """An archive of exactly these files, as fairgen lays it out."""
    with pack.open("w+b") as file:
        writer = ArchiveWriter(file)
        for name, content in files.items():
            plain = name.endswith(".png") or name.startswith("manifest.") or name in stored
            for _ in writer.add(name, content, deflate=not plain):
                pass
        writer.close()


@dataclass
class Insider:
    """Whoever holds the key: writes a manifest that fits whatever the files say, and signs it."""

    signer: DocumentSigner | None

    def write(self, pack: Path, files: Files, change: Callable[[Manifest], Manifest] | None = None) -> None:
        manifest = self.manifest(files)
        if change is not None:
            manifest = change(manifest)
        content = manifest.to_bytes()
        done = {name: data for name, data in files.items() if not name.startswith("manifest.")}
        done[MANIFEST] = content
        if self.signer is not None:
            done[SIGNATURE] = self.signer.sign(content)
        write_files(pack, done)

    def manifest(self, files: Files) -> Manifest:
        """The old one with the hashes of these files."""
        old = Manifest.model_validate_json(files[MANIFEST])
        roles = {file.path: file.role for file in old.files}
        entries = []
        for path, data in files.items():
            if path.startswith("manifest."):
                continue
            entries.append(
                PackedFile(
                    path=path,
                    bytes=len(data),
                    sha256=f"sha256:{hashlib.sha256(data).hexdigest()}",
                    packed_sha256=_packed(path, data),
                    role=roles.get(path, "given"),
                )
            )
        record = self.signer.record if self.signer else None
        return old.model_copy(update={"files": entries, "signer": record})

    def forged(self, pack: Path, out: Path, change: Callable[[Files], Files | None]) -> Path:
        """The pack with other files, and a manifest and a signature that fit them."""
        files = files_in(pack)
        if self.signer is not None:
            files[CHAIN] = self.signer.chain
        self.write(out, change(files) or files)
        return out


def _packed(path: str, data: bytes) -> str | None:
    import zlib

    if path.endswith(".png"):
        return None
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = squeeze.compress(data) + squeeze.flush()
    return f"sha256:{hashlib.sha256(packed).hexdigest()}"


def run_file(files: Files) -> str:
    """The name of the only run file."""
    return next(name for name in files if name.endswith(f"/{RUN_FILE}"))


def rechained(lines: list[bytes]) -> bytes:
    """Lines of a run file, linked anew: what somebody does who knows how the links are made."""
    done, link = [], ""
    for line in lines:
        new, link = chained(line, link)
        done.append(new)
    return b"".join(done)


def edited_records(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A run file with each record changed, linked anew."""
    lines = []
    for line in data.splitlines(keepends=True):
        record = json.loads(line)
        record.pop("chain", None)
        change(record)
        lines.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")
    return rechained(lines)
