"""Targets from tables: what comes out, that it is exact, and that doubtful tables are refused with a row."""

from __future__ import annotations

import os
from datetime import date
from fractions import Fraction
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairgen import cli
from fairgen.common.resources import specs_dir
from fairgen.errors import UserError
from fairgen.targets import FairnessSpec, dump_spec, list_specs, load_spec, parse_spec
from fairgen.targets.sources.table import TableSource, load_table_source, table_spec
from fairgen.targets.sources.table_file import Row, Table
from skin_tone.scales import SCALES

CSV = "group,share\nA,0.3\nB,0.7\n"
DOCUMENT = """\
name: mine
scale: lmd3
table:
  file: table.csv
  columns: {group: group, share: share}
  values: shares
mapping:
  A:
    shares: {light: 0.1, medium: 0.9}
    why: a study
  B:
    shares: {dark: 1/2, medium: 1/2}
    why: another study
citation:
  title: A table
  url: https://example.org/table
  claim: the shares
about: a workforce
why: a wish
declared_by: me
declared_on: 2026-11-23
"""
CONTEXTS = DOCUMENT.replace("share: share}", "share: share, context: job}").replace(
    "citation:", "otherwise: uniform\ncitation:"
)
JOBS = "job,group,share\na baker,A,0.5\na baker,B,0.5\n*judge*,A,1\n*judge*,B,0\n"


def made(
    folder: Path, document: str = DOCUMENT, table: str | bytes = CSV, file: str = "table.csv"
) -> FairnessSpec:
    (folder / file).write_bytes(table.encode() if isinstance(table, str) else table)
    source = folder / "source.yaml"
    source.write_text(document.replace("table.csv", file), encoding="utf-8")
    return table_spec(*load_table_source(source))


