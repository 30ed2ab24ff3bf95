"""What steering takes in memory: bytes of tensors, counted by torch's profiler, not a process's pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from fairgen.models.diffusers import DiffusersModel
from fairgen.steering.guidance import ToneGuidance
from tests.doubles.text_to_image import make, sample

BOUND = 1.02
PROMPT = "a portrait of a doctor"
STRENGTHS = [-0.9, 0.0, 0.4, 1.0]


def peak(work: Callable[[], Any], trace: Path) -> int:
    """The most bytes that tensors which were made meanwhile held at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    seen.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text("utf-8"))["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]")
    assert changes, "nothing was counted: the test is wrong"
    held = most = 0
    for _, change in changes:
        held += change
        most = max(most, held)
    return most


def ratio(pipe: Any, call: Callable[[], Any], trace: Path) -> float:
    """Peak of a first and a second steered call, kept encodings included, to that of two plain ones."""
    kept: dict[str, Any] = {}

    def twice(*, steered: bool) -> None:
        for _ in range(2):
            with ToneGuidance(pipe, strength=STRENGTHS, memory=kept) if steered else nullcontext():
                call()

    call()  # what a pipeline keeps from its first call on
    plain = peak(lambda: twice(steered=False), trace)
    return peak(lambda: twice(steered=True), trace) / plain


@pytest.mark.embedded
def test_a_real_model(embedded_generator: DiffusersModel, tmp_path: Path) -> None:
    pipe = embedded_generator.pipe

    def call() -> None:
        seeds = [torch.Generator().manual_seed(seed) for seed in range(len(STRENGTHS))]
        pipe([PROMPT] * len(STRENGTHS), generator=seeds, num_inference_steps=1, output_type="np")

    found = ratio(pipe, call, tmp_path / "trace.json")
    assert found <= BOUND


@pytest.mark.parametrize("name", ["StableDiffusionXLPipeline", "FluxPipeline", "QwenImagePipeline"])
def test_with_little_text_beside_the_picture(name: str, tmp_path: Path) -> None:
    """As in large models, where the picture's tensors are far larger than the text's."""
    pipe = make(name)
    size = {"height": 128, "width": 128, "num_inference_steps": 1}
    found = ratio(
        pipe, lambda: sample(name, pipe, [PROMPT] * len(STRENGTHS), **size), tmp_path / "trace.json"
    )
    assert found <= BOUND
