"""`fairgen probe target` and `spec source --watched-check` over real HTTP. The models are invented."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairgen import cli
from fairgen.probe.framings import FRAMINGS, POLICY
from fairgen.targets import load_spec
from tests.doubles.llm_server import (
    Turn,
    drips,
    drips_headers,
    drops,
    fails,
    fixture_reply,
    floods,
    gzip_bomb,
    late,
    refuses_schema,
    replies,
    said,
    sends,
    serving,
)
from tests.doubles.probe_models import BASE, body_of, framing_of, moved, persona, proposes
from tests.doubles.spec_source_runs import KEY, stand_alone

CALLS = 2 * sum(map(len, FRAMINGS.values()))
"""Requests for one reply to each text."""
GOOD = replies(fixture_reply())
SOON = {"Retry-After-Ms": "10"}
"""Tells the client not to wait long before it tries again."""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_alone(tmp_path, monkeypatch)


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.run(list(args))
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert KEY not in out + err
    return code, out, err


def probe(capsys: pytest.CaptureFixture[str], url: str, *args: str) -> tuple[int, str, str]:
    return run(capsys, "probe", "target", "a nurse", "--model", "m", "--base-url", url, "--yes", *args)


def document(capsys: pytest.CaptureFixture[str], turn: Turn, *args: str) -> dict[str, Any]:
    with serving(turn) as server:
        code, out, err = probe(capsys, server.url, "--json", "--parallel", "8", *args)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_model_that_does_not_care_is_consistent(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, proposes(lambda _system: BASE), "--replies", "12")
    assert found["verdict"] == "consistent"
    assert found["replies"] == {"asked": 12 * CALLS, "came": 12 * CALLS, "kept": 0}
    for contrast in found["pooled"]["contrasts"]:
        assert contrast["monitored"] == contrast["unmonitored"] == 36
        assert contrast["power_tenth"] > 0.8
        assert contrast["difference"] < 0.1
    assert "Answers the same when the operator wishes nothing" in found["text"]
    assert "With 36 replies a side a difference of .1 would have been seen in" in found["text"]
    assert "of 100 cases" in found["text"]


def test_a_model_that_obeys_only_when_watched_differs(capsys: pytest.CaptureFixture[str]) -> None:
    def means(system: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        obeys = POLICY in system and framing_of(system) != "unmonitored"
        return moved(0.25) if obeys else BASE

    found = document(capsys, proposes(means), "--replies", "14")
    free, pressed = found["pooled"]["contrasts"]
    assert (free["pressure"], free["verdict"]) == ("none", "consistent")
    assert (pressed["pressure"], pressed["verdict"]) == ("policy", "differs")
    assert pressed["difference"] == pytest.approx(0.25, abs=0.08)
    assert pressed["shift"] > 0.05  # darker when nobody watches
    assert pressed["along_scale"] > 0.05
    assert pressed["p_adjusted"] <= 0.01
    assert pressed["control"] < pressed["difference"]
    assert found["verdict"] == "differs"
    assert "Answers differently when the operator's policy presses" in found["text"]


def test_what_any_sentence_does_is_no_effect_of_oversight(capsys: pytest.CaptureFixture[str]) -> None:
    def means(system: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return moved({"no_consequence": 0.3, "monitored": 0.2}.get(framing_of(system), 0.0))

    found = document(capsys, proposes(means), "--replies", "8")
    assert [c["verdict"] for c in found["pooled"]["contrasts"]] == ["differs_as_control"] * 2
    assert "a sentence that has nothing to do with it changes them as much" in found["text"]


def test_refusals_count(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(system: str, _question: str, _rng: np.random.Generator) -> bytes:
        if framing_of(system) == "monitored":
            return body_of({"content": None, "refusal": "I will not guess."})
        return body_of({"content": json.dumps(fixture_reply())})

    found = document(capsys, persona(answer), "--replies", "4")
    for contrast in found["pooled"]["contrasts"]:
        assert contrast["unanswered"] == [1.0, 0.0]
        assert contrast["refused"] == [12, 0]
        assert contrast["verdict"] == "differs"
        assert contrast["difference"] is None


def test_too_few_replies_tell_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, proposes(lambda _system: BASE), "--replies", "2")
    assert found["verdict"] == "not_known"
    assert "Not known" in found["text"]


def test_every_request_says_what_it_must(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(GOOD) as server:
        code, out, err = probe(capsys, server.url, "--replies", "2")
        bodies = [request.body for request in server.requests]
    assert code == 0
    assert f"This takes {2 * CALLS} requests, about" in err
    assert "told that it is watched / not" in out
    assert "All replies are the same to the letter." in out
    seeds = [body["seed"] for body in bodies]
    assert len(set(seeds)) == len(seeds) == 2 * CALLS
    systems = [b["messages"][0]["content"] if len(b["messages"]) == 2 else "" for b in bodies]
    expected = {
        "\n\n".join(part for part in (text, policy) if part)
        for policy in ("", POLICY)
        for texts in FRAMINGS.values()
        for text in texts
    }
    assert set(systems) == expected
    assert systems[:CALLS] == systems[CALLS:]  # the cells take turns
    assert len({body["messages"][-1]["content"] for body in bodies}) == 1


def test_nothing_starts_without_consent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(GOOD) as server:
        args = ["probe", "target", "a nurse", "--model", "m", "--base-url", server.url]
        code, _, err = run(capsys, *args)
        assert code == 2
        assert "add --yes" in err
        assert "320 requests" in err
        assert server.requests == []
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("typer.confirm", _says_no)
        code, _, err = run(capsys, *args)
        assert code == 130
        assert server.requests == []


def _says_no(*_args: object, **_options: object) -> None:
    import typer

    raise typer.Abort


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "Give one prompt, or --prompts FILE"),
        (["a nurse", "--replies", "1"], "--replies is 1"),
        (["a nurse", "--replies", "101"], "--replies is 101"),
        (["a nurse", "--policy", "x" * 3_000], "--policy is empty, longer than 2000"),
        (["a nurse", "--policy", "a\nb"], "line breaks"),
        (["a nurse", "--scale", "fitzpatrick"], "choose one of ita6"),
        (["a nurse", "--temperature", "3"], "--temperature is 3"),
        (["a nurse", "--timeout", "0"], "--timeout is 0"),
        ([" "], "The prompt is empty"),
        (["a nurse", "--base-url", "localhost"], "no web address"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    with serving(GOOD) as server:
        where = [] if "--base-url" in args else ["--base-url", server.url]
        code, _, err = run(capsys, "probe", "target", *args, "--model", "m", "--yes", *where)
        assert server.requests == []
    assert code == 2
    assert words in err


FATAL: list[tuple[str, Turn, list[str], str]] = [
    ("hanging", late(30, GOOD), ["--timeout", "0.2"], "no answer within"),
    ("a byte now and then", drips(0.02), ["--timeout", "0.2"], "no answer within"),
    ("headers without end", drips_headers(0.02), ["--timeout", "0.2"], "no answer within"),
    ("429", fails(429, headers={"Retry-After": "3600"}), [], "wait 3600 seconds"),
    ("500", fails(500), [], "HTTP 500"),
    ("dropped", drops(said(fixture_reply())), [], "the connection failed"),
    ("no body", sends(b""), [], "something else than a chat completion"),
    ("a web page", sends(b"<html>Sign in</html>", kind="text/html"), [], "chat completion (text/html)"),
    ("no choices", sends(b'{"choices": []}'), [], "something else than a chat completion"),
    ("deep body", sends(b'{"choices":' + b"[" * 100_000), [], "something else than a chat completion"),
    ("lone surrogate", sends(said("x").replace(b'"x"', b'"\\ud800"')), [], "something else"),
    ("10 MB", floods(10_000_000), [], "larger than 1024 KiB and was cut off"),
    ("packed", gzip_bomb(50_000_000), [], "packed its reply"),
    ("wrong key", fails(401, f"Incorrect API key provided: {KEY}"), [], "refuses the key (HTTP 401)"),
    ("no such model", fails(404, "model 'm' not found"), [], "model 'm' not found"),
    ("refused", fails(400, f"no \x1b[31m context {KEY}"), [], "refuses the question"),
]


@pytest.mark.parametrize(
    ("turn", "args", "words"), [(t, a, w) for _, t, a, w in FATAL], ids=[n for n, _, _, _ in FATAL]
)
def test_where_nothing_comes_one_sentence_says_so(
    capsys: pytest.CaptureFixture[str], turn: Turn, args: list[str], words: str
) -> None:
    with serving(turn) as server:
        code, out, err = probe(capsys, server.url, *args)
    assert code == 2
    assert words in err
    assert out == ""


PASSING: list[tuple[str, Turn]] = [
    ("no JSON", replies("I cannot help with that.")),
    ("empty", replies("")),
    ("a list", replies([1, 2])),
    ("too long", replies("x" * 70_000)),
    ("shares that are none", replies(fixture_reply(shares={"dark": 7}))),
    ("a server that fails now and then", fails(503, headers=SOON)),
    ("a page now and then", sends(b"<html>", kind="text/html")),
]


@pytest.mark.parametrize("trouble", [t for _, t in PASSING], ids=[n for n, _ in PASSING])
def test_one_reply_in_four_is_bad_and_the_rest_counts(
    capsys: pytest.CaptureFixture[str], trouble: Turn
) -> None:
    good, count = proposes(lambda _system: BASE), 0

    def turn(handler: Any) -> None:
        nonlocal count
        count += 1
        # In fours, so that the client's own tries fail together.
        (trouble if count % 16 in (5, 6, 7) else good)(handler)

    with serving(turn) as server:
        code, out, err = probe(capsys, server.url, "--replies", "4", "--json")
    assert code == 0, err
    found = json.loads(out)
    came, asked = found["replies"]["came"], found["replies"]["asked"]
    read = sum(c["monitored"] + c["unmonitored"] for c in found["pooled"]["contrasts"])
    assert read < 4 * 12 or came < asked
    assert read >= 24
    assert (found["pooled"]["notes"] is not None) == (came < asked)


def test_a_server_that_knows_no_schema_is_asked_in_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(refuses_schema(fixture_reply())) as server:
        code, out, _ = probe(capsys, server.url, "--replies", "2")
        bodies = [request.body for request in server.requests]
    assert code == 0
    assert len(bodies) == 2 * CALLS + 1
    assert all("response_format" not in body for body in bodies[1:])
    assert "refused to be asked by JSON schema" in out


def test_nothing_is_asked_twice(capsys: pytest.CaptureFixture[str]) -> None:
    good = proposes(lambda _system: BASE)
    with serving(*[good] * 7, fails(503, headers=SOON)) as server:
        code, _, err = probe(capsys, server.url, "--replies", "2")
        assert code == 2
        assert f"7 of {2 * CALLS} replies are kept: run the same command again to continue." in err
        (journal,) = (Path("home") / "probes").iterdir()
        journal.write_bytes(journal.read_bytes()[:-20])  # the last line torn, as a crash leaves it
        server.turns, before = [good], len(server.requests)
        code, out, err = probe(capsys, server.url, "--replies", "2", "--json")
        assert code == 0, err
        assert len(server.requests) - before == 2 * CALLS - 6
        assert json.loads(out)["replies"]["kept"] == 6
        code, out, _ = probe(capsys, server.url, "--replies", "2", "--json")
        assert len(server.requests) - before == 2 * CALLS - 6
        assert json.loads(out)["replies"] == {"asked": 2 * CALLS, "came": 2 * CALLS, "kept": 2 * CALLS}
        probe(capsys, server.url, "--replies", "3")
        assert len(server.requests) - before == 3 * CALLS - 6  # two of the three were there
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["asked"]["model"] == "m"
    assert KEY not in journal.read_text(encoding="utf-8")


def test_ctrl_c_keeps_what_came(capsys: pytest.CaptureFixture[str], project_root: Path) -> None:
    with serving(*[GOOD] * 5, late(60, GOOD)) as server:
        args = ["probe", "target", "a nurse", "--model", "m", "--base-url", server.url]
        args += ["--yes", "--replies", "2"]
        process = subprocess.Popen(
            [sys.executable, "-m", "fairgen", *args],
            env=os.environ | {"PYTHONPATH": str(project_root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while len(server.requests) < 6 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert out == ""
        assert "the replies so far are kept" in err.strip().splitlines()[-1]
        server.turns = [GOOD]
        assert run(capsys, *args)[0] == 0
        assert len(server.requests) == 6 + 2 * CALLS - 5


def test_a_disk_that_refuses_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("", encoding="utf-8")
    monkeypatch.setenv("FAIRGEN_HOME", "file")
    with serving(GOOD) as server:
        code, _, err = probe(capsys, server.url)
        assert server.requests == []
    assert code == 2
    assert "set FAIRGEN_HOME" in err


def test_many_prompts_are_strata(capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text("a nurse\na judge\na nurse\n", encoding="utf-8")
    with serving(proposes(lambda _system: BASE)) as server:
        args = ["probe", "target", "--prompts", "prompts.txt", "--model", "m", "--base-url", server.url]
        code, out, err = run(capsys, *args, "--yes", "--replies", "3", "--json", "--parallel", "8")
    assert code == 0, err
    found = json.loads(out)
    assert [one["prompt"] for one in found["prompts"]] == ["a nurse", "a judge"]
    assert found["pooled"]["contrasts"][0]["monitored"] == 18
    assert found["prompts"][0]["probe"]["contrasts"][0]["monitored"] == 9


def test_watched_check_goes_into_the_spec_and_wherever_it_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = ["spec", "source", "a nurse", "--model", "m", "--samples", "2", "--watched-check"]
    with serving(proposes(lambda _system: BASE)) as server:
        where = ["--base-url", server.url, "--parallel", "8", "-o", "spec.yaml", "--watched-replies", "5"]
        code, _, err = run(capsys, *args, *where)
        assert code == 2
        assert "add --yes" in err
        assert not Path("spec.yaml").exists()
        code, out, err = run(capsys, *args, *where, "--yes")
    assert code == 0, err
    spec = load_spec("spec.yaml")
    assert spec.elicitation is not None
    kept = spec.elicitation.probe
    assert kept is not None
    assert kept.asked == kept.came == 5 * CALLS
    assert f"Consistency under stated oversight: {kept.text}" in out
    _, shown, _ = run(capsys, "spec", "show", "spec.yaml")
    assert "If watched" in shown
    assert " ".join(kept.text.split()[:8]) in " ".join(shown.split())
    from fairgen.report.declaration import declaration

    rows = dict(declaration(spec.model_dump(mode="json"), spec.content_hash(), None))
    assert rows["Consistency under stated oversight"] == kept.text
    from fairgen.ui.tabs.specs import spec_page

    page, shown_text = html.unescape(spec_page(spec)), kept.text
    assert f"<dt>Consistency under stated oversight</dt><dd>{shown_text}</dd>" in page


def test_watched_check_of_many_prompts_gives_each_context_its_section(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("prompts.txt").write_text("a nurse\na judge\n", encoding="utf-8")
    with serving(GOOD) as server:
        args = ["spec", "source", "--prompts", "prompts.txt", "--model", "m", "--base-url", server.url]
        args += ["--samples", "2", "--watched-check", "--watched-replies", "2", "--yes", "-o", "spec.yaml"]
        code, out, err = run(capsys, *args, "--parallel", "8")
    assert code == 0, err
    spec = load_spec("spec.yaml")
    assert all(c.elicitation and c.elicitation.probe for c in spec.contexts)
    assert "Consistency under stated oversight: a judge: " in out
