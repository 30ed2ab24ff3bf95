"""The methods that ship with the bench: plain sampling, words in the prompt, and this project's own."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import asdict, dataclass
from pathlib import Path

from fairgen._version import __version__
from fairgen.bench.method import Made, Method, Task, load_method
from fairgen.bench.result import MethodRecord
from fairgen.errors import UserError

__all__ = ["SHIPPED", "Entry", "SessionMethod", "find_entry"]

_URL = "https://arxiv.org/abs/2604.21036"


@dataclass(frozen=True)
class SessionMethod:
    """A technique of `fairgen.steering` in a session: ``tries`` pictures at most for a place of the set,
    ``feedback`` whether what was read decides what is asked for next.
    """

    technique: str
    feedback: bool = True
    tries: int = 1

    def __call__(self, task: Task, /) -> Made:
        from fairgen.loop.events import Event, PictureDone
        from fairgen.loop.session import run_session
        from fairgen.pipeline import collect

        made: list[PictureDone] = []

        def keep(event: Event) -> None:
            if isinstance(event, PictureDone):
                made.append(event)

        result = collect(
            run_session(
                task.generator,
                task.reader,
                task.prompt,
                task.spec,
                task.count,
                steering=self.technique,
                seed=task.seed,
                max_tries=self.tries,
                feedback=self.feedback,
            ),
            keep,
        )
        # A place whose pictures could not be read is empty in a session's set, but not in somebody's folder.
        inside = {record.index for record in result.records}
        left = [event for event in made if event.record.index not in inside]
        left.sort(key=lambda event: event.record.abstained is None)
        spare = left[: task.count - len(result.images)]
        images = [*result.images, *(event.image for event in spare)]
        seeds = [*(record.seed for record in result.records), *(event.record.seed for event in spare)]
        return Made(images, seeds, result.summary.generated)


@dataclass(frozen=True)
class Entry:
    """A method and what is said of it in the result file."""

    record: MethodRecord
    method: Method


def _shipped(name: str, description: str, method: SessionMethod, *, url: str | None = None) -> Entry:
    settings = asdict(method)
    record = MethodRecord(name=name, version=__version__, url=url, description=description, settings=settings)
    return Entry(record, method)


SHIPPED: dict[str, Entry] = {
    entry.record.name: entry
    for entry in (
        _shipped("none", "the model as it is", SessionMethod("none", feedback=False)),
        _shipped(
            "prompt-variants-open",
            "tone words in the prompt, in quota proportions (Nizam & Davis 2026)",
            SessionMethod("prompt", feedback=False),
            url=_URL,
        ),
        _shipped(
            "embedding-direction-open",
            "a direction in the text embedding, strength by calibration, quota asked for blindly",
            SessionMethod("embedding", feedback=False),
        ),
        _shipped(
            "embedding-direction-closed",
            "the same, asking after each round for what is still missing; no extra pictures",
            SessionMethod("embedding"),
        ),
        _shipped(
            "semantic-guidance-closed",
            "a term on the denoiser's output, asking after each round for what is still missing",
            SessionMethod("semantic"),
        ),
        _shipped(
            "embedding-direction-closed-4-tries",
            "the closed loop with the embedding's direction; a picture that fits nowhere is made again",
            SessionMethod("embedding", tries=4),
        ),
    )
}
"""Name -> entry, in the order in which they are run."""


def find_entry(
    reference: str, *, name: str | None = None, version: str = "", url: str | None = None
) -> Entry:
    """A shipped entry by its name, or somebody's own method (`load_method`).

    Args:
        name, version, url: what the result file says of an own method; name: default its function's.

    Raises:
        UserError: there is no such entry or method, or its name cannot be a file's.
    """
    if reference in SHIPPED:
        return SHIPPED[reference]
    if ":" not in reference:
        raise UserError(
            f"There is no method {reference!r}: use {', '.join(SHIPPED)}, or your own as module:function."
        )
    method = load_method(reference)
    own = name or reference.rpartition(":")[2].replace("_", "-")
    if own in SHIPPED:
        raise UserError(f"{own!r} is a method that ships with the bench: give yours another --name.")
    description = " ".join((getattr(method, "__doc__", None) or "").split())[:300]
    record = MethodRecord.checked(
        name=own, version=version, url=url, description=description, settings=_source(method)
    )
    return Entry(record, method)


def _source(method: Method) -> dict[str, str]:
    """A digest of the file that a method is written in, so that sets of two versions are not mixed."""
    try:
        file = inspect.getsourcefile(method if inspect.isroutine(method) else type(method))
    except TypeError:
        file = None  # written in no Python
    if file is None:
        return {}
    return {"source": f"sha256:{hashlib.sha256(Path(file).read_bytes()).hexdigest()}"}
