"""The tab that makes a set: controls, pictures as they come, the live chart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from fairgen.errors import UserError
from fairgen.steering.registry import entry, names
from fairgen.ui.parts import picker
from fairgen.ui.parts.calibrating import calibration_controls, wire_calibration
from fairgen.ui.parts.cards import aside_cards, set_cards, twin_cards
from fairgen.ui.parts.chart import distribution_chart, live_chart
from fairgen.ui.parts.components import QUEUED, QUIET, html, html_list, script, slider
from fairgen.ui.parts.keeping import keep_asked
from fairgen.ui.parts.line import DRAW, seen, to_follow
from fairgen.ui.parts.markup import TO_RESULTS, render
from fairgen.ui.parts.models import given_options, model_controls, wire_models
from fairgen.ui.parts.more import sampling_controls, seed_controls, seed_for
from fairgen.ui.parts.shelf import Shelf, earlier_sets, look_again, put_away, took_back, wire_shelf
from fairgen.ui.parts.status import empty_set, error_box, few_pictures, set_status, twin_status
from fairgen.ui.parts.steps import step_view, wire_steps
from fairgen.ui.parts.stop import ended, may_stop, stop_button, wire_stop
from fairgen.ui.tabs.twins import twin_parts, wire_twins
from fairgen.ui.work.jobs import STEERED, Services, begin_set, checked_job, write_run_report
from fairgen.ui.work.limits import MOST_STRENGTH
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.reopen import Sets, watched
from fairgen.ui.work.reopen import go_on as continue_set
from fairgen.ui.work.specs import Own, chosen_spec, require_approval
from fairgen.ui.work.variations import like
from fairgen.ui.work.visits import UserRun

EXAMPLES = (
    "a portrait of a CEO",
    "a portrait of a janitor",
    "a portrait of a nurse",
    "a person at a wedding",
)
_COUNT = 12
"""Pictures that are asked for at first."""


@dataclass(frozen=True)
class GenerateParts:
    """What other tabs have to do with."""

    chosen: gr.HTML
    """The picker; its value is a spec's name."""
    read: gr.Button
    """Leads to the chosen spec in full."""
    bring: gr.Button
    """Leads to where specs are brought, or a model is asked for one."""
    shelf: Shelf
    kept: tuple[Any, ...]
    """Restores what was asked for when the page is loaded: function, inputs, outputs."""


