"""Lists of prompts: every command reads comments by the same rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairgen.audit.prompts import read_prompt_list
from fairgen.common.text import check_prompt, prompt_problem, read_prompts, slug, without_comment
from fairgen.errors import UserError


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("a doctor", "a doctor"),
        ("  a doctor  # by day", "a doctor"),
        ("a C# programmer", "a C# programmer"),
        ("# a comment", ""),
        ("   ", ""),
    ],
)
def test_what_a_comment_leaves(line: str, left: str) -> None:
    assert without_comment(line) == left


def test_both_readers_of_lists_find_the_same_prompts(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# [high]\na doctor # by day\n\n  a judge\n#a pilot\na C# programmer\n", "utf-8")
    assert read_prompts(path) == [entry.prompt for entry in read_prompt_list(path).entries]
    assert read_prompts(path) == ["a doctor", "a judge", "a C# programmer"]


def test_a_prompt_is_refused_with_the_same_words_wherever_it_stands(tmp_path: Path) -> None:
    long = "x" * 1_001
    problem = prompt_problem(long)
    assert problem == "has 1001 characters: shorten it to 1000 at most"
    with pytest.raises(UserError, match=problem):
        check_prompt(long)
    (tmp_path / "list.txt").write_text(long, "utf-8")
    with pytest.raises(UserError, match=problem):
        read_prompt_list(tmp_path / "list.txt")


def test_a_slug_is_fit_for_a_file() -> None:
    assert slug("A portrait: of a CEO!") == "a-portrait-of-a-ceo"
    assert slug("a b", most=2) == "a"
    assert slug("…") == ""
