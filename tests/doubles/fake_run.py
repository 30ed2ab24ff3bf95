"""A run folder made of drawn faces: what the report, the tables and the command line are tested on without
a model.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, ImageDraw

from fairgen.runs import ModelInfo, PictureRecord, ReadingDocument, RunWriter, SessionRecord, Summary
from skin_tone.colour import hex_to_lab, ita
from skin_tone.scales import SCALES

ITA6 = SCALES["ita6"]
SKEWED = {"very_light": 17, "light": 8, "intermediate": 3, "tan": 1}
EVEN = dict.fromkeys(ITA6.classes, 5)


def draw_face(path: Path, tone: str, seed: int) -> None:
    """A head and shoulders in flat colours; ``tone`` is ``#rrggbb``."""
    rng = random.Random(seed)
    ground = (rng.randint(120, 215), rng.randint(120, 215), rng.randint(120, 215))
    cloth = (rng.randint(30, 140), rng.randint(30, 140), rng.randint(30, 140))
    hair = rng.choice(["#2a1d16", "#4b3222", "#111111", "#8a7a66", "#6b4a2b"])
    picture = Image.new("RGB", (256, 256), ground)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((28, 186, 228, 340), fill=cloth)
    draw.rectangle((106, 150, 150, 206), fill=tone)
    draw.ellipse((70, 38, 186, 160), fill=hair)
    draw.ellipse((78, 56, 178, 186), fill=tone)
    for x in (108, 148):
        draw.ellipse((x - 7, 108, x + 7, 117), fill="white")
        draw.ellipse((x - 3, 109, x + 3, 116), fill="#222222")
    draw.arc((110, 134, 146, 162), 20, 160, fill="#00000088", width=3)
    picture.resize((128, 128), Image.Resampling.LANCZOS).save(path)


def reading(tone: str) -> ReadingDocument:
    """The JSON of a reading of skin of that colour."""
    lab = hex_to_lab(tone)
    angle = ita(lab)
    return {
        "box": [20, 24, 108, 112],
        "lab": list(lab),
        "ita": angle,
        "probabilities": {name: scale.probabilities(angle, 5.0) for name, scale in SCALES.items()},
        "classes": {name: scale.classify(angle) for name, scale in SCALES.items()},
        "abstained": None,
    }


def tone_of(key: str, seed: int) -> str:
    """The class's swatch, shifted a little."""
    value = int(ITA6.swatches[key][1:], 16)
    shift = random.Random(seed).randint(-3, 3)
    return "#" + "".join(f"{min(255, max(0, (value >> s & 255) + shift)):02x}" for s in (16, 8, 0))


def write_fake_run(
    folder: Path,
    *,
    prompt: str = "a portrait of a CEO",
    arms: tuple[str, ...] = ("none", "prompt"),
    finish: bool = True,
) -> Path:
    """Write pictures and run.jsonl of an unsteered and a steered session of 30; returns the folder."""
    with RunWriter(folder, fairgen_version="0.1.0") as writer:
        for arm in arms:
            _session(writer, folder, prompt, steering=arm, finish=finish)
    return folder


def _session(writer: RunWriter, folder: Path, prompt: str, *, steering: str, finish: bool) -> None:
    steered = steering != "none"
    name = "steered" if steered else "unsteered"
    (folder / name).mkdir(parents=True)
    count = 30
    head = SessionRecord(
        session=name,
        started_at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
        prompt=prompt,
        count=count,
        seed=0,
        steering=steering,
        steered=steered,
        spec={
            "name": "uniform-ita6",
            "version": 1,
            "scale": "ita6",
            "target": dict.fromkeys(ITA6.classes, 1 / 6),
        },
        spec_hash="sha256:" + "5f" * 32,
        scale="ita6",
        classes=list(ITA6.classes),
        target=dict.fromkeys(ITA6.classes, 1 / 6),
        requested=EVEN,
        round_size=4,
        max_tries=4,
        batch_size=4,
        model=ModelInfo(
            name="embedded",
            source="embedded",
            pipeline="StableDiffusionPipeline",
            scheduler="DPMSolverMultistepScheduler",
            device="cpu",
            dtype="float32",
            steps=14,
            guidance_scale=2.0,
            height=128,
            width=128,
            weights={"unet/diffusion_pytorch_model.safetensors": "sha256:" + "ab" * 32},
            versions={"diffusers": "0.42.0", "python": "3.11.9", "torch": "2.13.0"},
        ),
    )
    writer.write(head)
    plan: list[tuple[str | None, str, str | None]] = []
    if steered:
        plan = [(k, "kept", k) for k in ITA6.classes for _ in range(5)]
        random.Random(3).shuffle(plan)
        plan += [
            ("very_light", "discarded", "light"),
            ("light", "discarded", "tan"),
            (None, "abstained", "dark"),
        ]
    else:
        plan = [(k, "kept", None) for k, n in SKEWED.items() for _ in range(n)] + [(None, "abstained", None)]
        random.Random(4).shuffle(plan)
    measured = dict.fromkeys(ITA6.classes, 0)
    for index, (key, decision, wanted) in enumerate(plan):
        tone = tone_of(key or "intermediate", index)
        file = f"{name}/{index:03d}.png"
        draw_face(folder / file, tone, index)
        if decision == "kept" and key:
            measured[key] += 1
        writer.write(
            PictureRecord(
                session=name,
                index=index,
                slot=index % count,
                attempt=index // count,
                round=index // 4,
                seed=1000 + index,
                prompt=prompt,
                wanted=wanted,
                word=None,
                measured=key,
                abstained=None if key else "no_face",
                decision="kept"
                if decision == "kept"
                else "discarded"
                if decision == "discarded"
                else "abstained",
                file=file,
                seconds=0.8,
                readings=[reading(tone)] if key else [{"box": None, "abstained": "no_face"}],
            )
        )
    if finish:
        kept = sum(measured.values())
        tv = 0.5 * sum(abs(n / kept - 1 / 6) for n in measured.values())
        writer.write(
            Summary(
                session=name,
                prompt=prompt,
                model="embedded",
                device="cpu",
                spec="uniform-ita6",
                spec_hash=head.spec_hash,
                scale="ita6",
                classes=head.classes,
                target=head.target,
                steering=steering,
                steered=steered,
                notes=[],
                seed=0,
                count=count,
                requested=EVEN,
                first_pass=measured,
                first_pass_abstained=0,
                measured=measured,
                kept=kept,
                generated=len(plan),
                discarded=2 if steered else 0,
                abstained=1,
                abstentions={"no_face": 1},
                filled=0,
                missing=count - kept,
                words={},
                tv=tv,
                alignment_error=0.0,
                fd=0.0,
                kl=0.0,
                noise_floor_tv=0.16,
                first_pass_tv=tv,
                seconds=30.0,
                out=str(folder),
            )
        )
