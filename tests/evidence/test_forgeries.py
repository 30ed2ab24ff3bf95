"""Every kind of forgery is found, and named: by strangers without the key, and by whoever holds it."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fairgen import cli
from fairgen.evidence.manifest import CHAIN, MANIFEST, SIGNATURE, Manifest
from fairgen.provenance.documents import DocumentSigner
from fairgen.targets import FairnessSpec
from tests.doubles.c2pa_authority import config, issue
from tests.doubles.evidence_packs import (
    Files,
    Insider,
    edited_records,
    files_in,
    rechained,
    run_file,
    write_files,
)
from tests.evidence.conftest import checked


def test_a_pack_holds(pack: Path, roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(pack, roots)
    assert found.faults == []
    assert len([one for one in found.findings if one.state == "holds"]) >= 8
    assert cli.run(["evidence", "check", str(pack), "--trust", str(roots)]) == 0
    assert "everything that was checked holds" in capsys.readouterr().out


# Files, without the key -----------------------------------------------------------------------------------


def changed_file(files: Files) -> Files:
    files["environment.json"] += b" "
    return files


def added(files: Files) -> Files:
    return files | {"notes.txt": b"all is well"}


def second_signature(files: Files) -> Files:
    return files | {"manifest.sig2": files[SIGNATURE]}


def removed(files: Files) -> Files:
    del files["limits.json"]
    return files


def another_order(files: Files) -> Files:
    names = list(files)
    names[1], names[2] = names[2], names[1]
    return {name: files[name] for name in names}


def no_signature(files: Files) -> Files:
    del files[SIGNATURE]
    return files


def respelt(files: Files) -> Files:
    files[MANIFEST] = json.dumps(json.loads(files[MANIFEST])).encode()
    return files


def key_twice(files: Files) -> Files:
    files[MANIFEST] = files[MANIFEST].replace(b'{\n "kind"', b'{\n "fairgen": "9.9",\n "kind"', 1)
    return files


def manifest_edited(files: Files) -> Files:
    files[MANIFEST] = files[MANIFEST].replace(b'"folder": "small-audit"', b'"folder": "large-audit"', 1)
    return files


def without_a_signer(files: Files) -> Files:
    manifest = Manifest.model_validate_json(files[MANIFEST]).model_copy(update={"signer": None})
    files[MANIFEST] = manifest.to_bytes()
    return files


def signature_of_something_else(files: Files) -> Files:
    files[SIGNATURE] = files[SIGNATURE][:-1] + bytes([files[SIGNATURE][-1] ^ 1])
    return files


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed_file, "environment.json was changed"),
        (added, "notes.txt was added"),
        (second_signature, "manifest.sig2 is a second signature"),
        (removed, "limits.json is gone"),
        (another_order, "stand in another order"),
        (no_signature, "manifest.sig is gone"),
        (respelt, "spelt otherwise"),
        (key_twice, "spelt otherwise"),
        (manifest_edited, "The signature is wrong"),
        (without_a_signer, "is a second signature"),
        (signature_of_something_else, "The signature is wrong"),
    ],
)
def test_files_changed_by_a_stranger(
    change: Callable[[Files], Files], said: str, pack: Path, tmp_path: Path
) -> None:
    forged = tmp_path / "forged.zip"
    write_files(forged, change(files_in(pack)))
    assert said in "\n".join(checked(forged).faults)


def test_the_same_file_packed_otherwise(pack: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged.zip"
    write_files(forged, files_in(pack), stored=frozenset({"limits.json"}))
    assert "limits.json was changed" in "\n".join(checked(forged).faults)


def test_a_manifest_signed_by_somebody_else(pack: Path, tmp_path: Path, roots: Path) -> None:
    other = issue("Other Root", authority=True)
    stranger = Insider(DocumentSigner(config(tmp_path, issue("Test Signer", other))))
    forged = stranger.forged(pack, tmp_path / "forged.zip", lambda files: None)
    assert "leads to no authority of --trust" in "\n".join(checked(forged, roots).faults)
    files = files_in(forged)
    files[CHAIN] = files_in(pack)[CHAIN]  # another's key under the signer's name
    stranger.write(forged, files)
    assert "of another signer" in "\n".join(checked(forged, roots).faults)


# What the holder of the key states and what follows ---------------------------------------------------------


def lines_of(files: Files) -> list[bytes]:
    return files[run_file(files)].splitlines(keepends=True)


def lines_reordered(files: Files) -> None:
    lines = lines_of(files)
    lines[-3], lines[-4] = lines[-4], lines[-3]
    files[run_file(files)] = b"".join(lines)


def lines_reordered_and_linked(files: Files) -> None:
    lines = lines_of(files)
    at = [k for k, line in enumerate(lines) if b'"type":"picture"' in line]
    lines[at[0]], lines[at[1]] = lines[at[1]], lines[at[0]]
    files[run_file(files)] = rechained(lines)


def line_dropped(files: Files) -> None:
    lines = lines_of(files)
    del lines[next(k for k, line in enumerate(lines) if b'"decision":"discarded"' in line)]
    files[run_file(files)] = rechained(lines)


def reading_changed(files: Files) -> None:
    """One picture is said to show the class that lacks most."""

    def change(record: dict[str, object]) -> None:
        if record["type"] == "picture" and record["session"] == "01-a-doctor.none" and record["index"] == 0:
            record["measured"] = "dark" if record["measured"] != "dark" else "tan"

    files[run_file(files)] = edited_records(files[run_file(files)], change)


def summary_changed(files: Files) -> None:
    def change(record: dict[str, object]) -> None:
        if record["type"] == "summary" and isinstance(record["discarded"], int):
            record["discarded"] += 1

    files[run_file(files)] = edited_records(files[run_file(files)], change)


def figures_edited(files: Files) -> None:
    document = json.loads(files["figures/small-audit.json"])
    document["arms"][1]["tv"] = 0.01
    files["figures/small-audit.json"] = (json.dumps(document, indent=1) + "\n").encode()


def figures_of_another_run(files: Files) -> None:
    """The run of other readings, whole and sound, under the figures of this one."""

    def change(record: dict[str, object]) -> None:
        if record["type"] == "picture" and isinstance(record["readings"], list):
            for reading in record["readings"]:
                if isinstance(reading, dict) and isinstance(reading.get("ita"), float):
                    reading["ita"] += 0.5

    files[run_file(files)] = edited_records(files[run_file(files)], change)


def edit(name: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        assert old in files[name], name
        files[name] = files[name].replace(old, new, 1)

    return change


def row_removed(name: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        lines = files[name].splitlines(keepends=True)
        assert len(lines) > 1, name
        files[name] = b"".join(lines[:-1])

    return change


def pictures_of(files: Files) -> list[str]:
    return sorted(name for name in files if name.endswith(".png"))


def pictures_swapped(files: Files) -> None:
    first, *_, last = pictures_of(files)
    files[first], files[last] = files[last], files[first]


def picture_repainted(files: Files) -> None:
    name = pictures_of(files)[0]
    with Image.open(io.BytesIO(files[name])) as image:
        image.putpixel((0, 0), (1, 2, 3))
        held = io.BytesIO()
        image.save(held, "PNG")
    files[name] = held.getvalue()


def picture_bomb(files: Files) -> None:
    """A picture of a few bytes that unpacks to gigabytes."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    size = struct.pack(">I", 13)
    head = b"\x89PNG\r\n\x1a\n" + size + chunk + struct.pack(">I", zlib.crc32(chunk))
    files[pictures_of(files)[0]] = head + struct.pack(">I", 9) + b"IDAT" + b"\0" * 13


