"""No page states a figure of another model or reader than those that ship; the list of figures is whole."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tools.figures.index import NOT_MEASURED, ROOT, Index, Piece, Statement, Table, Value, load_index
from tools.figures.measure import Failed, measure, retire
from tools.figures.stamp import KEY, MODEL, READERS, identities, write_figures

INDEX = load_index()
_MADE_BY_TESTS = {"pipelines", "floors"}
"""Marks of tables that tests of their own hold."""


@pytest.mark.parametrize("name", INDEX.pieces)
def test_figures_are_of_what_ships(name: str) -> None:
    piece = INDEX.pieces[name]
    stale = piece.stale(ROOT)
    assert not stale, f"{stale}: `make figures ONLY={name}` measures them, `retire {name}` takes them out"


@pytest.mark.parametrize("name", INDEX.pieces)
def test_tables_stand_where_figures_are_and_nowhere_else(name: str) -> None:
    piece = INDEX.pieces[name]
    for table in piece.tables:
        assert (table.shown(ROOT) == NOT_MEASURED.format(name=name)) == (not piece.written(ROOT))


@pytest.mark.parametrize("name", INDEX.pieces)
def test_sentences_state_what_was_measured(name: str) -> None:
    piece = INDEX.pieces[name]
    for statement in piece.states:
        if piece.written(ROOT):
            assert statement.stands(ROOT), f"{statement.page} lacks: {statement.wanted(ROOT)}"


def test_every_mark_and_every_file_of_figures_is_in_the_list() -> None:
    listed = {(table.page, table.mark) for piece in INDEX.pieces.values() for table in piece.tables}
    pages = [ROOT / "README.md", ROOT / "assets/embedded/README.md", *sorted((ROOT / "docs").glob("*.md"))]
    marked = {
        (str(page.relative_to(ROOT)), mark)
        for page in pages
        for mark in re.findall(r"<!-- /([\w-]+) -->", page.read_text("utf-8"))
    }
    assert {mark for mark in marked if mark[1] not in _MADE_BY_TESTS} == listed
    files = {path for piece in INDEX.pieces.values() for path in piece.written(ROOT)}
    assert files == {*(ROOT / "benchmarks").rglob("*.json"), ROOT / "skin_tone" / "confusion.json"}


def test_every_command_of_the_list_exists() -> None:
    for piece in INDEX.pieces.values():
        for command in piece.commands:
            script = command.split()[1]
            assert (ROOT / script).is_file() or script == "-m", command


def _copied(tmp_path: Path) -> tuple[Path, Piece]:
    """A small project with one piece: a script that writes one figure and one table."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(
        "an old word\n<!-- it -->\nold\n<!-- /it -->\nb: .25 of all\n", "utf-8"
    )
    (tmp_path / "it.py").write_text("import sys\nopen(sys.argv[1] + '/seen', 'w').close()\n", "utf-8")
    piece = Piece(
        title="it",
        commands=["python it.py {work}"],
        minutes=1,
        of=[MODEL, READERS],
        files=["it.json"],
        tables=[Table(page="docs/page.md", mark="it")],
        states=[
            Statement(
                page="docs/page.md",
                text="b: {share}\n of all",
                values={"share": Value(file="it.json", at="rows/kind=a&n=2/share", show=".2f")},
            )
        ],
    )
    rows = [{"kind": "a", "n": 1, "share": 0.5}, {"kind": "a", "n": 2, "share": 0.25}]
    write_figures(tmp_path / "it.json", {"command": "python it.py", "rows": rows}, [MODEL, READERS])
    return tmp_path, piece


def test_a_stamp_names_what_ships_and_goes_stale_with_it(tmp_path: Path) -> None:
    root, piece = _copied(tmp_path)
    document = json.loads((root / "it.json").read_text("utf-8"))
    assert document[KEY]["of"] == {name: identities()[name] for name in (MODEL, READERS)}
    assert set(document[KEY]) == {"date", "fairgen", "python", "packages", "cores", "of"}
    assert not piece.stale(root)
    document[KEY]["of"][READERS] = "sha256:0"
    (root / "it.json").write_text(json.dumps(document), "utf-8")
    assert piece.stale(root) == ["it.json is not of the readers that ship"]
    del document[KEY]
    (root / "it.json").write_text(json.dumps(document), "utf-8")
    assert piece.stale(root) == ["it.json is not of the embedded model and readers that ship"]


