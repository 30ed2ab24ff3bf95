"""Each technique, open and closed loop, on the embedded model; writes the tables of docs/benchmarks.md.

    python benchmarks/steering.py run --work FOLDER      # resumes where it stopped
    python benchmarks/steering.py tables --work FOLDER   # prints them, writes benchmarks/steering.json

Finished sets are in that file, too: a run in a new folder goes on from there.

Every set is one session of `fairgen.loop.session`, on prompts that no calibration has seen. Pictures are
read by the first reader, which the loop steers by, and once more by the second, which it never sees. The two
closed loops of a prompt and seed ask for mostly the same pictures; each of these is made once.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import page_tables
import typer
from rich.console import Console
from rich.progress import Progress

from tools.figures.stamp import CALIBRATIONS, KEY, MODEL, READERS, hold_work, identities, write_figures

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.models.contract import Model
    from fairgen.runs import ModelInfo
    from fairgen.steering import Steering
    from fairgen.steering.calibration import Calibration
    from fairgen.steering.request import Request
    from skin_tone import SkinToneReader
    from skin_tone.second import SecondReader

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()
_HERE = Path(__file__).resolve().parent

PROMPTS = (
    "CEO", "judge", "doctor", "pilot", "teacher", "nurse", "chef", "musician", "janitor", "farm worker",
    "security guard", "garbage collector",
)  # fmt: skip
"""Four each of the contexts with a light, a mixed and a dark bias."""
_FILE = _HERE / "steering.json"
_COMMAND = "python benchmarks/steering.py run --work FOLDER; then tables --work FOLDER"
SKEWED = (0.4, 0.3, 0.1, 0.1, 0.05, 0.05)
OF = (MODEL, CALIBRATIONS, READERS)
LOOPS = {"open": (False, 1), "closed": (True, 1), "closed, 4 tries": (True, 4)}


@dataclass(frozen=True)
class Task:
    """One set of pictures."""

    part: str
    technique: str
    loop: str
    prompt: str
    seed: int
    count: int = 30
    scale: str = "ita6"
    skewed: bool = False


def tasks() -> Iterator[Task]:
    """All sets, the most telling first."""
    arms = [("none", "open")] + [(t, loop) for t in ("embedding", "prompt", "semantic") for loop in LOOPS]
    for seed in range(3):
        for technique, loop in arms:
            for prompt in PROMPTS:
                yield Task("uniform", technique, loop, prompt, seed)
    for loop in ("closed", "closed, 4 tries"):
        for prompt in PROMPTS:
            yield Task("skewed", "embedding", loop, prompt, 0, skewed=True)
            yield Task("monk10", "embedding", loop, prompt, 0, scale="monk10")
            for seed in range(3):
                yield Task("n = 6", "embedding", loop, prompt, seed, count=6)
        for prompt in PROMPTS[::3]:
            yield Task("n = 100", "embedding", loop, prompt, 0, count=100)


def together(missing: Sequence[Task]) -> list[list[Task]]:
    """Sets of which most pictures are the same, to be made one after the other by one process."""
    groups: dict[Task, list[Task]] = {}
    for task in missing:
        groups.setdefault(replace(task, loop=task.loop.partition(",")[0]), []).append(task)
    return list(groups.values())


class Remembering:
    """A model that makes a picture once, however often it is asked for it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._made: dict[tuple[str, int, float, str], Image.Image] = {}
        self.threads = model.threads
        self.default_batch_size = model.default_batch_size
        self.chosen_technique = model.chosen_technique
        self.check_prompts, self.check_techniques = model.check_prompts, model.check_techniques

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    def calibration(self, technique: str) -> Calibration | None:
        return self._model.calibration(technique)

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        keys = [(r.prompt, r.seed, r.strength, repr(sorted(r.extra.items()))) for r in requests]
        new = [pair for pair in zip(keys, requests, strict=True) if pair[0] not in self._made]
        if new:
            pictures = self._model.generate([request for _, request in new], steering)
            self._made |= zip((key for key, _ in new), pictures, strict=True)
        return [self._made[key] for key in keys]


def _run_group(group: Sequence[Task]) -> list[dict[str, Any]]:
    import torch

    import fairgen
    from skin_tone import SkinToneReader
    from skin_tone.second import SecondReader

    torch.set_num_threads(1)
    held = _run_group.__dict__
    if "generator" not in held:
        held.update(generator=fairgen.load_model("embedded"), reader=SkinToneReader(), second=SecondReader())
    model = Remembering(held["generator"])
    return [_run(task, model, held["reader"], held["second"]) for task in group]


def _run(task: Task, model: Model, reader: SkinToneReader, second_reader: SecondReader) -> dict[str, Any]:
    import fairgen
    from fairgen.loop.events import Filled, Finished, PictureDone
    from fairgen.targets import spec_from_shares
    from skin_tone import SCALES

    classes = SCALES[task.scale].classes
    shares = SKEWED if task.skewed else [1 / len(classes)] * len(classes)
    spec = spec_from_shares(
        ",".join(f"{name}={share!r}" for name, share in zip(classes, shares, strict=True)), scale=task.scale
    )
    feedback, tries = LOOPS[task.loop]
    pictures: dict[int, Any] = {}
    images: dict[int, Any] = {}
    replaced: dict[int, int] = {}
    summary: Any = None
    for event in fairgen.run_session(
        model,
        reader,
        f"a portrait of a {task.prompt}",
        spec,
        task.count,
        steering=task.technique,
        seed=task.seed,
        batch_size=4,
        max_tries=tries,
        feedback=feedback,
    ):
        if isinstance(event, PictureDone):
            pictures[event.record.index], images[event.record.index] = event.record, event.image
        elif isinstance(event, Filled):
            replaced[event.record.index] = event.record.slot
        elif isinstance(event, Finished):
            summary = event.summary
    kept = [p for p in pictures.values() if p.decision == "kept" or p.index in replaced]
    second = Counter(second_reader.read(images[p.index])[0].classes.get(task.scale) for p in kept)
    place = {name: k for k, name in enumerate(classes)}
    asked = [p for p in pictures.values() if p.wanted is not None and p.measured is not None]
    misses = [abs(place[p.wanted] - place[p.measured]) for p in asked]
    return asdict(task) | {
        "tv": summary.tv,
        "alignment_error": summary.alignment_error,
        "generated": summary.generated,
        "abstained": summary.abstained,
        "measured": summary.measured,
        "second": {name: second[name] for name in classes},
        "hits": sum(m == 0 for m in misses),
        "near": sum(m <= 1 for m in misses),
        "asked": len(asked),
    }


