"""Models and the reader, shared by all visitors: loaded once, in the background, used by one at a time."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairgen.common.libraries import uncollected_imports
from fairgen.errors import UserError

if TYPE_CHECKING:
    from fairgen.audit.plan import AuditPlan
    from fairgen.audit.runner import AuditEvent, LookBack
    from fairgen.loop.events import Event
    from fairgen.models.contract import Model
    from fairgen.targets import FairnessSpec
    from skin_tone import SkinToneReader

_E = TypeVar("_E")
_KEPT = 2
"""Models that stay loaded: the server's first, and the one that was used last."""


class Engine:
    """What samples and reads. `preload` returns at once; whoever comes before it is done waits for it.

    Args:
        models: names as in `fairgen.models.loading.load_model`; the first is the default.
        any_model: whether others may be named as well.
        device: as in `load_model`.
    """

    def __init__(
        self, models: Sequence[str] = ("embedded",), *, any_model: bool = False, device: str = "auto"
    ) -> None:
        self._names = _labels(models)
        self.models = tuple(self._names)
        """What visitors call them: those that lie on this machine without the folders above them."""
        self.any_model = any_model
        self.device = device
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
        return self._reader is not None and self.default in self._loaded

    def preload(self) -> threading.Thread:
        """Start to load the default model and the reader; a failure is raised by whoever needs them."""

        # Libraries warn while they are imported; silencing is not safe between threads, so it is done here.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "The 'alias' attribute with value")  # Gradio's own endpoints

        def load() -> None:
            try:
                # What the page imports meanwhile is helped by it, too.
                with uncollected_imports():
                    generator, reader = self.load(self.default), self.reader()
                if self.default == "embedded" and not self._asked.is_set():
                    # The first call of a pipeline and of a reader is slow: let nobody wait for it. Whoever
                    # waits already is served sooner without.
                    _warm_up(generator, reader, self._sampling)
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
        if self.any_model:
            # Somebody may name the folder itself, as run files of earlier versions do.
            return next((label for label, real in self._names.items() if real == name), name)
        if name not in self.models:
            raise UserError(
                f"This server has no model {name[:60]!r}: it was started with {', '.join(self.models)}."
            )
        return name

    def check_prompt(self, name: str, prompt: str) -> None:
        """Raise `UserError` for a prompt that the model would cut short, if it is loaded: a refusal before
        the work leaves what is on the page.
        """
        found = self._loaded.get(name)
        if found is not None:
            found.check_prompts([prompt])

    def load(self, name: str) -> Model:
        """The model, loaded on first use. Raises `UserError` as `load_model` does."""
        with self._loading:
            found = self._loaded.pop(name, None)
            if found is None:
                from fairgen.models.loading import load_model

                for other in [n for n in self._loaded if n != self.default][: len(self._loaded) - _KEPT + 1]:
                    del self._loaded[other]
                real = self._names.get(name, name)
                label = name if name in self._names else next(iter(_labels([name])))
                try:
                    found = load_model(real, self.device, name=label)
                except UserError as error:
                    raise UserError(str(error).replace(real, label)) from None
            self._loaded[name] = found
            return found

    def reader(self) -> SkinToneReader:
        """The calibrated reader; thread-safe."""
        with self._loading:
            if self._reader is None:
                from skin_tone import SkinToneReader

                self._reader = SkinToneReader()
            return self._reader

    def session(
        self,
        model: str,
        prompt: str,
        spec: FairnessSpec,
        count: int,
        *,
        steering: str,
        **more: Any,
    ) -> Iterator[Event]:
        """`fairgen.loop.session.run_session` on a model of this engine; batches of visitors never overlap.

        ``more`` goes to `run_session`.

        Closing the iterator closes the session: its run file and pictures stay whole.
        """
        from fairgen.loop.session import run_session

        self._asked.set()
        generator, reader = self.load(model), self.reader()
        with self._sampling:
            events = run_session(generator, reader, prompt, spec, count, steering=steering, **more)
        return self._taking_turns(events)

    def audit(
        self, plan: AuditPlan, model: str, folder: Path, left: LookBack | None = None
    ) -> Iterator[AuditEvent]:
        """`fairgen.audit.runner.Audit.run` on a model of this engine, in turns with other visitors."""
        from fairgen.audit.runner import Audit

        self._asked.set()
        generator, reader = self.load(model), self.reader()
        return self._taking_turns(Audit(plan, generator, reader, folder, left=left).run())

    def _taking_turns(self, events: Iterator[_E]) -> Iterator[_E]:
        with closing(events):  # type: ignore[type-var]  # a generator, typed as the iterator that it is
            while True:
                with self._sampling:
                    event = next(events, None)
                if event is None:
                    return
                yield event


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


def _warm_up(generator: Model, reader: SkinToneReader, lock: threading.Lock) -> None:
    from fairgen.steering.request import Request

    with lock:
        reader.read(generator.generate([Request("a portrait", 0)])[0])
