"""Broken, hostile and foreign files: each is refused with one sentence, and nothing of it is executed."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairgen import cli
from fairgen.errors import UserError
from fairgen.models.loading import load_model
from fairgen.models.options import ModelOptions
from tests.doubles.original_layout import save

Write = Callable[[Path], Path]
KINDS: list[tuple[str, Write, str]] = []


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, where: Path) -> None:
        self._where = where

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self._where / "exploded"),)


def kind(what: str, said: str) -> Callable[[Write], Write]:
    """Registers a writer of one kind of file; ``said``: a pattern of what is to be said of it."""

    def register(write: Write) -> Write:
        KINDS.append((what, write, said))
        return write

    return register


def tensors(*names: str, shape: tuple[int, ...] = (2, 2)) -> dict[str, Any]:
    import torch

    return {name: torch.zeros(shape) for name in names}


def raw(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header, whose length is told as ``length``."""
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def entry(begin: int, end: int, *, shape: Any = (1,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def write(folder: Path, data: bytes, name: str = "model.safetensors") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def pickled(folder: Path, name: str) -> Path:
    return write(folder, pickle.dumps(Bomb(folder)), name)


for ending in (".ckpt", ".bin", ".pt", ".pth", ".pkl"):
    kind(f"a pickle {ending}", "is a pickle .*, which can run code .* convert it")(
        lambda folder, ending=ending: pickled(folder, f"model{ending}")  # type: ignore[misc]
    )


@kind("a pickle in capitals", "is a pickle")
def _(folder: Path) -> Path:
    return pickled(folder, "model.CKPT")


@kind("a pickle under the name of safetensors", "is a pickle, whatever its name says")
def _(folder: Path) -> Path:
    return pickled(folder, "model.safetensors")


@kind("a pickle of torch under the name of safetensors", "is a pickle of PyTorch or a zip archive")
def _(folder: Path) -> Path:
    path = folder / "model.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(folder)))
        archive.writestr("archive/version", "3")
    return path


@kind("a pickle under the name of GGUF", "is no GGUF file, whatever its name says")
def _(folder: Path) -> Path:
    return pickled(folder, "model.gguf")


@kind("safetensors in capitals, which diffusers would unpickle", "does not end in .safetensors or .gguf")
def _(folder: Path) -> Path:
    return pickled(folder, "model.SAFETENSORS")


@kind("an old ending of safetensors, which diffusers would unpickle", "does not end in .safetensors or .gguf")
def _(folder: Path) -> Path:
    return pickled(folder, "model.sft")


@kind("a script", "is a script, whatever its name says")
def _(folder: Path) -> Path:
    path = write(folder, f"#!/bin/sh\nmkdir {folder}/exploded\n".encode())
    path.chmod(0o755)
    return path


@kind("Python code", "is damaged or cut off")
def _(folder: Path) -> Path:
    return write(folder, f"import os; os.mkdir({str(folder / 'exploded')!r})\n".encode())


@kind("a program", "is a program, whatever its name says")
def _(folder: Path) -> Path:
    return write(folder, b"\x7fELF" + bytes(200))


@kind("a page of the web instead of the file", "is a web page, whatever its name says")
def _(folder: Path) -> Path:
    return write(folder, b"<!DOCTYPE html><html><body>Please log in</body></html>")


@kind("a pointer of Git LFS", "is a pointer of Git LFS, not the file itself")
def _(folder: Path) -> Path:
    return write(folder, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4265146304\n")


@kind("a picture", "is a picture, whatever its name says")
def _(folder: Path) -> Path:
    return write(folder, b"\x89PNG\r\n\x1a\n" + bytes(100))


@kind("nothing", "is empty: download it again")
def _(folder: Path) -> Path:
    return write(folder, b"")


@kind("a header alone that ends early", "is damaged or cut off")
def _(folder: Path) -> Path:
    return write(folder, raw(b'{"a": {"dty', length=1000))


@kind("a header that would take all memory", "is damaged or cut off")
def _(folder: Path) -> Path:
    return write(folder, raw(b"{}", length=2**63 - 1))


@kind("a header that is no JSON", "is damaged or cut off")
def _(folder: Path) -> Path:
    return write(folder, raw(b"not json at all "))


@kind("JSON nested without end", "is damaged or cut off")
def _(folder: Path) -> Path:
    return write(folder, raw(b"[" * 200_000))


@kind("tensors that are cut off", "is damaged or cut off")
def _(folder: Path) -> Path:
    whole = save(tensors("model.diffusion_model.a", shape=(64, 64)), folder / "whole.safetensors")
    return write(folder, whole.read_bytes()[:-100])


@kind("tensors that lie over each other", "is damaged or cut off")
def _(folder: Path) -> Path:
    header = {"a": entry(0, 4), "b": entry(0, 4)}
    return write(folder, raw(json.dumps(header).encode(), bytes(4)))


@kind("a tensor outside the file", "is damaged or cut off")
def _(folder: Path) -> Path:
    header = {"a": entry(10**12, 10**12 + 4)}
    return write(folder, raw(json.dumps(header).encode(), bytes(4)))


@kind("a tensor whose size overflows", "is damaged or cut off")
def _(folder: Path) -> Path:
    header = {"a": entry(0, 4, shape=(2**40, 2**40))}
    return write(folder, raw(json.dumps(header).encode(), bytes(4)))


@kind("a tensor of unknown numbers", "is damaged or cut off")
def _(folder: Path) -> Path:
    header = {"a": entry(0, 4, dtype="PICKLE")}
    return write(folder, raw(json.dumps(header).encode(), bytes(4)))


@kind("no tensor", "holds no weights")
def _(folder: Path) -> Path:
    return write(folder, raw(b"{}"))


@kind("a tensor called state_dict, which diffusers would look into", "is no text-to-image model")
def _(folder: Path) -> Path:
    return save(tensors("state_dict"), folder / "model.safetensors")


@kind("a LoRA", r"is a LoRA: give a model with --model and this file with --lora")
def _(folder: Path) -> Path:
    names = [f"lora_unet_down_blocks_0_attentions_0.lora_{end}.weight" for end in ("up", "down")]
    return save(tensors(*names), folder / "model.safetensors")


@kind("a textual inversion", "is a textual inversion: .*--textual-inversion")
def _(folder: Path) -> Path:
    return save(tensors("emb_params"), folder / "model.safetensors")


@kind("an autoencoder", "is an autoencoder alone: .*--vae")
def _(folder: Path) -> Path:
    return save(tensors("encoder.conv_in.weight", "decoder.conv_in.weight"), folder / "model.safetensors")


@kind("a ControlNet", "is a ControlNet")
def _(folder: Path) -> Path:
    return save(tensors("control_model.input_blocks.0.0.weight"), folder / "model.safetensors")


@kind("an IP-Adapter", "is an IP-Adapter")
def _(folder: Path) -> Path:
    return save(
        tensors("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"), folder / "model.safetensors"
    )


@kind("one part of a folder", "is one part of a model in diffusers' format: give the whole folder")
def _(folder: Path) -> Path:
    return save(tensors("down_blocks.0.resnets.0.conv1.weight"), folder / "model.safetensors")


@kind("a model of language", "is one part of a model|is no text-to-image model")
def _(folder: Path) -> Path:
    return save(tensors("model.layers.0.self_attn.q_proj.weight"), folder / "model.safetensors")


@kind("weights of something else", "is no text-to-image model that diffusers knows")
def _(folder: Path) -> Path:
    return save(tensors("backbone.stem.conv.weight"), folder / "model.safetensors")


@kind("a checkpoint of inpainting, whose configuration is nowhere", "needs the configuration of")
def _(folder: Path) -> Path:
    import torch

    made = tensors("model.diffusion_model.middle_block.1.norm.weight")
    made["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(320, 9, 3, 3)
    return save(made, folder / "model.safetensors")


@kind("a checkpoint of nobody's sizes", "cannot be told from its tensors")
def _(folder: Path) -> Path:
    return save(tensors("model.diffusion_model.input_blocks.0.0.weight"), folder / "model.safetensors")


@kind("a link that leads nowhere", "There is no")
def _(folder: Path) -> Path:
    path = folder / "model.safetensors"
    path.symlink_to(folder / "gone")
    return path


@kind("a pipe, which would be waited for without end", "is a device or a pipe")
def _(folder: Path) -> Path:
    path = folder / "model.safetensors"
    os.mkfifo(path)
    return path


@kind("settings that are no YAML", "The settings .*, line 1")
def _(folder: Path) -> Path:
    return write(folder, b"model: [", "model.yaml")


@kind("settings that would build an object", "is not allowed")
def _(folder: Path) -> Path:
    text = f"model: !!python/object/apply:os.mkdir ['{folder / 'exploded'}']\n"
    return write(folder, text.encode(), "model.yaml")


@kind("settings that name no model", "names no model")
def _(folder: Path) -> Path:
    return write(folder, b"steps: 3\n", "model.yaml")


@kind("settings that name themselves", "names no model")
def _(folder: Path) -> Path:
    return write(folder, b"model: model.yaml\n", "model.yaml")


@kind("settings with an option that does not exist", "There is no option 'trust_remote_code'")
def _(folder: Path) -> Path:
    return write(folder, b"model: embedded\ntrust_remote_code: true\n", "model.yaml")


def test_there_are_enough_kinds() -> None:
    assert len(KINDS) >= 30
    assert len({what for what, _, _ in KINDS}) == len(KINDS)


@pytest.mark.parametrize(("write", "said"), [pytest.param(w, said, id=what) for what, w, said in KINDS])
def test_it_is_refused_with_one_sentence(
    write: Write, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path)
    with pytest.raises(UserError, match=said) as caught:
        load_model(str(path), "cpu")
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert str(path) in text or path.name in text
    assert not (tmp_path / "exploded").exists()


def test_the_commands_refuse_as_well(tmp_path: Path) -> None:
    path = pickled(tmp_path, "model.safetensors")
    out = tmp_path / "run"
    done = CliRunner().invoke(cli.app, ["generate", "a doctor", "--model", str(path), "--out", str(out)])
    assert done.exit_code != 0
    assert not out.exists()
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("option", ["lora", "vae", "textual_inversion"])
@pytest.mark.parametrize("name", ["file.pt", "file.safetensors"])
def test_files_beside_the_model_are_looked_at_likewise(option: str, name: str, tmp_path: Path) -> None:
    from tests.doubles.tiny_pipeline import save_tiny_pipeline

    model = save_tiny_pipeline(tmp_path / "model")
    path = pickled(tmp_path, name)
    with pytest.raises(UserError, match="is a pickle"):
        load_model(str(model), "cpu", options=ModelOptions.of({option: str(path)}))
    with pytest.raises(UserError, match="There is no"):
        load_model(str(model), "cpu", options=ModelOptions.of({option: str(tmp_path / "gone.safetensors")}))
    foreign = save(tensors("backbone.conv.weight"), tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match=r"is no .* \(other\)"):
        load_model(str(model), "cpu", options=ModelOptions.of({option: str(foreign)}))
    assert not (tmp_path / "exploded").exists()


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    for name in ("gone.safetensors", "gone.ckpt", "gone.gguf"):
        with pytest.raises(UserError, match="There is no file"):
            load_model(str(tmp_path / name), "cpu")