def marks_swapped(files: Files) -> None:
    """A picture that says of itself that another prompt made it; its pixels are as recorded."""
    from PIL.PngImagePlugin import PngInfo

    name = pictures_of(files)[0]
    with Image.open(io.BytesIO(files[name])) as image:
        info = PngInfo()
        for key, value in image.info.items():
            if isinstance(value, str):
                info.add_itxt(str(key), value.replace("a doctor", "a judge"))
        held = io.BytesIO()
        image.save(held, "PNG", pnginfo=info)
    files[name] = held.getvalue()


def marks_removed(files: Files) -> None:
    """The same pixels, and nothing else."""
    name = pictures_of(files)[0]
    with Image.open(io.BytesIO(files[name])) as image:
        held = io.BytesIO()
        Image.frombytes(image.mode, image.size, image.tobytes()).save(held, "PNG")
    files[name] = held.getvalue()


def picture_elsewhere(files: Files) -> None:
    """A record that names a file of whoever checks."""

    def change(record: dict[str, object]) -> None:
        if record["type"] == "picture" and record["session"] == "01-a-doctor.none" and record["index"] == 0:
            record["file"] = "../../../somewhere/else.png"

    files[run_file(files)] = edited_records(files[run_file(files)], change)


def picture_removed(files: Files) -> None:
    del files[pictures_of(files)[0]]


