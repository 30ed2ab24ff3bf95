"""Workers of an audit: Ray actors with a model each, watched over and replaced when they die.

The crew samples and reads batches, and nothing else: what is asked for, decided and written stays with the
audit. A batch gives the same pictures on each worker, so it does not matter who makes it, or how often.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from fairgen._version import __version__
from fairgen.audit.workers.worker import Opened, Worker
from fairgen.errors import UserError
from fairgen.loop.batches import Sampled
from fairgen.steering.registry import AUTO, check_technique

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.audit.workers.cluster import Layout
    from fairgen.models.contract import Model
    from fairgen.runs import Host, ModelInfo
    from fairgen.steering import Steering
    from fairgen.steering.calibration import Calibration
    from fairgen.steering.request import Request
    from skin_tone.pool import ToneReader

_TRIES = 3
"""Workers that may die one after the other, in one place or over one batch."""
_LOOK = 0.5
"""Seconds between two looks at whether to stop."""
_GATHER = 120.0
"""Seconds that the others are waited for once the first worker is ready."""
_PATIENCE = 600.0
"""Seconds without any worker, after which the audit gives up."""


class Stopped(Exception):
    """The crew was stopped while something waited for it."""


@dataclass(order=True)
class _Task:
    order: tuple[int, int]
    """Place of the block, then number: the earliest block is what the run file waits for."""
    method: str = field(compare=False)
    arguments: tuple[Any, ...] = field(compare=False)
    result: Future[Any] = field(compare=False, default_factory=Future)
    deaths: int = field(compare=False, default=0)


class _Lost(Exception):
    """A worker died; the message says how, as Ray put it."""


class Crew:
    """A `fairgen.models.contract.Model` on several workers. Used in a ``with`` block while Ray is connected
    (`fairgen.audit.workers.cluster.connected`).

    Args:
        load: loads the model on a worker, for instance what `model_loader` returns; it is pickled.
        say: told, from other threads, what the user should know: a worker that died, one that is late.

    Raises:
        UserError: on entering: the model cannot be loaded on a worker, or workers differ from one another.
    """

    def __init__(
        self,
        load: Callable[[], tuple[Model, ToneReader]],
        layout: Layout,
        say: Callable[[str], object] = lambda _sentence: None,
    ) -> None:
        from fairgen.audit.workers.cluster import require_ray

        self._ray = require_ray()
        self._load, self._layout, self._say = load, layout, say
        self._tasks: queue.PriorityQueue[_Task] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._first: Opened | None = None
        self._actors: dict[int, Any] = {}
        self._ready: set[int] = set()
        """Places whose worker has its model; ``_placed``: whose worker runs."""
        self._placed: set[int] = set()
        self._nobody_since = time.monotonic()
        self._error: Exception | None = None
        self._pending: set[Future[Any]] = set()
        self._threads = [
            threading.Thread(target=self._keep, args=(place,), name=f"fairgen-worker-{place}", daemon=True)
            for place in range(layout.workers)
        ]

    def __enter__(self) -> Self:
        try:
            for thread in self._threads:
                thread.start()
            self._gather()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _gather(self) -> None:
        """Wait for the workers, for late ones only so long."""
        begun: float | None = None
        with self._changed:
            while self._error is None and len(self._ready) < self.size:
                if self._ready and begun is None:
                    begun = time.monotonic()
                if begun is not None and time.monotonic() - begun > _GATHER:
                    self._say(f"{len(self._ready)} of {self.size} workers are ready; the others join later.")
                    return
                self._changed.wait(_LOOK)
            if self._error is not None:
                raise self._error

    def stop(self) -> None:
        """End the workers. What waits for a batch gets `Stopped`. May be called twice."""
        self._fail(Stopped())
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _fail(self, error: Exception) -> None:
        """Let everybody who waits, or will, have this error; only the first one counts."""
        with self._changed:
            if self._error is not None:
                return
            self._error = error
            pending, self._pending = self._pending, set()
            self._changed.notify_all()
        for future in pending:
            future.set_exception(error)

    # What an audit asks of a generator --------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Workers."""
        return self._layout.workers

    @property
    def _opened(self) -> Opened:
        if self._first is None:
            raise RuntimeError("the crew is used before its with block")
        return self._first

    @property
    def info(self) -> ModelInfo:
        """The model, the same on every worker."""
        return self._opened.info

    @property
    def default_batch_size(self) -> int:
        return self._opened.default_batch_size

    @property
    def threads(self) -> int | None:
        """Torch's threads in each worker; None where it is not on a CPU."""
        return self._opened.threads

    @property
    def host(self) -> Host:
        """The machine of the first worker."""
        return self._opened.host

    def calibration(self, technique: str) -> Calibration | None:
        """As `Model.calibration`: of the model on the workers."""
        return self._opened.calibrations.get(technique)

    def chosen_technique(self, name: str) -> str:
        """As `Model.chosen_technique`."""
        return self._opened.auto if check_technique(name) == AUTO else name

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """As `Model.check_prompts`."""
        self.ask(-1, "check_prompts", list(prompts)).result()

    def check_techniques(self, names: Sequence[str]) -> None:
        """As `Model.check_techniques`."""
        self.ask(-1, "check_techniques", list(names)).result()

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        """As `Model.generate`, on one worker."""
        sampled: Sampled = self.ask(-1, "make", list(requests), steering, []).result()
        return list(sampled.images)

    def ask(self, place: int, method: str, *arguments: Any) -> Future[Any]:
        """Hand something to whichever worker is free. ``place``: of its block; earlier ones come first."""
        task = _Task((place, next(self._numbers)), method, arguments)
        with self._changed:
            if self._error is not None:
                raise self._error
            self._pending.add(task.result)
        self._tasks.put(task)
        return task.result

    # One thread for each worker -------------------------------------------------------------------------

    def _keep(self, place: int) -> None:
        """Keep a worker at this place until the crew stops."""
        deaths = 0
        try:
            while True:
                try:
                    self._open(place)
                    while True:
                        self._serve(place)
                        deaths = 0
                except _Lost as lost:
                    deaths += 1
                    if deaths >= _TRIES:
                        raise _gave_up(f"{deaths} workers died one after the other", lost) from lost
                    self._left(place)
                    self._say("A worker died: another takes its place, and what it was at is done again.")
        except Stopped:
            pass
        except Exception as error:  # whatever it is, it is raised where a batch is waited for
            self._fail(error)
        finally:
            self._left(place)

    def _open(self, place: int) -> None:
        """Start a worker and have it load the model."""
        actor = self._ray.remote(Worker).options(**self._layout.options()).remote(self._load)
        self._actors[place] = actor
        self._wait(actor.__ray_ready__.remote(), placing=True)
        with self._changed:
            self._placed.add(place)
        opened: Opened = self._wait(actor.open.remote())
        with self._changed:
            self._first = self._first or opened
            _require_alike(opened, self._first)
            self._ready.add(place)
            self._changed.notify_all()

    def _left(self, place: int) -> None:
        """A place has no worker any more."""
        actor = self._actors.pop(place, None)
        if actor is not None:
            self._ray.kill(actor)
        with self._changed:
            self._ready.discard(place)
            if place in self._placed:
                self._placed.remove(place)
                self._nobody_since = time.monotonic()

    def _serve(self, place: int) -> None:
        """Have the worker do the next task."""
        task = self._next()
        try:
            found = self._wait(getattr(self._actors[place], task.method).remote(*task.arguments))
        except _Lost as lost:
            task.deaths += 1
            if task.deaths >= _TRIES:
                raise _gave_up(f"{task.deaths} workers died over the same batch", lost) from lost
            self._tasks.put(task)
            raise
        except Stopped:
            raise
        except Exception as error:  # the worker is well, the task is not: it is told where it is waited for
            if self._settled(task):
                task.result.set_exception(error)
        else:
            if self._settled(task):
                task.result.set_result(found)

    def _next(self) -> _Task:
        while True:
            if self._error is not None:
                raise Stopped
            with suppress(queue.Empty):
                return self._tasks.get(timeout=_LOOK)

    def _settled(self, task: _Task) -> bool:
        """Whether the task was still waited for; after this it is not."""
        with self._changed:
            waited = task.result in self._pending
            self._pending.discard(task.result)
            return waited

    def _wait(self, reference: Any, *, placing: bool = False) -> Any:
        """What a worker returns, or what it raised; `_Lost` where it died. ``placing``: while Ray looks for a
        machine.
        """
        while not self._ray.wait([reference], timeout=_LOOK)[0]:
            if self._error is not None:
                raise Stopped
            if placing and not self._placed and time.monotonic() - self._nobody_since > _PATIENCE:
                raise UserError(
                    f"Ray had no room for any worker for {_PATIENCE / 60:.0f} minutes: look at `ray status`, "
                    "or ask for fewer --workers or --threads."
                )
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except self._ray.exceptions.RayError as error:
            raise _Lost(str(error)) from error


