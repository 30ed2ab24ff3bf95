"""Runs an audit, from its start or from where it was interrupted.

Prompts are taken in blocks of ``side_by_side``; each block goes through every arm before the next one begins,
so that an audit that is stopped early still compares its arms on the same prompts. The prompts of a block
share batches: rounds of a single picture, in which a set ends, then still fill a batch.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from fairgen._version import __version__
from fairgen.audit.plan import AuditPlan
from fairgen.audit.workers.crew import Crew, CrewMaker
from fairgen.audit.workers.host import commit_of, describe_host, fairgen_commit
from fairgen.audit.workers.parallel import in_parallel
from fairgen.common.checks import between
from fairgen.common.collector import uncollected
from fairgen.common.files import now, write_text
from fairgen.errors import UserError
from fairgen.loop.batches import BatchMaker, Here, run_together
from fairgen.loop.events import Event, Finished
from fairgen.loop.session import ROUND_SIZE, Plan, calibrated, known_calibration, running_set
from fairgen.models.contract import Model
from fairgen.provenance.signing import PictureSigner, signer_from_environment
from fairgen.runs import (
    AHEAD,
    RUN_FILE,
    AuditPrompt,
    AuditRecord,
    RunReader,
    RunWriter,
    SessionRecord,
    SessionRun,
    Summary,
    Turns,
    all_sessions,
    damaged,
    fingerprint_of,
    holds_records,
    no_run_folder,
    require_same_model,
    spec_document,
)
from fairgen.scoring.arms import AuditSummary, audit_summary
from fairgen.steering import Technique, named_tone, technique
from fairgen.steering.calibration import Calibration
from fairgen.steering.registry import continuous
from skin_tone.pool import ToneReader

_MOST_SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class AuditStarted:
    """The audit's record was written, or found; sampling begins."""

    record: AuditRecord
    finished: tuple[Summary, ...]
    """Of sessions that an interrupted run had finished."""
    problems: tuple[str, ...]
    """Sentences: what the interruption had broken, and how it was mended."""


@dataclass(frozen=True)
class AuditFinished:
    """The last event."""

    summary: AuditSummary


AuditEvent = Event | AuditStarted | AuditFinished


@dataclass
class LookBack:
    """What an interrupted audit left, read line by line: whole sessions are kept only as their summaries."""

    audit: AuditRecord
    summaries: list[Summary] = field(default_factory=list)
    unfinished: dict[str, SessionRun] = field(default_factory=dict)
    """Sessions of blocks that are not finished, or that lost a picture."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Block:
    """Prompts that share batches under one arm."""

    arm: str
    prompts: tuple[AuditPrompt, ...]
    names: tuple[str, ...]


@uncollected()
def blocks(audit: AuditRecord) -> list[_Block]:
    """The audit's work, in its order."""
    size = audit.side_by_side
    return [
        _Block(arm, tuple(prompts), tuple(audit.session(prompt, arm) for prompt in prompts))
        for prompts in (audit.prompts[start : start + size] for start in range(0, len(audit.prompts), size))
        for arm in audit.arms
    ]


def open_audit(folder: Path) -> RunWriter:
    """Lock a run folder to go on with its audit; before it is read, so that nobody writes in between.

    Raises:
        UserError: there is no run, or another process writes it.
    """
    if not (folder / RUN_FILE).is_file():
        raise no_run_folder(folder)
    if not holds_records(folder / RUN_FILE):
        raise UserError(
            f"{folder} holds no audit to resume: it was stopped before anything was made. "
            f"Begin it again with --out {shlex.quote(str(folder))}."
        )
    return RunWriter(folder, fairgen_version=__version__)


@uncollected()
def look_back(folder: Path) -> LookBack:
    """Read what an audit left in ``folder``, and check every picture that it names.

    Raises:
        UserError: the folder holds no audit, or its run file is broken inside.
    """
    reader = RunReader(folder)
    if reader.audit is None and reader.run.audit:
        raise UserError(
            f"The audit's record, line 2 of {reader.path}, is lost, and it alone says what was planned: "
            "begin the audit again, with --force to move what is there aside."
        )
    if reader.audit is None:
        raise UserError(
            f"{folder} holds no audit to resume, its run file has no audit record: begin one with --prompts "
            "(and --force, to write into that folder)."
        )
    left = LookBack(reader.audit)
    block_of = {name: block for block in blocks(reader.audit) for name in block.names}
    lost: dict[str, int] = {}
    for session in all_sessions(reader):
        name = session.record.session
        if name not in block_of:
            raise UserError(f"{reader.path} holds session {name!r}, which is no part of its audit.")
        left.unfinished[name] = session
        lost[name] = len(damaged(session, folder))
        names = block_of[name].names
        held = [left.unfinished[n] for n in names if n in left.unfinished and not lost[n]]
        done = [one.summary for one in held if one.summary is not None]
        if len(done) == len(names):
            # A block that is done needs no replay, so its pictures are let go.
            for n in names:
                del left.unfinished[n]
            left.summaries += done
    left.problems += [p for p in reader.problems if "torn" in p]
    if any(lost.values()):
        left.problems.append(
            "1 recorded picture had lost its file, or it was torn: made again."
            if sum(lost.values()) == 1
            else f"{sum(lost.values()):,} recorded pictures had lost their files, or these "
            "were torn: made again."
        )
    return left


