"""LoRAs of a tiny pipeline, and models that are opened with files put onto them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fairgen.models.diffusers import DiffusersModel
from fairgen.models.loading import load_diffusers
from fairgen.steering.request import Request
from tests.doubles import original_layout

REQUESTS = [Request("a doctor", 1), Request("a nurse", 2)]


def opened(model: Path, **given: Any) -> DiffusersModel:
    """The model on the CPU, with two steps unless it is told otherwise."""
    return load_diffusers(str(model), "cpu", **({"steps": 2} | given))


def pictures(model: DiffusersModel, requests: list[Request] = REQUESTS, **more: Any) -> np.ndarray[Any, Any]:
    """Its pictures, [request, row, column, channel]."""
    return np.stack([np.asarray(picture, dtype=int) for picture in model.generate(requests, **more)])


def make_loras(tiny: Path, folder: Path) -> list[Path]:
    """Of the denoiser; of the denoiser and the text encoder, with the names of kohya's scripts."""
    import torch
    from diffusers import DiffusionPipeline, StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    torch.manual_seed(1)
    loader: Any = DiffusionPipeline
    made = []
    for number, text in enumerate((False, True)):
        pipe = loader.from_pretrained(str(tiny))
        layers = ["to_q", "to_k", "to_v", "to_out.0"]
        pipe.unet.add_adapter(LoraConfig(r=2, lora_alpha=8, target_modules=layers, init_lora_weights=False))
        tensors = get_peft_model_state_dict(pipe.unet)
        if not text:
            tensors = convert_state_dict_to_diffusers(tensors)
            StableDiffusionPipeline.save_lora_weights(str(folder / str(number)), unet_lora_layers=tensors)
            made.append(folder / str(number) / "pytorch_lora_weights.safetensors")
            continue
        pipe.text_encoder.add_adapter(
            LoraConfig(
                r=2,
                lora_alpha=8,
                target_modules=["q_proj", "k_proj", "v_proj", "out_proj"],
                init_lora_weights=False,
            )
        )
        words = get_peft_model_state_dict(pipe.text_encoder)
        made.append(original_layout.save(_kohya(tensors, words), folder / "kohya.safetensors"))
    return made


def _kohya(unet: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """LoRA tensors by the names that are most common on the sites that people get them from."""
    import torch

    made = {}
    for prefix, tensors in (("lora_unet_", unet), ("lora_te_text_model_", words)):
        for name, value in tensors.items():
            layer, _, side = name.removesuffix(".weight").rpartition(".lora_")
            layer = prefix + layer.removeprefix("text_model.").replace(".", "_")
            made[f"{layer}.lora_{'down' if side == 'A' else 'up'}.weight"] = value
            made[f"{layer}.alpha"] = torch.tensor(8.0)
    return made
