"""`fairgen spec source` as a user meets it: what it asks, prints, keeps, refuses. Replies are fixtures."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairgen import cli
from fairgen.common.resources import prompts_path
from fairgen.report.declaration import declaration
from fairgen.scoring.verify import Verification
from fairgen.targets import load_spec
from fairgen.ui.parts import picker
from tests.doubles.llm_server import (
    CITATION,
    PICTURES,
    SHARES,
    fails,
    fixture_reply,
    late,
    pictures,
    replies,
    serving,
)
from tests.doubles.spec_source_runs import GOOD, KEY, asked, run, stand_alone


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_alone(tmp_path, monkeypatch)


def test_a_good_server_gives_a_spec(capsys: pytest.CaptureFixture[str]) -> None:
    other = PICTURES | {"very_light": 20, "dark": 5}
    with serving(GOOD, replies(fixture_reply(pictures=pictures(other)))) as server:
        done = run(
            capsys, "a nurse", "--model", "m1", "--base-url", server.url, "--samples", "2", "-o", "spec.yaml"
        )
        assert len(server.requests) == 2
        request = server.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["model"] == "m1"
    form = request.body["response_format"]["json_schema"]
    assert form["strict"] is True
    assert form["schema"]["properties"]["pictures"]["required"] == list(SHARES)
    assert request.body["max_tokens"] == 4096
    assert request.body["stream"] is True
    assert '"a nurse"' in request.body["messages"][0]["content"]
    spec = done.spec
    assert spec.source == "llm"
    assert spec.target == pytest.approx(SHARES | {"very_light": 0.15, "dark": 0.1})
    assert spec.confidence.overall is None
    assert [c.url for c in spec.citations] == [CITATION["url"]]
    assert spec.approval == "unapproved"
    how = spec.elicitation
    assert how is not None
    assert how.fallback is None
    assert how.agreement is not None
    assert 0.8 < how.agreement < 1
    assert [json.loads(reply)["pictures"]["dark"]["count"] for reply in how.replies] == [15, 5]
    assert how.population == "residents"
    assert how.chance_agreement == 0.76
    assert how.ranges is not None
    assert how.ranges["dark"] == (0.05, 0.15)
    assert how.range_coverage == round(8 / 12, 4)  # two of six counts moved by more than 5, both ways
    assert how.support == "unsupported"
    assert "Population: residents, the people who live today in the place" in done.out
    assert "agreement 0.8" in done.out
    assert "of random replies at most one in 20 reaches 0.76" in done.out
    assert "Its ranges hold 67% of the numbers of its other replies; it was asked for 90%." in done.out
    assert "Unsupported: its only citation is one that nobody has looked up." in done.out
    assert "1,800 tokens in, 600 out" in done.out
    assert "Fixture census" in done.out
    assert "unchecked" in done.out


def test_the_threshold_can_be_moved_but_not_below_chance(capsys: pytest.CaptureFixture[str]) -> None:
    other = replies(fixture_reply(pictures=pictures(PICTURES | {"very_light": 20, "dark": 5})))
    assert asked(capsys, [GOOD, other]).fallback is None
    assert asked(capsys, [GOOD, other], "--threshold", "0.9", "--force").fallback == (
        "agreement 0.82 is below 0.9"
    )
    far = replies(fixture_reply(pictures=pictures(dict.fromkeys(SHARES, 0) | {"dark": 100})))
    done = asked(capsys, [GOOD, far], "--threshold", "0", "--force")
    assert "is no more than chance" in (done.fallback or "")


def test_each_population_is_asked_apart_and_shown_apart(capsys: pytest.CaptureFixture[str]) -> None:
    other = replies(fixture_reply(pictures=pictures(PICTURES | {"very_light": 0, "dark": 25})))
    with serving(GOOD, other) as server:
        args = ["a nurse", "--model", "m", "--base-url", server.url, "--samples", "1", "-o", "nurse.yaml"]
        done = run(capsys, *args, "--population", "workforce", "--population", "ideal")
        asked_for = [request.body["messages"][0]["content"] for request in server.requests]
        assert run(capsys, "a nurse", "--model", "m", "--population", "voters").err.startswith(
            "fairgen: --population 'voters' is unknown: choose workforce, residents, viewers, ideal or all."
        )
    assert "the people who do this work today" in asked_for[0]
    assert "an ideal, and no count" in asked_for[1]
    assert done.code == 0
    assert not Path("nurse.yaml").exists()
    for name, share in (("workforce", 0.15), ("ideal", 0.25)):
        spec = load_spec(f"./nurse-{name}.yaml")
        assert spec.elicitation is not None
        assert spec.elicitation.population == name
        assert spec.target["dark"] == share
        assert f"Population: {name}, " in done.out
        assert f"Written: nurse-{name}.yaml" in done.out
    assert "Targets side by side" in done.out


def test_unsupported_is_seen_wherever_the_target_is(capsys: pytest.CaptureFixture[str]) -> None:
    spec = asked(capsys, [GOOD]).spec
    words = "unsupported: its only citation is one that nobody has looked up"
    assert dict(declaration(spec.model_dump(mode="json"), spec.content_hash(), None))["Support"] == words
    assert Verification(spec, ()).notes[-1] == f"The target is what a language model proposed, {words}."
    assert "Unsupported" in picker.sentence(spec)
    for command in (["spec", "show"], ["spec", "check"]):
        assert cli.run([*command, "spec.yaml"]) == 0
        assert words in capsys.readouterr().out


def test_a_single_reply_has_no_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    done = asked(capsys, [GOOD], "--samples", "1")
    assert done.fallback is None
    assert done.spec.elicitation is not None
    assert done.spec.elicitation.agreement is None
    assert "agreement not known" in done.out
    assert "agreement is not known" in done.notes


def test_the_same_question_is_paid_for_once(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(GOOD) as server:
        base = ["a nurse", "--model", "m", "--base-url", server.url, "-o", "spec.yaml", "--force"]

        def requests(*args: str) -> int:
            before = len(server.requests)
            assert run(capsys, *base, *args).code == 0
            return len(server.requests) - before

        assert requests("--samples", "3") == 3
        done = run(capsys, *base, "--samples", "3")
        assert "3 from the cache, 0 tokens" in done.out
        assert requests("--samples", "5") == 2
        assert requests("--samples", "2") == 0
        assert requests("--samples", "2", "--temperature", "0.5") == 2
        assert requests("--samples", "2", "--population", "viewers") == 2
        server.turns = [replies(fixture_reply(pictures=pictures({"light": 30, "medium": 40, "dark": 30})))]
        assert requests("--samples", "2", "--scale", "lmd3") == 2
        server.turns = [GOOD]
        assert requests("--samples", "2", "--no-cache") == 2
        assert requests("--samples", "2", "--refresh") == 2
        assert requests("--samples", "3") == 1  # the refreshed replies were kept instead of the five
    kept = list((Path("home") / "llm-replies").iterdir())
    assert [path.suffix for path in kept] == [".json"] * 4
    for path in kept:
        path.write_text("{", encoding="utf-8")
    broken = run(capsys, *base)
    assert broken.code == 2
    assert "--refresh" in broken.err


def test_many_prompts_make_one_spec(capsys: pytest.CaptureFixture[str]) -> None:
    long = fixture_reply(why="Because of the sources. " * 150)
    with serving(replies(long), replies(fixture_reply(citations=[])), replies(long)) as server:
        args = ["--prompts", str(prompts_path()), "--model", "m", "--base-url", server.url, "--samples", "2"]
        done = run(capsys, *args, "-o", "spec.yaml", "--parallel", "8")
        assert len(server.requests) == 72
        spec = done.spec
        run(capsys, *args, "-o", "again.yaml")
        assert len(server.requests) == 72
    assert len(spec.contexts) == 36
    assert spec.elicitation is None
    assert len(set(spec.target.values())) == 1
    assert spec.target_for("A portrait of a NURSE") == pytest.approx(SHARES)
    assert all(context.elicitation and len(context.elicitation.replies) == 2 for context in spec.contexts)
    assert "All other prompts: uniform" in done.out
    assert "a portrait of a judge" in done.out


def test_a_server_that_dies_half_way_costs_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text("a nurse\na judge\n", encoding="utf-8")
    with serving(GOOD, GOOD, fails(503)) as server:
        args = ["--prompts", "prompts.txt", "--model", "m", "--base-url", server.url, "--samples", "2"]
        done = run(capsys, *args, "-o", "spec.yaml")
        assert done.code == 2
        assert "to 'a judge': the server failed (HTTP 503)" in done.err
        assert "The replies to 1 prompts before it are kept" in done.err
        assert not Path("spec.yaml").exists()
        before = len(server.requests)
        server.turns = [GOOD]
        assert run(capsys, *args, "-o", "spec.yaml").code == 0
        assert len(server.requests) == before + 2


def test_long_replies_of_many_prompts_are_cut_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text("\n".join(f"prompt {n}" for n in range(16)), encoding="utf-8")
    bulky = "prose " * 2_500 + json.dumps(fixture_reply())
    with serving(replies(bulky)) as server:
        args = ["--prompts", "prompts.txt", "--model", "m", "--base-url", server.url, "--samples", "4"]
        done = run(capsys, *args, "-o", "spec.yaml", "--parallel", "8")
    how = done.spec.contexts[0].elicitation
    assert how is not None
    assert all(len(reply.encode()) <= 12_288 for reply in how.replies)
    assert how.replies[0].endswith(f"[cut: {len(bulky)} bytes in all]")
    assert "Raw replies are cut to 12288 bytes" in (how.notes or "")
    assert how.fallback is None  # what is parsed is the whole reply


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["a nurse"], "--model"),
        (["--model", "m"], "Give one prompt, or --prompts FILE"),
        (["x", "--prompts", "p.txt", "--model", "m"], "Give one prompt, or --prompts FILE"),
        (["--prompts", "p.txt", "--model", "m"], "--prompts needs -o FILE"),
        (["--prompts", "many.txt", "--model", "m", "-o", "x.yaml"], "above the limit of 200"),
        ([" ", "--model", "m"], "The prompt is empty"),
        (["a\x1b[31mb", "--model", "m"], "cannot be seen"),
        (["x" * 2_000, "--model", "m"], "more than 1000 characters"),
        (["a nurse", "--model", ""], "The model's name is empty"),
        (["--prompts", "odd.txt", "--model", "m", "-o", "x.yaml"], "odd.txt: The prompt 'a\\u202eb' holds"),
        (["--prompts", "/dev/zero", "--model", "m", "-o", "x.yaml"], "larger than 1 MiB"),
        (["a nurse", "--model", "m", "--scale", "fitzpatrick"], "choose one of ita6"),
        (["a nurse", "--model", "m", "--samples", "0"], "--samples is 0"),
        (["a nurse", "--model", "m", "--samples", "21"], "--samples is 21"),
        (["a nurse", "--model", "m", "--threshold", "nan"], "--threshold is nan"),
        (["a nurse", "--model", "m", "--timeout", "0"], "--timeout is 0"),
        (["a nurse", "--model", "m", "--base-url", "localhost:11434"], "no web address"),
        (["a nurse", "--model", "m", "--base-url", "http://u:p@h/v1"], "OPENAI_API_KEY"),
        (["a nurse", "--model", "m", "-o", "there.yaml"], "add --force"),
        (["a nurse", "--model", "m", "-o", "nowhere/x.yaml"], "no folder nowhere"),
        (["a nurse", "--model", "m", "-o", "."], "is a folder"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    Path("p.txt").write_text("a nurse\n", encoding="utf-8")
    Path("many.txt").write_text("\n".join(f"prompt {n}" for n in range(201)), encoding="utf-8")
    Path("there.yaml").write_text("mine\n", encoding="utf-8")
    Path("odd.txt").write_text("a nurse\na\u202eb\n", encoding="utf-8")
    with serving(GOOD) as server:
        done = run(capsys, *args, *([] if "--base-url" in args else ["--base-url", server.url]))
        assert server.requests == []
    assert done.code == 2
    assert words in done.err
    assert Path("there.yaml").read_text(encoding="utf-8") == "mine\n"


def test_keys_and_servers_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    done = run(capsys, "a nurse", "--model", "m")
    assert done.code == 2
    assert "OPENAI_API_KEY is not set" in done.err
    with serving(GOOD) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert run(capsys, "a nurse", "--model", "m", "--samples", "1").code == 0
        assert server.requests[0].headers["authorization"] == "Bearer no-key"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-schlüssel")
    done = run(capsys, "a nurse", "--model", "m")
    assert done.code == 2
    assert "holds characters that no key has" in done.err
    assert "schl" not in done.err


def test_replies_that_cannot_be_kept_are_not_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("", encoding="utf-8")
    monkeypatch.setenv("FAIRGEN_HOME", "file")
    with serving(GOOD) as server:
        args = ["a nurse", "--model", "m", "--base-url", server.url, "--samples", "1"]
        done = run(capsys, *args)
        assert done.code == 2
        assert "--no-cache" in done.err
        assert server.requests == []
        assert run(capsys, *args, "--no-cache").code == 0


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    done = asked(capsys, [replies(fixture_reply(why="x\u202ey"))], "--json")
    document = json.loads(done.out)
    assert document["spec"]["target"] == done.spec.target
    assert document["spec"]["hash"] == done.spec.content_hash()
    assert document["answers"][0]["agreement"] == 1.0
    assert document["answers"][0]["valid"] == 2
    assert document["tokens"] == {"in": 1800, "out": 600, "replies_asked": 2, "replies_from_cache": 0}
    assert document["file"] == "spec.yaml"


def test_ctrl_c_keeps_what_was_asked(capsys: pytest.CaptureFixture[str], project_root: Path) -> None:
    Path("prompts.txt").write_text("\n".join(f"prompt {n}" for n in range(8)), encoding="utf-8")
    with serving(*[GOOD] * 5, late(60, GOOD)) as server:
        args = ["--prompts", "prompts.txt", "--model", "m", "--base-url", server.url, "--samples", "2"]
        args += ["-o", "spec.yaml"]
        process = subprocess.Popen(
            [sys.executable, "-m", "fairgen", "spec", "source", *args],
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
        assert err.strip().splitlines()[-1] == (
            "fairgen: Interrupted: no spec was written; the replies so far are kept; run the same "
            "command again to continue."
        )
        assert not Path("spec.yaml").exists()
        server.turns = [GOOD]
        assert run(capsys, *args).code == 0
        assert len(server.requests) == 6 + 11  # the one that was interrupted is asked again


def test_openai_is_imported_late(project_root: Path) -> None:
    code = (
        "import sys, fairgen.cli\n"
        "fairgen.cli.run(['spec', 'source', '--help'])\n"
        "print('openai' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(project_root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_the_commands_of_the_docs_have_the_options_they_use(
    capsys: pytest.CaptureFixture[str], project_root: Path
) -> None:
    text = (project_root / "docs" / "llm-source.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    fairgen spec source (.*)$", text, re.MULTILINE)
    assert len(commands) >= 6
    Path("assets/prompts").mkdir(parents=True)
    shutil.copy(prompts_path(), "assets/prompts")
    with serving(GOOD) as server:
        for command in commands:
            args = [a for a in shlex.split(command) if not a.startswith("http://")]
            where = ["--base-url", server.url] if "--base-url" not in args else [server.url]
            at = args.index("--base-url") + 1 if "--base-url" in args else len(args)
            args = args[:at] + where + args[at:]
            assert run(capsys, *args, "--samples", "1", "--force").code == 0, command
