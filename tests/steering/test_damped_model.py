"""The embedded model, made to follow words poorly: what calibration does about it (a few minutes)."""

from __future__ import annotations

from typing import Any

import pytest

from fairgen.loop.calibrate import PROMPTS, Plan, calibrate
from fairgen.models.loading import load_diffusers, wrap_pipeline
from fairgen.steering.calibration import Calibration
from skin_tone import SkinToneReader

PLAN = Plan(prompts=PROMPTS[:2], seeds=2, starts=(0.0, 0.1), start_seeds=1)


def damped(share: float) -> Any:
    """The embedded model with every text row shrunk to this share."""
    import torch

    known = load_diffusers("embedded", "cpu", steps=4)
    encoder = known.pipe.text_encoder
    norm = getattr(encoder, "text_model", encoder).final_layer_norm  # transformers 5 has no part in between
    with torch.no_grad():
        norm.weight.mul_(share)
        norm.bias.mul_(share)
    info = known.info
    return wrap_pipeline(
        known.pipe, steps=4, guidance_scale=info.guidance_scale, height=info.height, width=info.width
    )


def measured(model: Any) -> tuple[Calibration, int]:
    made = 0
    with SkinToneReader() as reader:
        steps = calibrate(model, reader, "embedding", plan=PLAN)
        while True:
            try:
                made += next(steps)
            except StopIteration as stop:
                return stop.value, made


@pytest.mark.embedded
@pytest.mark.exhaustive
def test_other_paths_reach_further_on_a_damped_model() -> None:
    found, made = measured(damped(0.1))
    print(found.model_dump_json(indent=1, include={"trials", "curve", "worded", "anchors"}))
    assert PLAN.pictures < made <= PLAN.pictures + PLAN.more
    usual, best = found.trials[0], max(found.trials, key=lambda trial: trial.way)
    assert best.way > 1.15 * usual.way
    assert found.anchors == best.anchors
    # What strength alone reaches by the path that was taken is more than the usual one's ends.
    assert found.curve.ita[0] - found.curve.ita[-1] > usual.way


@pytest.mark.embedded
@pytest.mark.exhaustive
def test_nothing_more_is_tried_where_words_are_followed() -> None:
    found, made = measured(damped(1.0))
    assert made == PLAN.pictures
    assert found.trials == ()
