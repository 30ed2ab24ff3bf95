"""What pictures say about themselves, read back; and those that were changed after they were signed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fairgen import cli
from fairgen.common.text import one_line
from fairgen.errors import UserError
from fairgen.provenance.block import TRAINED_ALGORITHMIC_MEDIA
from fairgen.provenance.png import write_png
from fairgen.provenance.reading import MarkReader, count_marks, mark_sentence
from fairgen.provenance.signing import PictureSigner
from fairgen.scoring.verify import Verification, verify_pictures
from fairgen.targets import load_spec
from skin_tone import SkinToneReader
from tests.doubles.c2pa_authority import MIDDLE, config, flipped, issue, picture, pixel_changed, rewritten
from tests.provenance.test_provenance import provenance


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        (b"IDAT", pixel_changed, "assertion.dataHash.mismatch"),
        (b"tEXt", flipped, "assertion.dataHash.mismatch"),
        (b"iTXt", flipped, "assertion.dataHash.mismatch"),
        (b"caBX", flipped, ""),
    ],
)
def test_one_changed_byte_is_found(
    tmp_path: Path,
    signer: PictureSigner,
    trust: Path,
    kind: bytes,
    change: Callable[[bytes], bytes],
    reason: str,
) -> None:
    path = tmp_path / "picture.png"
    write_png(picture(), path, provenance(), signer)
    assert MarkReader(trust).read(path).credentials.state == "trusted"
    path.write_bytes(rewritten(path.read_bytes(), kind, change))
    with Image.open(path) as opened:
        opened.load()
    credentials = MarkReader(trust).read(path).credentials
    assert credentials.state == "invalid"
    assert credentials.problem
    assert reason in credentials.problem


def test_a_block_in_broken_credentials_is_not_believed(tmp_path: Path, signer: PictureSigner) -> None:
    path = tmp_path / "picture.png"
    write_png(picture(), path, provenance(), signer)
    data = path.read_bytes()
    # Its PNG text renamed, the block is in the credentials alone, which no longer hold.
    path.write_bytes(rewritten(data, b"iTXt", lambda body: body.replace(b"fairgen\0", b"another\0", 1)))
    marks = MarkReader().read(path)
    assert (marks.credentials.state, marks.provenance) == ("invalid", None)


def test_pictures_of_other_generators(tmp_path: Path, signer: PictureSigner) -> None:
    packet = (
        '<x xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f'<d e:DigitalSourceType="{TRAINED_ALGORITHMIC_MEDIA}"/></x>'
    )
    files = [tmp_path / name for name in ("a.jpg", "b.webp", "c.png", "d.bmp", "e.png")]
    picture().save(files[0], xmp=packet.encode())
    picture().save(files[1], xmp=packet.encode())
    picture().save(files[2])
    picture().save(files[3])
    write_png(picture(), files[4], provenance(), signer)
    marks = [MarkReader().read(file) for file in files]
    assert [m.source_type for m in marks] == [TRAINED_ALGORITHMIC_MEDIA] * 2 + [None] * 2 + [
        TRAINED_ALGORITHMIC_MEDIA
    ]
    counts = count_marks(marks)
    assert counts.source_types == {TRAINED_ALGORITHMIC_MEDIA: 3}
    assert counts.by_fairgen == 1
    assert counts.credentials == {"valid": 1, "none": 4}
    assert counts.signers == {"Test Signer": 1}
    assert mark_sentence(counts) == (
        "XMP digital source type: trainedAlgorithmicMedia (3); fairgen's own block: 1; content credentials: "
        "valid, by a signer on no trust list given here (1), none (4); signed by Test Signer (1)"
    )
    assert mark_sentence(count_marks([])).endswith("content credentials: none")


@pytest.mark.parametrize(
    "content", [None, "no certificates", "#" * 10_000_001], ids=["none", "empty", "huge"]
)
def test_a_trust_list_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"The trust list .*roots\.pem"):
        MarkReader(path)


def test_verify_shows_marks_and_names_what_was_changed(
    tmp_path: Path, signer: PictureSigner, trust: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("whole.png", "changed.png"):
        write_png(picture(), folder / name, provenance(), signer)
    changed = folder / "changed.png"
    changed.write_bytes(rewritten(changed.read_bytes(), b"IDAT", pixel_changed))
    picture().save(folder / "plain.png")
    (folder / "text.png").write_text("no picture")
    command = ["verify", str(folder), "--c2pa-trust", str(trust)]
    assert cli.run([*command, "--json", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["marks"]["credentials"] == {"trusted": 1, "invalid": 1, "none": 1}
    assert found["marks"]["by_fairgen"] == 2
    assert found["marks"]["signers"] == {"Test Signer": 1}
    assert found["marks"]["tampered"] == {str(changed): "assertion.dataHash.mismatch"}
    said = found["pictures"][str(folder / "whole.png")]
    assert said["fairgen"]["seed"] == 123
    assert said["content_credentials"]["state"] == "trusted"
    assert found["pictures"][str(folder / "plain.png")] == {"content_credentials": {"state": "none"}}
    assert "changed after it was signed, or damaged" in captured.err
    assert "changed.png: assertion.dataHash.mismatch" in captured.err
    assert json.loads((out / "summary.json").read_text()) == found
    assert "Changed after it was signed" in (out / "report.html").read_text()
    rows = {row["file"]: row for row in csv.DictReader((out / "pictures.csv").read_text().splitlines())}
    assert rows[str(changed)]["credentials"] == "invalid"
    assert rows[str(folder / "whole.png")]["made_by"] == "fairgen 0.1.0, embedded"
    assert rows[str(folder / "text.png")]["credentials"] == ""
    assert cli.run(command) == 0
    assert "valid, by a signer on the trust list (1), invalid (1), none (1)" in capsys.readouterr().out


def test_a_signer_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    odd = PictureSigner(config(tmp_path, issue("\x1b[31mRed\x07", MIDDLE), MIDDLE))
    path = tmp_path / "picture.png"
    write_png(picture(), path, provenance(), odd)
    spec = load_spec("uniform")
    with SkinToneReader() as reader:
        done = Verification(spec, tuple(verify_pictures([path], spec, reader)))
    sentence = mark_sentence(done.mark_counts())
    assert "Red" in sentence
    assert "\x1b" not in one_line(sentence)