def _done(work: Path) -> dict[Task, dict[str, Any]]:
    """The sets that are made: those of the folder, and those of the file where it is of what ships."""
    path = work / "sets.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if _FILE.exists():
        kept = json.loads(_FILE.read_text(encoding="utf-8"))
        if kept[KEY]["of"] == {name: identities()[name] for name in OF}:
            rows = kept["sets"] + rows
    return {Task(**{k: row[k] for k in Task.__dataclass_fields__}): row for row in rows}


@app.command()
def run(
    work: Annotated[Path, typer.Option(help="Folder for finished sets.")],
    workers: int = 2,
    part: Annotated[str | None, typer.Option(help="Only this part.")] = None,
    technique: Annotated[str | None, typer.Option(help="Only this technique.")] = None,
    loop: Annotated[str | None, typer.Option(help="Only this loop.")] = None,
) -> None:
    """Make the sets that are still missing."""
    os.environ["OMP_NUM_THREADS"] = "1"
    hold_work(work, OF)
    done = _done(work)
    missing = [
        task
        for task in tasks()
        if task not in done
        and part in (None, task.part)
        and technique in (None, task.technique)
        and loop in (None, task.loop)
    ]
    with Progress() as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task("sets", total=len(missing))
        with (work / "sets.jsonl").open("a") as out:
            for future in as_completed([pool.submit(_run_group, group) for group in together(missing)]):
                out.writelines(json.dumps(row) + "\n" for row in future.result())
                out.flush()
                progress.advance(bar, len(future.result()))


def _tv(counts: dict[str, int], row: dict[str, Any]) -> float:
    shares = SKEWED if row["skewed"] else [1 / len(counts)] * len(counts)
    total = max(1, sum(counts.values()))
    return 0.5 * sum(abs(n / total - q) for n, q in zip(counts.values(), shares, strict=True))


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over sets; the worst prompt is judged by its mean over seeds."""
    by_prompt: dict[str, list[float]] = {}
    for row in rows:
        by_prompt.setdefault(row["prompt"], []).append(row["tv"])
    asked = sum(row["asked"] for row in rows)
    second = [_tv(row["second"], row) for row in rows if row["second"] is not None]
    return {
        "sets": len(rows),
        "tv": float(np.mean([row["tv"] for row in rows])),
        "worst_prompt_tv": max(float(np.mean(v)) for v in by_prompt.values()),
        "alignment_error": float(np.mean([row["alignment_error"] for row in rows])),
        "generated_per_kept": float(np.mean([row["generated"] / row["count"] for row in rows])),
        "not_read": sum(row["abstained"] for row in rows) / sum(row["generated"] for row in rows),
        "hit": sum(row["hits"] for row in rows) / asked if asked else None,
        "within_one": sum(row["near"] for row in rows) / asked if asked else None,
        # Only where every set was read by the present second reader.
        "tv_second_reader": float(np.mean(second)) if len(second) == len(rows) else None,
    }


@app.command()
def tables(work: Annotated[Path, typer.Option(help="Folder of finished sets.")]) -> None:
    """Print the table, put it into docs/benchmarks.md, and write benchmarks/steering.json."""
    hold_work(work, OF)
    done = _done(work)
    rows, missing = list(done.values()), sum(task not in done for task in tasks())
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    order = {task: place for place, task in enumerate(tasks())}
    rows.sort(key=lambda row: order[Task(**{k: row[k] for k in Task.__dataclass_fields__})])
    for row in rows:
        groups.setdefault((row["part"], row["technique"], row["loop"]), []).append(row)
    result = [
        {"part": part, "technique": technique, "loop": loop} | summarise(members)
        for (part, technique, loop), members in groups.items()
    ]
    names = (
        "tv", "worst_prompt_tv", "alignment_error", "generated_per_kept", "hit", "within_one",
        "tv_second_reader", "not_read",
    )  # fmt: skip
    titles = (
        "part", "technique", "loop", "sets", "TV", "worst prompt", "alignment error", "made per kept", "hit",
        "within one", "TV, second reader", "not read",
    )  # fmt: skip
    cells = [
        [row["part"], row["technique"], row["loop"], str(row["sets"])]
        + ["–" if row[n] is None else f"{row[n]:.{4 if n == 'alignment_error' else 3}f}" for n in names]
        for row in result
    ]
    text = page_tables.table(titles, cells)
    if missing:
        text += (
            f"\n\n{len(rows)} of {len(order)} sets are made; `make figures ONLY=steering` makes the others."
        )
    print(text)
    page_tables.put("steering", text)
    document = {"command": _COMMAND, "missing": missing, "rows": result, "sets": rows}
    write_figures(_FILE, document, OF, flat=True)


if __name__ == "__main__":
    app()
