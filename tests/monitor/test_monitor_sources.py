"""Where a monitor's pictures come from."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fairgen.errors import UserError
from fairgen.monitor import Monitor
from fairgen.monitor.reading import Tone
from fairgen.monitor.sources import folder_offers, line_offers, run_offers
from fairgen.runs import read_run
from fairgen.targets import load_spec
from tests.doubles.fake_run import write_fake_run

CLASSES = ["light", "medium", "dark"]
NOW = 1_000_000.0


def put(path: Path, age: float, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (NOW - age, NOW - age))
    return path


def look(folder: Path, seen: set[str], by_folder: bool = False) -> list[str]:
    """Names that one look offers; they count as seen afterwards."""
    offers = list(folder_offers(folder, seen.__contains__, by_folder=by_folder, clock=lambda: NOW))
    seen |= {str(offer.id) for offer in offers}
    return [str(offer.path) for offer in offers]


def test_a_folder_offers_each_whole_picture_once_oldest_first(tmp_path: Path) -> None:
    new, old = put(tmp_path / "a.png", 10), put(tmp_path / "deep/b.JPG", 20)
    put(tmp_path / "c.png", 0.1)  # still being written
    put(tmp_path / ".hidden.png", 20)
    put(tmp_path / "notes.txt", 20)
    seen: set[str] = set()
    assert look(tmp_path, seen) == [str(old), str(new)]
    assert look(tmp_path, seen) == []
    put(tmp_path / "c.png", 5)
    assert look(tmp_path, seen) == [str(tmp_path / "c.png")]
    put(tmp_path / "a.png", 2, b"another")  # the same name, another picture
    assert look(tmp_path, seen) == [str(new)]


def test_folders_may_be_contexts_and_what_waits_is_counted(tmp_path: Path) -> None:
    for name in ("chat/1.png", "shop/old/2.png", "3.png"):
        put(tmp_path / name, 10)
    offers = list(folder_offers(tmp_path, lambda _: False, by_folder=True, clock=lambda: NOW))
    assert {(o.context, o.path.name) for o in offers if o.path} == {
        ("chat", "1.png"),
        ("shop", "2.png"),
        (None, "3.png"),
    }
    assert [offer.waiting for offer in offers] == [2, 1, 0]


@pytest.mark.skipif(os.name == "nt", reason="nobody says there how much a pipe holds")
def test_pictures_that_wait_in_a_pipe_are_counted(tmp_path: Path) -> None:
    line = b'{"picture": "%04d.png"}\n'
    taken, given = os.pipe()
    with os.fdopen(taken, "rb", buffering=len(line % 0)) as lines, os.fdopen(given, "wb") as product:
        product.write(b"".join(line % number for number in range(100)))
        product.flush()
        offers = line_offers(lines, CLASSES)
        assert [next(offers).waiting for _ in range(3)] == [99, 98, 97]
    (tmp_path / "lines").write_bytes(line % 0 + line % 1)
    with (tmp_path / "lines").open("rb") as lines:  # a file is no product that waits
        assert next(line_offers(lines, CLASSES)).waiting == 0


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_no_text_are_watched_too(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9") / os.fsdecode(b"\xff.png")
    try:
        put(file, 10)
    except OSError:
        pytest.skip("this file system takes text alone")
    (offer,) = folder_offers(tmp_path, lambda _: False, by_folder=True, clock=lambda: NOW)
    assert offer.path == file
    assert (offer.context, str(offer.id).split(":")[0]) == (r"caf\xe9", r"caf\xe9/\xff.png")
    with Monitor(load_spec("uniform"), reader=None, reader_error="none") as monitor:
        tan = Tone("tan")
        done = monitor.take(lambda: tan, offer.context, id=offer.id, path=str(offer.path))
        assert done is not None
        assert monitor.knows(str(offer.id))


def test_a_run_offers_first_attempts_with_what_was_read(tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path / "run")
    run = read_run(folder)
    first = [p for s in run.sessions.values() for p in s.pictures if p.attempt == 0]
    scale = next(iter(run.sessions.values())).record.scale
    offers = list(run_offers(folder, lambda _: False, scale))
    assert [o.tone.tone for o in offers if o.tone] == [p.measured for p in first]
    assert len({o.id for o in offers}) == len(first) > 0
    assert {o.context for o in offers} == {s.record.steering for s in run.sessions.values()}
    some = {str(o.id) for o in offers[:3]}
    assert len(list(run_offers(folder, some.__contains__, scale))) == len(first) - 3
    with pytest.raises(UserError, match="give a spec of the"):
        list(run_offers(folder, lambda _: False, "monk10" if scale != "monk10" else "lmd3"))


def test_a_run_that_is_being_written_may_end_in_half_a_line(tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path / "run")
    file = folder / "run.jsonl"
    scale = next(iter(read_run(folder).sessions.values())).record.scale
    whole = len(list(run_offers(folder, lambda _: False, scale)))
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    assert len(list(run_offers(folder, lambda _: False, scale))) in (whole, whole - 1)
    file.write_bytes(content.replace(b'"seed"', b'"sead"', 1))
    with pytest.raises(UserError, match=r"run\.jsonl: line"):
        list(run_offers(folder, lambda _: False, scale))


def test_lines_are_pictures_or_readings() -> None:
    lines = (
        b'{"id": "1", "tone": "dark", "context": "a"}\n\n'
        b'{"abstained": "no_face", "estimate": "light", "prompt": "p"}\n{"picture": "x.png"}'
    )
    first, second, third = line_offers(io.BytesIO(lines), CLASSES)
    assert (first.id, first.context, first.tone and first.tone.tone) == ("1", "a", "dark")
    assert second.tone is not None
    assert (second.tone.abstained, second.tone.estimate, second.prompt) == ("no_face", "light", "p")
    assert (third.path, third.tone) == (Path("x.png"), None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"nonsense", "no JSON object"),
        (b"[1]", "not as it should be"),
        (b"\xff\xfe", "no JSON object"),
        (b"[" * 50_000, "no JSON object"),
        (b'{"tone": "purple"}', "'purple' is no class of the target, only light, medium, dark"),
        (b'{"tone": 3}', "tone"),
        (b'{"tone": "dark", "id": ""}', "id"),
        (b'{"tone": "dark", "more": 1}', "more"),
        (b'{"tone": "dark", "abstained": "no_face"}', "one of picture, tone and abstained"),
        (b"{}", "has 0"),
        (b'{"abstained": "x", "estimate": "purple"}', "purple"),
        (b'{"tone": "dark", "context": "' + b"x" * 200_000, "longer than"),
    ],
)
def test_a_line_that_is_none_is_named(line: bytes, words: str) -> None:
    good: Callable[[bytes], io.BytesIO] = lambda more: io.BytesIO(b'{"tone": "dark"}\n' + more)  # noqa: E731
    with pytest.raises(UserError, match=r"^Line 2 of standard input ?.*") as caught:
        list(line_offers(good(line), CLASSES))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_longest_line_is_read() -> None:
    line = b'{"tone": "dark"' + b" " * 99_984 + b"}"
    assert len(list(line_offers(io.BytesIO(line + b"\n" + line), CLASSES))) == 2
    with pytest.raises(UserError, match="longer than 100,000"):
        list(line_offers(io.BytesIO(line + b" \n"), CLASSES))
