"""The loop: plan -> steer -> sample -> read -> feed back, for one prompt.

Pictures are made in *rounds* of ``round_size``. What a round asks for hangs on what was measured in the
rounds before it, and on nothing else; within a round they are sampled in batches of at most ``batch_size``.
So the batch size changes speed and memory, not the pictures (up to the floating point of a bigger batch),
while the round size is a part of the result, and recorded; towards the end rounds are never larger than a
third of the places that are still free. Small rounds steer more closely: in simulation
(design, section 5) feedback every 4 pictures leaves a mean total variation of .039, every 8 of .050.

A set has ``count`` slots. The seed of every attempt of every slot is fixed beforehand by the session's seed,
so the first attempt of slot i has an unsteered twin with the same seed in the session without steering. A
picture is kept whenever its *measured* class is still open, whatever was asked for. A slot whose picture does
not fit is tried again, at most ``max_tries`` pictures a slot, so a session makes at most ``count *
max_tries``; then the attempt nearest to a class that is still missing fills it, and that is said. Without
steering the first ``count`` pictures are the set.
"""

from __future__ import annotations

import time
import unicodedata
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fairgen import plan
from fairgen.errors import UserError
from fairgen.events import Calibrating, Event, Started
from fairgen.generator import FLAGGED, Request
from fairgen.recorder import Job, Made, Recorder, session_name
from fairgen.runfile import Decision, ModelInfo, PictureRecord, SessionRecord, now
from fairgen.spec import FairnessSpec
from fairgen.steering import (
    CONTINUOUS,
    PromptVariants,
    Steered,
    Steering,
    Technique,
    check_technique,
    chosen,
    named_tone,
    technique,
)
from fairgen.steering.calibration import (
    SHORT,
    Calibration,
    calibrate,
    find_calibration,
    save_calibration,
)
from fairgen.steering.conditioning import ANCHORS, family
from fairgen.steering.prompt_variants import with_word
from fairgen.summary import SAFETY_CHECKER, default_target_note

if TYPE_CHECKING:
    from PIL import Image

    from skin_tone import ToneReading

ROUND_SIZE = 4
MAX_TRIES = 4
MAX_COUNT = 10_000
MAX_PROMPT = 1_000


class PictureMaker(Protocol):
    """What a session needs of a generator; `fairgen.generator.Generator` is one."""

    @property
    def info(self) -> ModelInfo: ...
    @property
    def default_batch_size(self) -> int: ...
    def check_prompts(self, prompts: Sequence[str]) -> None: ...
    def generate(
        self, requests: Sequence[Request], steering: Steering | None = None
    ) -> list[Image.Image]: ...


class ToneReader(Protocol):
    """What a session needs of a reader; `skin_tone.SkinToneReader` is one."""

    def read(self, image: Image.Image) -> Sequence[ToneReading]: ...