def refused(folder: Path, document: str = DOCUMENT, table: str | bytes = CSV, file: str = "table.csv") -> str:
    with pytest.raises(UserError) as caught:
        made(folder, document, table, file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_target_is_the_sum_over_groups(tmp_path: Path) -> None:
    spec = made(tmp_path)
    assert spec.target == {"light": 0.03, "medium": 0.62, "dark": 0.35}
    assert (spec.source, spec.name, spec.version, spec.scale) == ("table", "mine", 1, "lmd3")
    assert [(c.title, c.checked) for c in spec.citations] == [("A table", "unchecked")]
    assert spec.declared_on == date(2026, 11, 23)
    for told in ("table.csv (sha256:", "'share' by 'group'", "- A: Light 10 %, Medium 90 %. Why: a study"):
        assert told.casefold() in spec.mapping.casefold()
    assert "The table has A 30 %, B 70 %." in spec.mapping
    assert parse_spec(dump_spec(spec)) == spec


def test_percent_and_counts_are_declared(tmp_path: Path) -> None:
    expected = made(tmp_path).target
    percent = DOCUMENT.replace("values: shares", "values: percent")
    assert made(tmp_path, percent, "group,share\nA,30\nB,70.0\n").target == expected
    counts = DOCUMENT.replace("values: shares", "values: counts")
    spec = made(tmp_path, counts, "group,share\nA,9\nB,21\n")
    assert spec.target == expected
    assert "counts, divided by their sum" in spec.mapping


def test_contexts_become_contexts(tmp_path: Path) -> None:
    spec = made(tmp_path, CONTEXTS, JOBS)
    assert len(set(spec.target.values())) == 1
    assert spec.target_for("A  Baker") == {"light": 0.05, "medium": 0.7, "dark": 0.25}
    assert spec.target_for("a portrait of a judge") == {"light": 0.1, "medium": 0.9, "dark": 0.0}
    assert spec.contexts[0].mapping is not None
    assert "the table has A 50 %, B 50 %" in spec.contexts[0].mapping
    assert "no figure of it" in spec.mapping

    named = CONTEXTS.replace(
        "otherwise: uniform", "otherwise: a baker\ncontexts: {'*judge*': [x, 'y*'], a baker: [z]}"
    )
    spec = made(tmp_path, named, JOBS)
    assert spec.target == spec.target_for("z") == {"light": 0.05, "medium": 0.7, "dark": 0.25}
    assert [context.prompts for context in spec.contexts] == [["z"], ["x", "y*"]]
    assert "get the target of 'a baker', for which it has A 50 %, B 50 %" in spec.mapping

    silent = CONTEXTS.replace("otherwise: uniform", "otherwise: a baker")
    assert [context.prompts for context in made(tmp_path, silent, JOBS).contexts] == [["*judge*"]]


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    def parquet(**columns: object) -> bytes:
        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(pyarrow.table(columns), sink)
        return bytes(sink.getvalue())

    expected = made(tmp_path).target
    good = parquet(other=[1, 2], share=[0.3, 0.7], group=["A", "B"])
    assert made(tmp_path, DOCUMENT, good, "table.parquet").target == expected
    for shares, reason in (
        ([0.3, None], "row 2: 'share' is empty"),
        ([0.3, float("nan")], "row 2: 'share' is nan and not a number"),
        ([0.3, float("inf")], "row 2: 'share' is inf and not a number"),
        ([True, False], "row 1: 'share' is True and not a number"),
        ([-0.3, 1.3], "row 1: 'share' is -0.3: a share cannot be negative"),
        ([[1], [2]], "row 1: 'share' holds neither text nor numbers"),
    ):
        bad = parquet(share=shares, group=["A", "B"])
        assert reason in refused(tmp_path, DOCUMENT, bad, "table.parquet")
    assert "has no column 'share': did you mean 'shares'" in refused(
        tmp_path, DOCUMENT, parquet(shares=[1], group=["A"]), "table.parquet"
    )
    assert "not a Parquet table" in refused(tmp_path, DOCUMENT, b"PAR1 rubbish PAR1", "table.parquet")
    assert "not a Parquet table" in refused(tmp_path, DOCUMENT, good[:-20], "table.parquet")
    assert "has no rows" in refused(
        tmp_path,
        DOCUMENT,
        parquet(share=pyarrow.array([], "float64"), group=pyarrow.array([], "string")),
        "table.parquet",
    )


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            "group,share\nA,0.3\nC,0.7\n",
            "table.csv, line 3: the group 'C' is not mapped: add it under 'mapping'",
        ),
        ("group,share\nA,0.3\nB,\n", "line 3: 'share' is empty and not a number"),
        ("group,share\nA,0.3\nB,nan\n", "line 3: 'share' is 'nan' and not a number"),
        ("group,share\nA,0.3\nB,inf\n", "line 3: 'share' is 'inf' and not a number"),
        ("group,share\nA,0.3\nB,70%\n", "line 3: 'share' is '70%' and not a number"),
        ("group,share\nA,0.3\nB,1_0\n", "line 3: 'share' is '1_0' and not a number"),
        ("group,share\nA,0.3\nB,1e999999999\n", "line 3: 'share' is '1e999999999' and not a number"),
        ("group,share\nA,0.3\nB,٠\n", "line 3: 'share' is '٠' and not a number"),
        ('group,share\nA,0.3\nB,"1,234"\n', "line 3: 'share' is '1,234' and not a number"),
        ("group,share\nA,0.3\nB,-0.7\n", "line 3: 'share' is '-0.7': a share cannot be negative"),
        ("group,share\nA,0.3\n,0.7\n", "line 3: 'group' is empty: name what the row is about"),
        ("group,share\nA,0.3\nB,0.4\nA,0.3\n", "line 4: the group 'A' appears twice, first in line 2"),
        ("group,share\nA,0.3\nB,0.6\n", "the shares sum to 0.9 and not to 1: correct the table"),
        ("group,share\nA,0.3\nB,0.700002\n", "the shares sum to 1.000002 and not to 1"),
        ("group,share\nA,30\nB,70\n", "the shares sum to 100 and not to 1"),
        ("group,share\nA,0\nB,0\n", "the values sum to 0"),
        ("group,share\nA,1\n", "has no row for B: write the share, 0 if need be"),
        ("group,shares\nA,1\n", "has no column 'share': did you mean 'shares'"),
        ("a,b\nA,1\n", "has no column 'group': it has a, b."),
        ("group,share,share\nA,1,1\n", "has 2 columns 'share'"),
        ("group,share\nA,0.3,x\nB,0.7\n", "line 2: 3 cells under 2 headings"),
        ("group,share\nA\nB,0.7\n", "line 2: 1 cells under 2 headings"),
        ('group,share\n"A,0.3\nB,0.7\n', "not a CSV table"),
        ("group;share\nA;0.3\nB;0.7\n", "it has group;share. Should 'table.separator' be ';'?"),
        ("group,share\n", "has no rows"),
        ("", "has no headings in its first line"),
        (",\nA,1\n", "has no headings in its first line"),
        (b"group,share\nA,0.3\nB\xff,0.7\n", "line 3: not UTF-8 text"),
        ("group,share\n" + "A,0.3\n" * 50_001, "has more than 50000 rows"),
    ],
)
def test_doubtful_tables_are_refused_with_the_row(tmp_path: Path, table: str | bytes, reason: str) -> None:
    assert reason in refused(tmp_path, DOCUMENT, table)


