"""Dose-response curves, what a session learns of its prompt, and calibrations on the disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from fairgen.errors import UserError
from fairgen.loop.calibrate import PROMPTS, SHORT, STRENGTHS, Plan, calibrate
from fairgen.runs import ModelInfo
from fairgen.steering import Steering, technique
from fairgen.steering.calibration import Calibration, calibration_file, find_calibration, save_calibration
from fairgen.steering.continuous import check_limit
from fairgen.steering.request import Request
from fairgen.steering.response import LEAST_LIMIT, LIMIT, DoseResponse, PromptResponse
from skin_tone.scales import SCALES
from tests.doubles.session_doubles import INFO, InfoReader, PlainModel

CURVE = DoseResponse(
    strengths=(-1.2, -0.6, -0.3, 0.3, 0.6, 1.2),
    ita=(64.0, 50.0, 30.0, -10.0, -30.0, -66.0),
    spread=(4.0, 8.0, 8.0, 9.0, 8.0, 5.0),
)
ITA6 = SCALES["ita6"].classes


class SteeredGenerator(PlainModel):
    """A model whose ITA falls linearly with the strength, once it acts early enough."""

    info: ModelInfo = INFO

    def __init__(self, slope: float = 55.0, late: float = 0.3, unreadable_from: float = math.inf) -> None:
        self.slope, self.late, self.unreadable_from = slope, late, unreadable_from

    def check_techniques(self, names: Sequence[str]) -> None:
        """It follows strengths, whatever they are called."""

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        assert steering is not None
        acts = 1.0 if steering.start < self.late else 0.3
        pictures = []
        for request in requests:
            rng = np.random.default_rng(request.seed)
            picture = Image.new("RGB", (64, 64), (120, 90, 80))
            own = 40.0 if request.strength == 0 else 0.0
            picture.info["ita"] = own - acts * self.slope * request.strength + 5 * rng.standard_normal()
            if request.strength >= self.unreadable_from:
                picture.info["ita"] = None
            pictures.append(picture)
        return pictures


def measured(generator: SteeredGenerator, plan: Plan = SHORT) -> tuple[Calibration, int]:
    steps = calibrate(generator, InfoReader(), "embedding", plan=plan)
    made = 0
    while True:
        try:
            made += next(steps)
        except StopIteration as stop:
            return stop.value, made


@example([1e-310, 0.0, -1.0], -1.0, 0.5)
@given(st.lists(st.floats(-89, 89), min_size=2, max_size=9), st.floats(-3, 3), st.floats(-3, 3))
def test_a_curve_never_rises(ita: list[float], one: float, other: float) -> None:
    strengths = tuple(np.linspace(-1.2, 1.1, len(ita)).round(4).tolist())
    curve = DoseResponse(strengths=strengths, ita=tuple(ita), spread=(5.0,) * len(ita))
    low, high = sorted((one, other))
    values = curve.mean(np.array([low, high]))
    assert np.isfinite(values).all()
    assert values[0] >= values[1] - 1e-6


def test_a_curve_passes_through_falling_measurements() -> None:
    assert curve_at(CURVE.strengths) == pytest.approx(CURVE.ita)


def curve_at(strengths: tuple[float, ...]) -> list[float]:
    return [float(v) for v in CURVE.mean(np.array(strengths))]


@pytest.mark.parametrize(
    "broken",
    [
        {"strengths": (0.5, -0.5)},
        {"strengths": (-0.5, 0.0)},
        {"ita": (1.0,)},
        {"spread": (0.0, 1.0)},
        {"ita": (float("nan"), 1.0)},
    ],
)
def test_broken_curves_are_refused(broken: dict[str, tuple[float, ...]]) -> None:
    good = {"strengths": (-0.5, 0.5), "ita": (40.0, -10.0), "spread": (5.0, 5.0)}
    DoseResponse.model_validate(good)
    with pytest.raises(ValidationError):
        DoseResponse.model_validate(good | broken)


@pytest.mark.parametrize("scale", ["ita6", "monk10", "lmd3"])
def test_strengths_follow_the_scale(scale: str) -> None:
    response = PromptResponse(CURVE, scale)
    strengths = [response.strength(name)[0] for name in SCALES[scale].classes]
    # Where the spread changes along the curve, the best strengths of two narrow classes may nearly meet.
    assert all(later > earlier - 0.1 for earlier, later in pairwise(strengths))
    assert all(abs(s) <= LIMIT for s in strengths)
    assert np.allclose(response.matrix().sum(1), 1)


@given(st.lists(st.tuples(st.floats(-1.3, 1.3), st.floats(-90, 90), st.floats(0.1, 40)), max_size=12))
def test_no_readings_break_the_belief(readings: list[tuple[float, float, float]]) -> None:
    response = PromptResponse(CURVE, "ita6")
    for strength, ita, sigma in readings:
        response.observe(strength, ita, sigma)
    assert np.isfinite(response.chances()).all()
    assert abs(response.offset) <= 0.6
    assert all(-LIMIT <= response.strength(name)[0] <= LIMIT for name in ITA6)


def test_a_prompt_that_comes_out_darker_is_asked_for_lighter() -> None:
    response = PromptResponse(CURVE, "ita6")
    before, _ = response.strength("tan")
    for _ in range(6):
        response.observe(before, 0.0, 4.0)
    after, _ = response.strength("tan")
    assert response.offset > 0.05
    assert after < before - 0.05


def test_one_strange_picture_moves_it_little() -> None:
    response = PromptResponse(CURVE, "ita6")
    for _ in range(8):
        response.observe(-0.3, 30.0, 4.0)
    settled = response.offset
    response.observe(-0.3, -60.0, 4.0)
    assert abs(response.offset - settled) < 0.03


@given(st.floats(LEAST_LIMIT, LIMIT), st.sampled_from(sorted(SCALES)))
def test_no_strength_beyond_the_limit_is_asked_for(limit: float, scale: str) -> None:
    response = PromptResponse(CURVE, scale, limit)
    strengths = [response.strength(name)[0] for name in SCALES[scale].classes]
    assert max(map(abs, strengths)) <= limit + 0.005
    assert np.allclose(response.matrix().sum(1), 1)


@pytest.mark.parametrize("limit", [0, 0.09, 1.31, -1, float("nan"), True, "1", None])
def test_limits_out_of_range_are_refused(limit: object) -> None:
    with pytest.raises(UserError, match=r"from 0\.1 to 1\.3"):
        check_limit(limit)  # type: ignore[arg-type]


def test_a_class_out_of_reach_gets_what_comes_nearest() -> None:
    flat = DoseResponse(strengths=(-1.0, 1.0), ita=(30.0, 20.0), spread=(2.0, 2.0))
    response = PromptResponse(flat, "ita6")
    assert response.strength("very_light")[0] < -0.9
    assert response.strength("dark")[0] > 0.9


@pytest.mark.parametrize(("wanted", "edge"), [("very_light", 55.0), ("dark", -30.0)])
def test_classes_at_the_ends_are_met_well_inside(wanted: str, edge: float) -> None:
    """A reader that is off by some degrees names the same class; no picture changes more than that needs."""
    far = DoseResponse(
        strengths=(-1.2, -0.6, -0.3, 0.3, 0.6, 1.2),
        ita=(90.0, 70.0, 30.0, -10.0, -60.0, -80.0),
        spread=(4.0,) * 6,
    )
    response = PromptResponse(far, "ita6")
    for _ in range(3):
        for strength in (-0.6, 0.6):
            response.observe(strength, float(far.mean(np.array(strength))), 3.0)  # no bias of its own
    strength, chance = response.strength(wanted)
    ita = float(far.mean(np.array(strength)))
    assert chance >= 0.98
    assert 15 < abs(ita - edge) < 32
    assert abs(strength) <= 1


def test_beyond_the_toned_prompts_only_what_our_own_reader_needs() -> None:
    near = DoseResponse(strengths=(-1.2, 0.3, 1.2), ita=(58.0, 0.0, -42.0), spread=(3.0, 3.0, 3.0))
    response = PromptResponse(near, "ita6")
    assert response.strength("very_light")[0] < -1  # 55 is reached there only
    assert response.strength("dark")[0] == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("scale", ["ita6", "monk10", "lmd3"])
def test_other_readers_cost_our_own_next_to_nothing(scale: str) -> None:
    response = PromptResponse(CURVE, scale)
    best = response.chances().max(0)
    for name, most in zip(SCALES[scale].classes, best, strict=True):
        if most > 0.02:
            assert response.strength(name)[1] >= 0.97 * most


def test_calibration_measures_curve_and_start() -> None:
    found, made = measured(SteeredGenerator())
    assert made == SHORT.pictures
    assert found.start == 0.2  # the latest of the short plan's that still reaches as far
    assert found.spearman < -0.9
    assert len(found.doses) == len(STRENGTHS)
    # Strength 0 belongs to the prompt's own bias, not to the curve.
    assert 0 not in found.curve.strengths
    assert found.curve.ita[0] == pytest.approx(66, abs=6)


def test_a_model_that_cannot_be_read_is_told_so() -> None:
    with pytest.raises(UserError, match="No skin tone could be read in the first 13 calibration pictures"):
        measured(SteeredGenerator(unreadable_from=-math.inf))
    with pytest.raises(UserError, match=r"Only \d+ of \d+ calibration pictures .* use more --seeds"):
        measured(SteeredGenerator(unreadable_from=-0.5))
    with pytest.raises(UserError, match=r"1 picture is too few at each strength.* use more --seeds"):
        measured(SteeredGenerator(), replace(SHORT, prompts=PROMPTS[:1], seeds=1))


@pytest.mark.parametrize("size", [0, 65])
def test_a_batch_of_no_size_is_refused(size: int) -> None:
    with pytest.raises(UserError, match="batch size must be a whole number from 1 to 64"):
        next(calibrate(SteeredGenerator(), InfoReader(), "embedding", batch_size=size))


def test_calibrations_are_kept_by_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path / "home"))
    found, _ = measured(SteeredGenerator())
    assert find_calibration(INFO, "embedding") is None
    path = save_calibration(found, INFO)
    assert path.parent == tmp_path / "home" / "calibrations"
    assert find_calibration(INFO, "embedding") == found
    assert find_calibration(INFO, "semantic") is None
    changes: list[dict[str, object]] = [
        {"steps": 2},
        {"guidance_scale": 3.0},
        {"weights": {}},
        {"scheduler": "EulerDiscreteScheduler"},
        {"height": 16},
    ]
    for change in changes:
        assert find_calibration(INFO.model_copy(update=change), "embedding") is None
    beside = tmp_path / "model"
    other = INFO.model_copy(update={"steps": 7})
    save_calibration(found, other, beside)
    assert find_calibration(other, "embedding") is None
    assert find_calibration(other, "embedding", beside) == found
    assert "somebody" not in path.read_text()
    path.write_text("{")
    with pytest.raises(UserError, match="cannot be read: delete it"):
        find_calibration(INFO, "embedding")
    assert calibration_file(INFO, "embedding") != calibration_file(other, "embedding")


def test_a_continuous_technique_asks_and_learns() -> None:
    calibration, _ = measured(SteeredGenerator())
    made = technique("embedding", "ita6", calibration)
    assert made is not None
    assert made.steering == Steering("embedding", 0.2, 1.0)
    (light, dark) = made.steer("a doctor", ["very_light", "dark"])
    assert light.prompt == dark.prompt == "a doctor"
    assert light.strength < -0.5 < 0.5 < dark.strength
    assert light.detail["strength"] == light.strength
    expected = made.expected()
    assert expected is not None
    assert all(sum(row.values()) == pytest.approx(1) for row in expected.values())
    picture = Image.new("RGB", (8, 8))
    picture.info["ita"] = 20.0
    (reading,) = InfoReader().read(picture)
    for _ in range(5):
        made.observe(light, reading.model_copy(update={"ita_sigma": 3.0}))
    assert made.steer("a doctor", ["very_light"])[0].strength != light.strength
    with pytest.raises(UserError, match="run `fairgen calibrate` first"):
        technique("semantic", "ita6")


def test_no_prompt_of_the_calibration_is_in_the_audit() -> None:
    from fairgen.common.resources import prompts_path

    audit = prompts_path().read_text()
    assert not any(prompt.removeprefix("a portrait of ") in audit for prompt in PROMPTS[1:])
