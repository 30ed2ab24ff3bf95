"""Lists of prompts: three forms, one meaning; whatever is wrong is told with its line."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairgen.audit.plan import parse_arms, plan_audit, prompt_seed
from fairgen.audit.prompts import FIELDS, PromptEntry, read_prompt_list
from fairgen.common.resources import prompts_path, specs_dir
from fairgen.errors import UserError
from fairgen.targets import load_spec


def entries(tmp_path: Path, name: str, text: str) -> tuple[PromptEntry, ...]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_prompt_list(path).entries


def test_the_shipped_list_is_the_papers_shape() -> None:
    listed = read_prompt_list(prompts_path())
    assert Counter(e.group for e in listed.entries) == {"high": 10, "middle": 10, "low": 10, "other": 6}
    assert len({e.prompt for e in listed.entries}) == 36
    text = prompts_path().read_text(encoding="utf-8")
    assert "list is not public" in text, "its distance from the paper is said"


def test_plain_lines(tmp_path: Path) -> None:
    text = (
        "\ufeffa nurse # a comment\r\n# [high]\n\n#[not a mark] for sure\na C# programmer\n# [low]\na cook\n"
    )
    found = entries(tmp_path, "list.txt", text)
    assert [(e.prompt, e.group, e.line) for e in found] == [
        ("a nurse", None, 1),
        ("a C# programmer", "high", 5),
        ("a cook", "low", 7),
    ]


_words = st.text(st.characters(categories=("L", "N"), include_characters=" ,'\"-:"), min_size=1, max_size=30)
_rows = st.lists(
    st.fixed_dictionaries(
        {"prompt": _words.map(str.strip).filter(bool)},
        optional={
            "group": st.sampled_from(["high", "low, or so", "ä"]),
            "count": st.integers(1, 10_000),
            "seed": st.integers(0, 2**63 - 1),
            "spec": st.sampled_from(["uniform", "uniform-monk10"]),
        },
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda row: " ".join(str(row["prompt"]).split()).casefold(),
)


def _block(rows: list[dict[str, object]]) -> str:
    """YAML in lines; text in quotes, since a prompt such as 0E0 would be a number."""
    lines = []
    for row in rows:
        for number, (key, value) in enumerate(row.items()):
            lines.append(f"{'  ' if number else '- '}{key}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


@given(rows=_rows)
@example(rows=[{"prompt": "0E0"}])
def test_yaml_json_and_csv_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    table = io.StringIO()
    writer = csv.DictWriter(table, FIELDS)
    writer.writeheader()
    writer.writerows(rows)
    forms = [
        entries(folder, "list.yaml", _block(rows)),
        entries(folder, "list.json", json.dumps({"prompts": rows}, ensure_ascii=False)),
        entries(folder, "list.csv", table.getvalue()),
    ]
    expected = [tuple(row.get(key) for key in FIELDS) for row in rows]
    for found in forms:
        assert [(e.prompt, e.spec, e.count, e.seed, e.group) for e in found] == expected


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "", "holds no prompts"),
        ("a.txt", "# only\n", "holds no prompts"),
        ("a.txt", "a nurse\na cook\nA  Nurse\n", "line 3 repeats the prompt of line 1"),
        ("a.json", '["a nurse", "a nurse"]', "line 1 repeats the prompt of line 1"),
        ("a.yaml", "- a nurse\n- prompt: a nurse\n", "line 2 repeats the prompt of line 1"),
        ("a.yaml", "[a nurse, {prompt: a nurse}]\n", "line 1 repeats the prompt of line 1"),
        ("a.txt", "a caf\u00e9 owner\na cafe\u0301 owner\n", "line 2 repeats the prompt of line 1"),
        ("a.txt", "a nurse\n" + "x" * 1001, "line 2 has a prompt that has 1001 characters"),
        ("a.txt", "a \x07 nurse", "line 1 has a prompt that holds line breaks or control characters"),
        ("a.txt", "# [ ]\na nurse", "line 1 has a group"),
        ("a.yaml", "- prompt: a nurse\n  cuont: 3\n", "line 1 has the unknown key 'cuont'"),
        ("a.yaml", "- prompt: a nurse\n  count: 0\n", "line 2 has the count 0: give a whole number from 1"),
        ("a.yaml", "- prompt: a nurse\n  seed: -1\n", "line 2 has the seed -1"),
        ("a.yaml", "- prompt: a nurse\n  count: true\n", "line 2 has the count true"),
        ("a.yaml", "- prompt: a nurse\n  count: [1]\n", "line 2 has the count a list"),
        ("a.yaml", "- prompt: 3\n", "line 1 has a prompt that is no text"),
        ("a.yaml", "- a nurse\n- 3\n", "line 2 must be text"),
        ("a.yaml", "- spec: uniform\n", "line 1 has no key 'prompt'"),
        ("a.yaml", "- {prompt: a, prompt: b}\n", "given twice"),
        ("a.yaml", "prompts: a nurse\n", "line 1 must be a list"),
        ("a.yaml", "other: []\n", "one key 'prompts'"),
        ("a.yaml", "- [\n", "not valid YAML"),
        ("a.csv", "prompt,colour\na nurse,red\n", "line 1 has the unknown column 'colour'"),
        ("a.csv", "prompt,prompt\na,b\n", "line 1 names a column twice"),
        ("a.csv", "group\nhigh\n", "line 1 has no column 'prompt'"),
        ("a.csv", "prompt,count\n\na nurse,many\n", "line 3 has the count 'many'"),
        ("a.csv", "prompt,count\na nurse\n", "line 2 has 1 cells, the header 2"),
        ("a.csv", 'prompt\n"a nurse\n', "is no CSV"),
        ("a.csv", "prompt,count\na nurse,10001\n", "line 2 has the count 10001"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        entries(tmp_path, name, text)
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_what_is_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a nurse\n\xff\xfe\n")
    with pytest.raises(UserError, match="line 2 is no UTF-8"):
        read_prompt_list(tmp_path / "a.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_prompt_list(tmp_path / "absent.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_prompt_list(tmp_path)


def test_arms() -> None:
    assert parse_arms("none, embedding") == ("none", "embedding")
    for text, says in (("auto", "names its arms"), ("none,none", "twice"), ("none,", "no steering ''")):
        with pytest.raises(UserError, match=says):
            parse_arms(text)


def test_a_plan_takes_what_the_list_leaves_out_from_the_command(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text((specs_dir() / "uniform-lmd3.yaml").read_text())
    path = tmp_path / "list.csv"
    path.write_text("prompt,spec,count,seed\na doctor,,,\na cook,mine.yaml,5,7\n医者,,,\n", encoding="utf-8")
    plan = plan_audit(path, load_spec("uniform"), count=3, arms=("none", "prompt"), seed=9)
    first, second, third = plan.prompts
    assert (first.count, first.seed, first.name) == (3, prompt_seed(9, "a doctor"), "01-a-doctor")
    assert (second.count, second.seed, second.turn) == (5, 7, 1)
    assert third.name == "03"
    assert plan.specs[second.spec].scale == "lmd3"
    assert plan.places == 2 * (3 + 5 + 3)
    assert first.seed != third.seed, "prompts are independent of each other"
    path.write_text("prompt,spec\na doctor,nothing.yaml\n")
    with pytest.raises(UserError, match=r"list\.csv, line 2: There is no spec or file 'nothing\.yaml'"):
        plan_audit(path, load_spec("uniform"))


@pytest.mark.parametrize("second", ["uniform-ita6", "", "same.yaml"])
def test_one_spec_by_two_names_makes_no_two_sets_of_a_prompt(tmp_path: Path, second: str) -> None:
    (tmp_path / "same.yaml").write_text((specs_dir() / "uniform-ita6.yaml").read_text())
    path = tmp_path / "list.csv"
    path.write_text(f"prompt,spec\na doctor,uniform\na cook,\nA  Doctor,{second}\n")
    with pytest.raises(UserError, match=r"list\.csv, line 4 repeats the prompt of line 2"):
        plan_audit(path, load_spec("uniform"))


def test_a_prompt_may_stand_once_for_each_target(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("prompt,spec\na doctor,uniform\na doctor,\n")
    assert len(plan_audit(path, load_spec("uniform-lmd3")).prompts) == 2


def test_a_list_whose_name_is_no_utf8_is_named_readably(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("a doctor\n")
    assert plan_audit(path, load_spec("uniform")).prompts_file == r"caf\xe9.txt"


def test_seeds_are_fixed_for_good() -> None:
    # A change here would break the reproduction of every earlier audit.
    assert prompt_seed(0, "a portrait of a CEO") == 805342451