@dataclass(frozen=True)
class CrewMaker:
    """A `fairgen.loop.batches.BatchMaker` for the block at a place."""

    crew: Crew
    place: int

    @property
    def ahead(self) -> int:
        return self.crew.size

    def start(
        self, requests: Sequence[Request], steering: Steering | None, unread: Sequence[int]
    ) -> Callable[[], Sampled]:
        return self.crew.ask(self.place, "make", list(requests), steering, list(unread)).result


def _gave_up(what: str, lost: _Lost) -> UserError:
    reason = str(lost)
    if "No module named 'fairgen" in reason:
        return UserError(
            "fairgen is not installed on the workers: install the version that runs here there, too."
        )
    told = [line.strip() for line in reason.splitlines() if line.strip()]
    return UserError(
        f"{what} ({told[-1][:300] if told else 'Ray says no more'}): most often the memory ran out, so ask "
        "for fewer --workers or a smaller --batch-size; --resume goes on with what is kept."
    )


def _require_alike(one: Opened, first: Opened) -> None:
    """Raise `UserError` where two workers would not make the same pictures."""
    own, other = (each.host.device or each.host.processor for each in (one, first))
    kinds = [
        ("fairgen", one.fairgen, __version__, "the machine that runs the audit"),
        ("the device", own, other, first.node),
        ("torch's number of threads", one.threads, first.threads, first.node),
        *(
            (f"the model's {key}", getattr(one.info, key), getattr(first.info, key), first.node)
            for key in type(one.info).model_fields
        ),
    ]
    for what, value, wanted, where in kinds:
        if value != wanted:
            raise UserError(
                f"The workers would not make the same pictures: {what} is {str(value)[:200]} on {one.node} "
                f"and {str(wanted)[:200]} on {where}. Use machines of one kind, with the same software."
            )
