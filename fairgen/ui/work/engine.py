"""Models and the reader, shared by all visitors: loaded once, in the background, used by one at a time."""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairgen.common.collector import uncollected_imports
from fairgen.common.memory import keep_freed_memory
from fairgen.errors import UserError
from fairgen.models.kinds import REMOTE
from fairgen.models.options import SAMPLING, ModelOptions, is_settings, read_settings
from fairgen.ui.work.catalogue import Catalogue
from fairgen.ui.work.limits import AS_IT_IS
from fairgen.ui.work.watch import StepWatch

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.audit.runner import AuditEvent
    from fairgen.loop.calibrate import Plan
    from fairgen.loop.events import Event
    from fairgen.models.contract import Model
    from fairgen.runs import SessionRun
    from fairgen.ui.work.folders import RunFolder
    from fairgen.ui.work.job import AuditOrder, Job
    from skin_tone import SkinToneReader

_E = TypeVar("_E")
_KEPT = 2
"""Models that stay loaded: the server's first, and the one that was used last."""
_FILES = ("lora", "textual_inversion", "vae")
_OF_THE_MACHINE = ("vae_tiling", "dtype", "offload", "compile")
OPEN_TO_VISITORS = (*SAMPLING, *_FILES, *_OF_THE_MACHINE)
"""Fields of `ModelOptions` that a visitor may give; those in `_OF_THE_MACHINE` only where any model may be
named: on a server for others, memory and time are whoever runs it to decide on.
"""
_MOST_STEPS = 150
_LONGEST = 2048
"""Pixels of one side."""


