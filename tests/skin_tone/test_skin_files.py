"""Picture files of every kind: read rightly, or refused with a sentence; and the command that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from skin_tone import PictureError, files
from skin_tone.__main__ import app
from skin_tone.files import open_picture, pictures_in


def _portrait() -> Image.Image:
    """A woman in a space suit (NASA, public domain)."""
    return Image.fromarray(np.asarray(data.astronaut(), dtype=np.uint8)[:256, 96:352])  # type: ignore[no-untyped-call]


def _png(path: Path) -> None:
    _portrait().save(path, "PNG")


def _cut_short(path: Path) -> None:
    _png(path)
    path.write_bytes(path.read_bytes()[:20_000])


def _svg(path: Path) -> None:
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', encoding="utf-8")


def _avif_without_a_picture(path: Path) -> None:
    _portrait().save(path, "AVIF")
    path.write_bytes(path.read_bytes().replace(b"pitm", b"skip", 1))


def _odd_exif(path: Path) -> None:
    """A width that is a text, beside an orientation."""
    width, turned = b"\x01\0\0\x02\0\0\0\x02x\0\0\0", b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + width + turned + bytes(4)
    Image.new("RGB", (8, 8)).save(path, "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda p: p.write_bytes(b""), "no picture"),
        (_cut_short, "cut short"),
        (_avif_without_a_picture, "broken"),
        (_odd_exif, "broken"),
        (_svg, "no picture"),
        (lambda p: p.mkdir(), "folder"),
        (lambda p: Image.new("1", (10_001, 10_000)).save(p, "PNG"), "million"),
        (lambda p: Image.new("F", (8, 8)).save(p, "TIFF"), "mode 'F'"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, make: Callable[[Path], object], why: str) -> None:
    path = tmp_path / "bad picture é.png"
    make(path)
    with pytest.raises(PictureError, match=why):
        open_picture(path)


def test_files_too_large_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _png(tmp_path / "a.png")
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with pytest.raises(PictureError, match="larger than"):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["P", "CMYK", "L", "RGBA", "LA", "YCbCr"])
def test_other_modes_show_the_same_picture(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode in {"CMYK", "YCbCr"} else "a.png")
    _portrait().convert(mode).save(path)
    wanted = np.asarray(_portrait().convert(mode).convert("RGB"), dtype=float)
    got = np.asarray(open_picture(path), dtype=float)
    assert np.abs(got - wanted).mean() < 8


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    grey = np.asarray(_portrait().convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "a.png")
    got = np.asarray(open_picture(tmp_path / "a.png"))
    assert np.array_equal(got[..., 0], grey)


def test_what_is_transparent_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "a.png")
    assert np.asarray(open_picture(tmp_path / "a.png")).min() == 255


def test_a_turned_photograph_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.new("RGB", (30, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert open_picture(tmp_path / "a.jpg").size == (10, 30)


def test_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(open_picture(tmp_path / "a.gif"))[0, 0].tolist() == [255, 0, 0]


def test_folders_are_searched_without_hidden_entries(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("a.PNG", "b/c d.jpg", ".cache/x.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [str(p.relative_to(tmp_path)) for p in pictures_in(tmp_path)] == ["a.PNG", "b/c d.jpg"]


def test_the_command_reads_on_and_names_what_it_skipped(tmp_path: Path) -> None:
    _png(tmp_path / "good one.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    done = CliRunner().invoke(app, [str(tmp_path), "--json", "--pictures", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert answer["file"].endswith("good one.png")
    assert answer["classes"].keys() == {"ita6", "monk10", "lmd3"}
    assert "broken.png" in done.stderr
    with Image.open(tmp_path / "out" / "good one.reading.png") as drawn:
        assert drawn.size == (660, 300)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "does not exist"),
        (["--scale", "fitzpatrick", "nowhere"], "is no scale"),
    ],
)
def test_wrong_calls_end_with_a_sentence(arguments: list[str], sentence: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.output
