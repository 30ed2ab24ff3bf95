"""Settings files, commands and workers open a model as they are told, and write down how."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fairgen
from fairgen import cli
from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.loading import load_diffusers, load_model
from fairgen.models.options import ModelOptions, read_settings
from fairgen.runs import read_run
from tests.doubles.loras import opened, pictures


def test_settings_files_say_everything_and_take_paths_from_beside_them(
    tiny: Path, loras: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(tiny, home / "tiny")
    shutil.copy(loras[0], home / "style.safetensors")
    text = (
        "model: tiny\nlora: [style.safetensors:0.6]\nscheduler: euler\nnegative_prompt: a nurse\nsteps: 2\n"
    )
    (home / "mine.yaml").write_text(text)
    (home / "mine.json").write_text(
        json.dumps(
            {"model": "tiny", "lora": {"file": "style.safetensors", "weight": 0.6}, "scheduler": "euler",
             "negative_prompt": "a nurse", "steps": 2}
        )
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    name, options = read_settings(home / "mine.yaml")
    assert name == str(home / "tiny")
    assert options.lora[0].file == str(home / "style.safetensors")
    by_hand = opened(
        home / "tiny", lora=f"{home}/style.safetensors:0.6", scheduler="euler", negative_prompt="a nurse"
    )
    for file in ("home/mine.yaml", "home/mine.json"):
        model = load_model(file, "cpu")
        assert isinstance(model, DiffusersModel)
        assert (pictures(model) == pictures(by_hand)).all()
        assert model.info.fingerprint == by_hand.info.fingerprint
        assert model.info.name == file
    other = load_model("home/mine.yaml", "cpu", steps=3)
    assert (other.info.steps, other.info.scheduler) == (3, "EulerDiscreteScheduler")


def test_options_survive_the_run_file_and_the_command_line(loras: list[Path]) -> None:
    options = ModelOptions.of(
        {"lora": [f"{loras[0]}:0.6", str(loras[1])], "textual_inversion": ["smile.safetensors:zz"],
         "scheduler": "euler", "steps": 3, "vae_tiling": True, "guidance_scale": 2.0}
    )  # fmt: skip
    assert ModelOptions.model_validate(json.loads(json.dumps(options.given()))) == options
    assert options.flags() == [
        "--lora", f"{loras[0]}:0.6", "--lora", str(loras[1]), "--textual-inversion", "smile.safetensors:zz",
        "--vae-tiling", "--scheduler", "euler", "--steps", "3", "--guidance-scale", "2.0",
    ]  # fmt: skip


def test_a_command_opens_the_model_as_it_is_told_and_writes_it_down(
    tiny: Path, loras: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ["generate", "a doctor", "--model", str(tiny), "--count", "2", "--steering", "none"]
    command += ["--device", "cpu", "--steps", "2", "--lora", f"{loras[0]}:0.6", "--lora", f"{loras[1]}:0.2"]
    command += ["--scheduler", "euler", "--negative-prompt", "a nurse", "--out", str(out)]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    info = next(iter(read_run(out).sessions.values())).record.model
    assert info.options == {
        "lora": [{"file": str(loras[0]), "weight": 0.6}, {"file": str(loras[1]), "weight": 0.2}],
        "scheduler": "euler",
        "negative_prompt": "a nurse",
        "steps": 2,
    }
    again = load_diffusers(info.name, "cpu", options=ModelOptions.model_validate(info.options))
    assert again.info == info
    page = (out / "report.html").read_text("utf-8")
    assert f"--lora {loras[0]}:0.6" in page


def test_an_audit_goes_on_with_the_model_as_it_was_opened(
    tiny: Path, loras: list[Path], tmp_path: Path
) -> None:
    from fairgen.runs import RUN_FILE

    out, prompts = tmp_path / "audit", tmp_path / "prompts.txt"
    prompts.write_text("a doctor\na nurse\n")
    command = ["audit", "--prompts", str(prompts), "--count", "1", "--steering", "none", "--model", str(tiny)]
    command += ["--device", "cpu", "--steps", "2", "--lora", f"{loras[0]}:0.6", "--out", str(out)]
    assert CliRunner().invoke(cli.app, command).exit_code == 0
    whole = (out / RUN_FILE).read_bytes().splitlines()
    (out / RUN_FILE).write_bytes(b"\n".join(whole[:-2]) + b"\n")
    refused = CliRunner().invoke(cli.app, ["audit", "--resume", str(out), "--lora", str(loras[1])])
    assert "is not what the audit" in str(refused.exception)
    assert f"--lora {loras[0]}:0.6" in str(refused.exception)
    done = CliRunner().invoke(cli.app, ["audit", "--resume", str(out)])
    assert done.exit_code == 0, done.exception
    models = {session.record.model.fingerprint for session in read_run(out).sessions.values()}
    assert models == {opened(tiny, lora=f"{loras[0]}:0.6").info.fingerprint}


def test_a_worker_opens_it_alike_and_says_the_same_of_it(
    tiny: Path, loras: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    from fairgen.audit.workers.worker import model_loader

    settings = tmp_path / "mine.yaml"
    settings.write_text(f"model: {tiny}\nscheduler: euler\nsteps: 2\n")
    style = tmp_path / "style.safetensors"
    style.write_bytes(loras[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    options = ModelOptions.of({"lora": "style.safetensors:0.6"})
    here = load_model("mine.yaml", "cpu", options=options)
    sent = pickle.dumps(model_loader("mine.yaml", "cpu", None, options))
    monkeypatch.chdir("/")
    there, reader = pickle.loads(sent)()
    with reader:
        assert there.info == here.info
    assert there.info.options["lora"] == [{"file": "style.safetensors", "weight": 0.6}]


def test_fair_pipeline_takes_the_same(tiny: Path, loras: list[Path]) -> None:
    fair = fairgen.FairPipeline(
        str(tiny), steering="none", num_inference_steps=2, options={"lora": [f"{loras[0]}:0.5"]}
    )
    assert any(name.startswith("lora") for name in fair._generator.info.weights)
    with pytest.raises(UserError, match="this pipeline is open already"):
        fairgen.FairPipeline(fair._generator.pipe, options=ModelOptions())