def picture_added(files: Files) -> Files:
    extra = {"runs/small-audit/extra.png": files[pictures_of(files)[0]]}
    return {name: (files | extra)[name] for name in sorted(files | extra)}


def spec_changed_after_approval(files: Files) -> None:
    """The spec says something else than what A. Person signed, and its hash fits what it says."""
    documents = json.loads(lines_of(files)[1])["specs"]
    (old, document), *_ = documents.items()
    document = document | {"why": "Somebody thought better of it."}
    new = FairnessSpec.model_validate_json(json.dumps(document)).content_hash()

    def change(record: dict[str, object]) -> None:
        if record["type"] == "audit" and isinstance(record["prompts"], list):
            record["specs"] = {new: document}
            for prompt in record["prompts"]:
                prompt["spec"] = new
        if record["type"] == "session":
            record["spec"], record["spec_hash"] = document, new
        if record["type"] == "summary":
            record["spec_hash"] = new

    assert old != new
    files[run_file(files)] = edited_records(files[run_file(files)], change)


def spec_not_of_its_hash(files: Files) -> None:
    def change(record: dict[str, object]) -> None:
        if record["type"] == "audit" and isinstance(record["specs"], dict):
            for document in record["specs"].values():
                document["why"] = "Somebody thought better of it."

    files[run_file(files)] = edited_records(files[run_file(files)], change)


def other_model_in_one_set(files: Files) -> None:
    def change(record: dict[str, object]) -> None:
        if record["type"] == "session" and isinstance(record["model"], dict):
            record["model"]["weights"] = {"unet/model.safetensors": "sha256:" + "1" * 64}

    files[run_file(files)] = edited_records(files[run_file(files)], change)


def reader_praised(files: Files) -> None:
    document = json.loads(files["reader/confusion-on-renders.json"])
    rows = document["called"]["careless"]["ita6"]
    for true, row in rows.items():
        total = sum(row.values())
        row.update(dict.fromkeys(row, 0) | {true: total})
    files["reader/confusion-on-renders.json"] = json.dumps(document, indent=1).encode()


def report_of_another_pack(files: Files) -> None:
    files["report/small-audit.html"] = b"<!doctype html><title>All is well</title>"


def document_missing(files: Files) -> None:
    del files["records/repairs.json"]


