"""Reports that are too large for one page: an overview, and every picture once on the pages beside it."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fairgen import cli
from fairgen.cli.telling import telling
from fairgen.common.files import work_folder
from fairgen.errors import UserError
from fairgen.provenance.block import TRAINED_ALGORITHMIC_MEDIA
from fairgen.report import audit_folder, images, write, write_report
from fairgen.report.audit_folder import Part, _paged
from fairgen.report.paging import PAGES
from fairgen.report.thumbnails import Choice, Size
from fairgen.report.verified import verification_writer
from fairgen.runs import RUN_FILE, RunReader
from fairgen.scoring.verify import PictureResult, Verification
from fairgen.targets import load_spec
from tests.doubles.fake_audit import write_fake_audit
from tests.doubles.fake_run import draw_face, reading, tone_of

PROMPTS = [(f"a portrait of number {i}", "odd" if i % 2 else "even") for i in range(5)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_audit(tmp_path_factory.mktemp("folder") / "run", PROMPTS, arms=("none", "prompt"))


class Page(HTMLParser):
    """What a page shows and where it leads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.pictures.append(values.get("src") or "")
        if tag == "a":
            self.links.append(values.get("href") or "")
        if values.get("id"):
            self.anchors.add(str(values["id"]))


def pages_of(folder: Path) -> list[Page]:
    """The overview and the pages beside it; every link leads somewhere."""
    pages = [Page(folder / "report.html"), *map(Page, sorted((folder / PAGES).iterdir()))]
    known = {page.path.resolve(): page for page in pages}
    for page in pages:
        for link in page.links:
            file, _, anchor = link.partition("#")
            target = known[(page.path.parent / file).resolve()]
            assert not anchor or anchor in target.anchors
    return pages


def test_every_picture_is_on_the_pages_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_folder, "PICTURES_A_PAGE", 30)
    monkeypatch.setattr(audit_folder, "PROMPTS_A_PAGE", 2)
    opened: Counter[str] = Counter()
    real = Image.open

    def counting(path: Any, *args: Any, **more: Any) -> Any:
        if isinstance(path, Path) and path.is_relative_to(run):
            opened["pictures"] += 1
        return real(path, *args, **more)

    monkeypatch.setattr(Image, "open", counting)
    written = write_report(run, tmp_path, layout="folder")
    made = sum(len(s.pictures) for s in RunReader(run).sessions())
    assert opened["pictures"] == made, "each picture is decoded once"
    overview, *pages = pages_of(tmp_path)
    assert overview.pictures == []
    assert sum(len(page.pictures) for page in pages) == made
    assert all(len(page.pictures) <= 30 for page in pages)
    assert written.pages == len(pages) > len(PROMPTS) / 2
    assert [link for link in overview.links if "#" in link] == list(
        dict.fromkeys(link for link in overview.links if "#" in link)
    )
    assert len([link for link in overview.links if "#" in link]) == len(PROMPTS)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["pictures.csv", "pictures.parquet", "report.html", "report.json", PAGES, "sets.csv", "sets.parquet"]
    )


@given(
    data=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 90)), max_size=12),
    a_page=st.integers(2, 40),
)
def test_pages_hold_every_place_and_everything_left_out_once(
    data: list[tuple[int, int, int]], a_page: int
) -> None:
    class Found:
        def __init__(self, inside: int, outside: int) -> None:
            self.inside, self.outside = range(inside), range(outside)

    sets: Any = [{"none": Found(a, c), "prompt": Found(b, 0)} for a, b, c in data]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_folder, "PICTURES_A_PAGE", a_page)
        pages: list[list[Part]] = _paged(sets, Choice(60, 60, True, Size(160, 80)))
    parts = [part for page in pages for part in page]
    for prompt, (a, b, c) in enumerate(data):
        mine = [part for part in parts if part.prompt == prompt]
        assert [i for part in mine for i in range(*part.places)] == list(range(max(a, b)))
        assert [i for part in mine for i in range(*part.aside)] == list(range(c))
        assert [(part.number, part.of) for part in mine] == [(i + 1, len(mine)) for i in range(len(mine))]
    for page in pages:
        held = sum(2 * (p.places[1] - p.places[0]) + p.aside[1] - p.aside[0] for p in page)
        assert held <= a_page
    assert [part.prompt for part in parts] == sorted(part.prompt for part in parts)


