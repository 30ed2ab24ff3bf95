"""An audit's run folder made of drawn faces: several prompts in groups, three arms, no model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fairgen.quota import allocate
from fairgen.runs import (
    AuditPrompt,
    AuditRecord,
    FillRecord,
    Host,
    ModelInfo,
    PictureRecord,
    RunWriter,
    SessionRecord,
)
from fairgen.scoring.sets import summarise
from tests.doubles.fake_run import ITA6, draw_face, reading, tone_of

UNIFORM = dict.fromkeys(ITA6.classes, 1 / 6)
ARMS = ("none", "prompt", "embedding")
SKEW = {"high": 0.6, "middle": 2.2, "low": 4.2}
"""Mean class (0 lightest) of an unsteered set, by group; 2.5 in any other."""
MODEL = ModelInfo(
    name="embedded",
    source="embedded",
    pipeline="StableDiffusionPipeline",
    scheduler="DPMSolverMultistepScheduler",
    device="cpu",
    dtype="float32",
    steps=12,
    guidance_scale=1.5,
    height=128,
    width=128,
    weights={"unet/diffusion_pytorch_model.safetensors": "sha256:" + "ab" * 32},
    versions={"diffusers": "0.42.0", "python": "3.11.9", "torch": "2.13.0"},
)


def spec_document(name: str = "uniform-ita6", **changes: Any) -> dict[str, Any]:
    """A spec as a run file holds it."""
    return {
        "name": name,
        "version": 1,
        "scale": "ita6",
        "target": UNIFORM,
        "source": "uniform",
        "about": "An ideal in skin-tone space, and no population: each class is to be seen equally often.",
        "why": "It needs no evidence about people.",
        "declared_by": "A. Person",
        "declared_on": "2026-11-20",
    } | changes


def write_fake_audit(
    folder: Path,
    prompts: Sequence[tuple[str, str | None]],
    *,
    count: int = 12,
    arms: Sequence[str] = ARMS,
    targets: Sequence[dict[str, float]] = (),
    unfinished: Sequence[str] = (),
    header: bool = True,
) -> Path:
    """Write pictures and run.jsonl; returns the folder.

    The unsteered arm follows `SKEW` by group and reads one picture in thirty not at all; the steered ones
    meet the quota after a discarded picture and one that fills a place of another class.

    Args:
        targets: of each prompt; default: uniform.
        unfinished: sessions (``p0.none`` ...) that stop half way and have no summary.
        header: False leaves out the audit's own record.
    """
    faces = _faces(folder)
    documents = [
        spec_document(f"spec-{i}", target=target, source="user") for i, target in enumerate(targets)
    ] or [spec_document()]
    hashes = [f"sha256:{i:064x}" for i in range(len(documents))]
    entries = [
        AuditPrompt(
            name=f"p{i}",
            prompt=prompt,
            group=group,
            spec=hashes[i % len(hashes)],
            count=count,
            seed=i,
            turn=i,
        )
        for i, (prompt, group) in enumerate(prompts)
    ]
    with RunWriter(folder, fairgen_version="0.1.0") as writer:
        if header:
            writer.write(_header(entries, dict(zip(hashes, documents, strict=True)), arms))
        for i, entry in enumerate(entries):
            for arm in arms:
                name = f"{entry.name}.{arm}"
                _session(
                    writer, name, entry, documents[i % len(documents)], arm, faces, half=name in unfinished
                )
    return folder


def _header(entries: list[AuditPrompt], specs: dict[str, dict[str, Any]], arms: Sequence[str]) -> AuditRecord:
    return AuditRecord(
        started_at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
        prompts_file="list.txt",
        prompts_hash="sha256:" + "cd" * 32,
        prompts=entries,
        specs=specs,
        arms=list(arms),
        seed=0,
        tolerance=0.1,
        max_tries=4,
        round_size=4,
        batch_size=4,
        side_by_side=1,
        fairgen="0.1.0",
        fairgen_commit="0123abc",
        git_commit=None,
        calibrations={"embedding": "sha256:" + "ef" * 32},
        host=Host(platform="Linux 6.1", machine="x86_64", processor="A processor", cores=2, device=""),
        model=MODEL,
    )


def _faces(folder: Path) -> dict[str, list[str]]:
    (folder / "faces").mkdir(parents=True)
    files: dict[str, list[str]] = {}
    for key in ITA6.classes:
        for seed in range(3):
            file = f"faces/{key}_{seed}.png"
            draw_face(folder / file, tone_of(key, seed), seed)
            files.setdefault(key, []).append(file)
    return files


def _session(
    writer: RunWriter,
    name: str,
    entry: AuditPrompt,
    document: dict[str, Any],
    arm: str,
    faces: dict[str, list[str]],
    *,
    half: bool,
) -> None:
    rng = random.Random(name)
    target: dict[str, float] = document["target"]
    steered = arm != "none"
    head = SessionRecord(
        session=name,
        started_at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
        prompt=entry.prompt,
        count=entry.count,
        seed=entry.seed,
        steering=arm,
        steered=steered,
        spec=document,
        spec_hash=entry.spec,
        scale="ita6",
        classes=list(ITA6.classes),
        target=target,
        requested=allocate(target, entry.count, "exact", seed=entry.seed, turn=entry.turn),
        round_size=4,
        max_tries=4 if steered else 1,
        batch_size=4,
        model=MODEL,
    )
    writer.write(head)
    pictures: list[PictureRecord] = []
    fills: list[FillRecord] = []

    def add(
        slot: int, attempt: int, wanted: str | None, measured: str | None, decision: Any
    ) -> PictureRecord:
        shown = measured or "tan"
        file = rng.choice(faces[shown])
        tone = tone_of(shown, rng.randrange(1000))
        pictures.append(
            PictureRecord(
                session=name,
                index=len(pictures),
                slot=slot,
                attempt=attempt,
                round=len(pictures) // 4,
                seed=1000 * entry.seed + 100 * attempt + slot,
                prompt=entry.prompt,
                wanted=wanted,
                word=None,
                steering={"strength": 0.5} if steered else {},
                measured=measured,
                abstained=None if measured else "no_face",
                decision=decision,
                file=file,
                seconds=0.4,
                readings=[reading(tone)] if measured else [{"box": None, "abstained": "no_face"}],
            )
        )
        writer.write(pictures[-1])
        return pictures[-1]

    if steered:
        quota = [key for key, number in head.requested.items() for _ in range(number)]
        rng.shuffle(quota)
        for slot, key in enumerate(quota[: entry.count // 2] if half else quota[:-1]):
            if slot == 1:
                add(slot, 0, key, rng.choice(ITA6.classes), "discarded")
            add(slot, int(slot == 1), key, key, "kept")
        if not half:
            last = add(len(quota) - 1, 0, quota[-1], "tan", "discarded")
            fills.append(
                FillRecord(
                    session=name,
                    index=last.index,
                    slot=last.slot,
                    missing=quota[-1],
                    measured="tan",
                    file=last.file,
                )
            )
            writer.write(fills[-1])
    else:
        for slot in range(entry.count // 2 if half else entry.count):
            place = min(max(round(rng.gauss(SKEW.get(entry.group or "", 2.5), 1.0)), 0), 5)
            seen: str | None = None if rng.random() < 1 / 30 else ITA6.classes[place]
            add(slot, 0, None, seen, "kept" if seen else "abstained")
    if not half:
        writer.write(summarise(head, pictures, fills, seconds=5.0, out=None))
