"""What a model can do, as far as it is known before anything is sampled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import urlsplit

from fairgen.errors import UserError
from fairgen.models.contract import Model
from fairgen.models.kinds import REMOTE
from fairgen.steering.registry import AUTO, continuous
from skin_tone.scales import SCALES

EMBEDDED = "embedded"
_REACHED = 0.5
"""Where some strength gives a class at least this often, it is an end of what is reached."""


@dataclass(frozen=True)
class ModelFacts:
    """What the page says of a loaded model.

    Attributes:
        demo: whether it is the embedded model.
        size: (width, height) of its pictures in pixels; None where the pipeline decides.
        steps: steps of sampling; None: not known.
        guidance_scale: None: the pipeline's own.
        device: where it samples.
        technique: what steers it.
        inside: whether it is steered inside sampling; otherwise by words in the prompt.
        why_words: why not inside; empty where it is.
        calibrated: whether its response to steering has been measured with these settings.
        reached: labels of the six tones from the lightest to the darkest one that steering brings about at
            least as often as not; None where that has not been measured.
        missed: labels of the others.
        monotone: whether more strength always meant darker in that measurement.
        service: host of the API that the model is behind; empty where it is loaded here.
        seeded: whether the seeds of pictures reach it.
    """

    demo: bool
    size: tuple[int, int] | None
    steps: int | None
    guidance_scale: float | None
    device: str
    technique: str
    inside: bool
    why_words: str = ""
    calibrated: bool = False
    reached: tuple[str, ...] | None = None
    missed: tuple[str, ...] = ()
    monotone: bool = True
    service: str = ""
    seeded: bool = True


def model_title(name: str) -> str:
    """A model's name for people: of a path only its end."""
    if name == EMBEDDED:
        return "A small demo model (embedded)"
    if name.startswith(REMOTE):
        return f"{name.removeprefix(REMOTE)} (behind an API)"
    is_path = name.startswith(("/", ".", "~")) or "\\" in name
    return PurePath(name).name if is_path else name


def model_facts(model: Model) -> ModelFacts:
    """What is known of a loaded model; reads the calibrations on the disk. Raises `UserError` where one of
    them is broken.
    """
    from fairgen.loop.session import known_calibration
    from fairgen.steering.response import PromptResponse

    info = model.info
    technique = model.chosen_technique(AUTO)
    inside, why = technique in continuous(), ""
    if not inside:
        try:
            model.check_techniques(continuous())
        except UserError as error:
            why = str(error)
    found = known_calibration(model, technique) if inside else None
    reached: tuple[str, ...] | None = None
    missed: tuple[str, ...] = ()
    if found is not None:
        scale = SCALES["ita6"]
        best = PromptResponse(found.curve, scale.name).chances().max(axis=0)
        labels = [scale.labels[key] for key in scale.classes]
        good = [place for place, chance in enumerate(best) if chance >= _REACHED]
        # What lies between two tones is reached as well, though never that surely: it has two neighbours.
        reached = tuple(labels[good[0] : good[-1] + 1]) if good else ()
        missed = tuple(label for label in labels if label not in reached)
    return ModelFacts(
        demo=info.source == EMBEDDED,
        size=(info.width, info.height) if info.width and info.height else None,
        steps=info.steps,
        guidance_scale=info.guidance_scale,
        device=info.device,
        technique=technique,
        inside=inside,
        why_words=why,
        calibrated=found is not None,
        reached=reached,
        missed=missed,
        monotone=found is None or found.spearman <= -0.9,
        service=urlsplit(str(info.arguments["address"])).netloc if info.source == "api" else "",
        seeded=info.seeded,
    )
