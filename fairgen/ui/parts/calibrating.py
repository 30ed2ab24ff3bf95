"""The button that calibrates the chosen model, and the sheet that comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.ui.parts.components import hint, html
from fairgen.ui.parts.markup import render
from fairgen.ui.parts.models import ModelControls, facts_box, given_options
from fairgen.ui.parts.more import SamplingControls
from fairgen.ui.parts.stop import ended, may_stop, stop_button, wire_stop
from fairgen.ui.work.calibrating import calibrate_model
from fairgen.ui.work.facts import model_title
from fairgen.ui.work.jobs import Services

_CALIBRATING = "calibrating"
"""Concurrency id: one at a time, in turns with the sets and audits of the workshop."""


@dataclass(frozen=True)
class CalibrationControls:
    """How thorough it is to be, the buttons, and how far it is."""

    thorough: gr.Radio
    go: gr.Button
    stop: gr.Button
    shown: gr.HTML


def calibration_controls() -> CalibrationControls:
    """Build them, in the layout that is open."""
    with gr.Accordion("Calibrate this model", open=False, elem_id="fg-calibrate"):
        hint(
            "fairgen makes trial pictures with weaker and stronger steering, and keeps how dark each "
            "strength makes them. Once for each model and its settings is enough."
        )
        thorough = gr.Radio(
            [("Briefly: 81 pictures", False), ("Thoroughly: 372 pictures", True)],
            value=False,
            label="How well",
            elem_id="fg-calibrate-how",
        )
        with gr.Row(elem_classes="fg-chips"):
            go = gr.Button("Calibrate", size="sm", elem_id="fg-calibrate-go")
            stop = stop_button(size="sm", elem_id="fg-calibrate-stop")
        shown = html(elem_id="fg-calibrate-shown")
    return CalibrationControls(thorough, go, stop, shown)


def wire_calibration(
    services: Services, controls: CalibrationControls, models: ModelControls, sampling: SamplingControls
) -> None:
    """Let the button calibrate the chosen model with the settings that are chosen."""
    ticket = gr.State(None)
    engine = services.engine

    def measure(thorough: Any, name: Any, request: gr.Request, *fields: Any) -> Iterator[tuple[Any, ...]]:
        skip = gr.skip()
        try:
            chosen = engine.check_model(name)
            options = engine.check_options(given_options(*fields))
            run = services.runs.claim(str(request.session_hash), "calibrate", model_title(chosen))
            yield skip, skip, run.id, gr.update(interactive=False), may_stop(run)
            for state in calibrate_model(services, run, chosen, options, thorough=thorough is True):
                yield _box(state), skip, skip, skip, may_stop(run)
            facts = facts_box(engine, chosen, options) if state.sheet else skip
        except UserError as error:
            yield _box(None, str(error)), skip, skip, gr.update(interactive=True), ended()
            return
        yield _box(state), facts, skip, gr.update(interactive=True), ended()

    controls.go.click(
        measure,
        [controls.thorough, models.name, *models.opening, *sampling],
        [controls.shown, models.facts, ticket, controls.go, controls.stop],
        show_progress="minimal",
        show_progress_on=controls.shown,
        concurrency_id=_CALIBRATING,
        api_visibility="private",
    )
    wire_stop(controls.stop, ticket, services)


def _box(state: Any, error: str = "") -> str:
    return render("calibrating", state=state, error=error)
