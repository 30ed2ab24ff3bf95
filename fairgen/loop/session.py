"""The loop: plan -> steer -> sample -> read -> feed back, for one prompt.

Pictures are made in *rounds* of ``round_size``. What a round asks for depends on what was measured in the
rounds before it, and on nothing else; within a round they are sampled in batches of at most ``batch_size``.
So the batch size changes speed and memory, and the pictures by rounding alone (a grey level here and there),
while the round size is a part of the result, and recorded; towards the end rounds are never larger than a
third of the places that are still free. Small rounds steer more closely: in simulation
feedback every 4 pictures leaves a mean total variation of .039, every 8 of .050.

A set has ``count`` places. The seed of every attempt at every place follows from the session's seed, so the
first attempt at place i has an unsteered twin with the same seed in the session without steering. A picture
is kept whenever its *measured* class is still open, whatever was asked for. A place whose picture does not
fit is tried again, with at most ``max_tries`` pictures per place, so a session makes at most ``count *
max_tries``; then the attempt nearest to a class that is still missing fills it, and that is said. Without
steering the first ``count`` pictures are the set.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairgen.common.checks import between
from fairgen.common.files import now
from fairgen.common.text import check_prompt
from fairgen.errors import UserError
from fairgen.loop.batches import Here, RunningSet, run_together
from fairgen.loop.calibrate import SHORT, calibrate
from fairgen.loop.events import Calibrating, Event
from fairgen.loop.recorder import Recorder, session_name
from fairgen.loop.rounds import PlainRounds, SteeredRounds, slot_seed
from fairgen.loop.stores import Folder, Memory, Resumed
from fairgen.models.contract import Model
from fairgen.provenance.signing import PictureSigner, signer_from_environment
from fairgen.quota import allocate, quota
from fairgen.runs import (
    ModelInfo,
    Past,
    RecordWriter,
    SessionRecord,
    SessionRun,
    require_same,
    require_same_model,
    spec_document,
    sweep,
)
from fairgen.scoring.sets import behind_an_api, default_target_note, fewer_than_classes
from fairgen.steering import Technique, check_technique, named_tone, technique
from fairgen.steering.calibration import Calibration, find_calibration, save_calibration
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.continuous import ContinuousTechnique, check_limit
from fairgen.steering.prompt_variants import PromptVariants, with_word
from fairgen.steering.registry import AUTO, continuous
from fairgen.targets import FairnessSpec
from skin_tone.pool import ToneReader

__all__ = [
    "MAX_COUNT",
    "MAX_TRIES",
    "ROUND_SIZE",
    "Plan",
    "ToneReader",
    "calibrated",
    "known_calibration",
    "run_session",
    "running_set",
    "slot_seed",
]

ROUND_SIZE = 4
MAX_TRIES = 4
MAX_COUNT = 10_000


def run_session(
    generator: Model,
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
    limit: float | None = None,
    out_dir: str | Path | None = None,
    session: str | None = None,
    resume: SessionRun | None = None,
    signer: PictureSigner | None = None,
) -> Iterator[Event]:
    """Make a set of pictures for a declared target.

    All arguments are checked before this function returns. Sampling starts with the first ``next``. If you
    stop iterating, or press Ctrl-C, the run file and every picture stay whole.

    Args:
        generator: the model that makes the pictures, such as one from `fairgen.load_model`.
        reader: reads the skin tones: a `skin_tone.SkinToneReader`, or a pool of them.
        prompt: one line, at most 1,000 characters.
        spec: the declared target.
        count: pictures wanted, 1-10,000.
        steering: a name ("auto", "none", "prompt", "embedding", "semantic"), None for "none", or a fresh
            technique. "auto" is "embedding" where the pipeline allows it, else "prompt". "embedding" and
            "semantic" need the model's calibration; if there is none, a short one is run first and saved.
        seed: 0 or more; the seed of every picture follows from it.
        batch_size: pictures sampled at once, 1-64; default: the model's.
        round_size: pictures between two feedback steps, 1-64; it affects which pictures are made.
        max_tries: most pictures made for one place, 1-100.
        feedback: False asks for the quota without feedback and keeps every picture (open loop), for
            comparisons.
        turn: moves on which classes get the odd pictures (`fairgen.quota.quota`); for sets that take turns.
        limit: largest strength of a continuous technique that is given by its name, 0.1-1.3; less changes
            the pictures less and reaches fewer classes. Default: 1.3.
        out_dir: the run folder; pictures go to ``<out_dir>/<session>/``. It is created if it is missing; if
            it contains a run, the set is added to it. None: nothing is written.
        session: the name of the set in the run file; default: the technique's name, or "unsteered".
        resume: what an interrupted run left of this set in ``out_dir``. The set continues from there, with
            the same result as without the interruption; the other arguments must be the original ones.
        signer: signs the pictures that are written (`fairgen.provenance.signing`); default: as the
            environment configures it, which may be not at all.

    Yields:
        Events (`fairgen.loop.events`) as they happen; the last one is ``Finished``, with the summary.

    Raises:
        UserError: an argument or the configured certificate cannot be used; or, while sampling, the disk is
            full, or what is to be resumed was made in another way.
    """
    if resume is not None and batch_size is None:
        batch_size = resume.record.batch_size
    asked = Plan(
        check_prompt(prompt),
        spec,
        between("count", count, 1, MAX_COUNT),
        between("seed", seed, 0, 2**63 - 1),
        between("batch size", generator.default_batch_size if batch_size is None else batch_size, 1, 64),
        between("round size", round_size, 1, 64),
        between("number of tries", max_tries, 1, 100),
        feedback,
        turn,
    )
    given = steering if isinstance(steering, Technique) else check_technique(steering or "none")
    most = None if limit is None else check_limit(limit)
    notes: list[str] = []
    if not isinstance(given, Technique):
        notes += _words_instead(generator, given, asked.prompt)
        given = generator.chosen_technique(given)
    asked_for = given.name if isinstance(given, Technique) else given
    folder = None if out_dir is None else Path(out_dir)
    default = "unsteered" if asked_for == "none" else asked_for
    name = resume.record.session if resume else session_name(folder, session, default)
    signer = None if folder is None else signer or signer_from_environment()
    known: Technique | None
    if isinstance(given, Technique):
        known, uncalibrated = given, False
    else:
        known, uncalibrated = _known(generator, given, asked, most)
    toned = [with_word(asked.prompt, word) for _, word in ANCHORS] if uncalibrated else []
    if known is not None and known.stays_off(asked.prompt) is None:
        toned = known.prompts(asked.prompt)
    generator.check_prompts([asked.prompt, *toned])

    def events() -> Iterator[Event]:
        selected = known
        if uncalibrated:
            found, made = yield from calibrated(generator, reader, asked_for, asked.batch_size)
            selected = technique(asked_for, asked.spec.scale, found, most)
            if selected is not None:  # it may have found other, longer words to work better
                generator.check_prompts(selected.prompts(asked.prompt))
            notes.append(
                f"The model had no calibration for these settings: a short one was run first "
                f"({made} pictures, not counted here). `fairgen calibrate` makes a better one."
            )
        if generator.info.source == "api":
            notes.append(behind_an_api(generator.info.seeded))
        header = asked.header(name, asked_for, selected, generator.info, notes, signer)
        one = running_set(header, selected, folder, signer, past=resume)
        with one.recorder:
            yield from run_together([one], Here(generator, reader), asked.batch_size)

    return events()


def _known(generator: Model, name: str, asked: Plan, limit: float | None) -> tuple[Technique | None, bool]:
    """The technique of that name, and whether the model must be calibrated for it first."""
    scale = asked.spec.scale
    if name not in continuous():
        return technique(name, scale), False
    if named_tone(asked.prompt) is not None:
        # Steering stays off, so there is nothing to calibrate; the technique of words says why.
        return PromptVariants(scale), False
    generator.check_techniques([name])
    found = known_calibration(generator, name)
    return (technique(name, scale, found, limit) if found else None), found is None


@dataclass(frozen=True)
class Plan:
    """What one set is asked for, checked."""

    prompt: str
    spec: FairnessSpec
    count: int
    seed: int
    batch_size: int
    round_size: int = ROUND_SIZE
    max_tries: int = MAX_TRIES
    feedback: bool = True
    turn: int = 0
    ties: int | None = None
    """Seed of the quota's tie-break; None: ``seed``."""
    in_order: bool = False
    """Whether ties go to classes in the order of the scale, as in audits of earlier versions."""

    def requested(self) -> dict[str, int]:
        """Class -> pictures to aim for."""
        target, how = self.spec.target_for(self.prompt), self.spec.allocation
        if self.in_order and how == "exact":
            return quota(target, self.count, turn=self.turn)
        return allocate(target, self.count, how, seed=self.seed, turn=self.turn, ties=self.ties)

    def header(
        self,
        name: str,
        asked_for: str,
        selected: Technique | None,
        model: ModelInfo,
        notes: Sequence[str] = (),
        signer: PictureSigner | None = None,
    ) -> SessionRecord:
        """The session's record. ``asked_for``: the technique's name; ``selected`` may yet stay off."""
        off = selected.stays_off(self.prompt) if selected else None
        steered = selected is not None and off is None
        notes = [*notes, *([off] if off else [])]
        context, target = self.spec.context_index(self.prompt), self.spec.target_for(self.prompt)
        if self.spec.contexts and context is None:
            notes.append(default_target_note(self.spec.name, len(self.spec.contexts), self.prompt))
        few = fewer_than_classes(target, self.count)
        notes += [few] if few else []
        requested = self.requested()
        if steered and isinstance(selected, ContinuousTechnique):
            notes += _reach_note(selected, requested)
        return SessionRecord(
            session=name,
            started_at=now(),
            prompt=self.prompt,
            count=self.count,
            seed=self.seed,
            steering=asked_for,
            steered=steered,
            notes=notes,
            spec=spec_document(self.spec),
            spec_hash=self.spec.content_hash(),
            context=context,
            scale=self.spec.scale,
            classes=list(target),
            target=target,
            requested=requested,
            round_size=self.round_size,
            max_tries=self.max_tries if steered and self.feedback else 1,
            feedback=self.feedback and steered,
            batch_size=self.batch_size,
            technique=selected.parameters() if selected else {},
            model=model,
            signer=signer.record if signer else None,
        )


