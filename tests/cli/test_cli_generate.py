"""``fairgen generate`` and ``fairgen demo`` as whole commands: a drawn model, and once the embedded one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from fairgen import cli
from fairgen.cli.common import distance_line
from fairgen.runs import ModelInfo, read_run
from fairgen.scoring.numbers import distances
from fairgen.steering import Steering
from fairgen.steering.request import Request
from skin_tone import ToneReading
from tests.doubles.fake_run import ITA6, draw_face, reading, tone_of
from tests.doubles.session_doubles import PlainModel

WORDS = {
    "very fair": "very_light",
    "fair": "light",
    "olive": "intermediate",
    "tan": "tan",
    "dark brown": "brown",
    "brown": "brown",
    "very dark": "dark",
    "dark": "dark",
}


class DrawnModel(PlainModel):
    """Draws very light faces unless a tone word asks for others."""

    default_batch_size = 4

    def __init__(self, folder: Path, stop_after: int | None = None) -> None:
        self.folder = folder
        self.stop_after = stop_after
        self.made = 0
        self.info = ModelInfo(
            name="embedded",
            source="embedded",
            pipeline="Drawn",
            scheduler="None",
            device="cpu",
            dtype="float32",
            steps=1,
            guidance_scale=None,
            height=128,
            width=128,
            weights={},
            versions={},
        )

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        pictures = []
        for request in requests:
            if self.stop_after is not None and self.made >= self.stop_after:
                raise KeyboardInterrupt
            self.made += 1
            asked = [tone for word, tone in WORDS.items() if f"with {word} skin" in request.prompt]
            path = self.folder / "drawn.png"
            draw_face(path, tone_of(asked[0] if asked else "very_light", request.seed), request.seed)
            with Image.open(path) as picture:
                pictures.append(picture.convert("RGB"))
        return pictures


class PixelReader:
    """Reads the pixel where a drawn face has its cheek."""

    def __enter__(self) -> PixelReader:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, image: Image.Image) -> list[ToneReading]:
        pixel = image.getpixel((64, 46))
        assert isinstance(pixel, tuple)
        return [ToneReading.model_validate(reading("#" + "".join(f"{int(v):02x}" for v in pixel)))]


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DrawnModel:
    model = DrawnModel(tmp_path)
    monkeypatch.setattr("fairgen.models.loading.load_model", lambda *_, **__: model)
    monkeypatch.setattr("skin_tone.SkinToneReader", PixelReader)
    monkeypatch.chdir(tmp_path)
    return model


def test_generate_meets_the_target(
    drawn: DrawnModel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.run(["generate", "a portrait of a nurse", "--count", "12", "--out", "set", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["measured"] == dict.fromkeys(ITA6.classes, 2)
    assert found["tv"] == pytest.approx(0)
    needed = (
        "prompt model spec scale classes target requested first_pass measured count abstained discarded tv "
        "alignment_error noise_floor_tv seconds"
    )
    assert set(needed.split()) <= set(found)
    assert "12 of 12" in captured.err, "progress goes to standard error"
    assert Path(found["report"]).is_file()
    assert len(read_run(tmp_path / "set").sessions) == 1


def test_auto_says_in_output_record_and_report_that_it_fell_back_to_words(
    drawn: DrawnModel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = "Steered by words in the prompt: There is no diffusers pipeline whose embeddings could be steered"
    assert cli.run(["generate", "a nurse", "--count", "4", "--out", "set"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    (session,) = read_run(tmp_path / "set").sessions.values()
    assert session.record.steering == "prompt"
    assert any(said in note for note in session.record.notes)
    assert said in (tmp_path / "set" / "report.html").read_text(encoding="utf-8")
    assert cli.run(["generate", "a nurse", "--count", "4", "--out", "words", "--steering", "prompt"]) == 0
    assert said not in " ".join(capsys.readouterr().out.split()), "who asked for words knows"


def test_generate_prints_table_and_report(drawn: DrawnModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["generate", "a nurse", "--count", "4", "--target", "light=.5,medium=.5,dark=0"]) == 0
    out = capsys.readouterr().out
    assert "declared" in out
    assert "first pass" in out
    assert "TV from the declared target" in out
    report = out.strip().splitlines()[-1].removeprefix("Report: ")
    assert Path(report).is_file()
    assert report.startswith("runs")


def test_require_not_met_is_code_3(drawn: DrawnModel, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["generate", "a nurse", "--count", "6", "--steering", "none", "--require", "--json"]
    assert cli.run(command) == 3
    assert json.loads(capsys.readouterr().out)["tv"] == pytest.approx(5 / 6)
    assert cli.run([*command[:5], "prompt", *command[6:]]) == 0


def test_demo_shows_both_arms(drawn: DrawnModel, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run(["demo", "--count", "6", "--out", "both"]) == 0
    out = capsys.readouterr().out
    assert "unsteered 0.83, steered 0.00" in out
    assert "bias was built in on purpose" in out
    assert out.strip().splitlines()[-1] == "Report: both/report.html"
    unsteered, steered = read_run(tmp_path / "both").sessions.values()
    assert [p.seed for p in unsteered.final_set()] == [p.seed for p in steered.pictures if p.attempt == 0]


def test_ctrl_c_keeps_what_was_made(drawn: DrawnModel, capsys: pytest.CaptureFixture[str]) -> None:
    drawn.stop_after = 5
    assert cli.run(["generate", "a nurse", "--count", "12", "--out", "set", "--batch-size", "1"]) == 130
    err = capsys.readouterr().err.strip().splitlines()
    assert err[-1].startswith("fairgen: Interrupted: the 5 pictures")
    assert cli.run(["report", "set"]) == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["generate", " "], "prompt is empty"),
        (["generate", "a nurse", "--count", "0"], "--count"),
        (["generate", "a nurse", "--steering", "magic"], "no steering 'magic'"),
        (["generate", "a nurse", "--out", "full"], "not empty"),
        (["generate", "a nurse", "--batch-size", "0"], "batch size"),
        (["generate", "a nurse", "--seed", "-1"], "seed"),
        (["generate", "x" * 5000], "5000 characters"),
        (["generate", "a nurse", "--spec", "nothing.yaml"], "no spec or file"),
        (["demo", "--prompt", ""], "prompt is empty"),
    ],
)
def test_a_mistake_gets_one_sentence(
    drawn: DrawnModel, capsys: pytest.CaptureFixture[str], tmp_path: Path, args: list[str], says: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").touch()
    assert cli.run(args) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert not list(tmp_path.glob("runs/*")), "nothing was begun"


@pytest.mark.embedded
def test_generate_on_the_embedded_model(
    embedded_model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    assert cli.run(["generate", "a portrait of a doctor", "--count", "4", "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] + found["missing"] == 4
    assert (out / "report.html").stat().st_size > 20_000
    assert cli.run(["verify", str(out / found["session"]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] >= 4


def test_distance_line_says_when_nothing_was_read() -> None:
    halves = {"light": 0.5, "dark": 0.5}
    nothing, four, two = (distances({"light": n, "dark": 0}, halves) for n in (0, 4, 2))
    assert distance_line([("unsteered", nothing)]).endswith("unsteered not known")
    assert distance_line([("unsteered", nothing), ("steered", four)]).endswith(
        "steered 0.50; chance floor 0.19"
    )
    assert distance_line([("one", four), ("other", two)]).endswith("chance floors 0.19, 0.25")
