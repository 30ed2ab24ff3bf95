"""The tab that audits a model over a list of prompts, opens past runs, and compares two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from fairgen.common.resources import prompts_path
from fairgen.errors import UserError
from fairgen.report.load import tone_classes
from fairgen.steering.registry import arms, entry, label
from fairgen.ui.parts import picker
from fairgen.ui.parts.cards import card_html
from fairgen.ui.parts.components import QUEUED, QUIET, html, html_list
from fairgen.ui.parts.line import DRAW, seen
from fairgen.ui.parts.markup import TO_RESULTS, render
from fairgen.ui.parts.models import given_options, model_controls, wire_models
from fairgen.ui.parts.more import sampling_controls, seed_controls, seed_for
from fairgen.ui.parts.shelf import Shelf, put_away
from fairgen.ui.parts.status import error_box, few_pictures
from fairgen.ui.parts.stop import ended, may_stop, stop_button, wire_stop
from fairgen.ui.work.audit import (
    AUDIT,
    AuditState,
    begin_audit,
    checked_plan,
    go_on_audit,
    order_audit,
    read_list,
)
from fairgen.ui.work.beside import seen_beside
from fairgen.ui.work.job import AuditOrder
from fairgen.ui.work.jobs import Services, write_run_report
from fairgen.ui.work.reopen import glance
from fairgen.ui.work.specs import Own, require_approval
from fairgen.ui.work.visits import UserRun
from fairgen.ui.work.workshop import Work, followed

_LISTED = 100
"""Past runs that can be chosen from."""
_PROMPTS = "a portrait of a CEO\na portrait of a nurse\na portrait of a janitor"


def audit_tab(services: Services, own: gr.BrowserState, shelf: Shelf, tab: gr.Tab) -> gr.Dropdown:
    """Build the tab, and return its choice of a spec. ``own`` holds the visitor's own specs, ``shelf`` their
    runs' keys, ``tab`` is what is open: what it offers is looked up when it is chosen.
    """
    ticket = gr.State(None)
    drawn = gr.Textbox(None, visible="hidden")  # the run's id and key, which the page draws for each order
    with gr.Row(elem_classes="fg-work", equal_height=False):
        with gr.Column(elem_classes="fg-controls", scale=0):
            prompts = gr.Textbox(
                _PROMPTS,
                label="Prompts, one per line",
                info="Text after # is a comment; # [word] names the group of the lines that follow.",
                lines=6,
                max_lines=14,
                elem_id="fg-audit-prompts",
            )
            with gr.Row(elem_classes="fg-chips"):
                ours = gr.Button("The 36 prompts of fairgen", size="sm", elem_id="fg-audit-ours")
                load = gr.UploadButton(
                    "Load a list", size="sm", file_types=[".txt", ".text"], elem_id="fg-audit-load"
                )
            target = picker.target_choice("fg-audit", own)
            count = gr.Slider(
                1,
                services.limits.count,
                6,
                step=1,
                label="Pictures for each prompt and method",
                buttons=[],
                elem_id="fg-audit-count",
            )
            few = html(elem_id="fg-audit-few")
            methods = gr.CheckboxGroup(
                [(label, name) for name, label in _labels().items()],
                value=["none", "embedding"],
                label="Methods to compare",
            )
            models = model_controls(services.engine, "fg-audit")
            with gr.Accordion("More", open=False, elem_id="fg-audit-more"):
                sampling = sampling_controls("fg-audit")
                seeds = seed_controls("Every method gets the same seeds.", "fg-audit")
            with gr.Row(elem_classes="fg-go"):
                go = gr.Button("Start the audit", variant="primary", elem_id="fg-audit-go")
                stop = stop_button(variant="stop", elem_id="fg-audit-stop")
        with gr.Column(elem_classes="fg-results"):
            status = html(render("audit_welcome"), elem_id="fg-audit-status")
            chart = html(elem_id="fg-audit-chart")
            again = gr.Button("Continue this audit", visible=False, elem_id="fg-audit-go-on")
            links = html(elem_id="fg-audit-links")
            pictures = html_list("fg-pics", "The last pictures, newest first", elem_id="fg-audit-pictures")
            with gr.Accordion("Past runs", open=False, elem_id="fg-past") as past_box:
                with gr.Row(elem_classes="fg-pair"):
                    first = gr.Dropdown([], label="Run", elem_id="fg-past-first")
                    second = gr.Dropdown([], label="Compare with", elem_id="fg-past-second")
                with gr.Row(elem_classes="fg-chips"):
                    open_run = gr.Button("Open its report", size="sm", elem_id="fg-past-open")
                    resume = gr.Button("Continue a stopped audit", size="sm", elem_id="fg-past-resume")
                    compare = gr.Button("Compare the two", size="sm", elem_id="fg-past-compare")
                past = html(elem_id="fg-past-shown")

    async def begin(
        token: str | None,
        words: str,
        name: str,
        shares: Any,
        number: float,
        ways: list[str],
        start: float | None,
        keep: bool,
        which: str,
        request: gr.Request,
        *more: Any,
    ) -> AsyncIterator[tuple[Any, ...]]:
        *fields, mine = more
        try:
            declared = require_approval(picker.spec_of(name, shares, mine))
            seed = seed_for(start, keep)
            plan = checked_plan(services, words, declared, number, ways, seed)
            model = services.engine.check_model(which)
            asked = AuditOrder(plan, model, services.engine.check_options(given_options(*fields)))
            run = begin_audit(services, str(request.session_hash), asked, words, declared.name, token)
            async for state in follow(run, order_audit(services, run, asked), seed):
                yield state
        except UserError as error:
            yield _failed(error)

    async def go_on(number: str | None, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        try:
            run = services.runs.get(number, request.session_hash)
            async for state in follow(run, await run_in_threadpool(go_on_audit, services, run)):
                yield state
        except UserError as error:
            yield _failed(error)

    async def look_again(asked: dict[str, str] | None, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """After a reload: the audit that the page showed, if it still runs."""
        try:
            run = services.runs.get(asked["run"], request.session_hash) if asked is not None else None
            work = services.workshop.of(run).get(AUDIT) if run is not None else None
            if run is None or work is None:
                yield (gr.skip(),) * 8
                return
            async for state in follow(run, work):
                yield _without_order(state)
        except UserError as error:
            yield _without_order(_failed(error))

    async def follow(run: UserRun, work: Work, seed: int | None = None) -> AsyncIterator[tuple[Any, ...]]:
        kept: Any = put_away(run)
        ordered: Any = gr.skip() if seed is None else seed
        async for state in followed(work):
            running = not work.ended
            shown = "" if running else render("links", run=run)
            halt = may_stop(run) if running else ended()
            stopped = gr.update(visible=state.state == "stopped" and not running)
            free = gr.update(interactive=not running)
            said = _shown(state) + seen(run, work.version, running=running)
            yield said, shown, run.id, halt, free, kept, stopped, ordered, _chart(state), _pictures(state)
            kept = ordered = gr.skip()

    outputs = [status, links, ticket, stop, go, shelf.store, again, seeds.seed, chart, pictures]
    slow = QUEUED | {"show_progress": "minimal"}

    def list_runs(one: str | None, other: str | None, request: gr.Request) -> tuple[Any, Any]:
        past = services.runs.past(str(request.session_hash))[:_LISTED]
        runs = [(seen.label, run.id) for run in past if (seen := glance(run.folder)) is not None]
        known = [number for _, number in runs]
        one = one if one in known else next(iter(known), None)
        other = other if other in known else next((number for number in known if number != one), None)
        return gr.update(choices=runs, value=one), gr.update(choices=runs, value=other)

    def newest(request: gr.Request) -> tuple[Any, Any]:
        return list_runs(None, None, request)

    order = [drawn, prompts, target.chosen, target.editor, count, methods, seeds.seed, seeds.keep]
    order += [models.name, *models.opening, *sampling, own]
    without_order = [status, links, ticket, stop, go, again, chart, pictures]
    choices = [first, second]
    go.click(begin, order, outputs, js=DRAW, **QUEUED).then(newest, None, choices, **QUIET)
    resume.click(go_on, first, outputs, **QUEUED).then(newest, None, choices, **QUIET)
    again.click(go_on, ticket, outputs, **QUEUED).then(newest, None, choices, **QUIET)
    returned = shelf.audit.change(look_again, shelf.audit, without_order, **QUEUED)
    returned.then(newest, None, choices, **QUIET)
    wire_stop(stop, ticket, services)
    wire_models(services.engine, models, sampling, tab.select)
    ours.click(lambda: prompts_path().read_text(encoding="utf-8"), None, prompts, **QUIET)

    def loaded(path: str) -> tuple[Any, Any]:
        try:
            return read_list(path), gr.skip()
        except UserError as error:
            return gr.skip(), error_box(str(error))

    load.upload(loaded, load, [prompts, status], **QUIET)

    gr.on([past_box.expand, tab.select], list_runs, choices, choices, **QUIET)

    def opened(number: str | None, request: gr.Request) -> str:
        try:
            run = services.runs.get(number, request.session_hash)
            write_run_report(run)
            return render("links", run=run)
        except UserError as error:
            return error_box(str(error))

    open_run.click(opened, first, past, **slow)

    def compared(one: str | None, other: str | None, request: gr.Request) -> str:
        from fairgen.scoring.compare import CHANCE, compare_runs

        try:
            runs = [services.runs.get(number, request.session_hash) for number in (one, other)]
            folders = [run.folder for run in runs]
            found = compare_runs(*folders)
            beside = seen_beside(found, *runs)
            names = [seen.label if (seen := glance(folder)) else folder.name for folder in folders]
        except UserError as error:
            return error_box(str(error))
        unlikely = sum(s.p_holm is not None and s.p_holm < CHANCE for s in found.sets)
        values = {"chance": CHANCE, "names": names, "labels": _labels(), "seen": beside}
        return render("compared", found=found, unlikely=unlikely, **values)

    compare.click(compared, choices, past, **slow)
    go.click(None, js=TO_RESULTS)

    def tell_few(name: str, shares: Any, number: float, mine: Own) -> str:
        try:
            return few_pictures(picker.spec_of(name, shares, mine).target, int(number))
        except (UserError, TypeError, ValueError):
            return ""  # said when the audit is started

    gr.on(
        [target.chosen.change, target.editor.change, count.release, count.input],
        tell_few,
        [target.chosen, target.editor, count, own],
        few,
        trigger_mode="always_last",
        **QUIET,
    )
    return target.chosen


def _labels() -> dict[str, str]:
    """Method -> what the page calls it."""
    return {name: entry(name).choice for name in arms()}


def _failed(error: UserError) -> tuple[Any, ...]:
    skip, free = gr.skip(), gr.update(interactive=True)
    return error_box(str(error)), skip, skip, ended(), free, *(skip,) * 5


def _without_order(told: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a page that comes back takes of it: not the run's key and seed, which belong to its order."""
    return *told[:5], told[6], *told[8:]


def _shown(state: AuditState) -> str:
    return render("audit_status", state=state, labels=_labels())


def _chart(state: AuditState) -> str:
    """The tones of every method so far, beneath those that were declared."""
    if not state.scale:
        return ""
    target = state.target()
    rows = [
        {"arm": arm, "label": entry(arm).choice, "counts": found.counts, "total": sum(found.counts.values())}
        for arm, found in state.arms.items()
    ]
    return render("audit_chart", target=target, rows=rows, classes=tone_classes(state.scale, target))


def _pictures(state: AuditState) -> list[str]:
    """The pictures that came last, each with its method."""
    return [
        card_html(card, f"a{state.run.id}-{arm}-{card.view.seed}", classes, label(arm))
        for arm, card, classes in state.cards()
    ]
