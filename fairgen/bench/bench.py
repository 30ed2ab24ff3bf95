"""Runs methods on the bench: every set is kept as soon as it is there, so that a run can be broken off.

A work folder holds ``bench.json`` (what is being run), ``unsteered/`` (the pictures of the model left to
itself: the twins of all others, and what the bias is read from), ``bias.jsonl`` and ``sets/<method>.jsonl``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from fairgen._version import __version__
from fairgen.bench.entries import Entry
from fairgen.bench.method import Task
from fairgen.bench.result import (
    BenchPlan,
    BenchResult,
    BenchSet,
    MethodRecord,
    TwinRecord,
    bench_set,
    figures_of,
)
from fairgen.common.documents import Part, read_document, write_document
from fairgen.common.files import disk_errors, now, replacing
from fairgen.errors import UserError
from fairgen.runs import ModelInfo
from fairgen.targets import spec_from_shares
from skin_tone.identity import identity

if TYPE_CHECKING:
    from fairgen.models.diffusers import DiffusersModel
    from skin_tone.faces import FaceFinder
    from skin_tone.pool import ToneReader

__all__ = ["Bench", "Work"]

_HEADER = "bench.json"


class _Header(Part):
    """What the sets of a work folder have in common."""

    model: ModelInfo
    fingerprint: str
    reader: str
    count: int
    seed: int
    scale: str
    target: dict[str, float]


class Work:
    """A work folder. What lies in it is only ever added to.

    Args:
        folder: made where it is missing.

    Raises:
        UserError: it belongs to another bench (model, settings, readers, count, seed, target), or cannot be
            written.
    """

    def __init__(self, folder: Path, plan: BenchPlan, model: ModelInfo, fingerprint: str) -> None:
        self.folder = folder
        common = plan.model_dump(exclude={"prompts"})
        header = _Header(model=model, fingerprint=fingerprint, reader=identity(), **common)
        path = folder / _HEADER
        if path.is_file():
            if read_document(path, _Header, "work folder of the known-bias bench") != header:
                raise UserError(
                    f"{folder} holds sets of another model, with other settings, or by other readers: "
                    "choose another --work."
                )
        else:
            if folder.is_dir() and any(folder.iterdir()):
                raise UserError(f"{folder} is not empty, and no work folder: choose another --work.")
            write_document(header, path)

    def picture(self, prompt: str, slot: int) -> Path:
        """Where an unsteered picture lies."""
        digest = hashlib.sha256(prompt.encode()).hexdigest()[:12]
        return self.folder / "unsteered" / digest / f"{slot:04d}.png"

    def claim(self, method: MethodRecord) -> None:
        """Begin with a method, or go on with it.

        Raises:
            UserError: what lies there of its name was made by another version of it.
        """
        path = self.folder / "sets" / f"{method.name}.json"
        if not path.is_file():
            write_document(method, path)
        elif read_document(path, MethodRecord, "record of a method") != method:
            raise UserError(
                f"{self.folder} holds sets of another {method.name!r} (other code, version, settings): "
                "choose another --work or --name."
            )

    def sets(self, method: str) -> dict[str, BenchSet]:
        """The finished sets of a method: prompt -> set."""
        return {one.prompt: one for one in map(BenchSet.model_validate_json, self._lines(f"sets/{method}"))}

    def keep_set(self, method: str, done: BenchSet) -> None:
        """Keep a finished set."""
        self._append(f"sets/{method}", done.model_dump_json())

    def readings(self) -> dict[str, list[float | None]]:
        """ITA of unsteered pictures, degrees: prompt -> one for each (None: not read)."""
        return {row["prompt"]: row["ita"] for row in map(json.loads, self._lines("bias"))}

    def keep_readings(self, prompt: str, ita: Sequence[float | None]) -> None:
        """Keep the readings of a prompt."""
        self._append("bias", json.dumps({"prompt": prompt, "ita": list(ita)}))

    def _lines(self, name: str) -> list[str]:
        path = self.folder / f"{name}.jsonl"
        if not path.is_file():
            return []
        # What follows the last line break was cut off by a kill, and is made again.
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]

    def _append(self, name: str, line: str) -> None:
        path = self.folder / f"{name}.jsonl"
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as out:
                out.truncate(path.read_bytes().rfind(b"\n") + 1)
                out.write(f"{line}\n".encode())


@dataclass
class _Rows:
    rows: int | None = None


@contextlib.contextmanager
def _counted(pipe: Any) -> Iterator[_Rows]:
    """Counts the rows that go through a pipeline's denoiser, whoever calls it."""
    from fairgen.steering.denoiser import denoiser

    found = _Rows()
    module = None if pipe is None else denoiser(pipe)
    if module is None or not hasattr(module, "register_forward_pre_hook"):
        yield found
        return
    found.rows = 0

    def count(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        first = args[0] if args else kwargs.get("sample", kwargs.get("hidden_states"))
        if found.rows is not None:
            # A denoiser that is called in another way is not counted wrongly, but not at all.
            found.rows = None if first is None else found.rows + len(first)

    handle = module.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield found
    finally:
        handle.remove()


@dataclass
class Bench:
    """A loaded model, its readers and a work folder.

    Attributes:
        plan: what each method is asked for; ``plan.prompts`` may be a part of ``numbers``.
        numbers: prompt -> its number, from which its seeds follow: the same whichever prompts are run.
        first, second: readers. finder: finds the faces of twins.

    Raises:
        UserError: the work folder belongs to another bench, or cannot be written.
    """

    plan: BenchPlan
    numbers: dict[str, int]
    generator: DiffusersModel
    first: ToneReader
    second: ToneReader
    finder: FaceFinder
    folder: Path

    def __post_init__(self) -> None:
        self.work = Work(self.folder, self.plan, self.model, self.fingerprint)

    @property
    def model(self) -> ModelInfo:
        """As result files have it: without paths of this machine."""
        info = self.generator.info
        return info.model_copy(update={"name": info.short_name, "options": {}})

    @property
    def fingerprint(self) -> str:
        """'sha256:<hex>' over the hashes of the model's weights."""
        return self.generator.info.fingerprint

    def task(self, prompt: str) -> Task:
        """What a method is given for a prompt."""
        seed = self.plan.seed * 100_000 + self.numbers[prompt]
        spec = spec_from_shares(self.plan.target, scale=self.plan.scale)
        return Task(prompt, spec, self.plan.count, seed, self.generator, self.first)

    def unsteered(self, prompt: str) -> list[Image.Image]:
        """The model's own pictures for a prompt; sampled where they are not in the work folder yet."""
        paths = [self.work.picture(prompt, slot) for slot in range(self.plan.count)]
        if not all(path.is_file() for path in paths):
            task = self.task(prompt)
            pictures = task.sample([prompt] * task.count, task.seeds)
            with disk_errors(paths[0]):
                paths[0].parent.mkdir(parents=True, exist_ok=True)
                for path, picture in zip(paths, pictures, strict=True):
                    with replacing(path) as made:
                        picture.save(made, format="png")
        return [_open(path) for path in paths]

    def read_bias(self, prompt: str) -> list[float | None]:
        """ITA of the unsteered pictures of a prompt by the first reader, degrees; None where not read."""
        return [self.first.read(picture)[0].ita for picture in self.unsteered(prompt)]

    def run(self, entry: Entry, prompt: str) -> BenchSet:
        """One set by one method.

        Raises:
            UserError: the method did not hand over what was asked for.
        """
        task, name = self.task(prompt), entry.record.name
        twins = dict(zip(task.seeds, self.unsteered(prompt), strict=True))
        with _counted(self.generator.pipe) as counter:
            clock, own = time.perf_counter(), time.process_time()
            made = entry.method(task)
            seconds, processor_seconds = time.perf_counter() - clock, time.process_time() - own
        if not len(made.pictures) == len(made.seeds) == task.count or made.generated < task.count:
            raise UserError(
                f"The method {name!r} was asked for {task.count} pictures of {prompt!r}, and handed over "
                f"{len(made.pictures)} with {len(made.seeds)} seeds, {made.generated} generated."
            )
        scale = self.plan.scale
        first, second = (
            [reader.read(picture)[0].classes.get(scale) for picture in made.pictures]
            for reader in (self.first, self.second)
        )
        return bench_set(
            prompt,
            self.plan,
            first,
            second,
            generated=made.generated,
            seconds=seconds,
            processor_seconds=processor_seconds,
            denoiser_rows=counter.rows,
            twins=self._compared(made.pictures, made.seeds, twins),
        )

    def _compared(
        self, pictures: Sequence[Image.Image], seeds: Sequence[int | None], twins: dict[int, Image.Image]
    ) -> list[TwinRecord]:
        from fairgen.scoring.twins import likeness

        pairs = [
            (picture, twins[seed])
            for picture, seed in zip(pictures, seeds, strict=True)
            if seed is not None and seed in twins and picture.size == twins[seed].size
        ]
        found = [one for picture, twin in pairs if (one := likeness(picture, twin, self.finder))]
        return [
            TwinRecord(landmark_shift=round(one.shift, 5), elsewhere=round(one.elsewhere, 4)) for one in found
        ]

    def result(self, entry: Entry, *, workers: int) -> BenchResult:
        """The result of a method of which all sets are there.

        Raises:
            UserError: some are missing.
        """
        from fairgen.audit.workers.host import describe_host

        done = self.work.sets(entry.record.name)
        if missing := [prompt for prompt in self.plan.prompts if prompt not in done]:
            raise UserError(
                f"{len(missing)} sets of {entry.record.name!r} are missing, such as {missing[0]!r}."
            )
        sets = tuple(done[prompt] for prompt in self.plan.prompts)
        info = self.generator.info
        return BenchResult(
            method=entry.record,
            model=self.model,
            fingerprint=self.fingerprint,
            reader=identity(),
            plan=self.plan,
            host=describe_host(info.device),
            threads=self.generator.threads,
            workers=workers,
            fairgen=__version__,
            made_at=now(),
            sets=sets,
            figures=figures_of(sets, self.plan),
        )


def _open(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")
