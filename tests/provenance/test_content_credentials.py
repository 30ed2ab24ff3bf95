"""Content credentials: signed with a test authority's certificate, read back with C2PA's own reader."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, PrivateFormat
from PIL import Image

from fairgen import cli
from fairgen.errors import UserError
from fairgen.loop.session import run_session
from fairgen.pipeline import collect
from fairgen.provenance.block import TRAINED_ALGORITHMIC_MEDIA
from fairgen.provenance.png import picture_text, provenance_in, source_type_in, write_png
from fairgen.provenance.reading import Credentials, MarkReader, count_marks, mark_sentence
from fairgen.provenance.signing import (
    ALG,
    BLOCK_LABEL,
    CERT,
    KEY,
    TSA,
    PictureSigner,
    SigningConfig,
    signer_from_environment,
)
from fairgen.runs import read_run
from fairgen.targets import load_spec
from tests.doubles.c2pa_authority import MIDDLE, ROOT, SIGNER, config, issue, picture, without_c2pa
from tests.doubles.session_doubles import ConfusedGenerator, InfoReader
from tests.provenance.test_provenance import provenance
from tools.example_authority import Key


def manifest(path: Path) -> Mapping[str, Any]:
    with path.open("rb") as file, c2pa.Reader("image/png", file) as reader:
        found: dict[str, Any] = json.loads(reader.json())
    return found


def test_the_reader_of_c2pa_validates_what_was_signed(
    tmp_path: Path, signer: PictureSigner, trust: Path
) -> None:
    path = tmp_path / "signed.png"
    write_png(picture(), path, provenance(), signer)
    found = manifest(path)
    assert found["validation_state"] == "Valid"
    assert [problem["code"] for problem in found["validation_status"]] == ["signingCredential.untrusted"]
    active = found["manifests"][found["active_manifest"]]
    assert {"name": "fairgen", "version": "0.1.0"}.items() <= active["claim_generator_info"][0].items()
    assertions = {each["label"]: each["data"] for each in active["assertions"]}
    (action,) = assertions["c2pa.actions.v2"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert action["softwareAgent"] == {"name": "fairgen", "version": "0.1.0"}
    assert assertions[BLOCK_LABEL] == provenance().model_dump(mode="json")
    assert assertions["cawg.metadata"]["Iptc4xmpExt:DigitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert assertions["cawg.metadata"]["Iptc4xmpExt:AIPromptInformation"] == provenance().prompt
    marks = MarkReader(trust).read(path)
    assert marks.provenance == provenance()
    assert marks.credentials == Credentials(
        "trusted",
        signer="Test Signer",
        issuer="Test Pictures",
        generator="fairgen 0.1.0",
        source_type=TRAINED_ALGORITHMIC_MEDIA,
    )
    assert MarkReader().read(path).credentials.state == "valid"


def test_signing_keeps_pixels_xmp_and_text(tmp_path: Path, signer: PictureSigner) -> None:
    plain, signed, again = (tmp_path / name for name in ("plain.png", "signed.png", "again.png"))
    write_png(picture(), plain, provenance())
    write_png(picture(), signed, provenance(), signer)
    write_png(picture(), again, provenance(), signer)
    with Image.open(plain) as a, Image.open(signed) as b:
        assert a.tobytes() == b.tobytes() == picture().tobytes()
    assert picture_text(signed) == picture_text(plain)
    assert provenance_in(picture_text(signed)) == provenance()
    assert source_type_in(picture_text(signed)) == TRAINED_ALGORITHMIC_MEDIA
    assert signed.read_bytes() != again.read_bytes(), "a signature is new each time"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.png", "plain.png", "signed.png"]


def test_a_signed_picture_is_not_signed_again(signer: PictureSigner) -> None:
    buffer = io.BytesIO()
    picture().save(buffer, format="PNG")
    once = signer.sign(buffer.getvalue(), provenance())
    with pytest.raises(ValueError, match="already"):
        signer.sign(once, provenance())


@pytest.mark.parametrize(
    ("key", "algorithm", "expected"),
    [
        (ec.generate_private_key(ec.SECP384R1()), None, "Es384"),
        (ed25519.Ed25519PrivateKey.generate(), None, "Ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps384", "Ps384"),
    ],
)
def test_kinds_of_keys(tmp_path: Path, trust: Path, key: Key, algorithm: str | None, expected: str) -> None:
    signing = PictureSigner(config(tmp_path, issue("Other", MIDDLE, key=key), MIDDLE, algorithm=algorithm))
    path = tmp_path / "picture.png"
    write_png(picture(), path, provenance(), signing)
    found = manifest(path)
    assert found["manifests"][found["active_manifest"]]["signature_info"]["alg"] == expected
    assert MarkReader(trust).read(path).credentials.state == "trusted"


def test_a_key_in_openssls_older_format(tmp_path: Path) -> None:
    assert PictureSigner(config(tmp_path, form=PrivateFormat.TraditionalOpenSSL)).record.algorithm == "es256"


Refused = Callable[[Path], SigningConfig]
REFUSED: dict[str, tuple[Refused, str]] = {
    "no certificate": (
        lambda f: SigningConfig(f / "none.pem", config(f).key),
        r"The certificate .*none\.pem cannot be read",
    ),
    "no key": (
        lambda f: SigningConfig(config(f).cert, f / "none.pem"),
        r"The private key .*none\.pem cannot be read",
    ),
    "a folder": (lambda f: SigningConfig(f, config(f).key), "cannot be read"),
    "exchanged": (
        lambda f: SigningConfig(config(f).key, config(f).cert),
        r"key\.pem holds no certificate in PEM",
    ),
    "key is a certificate": (
        lambda f: SigningConfig(config(f).cert, config(f).cert),
        r"chain\.pem holds no private key",
    ),
    "encrypted": (lambda f: config(f, encryption=BestAvailableEncryption(b"secret")), "is encrypted"),
    "another key": (lambda f: config(f, key=MIDDLE.key), "does not belong to the first certificate"),
    "self-signed authority": (lambda f: config(f, ROOT), "self-signed"),
    "self-signed": (lambda f: config(f, issue("Alone")), "self-signed"),
    "expired": (lambda f: config(f, issue("Old", MIDDLE, days=(-30, -1)), MIDDLE), "expired on"),
    "expired issuer": (
        lambda f: config(f, issue("Young", old := issue("Old", ROOT, authority=True, days=(-9, -1))), old),
        "CN=Old.* expired on",
    ),
    "not valid yet": (lambda f: config(f, issue("Soon", MIDDLE, days=(1, 9)), MIDDLE), "not valid before"),
    "no chain": (lambda f: config(f, SIGNER, ROOT), "are no chain"),
    "unfit for signing": (
        lambda f: config(f, issue("Web", MIDDLE, signing=False), MIDDLE),
        "C2PA refuses to sign with .*extended key usage",
    ),
    "wrong algorithm": (lambda f: config(f, algorithm="ps256"), "set FAIRGEN_C2PA_ALG to es256"),
    "unknown algorithm": (lambda f: config(f, algorithm="rot13"), "must be one of es256"),
    "weak key": (
        lambda f: config(f, issue("Odd", MIDDLE, key=ec.generate_private_key(ec.SECP256K1())), MIDDLE),
        "kind of key",
    ),
    "odd timestamp address": (lambda f: config(f, tsa="ftp://tsa"), "FAIRGEN_C2PA_TSA must be the http"),
    "no timestamp": (
        lambda f: config(f, tsa="http://127.0.0.1:9/"),
        "timestamp authority that FAIRGEN_C2PA_TSA names does not answer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_sign_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    make, reason = REFUSED[case]
    with pytest.raises(UserError, match=reason) as caught:
        PictureSigner(make(tmp_path))
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({CERT: "c.pem"}, "set FAIRGEN_C2PA_KEY or --c2pa-key too"),
        ({KEY: "k.pem"}, "set FAIRGEN_C2PA_CERT or --c2pa-cert too"),
        ({TSA: "http://tsa"}, "FAIRGEN_C2PA_TSA is set, but nothing to sign with"),
        ({ALG: "es256"}, "FAIRGEN_C2PA_ALG is set, but nothing to sign with"),
    ],
)
def test_half_a_configuration_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], reason: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=reason):
        signer_from_environment()


def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SigningConfig.from_environment() is None
    monkeypatch.setenv(CERT, "env-c.pem")
    monkeypatch.setenv(KEY, "env-k.pem")
    monkeypatch.setenv(ALG, "PS256")
    assert SigningConfig.from_environment(Path("c.pem")) == SigningConfig(
        Path("c.pem"), Path("env-k.pem"), None, "ps256"
    )


class Untouched(ConfusedGenerator):
    """Nothing may be sampled with it."""

    def generate(self, *_: object, **__: object) -> list[Image.Image]:
        raise AssertionError("sampled although the certificate is refused")


def test_a_session_refuses_before_it_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = config(tmp_path, key=MIDDLE.key)
    monkeypatch.setenv(CERT, str(refused.cert))
    monkeypatch.setenv(KEY, str(refused.key))
    out = tmp_path / "run"
    with pytest.raises(UserError, match="does not belong"):
        run_session(
            Untouched(), InfoReader(), "a doctor", load_spec("uniform"), 3, steering="none", out_dir=out
        )
    assert not out.exists()
    # The command refuses before it loads a model.
    monkeypatch.setattr("fairgen.models.loading.load_model", Untouched().generate)
    assert cli.run(["generate", "a doctor", "--steering", "none", "--out", str(out)]) == 2
    monkeypatch.delenv(CERT)
    monkeypatch.delenv(KEY)
    assert cli.run(["generate", "a doctor", "--c2pa-cert", str(refused.cert), "--out", str(out)]) == 2
    assert not out.exists()


def test_a_session_signs_and_says_who_signed(
    tmp_path: Path, trust: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    signing = config(tmp_path)
    monkeypatch.setenv(CERT, str(signing.cert))
    monkeypatch.setenv(KEY, str(signing.key))
    out = tmp_path / "run"
    spec = load_spec("uniform")
    for _ in run_session(
        ConfusedGenerator(), InfoReader(), "a doctor", spec, 6, steering="prompt", max_tries=2, out_dir=out
    ):
        pass
    record = read_run(out).sessions["prompt"].record.signer
    assert record is not None
    assert record.fingerprint == f"sha256:{SIGNER.certificate.fingerprint(hashes.SHA256()).hex()}"
    assert (record.subject, record.issuer) == (
        "CN=Test Signer,O=Test Pictures",
        "CN=Test Issuer,O=Test Pictures",
    )
    assert (record.algorithm, record.timestamps) == ("es256", False)
    pictures = sorted(out.rglob("*.png"))
    assert len(pictures) >= 6
    reader = MarkReader(trust)
    for path in pictures:  # those that fill a place were copied after they were signed
        marks = reader.read(path)
        assert marks.credentials.state == "trusted"
        assert marks.provenance is not None
    secret = signing.key.read_bytes().splitlines()[1]
    captured = capfd.readouterr()
    assert secret.decode() not in captured.out + captured.err
    assert all(secret not in path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert not list(out.rglob("*.tmp"))


def test_a_saved_result_is_signed(tmp_path: Path, trust: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = run_session(
        ConfusedGenerator(), InfoReader(), "a doctor", load_spec("uniform"), 2, steering="none"
    )
    result = collect(events)
    signing = config(tmp_path)
    monkeypatch.setenv(CERT, str(signing.cert))
    monkeypatch.setenv(KEY, str(signing.key))
    report = result.save(tmp_path / "saved")
    assert "CN=Test Signer" in report.read_text(encoding="utf-8")
    pictures = list((tmp_path / "saved").rglob("*.png"))
    assert len(pictures) == 2
    assert {MarkReader(trust).read(path).credentials.state for path in pictures} == {"trusted"}


def test_a_signature_that_fails_leaves_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signing = PictureSigner(config(tmp_path))

    def failing(*_: object) -> bytes:
        raise c2pa.C2paError("Signature: the certificate was not valid at time of signing")

    monkeypatch.setattr(signing, "_signed", failing)
    with pytest.raises(UserError, match=r"could not be signed, so it was not written.*not valid"):
        write_png(picture(), tmp_path / "out" / "picture.png", provenance(), signing)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_timestamp_authority_that_pauses_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing = PictureSigner(config(tmp_path))
    real = signing._signed
    asked: list[dict[str, Any]] = []
    slept: list[float] = []

    def once_silent(png: bytes, claim: dict[str, Any]) -> bytes:
        asked.append(claim)
        if len(asked) == 1:
            raise c2pa.C2paError("internal error (an error occurred from the underlying http resolver: x)")
        return real(png, claim)

    monkeypatch.setattr(signing, "_signed", once_silent)
    monkeypatch.setattr("fairgen.provenance.signing.time.sleep", slept.append)
    write_png(picture(), tmp_path / "picture.png", provenance(), signing)
    assert (len(asked), slept) == (2, [1.0])


def test_the_extra_is_optional(
    tmp_path: Path, signer: PictureSigner, trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed, signing = tmp_path / "signed.png", config(tmp_path)
    write_png(picture(), signed, provenance(), signer)
    without_c2pa(monkeypatch)
    assert signer_from_environment() is None, "not asked for, not needed"
    marks = MarkReader().read(signed)
    assert marks.credentials == Credentials("unchecked")
    assert marks.provenance == provenance()
    assert "not checked (that needs fairgen[c2pa]) (1)" in mark_sentence(count_marks([marks]))
    with pytest.raises(UserError, match=r"pip install 'fairgen\[c2pa\]'"):
        signer_from_environment(signing.cert, signing.key)
    with pytest.raises(UserError, match=r"pip install 'fairgen\[c2pa\]'"):
        MarkReader(trust)