def generate_tab(services: Services, own: gr.BrowserState, blocks: gr.Blocks) -> GenerateParts:
    """Build the tab. ``own`` holds the visitor's own specs, ``blocks`` is the page."""
    limits, engine = services.limits, services.engine
    ticket = gr.State(None)  # the id of the run that the page shows
    look = gr.State(None)  # the run that is to be followed: a change of it shows what becomes of it
    wanted = script("like.js")  # the picture that more are to be made like
    drawn = gr.Textbox(None, visible="hidden")  # the run's id and key, which the page draws for each order
    shelf = earlier_sets()
    with gr.Row(elem_classes="fg-work", equal_height=False):
        with gr.Column(elem_classes="fg-controls", scale=0):
            prompt = gr.Textbox(
                EXAMPLES[0], label="What should the pictures show?", lines=2, max_lines=4, elem_id="fg-prompt"
            )
            with gr.Row(elem_classes="fg-chips"):
                chips = [gr.Button(text, size="sm", variant="secondary") for text in EXAMPLES]
            chosen = picker.spec_picker()
            editor = picker.share_editor()
            with gr.Row(elem_classes="fg-chips fg-after"):
                read = gr.Button("Read it in full", size="sm", elem_id="fg-read-spec")
                bring = gr.Button("Use your own, or ask a language model", size="sm", elem_id="fg-bring")
            count = slider(1, limits.count, _COUNT, step=1, label="How many pictures?", elem_id="fg-count")
            few = html(elem_id="fg-few")
            models = model_controls(engine, "fg")
            calibration = calibration_controls()
            with gr.Accordion("More", open=False, elem_id="fg-more"):
                sampling = sampling_controls("fg")
                seeds = seed_controls("The same seed and settings give the same pictures again.", "fg")
                steering = gr.Dropdown(
                    [(entry(name).choice, name) for name in names()],
                    value="auto",
                    label="How to steer",
                    info="Steering changes how pictures are sampled, not the model's weights. Its strength "
                    "is chosen for each picture, up to the limit below.",
                )
                strength = slider(
                    0.1,
                    MOST_STRENGTH,
                    MOST_STRENGTH,
                    step=0.1,
                    label="Strongest steering allowed",
                    info="For steering inside the model. Less changes the pictures less, and may not reach "
                    "every tone.",
                    elem_id="fg-strength",
                )
                tries = slider(
                    1,
                    limits.tries,
                    4,
                    step=1,
                    label="Most tries for one picture of the set",
                    info="A picture whose tone does not fit is made again, at most this often.",
                    elem_id="fg-tries",
                )
            with gr.Row(elem_classes="fg-go"):
                go = gr.Button("Make the pictures", variant="primary", elem_id="fg-go")
                stop = stop_button(variant="stop", elem_id="fg-stop")
        with gr.Column(elem_classes="fg-results"):
            status = html(elem_id="fg-status")
            steps = step_view()
            go_on = gr.Button("Continue this set", visible=False, elem_id="fg-go-on")
            with gr.Row(elem_classes="fg-show", equal_height=False):
                with gr.Column(elem_classes="fg-beside"):
                    default = chosen_spec(picker.DEFAULT)
                    chart = html(
                        distribution_chart(default.scale, default.target, _COUNT), elem_id="fg-chart"
                    )
                    links = html(elem_id="fg-links")
                with gr.Column(elem_classes="fg-pictures"):
                    welcome = html(empty_set(default, EXAMPLES[0], _COUNT))
                    cards = html_list("fg-pics", "The set", elem_id="fg-cards")
                    with gr.Accordion(
                        "Discarded", open=False, visible=False, elem_id="fg-aside"
                    ) as aside_box:
                        aside = html_list("fg-pics", "Discarded")
                    twins = twin_parts()

    for chip, text in zip(chips, EXAMPLES, strict=True):
        chip.click(lambda text=text: text, outputs=prompt, queue=False, api_visibility="private")

    def preview(
        text: str, name: str, shares: Any, number: float, start: float | None, mine: Own, made: str | None
    ) -> tuple[Any, ...]:
        try:
            spec = picker.spec_of(name, shares, mine)
            places = max(1, min(int(number), limits.count))
            few = few_pictures(spec.target_for(text), places)
            if made is not None:
                return gr.skip(), gr.skip(), few  # the chart belongs to the pictures beside it
            chart = distribution_chart(spec.scale, spec.target_for(text), places)
            return chart, empty_set(spec, text, places, max(0, int(start or 0))), few
        except (UserError, TypeError, ValueError):
            return gr.skip(), gr.skip(), gr.skip()  # said when the pictures are asked for

    chosen.change(
        lambda name: (
            gr.update(visible=True if name == picker.BY_HAND else "hidden"),
            gr.update(visible=name != picker.BY_HAND),  # a target by hand is read where it is set
        ),
        chosen,
        [editor, read],
        **QUIET,
    )
    gr.on(
        [chosen.change, editor.change, count.release, seeds.seed.change],
        preview,
        [prompt, chosen, editor, count, seeds.seed, own, ticket],
        [chart, welcome, few],
        trigger_mode="always_last",
        **QUIET,
    )

    def prepare(
        token: str | None,
        text: str,
        name: str,
        shares: Any,
        number: float,
        how: str,
        strong: float,
        most: float,
        start: float | None,
        keep: bool,
        which: str,
        request: gr.Request,
        *more: Any,
    ) -> tuple[Any, ...]:
        *fields, mine = more
        try:
            job = checked_job(
                services,
                prompt=text,
                spec=require_approval(picker.spec_of(name, shares, mine)),
                count=number,
                steering=how,
                seed=seed_for(start, keep),
                tries=most,
                model=which,
                strength=strong,
                options=given_options(*fields),
            )
            run = begin_set(services, str(request.session_hash), job, token)
        except UserError as error:
            return error_box(str(error)), *(gr.skip(),) * 5, took_back(token), gr.skip()
        return set_status(run.sets[STEERED]), *begun(run), put_away(run), job.seed

    begins = [status, ticket, look, go, stop, go_on]
    go.click(None, js=TO_RESULTS)
    settings = [
        *(prompt, chosen, editor, count, steering, strength, tries, seeds.seed, seeds.keep),
        *(models.name, *models.opening, *sampling),
    ]
    gr.on(
        [go.click, prompt.submit],
        prepare,
        [drawn, *settings, own],
        [*begins, shelf.store, seeds.seed],
        js=DRAW,
        **QUEUED,
    )

    def take_up(number: str | None, request: gr.Request) -> tuple[Any, ...]:
        try:
            run = services.runs.get(number, request.session_hash)
            live = continue_set(services, run).state
        except UserError as error:
            return error_box(str(error)), *(gr.skip(),) * 5
        return set_status(live), *begun(run)

    go_on.click(take_up, ticket, begins, **QUEUED)

    def vary(value: Any, request: gr.Request) -> tuple[Any, ...]:
        asked = value if isinstance(value, dict) else {}
        owner, token = str(request.session_hash), asked.get("token")
        try:
            job = like(services, services.runs.get(asked.get("run"), owner), asked.get("index"))
            run = begin_set(services, owner, job, token)
        except UserError as error:
            return error_box(str(error)), *(gr.skip(),) * 5, took_back(token)
        return set_status(run.sets[STEERED]), *begun(run), put_away(run)

    wanted.change(vary, wanted, [*begins, shelf.store], **QUEUED)

    async def follow(asked: dict[str, str] | None, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        if asked is None:
            yield (gr.skip(),) * 16
            return
        free = gr.update(interactive=True)
        try:
            run = services.runs.get(asked["run"], request.session_hash)
            clock: Any = gr.Timer(active=True)
            async for sets in watched(services, run):
                seen_now = await run_in_threadpool(_seen, run, sets)
                yield *seen_now, *((clock, gr.skip()) if sets.running else steps.rests)
                clock = gr.skip()  # setting it again would begin its wait anew
        except UserError as error:
            failed = error_box(str(error)), *(gr.skip(),) * 4, ended(), *_CLEARED, free, gr.skip(), gr.skip()
            yield *failed, *steps.rests

    shown = [status, chart, cards, aside_box, aside, stop]
    beside = [links, twins.cards, twins.button, twins.said, go_on]
    look.change(
        follow, look, [*shown, *beside, go, ticket, welcome, steps.clock, steps.shown], **QUEUED
    ).then(look_again, None, shelf.store, **QUIET)
    wire_stop(stop, ticket, services)
    wire_steps(services, steps, ticket)
    wire_models(engine, models, sampling, blocks.load)
    wire_calibration(services, calibration, models, sampling)
    wire_shelf(shelf, services, own, look, status, settings)
    kept = keep_asked(prompt, chosen, editor, count)
    wire_twins(services, ticket, twins, stop, links, chart)
    return GenerateParts(chosen, read, bring, shelf, kept)


def begun(run: UserRun) -> tuple[Any, ...]:
    """What changes when something is ordered: ticket, look, go, stop, go on."""
    waits, hidden = gr.update(interactive=False), gr.update(visible=False)
    return run.id, to_follow(run), waits, may_stop(run), hidden


def _seen(run: UserRun, sets: Sets) -> tuple[Any, ...]:
    """All that the page shows of a run: a set that waits leaves the pictures of the one before it."""
    live, plain = sets.steered, sets.plain
    said = set_status(live) + seen(run, sets.version, running=sets.running)
    hidden, as_before = gr.update(visible=False), (gr.skip(),) * 4
    waits, free = gr.update(interactive=False), gr.update(interactive=True)
    if live.state in ("waiting", "loading") and not live.pictures:
        return said, *as_before, may_stop(run), *as_before, hidden, waits, run.id, gr.skip()
    if live.state == "failed" and not live.pictures:
        # Twins would be those of the order that failed.
        beside = (gr.skip(), gr.skip(), hidden, gr.skip(), hidden)
        return said, *as_before, ended(), *beside, free, run.id, gr.skip()
    left_out = aside_cards(live)
    label = f"Discarded: {len(left_out)} {'picture' if len(left_out) == 1 else 'pictures'}, and why"
    box = gr.update(visible=bool(left_out), label=label)
    stop = gr.skip() if live.running else ended()
    if sets.running:
        stop = may_stop(run)
    shown = said, live_chart(live, plain), set_cards(live), box, left_out, stop
    if live.running:
        return *shown, *_CLEARED, waits, run.id, hidden
    if live.pictures and not sets.running:
        write_run_report(run)
    return *shown, *_after(live, plain, sets.running), free, run.id, hidden


def _after(live: LiveSet, plain: LiveSet | None, running: bool) -> tuple[Any, ...]:
    """What stands beside a set that is made no more: links, twins and their button and status, go on, as soon
    as its order has ended (``running``: it has not, or twins are made).
    """
    record = live.record if live.pictures else None
    has_twins = record is not None and record.steered and record.model.seeded
    button = gr.update(visible=has_twins and (plain is None or plain.state != "done"), interactive=True)
    twins, said = (twin_cards(plain, live), twin_status(plain)) if plain else ([], "")
    links = render("links", run=live.run) if live.pictures else ""
    return links, twins, button, said, gr.update(visible=live.state == "stopped" and not running)


_CLEARED: tuple[Any, ...] = ("", [], gr.update(visible=False), "", gr.update(visible=False))
"""The same while a set is made."""
