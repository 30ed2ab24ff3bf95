"""`FairPipeline` on the embedded model's own pipeline, as somebody else's code would use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fairgen
from fairgen.loop.calibrate import SHORT
from fairgen.loop.events import Calibrating, Event
from fairgen.models.loading import load_diffusers, wrap_pipeline
from fairgen.runs import read_run
from fairgen.steering import Steering
from fairgen.steering.calibration import find_calibration
from fairgen.steering.request import Request
from skin_tone import SkinToneReader


@pytest.fixture(scope="module")
def pipe() -> Any:
    return load_diffusers("embedded").pipe


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path_factory.getbasetemp() / "home"))


SETTINGS: dict[str, Any] = {"num_inference_steps": 2, "guidance_scale": 1.5}


def test_a_pipeline_of_a_folder_is_named_without_its_path(pipe: Any) -> None:
    assert Path(pipe.name_or_path).is_absolute()
    assert wrap_pipeline(pipe).info.name == Path(pipe.name_or_path).name
    assert wrap_pipeline(pipe, name="mine").info.name == "mine"


def test_a_foreign_pipeline_is_calibrated_once_and_meets_the_target(pipe: Any, tmp_path: Path) -> None:
    fair = fairgen.FairPipeline(pipe, {"light": 0.5, "medium": 0.25, "dark": 0.25}, **SETTINGS)
    told: list[Event] = []
    with SkinToneReader() as reader:
        result = fair("a portrait of a judge", num_images=4, seed=1, on_event=told.append, reader=reader)
        calibrating = [event for event in told if isinstance(event, Calibrating)]
        assert calibrating[0].done == 0
        assert calibrating[-1].done == calibrating[-1].total == SHORT.pictures
        assert any("a short one was run first" in note for note in result.summary.notes)
        told.clear()
        again = fair("a portrait of a judge", num_images=4, seed=1, on_event=told.append, reader=reader)
    assert not any(isinstance(event, Calibrating) for event in told)
    assert result.summary.requested == {"light": 2, "medium": 1, "dark": 1}
    assert result.summary.tv == again.summary.tv == 0
    for one, other in zip(result.images, again.images, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))
    read = [readings[0].classes["lmd3"] for readings in result.readings]
    assert read == [record.measured for record in result.records]

    table = result.to_pandas()
    assert list(table["slot"]) == list(range(4))
    assert table["measured"].value_counts().to_dict() == {"light": 2, "medium": 1, "dark": 1}

    report = result.save(tmp_path / "set")
    assert report.is_file()
    run = read_run(tmp_path / "set")
    (session,) = run.sessions.values()
    assert session.summary is not None
    assert session.summary.measured == result.summary.measured
    assert len(session.pictures) == result.summary.generated
    for record in session.final_set():
        path = run.path(record.file)
        assert path is not None
        assert path.is_file()
    assert len(list((tmp_path / "set").rglob("*.png"))) == result.summary.generated
    with pytest.raises(fairgen.UserError, match="is not empty"):
        result.save(tmp_path / "set")
    assert find_calibration(wrap_pipeline(pipe, steps=2, guidance_scale=1.5).info, "embedding") is not None


def test_the_batch_size_changes_no_picture_of_a_steered_set() -> None:
    generator = load_diffusers("embedded", steps=4)
    requests = [Request("a portrait of a chef", seed, strength=s) for seed, s in enumerate((0.0, 0.7, -0.7))]
    steering = Steering("embedding", 0.0, 1.0)
    together = generator.generate(requests, steering)
    for request, picture in zip(requests, together, strict=True):
        (alone,) = generator.generate([request], steering)
        difference = np.abs(np.asarray(alone, int) - np.asarray(picture, int))
        assert difference.max() <= 2


def test_strength_zero_is_the_plain_picture() -> None:
    generator = load_diffusers("embedded", steps=4)
    plain = generator.generate([Request("a portrait of a chef", seed) for seed in range(3)])
    mixed = generator.generate(
        [Request("a portrait of a chef", seed, strength=float(seed == 1)) for seed in range(3)],
        Steering("semantic", 0.0, 0.6),
    )
    same = [np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(plain, mixed, strict=True)]
    assert same == [True, False, True]


def test_a_prompt_that_names_a_tone_needs_no_calibration(pipe: Any) -> None:
    fair = fairgen.FairPipeline(pipe, steering="embedding", **SETTINGS)
    told: list[Event] = []
    result = fair("a portrait of a nurse with dark skin", num_images=2, on_event=told.append)
    assert not any(isinstance(event, Calibrating) for event in told)
    assert not result.summary.steered
    assert "already names a skin tone" in result.summary.notes[0]


def test_lists_of_prompts_names_of_models_and_arguments_of_the_call() -> None:
    fair = fairgen.FairPipeline("embedded", steering="none", **SETTINGS)
    prompts = ["a portrait of a nurse", "a portrait of a judge"]
    with SkinToneReader() as reader:
        unwanted = ["a blurry photo", "a photo of a user"]
        results = fair(prompts, num_images=2, reader=reader, negative_prompt=unwanted)
        (bare,) = fair(prompts[:1], num_images=2, reader=reader)
    assert [result.records[0].prompt for result in results] == prompts
    told = [result._session.model.arguments["negative_prompt"] for result in results]
    assert told == unwanted  # each prompt has its own one
    assert not np.array_equal(np.asarray(results[0].images[0]), np.asarray(bare.images[0]))
    with pytest.raises(fairgen.UserError, match="takes no negative"):
        fair(prompts[0], num_images=2, negative="a blurry photo")
    with pytest.raises(
        fairgen.UserError, match="negative_prompt is a list of 2 texts for 1 prompt: give one"
    ):
        fair(prompts[0], num_images=2, negative_prompt=unwanted)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"spec": "no-such-spec"}, "no-such-spec"),
        ({"spec": {"light": 0.5, "dark": 0.5}}, "medium"),
        ({"steering": "colour"}, "no steering 'colour'"),
        ({"num_inference_steps": 0}, "from 1 to 1000"),
        ({"height": 130}, "multiple of"),
    ],
)
def test_bad_arguments(pipe: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(fairgen.UserError, match=words):
        fairgen.FairPipeline(pipe, **arguments)
