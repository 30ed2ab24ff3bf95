"""What steering costs in time and memory, against the plain pipeline, side by side in one run.

    python benchmarks/steering_cost.py [--rounds 15] [--steps 12] [--technique embedding] [--processes 3]

Each round samples a batch of the embedded model plainly and then steered, in turns, after one call of each
that does not count (it encodes the prompt's tones, which are kept). Printed: medians of both, and the median
ratio of the pairs. Time is the process's CPU time, so that other programs on the machine count little. Memory
is the peak of a process that does nothing else, libraries included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

PROMPT = "a portrait of a doctor"
PICTURES = 4


def sampler(steps: int, technique: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Functions that sample a batch plainly, and steered."""
    import torch

    from fairgen.models.loading import load_diffusers
    from fairgen.steering.guidance import ToneGuidance

    torch.set_num_threads(1)
    model = load_diffusers("embedded", "cpu", steps=steps)
    kept: dict[str, Any] = {}

    def sample(*, steered: bool) -> Any:
        seeds = [torch.Generator().manual_seed(seed) for seed in range(PICTURES)]
        strengths = [-0.9, -0.3, 0.4, 1.0]
        guidance = ToneGuidance(model.pipe, strength=strengths, technique=technique, memory=kept)
        with guidance if steered else nullcontext():
            return model.pipe(
                [PROMPT] * PICTURES,
                generator=seeds,
                num_inference_steps=steps,
                guidance_scale=model.info.guidance_scale,
                output_type="np",
            ).images

    return (lambda: sample(steered=False)), (lambda: sample(steered=True))


def times(rounds: int, steps: int, technique: str) -> dict[str, float]:
    """Medians in seconds of CPU time, and of the ratio of each pair."""
    plain, steered = sampler(steps, technique)
    plain()
    steered()
    pairs = []
    for number in range(rounds):
        order = (plain, steered) if number % 2 == 0 else (steered, plain)
        spent = {}
        for work in order:
            begin = time.process_time()
            work()
            spent[work is steered] = time.process_time() - begin
        pairs.append((spent[False], spent[True]))
    return {
        "plain_seconds": round(statistics.median(p for p, _ in pairs), 3),
        "steered_seconds": round(statistics.median(s for _, s in pairs), 3),
        "time_ratio": round(statistics.median(s / p for p, s in pairs), 3),
    }


def peak(kind: str, steps: int, technique: str) -> float:
    """Peak memory in MiB of a process that samples three batches of one kind."""
    code = (
        "from pathlib import Path; from steering_cost import sampler\n"
        f"work = sampler({steps}, {technique!r})[{int(kind == 'steered')}]\n"
        "for _ in range(3): work()\n"
        # Not getrusage: its peak is inherited from the parent.
        "print(int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) / 1024)"
    )
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=here)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--technique", default="embedding", choices=["embedding", "semantic"])
    parser.add_argument("--processes", type=int, default=3, help="of each kind, for the peak of memory")
    given = parser.parse_args()
    asked = {"technique": given.technique, "steps": given.steps, "pictures": PICTURES, "rounds": given.rounds}
    print(json.dumps(asked | times(given.rounds, given.steps, given.technique)), flush=True)
    found = {}
    for kind in ("plain", "steered"):
        peaks = [peak(kind, given.steps, given.technique) for _ in range(given.processes)]
        found[f"{kind}_mib"] = round(statistics.median(peaks), 1)
    found["memory_ratio"] = round(found["steered_mib"] / found["plain_mib"], 3)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
