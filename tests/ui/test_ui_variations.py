"""More pictures like one: what is ordered, below the browser; test_ui_generate clicks the button."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairgen.errors import UserError
from fairgen.models.options import ModelOptions
from fairgen.runs import PictureRecord, SessionRecord
from fairgen.targets import load_spec
from fairgen.ui.parts.picker import title
from fairgen.ui.work.job import Job
from fairgen.ui.work.variations import VARIATIONS, like
from fairgen.ui.work.visits import UserRun
from tests.doubles.session_doubles import INFO

NO_SERVICES: Any = None
"""All that is asked of them lies in the run."""


def run_with(job: Job, measured: list[str | None], folder: Path) -> UserRun:
    """A run whose set has pictures that were read so."""
    run = UserRun("a" * 16, "k", "me", folder)
    run.job = job
    run.sets["steered"] = job.begin(run)
    run.sets["steered"].pictures = [
        PictureRecord.model_construct(**_read(index, tone)) for index, tone in enumerate(measured)
    ]
    return run


def _read(index: int, tone: str | None) -> dict[str, Any]:
    return {"index": index, "measured": tone, "seed": 100 + index}


@pytest.mark.parametrize(("steering", "then"), [("semantic", "semantic"), ("none", "auto")])
def test_variations_keep_all_but_target_count_and_seed(tmp_path: Path, steering: str, then: str) -> None:
    options = ModelOptions(negative_prompt="blurry", steps=9, height=64, width=64, scheduler="unipc")
    job = Job("a nurse", load_spec("uniform-monk10"), 12, steering, 7, 3, "a-model", 0.8, options)
    run = run_with(job, ["monk_2", None, "monk_9"], tmp_path)
    made = like(NO_SERVICES, run, 2)
    assert made.spec.target == dict.fromkeys(job.spec.target, 0.0) | {"monk_9": 1.0}
    assert title(made.spec) == "Like one picture"
    assert made.count == VARIATIONS
    assert made.seed != job.seed
    assert made.seed != like(NO_SERVICES, run, 2).seed
    assert made.steering == then
    kept = ("prompt", "tries", "model", "strength", "options")
    assert [getattr(made, name) for name in kept] == [getattr(job, name) for name in kept]


@pytest.mark.parametrize(("pipeline", "near"), [("StableDiffusionPipeline", True), ("images API", False)])
def test_variations_begin_near_the_picture_s_noise(tmp_path: Path, pipeline: str, near: bool) -> None:
    """Where the model can begin there; a variation's own first picture comes before it."""
    job = Job("a nurse", load_spec("uniform"), 2, "auto", 7, 3, "a-model", 1.0, ModelOptions(vary=(5,)))
    run = run_with(job, ["tan"], tmp_path)
    made: dict[str, Any] = {"model": INFO.model_copy(update={"pipeline": pipeline})}
    run.sets["steered"].record = SessionRecord.model_construct(**made)
    assert like(NO_SERVICES, run, 0).options.vary == ((5, 100) if near else (5,))


@pytest.mark.parametrize(
    ("index", "says"), [(1, "No skin tone"), (5, "no such picture"), ("x", "no such picture")]
)
def test_a_picture_that_cannot_be_aimed_at(tmp_path: Path, index: object, says: str) -> None:
    job = Job("a nurse", load_spec("uniform"), 2, "auto", 7, 3, "a-model", 1.0)
    with pytest.raises(UserError, match=says):
        like(NO_SERVICES, run_with(job, ["tan", None], tmp_path), index)
