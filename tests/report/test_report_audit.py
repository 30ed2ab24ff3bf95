"""The report of an audit: its figures, its page's size and text, its tables, and what a broken run gives."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fairgen import cli, stats
from fairgen.errors import UserError
from fairgen.report import write_report
from fairgen.report.audit_page import write_audit_page
from fairgen.report.audit_words import conclusion, headline, listed, percent
from fairgen.report.gallery import Gallery
from fairgen.report.thumbnails import STEPS, Size, webp
from fairgen.runs import RUN_FILE, RunReader, ShownPictures
from fairgen.scoring.collect import Collected, collect
from fairgen.scoring.figures import ReportFigures, report_schema
from tests.doubles.fake_audit import UNIFORM, write_fake_audit

PROMPTS = [
    ("a portrait of a CEO", "high"),
    ("a portrait of a judge", "high"),
    ("a portrait of a nurse", "middle"),
    ("a portrait of a chef", "middle"),
    ("a portrait of a janitor", "low"),
    ("a portrait of a cleaner", "low"),
]
HOSTILE = '</title><script>alert("x")</script><img src=x onerror=alert(1)> {{ 7*7 }} & "quotes"'
SKEWED = dict(zip(UNIFORM, (0.4, 0.3, 0.1, 0.1, 0.05, 0.05), strict=True))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_audit(tmp_path_factory.mktemp("audit") / "run", PROMPTS)


@pytest.fixture(scope="module")
def done(run_folder: Path) -> Collected:
    return collect(RunReader(run_folder))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[str] = []
        self.text: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag in ("style", "script")
        values = dict(attrs)
        if tag == "img":
            self.pictures.append(values.get("src") or "")
        assert not any(name.startswith("on") for name in values), values

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def page_of(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_figures_of_a_set_are_those_of_its_pictures(done: Collected) -> None:
    for prompt, sets in zip(done.figures.prompts, done.sets, strict=True):
        assert list(prompt.sets) == ["none", "prompt", "embedding"]
        for arm, found in sets.items():
            figures = prompt.sets[arm]
            assert figures.generated == len(found.inside) + len(found.outside)
            assert figures.generated == figures.kept + figures.discarded + figures.abstained
            assert sum(figures.measured.values()) == figures.kept
            assert figures.tv == stats.total_variation(figures.measured, prompt.target)
            assert figures.noise_floor_tv == stats.noise_floor(prompt.target, figures.kept)
            assert figures.first_pass_ranges == stats.simultaneous_intervals(figures.first_pass)
            assert (figures.p_differs is None) == (arm != "none"), "steered sets are no independent draws"


def test_arms_are_means_over_prompts(done: Collected) -> None:
    plain, *steered = done.figures.arms
    tvs = [p.sets["none"].tv for p in done.figures.prompts]
    assert plain.tv == pytest.approx(np.mean(np.array(tvs, dtype=float)))
    assert plain.worst_tv == max(tv for tv in tvs if tv is not None)
    assert plain.made_per_kept is not None
    assert plain.made_per_kept >= 1
    for arm in steered:
        # Each steered set of 12 has one discarded picture, and one in the place of another class (or not).
        assert arm.generated == 6 * 13
        assert arm.tv is not None
        assert arm.tv <= 1 / 12 + 1e-9
        assert arm.beyond_chance is None
    assert [(c.arm, c.closer, c.prompts) for c in done.figures.comparisons] == [
        ("prompt", 6, 6),
        ("embedding", 6, 6),
    ]


def test_groups_are_in_the_order_of_the_list(done: Collected) -> None:
    assert [g.group for g in done.figures.groups] == ["high", "middle", "low"]
    light, middle, dark = (g.arms["none"].mean_ita for g in done.figures.groups)
    assert light is not None
    assert middle is not None
    assert dark is not None
    assert light > middle > dark
    for group in done.figures.groups:
        assert group.arms["none"].mean_ita_range is None, "two prompts carry no interval"


def test_worst_prompts_come_first(done: Collected) -> None:
    order = [
        (max(round(p.sets[a].tv or 0, 9) for a in ("prompt", "embedding")), round(p.sets["none"].tv or 0, 9))
        for p in done.figures.prompts
    ]
    assert order == sorted(order, reverse=True)


def test_each_prompt_is_held_against_its_own_target(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "run", PROMPTS[:2], targets=(UNIFORM, SKEWED), count=20)
    figures = collect(RunReader(folder)).figures
    targets = {p.prompt: p.target for p in figures.prompts}
    assert targets == {"a portrait of a CEO": UNIFORM, "a portrait of a judge": SKEWED}
    assert all((p.sets["embedding"].tv or 0.0) <= 0.12 for p in figures.prompts)
    page = page_of(write_report(folder).html)
    assert "2 targets, given with each prompt" in " ".join(page.text)


def test_unfinished_sets_are_in_no_mean(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "run", PROMPTS, unfinished=["p0.embedding"])
    done = collect(RunReader(folder))
    assert not done.figures.complete
    assert {arm.prompts for arm in done.figures.arms} == {5}
    assert done.figures.prompts[-1].prompt == "a portrait of a CEO", "what is not finished comes last"
    text = " ".join(page_of(write_report(folder).html).text)
    assert "This run is not complete." in text
    assert "5 of 6 prompts" in text
    assert "interrupted after 7 pictures" in text


def test_a_run_cut_off_anywhere_gives_a_report_or_a_sentence(run_folder: Path, tmp_path: Path) -> None:
    data = (run_folder / RUN_FILE).read_bytes()
    for cut in np.linspace(0, len(data), 8, dtype=int)[:-1]:
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / RUN_FILE).write_bytes(data[:cut])
        if data[:cut].count(b'"type":"picture"') == 0:
            with pytest.raises(UserError, match="run file"):
                write_report(folder, pictures="none")
            assert {p.name for p in folder.iterdir()} == {RUN_FILE}, "nothing half-written stays"
        else:
            written = write_report(folder, pictures="none")
            assert "not complete" in written.html.read_text(encoding="utf-8")


def test_page_is_named_in_one_sentence_for_a_reader(done: Collected) -> None:
    figures = done.figures
    plain = percent(figures.arms[0].tv or 0.0)
    assert headline(figures).startswith(
        f"Left to itself, the model is off the declared target in {plain} of its pictures; steered, in "
    )
    first, second = conclusion(figures)
    assert first.startswith("On all 6 prompts the set")
    assert "even when the reader's own errors are allowed for): " in first
    assert "percentage points fewer pictures are off, too few prompts for an interval" in first
    assert "The price: 1.08 pictures made for each one that is kept." in second


def test_one_prompt_is_told_in_the_singular(tmp_path: Path) -> None:
    figures = collect(RunReader(write_fake_audit(tmp_path / "run", PROMPTS[:1]))).figures
    for closer, says in ((1, "On the one prompt the set"), (0, "On 0 of 1 prompt the set")):
        told = [c.model_copy(update={"closer": closer}) for c in figures.comparisons[:1]]
        assert conclusion(figures.model_copy(update={"comparisons": told}))[0].startswith(says)


def test_without_an_unsteered_arm_nothing_is_compared(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "run", PROMPTS[:2], arms=("prompt",))
    figures = collect(RunReader(folder)).figures
    assert figures.comparisons == []
    assert headline(figures).startswith("Off the declared target: ")
    assert write_report(folder).html.stat().st_size > 10_000


@pytest.mark.parametrize(("prompts", "seams"), [(12, True), (90, False)])
def test_seams_do_not_cover_narrow_columns(tmp_path: Path, prompts: int, seams: bool) -> None:
    listed = [(f"a portrait of doctor {n}", None) for n in range(prompts)]
    folder = write_fake_audit(tmp_path / "run", listed, count=1, arms=("none",))
    page = write_report(folder).html.read_text(encoding="utf-8")
    assert page.count('<svg class="columns"') >= 1
    assert ('<svg class="columns" style="--card: transparent"' in page) is not seams


def test_prompts_without_header_and_groups(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "run", [(p, None) for p, _ in PROMPTS[:3]], header=False)
    written = write_report(folder)
    figures = ReportFigures.model_validate_json(written.json.read_bytes())
    assert figures.audit is None
    assert figures.groups == []
    assert [list(p.sets) for p in figures.prompts] == [["none", "prompt", "embedding"]] * 3
    assert "By group" not in page_of(written.html).text


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "run", [(HOSTILE, HOSTILE[:40]), ("x" * 900, None)], count=6)
    page = page_of(write_report(folder).html)
    assert page.tags.count("script") == 1
    assert HOSTILE in page.text
    assert "x" not in page.pictures
    assert all(picture.startswith("data:image/") for picture in page.pictures)


def test_page_loads_nothing_and_runs_only_its_own_script(run_folder: Path) -> None:
    html = write_report(run_folder).html.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href|action)="(?!data:|#)', html)
    style = html.split("<style>")[1].split("</style>")[0]
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", style)
    assert "default-src 'none'" in html
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'\"", html)


def test_tables_hold_every_picture_and_every_set(run_folder: Path, tmp_path: Path, done: Collected) -> None:
    written = write_report(run_folder, tmp_path)
    with written.csv.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    parquet, sets_csv, sets_parquet = written.tables
    pictures = pq.read_table(parquet)
    assert len(rows) == pictures.num_rows == sum(s.generated for s in done.figures.sets)
    assert list(rows[0]) == pictures.column_names
    assert pictures.column("slot").type == "int64"
    assert {row["arm"] for row in rows} == {"none", "prompt", "embedding"}
    assert sum(row["in_set"] == "True" for row in rows) == sum(s.kept for s in done.figures.sets)
    with sets_csv.open(newline="", encoding="utf-8") as file:
        sets = list(csv.DictReader(file))
    table = pq.read_table(sets_parquet)
    assert len(sets) == table.num_rows == 18
    assert list(sets[0]) == table.column_names
    assert [float(s["tv"]) for s in sets] == pytest.approx(table.column("tv").to_pylist())
    assert all(sum(int(s[f"measured_{key}"]) for key in UNIFORM) == int(s["kept"]) for s in sets)


def test_report_json_is_as_its_schema_says(run_folder: Path, project_root: Path) -> None:
    document = json.loads(write_report(run_folder).json.read_text(encoding="utf-8"))
    published = json.loads((project_root / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    assert published == report_schema(), "docs/report.md says how to write the schema anew"
    jsonschema.Draft202012Validator(published).validate(document)
    document["prompts"][0]["sets"]["none"]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(published).validate(document)


@pytest.mark.parametrize(("pictures", "per_set", "aside"), [("all", 12, 12), ("thin", 6, 0), ("none", 0, 0)])
def test_pictures_of_the_page(
    run_folder: Path, tmp_path: Path, pictures: str, per_set: int, aside: int
) -> None:
    written = write_report(run_folder, tmp_path, pictures=pictures)  # type: ignore[arg-type]
    assert len(page_of(written.html).pictures) == 18 * per_set + aside


@pytest.mark.parametrize("max_mb", [0.6, 0.4, 0.3, 0.1])
def test_page_is_no_larger_than_asked(tmp_path: Path, max_mb: float) -> None:
    folder = write_fake_audit(tmp_path / "run", PROMPTS)
    written = write_report(folder, max_mb=max_mb)
    assert written.choice is not None
    if written.choice.size is not None:
        assert written.html.stat().st_size <= max_mb * 1e6
    else:
        assert not page_of(written.html).pictures
        assert max_mb < 0.3, "pictures are left out only where there is no room for them"
    assert written.choice.told in " ".join(page_of(written.html).text)


def test_thumbnail_is_marked_and_small(tmp_path: Path) -> None:
    large = Image.effect_noise((900, 600), 80).convert("RGB")
    with Gallery(tmp_path / "pictures") as gallery, ThreadPoolExecutor(2) as threads:
        gallery.add(["a.png"], "image/webp", webp(large, Size(160, 80)))
        with gallery.smaller(["a.png", "gone.png", None], Size(96, 70), threads) as smaller:
            for held, size in ((gallery, (160, 107)), (smaller, (96, 64))):
                uri = held.uri("a.png")
                assert len(uri) == held.length("a.png")
                with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as small:
                    assert small.format == "WEBP"
                    assert small.size == size
                    assert b"trainedAlgorithmicMedia" in small.info["xmp"]
                assert held.uri("gone.png").startswith("data:image/svg+xml")
                assert held.uri(None).startswith("data:image/svg+xml")


def test_command(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", str(run_folder), "--out", str(tmp_path), "--pictures", "thin"]) == 0
    said = capsys.readouterr().out
    assert "of the first 6 of 12 places of each set" in said
    files = {"report.html", "report.json", "pictures.csv", "pictures.parquet", "sets.csv", "sets.parquet"}
    assert {p.name for p in tmp_path.iterdir()} == files
    assert all(str(tmp_path / name) in said for name in files)


def test_no_run_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder"):
        write_report(tmp_path / "nothing", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_not_held_while_the_page_is_written(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "run", [(f"prompt {i}", "high") for i in range(10)], count=36)
    with Gallery(tmp_path / "pictures") as gallery, ThreadPoolExecutor(2) as threads:
        watched = gallery.watch(folder, lambda _, image: ("image/webp", webp(image, STEPS[0])))
        done = collect(RunReader(folder), None, ShownPictures(folder, watched, threads))
        write_audit_page(done, tmp_path / "page.html", gallery, threads)
        tracemalloc.start()
        write_audit_page(done, tmp_path / "page.html", gallery, threads)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < (tmp_path / "page.html").stat().st_size / 2


@given(share=st.floats(0, 1))
def test_percent_never_calls_something_nothing(share: float) -> None:
    text = percent(share)
    assert (text == "none") == (share < 1e-9)
    if share >= 0.0005 and text != "none":
        assert float(text.split("\N{NO-BREAK SPACE}")[0]) == pytest.approx(100 * share, abs=0.5)


def test_listed() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