def running_set(
    record: SessionRecord,
    selected: Technique | None,
    out_dir: Path | None,
    signer: PictureSigner | None,
    *,
    writer: RecordWriter | None = None,
    past: SessionRun | None = None,
) -> RunningSet:
    """A set that is ready to run, from its record.

    Args:
        past: what an interrupted run recorded of it; swept of temporary files.

    Raises:
        UserError: ``past`` was begun with other settings or another model.
    """
    store, changed = Memory(), list[str]()
    if past is not None and out_dir is not None:
        what = f"Session {past.record.session}"
        changed = require_same_model(record.model, past.record.model, what)
        # Versions differ in which classes get the odd pictures: a set keeps the plan that it was begun with.
        record = record.model_copy(update={"requested": past.record.requested})
        require_same(record, past.record, what)
        sweep(out_dir / past.record.session)
        store, record = Resumed(out_dir, Past(past, out_dir), signer, writer), past.record
    elif out_dir is not None:
        store = Folder(out_dir, signer, writer)
    recorder = Recorder(record, store)
    if changed:
        recorder.notes.append(f"It was interrupted, and went on with {', '.join(changed)}.")
    active = selected if record.steered else None
    loop = active is not None and record.feedback
    rounds = SteeredRounds(recorder, active) if loop and active else PlainRounds(recorder, active)
    return RunningSet(rounds, recorder, active)