class Engine:
    """What samples and reads. `preload` returns at once; whoever comes before it is done waits for it.

    Args:
        models: names as in `fairgen.models.loading.load_model`; the first is the default.
        any_model: whether others may be named as well.
        device: as in `load_model`.
        folder: holds further models and LoRAs, which may be named by their paths inside it.
    """

    def __init__(
        self,
        models: Sequence[str] = ("embedded",),
        *,
        any_model: bool = False,
        device: str = "auto",
        folder: Path | None = None,
    ) -> None:
        self._names = _labels(models)
        self.models = tuple(self._names)
        """What visitors call them: those that lie on this machine without the folders above them."""
        self.any_model = any_model
        self.device = device
        self.catalogue = Catalogue(folder)
        self.watch = StepWatch()
        self._loaded: dict[str, Model] = {}
        self._reader: SkinToneReader | None = None
        self._loading = threading.Lock()
        self._sampling = threading.Lock()
        self._asked = threading.Event()

    @property
    def default(self) -> str:
        """The model that is used unless another is named."""
        return self.models[0]

    @property
    def ready(self) -> bool:
        """Whether the default model and the reader are loaded."""
        there = behind_an_api(self._path(self.default)) or self.loaded(self.default) is not None
        return self._reader is not None and there

    def loaded(self, name: str, options: ModelOptions = AS_IT_IS) -> Model | None:
        """The model as it was opened, if it is loaded by now; None otherwise. Never waits."""
        return self._loaded.get(_key(name, options))

    def preload(self) -> threading.Thread:
        """Start to load the default model and the reader; a failure is raised by whoever needs them."""

        # Libraries warn while they are imported; silencing is not safe between threads, so it is done here.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "The 'alias' attribute with value")  # Gradio's own endpoints
        # Gradio sets matplotlib's backend to "agg" at each request, which fails while the reader imports
        # pyplot in another thread, unless it is set so already, letter by letter: "Agg" would be another.
        if "matplotlib" not in sys.modules:
            os.environ["MPLBACKEND"] = "agg"

        keep_freed_memory()

        def load() -> None:
            try:
                # What the page imports meanwhile is helped by it, too.
                with uncollected_imports():
                    self.load(self.default)
                    reader = self.reader()
                if self.default == "embedded":
                    # The first call of a reader and of a pipeline is slow: let nobody wait for it. The
                    # reader's goes on beside a visitor's sampling. A visitor who comes during the pipeline's
                    # waits for it, so it is short; where one waits already, their own picture is the first.
                    from PIL import Image

                    reader.read(Image.new("RGB", (64, 64)))
                    if not self._asked.is_set():
                        from fairgen.steering.request import Request

                        short = self.load(self.default, ModelOptions(steps=1))
                        with self._sampling:
                            short.generate([Request("a portrait", 0)])
            except UserError as error:  # the first visitor sees the same sentence
                print(f"fairgen: {error}", file=sys.stderr, flush=True)

        thread = threading.Thread(target=load, name="preload", daemon=True)
        thread.start()
        return thread

    def check_model(self, name: Any) -> str:
        """The name, if visitors may use it ("" is the default). Raises `UserError`."""
        if name in (None, ""):
            return self.default
        if not isinstance(name, str) or len(name) > 300:
            raise UserError("The model must be named by a text of at most 300 characters.")
        chosen: str = name
        if self.any_model:
            # Somebody may name the folder itself, as run files of earlier versions do.
            chosen = next((label for label, real in self._names.items() if real == chosen), chosen)
        if chosen in self.models or self.catalogue.path(chosen) is not None:
            return chosen
        if not self.any_model:
            raise UserError(f"This server has no model {chosen[:60]!r}: choose one of those that it offers.")
        if behind_an_api(chosen):
            raise UserError(
                "Models behind an API are used only where the server was started with them: end it, and "
                f"start it with --model and {REMOTE}NAME."
            )
        return chosen

    def check_options(self, given: Any) -> ModelOptions:
        """How a visitor wants the model opened, if visitors may have it so. Raises `UserError`.

        Args:
            given: fields of `OPEN_TO_VISITORS` by name; files are those of the catalogue, or any where any
                model may be named.
        """
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise UserError("The model's options must be given by name, as {'steps': 30, ...}.")
        offered = [name for name in OPEN_TO_VISITORS if self.any_model or name not in _OF_THE_MACHINE]
        unknown = sorted(set(given) - set(offered))
        if unknown:
            raise UserError(f"There is no option {unknown[0][:40]!r} here: use {', '.join(offered)}.")
        options = ModelOptions.of(dict(given), "the settings")
        if options.steps is not None and options.steps > _MOST_STEPS:
            raise UserError(f"The number of steps must be from 1 to {_MOST_STEPS}, not {options.steps}.")
        for name, side in (("width", options.width), ("height", options.height)):
            if side is not None and side > _LONGEST:
                raise UserError(f"The {name} must be {_LONGEST} pixels at most, not {side}.")
        for file in [] if self.any_model else _files(options):
            if self.catalogue.path(file) is None:
                raise UserError(f"This server has no file {file[:60]!r}: choose one that it offers.")
        return options

    def check_fits(self, name: str, options: ModelOptions) -> None:
        """Raise `UserError` where a model behind an API takes no such options: that is known before the work
        begins, since nothing is loaded for it.
        """
        if behind_an_api(self._path(name)):
            self.load(name, options)

    def check_prompt(self, name: str, prompt: str) -> None:
        """Raise `UserError` for a prompt that the model would cut short, if it is loaded: a refusal before
        the work leaves what is on the page.
        """
        found = self.loaded(name)
        if found is not None:
            found.check_prompts([prompt])

    def load(self, name: str, options: ModelOptions = AS_IT_IS) -> Model:
        """The model as it is to be opened, its weights loaded on first use. Raises `UserError` as
        `load_model` does.
        """
        if behind_an_api(self._path(name)):
            return self._opened(name, options)
        key, first = _key(name, options), _key(self.default, AS_IT_IS)
        with self._loading:
            found = self._loaded.pop(key, None)
            if found is None:
                for other in [n for n in self._loaded if n != first][: len(self._loaded) - _KEPT + 1]:
                    del self._loaded[other]
                self.watch.forget()
                found = self._opened(name, options)
            self._loaded[key] = found
        return self._sampling_as(found, options)

    def _opened(self, name: str, options: ModelOptions) -> Model:
        """The model, loaded now, and called as visitors call it: without the server's folders."""
        from fairgen.models.loading import load_model

        real, offered = self._path(name), name in self._names or self.catalogue.path(name) is not None
        label = name if offered else next(iter(_labels([name])))  # what run files and pages call it
        placed = options
        if not behind_an_api(real):
            placed = _opening(options).with_files(lambda file: str(self.catalogue.path(file) or file))
        try:
            found = load_model(real, self.device, name=label, options=placed)
        except UserError as error:
            said = str(error).replace(real, label)
            for file, given in zip(_files(placed), _files(options), strict=True):
                said = said.replace(file, given)
            raise UserError(said) from None
        labels = dict(zip(_files(placed), _files(options), strict=True))

        def shown(file: str) -> str:
            """What run files say, which visitors may read: not where a settings file's parts lie."""
            hidden = not self.any_model and Path(file).is_absolute()
            return labels.get(file) or (Path(file).name if hidden else file)

        named = ModelOptions.model_validate(found.info.options).with_files(shown).given()
        found.info = found.info.model_copy(update={"options": named})  # type: ignore[misc]
        return found

    def _path(self, name: str) -> str:
        """What the library calls the model of that name."""
        if name in self._names:
            return self._names[name]
        found = self.catalogue.path(name)
        return name if found is None else str(found)

    def _sampling_as(self, found: Model, options: ModelOptions) -> Model:
        from fairgen.models.diffusers import DiffusersModel
        from fairgen.models.resampled import resampled

        if not isinstance(found, DiffusersModel):
            return found
        made = resampled(found, options)
        made.watcher = self.watch
        return made

    def reader(self) -> SkinToneReader:
        """The calibrated reader; thread-safe."""
        with self._loading:
            if self._reader is None:
                from skin_tone import SkinToneReader

                self._reader = SkinToneReader()
            return self._reader

    def session(self, job: Job, run: RunFolder, left: SessionRun | None) -> Iterator[Event]:
        """`fairgen.loop.session.run_session` on a model of this engine; batches of visitors never overlap.

        Args:
            run: its folder takes the set, and who sees it may watch it (`watch`).
            left: what a stop left of the set, to go on with.

        Closing the iterator closes the session: its run file and pictures stay whole.
        """
        from fairgen.loop.session import run_session

        self._asked.set()
        generator, reader = self.load(job.model, job.options), self.reader()
        with self._sampling:
            events = run_session(
                generator,
                reader,
                job.prompt,
                job.spec,
                job.count,
                steering=job.steering,
                seed=job.seed,
                max_tries=job.tries,
                limit=job.strength,
                out_dir=run.folder,
                resume=left,
            )
        return self._taking_turns(events, run.id)

    def calibrate(
        self, model: str, options: ModelOptions, plan: Plan, keep: Callable[[float, Image.Image], object]
    ) -> Iterator[int]:
        """Measure a model as `fairgen.loop.calibrate.calibrate` does, in turns with other visitors, and keep
        the result. Yields the number of pictures that are done.
        """
        from fairgen.loop.calibrate import calibrate
        from fairgen.steering.calibration import save_calibration
        from fairgen.steering.registry import AUTO

        self._asked.set()
        generator, reader = self.load(model, options), self.reader()
        technique, done = generator.chosen_technique(AUTO), 0

        def steps() -> Iterator[int]:
            found = yield from calibrate(generator, reader, technique, plan=plan, keep=keep)
            save_calibration(found, generator.info)

        for new in self._taking_turns(steps()):
            done += new
            yield done

    def audit(self, order: AuditOrder, folder: Path) -> Iterator[AuditEvent]:
        """`fairgen.audit.runner.Audit.run` on a model of this engine, in turns with other visitors."""
        from fairgen.audit.runner import Audit

        self._asked.set()
        generator, reader = self.load(order.model, order.options), self.reader()
        return self._taking_turns(Audit(order.plan, generator, reader, folder, left=order.left).run())

    def _taking_turns(self, events: Iterator[_E], owner: str = "") -> Iterator[_E]:
        with closing(events):  # type: ignore[type-var]  # a generator, typed as the iterator that it is
            while True:
                with self._sampling:
                    self.watch.begin(owner)
                    event = next(events, None)
                if event is None:
                    return
                yield event


