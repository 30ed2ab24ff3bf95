"""Short hashes of what a pipeline in memory is made of, by which its calibration is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def fingerprints(pipe: Any) -> dict[str, str]:
    """'sha256:<hex>' for the denoiser and each text encoder, adapters and how strongly they act included, and
    for the scheduler's options.
    """
    from fairgen.steering.denoiser import denoiser

    parts = {"denoiser": denoiser(pipe)}
    names = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
    parts |= {name: getattr(pipe, name, None) for name in names}
    found = {name: fingerprint(part) for name, part in parts.items() if hasattr(part, "state_dict")}
    options = {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")}
    text = json.dumps(options, default=str, sort_keys=True)
    return found | {"scheduler": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}


def fingerprint(module: Any) -> str:
    """'sha256:<hex>' over names, shapes and norms of a module's weights, and the scales of its adapters:
    cheap, and the same on every device only to a few digits, to which the norms are rounded.
    """
    import torch

    state = module.state_dict()
    if any(value.is_meta for value in state.values()):  # offloaded layer by layer
        from accelerate.utils.modeling import get_state_dict_offloaded_model

        state = get_state_dict_offloaded_model(module)
    held = hashlib.sha256()
    with torch.no_grad():
        for key, value in sorted(state.items()):
            if isinstance(value, torch.Tensor):
                held.update(f"{key}{tuple(value.shape)}{_norm(value):.3g}".encode())
    for name, part in module.named_modules():
        scales = getattr(part, "scaling", None)
        if isinstance(scales, Mapping):  # an adapter of PEFT, which may be loaded and yet be switched off
            active = sorted(getattr(part, "active_adapters", []))
            off = bool(getattr(part, "disable_adapters", False))
            held.update(f"{name}{sorted(scales.items())}{active}{off}".encode())
    return f"sha256:{held.hexdigest()}"


def _norm(value: Any) -> float:
    """The norm of a weight, of quantised ones after they are made whole."""
    whole = value.dequantize() if hasattr(value, "dequantize") and not value.is_floating_point() else value
    try:
        return float(whole.float().norm())
    except NotImplementedError:  # torchao's tensors know few operations
        return float(value.dequantize().float().norm())


def described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a pipeline's call as JSON values; pictures and tensors by their hash."""
    return {name: _described(value) for name, value in sorted(arguments.items())}


def _described(value: Any) -> Any:
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list | tuple):
        return [_described(inner) for inner in value]
    if isinstance(value, Mapping):
        return {str(key): _described(inner) for key, inner in value.items()}
    if hasattr(value, "tobytes"):  # a picture or an array
        return f"sha256:{hashlib.sha256(value.tobytes()).hexdigest()}"
    if hasattr(value, "detach"):
        data = value.detach().float().cpu().numpy().tobytes()
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    return type(value).__name__
