"""The embedded model through the real commands and the real reader: what a newcomer runs first."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fairgen import cli
from fairgen.models.diffusers import DiffusersModel
from fairgen.provenance.png import picture_text, source_type_in
from fairgen.runs import read_run
from fairgen.steering.request import Request
from skin_tone import SkinToneReader
from tests.doubles.warm_commands import run

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, embedded_model: Path) -> tuple[Path, dict[str, Any]]:
    """`fairgen demo` with eight pictures in each arm, from a folder that is not the checkout's."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "fairgen", "demo", "--count", "8", "--out", "run", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "run", json.loads(done.stdout)


def test_the_demo_steers_towards_the_target(demo: tuple[Path, dict[str, Any]]) -> None:
    unsteered, steered = demo[1]["unsteered"], demo[1]["steered"]
    assert unsteered["count"] == steered["count"] == 8
    assert unsteered["tv"] >= 0.35  # the bias that was put in
    assert steered["tv"] < unsteered["tv"] / 2
    assert sum(steered["measured"].values()) + steered["abstained"] <= steered["generated"]


def test_the_demo_leaves_marked_pictures_and_a_report(
    demo: tuple[Path, dict[str, Any]], embedded_side: int
) -> None:
    folder, document = demo
    report = folder / "report.html"
    assert report.is_file()
    assert 'src="http' not in report.read_text("utf-8")
    pictures = sorted(folder.rglob("*.png"))
    assert len(pictures) == 8 + document["steered"]["generated"]
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (embedded_side, embedded_side)
        assert str(source_type_in(picture_text(path))).endswith("/trainedAlgorithmicMedia")


def test_twins_share_their_seed(demo: tuple[Path, dict[str, Any]]) -> None:
    sessions = list(read_run(demo[0]).sessions.values())
    first = [{p.slot: p.seed for p in session.pictures if p.attempt == 0} for session in sessions]
    assert first[0] == first[1]
    assert len(set(first[0].values())) == 8


def test_the_demo_steers_inside_sampling_with_the_calibration_that_comes_with_the_model(
    demo: tuple[Path, dict[str, Any]],
) -> None:
    assert demo[1]["steered"]["steering"] == "embedding"
    assert not any("short one" in note for note in demo[1]["steered"]["notes"])
    session = read_run(demo[0]).sessions["embedding"]
    assert session.record.technique["calibration"].startswith("sha256:")
    assert all(picture.steering["strength"] for picture in session.pictures)
    assert {picture.prompt for picture in session.pictures} == {demo[1]["steered"]["prompt"]}


def test_calibrate_keeps_a_curve_and_a_sheet(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("# one\na portrait of a person\n\n", encoding="utf-8")
    options = ["--prompts", str(prompts), "--seeds", "3", "--steps", "2", "--batch-size", "6"]
    done = run("calibrate", *options, "--out", "kept", "--sheet", "doses.png", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["prompts"] == ["a portrait of a person"]
    assert document["spearman"] < -0.8
    assert (tmp_path / document["file"]).is_file()
    with Image.open(tmp_path / "doses.png") as sheet:
        assert sheet.width >= 160 + 3 * 128  # small ones, whatever the model's size
        assert sheet.height > 9 * 128  # what the model reaches stands below
    assert set(document["reach"]) == {"very_light", "light", "intermediate", "tan", "brown", "dark"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["doses.png", "kept", "prompts.txt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--steering", "prompt"), "has no strength to calibrate"),
        (("--sheet", "doses.jpg"), "must end in .png"),
        (("--prompts", "missing.txt"), "cannot be read"),
        (("--prompts", "empty.txt"), "holds no prompts"),
        (("--prompts", "toned.txt"), "names a skin tone ('dark skin')"),
        (("--seeds", "1"), "greater than or equal to 2"),
        (("--batch-size", "0"), "batch size must be a whole number from 1 to 64"),
        (("--steps", "0"), "from 1 to 1000"),
        (("--model", "nowhere"), "There is no model 'nowhere'"),
    ],
)
def test_calibrate_refuses_with_one_sentence(
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("# nothing\n", encoding="utf-8")
    Path("toned.txt").write_text("a nurse with dark skin\n", encoding="utf-8")
    assert cli.run(["calibrate", *arguments, "--out", "kept"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
    assert not Path("kept").exists()


def test_verify_reads_what_was_made(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    done = run("verify", str(demo[0] / "unsteered"), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["measured"] == demo[1]["unsteered"]["measured"]


def test_the_second_reader_may_verify(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    done = run("verify", str(demo[0] / "embedding"), "--reader", "second", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["reader"] == "second"
    assert document["count"] > 0
    wrong = run("verify", str(demo[0]), "--reader", "third", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--reader must be one of" in wrong.stderr


def test_pictures_do_not_depend_on_their_batch(embedded_generator: DiffusersModel) -> None:
    requests = [
        Request(f"a portrait of a {who}", seed) for seed, who in enumerate(("CEO", "janitor", "chef"))
    ]
    together = embedded_generator.generate(requests)
    for request, picture in zip(requests, together, strict=True):
        (alone,) = embedded_generator.generate([request])
        assert np.abs(np.asarray(alone, int) - np.asarray(picture, int)).max() <= 3


@pytest.mark.exhaustive  # the figures of the model card say it in more detail
def test_tones_follow_the_words(embedded_generator: DiffusersModel) -> None:
    means = []
    with SkinToneReader() as reader:
        for word in ("very fair", "olive", "brown", "very dark"):
            requests = [Request(f"a portrait of a teacher with {word} skin", seed) for seed in range(3)]
            read = [reader.read(picture)[0].ita for picture in embedded_generator.generate(requests)]
            means.append(np.mean([ita for ita in read if ita is not None]))
    assert all(lighter > darker + 10 for lighter, darker in pairwise(means))


def test_plain_diffusers_loads_it(embedded_model: Path, embedded_side: int) -> None:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(embedded_model)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a portrait of a doctor", num_inference_steps=4).images[0]
    assert picture.size == (embedded_side, embedded_side)
    assert np.asarray(picture).std() > 20
