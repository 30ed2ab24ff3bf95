"""A model is everything that changes its pictures: weights, configurations, tokenizer, scheduler."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fairgen import cli
from fairgen.errors import UserError
from fairgen.models.description import describe_model, write_checksums
from fairgen.models.loading import load_diffusers, wrap_pipeline
from fairgen.models.reading import check_reads_prompts
from fairgen.runs import ModelInfo, require_same_model
from tests.doubles.tiny_pipeline import save_tiny_pipeline

FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/tokenizer_config.json",
    "unet/config.json",
    "vae/config.json",
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("identity") / "model")


@pytest.fixture
def tiny(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(saved, tmp_path / "model"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pipeline(folder: Path) -> Any:
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)


@pytest.mark.parametrize("file", FILES)
def test_every_file_counts_everywhere(tiny: Path, file: str) -> None:
    before = load_diffusers(str(tiny), device="cpu", steps=1).info
    assert before.fingerprint == describe_model(str(tiny)).fingerprint, "one identity"
    write_checksums(tiny)
    assert describe_model(str(tiny)).as_shipped is True
    edit(tiny / file, _comment="changed")
    after = load_diffusers(str(tiny), device="cpu", steps=1).info
    assert after.fingerprint == describe_model(str(tiny)).fingerprint != before.fingerprint
    assert describe_model(str(tiny)).changed == [file]
    with pytest.raises(UserError) as refused:
        require_same_model(after, before, "The audit")
    assert str(refused.value) == (
        f"The audit was begun with another model: its files differ ({file}). Go on with the model that began "
        "it, or begin a new run."
    )


def test_an_older_list_of_weights_alone_still_holds(tiny: Path) -> None:
    write_checksums(tiny)
    lines = (tiny / "SHA256SUMS").read_text().splitlines(keepends=True)
    (tiny / "SHA256SUMS").write_text("".join(line for line in lines if line.endswith(".safetensors\n")))
    assert describe_model(str(tiny)).as_shipped is True


def test_a_run_of_0_1_that_recorded_weights_alone_goes_on(tiny: Path) -> None:
    now = load_diffusers(str(tiny), device="cpu", steps=1).info
    then = ModelInfo.model_validate_json(now.model_dump_json(exclude={"files"}))
    assert then.files == {}
    assert require_same_model(now, then, "The audit") == []
    other = then.model_copy(
        update={"weights": then.weights | {"unet/diffusion_pytorch_model.safetensors": "x"}}
    )
    with pytest.raises(UserError, match=r"its weights differ \(unet/diffusion_pytorch_model.safetensors\)"):
        require_same_model(now, other, "The audit")


@pytest.mark.parametrize(
    "change",
    [
        lambda pipe: setattr(pipe.tokenizer, "model_max_length", 12),
        lambda pipe: pipe.tokenizer.add_tokens(["zebra"]),
        lambda pipe: pipe.vae.register_to_config(scaling_factor=0.5),
        lambda pipe: pipe.scheduler.register_to_config(beta_end=0.03),
        lambda pipe: pipe.vae.decoder.conv_out.weight.data.mul_(2),
        lambda pipe: setattr(pipe, "scheduler", _other_scheduler(pipe)),
    ],
    ids=["length", "vocabulary", "vae settings", "noise", "vae weights", "scheduler"],
)
def test_what_is_in_memory_counts(tiny: Path, change: Any) -> None:
    pipe = pipeline(tiny)
    before = wrap_pipeline(pipe, height=16, width=16).info
    pipe(["a doctor"], num_inference_steps=1, height=16, width=16, output_type="latent")
    assert wrap_pipeline(pipe, height=16, width=16).info.fingerprint == before.fingerprint, (
        "use changes nothing"
    )
    change(pipe)
    assert wrap_pipeline(pipe, height=16, width=16).info.fingerprint != before.fingerprint


def _other_scheduler(pipe: Any) -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler.from_config(pipe.scheduler.config)


def test_a_model_without_its_vocabulary_is_refused(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = pipeline(tiny)
    capsys.readouterr()
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (tiny / "tokenizer" / name).unlink(missing_ok=True)
    assert cli.run(["generate", "a doctor", "--model", str(tiny), "--device", "cpu", "--out", "run"]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert str(tiny) in err
    assert not Path("run").exists()
    pipe.tokenizer = Alike()
    with pytest.raises(UserError, match=r"prompts alike.* its tokenizer lacks its vocabulary"):
        wrap_pipeline(pipe)


class Alike:
    """A tokenizer that knows no word."""

    model_max_length = 8

    def __call__(self, prompt: str, **_: object) -> Any:
        return type("Encoded", (), {"input_ids": torch.tensor([[0, 0, 1]])})


@pytest.mark.parametrize("part", ["tokenizer", "tokenizer_2", "tokenizer_3"])
def test_each_tokenizer_of_a_model_must_tell_prompts_apart(part: str) -> None:
    whole = SimpleNamespace(
        components={name: Apart() for name in ("tokenizer", "tokenizer_2", "tokenizer_3")}
    )
    check_reads_prompts(whole, "mine")
    whole.components[part] = Alike()
    with pytest.raises(UserError, match=f"its {part} lacks its vocabulary"):
        check_reads_prompts(whole, "mine")


class Apart:
    """A tokenizer that gives each letter a number."""

    model_max_length = 8

    def __call__(self, prompt: str, **_: object) -> Any:
        return SimpleNamespace(input_ids=torch.tensor([[ord(letter) for letter in prompt]]))


@pytest.mark.parametrize("part", ["tokenizer", "scheduler"])
def test_a_missing_part_is_one_sentence(tiny: Path, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(tiny / part)
    assert cli.run(["model", "info", str(tiny)]) == 2
    assert f"lacks its {part}: download or copy it again, whole." in capsys.readouterr().err
