"""`Monitor`: takes in pictures one by one, and raises alarms that are false one time in twenty at most."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from fairgen.common.files import now
from fairgen.errors import UserError
from fairgen.monitor.contexts import Rules
from fairgen.monitor.reader_error import allowed_error
from fairgen.monitor.reading import PictureReader, Tone, tone_of
from fairgen.monitor.store import Alarm, SeenPicture, Store
from fairgen.scoring.monitored import ContextFigures, ContextWatch, Levels

if TYPE_CHECKING:
    from fairgen.targets import FairnessSpec
    from skin_tone.pool import ToneReader

EVERYTHING = "all"
"""The context of pictures that belong to none."""


@dataclass(frozen=True)
class Observed:
    """What became of a picture.

    Attributes:
        context: where it counts.
        number: among the pictures read there, 1 and up; None: it was not read.
        tone: its class, or None.
        skipped: left out by sampling.
        problem: why its file could not be opened, or None.
        alarms: lines that it crossed, for the first time.
    """

    context: str
    number: int | None = None
    tone: str | None = None
    skipped: bool = False
    problem: str | None = None
    alarms: tuple[Alarm, ...] = ()


class Monitor:
    """Watches a stream of pictures, or several (contexts), against a declared target.

    It may be shared by threads. Used in a ``with`` block, or closed.

    Args:
        spec: the declared target; a spec with contexts gives each its own.
        state: SQLite file in which it goes on after a stop or a crash; None: in memory.
        reader: who reads pictures: ``calibrated``, ``second``, a reader of your own; None: only readings
            come.
        reader_error: ``validated`` (the reader errs as its shipped validation says), a JSON file with a
            validation of your own, or ``none`` (readings count as they are).
        level: chance that it ever alarms though all contexts are on target and none changes, in (0, 1).
        contexts: how many contexts share that chance. A context beyond them warns, but cannot alarm. Default:
            the contexts of the spec and one for the rest, or 1.
        every: look at every so many pictures of a context only, 1 or more.
        on_alarm: is called with every alarm, after it was written down; after a crash in between, once more.

    Raises:
        UserError: a value is out of its range, or the state belongs to another monitor.
    """

    def __init__(
        self,
        spec: FairnessSpec,
        *,
        state: Path | None = None,
        reader: str | ToneReader | None = "calibrated",
        reader_error: str = "validated",
        level: float = 0.05,
        contexts: int | None = None,
        every: int = 1,
        on_alarm: Callable[[Alarm], None] | None = None,
    ) -> None:
        if not 0 < level < 1:
            raise UserError(f"--level is {level:g}: give a number between 0 and 1, such as 0.05.")
        if every < 1:
            raise UserError(f"--every is {every}: give 1 (each picture) or more.")
        if contexts is not None and contexts < 1:
            raise UserError(f"--contexts is {contexts}: give 1 or more.")
        self.contexts = contexts or (len(spec.contexts) + 1 if spec.contexts else 1)
        self.spec, self.every, self._on_alarm = spec, every, on_alarm
        named = reader if isinstance(reader, str) else None
        self.rules = Rules(allowed_error(reader_error, named, spec.scale), Levels(level), self.contexts)
        self.error, self.levels = self.rules.error, self.rules.levels
        self.reader_name = named or ("none" if reader is None else "your own")
        self._reader = None if reader is None else PictureReader(reader, spec.scale)
        self._guard, self._settled = RLock(), False
        self._watches: dict[str, ContextWatch] = {}
        self.settings: dict[str, Any] = {
            "target": spec.content_hash(),
            "reader": self.reader_name,
            "reader_error": self.error.identity,
            "level": level,
            "number_of_contexts": self.contexts,
            "sampling": every,
        }
        self.store = Store(state, self.settings)
        try:
            self._load()
            self.store.describe(self._about())
        except BaseException:
            self.store.close()
            raise
        self._tell()

    def _tell(self) -> None:
        """Call ``on_alarm`` with what it was not called with yet."""
        if self._on_alarm is None:
            return
        for alarm in self.raised[self.store.counted("told") :]:
            self._on_alarm(alarm)
            with self.store.transaction():
                self.store.count("told")

    def _load(self) -> None:
        self._watches = self.rules.restored(self.store)
        self.raised = self.store.alarms()

    def _about(self) -> dict[str, Any]:
        """What those need who look at the state alone."""
        from fairgen.targets import dump_spec

        counts = self.error.counts
        error = {"about": self.error.about, "counts": None if counts is None else counts.tolist()}
        return {"spec": dump_spec(self.spec), "reader_error": error}

    def knows(self, identity: str) -> bool:
        """Whether a picture of this id was taken in before."""
        with self._guard:
            return self.store.knows(identity)

    def observe(
        self, what: Any, context: str | None = None, *, prompt: str | None = None, id: str | None = None
    ) -> Observed | None:
        """Take in a picture or a reading.

        Args:
            what: a Pillow picture, an array (uint8, H x W x 3, RGB), the path of a file, a
                `skin_tone.ToneReading`, or all readings of one picture, largest face first.
            context: name of the stream that it belongs to; default: that of the spec's contexts which fits
                the prompt, or one for all.
            prompt: what it was made of.
            id: unlike any other picture's. A picture whose id was seen is not counted again. Default: every
                call is another picture.

        Returns:
            None where the id was seen before.

        Raises:
            UserError: the monitor takes readings alone, a context has two targets, or another version of the
                reader read what came before.
        """
        from skin_tone import ToneReading

        path = os.fspath(what) if isinstance(what, str | os.PathLike) else None

        def look() -> Tone:
            readings = [what] if isinstance(what, ToneReading) else what
            if isinstance(readings, Sequence) and not isinstance(readings, str):
                return tone_of(readings, self.spec.scale)
            if self._reader is None:
                raise UserError("This monitor takes readings alone: give it a reader for pictures.")
            self._settle_reader()
            return self._reader.read(what)

        return self.take(look, context, prompt=prompt, id=id, path=path)

    def take(
        self,
        look: Callable[[], Tone],
        context: str | None = None,
        *,
        prompt: str | None = None,
        id: str | None = None,
        path: str | None = None,
    ) -> Observed | None:
        """As `observe`, with ``look`` for the tone, which is called only where the picture counts."""
        name, target = self._where(context, prompt)
        with self._guard:
            if id is not None and self.store.knows(id):
                return None
            # By the context's own count: streams that take turns would hide each other from a common one.
            watch = self._watches.get(name)
            skipped = (watch.offered if watch else 0) % self.every != 0
            tone = None if skipped else look()
            try:
                with self.store.transaction():
                    done = self._write(name, target, tone, id, path)
            except BaseException:
                self._load()  # what was learnt in memory alone is forgotten again
                raise
            self.raised += done.alarms
            if done.alarms:
                self._tell()
        return done

    def _settle_reader(self) -> None:
        """A newer fairgen may read otherwise under the same name, and that would look like a change."""
        from fairgen.evidence.identity import reader_identity
        from fairgen.scoring.verify import READERS

        if self._settled or self.reader_name not in READERS:
            return

        found = reader_identity()
        self.store.settle("version_of_the_reader", f"{found.identity}, mediapipe {found.mediapipe}")
        self._settled = True

    def _where(self, context: str | None, prompt: str | None) -> tuple[str, dict[str, float]]:
        """Name and target of the context of a picture."""
        asked = prompt if prompt is not None else context
        index = None if asked is None else self.spec.context_index(asked)
        target = dict(self.spec.target if index is None else self.spec.contexts[index].target)
        if context is not None:
            return context, target
        return (EVERYTHING if index is None else self.spec.contexts[index].prompts[0]), target

    def _write(
        self, name: str, target: dict[str, float], tone: Tone | None, id: str | None, path: str | None
    ) -> Observed:
        place = list(self._watches).index(name) if name in self._watches else len(self._watches)
        watch = self._watches.get(name) or self.rules.watch(name, target, place)
        if watch.target != target:
            raise UserError(
                f"The context {name!r} has pictures of prompts with two targets: name a context for each."
            )
        self._watches[name] = watch
        offered = self.store.count("offered")
        identity = self._new_id(offered + 1) if id is None else id
        watch.offered += 1
        number: int | None = None
        alarms: list[Alarm] = []
        skipped, tone = tone is None, tone or Tone()
        if tone.problem is not None:
            watch.unreadable += 1
        elif tone.tone is not None:
            watch.observe(tone.tone)
            number = watch.read
            alarms = self._crossed(watch, identity)
        elif not skipped:
            watch.abstain(tone.abstained or "not_read", tone.estimate)
        reason = "skipped" if skipped else "unreadable" if tone.problem else tone.abstained
        file = None if path is None or not _is_text(path) else str(Path(path).absolute())  # from any folder
        self.store.add_picture(SeenPicture(identity, number, tone.tone, file), name, reason, time.time())
        for alarm in alarms:
            self.store.add_alarm(alarm)
        self.store.put_context(name, place, {"target": target}, watch.state())
        return Observed(name, number, tone.tone, skipped, tone.problem, tuple(alarms))

    def _new_id(self, number: int) -> str:
        """For a picture that came without one."""
        found = f"#{number}"
        while self.store.knows(found):  # somebody else calls pictures so
            found = f"#{found}"
        return found

    def _crossed(self, watch: ContextWatch, id: str) -> list[Alarm]:
        """Lines that the last picture of a context crossed and none before it did."""
        done = {(a.level, a.test) for a in self.raised if a.context == watch.context}
        found = []
        for test, figures in watch.tests().items():
            evidence = figures.evidence
            for level, line in (("warning", figures.alone), ("alarm", figures.line)):
                if line is None or evidence < line or (level, test) in done:
                    continue
                if level == "warning" and line == figures.line:
                    continue  # one context alone: the two lines are one
                at = now().isoformat()
                found.append(Alarm(level, test, watch.context, watch.read, evidence, line, at, id))
        return found

    def figures(self) -> list[ContextFigures]:
        """The figures of every context as they stand, in order of appearance."""
        with self._guard:
            return [watch.figures() for watch in self._watches.values()]

    def watches(self) -> list[ContextWatch]:
        """Every context, in order of appearance."""
        with self._guard:
            return list(self._watches.values())

    @contextmanager
    def still(self) -> Iterator[None]:
        """No picture is taken in by another thread while the block runs: what it reads is of one moment."""
        with self._guard:
            yield

    def pictures_about(self, alarm: Alarm) -> list[SeenPicture]:
        """As `Store.pictures_about`."""
        with self._guard:
            return self.store.pictures_about(alarm)

    @property
    def alarmed(self) -> bool:
        """Whether any alarm was raised; warnings do not count."""
        return any(alarm.level == "alarm" for alarm in self.raised)

    def close(self) -> None:
        """Free the reader, release the state. May be called twice."""
        if self._reader is not None:
            self._reader.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _is_text(path: str) -> bool:
    """Whether a path can be written down; on Linux, names of files may be any bytes."""
    return path.encode("utf-8", "ignore").decode() == path
