"""Pictures that a model makes of a list of jobs, and their readings, kept so that a later run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image
from rich.progress import track

from fairgen.models.diffusers import DiffusersModel
from fairgen.steering.request import Request
from skin_tone import SkinToneReader

from .evaluate import Job, Reading, read

BATCH = 8


class Sampled:
    """``pictures/`` and ``readings.jsonl`` in a folder, one of each for a job.

    Args:
        generator: the model.
        jobs: what it draws, in order.
        out: the folder.
    """

    def __init__(self, generator: DiffusersModel, jobs: Sequence[Job], out: Path) -> None:
        self.generator, self.jobs, self.out = generator, jobs, out

    def make(self, enough: Callable[[], bool] = lambda: False) -> bool:
        """Make the pictures that are missing, until ``enough`` says so: whether all are there."""
        for i in track(range(0, len(self.jobs), BATCH), "pictures"):
            self._make(range(i, min(i + BATCH, len(self.jobs))))
            if enough():
                return False
        return True

    def picture(self, place: int) -> Image.Image:
        """The picture of a job, by its place in the list."""
        with Image.open(self._path(place)) as picture:
            return picture.convert("RGB")

    def read(self) -> list[Reading]:
        """All readings; those that are missing are made."""
        path = self.out / "readings.jsonl"
        lines = path.read_text().splitlines(True) if path.exists() else []
        found = [Reading(**json.loads(line)) for line in lines if line.endswith("\n")]
        with SkinToneReader() as reader, path.open("w") as file:
            file.writelines(json.dumps(asdict(one)) + "\n" for one in found)
            for place in track(range(len(found), len(self.jobs)), "readings"):
                found.append(read(reader, self.picture(place)))
                file.write(json.dumps(asdict(found[-1])) + "\n")
                file.flush()
        return found

    def _path(self, place: int) -> Path:
        return self.out / "pictures" / f"{place:05d}.png"

    def _make(self, places: Sequence[int]) -> None:
        if all(self._path(place).exists() for place in places):
            return
        requests = [Request(self.jobs[place].prompt, self.jobs[place].seed) for place in places]
        self._path(0).parent.mkdir(exist_ok=True)
        for place, picture in zip(places, self.generator.generate(requests), strict=True):
            temporary = self._path(place).with_suffix(".tmp")
            picture.save(temporary, format="png")
            temporary.replace(self._path(place))
