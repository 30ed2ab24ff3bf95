"""Where the trainings compute in half precision."""

from __future__ import annotations

import torch


def working_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on an accelerator; float32 on a CPU, few of which have instructions for bfloat16: the others
    take many times longer with it.
    """
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def mixed_precision(device: torch.device) -> torch.autocast:
    """Operations that stand it in `working_dtype`, the others in float32; a context manager."""
    dtype = working_dtype(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
