"""Runs `fairgen spec source` as a user would, and holds every run to what no run may do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from fairgen import cli
from fairgen.targets import FairnessSpec, load_spec
from tests.doubles.llm_server import Turn, fixture_reply, replies, serving

GOOD = replies(fixture_reply())
KEY = "sk-fixture-0123456789abcdef"


def stand_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a working folder of its own, a fixture key, and nothing of the user's."""
    for name in [n for n in os.environ if n.startswith("OPENAI_") or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FAIRGEN_HOME", str(folder / "home"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(folder)


class Done:
    """What one command did; anything that no command may do fails at once."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in out + err
        assert KEY not in out + err
        hidden = {c for c in out + err if not c.isprintable() and c != "\n"}
        assert not hidden, f"reached the terminal raw: {hidden!r}"
        if code:
            assert out == ""
            lines = [line for line in err.splitlines() if not line.startswith("Asking: ")]
            assert len(lines) == 1, err
        for path in Path.cwd().rglob("*"):
            assert not path.name.endswith(".tmp"), path
            assert path.is_dir() or KEY not in path.read_text(encoding="utf-8"), path

    @property
    def spec(self) -> FairnessSpec:
        assert self.code == 0, self.err
        return load_spec("./spec.yaml")

    @property
    def fallback(self) -> str | None:
        assert self.spec.elicitation is not None
        return self.spec.elicitation.fallback

    @property
    def notes(self) -> str:
        assert self.spec.elicitation is not None
        return self.spec.elicitation.notes or ""


def run(capsys: pytest.CaptureFixture[str], *args: str) -> Done:
    capsys.readouterr()
    code = cli.run(["spec", "source", *args])
    return Done(code, *capsys.readouterr())


def asked(capsys: pytest.CaptureFixture[str], turns: Sequence[Turn], *args: str) -> Done:
    """Two samples from a server that plays these turns."""
    with serving(*turns) as server:
        url = ["--base-url", server.url, "--model", "fixture", "-o", "spec.yaml"]
        return run(capsys, "a portrait of a nurse", *url, "--samples", "2", *args)
