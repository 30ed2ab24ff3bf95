"""The tab that reads pictures of any generator and holds them against a target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.report import words
from fairgen.report.load import tone_classes
from fairgen.report.view import Arm
from fairgen.scoring.numbers import bars
from fairgen.ui.parts import picker
from fairgen.ui.parts.cards import card_html
from fairgen.ui.parts.chart import distribution_chart
from fairgen.ui.parts.components import QUIET, hint, html, html_list
from fairgen.ui.parts.markup import TO_RESULTS, render
from fairgen.ui.parts.status import error_box, fits
from fairgen.ui.parts.stop import stop_button, wire_stop
from fairgen.ui.work.check import Checked, check_pictures, own_name, uploaded
from fairgen.ui.work.jobs import Services
from fairgen.ui.work.specs import Own, require_approval
from skin_tone.files import SUFFIXES

READING = "reading"
"""Concurrency id of whatever only reads: one at a time, beside the sampling."""


def check_tab(services: Services, own: gr.BrowserState) -> gr.Dropdown:
    """Build the tab, and return its choice of a spec. ``own`` holds the visitor's own specs."""
    ticket = gr.State(None)
    with gr.Row(elem_classes="fg-work", equal_height=False):
        with gr.Column(elem_classes="fg-controls", scale=0):
            files = gr.File(
                label="Pictures from any generator",
                file_count="multiple",
                file_types=sorted(SUFFIXES),
                height=190,
                elem_id="fg-files",
            )
            hint(
                f"Up to {services.limits.uploads} pictures of at most "
                f"{services.limits.upload_bytes // 1_000_000} MB, no HEIC: save "
                "those as JPEG first. They stay on this server, for two hours at most. Bring pictures that a "
                "generator made: photographs of real people say nothing about it."
            )
            target = picker.target_choice("fg-check", own)
            with gr.Row(elem_classes="fg-go"):
                go = gr.Button("Read the pictures", variant="primary", elem_id="fg-check-go")
                stop = stop_button(variant="stop")
        with gr.Column(elem_classes="fg-results"):
            status = html(elem_id="fg-check-status")
            with gr.Row(elem_classes="fg-show", equal_height=False):
                with gr.Column(elem_classes="fg-beside"):
                    chart = html(elem_id="fg-check-chart")
                    links = html(elem_id="fg-check-links")
                with gr.Column(elem_classes="fg-pictures"):
                    cards = html_list(
                        "fg-pics", "Pictures", [render("check_welcome")], elem_id="fg-check-cards"
                    )

    def read(
        given: list[str] | None, name: str, shares: Any, mine: Own, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        nothing = (gr.skip(),) * 5
        try:
            declared = require_approval(picker.spec_of(name, shares, mine))
            chosen = uploaded(given, services)
            run = services.runs.claim(str(request.session_hash), "check", declared.name)
            begun = render("check_status", checked=None, total=len(chosen))
            yield begun, *nothing[:3], run.id, gr.update(interactive=True)
            for state in check_pictures(services, run, chosen, declared):
                yield (*_shown(state), gr.skip(), gr.skip())
        except UserError as error:
            yield error_box(str(error)), *nothing
            return
        yield (*_shown(state), gr.skip(), gr.update(interactive=False))

    go.click(
        read,
        [files, target.chosen, target.editor, own],
        [status, chart, cards, links, ticket, stop],
        show_progress="minimal",
        show_progress_on=status,
        concurrency_id=READING,
        api_visibility="private",
    )

    wire_stop(stop, ticket, services)
    go.click(None, js=TO_RESULTS)
    files.change(_forget_error, status, status, **QUIET)
    return target.chosen


def _forget_error(shown: Any) -> Any:
    """What did not work is past once other pictures are there."""
    return "" if isinstance(shown, str) and "fg-status-error" in shown else gr.skip()


def _shown(state: Checked) -> tuple[Any, ...]:
    done = state.done
    n = sum(done.counts.values())
    chart = ""
    if n or state.running:
        chart = distribution_chart(
            done.spec.scale,
            done.target,
            max(1, n),
            counts=done.counts,
            now_label="so far" if state.running else "these",
            running=state.running,
            id=f"k{state.run.id}",
        )
    classes = tone_classes(done.spec.scale, done.target)
    cards = [card_html(card, f"k{state.run.id}", classes) for card in state.cards]
    links = "" if state.running else render("links", run=state.run)
    return _status(state), chart, cards, links


def _status(state: Checked) -> str:
    done = state.done
    if state.running:
        return render("check_status", checked=len(done.results), total=state.total)
    figures = done.figures() if any(done.counts.values()) else None
    arm = Arm("found", "As found", bars(done.counts), figures, ())
    reasons = ", ".join(f"{words.reason_text(code)} ({n})" for code, n in done.abstentions.items())
    return render(
        "check_done",
        headline=fits(arm),
        subline=words.subline([arm], tone_classes(done.spec.scale, done.target), done.target, ""),
        done=done,
        reasons=reasons,
        stopped=state.stopped,
        total=state.total,
        figures=arm.figures,
        note=words.FOUND_NOTE,
        own_name=own_name,
    )
