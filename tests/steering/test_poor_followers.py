"""Models that follow tone words poorly: calibration says so, finds what works, and the loop uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fairgen.cli.dose_sheet import TILE, reach_lines, save_sheet
from fairgen.errors import UserError
from fairgen.loop.calibrate import PROMPTS, SHORT, STRENGTHS, calibrate
from fairgen.loop.events import Calibrating, Finished, PictureDone
from fairgen.loop.session import run_session
from fairgen.runs import ModelInfo
from fairgen.steering import Steering, technique
from fairgen.steering.calibration import Calibration
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.reach import reach
from fairgen.steering.request import Request
from fairgen.steering.response import DoseResponse
from fairgen.steering.wordings import WORDINGS
from fairgen.targets import load_spec
from tests.doubles.session_doubles import INFO, InfoReader, PlainModel

UNIFORM = load_spec("uniform")
USUAL = "usual"


class PoorFollower(PlainModel):
    """Its ITA falls by ``slopes[path of tones]`` degrees a strength, and moves by ``words`` degrees for tone
    words in the prompt.
    """

    info: ModelInfo = INFO

    def __init__(self, slopes: dict[str, float], words: float = 0.0, longest: int = 1000) -> None:
        self.slopes, self.words, self.longest = slopes, words, longest
        self.asked: list[Request] = []

    def chosen_technique(self, name: str) -> str:
        return "embedding" if name == "auto" else name

    def check_techniques(self, names: Sequence[str]) -> None:
        pass

    def check_prompts(self, prompts: Sequence[str]) -> None:
        if any(len(prompt) > self.longest for prompt in prompts):
            raise UserError("too long: shorten it.")

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        assert steering is not None
        self.asked += requests
        path = {anchors: name for name, anchors in WORDINGS.items()}.get(steering.anchors or (), USUAL)
        assert path != USUAL or steering.anchors in (None, ANCHORS)
        (light, dark) = (f" with {(steering.anchors or ANCHORS)[end][1]} skin" for end in (0, -1))
        pictures = []
        for request in requests:
            said = request.prompt.endswith(light) - request.prompt.endswith(dark)
            noise = 4 * np.random.default_rng(request.seed).standard_normal()
            picture = Image.new("RGB", (64, 64), (120, 90, 80))
            own = 25.0 if request.strength == 0 else 12.0
            ita = own - self.slopes.get(path, 0.0) * request.strength + self.words * said + noise
            picture.info["ita"] = float(np.clip(ita, -75, 70))
            pictures.append(picture)
        return pictures


def measured(model: PoorFollower, plan: Any = SHORT, **given: Any) -> tuple[Calibration, int]:
    steps, made = calibrate(model, InfoReader(), "embedding", plan=plan, **given), 0
    while True:
        try:
            made += next(steps)
        except StopIteration as stop:
            return stop.value, made


def test_a_model_that_follows_well_costs_nothing_more() -> None:
    found, made = measured(PoorFollower({USUAL: 62.0, "further": 120.0}, words=60.0))
    assert made == SHORT.pictures
    assert (found.anchors, found.trials, found.worded) == (None, (), None)
    assert found.path == ANCHORS
    assert all(one.reached for one in found.reach("ita6"))
    assert found.monotone


def test_the_words_that_worked_are_taken() -> None:
    model = PoorFollower({USUAL: 18.0, "emphatic": 22.0, "pictorial": 5.0, "further": 60.0})
    found, made = measured(model)
    assert SHORT.pictures < made <= SHORT.pictures + SHORT.more
    assert [trial.name for trial in found.trials] == [USUAL, *WORDINGS]
    assert found.anchors == WORDINGS["further"]
    assert all(one.reached for one in found.reach("ita6")), "no words in the prompt are needed then"
    assert found.worded is None
    made_for = technique("embedding", "ita6", found)
    assert made_for is not None
    assert made_for.steering == Steering("embedding", 0.0, 1.0, WORDINGS["further"])
    assert made_for.parameters()["anchors"] == [list(anchor) for anchor in WORDINGS["further"]]
    assert "with very dark skin" in made_for.prompts("a doctor")[-1]


def test_little_better_words_are_left() -> None:
    """The best of several measurements is partly luck."""
    found, _ = measured(PoorFollower({USUAL: 30.0, "emphatic": 31.0, "pictorial": 29.0, "further": 31.0}))
    assert found.trials
    assert found.anchors is None


def test_words_that_would_be_cut_off_are_not_tried() -> None:
    usual = max(len(f"{prompt} with {word} skin") for prompt in PROMPTS for _, word in ANCHORS)
    found, _ = measured(PoorFollower({USUAL: 18.0, "emphatic": 90.0, "further": 25.0}, longest=usual))
    assert [trial.name for trial in found.trials] == [USUAL, "further"]
    assert found.worded is None


def test_words_and_embedding_together_where_that_reaches_further() -> None:
    model = PoorFollower({USUAL: 25.0}, words=30.0)
    found, _ = measured(model)
    assert found.anchors is None
    assert found.worded is not None
    alone = {one.tone: one for one in reach(found.curve, "ita6")}
    both = {one.tone: one for one in found.reach("ita6")}
    assert not alone["dark"].reached
    assert both["dark"].reached
    made = technique("embedding", "ita6", found)
    assert made is not None
    dark, tan, light = made.steer("a doctor", ["dark", "tan", "very_light"])
    assert (dark.prompt, dark.word) == ("a doctor with very dark skin", "very dark")
    assert (light.prompt, light.word) == ("a doctor with very fair skin", "very fair")
    assert (tan.prompt, tan.word) == ("a doctor", None), "where strength alone does it, the prompt stays"
    assert dark.strength > 0 > light.strength
    assert made.parameters()["words"]["ends"] == ["very fair", "very dark"]
    assert "a doctor with very dark skin with very fair skin" in made.prompts("a doctor")


def session(model: PoorFollower, found: Calibration) -> tuple[list[PictureDone], Any]:
    events = list(
        run_session(
            model, InfoReader(), "a doctor", UNIFORM, 24, steering=technique("embedding", "ita6", found)
        )
    )
    assert isinstance(events[-1], Finished)
    return [event for event in events if isinstance(event, PictureDone)], events[-1].summary


def test_the_loop_comes_closer_with_both() -> None:
    model = PoorFollower({USUAL: 25.0}, words=30.0)
    found, _ = measured(model)
    pictures, both = session(model, found)
    _, alone = session(model, found.model_copy(update={"worded": None}))
    assert both.tv < 0.05 < alone.tv
    assert both.generated < alone.generated
    assert {picture.record.word for picture in pictures} == {None, "very fair", "very dark"}
    assert not any("does not bring this model" in note for note in both.notes)
    (said,) = [note for note in alone.notes if "does not bring this model" in note]
    assert "dark" in said


def test_a_model_that_does_not_follow_at_all_is_said_to_be_so(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path))
    model = PoorFollower({})
    events = list(run_session(model, InfoReader(), "a doctor", UNIFORM, 6))
    (*_, finished) = events
    assert isinstance(finished, Finished)
    done = [event for event in events if isinstance(event, Calibrating)]
    assert done[-1].done == len(model.asked) - finished.summary.generated > SHORT.pictures
    assert done[-1].total == SHORT.pictures + SHORT.more
    notes = " ".join(finished.summary.notes)
    assert f"({done[-1].done} pictures, not counted here)" in notes
    assert "embedding steering does not bring this model to very_light, light, " in notes


@pytest.mark.parametrize("scale", ["ita6", "monk10", "lmd3"])
def test_reach_by_class(scale: str) -> None:
    full = DoseResponse(strengths=(-1.2, 1.2), ita=(88.0, -80.0), spread=(5.0, 5.0))
    assert all(one.reached for one in reach(full, scale))
    dark = DoseResponse(strengths=(-1.2, 1.2), ita=(-35.0, -95.0), spread=(5.0, 5.0))
    found = reach(dark, scale)
    assert not found[0].reached
    assert found[-1].reached
    assert found[0].chance < 0.01 < 0.5 < found[-1].chance


def test_a_calibration_of_an_earlier_version_keeps_its_hash() -> None:
    """Runs name their calibration by it."""
    found, _ = measured(PoorFollower({USUAL: 62.0}))
    older = found.model_dump(mode="json", exclude={"anchors", "trials", "worded"})
    assert Calibration.model_validate(older).content_hash() == found.content_hash()
    other = found.model_copy(update={"anchors": WORDINGS["further"]})
    assert other.content_hash() != found.content_hash()


def test_the_sheet_says_what_is_reached(tmp_path: Path) -> None:
    tiles: dict[float, list[Image.Image]] = {}
    plan = replace(SHORT, prompts=PROMPTS[:2])
    found, _ = measured(
        PoorFollower({USUAL: 25.0}), plan,
        keep=lambda strength, picture: tiles.setdefault(strength, []).append(picture.resize((TILE, TILE))),
    )  # fmt: skip
    assert sorted(tiles) == list(STRENGTHS)
    lines = reach_lines(found)
    assert "dark: out of reach" in lines
    assert any(
        line.startswith("It follows the usual words poorly. From light to dark: usual ") for line in lines
    )
    save_sheet(tiles, found, tmp_path / "doses.png")
    with Image.open(tmp_path / "doses.png") as sheet:
        assert sheet.width >= 160 + 4 * TILE
        assert sheet.height > TILE * len(STRENGTHS) + 20 * len(lines)
    flat, _ = measured(PoorFollower({}))
    assert any(line.startswith("The effect is not monotone") for line in reach_lines(flat))