def test_large_audits_become_a_folder_unless_one_page_is_asked_for(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(write, "MOST_PROMPTS", 4)
    command = ["report", str(run), "--out", str(tmp_path), "--pictures", "none"]
    assert cli.run(command) == 0
    assert "Pictures: 1 page in " in capsys.readouterr().out
    assert (tmp_path / PAGES / "0001.html").is_file()
    assert cli.run([*command, "--single-file"]) == 0
    assert PAGES not in capsys.readouterr().out
    assert not (tmp_path / PAGES).exists(), "pages of an earlier report go"
    assert write_report(run, tmp_path, pictures="none", max_mb=5).pages == 0
    assert cli.run([*command, "--folder", "--max-mb", "5"]) == 2


def test_other_files_are_not_taken_for_pages(run: Path, tmp_path: Path) -> None:
    (tmp_path / PAGES).mkdir()
    (tmp_path / PAGES / "mine.txt").touch()
    with pytest.raises(UserError, match="no page of a report"):
        write_report(run, tmp_path, pictures="none")
    assert [p.name for p in tmp_path.iterdir()] == [PAGES]


def test_what_a_killed_report_left_is_deleted_and_what_another_makes_is_not(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / ".report.dead.tmp").mkdir()
    (tmp_path / ".report.dead.tmp" / "lock").touch()
    (tmp_path / ".report.dead.tmp" / "pictures").write_bytes(b"x")
    with work_folder(tmp_path, "report") as other:
        assert not (tmp_path / ".report.dead.tmp").exists()
        write_report(run, tmp_path, pictures="none")
        assert other.is_dir(), "its process lives"
    assert not any(path.name.endswith(".tmp") for path in tmp_path.iterdir())


def test_more_prompts_than_columns_share_them(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairgen.report import audit_view

    monkeypatch.setattr(audit_view, "_MOST_COLUMNS", 3)
    html = write_report(run, tmp_path, layout="folder").html.read_text()
    assert "One column for 2 neighbouring prompts, the mean of their shares" in html
    assert "2 prompts, from a portrait of number" in html


def found_in(folder: Path, count: int, name: bytes = b"%04d.png") -> Verification:
    """A verification of drawn faces, without a reader."""
    spec = load_spec("uniform")
    results = []
    for number in range(count):
        path = folder / os.fsdecode(name % number)
        draw_face(path, tone_of("tan", 0), 0)
        results.append(PictureResult(path, readings=(reading(tone_of("tan", 0)),), measured="tan"))
    return Verification(spec, tuple(results))


def test_a_large_verification_becomes_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairgen.report import verified
    from skin_tone.files import open_picture

    monkeypatch.setattr(verified, "_PICTURES_A_PAGE", 8)
    (tmp_path / "found").mkdir()
    done = found_in(tmp_path / "found", 20)
    with verification_writer(tmp_path / "out", 20, "folder") as writer:
        for result in done.results:
            writer.saw(result.file, open_picture(result.file))
        written = writer.write(done)
    overview, *pages = pages_of(tmp_path / "out")
    assert written.pages == len(pages) == 3
    assert [len(page.pictures) for page in pages] == [8, 8, 4]
    assert len(overview.pictures) == 12
    assert all(p.startswith("data:image/") and "svg" not in p for page in pages for p in page.pictures)


@pytest.mark.parametrize(
    ("size", "says", "kept"),
    [(100, "", True), (40_000, "", False), (100_000, TRAINED_ALGORITHMIC_MEDIA, True)],
)
def test_xmp_of_any_length_ends_no_report(tmp_path: Path, size: int, says: str, kept: bool) -> None:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{says}{'x' * size}</x:xmpmeta>")
    path = tmp_path / "a.png"
    Image.effect_noise((500, 400), 80).convert("RGB").save(path, pnginfo=info)
    kind, data = images.embedded(path)
    assert kind == "image/jpeg"
    assert (b"xmpmeta" in data) is kept
    assert (TRAINED_ALGORITHMIC_MEDIA.encode() in data) is bool(says)


def test_names_that_are_no_utf8_are_told_in_every_file(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    done = found_in(tmp_path / "found", 1, b"caf\xe9 %d.png")
    told = json.dumps(done.to_json(), ensure_ascii=False).encode()  # as --json prints it
    assert rb"caf\\xe9 0.png" in told
    with verification_writer(tmp_path / "out", 1) as writer:
        writer.write(done)
    document = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert [Path(name).name for name in document["pictures"]] == ["caf\\xe9 0.png"]
    assert r"caf\xe9 0.png" in (tmp_path / "out" / "pictures.csv").read_text(encoding="utf-8")
    assert r"caf\xe9 0.png" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_without_a_terminal_a_line_comes_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    with telling("Reading", lambda: now) as tell:
        for second in range(100):
            now = float(second)
            tell(f"{second}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Reading: 10", "Reading: 40", "Reading: 70"]


def test_the_report_tells_how_far_it_is(run: Path, tmp_path: Path) -> None:
    said: list[str] = []
    write_report(run, tmp_path, layout="folder", told=said.append)
    looked = [int(m[1]) for words in said if (m := re.match(r"(\d+) pictures looked at", words))]
    assert looked == sorted(looked)
    assert len(looked) == 10
    assert said[-1] == "writing page 1 of 1"


def test_a_pipe_in_the_place_of_a_picture_is_lost_and_not_waited_for(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "run", PROMPTS[:1], arms=("none",), count=6)
    name = next(p.file for s in RunReader(folder).sessions() for p in s.pictures)
    assert name is not None
    (folder / name).unlink()
    os.mkfifo(folder / name)
    problems = json.loads(write_report(folder, tmp_path / "out").json.read_text())["problems"]
    assert any("gone (" in problem for problem in problems)
    (folder / RUN_FILE).unlink()
    os.mkfifo(folder / RUN_FILE)
    with pytest.raises(UserError, match="no run folder"):
        write_report(folder)


def test_every_picture_that_is_gone_is_a_problem_of_the_report(tmp_path: Path) -> None:
    folder = write_fake_audit(tmp_path / "run", PROMPTS[:1], arms=("none",), count=3)
    for picture in (folder / "faces").iterdir():
        picture.unlink()
    (problem,) = json.loads(write_report(folder).json.read_text())["problems"]
    assert re.match(r"\d+ pictures are gone \(faces/", problem)


def test_the_table_of_the_page_about_reports_has_every_arm(tmp_path: Path) -> None:
    """Also for a list without groups, which a pivot by group leaves out."""
    page = Path(__file__).resolve().parents[2] / "docs" / "report.md"
    (example,) = re.findall(r"```python\n(import pandas.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    folder = write_fake_audit(tmp_path, [("a doctor", None)], arms=("none", "prompt"), count=2)
    write_report(folder, pictures="none")
    *lines, last = example.replace("runs/audit", str(folder)).strip().splitlines()
    names: dict[str, Any] = {}
    exec(compile("\n".join([*lines, f"table = {last}"]), str(page), "exec"), names)
    assert list(names["table"].index) == ["no group"]
    assert set(names["table"].columns) == {(k, arm) for k in ("tv", "mean_ita") for arm in ("none", "prompt")}
