"""LoRAs act by their weights, alone and together, under steering too; others are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.folder import file_hash
from fairgen.steering import Steering
from fairgen.steering.request import Request
from tests.doubles import original_layout
from tests.doubles import text_to_image as t2i
from tests.doubles.loras import opened, pictures


def test_a_lora_acts_by_its_weight(tiny: Path, plain: DiffusersModel, loras: list[Path]) -> None:
    bare = pictures(plain)
    for lora in loras:
        whole, half, none = (opened(tiny, lora=f"{lora}:{weight}") for weight in (1, 0.5, 0))
        assert (pictures(whole) != bare).any()
        assert (pictures(whole) != pictures(half)).any()
        assert (pictures(none) == bare).all()
        assert (pictures(opened(tiny, lora=str(lora))) == pictures(whole)).all()
        assert len({model.info.fingerprint for model in (plain, whole, half, none)}) == 4


def test_several_loras_act_together(tiny: Path, loras: list[Path]) -> None:
    both = opened(tiny, lora=[f"{loras[0]}:0.8", f"{loras[1]}:0.4"])
    assert both.pipe.get_list_adapters() == {"unet": ["lora0", "lora1"], "text_encoder": ["lora1"]}
    first = opened(tiny, lora=[f"{loras[0]}:0.8", f"{loras[1]}:0"])
    assert (pictures(both) != pictures(first)).any()
    assert (pictures(first) == pictures(opened(tiny, lora=f"{loras[0]}:0.8"))).all()
    recorded = {name for name in both.info.weights if name.startswith("lora")}
    assert recorded == {"lora pytorch_lora_weights.safetensors x 0.8", "lora kohya.safetensors x 0.4"}
    assert both.info.options["lora"][1] == {"file": str(loras[1]), "weight": 0.4}


def test_files_of_one_name_are_recorded_each(tiny: Path, loras: list[Path], tmp_path: Path) -> None:
    files = [tmp_path / folder / "pytorch_lora_weights.safetensors" for folder in "ab"]
    for file, lora in zip(files, loras, strict=True):
        file.parent.mkdir()
        shutil.copy(lora, file)
    both = opened(tiny, lora=[str(file) for file in files])
    recorded = {name: value for name, value in both.info.weights.items() if name.startswith("lora")}
    assert set(recorded.values()) == {file_hash(lora) for lora in loras}
    assert len({both.info.fingerprint, opened(tiny, lora=str(files[1])).info.fingerprint}) == 2


@pytest.mark.parametrize("technique", ["embedding", "semantic"])
def test_steering_acts_under_a_lora(tiny: Path, loras: list[Path], technique: str) -> None:
    model = opened(tiny, lora=f"{loras[1]}:0.7")
    steering = Steering(technique=technique, start=0.0, stop=1.0)
    light, none, dark = (
        pictures(model, [Request("a doctor", 1, strength=strength)], steering=steering)
        for strength in (-1.0, 0.0, 1.0)
    )
    toned = pictures(model, [Request("a doctor with very dark skin", 1)])
    assert (light != none).any()
    assert (none == pictures(model, [Request("a doctor", 1)])).all()
    assert (dark != none).any()
    if technique == "embedding":
        assert np.abs(dark - toned).max() <= 1


def test_a_lora_of_another_model_is_refused(tiny: Path, loras: list[Path], tmp_path: Path) -> None:
    import torch

    wrong = {"unet.no_such_block.to_q.lora_A.weight": torch.zeros(2, 4)}
    wrong |= {"unet.no_such_block.to_q.lora_B.weight": torch.zeros(4, 2)}
    file = original_layout.save(wrong, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"LoRA .*other.safetensors (does not fit|changes nothing)"):
        opened(tiny, lora=str(file))
    t2i.make("PixArtSigmaPipeline").save_pretrained(tmp_path / "pixart")
    with pytest.raises(UserError, match="PixArtSigmaPipeline takes no LoRA"):
        opened(tmp_path / "pixart", lora=str(loras[0]))
