"""Puts a pipeline onto its device: whole, or with what is not needed at the moment on the CPU."""

from __future__ import annotations

from typing import Any

from fairgen.errors import UserError

__all__ = ["place"]


def place(pipe: Any, device: str, offload: str) -> Any:
    """The pipeline, ready to sample on ``device``.

    Args:
        pipe: a pipeline on the CPU.
        device: "cuda", "cuda:N", "mps" or "cpu".
        offload: "none"; "model" keeps one part at a time on the device, "group" one layer at a time with the
            next one on its way, "sequential" one layer at a time.

    Raises:
        UserError: there is nothing to offload from, or the pipeline cannot.
    """
    import torch

    if offload == "none":
        return pipe.to(device)
    if device == "cpu":
        raise UserError(
            "--offload moves parts between CPU and GPU, and this device is the CPU: leave it out."
        )
    try:
        if offload == "model":
            pipe.enable_model_cpu_offload(device=device)
        elif offload == "sequential":
            pipe.enable_sequential_cpu_offload(device=device)
        else:
            pipe.enable_group_offload(
                onload_device=torch.device(device),
                offload_type="leaf_level",
                use_stream=device.startswith("cuda"),
            )
    except ValueError as error:
        raise UserError(f"{type(pipe).__name__} cannot be offloaded this way: {error}") from error
    return pipe
