"""What the bench asks of a method of mitigation: a function that is given a task and returns pictures.

    def doubled(task):
        prompts = [task.prompt, f"{task.prompt} with dark skin"]
        wanted = [prompts[k % 2] for k in range(task.count)]
        return Made(task.sample(wanted, task.seeds), task.seeds, generated=task.count)

`task.sample` uses the pipeline as it is; a method that changes what happens inside sampling takes
``task.pipe``, a plain diffusers pipeline, for itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from fairgen.errors import UserError
from fairgen.quota import allocate

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.models.diffusers import DiffusersModel
    from fairgen.targets import FairnessSpec
    from skin_tone.pool import ToneReader

__all__ = ["Made", "Method", "Task", "load_method"]


@dataclass(frozen=True)
class Made:
    """What a method hands over.

    Attributes:
        pictures: exactly as many as were asked for.
        seeds: the seed of each, so that it can be laid beside the unsteered picture of that seed; None where
            a picture has none.
        generated: pictures that were sampled in all, those thrown away included.
    """

    pictures: Sequence[Image.Image]
    seeds: Sequence[int | None]
    generated: int


@dataclass(frozen=True)
class Task:
    """One set of pictures that a method is asked for.

    Attributes:
        prompt: names no skin tone. spec: the declared target. count: pictures wanted.
        seed: everything random shall follow from it.
        generator: the loaded model with its settings. reader: the first reader; the second is the bench's.
    """

    prompt: str
    spec: FairnessSpec
    count: int
    seed: int
    generator: DiffusersModel
    reader: ToneReader

    @property
    def pipe(self) -> Any:
        """The diffusers pipeline, on its device. Leave it as you found it: the next task gets it too."""
        return self.generator.pipe

    @property
    def target(self) -> Mapping[str, float]:
        """Class -> declared share, light to dark."""
        return self.spec.target

    @property
    def wanted(self) -> list[str]:
        """A class for each place of the set, in proportions of the target (largest remainder)."""
        spec = self.spec
        quota = allocate(spec.target, self.count, spec.allocation, seed=self.seed)
        return [name for name, number in quota.items() for _ in range(number)]

    @property
    def seeds(self) -> list[int]:
        """The seeds of the unsteered twins, one for each place of the set."""
        from fairgen.loop.rounds import slot_seed

        return [slot_seed(self.seed, slot, 0) for slot in range(self.count)]

    @property
    def call(self) -> dict[str, Any]:
        """What the pipeline is to be called with besides prompts and generators: steps, guidance, size."""
        info = self.generator.info
        found = {
            "num_inference_steps": info.steps,
            "guidance_scale": info.guidance_scale,
            "height": info.height,
            "width": info.width,
        }
        return {name: value for name, value in found.items() if value is not None}

    def sample(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        """One RGB picture for each prompt and seed, in the pipeline's own batches.

        Raises:
            ValueError: there are not as many seeds as prompts.
        """
        from fairgen.steering.request import Request

        requests = [Request(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        size = self.generator.default_batch_size
        return [
            picture
            for start in range(0, len(requests), size)
            for picture in self.generator.generate(requests[start : start + size])
        ]

    def read(self, picture: Image.Image) -> str | None:
        """The class of a picture's largest face, as the first reader sees it; None where it abstains."""
        return self.reader.read(picture)[0].classes.get(self.spec.scale)


class Method(Protocol):
    """Makes a set of pictures for a task. Called once for each prompt, in any order."""

    def __call__(self, task: Task, /) -> Made: ...


def load_method(reference: str) -> Method:
    """The callable that ``module:name`` or ``path/to/file.py:name`` names. Its code is run.

    Raises:
        UserError: there is no such module, file or callable.
    """
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name:
        raise UserError(f"{reference!r} names no method: write module:function or path/to/file.py:function.")
    found = getattr(_module(place), name, None)
    if not callable(found):
        raise UserError(f"{place} holds no function {name!r}.")
    method: Method = found
    return method


def _module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise UserError(
                f"There is no module {error.name!r}: install it, or name the method's file."
            ) from error
    path = Path(place)
    if not path.is_file():
        raise UserError(f"There is no file {place}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{place} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"{place} is no Python: {error.msg} (line {error.lineno}).") from error
    return module
