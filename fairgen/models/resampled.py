"""A loaded model with other settings for sampling, on the same weights: nothing is loaded again."""

from __future__ import annotations

import copy
from dataclasses import asdict

from fairgen.models.additions import put_on
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.near_noise import check_varies
from fairgen.models.options import SAMPLING, ModelOptions
from fairgen.models.settings import SamplingSettings, main_scheduler

__all__ = ["resampled"]


def resampled(model: DiffusersModel, options: ModelOptions) -> DiffusersModel:
    """The model as `fairgen.load_model` would have opened it with these options as well.

    Args:
        model: a loaded one; it stays as it is.
        options: of which only the fields in `SAMPLING` count.

    Raises:
        UserError: a value is out of range, or nothing that this pipeline takes.
    """
    given = {name: value for name, value in options.given().items() if name in SAMPLING}
    if not given:
        return model
    chosen, pipe, info = ModelOptions.model_validate(given), model.pipe, model.info
    if chosen.vary:
        check_varies(pipe)
    weights = info.weights
    if chosen.scheduler is not None:
        pipe = copy.copy(pipe)  # the parts are shared; only the scheduler is its own
        weights = {key: value for key, value in weights.items() if not key.startswith("scheduler ")}
        weights |= put_on(pipe, ModelOptions(scheduler=chosen.scheduler))
    now = {name: getattr(info, name) for name in ("steps", "guidance_scale", "height", "width")}
    settings = SamplingSettings.build(
        pipe, now, chosen.steps, chosen.guidance_scale, chosen.height, chosen.width
    )
    info = info.model_copy(
        update={
            "scheduler": type(main_scheduler(pipe)).__name__,
            **asdict(settings),
            "weights": weights,
            "options": chosen.over(ModelOptions.model_validate(info.options)).given(),
        }
    )
    made = model.on(pipe, info)
    if chosen.negative_prompt is not None:
        made = made.called_with({"negative_prompt": chosen.negative_prompt})
    return made