def test_lines_and_forms_of_csv(tmp_path: Path) -> None:
    expected = made(tmp_path).target
    assert made(tmp_path, table="\ufeffgroup,share\r\n\r\nA , 0.3\r\nB,7e-1\r\n").target == expected
    assert made(tmp_path, table='note,group,share\n"two\nlines",A,.3\n,B,0.70\n').target == expected
    reason = refused(tmp_path, table='note,group,share\n"two\nlines",A,.3\n,B,x\n')
    assert reason.startswith("table.csv, line 4: 'share' is 'x'")
    semicolons = DOCUMENT.replace("values: shares", 'values: shares\n  separator: ";"')
    assert made(tmp_path, semicolons, "group;share\nA;0.3\nB;0.7\n").target == expected
    assert made(tmp_path, DOCUMENT, "group\tshare\nA\t0.3\nB\t0.7\n", "table.tsv").target == expected


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("light: 0.1, medium: 0.9", "light: 0.1, medium: 0.8", "line 9: 'mapping.A.shares' sums to 0.9"),
        (
            "light: 0.1, medium: 0.9",
            "pale: 0.1, medium: 0.9",
            "line 9: 'mapping.A.shares.pale' is no class of lmd3",
        ),
        (
            "light: 0.1, medium: 0.9",
            "light: -0.1, medium: 1",
            "line 9: 'mapping.A.shares.light' must be from 0",
        ),
        ("light: 0.1, medium: 0.9", "light: .nan", "line 9: 'mapping.A.shares.light' must be from 0"),
        ("    why: a study\n", "", "'mapping.A.why' is missing"),
        ("why: a study", "why: ''", "line 10: 'mapping.A.why' must not be empty"),
        ("values: shares", "values: guess", "line 6: 'table.values' must be 'shares', 'percent' or 'counts'"),
        ("  values: shares\n", "", "'table.values' is missing"),
        ("values: shares", "value: shares", "'table.value' is an unknown key"),
        ("scale: lmd3", "scale: mst", "line 2: 'scale' must be 'ita6', 'monk10' or 'lmd3'"),
        ("about: a workforce\n", "", "'about' is missing"),
        ("why: a wish", "wyh: a wish", "'wyh' is an unknown key: did you mean 'why'"),
        ("declared_by: me\n", "", "'declared_by' is missing"),
        ("  claim: the shares\n", "", "'citation.claim' is missing"),
        (
            "about:",
            "otherwise: uniform\nabout:",
            "'otherwise' is given exactly when 'table.columns.context' is",
        ),
        ("about:", "contexts: {a: [b]}\nabout:", "'contexts' says what contexts stand for"),
        ("  A:\n", "  A: &x\n", "anchors and aliases"),
        ("share: share", "share: group", "names one column twice"),
        ("file: table.csv", "file: https://example.org/table.csv", "download the table"),
        ("file: table.csv", "file: nowhere.csv", "cannot be read: No such file"),
        ("file: table.csv", "file: table.xlsx", "must be a .csv, .tsv or .parquet file"),
        ("file: table.csv", "file: .", "must be a .csv"),
        ("why: a study", "why: " + "long " * 790, "which holds 4000: shorten the reasons"),
    ],
)
def test_doubtful_documents_are_refused_with_the_line(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert old in DOCUMENT
    (tmp_path / "table.csv").write_text(CSV, encoding="utf-8")
    source = tmp_path / "source.yaml"
    source.write_text(DOCUMENT.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        table_spec(*load_table_source(source))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "table", "reason"),
    [
        ("otherwise: uniform\n", "", JOBS, "'otherwise' is given exactly when"),
        ("otherwise: uniform", "otherwise: a cook", JOBS, "no context 'a cook', which 'otherwise' names"),
        (
            "otherwise:",
            "contexts: {a baker: [x]}\notherwise:",
            JOBS,
            "'*judge*' of the table has no prompts",
        ),
        ("otherwise:", "contexts: {a: [x]}\notherwise:", JOBS, "has no context a, which 'contexts' names"),
        ("otherwise:", "contexts: {a baker: []}\notherwise:", JOBS, "'contexts.a baker'"),
        ("a wish", "a wish", JOBS.replace("*judge*", "A BAKER"), "is the same prompt as"),
        (
            "a wish",
            "a wish",
            JOBS + "*judge*,A,0\n",
            "line 6: the group 'A' appears twice in the context '*judge*'",
        ),
        ("a wish", "a wish", JOBS + "a cook,A,1\n", "has no row for B in the context 'a cook'"),
        (
            "a wish",
            "a wish",
            JOBS + "a cook,A,1\na cook,B,1\n",
            "the shares in the context 'a cook' sum to 2",
        ),
        ("a wish", "a wish", JOBS + ",A,1\n", "line 6: 'job' is empty"),
    ],
)
def test_doubtful_contexts_are_refused(tmp_path: Path, old: str, new: str, table: str, reason: str) -> None:
    assert old in CONTEXTS
    assert reason in refused(tmp_path, CONTEXTS.replace(old, new), table)


