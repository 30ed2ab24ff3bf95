"""What steering leaves alone, how monotone it is, and what it costs, on the embedded model.

    python benchmarks/twins.py [--out benchmarks/twins.json]

Twins are pictures of the same seed, steered and unsteered. Costs are taken side by side in one run, medians.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import page_tables
import torch
import typer
from PIL import Image
from rich import print as show
from rich.progress import track
from scipy.stats import spearmanr

from fairgen.loop.calibrate import STRENGTHS
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.loading import load_diffusers
from fairgen.scoring.twins import likeness
from fairgen.steering import Steering, Technique, technique
from fairgen.steering.calibration import find_calibration
from fairgen.steering.prompt_variants import PromptVariants
from fairgen.steering.request import Request
from skin_tone import SCALES, SkinToneReader
from skin_tone.faces import FaceFinder
from tools.figures.stamp import CALIBRATIONS, MODEL, READERS, write_figures

PROMPTS = (
    "CEO", "judge", "doctor", "pilot", "teacher", "nurse", "chef", "musician", "janitor", "farm worker",
    "security guard", "garbage collector",
)  # fmt: skip
GUIDED = ("embedding", "semantic")
_OTHER_SEED = 10_000
_OUT = Path(__file__).with_suffix(".json")
Job = tuple[Request, Steering | None]


def _sample(generator: DiffusersModel, jobs: list[Job], label: str) -> list[Image.Image]:
    pictures = []
    for begin in track(range(0, len(jobs), 6), label, transient=True):
        batch = jobs[begin : begin + 6]
        pictures += generator.generate([job for job, _ in batch], batch[0][1])
    return pictures


def _calibrated(generator: DiffusersModel, name: str) -> Technique:
    """The technique as the loop would use it: window and strengths from the shipped calibration."""
    found = find_calibration(generator.info, name, (generator.folder or Path()) / "calibrations")
    made = technique(name, "ita6", found)
    if made is None or made.steering is None:
        raise SystemExit(f"{generator.info.name} ships no calibration of {name}: run fairgen calibrate first")
    return made


def twin_likeness(generator: DiffusersModel, finder: FaceFinder) -> dict[str, dict[str, float]]:
    """Landmark shift (interocular distances) and CIEDE2000 outside the face, against the unsteered twin."""
    classes = SCALES["ita6"].classes
    wanted = [(prompt, tone) for prompt in PROMPTS for tone in classes]
    seeds = list(range(len(wanted)))
    plain: list[Job] = [
        (Request(f"a portrait of a {p}", s), None) for (p, _), s in zip(wanted, seeds, strict=True)
    ]
    arms: dict[str, list[Job]] = {
        "another seed": [(Request(job.prompt, job.seed + _OTHER_SEED), None) for job, _ in plain]
    }
    words = PromptVariants("ita6")
    arms["prompt"] = [
        (Request(words.steer(job.prompt, [tone])[0].prompt, job.seed), None)
        for (job, _), (_, tone) in zip(plain, wanted, strict=True)
    ]
    for name in GUIDED:
        made = _calibrated(generator, name)
        arms[name] = [
            (
                Request(job.prompt, job.seed, strength=made.steer(job.prompt, [tone])[0].strength),
                made.steering,
            )
            for (job, _), (_, tone) in zip(plain, wanted, strict=True)
        ]
    twins = _sample(generator, plain, "unsteered")
    result = {}
    for name, jobs in arms.items():
        pictures = zip(_sample(generator, jobs, name), twins, strict=True)
        alike = [one for picture, twin in pictures if (one := likeness(picture, twin, finder))]
        shifts, changes = [one.shift for one in alike], [one.elsewhere for one in alike]
        result[name] = {
            "twins": len(alike),
            "landmark_shift_median": float(np.median(shifts)),
            "landmark_shift_90": float(np.quantile(shifts, 0.9)),
            "elsewhere_median": float(np.median(changes)),
            "elsewhere_90": float(np.quantile(changes, 0.9)),
        }
    return result


def dose_response(generator: DiffusersModel, reader: SkinToneReader) -> dict[str, Any]:
    """Rank correlation of nine strengths with the mean ITA, over all prompts and within each."""
    result = {}
    for name in GUIDED:
        steering = _calibrated(generator, name).steering
        means = []
        for prompt in track(PROMPTS, f"dose-response, {name}", transient=True):
            requests = [
                Request(f"a portrait of a {prompt}", seed, strength=s) for s in STRENGTHS for seed in (1, 2)
            ]
            pictures = [
                p
                for k in range(0, len(requests), 6)
                for p in generator.generate(requests[k : k + 6], steering)
            ]
            ita = [reader.read(picture)[0].ita for picture in pictures]
            values = np.array([np.nan if v is None else v for v in ita]).reshape(len(STRENGTHS), 2)
            means.append(np.nanmean(values, axis=1))
        table = np.array(means)
        without = [k for k, s in enumerate(STRENGTHS) if s]
        kept = [STRENGTHS[k] for k in without]
        result[name] = {
            "strengths": list(STRENGTHS),
            "mean_ita": np.round(table.mean(0), 1).tolist(),
            "spearman_of_means": float(spearmanr(STRENGTHS, table.mean(0)).statistic),
            # At 0 a prompt shows its own bias, so it is left out within one prompt.
            "spearman_median_prompt": float(
                np.median([spearmanr(kept, row[without]).statistic for row in table])
            ),
        }
    return result


def cost(generator: DiffusersModel, reader: SkinToneReader, rounds: int = 9) -> dict[str, float]:
    """Sampling time against the plain pipeline's, and reading time against it, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    requests = {
        s: [Request("a portrait of a chef", seed, strength=s) for seed in range(4)] for s in (0.0, 0.5)
    }
    arms: dict[str, tuple[float, Steering | None]] = {
        "plain": (0.0, None),
        **{name: (0.5, _calibrated(generator, name).steering) for name in GUIDED},
    }
    seconds: dict[str, list[float]] = {name: [] for name in [*arms, "reader"]}
    for turn in track(range(rounds + 1), "cost", transient=True):
        for name, (strength, steering) in arms.items():
            begun = time.perf_counter()
            pictures = generator.generate(requests[strength], steering)
            if turn:
                seconds[name].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        for picture in pictures:
            reader.read(picture)
        if turn:
            seconds["reader"].append(time.perf_counter() - begun)
    torch.set_num_threads(threads)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {"seconds_per_picture": middle["plain"] / 4} | {
        f"{name}_ratio": middle[name] / middle["plain"] for name in (*GUIDED, "reader")
    }