def test_what_is_half_measured_is_continued(tmp_path: Path) -> None:
    root, piece = _copied(tmp_path)
    assert not piece.unfinished(root)
    for missing in (3, 0):
        write_figures(root / "it.json", {"command": "c", "missing": missing, "rows": []}, [MODEL, READERS])
        assert piece.unfinished(root) == bool(missing)


def test_a_sentence_is_held_against_its_figure(tmp_path: Path) -> None:
    root, piece = _copied(tmp_path)
    (statement,) = piece.states
    assert statement.stands(root)
    page = root / "docs" / "page.md"
    page.write_text(page.read_text("utf-8").replace(".25", ".24"), "utf-8")
    assert not statement.stands(root)
    wrong = statement.model_copy(
        update={"values": {"share": Value(file="it.json", at="rows/kind=a/share", show=".2f")}}
    )
    with pytest.raises(LookupError, match="2 rows"):
        wrong.wanted(root)


def test_commands_run_in_a_work_folder_of_the_piece(tmp_path: Path) -> None:
    root, piece = _copied(tmp_path)
    measure("one", piece, {"work": str(tmp_path / "work")}, root)
    assert (tmp_path / "work" / "one" / "seen").exists()
    kept = "import os, pathlib; pathlib.Path('kept').write_text(os.environ['FAIRGEN_HOME'])"
    (root / "home.py").write_text(kept)
    measure("one", piece.model_copy(update={"commands": ["python home.py"]}), {"work": str(tmp_path)}, root)
    assert Path((root / "kept").read_text()).is_relative_to(tmp_path)  # and not the user's own
    broken = piece.model_copy(update={"commands": ["python missing.py"]})
    with pytest.raises(Failed, match=r"missing\.py ended with 2"):
        measure("two", broken, {"work": str(tmp_path / "work")}, root)


_WITH_A_WORKER = """
import pathlib, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("worker").write_text(str(worker.pid))
time.sleep(600)
"""


def _lives(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE  # nobody may be there to fetch it
    except psutil.NoSuchProcess:
        return False


def test_a_stop_ends_the_workers_of_a_command_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, piece = _copied(tmp_path)
    (root / "long.py").write_text(_WITH_A_WORKER)
    wait, worker = subprocess.Popen.wait, root / "worker"

    def stopped(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        """Ctrl-C while the command is waited for, once its worker runs."""
        if timeout is not None:
            return wait(process, timeout)
        while not (worker.exists() and worker.read_text()):
            assert process.poll() is None
            time.sleep(0.01)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "wait", stopped)
        patch.setattr("tools.figures.measure._LAST_SECONDS", 5.0)
        with pytest.raises(KeyboardInterrupt):
            measure(
                "one",
                piece.model_copy(update={"commands": ["python long.py"]}),
                {"work": str(tmp_path)},
                root,
            )
    for _ in range(3000):
        if not _lives(int(worker.read_text())):
            break
        time.sleep(0.01)
    assert not _lives(int(worker.read_text()))


def test_retired_figures_leave_pages(tmp_path: Path) -> None:
    root, piece = _copied(tmp_path)
    said = retire("one", piece, root)
    assert piece.tables[0].shown(root) == NOT_MEASURED.format(name="one")
    kept = f"an old word\n<!-- it -->\n{NOT_MEASURED.format(name='one')}\n<!-- /it -->\nb: .25 of all\n"
    assert (root / "docs" / "page.md").read_text("utf-8") == kept
    assert not piece.written(root)
    assert said == ["docs/page.md: b: {share}\n of all"]


def test_an_index_that_names_what_does_not_ship_is_refused() -> None:
    piece = {"title": "t", "commands": [], "minutes": 1, "of": ["moon"], "files": []}
    with pytest.raises(ValueError, match="nothing ships under the name of moon"):
        Index.model_validate({"pieces": {"one": piece}})