@st.composite
def sources(draw: st.DrawFn) -> tuple[TableSource, dict[str, int], list[Row]]:
    scale = SCALES[draw(st.sampled_from(sorted(SCALES)))]
    groups = draw(
        st.lists(st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True), min_size=1, max_size=6, unique=True)
    )
    counts = {group: draw(st.integers(0, 10**9)) for group in groups}
    counts[groups[0]] += 1
    mapping = {}
    for group in groups:
        weights = [draw(st.integers(0, 20)) for _ in scale.classes]
        weights[draw(st.integers(0, len(weights) - 1))] += 1
        shares = {name: w / sum(weights) for name, w in zip(scale.classes, weights, strict=True)}
        mapping[group] = {"shares": shares, "why": "drawn"}
    source = TableSource.model_validate(
        {
            "name": "drawn",
            "scale": scale.name,
            "table": {"file": "t.csv", "columns": {"group": "g", "share": "n"}, "values": "counts"},
            "mapping": mapping,
            "citation": {"title": "t", "claim": "c"},
            **{"about": "a", "why": "w", "declared_by": "me", "declared_on": "2026-11-23"},
        }
    )
    rows = [Row(i, {"g": group, "n": str(count)}) for i, (group, count) in enumerate(counts.items(), 2)]
    return source, counts, rows