def main(
    out: Annotated[Path, typer.Option(help="Write the figures here as JSON.")] = _OUT,
) -> None:
    """Measure and print."""
    generator = load_diffusers("embedded")
    result: dict[str, Any] = {"command": "python benchmarks/twins.py"}
    with SkinToneReader() as reader, FaceFinder(1) as finder:
        result["cost"] = cost(generator, reader)
        show(result["cost"])
        result["likeness"] = twin_likeness(generator, finder)
        show(result["likeness"])
        result["dose_response"] = dose_response(generator, reader)
        show(result["dose_response"])
    write_figures(out, result, [MODEL, CALIBRATIONS, READERS])
    page_tables.put("twins", _tables(result))


def _tables(result: dict[str, Any]) -> str:
    likeness_rows = [
        [name, str(row["twins"])]
        + [f"{row[key]:.3f}" for key in ("landmark_shift_median", "landmark_shift_90")]
        + [f"{row[key]:.2f}" for key in ("elsewhere_median", "elsewhere_90")]
        for name, row in result["likeness"].items()
    ]
    dose_rows = [
        [name, f"{row['spearman_of_means']:.3f}", f"{row['spearman_median_prompt']:.3f}"]
        + [f"{v:.0f}" for v in row["mean_ita"]]
        for name, row in result["dose_response"].items()
    ]
    costs = result["cost"]
    cost_rows = [[name, f"{costs[f'{name}_ratio']:.2f}"] for name in (*GUIDED, "reader")]
    titles = (
        "against the unsteered twin",
        "twins",
        "landmark shift, median",
        "90 %",
        "CIEDE2000 elsewhere, median",
        "90 %",
    )
    doses = ("technique", "rank correlation", "within a prompt", *(f"{s:+.1f}" for s in STRENGTHS))
    return "\n\n".join(
        (
            page_tables.table(titles, likeness_rows),
            page_tables.table(doses, dose_rows),
            page_tables.table(("time against plain sampling", "ratio"), cost_rows),
            f"Plain sampling: {costs['seconds_per_picture']:.2f} s a picture in batches of 4.",
        )
    )


if __name__ == "__main__":
    typer.run(main)
