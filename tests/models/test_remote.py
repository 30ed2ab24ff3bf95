"""Models behind an images API: what is sent and to whom, what comes back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fairgen import cli
from fairgen.errors import UserError
from fairgen.models.contract import FLAGGED
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.loading import load_model
from fairgen.runs import SessionRecord, read_run, require_same_model
from fairgen.steering.request import Request
from tests.doubles.image_server import SOON, answers, draws, packed, refuses, shows
from tests.doubles.llm_server import Handler, Turn, drops, fails, sends, serving

KEY = "sk-fixture-0123456789"
RED = Image.new("RGB", (24, 16), (200, 30, 40))
ASK = [Request("a portrait", 7)]


@pytest.fixture(autouse=True)
def no_other_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "FAIRGEN_IMAGES_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FAIRGEN_IMAGES_KEY", KEY)


def test_a_picture_is_one_request_with_what_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(shows(RED)) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
        plain = load_model("api:house/portraits")
        chosen = load_model("api:house/portraits", width=512, height=768, api_quality="low", api_seeds=True)
        assert not server.requests, "loading asks nothing"
        made = plain.generate([Request("one", 1), Request("two", 2)])
        chosen.generate(ASK)
        load_model("api:gpt-image-1").generate(ASK)
    assert [picture.tobytes() for picture in made] == [RED.tobytes()] * 2
    assert {one.path for one in server.requests} == {"/v1/images/generations"}
    assert {one.headers["authorization"] for one in server.requests} == {f"Bearer {KEY}"}
    base = {"model": "house/portraits", "n": 1, "response_format": "b64_json"}
    bodies = [one.body for one in server.requests]
    assert sorted(body["prompt"] for body in bodies[:2]) == ["one", "two"]
    assert all(body == base | {"prompt": body["prompt"]} for body in bodies[:2])
    assert bodies[2] == base | {"prompt": "a portrait", "size": "512x768", "quality": "low", "seed": 7}
    assert bodies[3] == {"model": "gpt-image-1", "n": 1, "prompt": "a portrait"}


def test_the_environment_s_key_goes_to_the_environment_s_address_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(shows(RED)) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-language-model")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        load_model("api:a").generate(ASK)
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url + "/")
        monkeypatch.delenv("FAIRGEN_IMAGES_KEY")
        load_model("api:a").generate(ASK)
    sent = [one.headers["authorization"] for one in server.requests]
    assert sent == ["Bearer sk-of-the-language-model", "Bearer no-key"]


def test_what_is_recorded_is_what_tells_models_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRGEN_IMAGES_URL", "http://127.0.0.1:9/v1")
    info = load_model("api:a").info
    assert (info.source, info.steps, info.weights, info.seeded) == ("api", None, {}, False)
    assert KEY not in info.model_dump_json()
    assert load_model("api:a", name="mine.yaml").info.fingerprint == info.fingerprint
    for other in (load_model("api:b"), load_model("api:a", api_quality="high")):
        assert other.info.fingerprint != info.fingerprint
    monkeypatch.setenv("FAIRGEN_IMAGES_URL", "http://127.0.0.1:8/v1")
    with pytest.raises(UserError, match="begun with another model"):
        require_same_model(load_model("api:a").info, info, "The run")


def test_the_form_of_the_answer_is_left_to_a_service_that_refuses_to_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def turn(handler: Handler) -> None:
        told = "response_format" in handler.asked.body
        (fails(400, "Unknown parameter: 'response_format'.") if told else shows(RED, "WEBP"))(handler)

    with serving(turn) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        model = load_model("api:a")
        assert model.generate(ASK)[0].size == RED.size
        model.generate(ASK)
    assert [("response_format" in one.body) for one in server.requests] == [True, False, False]


def test_a_prompt_that_the_service_refuses_is_a_blank_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(handler: Handler) -> None:
        bad = handler.asked.body["prompt"] == "bad"
        (refuses("moderation_blocked") if bad else shows(RED))(handler)

    with serving(turn) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        blank, good = load_model("api:a").generate([Request("bad", 1), Request("good", 2)])
    assert blank.info[FLAGGED]
    assert blank.getextrema() == ((0, 0),) * 3
    assert FLAGGED not in good.info
    assert len(server.requests) == 2


def test_a_see_through_picture_stands_on_white(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(shows(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        assert load_model("api:a").generate(ASK)[0].getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    ("turn", "says", "times"),
    [
        (fails(401, f"wrong key {KEY}"), "refuses the key .HTTP 401.: set FAIRGEN_IMAGES_KEY", 1),
        (fails(404, "no model a"), "no such model.*404: no model a", 1),
        (fails(400, f"size is wrong, {KEY}"), r"HTTP 400: size is wrong, \[key\]", 1),
        (fails(429, "pay first", SOON), "no credit left .HTTP 429: pay first", 5),
        (fails(500, headers=SOON), "failed .HTTP 500., 5 times", 5),
        (answers(data=[{"url": "http://127.0.0.1:9/picture.png"}]), "fetches no addresses", 1),
        (answers(data=[]), "holds no picture", 1),
        (answers(data=[{"b64_json": "%%%"}]), "no PNG, JPEG or WebP", 1),
        (sends(b"<html>", kind="text/html"), "holds no picture", 1),
        (answers(data=[{"b64_json": packed(RED)[:40]}]), "no PNG, JPEG or WebP", 1),
        (shows(RED, "GIF"), "no PNG, JPEG or WebP", 1),
        (drops(b"x" * 1000), "its answer broke off, twice", 2),
    ],
)
def test_a_service_that_makes_no_picture_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, turn: Turn, says: str, times: int
) -> None:
    with serving(turn) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        with pytest.raises(UserError, match=says) as error:
            load_model("api:a").generate(ASK)
    assert KEY not in str(error.value)
    assert "\n" not in str(error.value)
    assert len(server.requests) == times


def test_a_failure_that_passes_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(fails(503, headers=SOON), fails(429, headers=SOON), shows(RED)) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        assert load_model("api:a").generate(ASK)[0].size == RED.size
    assert len(server.requests) == 3


def test_an_answer_that_never_ends_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairgen.models.remote._MOST_BYTES", 1 << 20)
    with serving(sends(b" " * (3 << 20))) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        with pytest.raises(UserError, match="larger than 1 MiB"):
            load_model("api:a").generate(ASK)


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        ("api:", {}, "names no model"),
        ("api:a", {"steps": 20}, "takes no steps"),
        ("api:a", {"negative_prompt": "blurry"}, "takes no negative prompt"),
        ("api:a", {"lora": "x.safetensors"}, "takes no lora"),
        ("api:a", {"width": 512}, "both width and height"),
        ("api:a", {"width": 512, "height": 9}, "from 16 to 4096"),
        ("embedded", {"api_seeds": True}, "for models behind an API"),
    ],
)
def test_options_of_another_kind_of_model_are_refused(
    monkeypatch: pytest.MonkeyPatch, model: str, given: dict[str, Any], says: str
) -> None:
    monkeypatch.setenv("FAIRGEN_IMAGES_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match=says):
        load_model(model, **given)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "OPENAI_API_KEY is not set: set it, or FAIRGEN_IMAGES_URL"),
        ("file:///etc/passwd", "FAIRGEN_IMAGES_URL is no web address"),
        ("http://me:word@host/v1", "carries a password.*FAIRGEN_IMAGES_KEY"),
    ],
)
def test_an_address_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, address: str, says: str) -> None:
    monkeypatch.setenv("FAIRGEN_IMAGES_URL", address)
    with pytest.raises(UserError, match=says):
        load_model("api:a")


@pytest.mark.parametrize("command", ["generate", "calibrate"])
def test_such_a_model_is_not_steered_inside_sampling(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(shows(RED)) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        words = ["generate", "a portrait", "--steering", "embedding"] if command == "generate" else [command]
        assert cli.run([*words, "--model", "api:a"]) == 2
    assert "steered by words only" in capsys.readouterr().err
    assert not server.requests
    assert cli.run(["model", "info", "api:a"]) == 2


@pytest.mark.embedded
def test_a_set_by_a_model_behind_an_api(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    embedded_generator: DiffusersModel,
) -> None:
    """The service is the embedded model behind a real server: whole, from the command to the report."""

    def make(body: dict[str, Any]) -> Image.Image:
        return embedded_generator.generate([Request(body["prompt"], len(server.requests))])[0]

    with serving(draws(make)) as server:
        monkeypatch.setenv("FAIRGEN_IMAGES_URL", server.url)
        (tmp_path / "service.yaml").write_text("model: api:house/portraits\napi_quality: low\n")
        command = "generate PROMPT --spec uniform-lmd3 --count 3 --max-tries 2 --json --model MODEL --out RUN"
        places = {"PROMPT": "a portrait of a judge", "RUN": str(tmp_path / "run")}
        places["MODEL"] = str(tmp_path / "service.yaml")
        assert cli.run([places.get(word, word) for word in command.split()]) == 0
    said = capsys.readouterr()
    assert f"3 to 6 requests to {server.url}" in said.err
    summary = json.loads(said.out)
    assert summary["generated"] == len(server.requests)
    assert any("no picture can be made again" in note for note in summary["notes"])
    (session,) = read_run(tmp_path / "run").sessions.values()
    assert isinstance(session.record, SessionRecord)
    assert session.record.steering == "prompt"
    assert session.record.model.arguments["model"] == "house/portraits"
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert f"images API at {server.url}, the service&#39;s own size, quality low, no seeds" in page
    assert KEY not in page + (tmp_path / "run" / "run.jsonl").read_text("utf-8")
