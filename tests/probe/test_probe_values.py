"""`fairgen probe values`: the battery, both orders, log-probabilities or samples. The models are invented."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairgen import cli
from fairgen.errors import UserError
from fairgen.probe.battery import FAMILIES, load_battery
from fairgen.probe.choices import Choice, Odds, choices, odds_of_letters, read_letter
from fairgen.probe.compliance import compliance
from tests.doubles.llm_server import Turn, fails, serving
from tests.doubles.probe_choices import keeps_rule, says
from tests.doubles.spec_source_runs import stand_alone

FOLLOWS = {conflict.follows for conflict in load_battery().conflicts}
SMALL = ["--per-family", "2"]
QUESTIONS = 5 * 2 * 4


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_alone(tmp_path, monkeypatch)


def values(capsys: pytest.CaptureFixture[str], turn: Turn, *args: str) -> tuple[dict[str, Any], int]:
    capsys.readouterr()
    with serving(turn) as server:
        where = ["--model", "m", "--base-url", server.url, "--yes", "--json", "--parallel", "8"]
        code = cli.run(["probe", "values", *where, *args])
        requests = len(server.requests)
    out, err = capsys.readouterr()
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found, requests


def test_the_battery_is_whole() -> None:
    battery = load_battery()
    assert len(battery.conflicts) >= 100
    assert Counter(c.family for c in battery.conflicts) == dict.fromkeys(FAMILIES, 20)
    for field in ("id", "policy", "request", "follows", "keeps"):
        texts = [getattr(conflict, field) for conflict in battery.conflicts]
        assert len(set(texts)) == len(texts), field
        assert all(text.isprintable() and text.strip() == text for text in texts)
    lengths = [(len(c.follows), len(c.keeps)) for c in battery.conflicts]
    assert np.mean([a for a, _ in lengths]) == pytest.approx(np.mean([b for _, b in lengths]), rel=0.35)
    folds = battery.folds(2)
    assert sorted(folds[0] + folds[1]) == list(range(100))
    assert Counter(battery.conflicts[i].family for i in folds[0]) == dict.fromkeys(FAMILIES, 10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\nconflicts: []\n", "at least 4"),
        ("nothing", "is no battery"),
        ("{", "is no YAML"),
        ("version: 1\nconflicts: [{id: care-1}, {id: care-1}, {id: care-1}, {id: care-1}]", "Field required"),
    ],
)
def test_a_file_that_is_no_battery_is_refused(text: str, words: str) -> None:
    Path("own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        load_battery(Path("own.yaml"))


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "A"),
        ("(B)", "B"),
        (" **B.** Because", "B"),
        ("B) Warn the child.", "B"),
        ("<think>A or B? A.</think>\nB", "B"),
        ("thinking aloud: A ...</think> B", "B"),
        ("The answer is (A).", "A"),
        ("I choose option B, since", "B"),
        ("A user should be warned.", None),
        ("I cannot help with that.", None),
        ("", None),
    ],
)
def test_letters_are_read_from_what_models_write(text: str, letter: str | None) -> None:
    assert read_letter(text) == letter


def test_odds_count_every_way_to_write_a_letter() -> None:
    choice = next(choices(load_battery()))
    odds = odds_of_letters(choice, {"A": np.log(0.3), " A": np.log(0.3), "B": np.log(0.2), "The": -2.0})
    assert odds is not None
    assert odds.first == pytest.approx(0.75)
    assert odds.letters == pytest.approx(0.8)
    assert odds.follows == pytest.approx(0.75)
    other = Choice(choice.conflict, choice.oversight, not choice.follows_first, 0)
    turned = odds_of_letters(other, {"A": np.log(0.75), "B": np.log(0.25)})
    assert turned is not None
    assert turned.follows == pytest.approx(0.25)
    assert odds_of_letters(choice, {"The": -1.0}) is None
    assert odds_of_letters(choice, None) is None


@pytest.mark.parametrize(("unwatched", "verdict"), [(1.0, "consistent"), (0.5, "differs"), (0.0, "differs")])
def test_gaps_are_measured_from_the_odds(
    capsys: pytest.CaptureFixture[str], unwatched: float, verdict: str
) -> None:
    def keeps(framing: str) -> float:
        return unwatched if framing == "unmonitored" else 1.0

    found, requests = values(capsys, keeps_rule(keeps, FOLLOWS), *SMALL)
    assert requests == QUESTIONS
    overall = found["result"]["overall"]
    assert found["result"]["how"] == "letters"
    assert overall["gap"] == pytest.approx(1 - unwatched, abs=1e-6)
    assert overall["monitored"] == pytest.approx(1)
    assert overall["verdict"] == verdict
    assert found["result"]["position_bias"] == pytest.approx(0, abs=1e-6)
    assert found["result"]["letters"] == pytest.approx(1, abs=1e-6)


def test_a_model_that_only_likes_the_first_answer_has_no_gap(capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = values(capsys, says("A"), *SMALL, "--samples", "1")
    assert found["result"]["how"] == "samples"
    assert found["result"]["position_bias"] == 0.5
    assert found["result"]["overall"]["monitored"] == 0.5
    assert found["result"]["overall"]["gap"] == 0
    assert found["result"]["overall"]["verdict"] == "consistent"


def test_without_log_probabilities_the_answers_are_sampled(capsys: pytest.CaptureFixture[str]) -> None:
    turn = keeps_rule(lambda framing: 0.0 if framing == "unmonitored" else 1.0, FOLLOWS, logprobs=False)
    found, requests = values(capsys, turn, *SMALL, "--samples", "2")
    assert found["result"]["how"] == "samples"
    assert found["result"]["overall"]["gap"] == 1
    assert found["result"]["overall"]["verdict"] == "differs"
    assert 2 * QUESTIONS < requests <= 2 * QUESTIONS + 3 * 8


def test_nothing_is_asked_twice(capsys: pytest.CaptureFixture[str]) -> None:
    good = keeps_rule(lambda _framing: 0.8, FOLLOWS)
    with serving(*[good] * 12, fails(503, headers={"Retry-After-Ms": "10"})) as server:
        args = ["probe", "values", "--model", "m", "--base-url", server.url, "--yes", *SMALL]
        assert cli.run(args) == 2
        assert "12 of 40 replies are kept" in capsys.readouterr().err
        server.turns, before = [good], len(server.requests)
        assert cli.run(args) == 0
        assert len(server.requests) - before == QUESTIONS - 12
        assert cli.run(args) == 0
        assert len(server.requests) - before == QUESTIONS - 12
    out = capsys.readouterr().out
    assert "Position: the first answer is chosen in 50 %" in out
    assert "Consistent under stated oversight" in out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "Give --model NAME, or --model-folder DIR"),
        (["--model", "m", "--model-folder", "d"], "not both"),
        (["--model", "m", "--steer"], "--steer looks inside the model"),
        (["--model-folder", "nowhere"], "holds no *.safetensors"),
        (["--model", "m", "--samples", "0"], "--samples is 0"),
        (["--model", "m", "--battery", "nowhere.yaml"], "cannot be read"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    with serving(says("A")) as server:
        where = ["--base-url", server.url, "--yes"]
        assert cli.run(["probe", "values", *args, *where]) == 2
        assert server.requests == []
    assert words in capsys.readouterr().err


def test_noise_alone_is_seldom_taken_for_a_gap() -> None:
    battery, rng = load_battery().first(4), np.random.default_rng(1)
    questions, alarms = list(choices(battery)), 0
    for seed in range(60):
        odds = {}
        for question in questions:
            a = rng.binomial(5, 0.7 if question.follows_first else 0.3)
            found = Odds.of(question, float(a), float(5 - a))
            assert found is not None
            odds[question.name] = found
        result = compliance(battery, odds, "samples", seed=seed)
        assert result.overall is not None
        alarms += result.overall.verdict == "differs"
    assert alarms <= 7  # 5 % would be 3: more than 7 happens in 1 of 100 such tests
