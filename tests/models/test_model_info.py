"""`fairgen model info`: what a folder says about itself, and what it must not be believed about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairgen import cli
from fairgen.errors import UserError
from fairgen.models.description import CHECKSUMS_FILE, describe_model, write_checksums
from tests.doubles.tiny_pipeline import save_tiny_pipeline


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def tiny(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny pipeline, and a home without calibrations."""
    import shutil

    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(saved, tmp_path / "model"))


def test_a_plain_folder_says_what_it_is(tiny: Path) -> None:
    from diffusers import StableDiffusionPipeline

    found = describe_model(str(tiny))
    pipe = StableDiffusionPipeline.from_pretrained(tiny)
    loaded = {name: getattr(pipe, name) for name in ("unet", "vae", "text_encoder")}
    counted = {name: sum(p.numel() for p in part.parameters()) for name, part in loaded.items()}
    assert {part.name: part.parameters for part in found.parts} == counted
    assert {part.kind for part in found.parts} == {"UNet2DConditionModel", "AutoencoderKL", "CLIPTextModel"}
    assert all(part.dtypes == ["float32"] for part in found.parts)
    assert found.parameters == sum(counted.values())
    assert found.megabytes == pytest.approx(4e-6 * found.parameters, rel=0.5)
    assert (found.width, found.height) == (pipe.unet.config.sample_size * pipe.vae_scale_factor,) * 2
    assert (found.scheduler, found.steps, found.guidance_scale) == ("DDIMScheduler", 50, 7.5)
    assert (found.licence, found.card, found.as_shipped, found.known_bias) == (None,) * 4
    assert found.calibrations == []


def test_a_card_states_its_licence(tiny: Path) -> None:
    card = tiny / "README.md"
    card.write_text("---\nlicense: mit\n---\n\n# A tiny model\n", encoding="utf-8")
    found = describe_model(str(tiny))
    assert (found.title, found.licence, found.card) == ("A tiny model", "mit", str(card))
    card.write_text("---\nlicense: [\n---\n# Broken\n", encoding="utf-8")
    assert describe_model(str(tiny)).licence is None
    card.write_text("Only text.", encoding="utf-8")
    assert describe_model(str(tiny)).title is None


def test_weights_that_changed_are_named(tiny: Path) -> None:
    write_checksums(tiny)
    assert describe_model(str(tiny)).as_shipped is True
    weights = tiny / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = describe_model(str(tiny))
    assert found.as_shipped is False
    assert found.changed == ["unet/diffusion_pytorch_model.safetensors"]
    (tiny / CHECKSUMS_FILE).write_text("not a list\n", encoding="utf-8")
    with pytest.raises(UserError, match="no list of sha256sum"):
        describe_model(str(tiny))


def test_the_list_can_be_checked_with_sha256sum(tiny: Path) -> None:
    import shutil
    import subprocess

    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum")
    write_checksums(tiny)
    done = subprocess.run(["sha256sum", "-c", CHECKSUMS_FILE], cwd=tiny, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_damaged_folder_is_one_sentence_and_code_2(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tiny / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5])
    assert cli.run(["model", "info", str(tiny)]) == 2
    error = capsys.readouterr().err
    assert "is damaged" in error
    assert len(error.strip().splitlines()) == 1
    (tiny / "model_index.json").unlink()
    assert cli.run(["model", "info", str(tiny)]) == 2
    assert "no diffusers pipeline" in capsys.readouterr().err


def test_a_broken_calibration_is_named(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny / "calibrations").mkdir()
    broken = tiny / "calibrations" / "a.json"
    broken.write_text("{}")
    found = describe_model(str(tiny))
    assert (found.calibrations, found.damaged_calibrations) == ([], [str(broken)])
    assert cli.run(["model", "info", str(tiny)]) == 0
    assert "delete these calibrations" in capsys.readouterr().out


@pytest.mark.embedded
def test_the_embedded_model_says_what_it_is(
    embedded_model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path))
    assert cli.run(["model", "info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["as_shipped"] is True
    assert found["licence"] == "apache-2.0"
    assert found["known_bias"]["prompts"] == 36
    assert found["known_bias"]["groups"]["high"] > 40 > 0 > found["known_bias"]["groups"]["low"]
    assert found["megabytes"] <= 45
    assert found["width"] == found["height"] == found["defaults"]["width"]
    assert {one["technique"] for one in found["calibrations"] if one["usable"]} == {"embedding", "semantic"}
    assert Path(found["path"]) == embedded_model
    assert cli.run(["model", "info"]) == 0
    shown = capsys.readouterr().out
    assert "as shipped: all match SHA256SUMS" in shown
    assert "built in on purpose, for 36 prompts" in shown
    assert "UNet2DConditionModel" in shown
