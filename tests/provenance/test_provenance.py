"""Marks on pictures: written, read back with Pillow and the standard XML parser, whole or not at all."""

from __future__ import annotations

import errno
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from fairgen.errors import UserError
from fairgen.provenance.block import TRAINED_ALGORITHMIC_MEDIA, Provenance
from fairgen.provenance.png import XMP_KEY, picture_text, provenance_in, source_type_in, write_png, xmp_packet

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


def provenance(prompt: str = "a doctor with <dark> & 'warm' skin — élan") -> Provenance:
    return Provenance(
        fairgen="0.1.0",
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
        model="embedded",
        weights="sha256:" + "a" * 64,
        pipeline="StableDiffusionPipeline",
        seed=123,
        prompt=prompt,
        steps=14,
        guidance_scale=2.0,
        spec="uniform-ita6",
        spec_hash="sha256:" + "b" * 64,
        steering="prompt",
        wanted="dark",
        session="prompt",
        versions={"torch": "2.13.0"},
    )


def fields(packet: str) -> dict[str, str]:
    root = ET.fromstring(packet.replace("\ufeff", ""))
    return {element.tag: element.text or "" for element in root.iter() if len(element) == 0}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    picture = Image.new("RGB", (5, 4), (200, 150, 100))
    write_png(picture, path, provenance())
    with Image.open(path) as back:
        back.load()
        assert back.tobytes() == picture.tobytes()
        info = dict(back.info)
    found = fields(info[XMP_KEY])
    assert found[f"{IPTC}DigitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert found[f"{IPTC}AIPromptInformation"] == provenance().prompt
    assert found["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == "fairgen 0.1.0"
    own = "{tag:fairgen,2026:provenance/1/}"
    assert (found[f"{own}seed"], found[f"{own}wanted"], found[f"{own}versions"]) == (
        "123",
        "dark",
        "torch 2.13.0",
    )
    assert info["Description"] == provenance().prompt
    assert "no real person" in info["Disclaimer"]
    assert info["DigitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert provenance_in(picture_text(path)) == provenance()
    assert source_type_in(picture_text(path)) == TRAINED_ALGORITHMIC_MEDIA
    assert [p.name for p in path.parent.iterdir()] == ["picture.png"]


@given(st.text())
def test_any_prompt_gives_well_formed_xml(prompt: str) -> None:
    found = fields(xmp_packet(provenance(prompt)))
    if prompt.isprintable():
        assert found[f"{IPTC}AIPromptInformation"] == prompt


def test_other_pictures(tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    Image.new("RGB", (2, 2)).save(plain)
    assert provenance_in(picture_text(plain)) is None
    assert source_type_in(picture_text(plain)) is None
    broken = tmp_path / "broken.png"
    broken.write_bytes(plain.read_bytes()[:40])
    with pytest.raises(UserError, match="no picture that can be read"):
        picture_text(broken)
    with pytest.raises(UserError, match="There is no picture"):
        picture_text(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (
            '<x xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><d e:DigitalSourceType="http://a/b"/></x>',
            "http://a/b",
        ),
        ("<x><unclosed></x>", None),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', None),
        ("<x/>", None),
    ],
)
def test_packets_of_other_tools(tmp_path: Path, packet: str, expected: str | None) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(XMP_KEY, packet)
    info.add_itxt("fairgen", "{broken")
    path = tmp_path / "picture.png"
    Image.new("RGB", (2, 2)).save(path, pnginfo=info)
    assert source_type_in(picture_text(path)) == expected
    assert provenance_in(picture_text(path)) is None


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    path.write_text("the old one")

    def full(self: Image.Image, target: Path, **options: object) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match="No space is left on the disk"):
        write_png(Image.new("RGB", (2, 2)), path, provenance())
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]
    assert path.read_text() == "the old one"