def behind_an_api(model: str) -> bool:
    """Whether that name, or the file of settings of that name, is of a model behind an API."""
    if is_settings(model):
        try:
            model, _ = read_settings(Path(model).expanduser())
        except UserError:
            return False  # said when it is loaded
    return model.startswith(REMOTE)


def _labels(models: Sequence[str]) -> dict[str, str]:
    """Label -> name: files and folders go without what lies above them, which visitors need not know."""
    found: dict[str, str] = {}
    for name in models:
        local = Path(name).is_absolute() or Path(name).exists()
        label = plain = Path(name).name if local else name
        number = 1
        while label in found:
            number += 1
            label = f"{plain} ({number})"
        found[label] = name
    return found


def _key(name: str, options: ModelOptions) -> str:
    """What is loaded for these: the name, and how it is opened."""
    return f"{name}\n{json.dumps(_opening(options).given(), sort_keys=True)}"


def _opening(options: ModelOptions) -> ModelOptions:
    """Of these, what decides which weights are loaded, and how."""
    given = {name: value for name, value in options.given().items() if name not in SAMPLING}
    return ModelOptions.model_validate(given)


def _files(options: ModelOptions) -> list[str]:
    """The names of all files, in a fixed order."""
    found: list[str] = []

    def noted(file: str) -> str:
        found.append(file)
        return file

    options.with_files(noted)
    return found
