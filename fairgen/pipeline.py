"""`FairPipeline`: a diffusers pipeline whose sets of pictures come close to a declared target."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from fairgen.common.files import disk_errors
from fairgen.errors import UserError
from fairgen.loop.events import Event, Filled, Finished, PictureDone, Started
from fairgen.models.diffusers import DiffusersModel, is_texts
from fairgen.models.options import ModelOptions
from fairgen.runs import PictureRecord, SessionRecord, SessionRun, Summary
from fairgen.steering import check_technique
from fairgen.targets import FairnessSpec, load_spec, spec_from_shares

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from skin_tone import SkinToneReader, ToneReading


@dataclass(frozen=True)
class FairResult:
    """A finished set.

    Attributes:
        images: the pictures of the set, ordered by place.
        records: how each picture was made and why it was kept, in the same order.
        summary: how close the set is to the target, and how many pictures were discarded to get there.

    `FairPipeline` makes it; the fields with an underscore are for `save`.
    """

    images: list[Image.Image]
    records: list[PictureRecord]
    summary: Summary
    _session: SessionRecord
    _events: tuple[PictureDone | Filled, ...]

    @property
    def readings(self) -> list[list[ToneReading]]:
        """What was read in each picture of the set: a reading per face, largest first."""
        from skin_tone import ToneReading

        return [[ToneReading.model_validate(r) for r in record.readings] for record in self.records]

    def to_pandas(self) -> pd.DataFrame:
        """One row per picture: slot (its place), seed, prompt, wanted and measured class, ITA ..."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "slot": record.slot,
                    "seed": record.seed,
                    "prompt": record.prompt,
                    "wanted": record.wanted,
                    "strength": record.steering.get("strength"),
                    "measured": record.measured,
                    "abstained": record.abstained,
                    "attempt": record.attempt,
                    "ita": record.readings[0]["ita"],
                    "ita_sigma": record.readings[0]["ita_sigma"],
                }
                for record in self.records
            ]
        )

    def save(self, folder: str | Path) -> Path:
        """Write every picture that was made (also the discarded ones), the run file and the report.

        Args:
            folder: a folder that does not exist yet, or is empty.

        Returns:
            The path of the report.

        Raises:
            UserError: the folder is not empty or cannot be written, or the configured certificate
                (`fairgen.provenance.signing`) cannot sign.
        """
        from fairgen.loop.stores import Folder, place_file, with_file
        from fairgen.provenance.signing import signer_from_environment
        from fairgen.report import write_report

        target = Path(folder)
        if target.is_dir() and any(target.iterdir()):
            raise UserError(f"{target} is not empty: choose another folder.")
        signer = signer_from_environment()
        session = self._session.model_copy(update={"signer": signer.record if signer else None})
        with disk_errors(target), Folder(target, signer).open(session) as store:
            made: dict[int, PictureRecord] = {}
            for event in self._events:
                if isinstance(event, Filled):
                    picture = made[event.record.index]
                    store.fill(event.record.model_copy(update={"file": place_file(picture)}), picture)
                else:
                    picture = with_file(event.record, steered=session.steered)
                    made[picture.index] = picture
                    store.picture(picture, event.image)
            store.finish(self.summary.model_copy(update={"out": str(target)}))
        return write_report(target).html


