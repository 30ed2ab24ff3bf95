"""An audit's state is read by pages while the audit goes on in its own thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairgen.audit.runner import Audit, AuditEvent
from fairgen.ui.work.audit import AuditState
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.visits import Runs
from tests.doubles.session_doubles import InfoReader
from tests.doubles.worker_doubles import BATCH, RUN, model, plan


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[AuditEvent]:
    folder = tmp_path_factory.mktemp("audit")
    asked = plan(folder)
    return list(Audit(asked, model(), InfoReader(), folder / RUN, batch_size=BATCH).run())


@pytest.mark.parametrize("method", ["card", "counts"])
def test_pages_read_while_pictures_and_sets_come(
    told: list[AuditEvent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    state = AuditState(Runs(tmp_path / "runs").claim("ann", "audit", "x"), 54)
    events = iter(told)
    for event in events:
        state.apply(event)
        if len(state.shown) == 18 and len(state.arms["none"].sets) > 1:
            break
    arms = [arm for arm, _ in reversed(state.shown)]
    asked = getattr(LiveSet, method)
    began = len(state.arms["none"].sets)

    def go_on(live: LiveSet, *arguments: Any) -> Any:
        """What the page reads of one set; meanwhile a picture, or a set, more."""
        for event in events:
            state.apply(event)
            if method == "card" or len(state.arms["none"].sets) > began:
                break
        return asked(live, *arguments)

    monkeypatch.setattr(LiveSet, method, go_on)
    if method == "card":
        assert [arm for arm, _, _ in state.cards()] == arms
    else:
        assert sum(state.arms["none"].counts.values()) > 0
        assert len(state.arms["none"].sets) > began
