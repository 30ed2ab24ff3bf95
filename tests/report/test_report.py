"""The report of a run folder: what it says, that it stands alone, and that it trusts no text."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from fairgen.common.files import now
from fairgen.errors import UserError
from fairgen.provenance.block import Provenance
from fairgen.provenance.png import write_png
from fairgen.report import write_report
from fairgen.report.images import MISSING, embedded, uri_of
from fairgen.report.load import axis_end, reports_of
from fairgen.report.tables import csv_text
from fairgen.runs import RUN_FILE, read_run
from fairgen.scoring.measure import lab_to_hex
from skin_tone.colour import hex_to_lab
from tests.doubles.fake_run import write_fake_run
from tests.doubles.session_doubles import unlinked

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> {{ 7*7 }} & "quotes"'


class _Page(HTMLParser):
    """Collects tags, what they load, and the text that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.text: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag == "style"
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
                self.loads.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def _page(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_run(tmp_path_factory.mktemp("run") / "run")


def test_headline_says_how_many_pictures_are_off(run_folder: Path) -> None:
    text = " ".join(_page(write_report(run_folder).html).text)
    # 17, 8, 3, 1, 0, 0 of 29 against 1/6 each: TV = (17/29 - 1/6) + (8/29 - 1/6) = 0.5287, of 29 pictures
    # 15.3.
    assert "Unsteered, about 15 of 29 pictures are off the declared target. Steered, none of 30" in text
    assert "Asked for “a portrait of a CEO”" in text
    assert "bias was built in on purpose" in text
    assert "not race" in text


def test_page_stands_alone(run_folder: Path) -> None:
    page = _page(write_report(run_folder).html)
    assert page.loads, "the page shows pictures"
    assert all(load.startswith("data:image/") for load in page.loads)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    css = write_report(run_folder).html.read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    assert "@import" not in css
    assert not re.search(r"url\((?!#)", css)


def test_every_picture_is_shown_and_none_hidden(run_folder: Path) -> None:
    (report,) = reports_of(read_run(run_folder), str)
    unsteered, steered = report.arms
    assert (len(unsteered.kept), len(unsteered.abstained), len(unsteered.discarded)) == (29, 1, 0)
    assert (len(steered.kept), len(steered.abstained), len(steered.discarded)) == (30, 1, 2)
    assert all(t.unsteered.seed == t.steered.seed == t.seed for t in report.twins)
    assert len(report.twins) == 30
    assert steered.figures is not None
    assert steered.figures.tv == pytest.approx(0)
    assert steered.figures.p_differs is None, "a steered set is no independent sample"
    assert unsteered.figures is not None
    assert unsteered.figures.p_differs is not None
    assert unsteered.figures.p_differs < 0.001


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    written = write_report(write_fake_run(tmp_path / "run", prompt=HOSTILE))
    page = _page(written.html)
    assert "script" not in page.tags
    assert not page.handlers
    assert "x" not in page.loads
    assert HOSTILE in "".join(page.text), "it is shown as the text that it is"


def test_interrupted_run_is_reported_as_such(tmp_path: Path) -> None:
    written = write_report(write_fake_run(tmp_path / "run", arms=("prompt",), finish=False))
    assert "interrupted" in " ".join(_page(written.html).text)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["interrupted"] == ["steered"]
    (prompt,) = json.loads(written.json.read_text())["prompts"]
    assert not prompt["sets"]["prompt"]["finished"]


def test_tables(run_folder: Path, tmp_path: Path) -> None:
    written = write_report(run_folder, tmp_path / "elsewhere")
    with written.csv.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 + 33
    steered = [r for r in rows if r["session"] == "steered"]
    assert sum(r["in_set"] == "True" for r in steered) == 30
    assert all(0.3 < float(r["certainty"]) <= 1 for r in rows if r["measured"])
    assert {r["abstained"] for r in rows if not r["measured"]} == {"no_face"}
    summaries = json.loads((tmp_path / "elsewhere" / "summary.json").read_text())["sessions"]
    assert [s["session"] for s in summaries] == ["unsteered", "steered"]


def test_csv_runs_no_formula() -> None:
    assert (
        csv_text(("a",), [{"a": "=HYPERLINK(1)"}, {"a": "fine"}, {"a": -1.5}])
        == "a\n'=HYPERLINK(1)\nfine\n-1.5\n"
    )


def test_run_file_cannot_make_the_report_read_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8), "red").save(secret)
    folder = write_fake_run(tmp_path / "run", arms=("none",))
    run_file = folder / RUN_FILE
    run_file.write_bytes(unlinked(run_file).replace(b"unsteered/000.png", b"../secret.png"))
    page = write_report(folder).html.read_text()
    assert uri_of(*embedded(secret)) not in page
    assert MISSING in page


def test_large_picture_becomes_a_thumbnail_that_keeps_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    mark = Provenance(
        fairgen="0.1.0",
        created_at=now(),
        model="m",
        weights="",
        pipeline="p",
        seed=1,
        prompt="a nurse",
        steps=1,
        guidance_scale=None,
        spec="uniform",
        spec_hash="",
        steering="none",
        wanted=None,
        session="s",
        versions={},
    )
    write_png(Image.effect_noise((900, 600), 80).convert("RGB"), path, mark)
    kind, data = embedded(path)
    assert kind == "image/jpeg"
    with Image.open(io.BytesIO(data)) as small:
        assert small.size == (384, 256)
        assert b"trainedAlgorithmicMedia" in small.info["xmp"]


@pytest.mark.parametrize("name", ["empty.png", "text.png", "missing.png"])
def test_broken_picture_is_shown_as_missing(tmp_path: Path, name: str) -> None:
    folder = write_fake_run(tmp_path / "run", arms=("none",))
    assert MISSING not in write_report(folder).html.read_text()
    picture = folder / "unsteered" / "000.png"
    picture.unlink()
    if name == "empty.png":
        picture.touch()
    elif name == "text.png":
        picture.write_text("no picture")
    assert MISSING in write_report(folder).html.read_text()


def test_report_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder"):
        write_report(tmp_path)


@pytest.mark.parametrize(("largest", "end"), [(0.0, 0.2), (0.17, 0.2), (0.2, 0.4), (0.59, 0.8), (1.0, 1.0)])
def test_axis_leaves_room(largest: float, end: float) -> None:
    assert axis_end([largest]) == end


@pytest.mark.parametrize("colour", ["#e9cdbb", "#4a3127", "#000000", "#ffffff"])
def test_lab_round_trip(colour: str) -> None:
    assert lab_to_hex(hex_to_lab(colour)) == colour
