"""`fairgen spec source` against a real language model, end to end: `make test-llm` runs these.

The model is far too small for the question, and that is the point: whatever it says, each target ends in a
valid spec or in a stated fallback, nothing is lost, and nothing is asked twice.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairgen.targets import Context, FairnessSpec
from fairgen.targets.sources.endpoint import Endpoint
from tests.doubles.llm_server import say
from tests.doubles.real_model import MODEL, missing, relaying, serving_real_model, wait_for
from tests.doubles.spec_source_runs import run, stand_alone

pytestmark = [
    pytest.mark.llm,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.xdist_group("real-model"),
]

PROMPTS = [
    "a portrait of a nurse in Brazil",
    "a portrait of a farmer in Kenya",
    "a portrait of a teacher in Norway",
    "a portrait of a judge in India",
    "a portrait of a CEO",
    "a portrait of a cleaner in Germany",
    "a portrait of a software developer in Vietnam",
    "a happy family in Nigeria",
    "a portrait of a nurse in the Philippines",
    "a crowd at a concert in South Africa",
]
TOKENS = 350
"""The server's own bound on a reply: this model often never ends by itself."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving_real_model(TOKENS) as url:
        yield url


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_alone(tmp_path, monkeypatch)


def kept() -> list[Path]:
    return sorted(Path("home/llm-replies").glob("*.json"))


def require_an_end(spec: FairnessSpec, contexts: int) -> None:
    """Every target is a distribution that loads again, and is either the model's or uniform with a reason."""
    parts: list[Context] | list[FairnessSpec] = spec.contexts or [spec]
    assert len(parts) == contexts
    for part in parts:
        how = part.elicitation
        assert how is not None
        uniform = len(set(part.target.values())) == 1
        if how.fallback:
            assert uniform
        else:
            assert how.support == "unsupported"
        assert "did not come" not in (how.notes or ""), "a reply was lost"
        assert len(how.replies) >= 1


def test_ten_contexts_all_end_well_and_are_asked_once(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("prompts.txt").write_text("\n".join(PROMPTS), encoding="utf-8")
    args = ["--prompts", "prompts.txt", "--model", MODEL, "--base-url", server, "--samples", "1"]
    args += ["--population", "workforce", "--timeout", "600", "-o", "spec.yaml"]
    done = run(capsys, *args)
    require_an_end(done.spec, 10)
    assert len(kept()) == 10
    before = [path.read_bytes() for path in kept()]
    again = run(capsys, *args, "--force")
    require_an_end(again.spec, 10)
    assert "Replies: 10 from the cache, 0 tokens" in again.out
    assert [path.read_bytes() for path in kept()] == before
    for path in kept():
        [reply] = json.loads(path.read_text(encoding="utf-8"))["replies"]
        assert reply["structured"] is True
        assert reply["served_model"] == MODEL
        tries = 1 if reply["asked_again"] is None else 2
        assert reply["tokens_out"] is None or reply["tokens_out"] <= tries * (TOKENS + 1)


def test_asked_in_words_alone_several_times(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    with relaying(server) as relay:
        args = ["a portrait of a nurse in Brazil", "--model", MODEL, "--base-url", relay.url]
        done = run(capsys, *args, "--samples", "2", "--scale", "lmd3", "--timeout", "600", "-o", "spec.yaml")
        require_an_end(done.spec, 1)
        assert sum("response_format" in asked for asked in relay.asked) == 1
    assert "refused to be asked by JSON schema" in done.notes
    assert done.spec.elicitation is not None
    assert len(done.spec.elicitation.replies) == 2


def test_a_server_s_own_bound_holds_and_ours_where_it_has_none(server: str) -> None:
    long = say(Endpoint.named(MODEL, server, seconds=600), "Count upwards from 1 to 5000, without a pause.")
    assert long.tokens_out is None or long.tokens_out <= TOKENS + 1
    with serving_real_model(-1) as unbounded:
        short = say(
            Endpoint.named(MODEL, unbounded, seconds=600),
            "Count upwards from 1 to 5000, without a pause.",
            system="You count.",
            max_tokens=25,
        )
        assert short.finish == "length"
        assert 1 <= len(re.findall(r"\S+", short.text)) <= 25
        after = say(Endpoint.named(MODEL, unbounded, seconds=60), "Say yes.", max_tokens=5)
    assert after.text, "the server went on writing what nobody waited for"


def test_interrupted_it_goes_on_where_it_stopped(
    server: str, capsys: pytest.CaptureFixture[str], project_root: Path
) -> None:
    args = ["a portrait of a judge", "--model", MODEL, "--base-url", server, "--samples", "3"]
    args += ["--scale", "lmd3", "--timeout", "600", "-o", "spec.yaml"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fairgen", "spec", "source", *args],
        env=os.environ | {"PYTHONPATH": str(project_root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_for(kept, 300), "no first reply came"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "run the same command again to continue" in err
    [path] = kept()
    first = json.loads(path.read_text(encoding="utf-8"))["replies"][0]
    done = run(capsys, *args)
    require_an_end(done.spec, 1)
    again = json.loads(path.read_text(encoding="utf-8"))["replies"]
    assert len(again) == 3
    assert first["text"] in (again[0]["text"], again[0]["first"])