@given(sources(), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_any_table_of_counts_gives_its_own_distribution(
    drawn: tuple[TableSource, dict[str, int], list[Row]], random: object
) -> None:
    source, counts, rows = drawn
    spec = table_spec(source, Table("t.csv", "line", "0" * 64, tuple(rows)))
    total = sum(counts.values())
    for name, share in spec.target.items():
        expected = sum(
            Fraction(count, total) * Fraction(source.mapping[group].shares[name])
            for group, count in counts.items()
        )
        assert abs(share - expected) < 1e-12
    assert parse_spec(dump_spec(spec)) == spec
    random.shuffle(rows)  # type: ignore[attr-defined]
    again = table_spec(source, Table("t.csv", "line", "0" * 64, tuple(rows)))
    assert again.target == spec.target
    tenfold = [Row(row.number, dict(row.cells) | {"n": f"{row.cells['n']}0"}) for row in rows]
    assert table_spec(source, Table("t.csv", "line", "0" * 64, tuple(tenfold))).target == spec.target


@given(st.text(max_size=120) | st.text(alphabet='AB,0.37\n\r"group;share-', max_size=120), st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gives_a_spec_or_one_sentence(tmp_path: Path, noise: str, after: bool) -> None:
    table = (CSV + noise if after else noise).encode("utf-8", "surrogatepass")
    try:
        spec = made(tmp_path, table=table)
    except UserError as error:
        said = str(error)
    else:
        said = ""
        assert spec.target == {"light": 0.03, "medium": 0.62, "dark": 0.35} or not after
    assert "\n" not in said


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "table.csv")
    (tmp_path / "source.yaml").write_text(DOCUMENT, encoding="utf-8")
    with pytest.raises(UserError, match="is a pipe"):
        load_table_source(tmp_path / "source.yaml")


def test_the_command_writes_a_spec_and_shows_the_judgements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path, DOCUMENT.replace("dark: 1/2, medium: 1/2", "dark: 1"))
    source, out = tmp_path / "source.yaml", tmp_path / "mine.yaml"
    assert cli.run(["spec", "table", str(source), "-o", str(out)]) == 0
    shown = capsys.readouterr().out
    for told in ("3.0 %", "27.0 %", "70.0 %", "a study", "B goes to one class wholly", "Written:"):
        assert told in shown
    spec = load_spec(out)
    assert spec == made(tmp_path, source.read_text(encoding="utf-8"))
    assert cli.run(["spec", "check", str(out)]) == 0
    capsys.readouterr()
    for args, reason in (
        (["-o", str(out)], "exists: choose another -o, or add --force"),
        (["-o", str(source), "--force"], "is the table source itself"),
        (["-o", str(tmp_path / "table.csv"), "--force"], "is the table itself"),
        (["-o", str(tmp_path), "--force"], "is a folder"),
        (["-o", str(tmp_path / "no" / "x.yaml")], "there is no folder"),
    ):
        assert cli.run(["spec", "table", str(source), *args]) == 2
        assert reason in " ".join(capsys.readouterr().err.split())
    assert cli.run(["spec", "table", str(source), "-o", str(out), "--force"]) == 0
    (tmp_path / "table.csv").write_text("group,share\nA,1\n", encoding="utf-8")
    before = out.read_bytes()
    assert cli.run(["spec", "table", str(source), "-o", str(out), "--force"]) == 2
    assert out.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine.yaml", "source.yaml", "table.csv"]


def test_the_template_is_invented_says_so_and_works(tmp_path: Path) -> None:
    templates = specs_dir() / "templates"
    for name in ("table-source.yaml", "table-example.csv"):
        assert "INVENTED" in (templates / name).read_text(encoding="utf-8")
    spec = table_spec(*load_table_source(templates / "table-source.yaml"))
    assert "invented" in spec.about
    assert spec.target_for("a portrait of a baker") != spec.target
    assert spec.name not in list_specs()
    assert not any("template" in name or "table" in name for name in list_specs())