def slot_seed(seed: int, slot: int, attempt: int) -> int:
    """The seed (32 bits) of one attempt of one slot, whatever the technique.

    NumPy's SeedSequence with spawn key (slot, attempt): stable across versions and machines by NumPy's
    promise.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(slot, attempt)).generate_state(1, np.uint32)[0])


def run_session(
    generator: PictureMaker,
    reader: ToneReader,
    prompt: str,
    spec: FairnessSpec,
    count: int,
    *,
    steering: str | Technique | None = "auto",
    seed: int = 0,
    batch_size: int | None = None,
    round_size: int = ROUND_SIZE,
    max_tries: int = MAX_TRIES,
    feedback: bool = True,
    turn: int = 0,
    out_dir: str | Path | None = None,
    session: str | None = None,
) -> Iterator[Event]:
    """Make a set of pictures for a declared target. Yields `fairgen.events` as things happen; the last is
    Finished.

    Everything that the user gave is checked before this function returns; sampling starts with the first
    ``next``. Abandoning the iterator, or Ctrl-C, leaves the run file and every picture whole.

    Args:
        prompt: one line, at most 1,000 characters.
        count: pictures wanted, 1-10,000.
        steering: a name ("auto", "none", "prompt", "embedding", "semantic"), None for "none", or a fresh
            technique. "auto" is "embedding" where the pipeline allows it, else "prompt". For "embedding" and
            "semantic" the model's calibration is looked up; where there is none, a short one is run first
            and kept.
        seed: 0 or more.
        batch_size: pictures sampled at once, 1-64; default: the generator's.
        round_size: pictures between two feedback steps, 1-64; changes the pictures.
        max_tries: most pictures made for one slot, 1-100.
        feedback: False asks for the quota blindly and keeps every picture (open loop), for comparisons.
        turn: where the tie-break of the quota starts (`fairgen.plan.quota`); an audit passes the prompt's
            number.
        out_dir: the run folder; pictures go to ``<out_dir>/<session>/``. Made where missing, appended to
            where it holds a run. None: nothing is written.
        session: its id in the run file; default: the technique's name, or "unsteered".

    Raises:
        UserError: an argument cannot be used, or (later) the disk is full.
    """
    return _Session(
        generator,
        reader,
        _checked_prompt(prompt),
        spec,
        _between("count", count, 1, MAX_COUNT),
        check_technique(steering or "none") if not isinstance(steering, Technique) else steering,
        _between("seed", seed, 0, 2**63 - 1),
        _between("batch size", generator.default_batch_size if batch_size is None else batch_size, 1, 64),
        _between("round size", round_size, 1, 64),
        _between("number of tries", max_tries, 1, 100),
        feedback,
        turn,
        None if out_dir is None else Path(out_dir),
        session,
    ).run()


def _between(what: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"The {what} must be a whole number from {low} to {high}, not {value!r}.")
    return value


def _checked_prompt(prompt: str) -> str:
    prompt = prompt.strip()
    if not prompt:
        raise UserError(
            "The prompt is empty: say what the pictures shall show, such as 'a photo of a doctor'."
        )
    if len(prompt) > MAX_PROMPT:
        raise UserError(f"The prompt has {len(prompt)} characters: shorten it to {MAX_PROMPT} at most.")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in prompt):
        raise UserError("The prompt holds line breaks or control characters: write it on one line.")
    return prompt


class _Session:
    def __init__(
        self,
        generator: PictureMaker,
        reader: ToneReader,
        prompt: str,
        spec: FairnessSpec,
        count: int,
        steering: str | Technique,
        seed: int,
        batch_size: int,
        round_size: int,
        max_tries: int,
        feedback: bool,
        turn: int,
        out_dir: Path | None,
        name: str | None,
    ) -> None:
        self.generator = generator
        self.reader = reader
        self.prompt, self.spec, self.count, self.seed = prompt, spec, count, seed
        self.batch_size, self.round_size, self.max_tries = batch_size, round_size, max_tries
        self.feedback, self.turn, self.out_dir = feedback, turn, out_dir
        pipe = getattr(generator, "pipe", None)
        self.steering = steering if isinstance(steering, Technique) else chosen(steering, pipe)
        named = self.steering.name if isinstance(self.steering, Technique) else self.steering
        self.asked_for = named
        self.name = session_name(out_dir, name, "unsteered" if named == "none" else named)
        self.selected: Technique | None = None
        self.uncalibrated = False
        if isinstance(self.steering, Technique):
            self.selected = self.steering
        elif self.steering not in CONTINUOUS:
            self.selected = technique(self.steering, spec.scale)
        elif named_tone(prompt) is not None:
            # Steering stays off, so there is nothing to calibrate; the technique of words says why.
            self.selected = PromptVariants(spec.scale)
        else:
            family(pipe)
            folder = getattr(generator, "folder", None)
            beside = folder / "calibrations" if folder is not None else None
            found = find_calibration(generator.info, named, beside)
            self.uncalibrated = found is None
            self.selected = technique(named, spec.scale, found) if found else None
        toned = [with_word(prompt, word) for _, word in ANCHORS] if self.uncalibrated else []
        if self.selected is not None and self.selected.stays_off(prompt) is None:
            toned = self.selected.prompts(prompt)
        generator.check_prompts([prompt, *toned])

    def run(self) -> Iterator[Event]:
        started = time.perf_counter()
        notes: list[str] = []
        selected = self.selected
        if self.uncalibrated:
            selected = yield from self._calibrated()
            notes.append(
                f"The model had no calibration for these settings: a short one was run first "
                f"({SHORT.pictures} pictures, not counted here). `fairgen calibrate` makes a better one."
            )
        off = selected.stays_off(self.prompt) if selected else None
        self.technique = None if off else selected
        notes += [off] if off else []
        self.record = self._record(selected, notes)
        self.recorder = Recorder(self.record, self.out_dir)
        with self.recorder as recorder:
            yield Started(self.record)
            if self.technique is None:
                yield from self._plain([None] * self.count)
            elif not self.feedback:
                yield from self._plain(self.technique.steer(self.prompt, self._blindly()))
            else:
                yield from self._steered(self.technique)
            yield recorder.finish(time.perf_counter() - started)

    def _calibrated(self) -> Generator[Event, None, Technique | None]:
        """Measure the model, keep the calibration, and make the technique of it."""
        model, name = self.generator.info.name, self.asked_for
        done = 0
        yield Calibrating(model, name, done, SHORT.pictures)
        steps = calibrate(self.generator, self.reader, name, plan=SHORT, batch_size=self.batch_size)
        while True:
            try:
                done += next(steps)
            except StopIteration as stop:
                calibration: Calibration = stop.value
                break
            yield Calibrating(model, name, done, SHORT.pictures)
        save_calibration(calibration, self.generator.info)
        return technique(name, self.spec.scale, calibration)

    def _record(self, selected: Technique | None, notes: list[str]) -> SessionRecord:
        spec = self.spec
        context, target = spec.context_index(self.prompt), spec.target_for(self.prompt)
        if spec.contexts and context is None:
            notes.append(default_target_note(spec.name, len(spec.contexts), self.prompt))
        return SessionRecord(
            session=self.name,
            started_at=now(),
            prompt=self.prompt,
            count=self.count,
            seed=self.seed,
            steering=self.asked_for,
            steered=self.technique is not None,
            notes=notes,
            spec=spec.model_dump(mode="json"),
            spec_hash=spec.content_hash(),
            scale=spec.scale,
            context=context,
            classes=list(target),
            target=target,
            requested=plan.allocate(target, self.count, spec.allocation, seed=self.seed, turn=self.turn),
            round_size=self.round_size,
            max_tries=self.max_tries if self.technique and self.feedback else 1,
            feedback=self.feedback and self.technique is not None,
            batch_size=self.batch_size,
            technique=selected.parameters() if selected else {},
            model=self.generator.info,
        )

    def _blindly(self) -> list[str]:
        """The quota, one class after the other as an open loop asks for them."""
        asked: Counter[str] = Counter()
        order = []
        for _ in range(self.count):
            order.append(plan.next_tone(self.record.requested, asked))
            asked[order[-1]] += 1
        return order

    def _plain(self, variants: Sequence[Steered | None]) -> Iterator[Event]:
        """Every picture is kept: without steering, or with steering that is not told what came out."""
        record = self.record
        jobs = [
            Job(slot, 0, slot_seed(record.seed, slot, 0), 0, v.prompt if v else record.prompt, v)
            for slot, v in enumerate(variants)
        ]
        for made in self._make(jobs):
            yield self.recorder.picture(
                made, "abstained" if made.measured is None else "kept", made.job.slot + 1
            )

    def _steered(self, technique: Technique) -> Iterator[Event]:
        record = self.record
        belief = plan.ResponseModel(list(record.requested), prior=technique.expected())
        controller = plan.Controller(record.requested, record.max_tries, belief)
        by_ask: dict[plan.Ask, PictureRecord] = {}
        number = 0
        while not controller.done:
            # Towards the end each picture decides more, so the loop listens more often.
            missing = record.count - controller.kept.total() - controller.abstained
            asks = controller.ask(min(record.round_size, max(1, missing // 3)))
            steered = technique.steer(record.prompt, [ask.tone for ask in asks])
            jobs = [
                Job(
                    ask.slot,
                    ask.attempt - 1,
                    slot_seed(record.seed, ask.slot, ask.attempt - 1),
                    number,
                    variant.prompt,
                    variant,
                )
                for ask, variant in zip(asks, steered, strict=True)
            ]
            for ask, made in zip(asks, self._make(jobs), strict=True):
                if made.measured is not None and made.job.steered is not None:
                    technique.observe(made.job.steered, made.readings[0])
                before = Counter(controller.kept)
                fits = made.measured is not None and plan.is_open(record.requested, before, made.measured)
                verdict = controller.record(ask, made.measured)
                decision: Decision = "kept" if fits else "abstained" if made.measured is None else "discarded"
                done = controller.kept.total() + controller.abstained
                event = self.recorder.picture(made, decision, done)
                by_ask[ask] = event.record
                yield event
                if verdict.kept is not None and not fits:
                    yield self.recorder.fill(by_ask[verdict.kept], before)
            self.recorder.sync()
            number += 1

    def _make(self, jobs: Sequence[Job]) -> Iterator[Made]:
        size = self.record.batch_size
        for start in range(0, len(jobs), size):
            batch = jobs[start : start + size]
            clock = time.perf_counter()
            requests = [
                Request(job.prompt, job.seed, strength=job.steered.strength if job.steered else 0.0)
                for job in batch
            ]
            images = self.generator.generate(requests, self.technique.steering if self.technique else None)
            share = (time.perf_counter() - clock) / len(batch)
            for job, image in zip(batch, images, strict=True):
                clock = time.perf_counter()
                readings = self.reader.read(image)
                seconds = share + time.perf_counter() - clock
                largest = readings[0]
                reason = SAFETY_CHECKER if image.info.get(FLAGGED) else largest.abstained
                measured = None if reason else largest.classes[self.record.scale]
                yield Made(job, image, readings, measured, reason, seconds)
