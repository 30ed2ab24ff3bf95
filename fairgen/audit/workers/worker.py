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
from fairgen.runs import Host, ModelInfo

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

    def __call__(self) -> tuple[Model, ToneReader]:
        import torch

        from fairgen.models.loading import load_model
        from skin_tone.pool import ReaderPool

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        generator = load_model(self.model, self.device)
        generator.info = generator.info.model_copy(update={"name": self.name})
        return generator, ReaderPool(self.threads)


def model_loader(model: str, device: str, threads: int | None) -> LoadModel:
    """What loads a model on a worker, also where it is a folder given relative to the current one."""
    path = Path(model).expanduser()
    where = str(path.resolve()) if model and path.is_dir() else model
    return LoadModel(model, where, device, threads)


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
    """Technique -> the calibration that lies beside the weights."""


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
        info, folder = self._generator.info, getattr(self._generator, "folder", None)
        return Opened(
            info,
            self._generator.default_batch_size,
            getattr(self._generator, "threads", None),
            describe_host(info.device),
            __version__,
            node,
            {} if folder is None else _calibrations(info, folder / "calibrations"),
        )

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """As `Model.check_prompts`."""
        self._generator.check_prompts(prompts)

    def check_arms(self, arms: Sequence[str]) -> None:
        """Raise `UserError` where an arm does not work with the pipeline."""
        from fairgen.audit.plan import check_arms

        check_arms(arms, getattr(self._generator, "pipe", None))

    def make(self, requests: Sequence[Request], steering: Steering | None, unread: Sequence[int]) -> Sampled:
        """Sample a batch, and read the pictures at these places."""
        return Here(self._generator, self._reader).start(requests, steering, unread)()


def _calibrations(info: ModelInfo, beside: Path) -> dict[str, Calibration]:
    from fairgen.steering import CONTINUOUS
    from fairgen.steering.calibration import find_calibration

    found = {name: find_calibration(info, name, beside) for name in CONTINUOUS}
    return {name: calibration for name, calibration in found.items() if calibration is not None}
