"""A loaded model with other settings for sampling is the model that would have been opened with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.loading import load_diffusers
from fairgen.models.options import ModelOptions
from fairgen.models.resampled import resampled
from fairgen.steering.request import Request

pytestmark = pytest.mark.embedded
REQUESTS = [Request("a portrait of a nurse", 1), Request("a portrait of a judge", 2)]


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 2, "width": 128},
        {"scheduler": "euler-a", "steps": 2, "height": 128, "width": 128},
        {"negative_prompt": "glasses", "guidance_scale": 3.0, "steps": 2, "height": 128, "width": 128},
    ],
)
def test_it_is_the_model_that_would_have_been_opened_so(
    embedded_generator: DiffusersModel, settings: dict[str, Any]
) -> None:
    before = embedded_generator.info
    scheduler = embedded_generator.pipe.scheduler
    made = resampled(embedded_generator, ModelOptions.of(settings))
    opened = load_diffusers(before.name, before.device, **settings)
    assert made.info == opened.info
    assert made.info.fingerprint == opened.info.fingerprint
    pictures = zip(made.generate(REQUESTS), opened.generate(REQUESTS), strict=True)
    assert all((np.asarray(one) == np.asarray(other)).all() for one, other in pictures)
    assert embedded_generator.info == before
    assert embedded_generator.pipe.scheduler is scheduler


def test_what_does_not_fit_is_refused(embedded_generator: DiffusersModel) -> None:
    for settings, says in (
        ({"steps": 0}, "from 1 to 1000"),
        ({"width": 100}, "multiple of"),
        ({"scheduler": "flow-euler"}, "does not fit"),
    ):
        with pytest.raises(UserError, match=says):
            resampled(embedded_generator, ModelOptions.of(settings))
    assert resampled(embedded_generator, ModelOptions()) is embedded_generator
