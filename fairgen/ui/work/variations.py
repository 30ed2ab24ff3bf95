"""Variations of a picture that a visitor has opened: a set of its own, by what the one was made with."""

from __future__ import annotations

import secrets
from dataclasses import replace

from fairgen.errors import UserError
from fairgen.models.near_noise import varies
from fairgen.steering.registry import AUTO, NONE
from fairgen.targets import spec_from_shares
from fairgen.ui.work.job import Job
from fairgen.ui.work.jobs import STEERED, Services
from fairgen.ui.work.reopen import job_of, sets_of
from fairgen.ui.work.visits import UserRun
from skin_tone.scales import SCALES

LIKE = "like-one-picture"
"""Name of their target."""
VARIATIONS = 4
"""Pictures that are made."""


def like(services: Services, run: UserRun, index: object) -> Job:
    """The order for `VARIATIONS` pictures like one of a run's set: its prompt, model and settings, its tone
    as the only one of the target, and noise near its own. A model that cannot begin there (one behind an API)
    gets new seeds alone.

    Args:
        services: the server's.
        run: whose set it is.
        index: the picture's number in the run file.

    Raises:
        UserError: there is no such picture, or its tone was not read.
    """
    job, live = job_of(services, run), sets_of(run)[STEERED]
    picture = next((one for one in live.pictures if one.index == index), None)
    if picture is None:
        raise UserError("That set has no such picture: load the page again.")
    if picture.measured is None:
        raise UserError("No skin tone could be read in that picture, so there is none to aim for.")
    scale = SCALES[live.scale]
    spec = spec_from_shares(
        {key: float(key == picture.measured) for key in scale.classes},
        scale=live.scale,
        name=LIKE,
        about=f"Pictures like one that was read as {scale.labels[picture.measured]}.",
        why="Somebody asked for more pictures like one of an earlier set.",
    )
    near = live.record is not None and varies(live.record.model)
    seeds = (*job.options.vary, picture.seed) if near else job.options.vary
    return replace(
        job,
        options=job.options.model_copy(update={"vary": seeds}),
        spec=spec,
        count=VARIATIONS,
        seed=secrets.randbelow(2**32),
        steering=AUTO if job.steering == NONE else job.steering,
    )