def computed_removed(files: Files) -> None:
    del files["crosswalk.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lines_reordered, "does not follow from the line before it"),
        (lines_reordered_and_linked, "where picture 0 follows"),
        (line_dropped, "follows"),
        (reading_changed, "another class than its own reading does"),
        (summary_changed, "where its records hold"),
        (figures_edited, "figures/small-audit.json does not state the figures of its run: arms.1.tv is 0.01"),
        (figures_of_another_run, "does not state the figures of its run"),
        (edit("report/small-audit.html", b"<h1", b"<h1 id=x"), "report/small-audit.html was edited"),
        (report_of_another_pack, "report/small-audit.html was edited"),
        (edit("index.html", b"Known limits", b"No limits"), "index.html was edited"),
        (edit("limits.json", b"It is not race", b"It is race"), "limits.json is not so"),
        (edit("crosswalk.json", b'"partly"', b'"covered"'), "crosswalk.json is not so"),
        (edit("approvals.json", b"A. Person", b"B. Person"), "states approvals that are not those"),
        (edit("models/1.json", b"sha256:00", b"sha256:11"), "models/1.json is not so"),
        (edit("oscal/assessment-results.json", b'"0.1"', b'"0.9"'), "assessment-results.json is not so"),
        (edit("every-eval-ever/small-audit.json", b'"score": ', b'"score": 1'), "small-audit.json is not so"),
        (edit("tables/small-audit-sets.csv", b"a doctor", b"a nurse"), "small-audit-sets.csv was edited"),
        (row_removed("records/small-audit-left-out.csv"), "small-audit-left-out.csv was edited"),
        (row_removed("records/small-audit-decisions.csv"), "small-audit-decisions.csv was edited"),
        (row_removed("tables/small-audit-pictures.csv"), "small-audit-pictures.csv was edited"),
        (pictures_swapped, "does not show what was recorded"),
        (picture_repainted, "does not show what was recorded"),
        (picture_bomb, "cannot be computed anew"),
        (marks_swapped, "says of itself another set, seed, prompt or spec"),
        (marks_removed, "does not say that a model made it"),
        (picture_elsewhere, "somewhere/else.png', which is no place in it"),
        (picture_removed, "is gone, though the pack states all pictures"),
        (picture_added, "extra.png belongs to nothing in the pack"),
        (spec_changed_after_approval, "the approval is of an earlier version of it"),
        (spec_not_of_its_hash, "the run file calls its content"),
        (other_model_in_one_set, "with another model than the audit's"),
        (reader_praised, "is not what fairgen"),
        (document_missing, "records/repairs.json is missing"),
        (computed_removed, "crosswalk.json follows from the pack and is not in it"),
    ],
)
def test_forged_by_whoever_holds_the_key(
    change: Callable[[Files], Files | None],
    said: str,
    pack: Path,
    insider: Insider,
    tmp_path: Path,
    roots: Path,
) -> None:
    found = checked(insider.forged(pack, tmp_path / "forged.zip", change), roots)
    assert any("The manifest is signed by" in one.text for one in found.findings)  # the signature is right
    assert said in "\n".join(found.faults)


def test_counts_in_the_manifest(pack: Path, insider: Insider, tmp_path: Path) -> None:
    def more(manifest: Manifest) -> Manifest:
        runs = [run.model_copy(update={"lines": run.lines + 1}) for run in manifest.runs]
        return manifest.model_copy(update={"runs": runs})

    insider.write(tmp_path / "forged.zip", files_in(pack), more)
    assert "the manifest states" in "\n".join(checked(tmp_path / "forged.zip").faults)


def test_an_untouched_pack_signed_again_holds(
    pack: Path, insider: Insider, tmp_path: Path, roots: Path
) -> None:
    assert checked(insider.forged(pack, tmp_path / "same.zip", lambda files: None), roots).faults == []
    assert (tmp_path / "same.zip").read_bytes() == pack.read_bytes()


def test_an_approval_from_after_the_pictures(pack: Path, insider: Insider, tmp_path: Path) -> None:
    def dated_later(files: Files) -> None:
        data = files[run_file(files)].replace(b'"approved_on":"2026-11-27"', b'"approved_on":"2126-11-27"')
        files[run_file(files)] = edited_records(data, lambda record: None)

    found = checked(insider.forged(pack, tmp_path / "forged.zip", dated_later))
    assert any("the approval is dated 2126-11-27, and a run" in one.text for one in found.findings)