class Audit:
    """One audit on one model.

    Args:
        plan: what is asked for. generator, reader: what samples and reads. With a `Crew` as the generator,
            blocks of prompts are made side by side on its workers; the run is the same.
        folder: the run folder; made where missing. batch_size: pictures sampled at once, 1-64; default: the
            generator's.
        left: what an interrupted run left in the folder; ``plan`` must be its own.
        writer: the folder's run file, locked since before ``left`` was read; it stays open. None: it is
            opened when the audit runs, and what is left is read again once it is locked.
        crew: makes the pictures, several batches at once; it is the generator too. None: here, one by one.
        signer: signs the pictures; default: as the environment configures it, which may be not at all.

    Raises:
        UserError: an arm does not work with the model, a prompt is too long for it, a value is out of range,
            the folder holds lines of another audit, or ``left`` was made by another model or version of
            fairgen, or with another number of threads.
    """

    def __init__(
        self,
        plan: AuditPlan,
        generator: Model,
        reader: ToneReader,
        folder: Path,
        *,
        batch_size: int | None = None,
        left: LookBack | None = None,
        signer: PictureSigner | None = None,
        crew: Crew | None = None,
        writer: RunWriter | None = None,
    ) -> None:
        self.crew, self._writer = crew, writer
        self.signer = signer or signer_from_environment()
        self.plan, self.generator, self.reader, self.folder, self.left = plan, generator, reader, folder, left
        chosen_size = generator.default_batch_size if batch_size is None else batch_size
        self.batch_size = between("batch size", left.audit.batch_size if left else chosen_size, 1, 64)
        self.changed: list[str] = []
        if left is None and (folder / AHEAD).exists():
            raise UserError(f"{folder / AHEAD} holds lines of another audit: choose another --out.")
        if left is not None:
            if left.audit.threads not in (None, generator.threads):
                raise UserError(
                    f"The audit was begun with {_threads(left.audit.threads)}, and now there would be "
                    f"{_threads(generator.threads)}, which changes the pictures' last bits: go on with as "
                    "many."
                )
            if left.audit.fairgen != __version__:
                raise UserError(
                    f"The audit was begun with fairgen {left.audit.fairgen}, and this is "
                    f"{__version__}: install that version to go on, or begin a new run."
                )
            self.changed = require_same_model(generator.info, left.audit.model, "The audit")
        self._calibrations: dict[str, Calibration] = {}
        self._check()

    def _check(self) -> None:
        """Refuse now whatever a session would refuse later."""
        self.generator.check_techniques(self.plan.arms)
        words_on = cache(partial(technique, "prompt" if set(self.plan.arms) - {"none"} else "none"))
        for prompt in self.plan.prompts:
            words, toned = words_on(self.plan.specs[prompt.spec].scale), []
            if words is not None and words.stays_off(prompt.prompt) is None:
                toned = words.prompts(prompt.prompt)
            self.generator.check_prompts([prompt.prompt, *toned])

    def run(self) -> Generator[AuditEvent, None, None]:
        """Make what is missing. The last event is `AuditFinished`; its summary is in ``summary.json`` too."""
        for arm in self.plan.arms:
            if arm in continuous():
                found = known_calibration(self.generator, arm)
                if found is None:
                    found, _ = yield from calibrated(self.generator, self.reader, arm, self.batch_size)
                self._calibrations[arm] = self._as_begun(arm, found)
        hashes = {arm: found.content_hash() for arm, found in self._calibrations.items()}
        with self._opened() as writer:
            record = self._begun(writer, hashes)
            left = self.left or LookBack(record)
            problems = list(left.problems)
            if self.changed:
                problems.append(f"The audit went on with {', '.join(self.changed)}.")
            yield AuditStarted(record, tuple(left.summaries), tuple(problems))
            summaries = list(left.summaries)
            for event in self._blocks(record, writer, left):
                if isinstance(event, Finished):
                    summaries.append(event.summary)
                yield event
            run = RunReader(self.folder).run
            summary = audit_summary(run, record, summaries, out=str(self.folder), problems=problems)
            _write_summary(self.folder, summary)
            yield AuditFinished(summary)

    @contextmanager
    def _opened(self) -> Iterator[RunWriter]:
        """The run file, locked, with `left` as it is since then."""
        if self._writer is not None:
            yield self._writer
            return
        with RunWriter(self.folder, fairgen_version=__version__) as writer:
            if self.left is not None:
                then, self.left = self.left, look_back(self.folder)
                if self.left.audit != then.audit:
                    raise UserError(f"{self.folder} holds another audit by now: look at it again.")
                self.left.problems = list(dict.fromkeys([*then.problems, *self.left.problems]))
            yield writer

    def _begun(self, writer: RunWriter, calibrations: dict[str, str]) -> AuditRecord:
        if self.left is not None:
            for arm, then in self.left.audit.calibrations.items():
                if calibrations.get(arm) != then:
                    raise UserError(
                        f"The calibration for {arm!r} is another than the one that the audit began with: put "
                        "that one back, or begin a new run."
                    )
            return self.left.audit
        if writer.begun:
            raise UserError(f"{self.folder} holds a run by now: choose another --out.")
        plan = self.plan
        record = AuditRecord(
            started_at=now(),
            prompts_file=plan.prompts_file,
            prompts_hash=plan.prompts_hash,
            prompts=list(plan.prompts),
            specs={key: spec_document(spec) for key, spec in plan.specs.items()},
            arms=list(plan.arms),
            seed=plan.seed,
            tolerance=plan.tolerance,
            max_tries=plan.max_tries,
            round_size=ROUND_SIZE,
            batch_size=self.batch_size,
            side_by_side=min(2 * self.batch_size, _MOST_SIDE_BY_SIDE),
            fairgen=__version__,
            fairgen_commit=fairgen_commit(),
            git_commit=commit_of(Path.cwd()),
            calibrations=calibrations,
            threads=self.generator.threads,
            host=self.crew.host if self.crew else describe_host(self.generator.info.device),
            model=self.generator.info,
        )
        writer.write(record)
        writer.sync()
        return record

    def _as_begun(self, arm: str, found: Calibration) -> Calibration:
        """The calibration as the audit began with it: 0.1.0 knew a model by its weights alone."""
        if self.left is None or self.left.audit.model.files:
            return found
        older = found.model_copy(update={"weights": fingerprint_of(self.generator.info.weights)})
        return older if older.content_hash() == self.left.audit.calibrations.get(arm) else found

    def _blocks(self, record: AuditRecord, writer: RunWriter, left: LookBack) -> Iterator[Event]:
        done = {summary.session for summary in left.summaries}
        everything = blocks(record)
        missing = [block for block in everything if not done.issuperset(block.names)]
        complete = [block.names[0] for block in everything if done.issuperset(block.names)]
        with Turns(writer, [block.names for block in everything], complete) as turns:
            if (crew := self.crew) is not None:
                work = [
                    partial(self._block, record, block, turns, left, CrewMaker(crew, place))
                    for place, block in enumerate(missing)
                ]
                yield from in_parallel(work, crew.size + 1, crew.stop)
            else:
                here = Here(self.generator, self.reader)
                for block in missing:
                    yield from self._block(record, block, turns, left, here)

    def _block(
        self, record: AuditRecord, block: _Block, turns: Turns, left: LookBack, maker: BatchMaker
    ) -> Generator[Event, None, None]:
        writer = turns.writer(block.names[0])
        with ExitStack() as stack:
            sets = []
            for name, prompt in zip(block.names, block.prompts, strict=True):
                header, selected = self._header(record, block.arm, name, prompt)
                # Let go as soon as it is replayed: what is held must not grow with the audit.
                past = left.unfinished.pop(name, None)
                one = running_set(header, selected, self.folder, self.signer, writer=writer, past=past)
                stack.enter_context(one.recorder)
                sets.append(one)
            yield from run_together(sets, maker, record.batch_size)
        turns.done(block.names[0])

    def _header(
        self, record: AuditRecord, arm: str, name: str, prompt: AuditPrompt
    ) -> tuple[SessionRecord, Technique | None]:
        spec = self.plan.specs[prompt.spec]
        asked = Plan(
            prompt.prompt,
            spec,
            prompt.count,
            prompt.seed,
            record.batch_size,
            record.round_size,
            record.max_tries,
            turn=prompt.turn,
            ties=prompt.ties,
            in_order=prompt.ties is None,
        )
        # A prompt that names a tone is not steered; the technique of words says why.
        words = arm in continuous() and named_tone(prompt.prompt) is not None
        selected = technique("prompt" if words else arm, spec.scale, self._calibrations.get(arm))
        return asked.header(name, arm, selected, self.generator.info, signer=self.signer), selected


def _threads(number: int | None) -> str:
    return "no fixed number of threads" if number is None else f"{number} threads"


def _write_summary(folder: Path, summary: AuditSummary) -> None:
    for left in folder.glob(".summary.json.*.tmp"):  # of an audit that was killed here; the run is locked
        left.unlink(missing_ok=True)
    write_text(folder / "summary.json", summary.model_dump_json(indent=2) + "\n")
