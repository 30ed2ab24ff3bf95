"""``fairgen spec new``: answers piped in, answers on a terminal, mistakes, and an interruption."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairgen import cli
from fairgen.cli.spec.new import _commented, _share
from fairgen.errors import UserError
from fairgen.targets import FairnessSpec, dump_spec, load_spec, parse_spec
from tests.doubles.spec_documents import specs

BY_HAND = ["mine", "lmd3", "hand", "20%", "1/5", "", "a shop", "a wish", "", "", "A. Person"]
UNIFORM = ["even", "", "uniform", "", "", "", "expected", "A. Person"]


def _pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answers: list[str], *args: str
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{answer}\n" for answer in answers)))
    code = cli.run(["spec", "new", *args])
    return code, *capsys.readouterr()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_piped_answers_make_a_document_with_comments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _pipe(monkeypatch, capsys, BY_HAND)
    assert code == 0
    assert out.splitlines()[0] == "Written: mine.yaml"
    assert "dark (60 % left): [the rest]" in err
    spec = load_spec("mine.yaml")
    assert spec.target == {"light": 0.2, "medium": 0.2, "dark": 0.6}
    assert (spec.source, spec.about, spec.why, spec.declared_by) == ("user", "a shop", "a wish", "A. Person")
    assert (spec.mapping[:5], spec.allocation, spec.approval) == ("None:", "exact", "unapproved")
    lines = Path("mine.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# yaml-language-server: $schema=file:///")
    assert Path(lines[0].partition("file://")[2]).is_file()
    assert "# class -> share; all classes of the scale; sums to 1" in lines


def test_uniform_suggests_its_reasons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _pipe(monkeypatch, capsys, UNIFORM, "-o", "other.yaml")[0] == 0
    spec = load_spec("other.yaml")
    assert (spec.name, spec.scale, spec.source, spec.allocation) == ("even", "ita6", "uniform", "expected")
    assert spec.about.startswith("An ideal in skin-tone space")
    assert "1/6" in Path("other.yaml").read_text()


@pytest.mark.parametrize(
    ("place", "answer", "says"),
    [
        (0, "My Spec", "'name' must be of lower-case letters"),
        (0, "", "'name' must be of lower-case letters"),
        (1, "ita7", "'ita7' is none of ita6,"),
        (2, "both", "is none of uniform, hand"),
        (3, "x", "'x' is no share: write 20%, 0.2 or 1/5"),
        (3, "", "'' is no share"),
        (3, "1/0", "'1/0' is no share"),
        (3, "120%", "120 % is more than the 100 % that are left"),
        (3, "-0.1", "is no share"),
        (4, "81%", "81 % is more than the 80 % that are left"),
        (5, "50%", "50 % leaves 10 % to no class: the last one takes 60 %"),
        (6, "", "'about' must not be empty"),
        (7, "a\x1b[31m", "'why' holds control characters"),
        (7, "x" * 5000, "'why' has more than 4000 characters: shorten it"),
        (9, "sometimes", "is none of exact, expected"),
        (10, " ", "'declared_by' must not be empty"),
    ],
)
def test_a_piped_answer_that_cannot_be_used_ends_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    here: Path,
    place: int,
    answer: str,
    says: str,
) -> None:
    answers = [*BY_HAND[:place], answer, *BY_HAND[place + 1 :]]
    code, out, err = _pipe(monkeypatch, capsys, answers)
    assert code == 2
    last = err.splitlines()[-1]
    assert says in last
    assert last.endswith("Nothing was written.")
    assert out == ""
    assert not list(here.iterdir())


@pytest.mark.parametrize("given_answers", range(len(BY_HAND)))
def test_answers_that_end_early_write_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: Path, given_answers: int
) -> None:
    code, _, err = _pipe(monkeypatch, capsys, BY_HAND[:given_answers])
    assert code == 2
    assert "The answers ended before '" in err.splitlines()[-1]
    assert not list(here.iterdir())


def test_shares_can_start_over(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shares = ["90%", "again", "0.5", ".5", "0"]
    assert _pipe(monkeypatch, capsys, [*BY_HAND[:3], *shares, *BY_HAND[6:]])[0] == 0
    assert list(load_spec("mine.yaml").target.values()) == [0.5, 0.5, 0]


def test_a_file_is_never_overwritten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.yaml").write_text("precious")
    for args in ([], ["-o", "mine.yaml"]):
        code, _, err = _pipe(monkeypatch, capsys, BY_HAND, *args)
        assert code == 2
        assert "mine.yaml exists: choose another -o" in err.splitlines()[-1]
        assert Path("mine.yaml").read_text() == "precious"
    assert "there is no folder" in _pipe(monkeypatch, capsys, BY_HAND, "-o", "no/where.yaml")[2]
    assert _pipe(monkeypatch, capsys, BY_HAND, "--force")[0] == 0
    assert load_spec("mine.yaml").name == "mine"


@pytest.mark.parametrize(
    ("out", "reason"),
    [("pipe", "a device or a pipe"), (".", "is a folder"), ("x" * 300, "cannot be written to")],
)
def test_what_could_not_be_written_is_said_before_the_first_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str, reason: str
) -> None:
    os.mkfifo("pipe")
    code, _, err = _pipe(monkeypatch, capsys, BY_HAND, "--force", "-o", out)
    assert code == 2
    assert reason in err
    assert "Name" not in err
    assert Path("pipe").is_fifo()


def test_closed_standard_input_is_as_if_the_answers_had_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.run(["spec", "new"]) == 2
    assert "The answers ended before 'name'" in capsys.readouterr().err


@given(specs())
@settings(max_examples=30)
def test_comments_change_nothing(spec: FairnessSpec) -> None:
    assert parse_spec(_commented(dump_spec(spec))) == spec


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=10).filter(any))
def test_shares_in_any_form_end_at_one(weights: list[int]) -> None:
    left = Fraction(1)
    for number, weight in enumerate(weights):
        last = number == len(weights) - 1
        answer = "the rest" if last else f"{weight}/{sum(weights)}"
        share = _share(left, last, answer)
        assert share is not None
        left -= share
    assert left == 0


def test_the_last_share_may_be_off_by_less_than_anybody_types() -> None:
    with pytest.raises(UserError, match=r"leaves 0\.1 % to no class"):
        _share(Fraction(334, 1000), True, "0.333")
    assert _share(Fraction(1, 3), True, "0.33333333333") == Fraction("0.33333333333")


def _on_a_terminal(folder: Path, *answers: str) -> tuple[int, str]:
    """Run the command on a terminal and type answers, then Ctrl-C if it still asks; exit code and screen."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "fairgen", "spec", "new"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, start_new_session=True
    ) as process:
        os.close(theirs)
        screen, answered = "", 0
        waiting = [*answers, ""]
        while True:
            try:
                screen += os.read(ours, 65536).decode()
            except OSError:  # the other end is closed: the command has ended
                break
            shown = screen.rstrip()
            if waiting and len(shown) > answered and shown.endswith((":", "?", "]")):
                answered = len(shown)  # the line break of a question may come on its own
                answer = waiting.pop(0)
                if not waiting:
                    process.send_signal(signal.SIGINT)
                os.write(ours, answer.encode() + b"\n")
        os.close(ours)
    return process.returncode, screen


def test_a_terminal_asks_again_and_ctrl_c_writes_nothing(here: Path) -> None:
    code, screen = _on_a_terminal(here, "My Spec", "mine", "lmd3", "hand", "200%")
    assert code == 130
    assert "'name' must be of lower-case letters" in screen
    assert "200 % is more than the 100 % that are left" in screen
    assert screen.count("Name (lower case") == 2
    assert "Interrupted before anything was written." in screen
    assert "Traceback" not in screen
    assert not list(here.iterdir())


def test_a_terminal_writes_after_the_last_answer(here: Path) -> None:
    code, screen = _on_a_terminal(here, *BY_HAND)
    assert code == 0
    assert "Written: mine.yaml" in screen
    assert load_spec(here / "mine.yaml").name == "mine"
