"""Writes an evidence pack: gathers, computes, hashes, signs. Nothing is left behind when it does not end."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from fairgen._version import __version__
from fairgen.common.files import disk_errors, now, replacing
from fairgen.errors import UserError
from fairgen.evidence.archive import ArchiveWriter
from fairgen.evidence.computed import INDEX, compute, json_bytes
from fairgen.evidence.facts import RunFacts, facts_of, models_of
from fairgen.evidence.identity import software_hash
from fairgen.evidence.inputs import Inputs, card_of, environment, find_runs, validation_files
from fairgen.evidence.manifest import (
    CHAIN,
    MANIFEST,
    SIGNATURE,
    TIMESTAMP,
    Manifest,
    PackedFile,
    PackedRun,
    PicturesIn,
)
from fairgen.provenance.documents import DocumentSigner
from fairgen.runs import RUN_FILE

__all__ = ["THIN_MB", "PackPlan", "WrittenPack", "plan_pack"]

THIN_MB = 25.0
_AS_THEY_ARE = (".png", ".jpg", ".jpeg", ".webp")
"""Packed already."""
_OVERHEAD = 400
"""Bytes of headers and of the manifest for a file, at most."""


@dataclass(frozen=True)
class WrittenPack:
    """What was written.

    Attributes:
        pictures, packed: how many the runs name, and how many are in the pack.
        signer: whose signature it bears; None: none.
    """

    path: Path
    files: int
    bytes: int
    pictures: int
    packed: int
    signer: str | None
    stamped: bool


@dataclass
class PackPlan:
    """A pack that can be written: its runs were read and found sound.

    Attributes:
        total: what `write` yields in all, in bytes of input.
    """

    inputs: Inputs
    facts: list[RunFacts]
    signer: DocumentSigner | None
    total: int

    def write(self, out: Path) -> Generator[int, None, WrittenPack]:
        """Write the pack; yields how many bytes of input were taken in. ``out`` is whole or not there.

        Raises:
            UserError: the disk refuses, the pack grows too large, or the timestamp authority does not answer.
        """
        with disk_errors(out), replacing(out) as made, made.open("w+b") as file:
            writer = ArchiveWriter(file)
            entries: list[PackedFile] = []
            computed, given = self._contents()
            # The page on top, then the rest by name.
            for path, content in sorted(
                (given | computed).items(), key=lambda one: (one[0] != INDEX, one[0])
            ):
                for step in writer.add(path, content, deflate=not path.endswith(_AS_THEY_ARE)):
                    yield 0 if path in computed else step
                found = writer.last
                entries.append(
                    PackedFile(
                        path=path,
                        bytes=found.size,
                        sha256=found.sha256,
                        packed_sha256=found.packed_sha256,
                        role="computed" if path in computed else "given",
                    )
                )
            manifest = self._manifest(entries).to_bytes()
            last = {MANIFEST: manifest}
            if self.signer is not None:
                last[SIGNATURE] = self.signer.sign(manifest)
                if (stamp := self.signer.stamp(last[SIGNATURE])) is not None:
                    last[TIMESTAMP] = stamp
            for name, content in last.items():
                yield from (0 for _ in writer.add(name, content, deflate=False))
            writer.close()
            size = file.tell()
        return WrittenPack(
            out,
            len(entries) + len(last),
            size,
            sum(len(one.pictures) for one in self.facts),
            sum(len(run.packed) for run in self.inputs.runs),
            self.signer.record.subject if self.signer else None,
            TIMESTAMP in last,
        )

    def _contents(self) -> tuple[dict[str, bytes], dict[str, bytes | Path]]:
        given: dict[str, bytes | Path] = {
            path: json_bytes(document) for path, document in self.inputs.documents.items()
        }
        for number, fingerprint in enumerate(models_of(self.facts), 1):
            if fingerprint in self.inputs.cards:
                given[f"models/{number}-card.md"] = self.inputs.cards[fingerprint]
        if self.signer is not None:
            given[CHAIN] = self.signer.chain
        for run in self.inputs.runs:
            given[f"runs/{run.name}/{RUN_FILE}"] = run.folder / RUN_FILE
            given |= {f"runs/{run.name}/{file}": run.folder / file for file in run.packed}
        return compute(self.inputs, self.facts), given

    def _manifest(self, entries: list[PackedFile]) -> Manifest:
        runs = [
            PackedRun(
                name=one.run.name,
                folder=one.run.title,
                lines=one.lines,
                pictures=len(one.pictures),
                packed=len(one.run.packed),
            )
            for one in self.facts
        ]
        return Manifest(
            fairgen=self.inputs.fairgen,
            software=software_hash(),
            created_at=self.inputs.created_at,
            pictures=self.inputs.pictures,
            runs=runs,
            signer=self.inputs.signer,
            files=entries,
        )


def plan_pack(
    runs: Sequence[Path],
    *,
    pictures: PicturesIn = "all",
    max_mb: float | None = None,
    signer: DocumentSigner | None = None,
    model_card: Path | None = None,
    created_at: datetime | None = None,
) -> PackPlan:
    """Read and check everything that goes into a pack.

    Args:
        runs: run folders (or their run.jsonl).
        pictures: which go in: "all"; "thin", the first places of every set, as many as ``max_mb`` allows; or
            "none".
        max_mb: size of a thin pack in megabytes; default: `THIN_MB`.
        signer: signs the manifest; None: the pack is not signed.
        model_card: the card of the model, where it does not lie in the model's folder.
        created_at: the time in the pack; default: now. With the same time, the same input gives the same
            bytes.

    Raises:
        UserError: a run is not sound or not finished, a file cannot be read, or the runs have several models
            and one card is named.
    """
    found = find_runs(runs)
    facts = [facts_of(run) for run in found]
    models = models_of(facts)
    if model_card is not None and len(models) > 1:
        raise UserError(
            f"--model-card names one card, and the runs are of {len(models)} models: pack them apart."
        )
    cards: dict[str, bytes] = {}
    words: dict[str, str] = {}
    for number, (fingerprint, model) in enumerate(models.items(), 1):
        card, words[str(number)] = card_of(model, model_card)
        if card is not None:
            cards[fingerprint] = card
    documents = validation_files() | {
        "environment.json": environment(),
        "models/cards.json": words,
        "records/repairs.json": {run.name: _repairs(run.folder) for run in found},
    }
    inputs = Inputs(
        __version__,
        created_at or now(),
        pictures,
        tuple(found),
        signer.record if signer else None,
        cards,
        documents,
    )
    plan = PackPlan(inputs, facts, signer, 0)
    if pictures == "all":
        _choose(plan, {one.run.name: one.pictures for one in facts})
    elif pictures == "thin":
        _choose(plan, _thin(plan, int((THIN_MB if max_mb is None else max_mb) * 1_000_000)))
    files = [run.folder / file for run in plan.inputs.runs for file in (RUN_FILE, *run.packed)]
    plan.total = sum(file.stat().st_size for file in files)
    return plan


def _choose(plan: PackPlan, chosen: dict[str, list[str]]) -> None:
    for one in plan.facts:
        one.run = replace(one.run, packed=frozenset(chosen[one.run.name]))
    plan.inputs = replace(plan.inputs, runs=tuple(one.run for one in plan.facts))


def _thin(plan: PackPlan, limit: int) -> dict[str, list[str]]:
    """Place by place over all sets, so that a few pictures are of many prompts.

    Raises `UserError` where the pack is larger than the limit without any picture.
    """
    computed, given = plan._contents()
    rest = sum(_packed_size(content) + _OVERHEAD for content in [*computed.values(), *given.values()])
    if rest > limit:
        raise UserError(
            f"Without any picture the pack has {rest / 1e6:.1f} MB, more than --max-mb {limit / 1e6:g}: "
            "raise it."
        )
    chosen: dict[str, list[str]] = {one.run.name: [] for one in plan.facts}
    room = limit - rest
    for one, file in _by_place(plan.facts):
        size = (one.run.folder / file).stat().st_size + _OVERHEAD
        if size > room:
            break
        room -= size
        chosen[one.run.name].append(file)
    return chosen


def _by_place(facts: list[RunFacts]) -> Iterator[tuple[RunFacts, str]]:
    sets = [(one, found) for one in facts for prompt in one.collected.sets for found in prompt.values()]
    seen: set[tuple[str, str]] = set()
    for place in range(max(len(found.inside) for _, found in sets)):
        for one, found in sets:
            file = found.inside[place].file if place < len(found.inside) else None
            if file is not None and (one.run.name, file) not in seen:
                seen.add((one.run.name, file))
                yield one, file


def _packed_size(content: bytes | Path) -> int:
    squeeze = zlib.compressobj(6)
    data = content if isinstance(content, bytes) else content.read_bytes()
    return len(squeeze.compress(data)) + len(squeeze.flush())


def _repairs(folder: Path) -> list[str]:
    """What was moved aside in a run folder, in sentences."""
    said = []
    found = (*folder.glob("broken-*"), *folder.glob("previous-*"))
    for place in sorted(path for path in found if path.is_dir()):
        pictures = sum(1 for _ in place.rglob("*.png"))
        why = "by `fairgen run check --repair`" if place.name.startswith("broken") else "by --force"
        said.append(f"{place.name}: {pictures:,} pictures and what belongs to them were moved aside {why}.")
    return said
