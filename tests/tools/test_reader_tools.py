"""The developers' tools that calibrate the reader: the two splits, and the benchmark's scores."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skin_tone import SCALES
from tools.portraits.contexts import CONTEXTS
from tools.portraits.skin import ITA_MAX, ITA_MIN
from tools.reader.shots import contexts_of, even_ita

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """benchmarks/reader.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("benchmark_reader", ROOT / "benchmarks" / "reader.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")  # as when it is run: it imports a module beside it
        spec.loader.exec_module(module)
    return module


def test_the_splits_share_no_context() -> None:
    one, other = set(contexts_of("calibration")), set(contexts_of("test"))
    assert not one & other
    assert one | other == set(range(len(CONTEXTS)))
    assert {CONTEXTS[i].scene for i in one}.isdisjoint(CONTEXTS[i].scene for i in other)


@given(st.integers(0, 2**32 - 1))
def test_drawn_tones_stay_on_the_ramp(seed: int) -> None:
    assert ITA_MIN <= even_ita(np.random.default_rng(seed)) <= ITA_MAX


def test_drawn_classes_are_even() -> None:
    rng = np.random.default_rng(0)
    scale = SCALES["ita6"]
    drawn = [scale.classify(even_ita(rng)) for _ in range(3000)]
    assert all(400 < drawn.count(key) < 600 for key in scale.classes)


def test_the_width_is_scaled_to_nine_in_ten_of_a_mixture_of_lights() -> None:
    torch = pytest.importorskip("torch")
    from tools.reader.fit import _forward_width, _scale

    rng = np.random.default_rng(0)
    neutral = np.arange(6000) < 1000  # one light is six times as frequent, and must not count for more
    errors = rng.normal(size=6000) * np.where(neutral, 2.0, 6.0)
    known = np.zeros((6000, 3))
    width = torch.nn.Sequential(torch.nn.Linear(3, 1))
    _scale(width, known, errors, neutral)
    inside = np.abs(errors) < 1.6449 * _forward_width(width, known)
    assert (inside[neutral].mean() + inside[~neutral].mean()) / 2 == pytest.approx(0.9, abs=0.002)


def test_scores_of_a_perfect_and_of_a_silent_reader(benchmark: ModuleType) -> None:
    truth = np.array([60.0, 45.0, 30.0, 20.0, 0.0, -50.0])
    monk = [SCALES["monk10"].classes.index(SCALES["monk10"].classify(v)) for v in truth]
    perfect = [benchmark.Reading(v, 5.0, m, 1.0) for v, m in zip(truth, monk, strict=True)]
    row = benchmark.score(truth, perfect)
    assert row["exact"] == row["within_one"] == row["monk_exact"] == row["cover_90"] == 1
    assert row["not_read"] == row["ece"] == row["ita_rms"] == 0
    half = benchmark.score(
        truth, [benchmark.Reading() if v > 25 else r for v, r in zip(truth, perfect, strict=True)]
    )
    assert half["not_read"] == 0.5
    assert half["not_read[light]"] == 1


def test_calibration_error_tells_overconfidence(benchmark: ModuleType) -> None:
    right = np.array([1.0, 0.0] * 50)
    assert benchmark._calibration_error(np.full(100, 0.95), right) == pytest.approx(0.45)
    assert benchmark._calibration_error(np.full(100, 0.5), right) == pytest.approx(0)


def test_every_perturbation_changes_the_picture_and_keeps_its_form(benchmark: ModuleType) -> None:
    rng = np.random.default_rng(0)
    picture = np.clip(rng.normal(140, 30, (128, 128, 3)), 0, 255).astype(np.uint8)
    changed = {name: change(picture) for name, change in benchmark.perturbations().items()}
    assert len(changed) == 9
    assert all(p.dtype == np.uint8 and p.ndim == 3 for p in changed.values())
    assert changed["+1/2 stop"].mean() > picture.mean() > changed["-1/2 stop"].mean()
    assert changed["96 px"].shape == (96, 96, 3)
