"""What runs on a worker of a crew: one model on one device, loaded once, and its reader."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fairgen._version import __version__
from fairgen.audit.workers.host import describe_host
from fairgen.errors import UserError
from fairgen.loop.batches import Here, Sampled
from fairgen.models.options import ModelOptions, is_settings, read_settings
from fairgen.runs import Host, ModelInfo
from fairgen.steering.registry import AUTO, NONE, continuous

if TYPE_CHECKING:
    from fairgen.models.contract import Model
    from fairgen.steering import Steering
    from fairgen.steering.calibration import Calibration
    from fairgen.steering.request import Request
    from skin_tone.pool import ToneReader


@dataclass(frozen=True)
class LoadModel:
    """Loads a model and a reader. Made by `model_loader` where the command runs, called on a worker."""

    name: str
    """As it was asked for; that is what the run file says."""
    model: str
    """The same, with the whole path where it is a folder."""
    device: str
    threads: int | None
    """Of torch; None: as many as torch takes."""
    options: ModelOptions = field(default_factory=ModelOptions)
    """How it is opened, as it was asked for."""
    folder: Path = field(default_factory=Path)
    """Where the command runs, from which relative paths are taken."""

    def __call__(self) -> tuple[Model, ToneReader]:
        import torch

        from fairgen.models.diffusers import DiffusersModel
        from fairgen.models.loading import load_model
        from skin_tone.pool import ReaderPool

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        options = self.options.within(self.folder)
        generator = load_model(self.model, self.device, name=self.name, options=options)
        if isinstance(generator, DiffusersModel):  # the run file says what was asked for, wherever it is made
            generator.info = generator.info.model_copy(update={"options": self.options.given()})
        return generator, ReaderPool(self.threads)


def model_loader(
    model: str, device: str, threads: int | None, options: ModelOptions | None = None
) -> LoadModel:
    """What loads a model on a worker, also where its files are given relative to the current folder."""
    name, opened = model, options or ModelOptions()
    if is_settings(model):
        model, own = read_settings(Path(model).expanduser())
        opened = opened.over(own)
    path = Path(model).expanduser()
    where = str(path.resolve()) if model and path.exists() else model
    return LoadModel(name, where, device, threads, opened, Path.cwd())


@dataclass(frozen=True)
class Opened:
    """What a worker says of itself once its model is loaded."""

    info: ModelInfo
    default_batch_size: int
    threads: int | None
    host: Host
    fairgen: str
    node: str
    """Name of its machine, for messages."""
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """Technique -> the calibration that came with the model."""
    auto: str = NONE
    """What "auto" stands for with it."""


class Worker:
    """One actor. Its model is loaded by the first `open`, so that what fails then is told as it is.

    Args:
        load: makes generator and reader.
    """

    def __init__(self, load: Callable[[], tuple[Model, ToneReader]]) -> None:
        self._load = load

    def open(self) -> Opened:
        """Load the model. Raises `UserError`, which names the machine."""
        node = platform.node()
        try:
            self._generator, self._reader = self._load()
        except UserError as error:
            raise UserError(f"{error} (Said by the worker on {node}.)") from error
        info = self._generator.info
        own = {name: self._generator.calibration(name) for name in continuous()}
        return Opened(
            info,
            self._generator.default_batch_size,
            self._generator.threads,
            describe_host(info.device),
            __version__,
            node,
            {name: found for name, found in own.items() if found is not None},
            self._generator.chosen_technique(AUTO),
        )

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """As `Model.check_prompts`."""
        self._generator.check_prompts(prompts)

    def check_techniques(self, names: Sequence[str]) -> None:
        """As `Model.check_techniques`."""
        self._generator.check_techniques(names)

    def make(self, requests: Sequence[Request], steering: Steering | None, unread: Sequence[int]) -> Sampled:
        """Sample a batch, and read the pictures at these places."""
        return Here(self._generator, self._reader).start(requests, steering, unread)()