def calibrated(
    generator: Model, reader: ToneReader, name: str, batch_size: int
) -> Generator[Event, None, tuple[Calibration, int]]:
    """Measure a model that has no calibration, briefly, and keep the result.

    Returns:
        The calibration, and how many pictures it took.
    """
    model, done = generator.info.name, 0
    yield Calibrating(model, name, done, SHORT.pictures)
    steps = calibrate(generator, reader, name, plan=SHORT, batch_size=batch_size)
    while True:
        try:
            done += next(steps)
        except StopIteration as stop:
            calibration: Calibration = stop.value
            break
        # More than planned where the model follows the usual words poorly.
        total = SHORT.pictures if done <= SHORT.pictures else SHORT.pictures + SHORT.more
        yield Calibrating(model, name, done, total)
    save_calibration(calibration, generator.info)
    return calibration, done


def known_calibration(model: Model, name: str) -> Calibration | None:
    """The calibration of a model for a technique: the user's own, else the one that came with the model."""
    return find_calibration(model.info, name) or model.calibration(name)


def _words_instead(generator: Model, steering: str, prompt: str) -> list[str]:
    """The note that "auto" became words in the prompt, with the reason; empty where it did not, or where the
    prompt names a tone, so that steering stays off.
    """
    by_words = steering == AUTO and generator.chosen_technique(AUTO) == PromptVariants.name
    if not by_words or named_tone(prompt) is not None:
        return []
    try:
        generator.check_techniques(continuous())
    except UserError as reason:
        return [f"Steered by words in the prompt: {reason}"]
    return []


def _reach_note(selected: ContinuousTechnique, requested: Mapping[str, int]) -> list[str]:
    """That the model is not known to reach some of the classes, if so."""
    missing = selected.out_of_reach([tone for tone, count in requested.items() if count])
    if not missing:
        return []
    return [
        f"By its calibration, {selected.name} steering does not bring this model to {', '.join(missing)}: "
        "expect misses there (`fairgen calibrate` shows how far it reaches)."
    ]
