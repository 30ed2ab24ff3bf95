"""A set and an audit that were cut, and gone on with by a server that was started anew.

Nothing that was asked for is lost, and the result is that of a run without a cut. The model is a double;
its record says how it was opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fairgen.models.options import ModelOptions, read_settings
from fairgen.runs import AuditRecord, SessionRecord, read_run
from fairgen.steering import Steering
from fairgen.steering.request import Request
from fairgen.targets import spec_from_shares
from fairgen.ui.work.audit import AUDIT, begin_audit, checked_plan, go_on_audit, order_audit
from fairgen.ui.work.engine import Engine
from fairgen.ui.work.job import AuditOrder
from fairgen.ui.work.jobs import STEERED, Services, begin_set, checked_job
from fairgen.ui.work.limits import AS_IT_IS, Limits
from fairgen.ui.work.reopen import go_on
from fairgen.ui.work.visits import Runs, UserRun
from fairgen.ui.work.workshop import Work, Workshop
from tests.doubles.session_doubles import INFO, ConfusedGenerator, InfoReader, files_of

OPTIONS: dict[str, Any] = {
    "negative_prompt": "blurry, drawing",
    "steps": 9,
    "guidance_scale": 3.5,
    "height": 24,
    "width": 16,
    "scheduler": "unipc",
    "lora": [{"file": "ink.safetensors", "weight": 0.7}],
}
"""Everything that a visitor may choose; the VAE comes with the file of settings."""
VAE = "another-vae.safetensors"
TARGET = spec_from_shares({"light": 0.5, "medium": 0.25, "dark": 0.25}, scale="lmd3")
SEED, TRIES, STRENGTH = 1234567, 3, 0.8
ARMS = ["none", "prompt"]


@dataclass
class Cut(ConfusedGenerator):
    """Says when a batch was made."""

    made: Callable[[], object] = lambda: None

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        self.made()
        return super().generate(requests, steering)


@dataclass
class Doubles(Engine):
    """An engine whose models are doubles; their records hold all that they were opened with."""

    folder: Path
    batches: int = 10_000
    """After so many, the run in hand is stopped."""
    run: UserRun | None = None
    known: threading.Event = field(default_factory=threading.Event)
    """That ``run`` is set."""
    opened: list[tuple[str, ModelOptions]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(("embedded",), any_model=True, folder=self.folder)

    def load(self, name: str, options: ModelOptions = AS_IT_IS) -> Cut:
        self.opened.append((name, options))
        path = self.catalogue.path(name)
        assert path is not None, f"there is no model {name}"
        _, own = read_settings(path)
        every = options.over(own)
        settings = {key: getattr(every, key) for key in ("steps", "guidance_scale", "height", "width")}
        info = INFO.model_copy(update=settings | {"name": name, "options": every.given()})
        return Cut(info=info, made=self._count)

    def reader(self) -> Any:
        return InfoReader()

    def _count(self) -> None:
        self.batches -= 1
        if self.batches <= 0:
            assert self.known.wait(60)
            assert self.run is not None
            self.run.stop.set()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a file of settings that names another VAE."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "mine.yaml").write_text(f"model: somebody/a-model\nvae: {VAE}\n")
    return folder


def started(models: Path, runs: Path, batches: int = 10_000) -> Services:
    """A server's services, just started."""
    return Services(Doubles(models, batches), Runs(runs), Limits(), Workshop(2))


def doubles(services: Services) -> Doubles:
    assert isinstance(services.engine, Doubles)
    return services.engine


def ended(work: Work) -> Work:
    """The order, once nothing more comes of it."""
    end = time.monotonic() + 240
    while not work.ended:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not work.error, work.error
    return work


def begun_set(services: Services) -> UserRun:
    """A set, made until it is done or cut."""
    job = checked_job(
        services,
        prompt="a nurse",
        spec=TARGET,
        count=9,
        steering="prompt",
        seed=SEED,
        tries=TRIES,
        model="mine.yaml",
        strength=STRENGTH,
        options=OPTIONS,
    )
    run = begin_set(services, "ann", job)
    doubles(services).run = run
    doubles(services).known.set()
    return run