class FairPipeline:
    """Wraps a diffusers text-to-image pipeline, without changing it.

        fair = FairPipeline(pipe, spec="uniform")
        result = fair("a portrait of a doctor", num_images=30, seed=0)
        result.images, result.summary.tv

    Args:
        pipe: a loaded pipeline, used on its device and in its precision; or the name of a model, as
            `fairgen generate --model` takes it.
        spec: the declared target: a spec, the name of a spec that ships with fairgen, the path of a spec
            file, or a mapping from class to share, whose shares sum to 1.
        steering: "auto", "none", "prompt", "embedding" or "semantic" (see docs/steering.md).
        name: what the model is called in run files; default: where the pipeline was loaded from.
            Calibrations are found by the weights, so wrap a pipeline again after loading LoRAs into it.
        num_inference_steps: sampling steps; default: the pipeline's own.
        guidance_scale: 0 or more; default: the pipeline's own.
        height: of the pictures, in pixels; default: the pipeline's own.
        width: of the pictures, in pixels; default: the pipeline's own.
        options: for the name of a model, how it is opened beside these: a `fairgen.ModelOptions` or its
            fields (``{"lora": ["style.safetensors:0.8"], "scheduler": "unipc"}``).

    Raises:
        UserError: the spec, the technique or a value cannot be used.
    """

    def __init__(
        self,
        pipe: Any,
        spec: str | Path | FairnessSpec | Mapping[str, float] = "uniform",
        *,
        steering: str = "auto",
        name: str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        height: int | None = None,
        width: int | None = None,
        options: ModelOptions | Mapping[str, Any] | None = None,
    ) -> None:
        from fairgen.models.loading import load_model, wrap_pipeline

        self.spec = _spec(spec)
        self.steering = check_technique(steering)
        settings: dict[str, Any] = {
            "steps": num_inference_steps,
            "guidance_scale": guidance_scale,
            "height": height,
            "width": width,
        }
        if isinstance(pipe, str | Path):
            opened = options if isinstance(options, ModelOptions) else ModelOptions.of(options or {})
            loaded = load_model(str(pipe), options=opened, **settings)
            if not isinstance(loaded, DiffusersModel):
                raise UserError(
                    f"{str(pipe)!r} is no diffusers pipeline: use fairgen.run_session for other models."
                )
            self._generator = loaded
        elif options is not None:
            raise UserError(
                "options say how a model is opened, and this pipeline is open already: leave them out."
            )
        else:
            self._generator = wrap_pipeline(pipe, name=name, **settings)

    @overload
    def __call__(self, prompt: str, **given: Any) -> FairResult: ...

    @overload
    def __call__(self, prompt: Sequence[str], **given: Any) -> list[FairResult]: ...

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        num_images: int = 12,
        seed: int = 0,
        max_tries: int = 4,
        batch_size: int | None = None,
        reader: SkinToneReader | None = None,
        on_event: Callable[[Event], object] | None = None,
        **arguments: Any,
    ) -> FairResult | list[FairResult]:
        """Make a set of ``num_images`` pictures for each prompt.

        Args:
            prompt: one prompt, or a list of prompts.
            num_images: pictures in a set, 1 or more.
            seed: of the set; the seed of every picture follows from it.
            max_tries: most pictures made for one place of the set, 1 to 100.
            batch_size: pictures sampled at once; default: 4, or 1 for large pictures without CUDA.
            reader: a reader to use for this call; default: a new one.
            on_event: called with each event as it happens (see `fairgen.loop.events`).
            arguments: further arguments of the pipeline's call (``negative_prompt``, ``image``,
                ``ip_adapter_image``, ``true_cfg_scale`` ...), the same for every picture. Texts such as
                ``negative_prompt`` may be a list with one for each prompt.

        Returns:
            The finished set; for a list of prompts, a list of sets in the same order.

        Raises:
            UserError: an argument cannot be used.
        """
        from fairgen.loop.session import run_session
        from skin_tone import SkinToneReader

        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        models = [
            self._generator.called_with(own) if own else self._generator for own in _each(arguments, prompts)
        ]
        with contextlib.ExitStack() as stack:
            chosen = stack.enter_context(SkinToneReader()) if reader is None else reader
            made = [
                collect(
                    run_session(
                        model,
                        chosen,
                        text,
                        self.spec,
                        num_images,
                        steering=self.steering,
                        seed=seed,
                        max_tries=max_tries,
                        batch_size=batch_size,
                    ),
                    on_event,
                )
                for model, text in zip(models, prompts, strict=True)
            ]
        return made[0] if isinstance(prompt, str) else made


def _each(arguments: Mapping[str, Any], prompts: Sequence[str]) -> list[dict[str, Any]]:
    """The arguments for each prompt: of lists of texts, as diffusers takes them, the prompt's own one.

    Raises:
        UserError: such a list is not as long as that of the prompts.
    """
    lists = {name: value for name, value in arguments.items() if is_texts(name, value)}
    for name, value in lists.items():
        if len(value) != len(prompts):
            raise UserError(
                f"{name} is a list of {len(value)} texts for {len(prompts)} "
                f"prompt{'s' if len(prompts) > 1 else ''}: give one text, or one for each prompt."
            )
    return [
        {**arguments, **{name: value[place] for name, value in lists.items()}}
        for place in range(len(prompts))
    ]


def _spec(given: str | Path | FairnessSpec | Mapping[str, float]) -> FairnessSpec:
    if isinstance(given, FairnessSpec):
        return given
    return spec_from_shares(given) if isinstance(given, Mapping) else load_spec(given)


def collect(events: Iterator[Event], on_event: Callable[[Event], object] | None = None) -> FairResult:
    """Run a session (`fairgen.loop.session.run_session`) to its end and keep the set that it made.

    Args:
        on_event: called with each event as it happens.
    """
    session: SessionRecord | None = None
    summary: Summary | None = None
    seen: list[PictureDone | Filled] = []
    for event in events:
        if on_event is not None:
            on_event(event)
        if isinstance(event, Started):
            session = event.session
        elif isinstance(event, PictureDone | Filled):
            seen.append(event)
        elif isinstance(event, Finished):
            summary = event.summary
    if session is None or summary is None:
        raise RuntimeError("the session ended without a summary")
    made = [event for event in seen if isinstance(event, PictureDone)]
    fills = [event.record for event in seen if isinstance(event, Filled)]
    images = {event.record.index: event.image for event in made}
    records = SessionRun(session, [event.record for event in made], fills).final_set()
    return FairResult([images[r.index] for r in records], records, summary, session, tuple(seen))
