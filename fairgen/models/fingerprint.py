"""Short hashes of what a pipeline in memory is made of: its identity, by which its calibration is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fairgen.models.settings import main_scheduler
from fairgen.steering.denoiser import denoiser


def fingerprints(pipe: Any) -> dict[str, str]:
    """Part -> 'sha256:<hex>' for every part with weights, adapters and how strongly they act included, and
    for the scheduler's options.
    """
    main = denoiser(pipe)
    parts = {name: part for name, part in pipe.components.items() if part is not main} | {"denoiser": main}
    found = {name: fingerprint(part) for name, part in sorted(parts.items()) if hasattr(part, "state_dict")}
    return found | {"scheduler": options_hash(main_scheduler(pipe))}


def options_hash(scheduler: Any) -> str:
    """'sha256:<hex>' of a scheduler's options."""
    return hash_of({key: value for key, value in scheduler.config.items() if not key.startswith("_")})


def hash_of(value: Any) -> str:
    """'sha256:<hex>' of a value as JSON; what JSON has no word for stands there as Python writes it."""
    return _hashed(json.dumps(value, default=str, sort_keys=True).encode())


def _hashed(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def setting_hashes(pipe: Any) -> dict[str, str]:
    """Part -> 'sha256:<hex>' over whatever else changes pictures: configurations, the scheduler's class and
    options, vocabularies of tokenizers.
    """
    found = {}
    for name, part in sorted(pipe.components.items()):
        if part is None:
            continue
        told = _vocabulary(part) if hasattr(part, "get_vocab") else _options(part)
        found[f"{name} (settings)"] = hash_of([type(part).__name__, told])
    return found


_SAYS_NOTHING = frozenset({"transformers_version", "torch_dtype", "dtype", "architectures", "name_or_path"})
"""Options that change no picture; the precision is recorded in its own field."""


def _options(part: Any) -> dict[str, Any]:
    config: Any = getattr(part, "config", None)
    told = config.to_dict() if hasattr(config, "to_dict") else config
    if told is None and hasattr(part, "to_dict"):  # what prepares pictures for a safety checker
        told = part.to_dict()
    if not isinstance(told, Mapping):
        return {}
    return {
        str(key): value
        for key, value in told.items()
        if not str(key).startswith("_") and key not in _SAYS_NOTHING
    }


def _vocabulary(tokenizer: Any) -> list[Any]:
    fast = getattr(tokenizer, "backend_tokenizer", None)
    told = json.loads(fast.to_str()) if fast is not None else sorted(tokenizer.get_vocab().items())
    if isinstance(told, dict):  # set anew by every call
        told = {key: value for key, value in told.items() if key not in ("truncation", "padding")}
    return [told, tokenizer.special_tokens_map, tokenizer.model_max_length, tokenizer.padding_side]


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
        return _hashed(value.tobytes())
    if hasattr(value, "detach"):
        return _hashed(value.detach().float().cpu().numpy().tobytes())
    return type(value).__name__