def pictures(run: UserRun) -> dict[str, str]:
    """File -> hash of its pixels and marks."""
    return {name: held for name, held in files_of(run.folder).items() if name.endswith(".png")}


def session_of(run: UserRun) -> SessionRecord:
    (session,) = read_run(run.folder).sessions.values()
    assert session.finished
    return session.record


@pytest.mark.parametrize("kept", [True, False], ids=["as ordered", "by its run file alone"])
def test_a_set_that_was_cut_keeps_all_that_was_chosen(tmp_path: Path, models: Path, kept: bool) -> None:
    whole = started(models, tmp_path / "whole")
    straight = begun_set(whole)
    ended(whole.workshop.of(straight)[STEERED])

    before = started(models, tmp_path / "cut", batches=2)
    run = begun_set(before)
    assert ended(before.workshop.of(run)[STEERED]).state.state == "stopped"
    before.workshop.close()

    after = started(models, tmp_path / "cut")
    found = after.runs.get(run.id, None, run.key)
    if not kept:
        after.runs.keep(found)
    assert ended(go_on(after, found)).state.state == "done"
    (name, options), *_ = doubles(after).opened
    assert (name, options.given()) == ("mine.yaml", OPTIONS)
    record = session_of(found)
    assert record.model.options == OPTIONS | {"vae": VAE}
    assert (record.seed, record.max_tries, record.target) == (SEED, TRIES, TARGET.target)
    assert pictures(found) == pictures(straight)


def begun_audit(services: Services) -> tuple[UserRun, Work]:
    """An audit, made until it is done or cut."""
    prompts = "a nurse\na judge"
    options = services.engine.check_options(OPTIONS)
    plan = checked_plan(services, prompts, TARGET, 4, ARMS, SEED)
    order = AuditOrder(plan, "mine.yaml", options)
    run = begin_audit(services, "ann", order, prompts, "by-hand")
    doubles(services).run = run
    doubles(services).known.set()
    return run, order_audit(services, run, order)


@pytest.mark.parametrize("what", ["jobs", "audit"])
def test_the_end_is_told_once_the_report_is_written(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Also to a page that is opened while the report is written."""
    reached, may = threading.Event(), threading.Event()

    def write(_run: UserRun) -> None:
        reached.set()
        assert may.wait(60)

    monkeypatch.setattr(f"fairgen.ui.work.{what}.write_run_report", write)
    services = started(models, tmp_path / "runs")
    run, arm = (begun_set(services), STEERED) if what == "jobs" else (begun_audit(services)[0], AUDIT)
    work = services.workshop.of(run)[arm]
    assert reached.wait(60)
    assert work.state.state == "sampling"
    may.set()
    assert ended(work).state.state == "done"


def test_an_audit_that_was_cut_keeps_all_that_was_chosen(tmp_path: Path, models: Path) -> None:
    straight, work = begun_audit(started(models, tmp_path / "whole"))
    assert ended(work).state.state == "done"
    before = started(models, tmp_path / "cut", batches=2)
    run, work = begun_audit(before)
    assert ended(work).state.state == "stopped"
    before.workshop.close()
    after = started(models, tmp_path / "cut")
    found = after.runs.get(run.id, None, run.key)
    assert ended(go_on_audit(after, found)).state.state == "done"
    (name, options), *_ = doubles(after).opened
    assert (name, options.given()) == ("mine.yaml", OPTIONS)
    audit = read_run(found.folder).audit
    assert isinstance(audit, AuditRecord)
    assert audit.model.options == OPTIONS | {"vae": VAE}
    assert (audit.seed, audit.arms) == (SEED, ARMS)
    assert [spec["target"] for spec in audit.specs.values()] == [TARGET.target]
    assert len(pictures(found)) >= 16
    assert pictures(found) == pictures(straight)
