"""Result files of the known-bias bench, for its tests."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from fairgen.bench.result import BenchPlan, BenchResult, MethodRecord, bench_set, figures_of
from fairgen.models.known_bias import ToneLaw
from skin_tone.identity import identity
from skin_tone.scales import SCALES
from tests.doubles.session_doubles import INFO

ROOT = Path(__file__).resolve().parents[2]
CLASSES = SCALES["ita6"].classes
UNIFORM = dict.fromkeys(CLASSES, 1 / 6)
LAWS = st.builds(ToneLaw, low=st.floats(-80, -20), high=st.floats(20, 80), uniform_share=st.floats(0, 1))


def result(name: str = "mine", *, shift: int = 0, seed: int = 0) -> BenchResult:
    """Two sets of six pictures; ``shift`` of the first set are all of one class."""
    plan = BenchPlan(prompts=("a", "b"), count=6, seed=seed, scale="ita6", target=UNIFORM)
    one = [*CLASSES[: 6 - shift], *["dark"] * shift]
    sets = tuple(
        bench_set(
            p,
            plan,
            one,
            [*one[:5], None],
            generated=7,
            seconds=3.0,
            processor_seconds=2.0,
            denoiser_rows=84,
            twins=(),
        )
        for p in plan.prompts
    )
    return BenchResult(
        method=MethodRecord(name=name),
        model=INFO,
        fingerprint="sha256:" + "1" * 64,
        reader=identity(),
        plan=plan,
        host={"platform": "p", "machine": "m", "processor": "", "cores": 2, "device": ""},
        threads=1,
        workers=2,
        fairgen="0",
        made_at="2026-01-01T00:00:00Z",
        sets=sets,
        figures=figures_of(sets, plan),
    )
