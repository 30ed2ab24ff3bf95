"""The tab that makes a set: controls, pictures as they come, the live chart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from fairgen.errors import UserError
from fairgen.steering.registry import entry, names
from fairgen.targets import FairnessSpec
from fairgen.ui.parts import picker
from fairgen.ui.parts.cards import aside_cards, set_cards, twin_cards
from fairgen.ui.parts.chart import distribution_chart, live_chart
from fairgen.ui.parts.keeping import keep_asked
from fairgen.ui.parts.line import DRAW, seen, to_follow
from fairgen.ui.parts.markup import LIST, TO_RESULTS, render
from fairgen.ui.parts.models import model_choice
from fairgen.ui.parts.shelf import Shelf, earlier_sets, put_away, took_back, wire_shelf
from fairgen.ui.parts.slider import slider
from fairgen.ui.parts.status import empty_set, error_box, set_status, twin_status
from fairgen.ui.parts.stop import ended, may_stop, wire_stop
from fairgen.ui.tabs.twins import twin_parts, wire_twins
from fairgen.ui.work.jobs import STEERED, Services, begin_set, checked_job, write_run_report
from fairgen.ui.work.limits import MOST_STRENGTH
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.reopen import Sets, watched
from fairgen.ui.work.reopen import go_on as continue_set
from fairgen.ui.work.specs import Own, chosen_spec, require_approval
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


def generate_tab(services: Services, own: gr.BrowserState) -> GenerateParts:
    """Build the tab. ``own`` holds the visitor's own specs."""
    limits, engine = services.limits, services.engine
    ticket = gr.State(None)  # the id of the run that the page shows
    look = gr.State(None)  # the run that is to be followed: a change of it shows what becomes of it
    drawn = gr.Textbox(None, visible="hidden")  # the run's id and key, which the page draws for each order
    shelf = earlier_sets()
    with gr.Row(elem_classes="fg-work", equal_height=False):
        with gr.Column(elem_classes="fg-controls", scale=0):
            prompt = gr.Textbox(
                EXAMPLES[0],
                label="What should the pictures show?",
                lines=2,
                max_lines=4,
                elem_id="fg-prompt",
            )
            with gr.Row(elem_classes="fg-chips"):
                chips = [gr.Button(text, size="sm", variant="secondary") for text in EXAMPLES]
            chosen = picker.spec_picker()
            editor = picker.share_editor()
            with gr.Row(elem_classes="fg-chips fg-after"):
                read = gr.Button("Read it in full", size="sm", elem_id="fg-read-spec")
                bring = gr.Button("Use your own, or ask a language model", size="sm", elem_id="fg-bring")
            count = slider(
                1, limits.count, _COUNT, step=1, label="How many pictures?", elem_id="fg-count", buttons=[]
            )
            with gr.Accordion("Advanced", open=False):
                steering = gr.Dropdown(
                    [(entry(name).choice, name) for name in names()],
                    value="auto",
                    label="How to steer",
                    info="Steering changes how pictures are sampled, not the model's weights. Its strength "
                    "is chosen for each picture from the model's calibration, up to the limit below.",
                )
                strength = slider(
                    0.1,
                    MOST_STRENGTH,
                    MOST_STRENGTH,
                    step=0.1,
                    label="Strongest steering allowed",
                    info="For steering inside the model. Less changes the pictures less, and may not reach "
                    "every tone.",
                    buttons=[],
                    elem_id="fg-strength",
                )
                tries = slider(
                    1,
                    limits.tries,
                    4,
                    step=1,
                    label="Most tries for one place in the set",
                    info="A picture whose tone does not fit is made again, at most this often.",
                    buttons=[],
                )
                seed = gr.Number(
                    0, precision=0, label="Seed", info="The same seed gives the same pictures again."
                )
                model = model_choice(engine)
            with gr.Row(elem_classes="fg-go"):
                go = gr.Button("Make the pictures", variant="primary", elem_id="fg-go")
                stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="fg-stop")
        with gr.Column(elem_classes="fg-results"):
            status = gr.HTML("", apply_default_css=False, elem_id="fg-status")
            go_on = gr.Button("Continue this set", visible=False, elem_id="fg-go-on")
            with gr.Row(elem_classes="fg-show", equal_height=False):
                with gr.Column(elem_classes="fg-beside"):
                    default = chosen_spec(picker.DEFAULT)
                    chart = gr.HTML(
                        distribution_chart(default.scale, default.target, _COUNT),
                        apply_default_css=False,
                        elem_id="fg-chart",
                    )
                    links = gr.HTML("", apply_default_css=False, elem_id="fg-links")
                with gr.Column(elem_classes="fg-pictures"):
                    welcome = gr.HTML(empty_set(default, EXAMPLES[0], _COUNT), apply_default_css=False)
                    cards = gr.HTML(
                        [],
                        html_template=f'<ul class="fg-pics" aria-label="The set">{LIST}</ul>',
                        apply_default_css=False,
                        elem_id="fg-cards",
                    )
                    with gr.Accordion(
                        "Discarded", open=False, visible=False, elem_id="fg-aside"
                    ) as aside_box:
                        aside = gr.HTML(
                            [],
                            html_template=f'<ul class="fg-pics" aria-label="Discarded">{LIST}</ul>',
                            apply_default_css=False,
                        )
                    twins = twin_parts()

    for chip, text in zip(chips, EXAMPLES, strict=True):
        chip.click(lambda text=text: text, outputs=prompt, queue=False, api_visibility="private")

    def preview(
        text: str, name: str, shares: Any, number: float, start: float, mine: Own, made: str | None
    ) -> Any:
        if made is not None:
            return gr.skip(), gr.skip()  # the chart belongs to the pictures beside it
        try:
            spec = spec_of(name, shares, mine)
            places = max(1, min(int(number), limits.count))
            chart = distribution_chart(spec.scale, spec.target_for(text), places)
            return chart, empty_set(spec, text, places, max(0, int(start)))
        except (UserError, TypeError, ValueError):
            return gr.skip(), gr.skip()  # said when the pictures are asked for

    chosen.change(
        lambda name: (
            gr.update(visible=True if name == picker.BY_HAND else "hidden"),
            gr.update(visible=name != picker.BY_HAND),  # a target by hand is read where it is set
        ),
        chosen,
        [editor, read],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    gr.on(
        [chosen.change, editor.change, count.release, seed.change],
        preview,
        [prompt, chosen, editor, count, seed, own, ticket],
        [chart, welcome],
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
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
        start: float,
        which: str,
        mine: Own,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        try:
            job = checked_job(
                services,
                prompt=text,
                spec=require_approval(spec_of(name, shares, mine)),
                count=number,
                steering=how,
                seed=start,
                tries=most,
                model=which,
                strength=strong,
            )
            run = begin_set(services, str(request.session_hash), job, token)
        except UserError as error:
            return error_box(str(error)), *(gr.skip(),) * 5, took_back(token)
        return set_status(run.sets[STEERED]), *begun(run), put_away(run)

    begins = [status, ticket, look, go, stop, go_on]
    queued: dict[str, Any] = {
        "concurrency_limit": None,  # queued, since only queued events tell the page of a changed state
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    go.click(None, js=TO_RESULTS)
    settings = [prompt, chosen, editor, count, steering, strength, tries, seed, model]
    gr.on(
        [go.click, prompt.submit],
        prepare,
        [drawn, *settings, own],
        [*begins, shelf.store],
        js=DRAW,
        **queued,
    )

    def take_up(number: str | None, request: gr.Request) -> tuple[Any, ...]:
        try:
            run = services.runs.get(number, request.session_hash)
            live = continue_set(services, run).state
        except UserError as error:
            return error_box(str(error)), *(gr.skip(),) * 5
        return set_status(live), *begun(run)

    go_on.click(take_up, ticket, begins, **queued)

    async def follow(asked: dict[str, str] | None, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        if asked is None:
            yield (gr.skip(),) * 14
            return
        free = gr.update(interactive=True)
        try:
            run = services.runs.get(asked["run"], request.session_hash)
            async for sets in watched(services, run):
                yield await run_in_threadpool(_seen, services, run, sets)
        except UserError as error:
            yield error_box(str(error)), *(gr.skip(),) * 4, ended(), *_CLEARED, free, gr.skip(), gr.skip()

    shown = [status, chart, cards, aside_box, aside, stop]
    beside = [links, twins.cards, twins.button, twins.said, go_on]
    look.change(
        follow,
        look,
        [*shown, *beside, go, ticket, welcome],
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
    wire_stop(stop, ticket, services)
    wire_shelf(shelf, services, own, look, status, settings)
    kept = keep_asked(prompt, chosen, editor, count)
    wire_twins(services, ticket, twins, stop, links)
    return GenerateParts(chosen, read, bring, shelf, kept)


def spec_of(name: str, shares: Any, own: Own) -> FairnessSpec:
    """The spec that picker and editor stand for. Raises `UserError`."""
    return picker.edited_spec(shares) if name == picker.BY_HAND else chosen_spec(name, own=own)


def begun(run: UserRun) -> tuple[Any, ...]:
    """What changes when something is ordered: ticket, look, go, stop, go on."""
    waits, hidden = gr.update(interactive=False), gr.update(visible=False)
    return run.id, to_follow(run), waits, may_stop(run), hidden


def _seen(services: Services, run: UserRun, sets: Sets) -> tuple[Any, ...]:
    """All that the page shows of a run: a set that waits leaves the pictures of the one before it."""
    live, plain = sets.steered, sets.plain
    hidden = gr.update(visible=False)
    mark = seen(run, sets.version, running=sets.running)
    if live.state in ("waiting", "loading") and not live.pictures:
        quiet = (gr.skip(),) * 4
        waits = gr.update(interactive=False)
        return (
            set_status(live) + mark,
            *quiet,
            may_stop(run),
            *(gr.skip(),) * 4,
            hidden,
            waits,
            run.id,
            gr.skip(),
        )
    if live.state == "failed" and not live.pictures:
        free = gr.update(interactive=True)
        return (
            set_status(live) + mark,
            *(gr.skip(),) * 4,
            ended(),
            *(gr.skip(),) * 2,
            hidden,  # twins would be those of the order that failed
            gr.skip(),
            hidden,
            free,
            run.id,
            gr.skip(),
        )
    status, *others, stop = _shown(live, may_stop(run) if sets.running else None)
    if live.running:
        return status + mark, *others, stop, *_CLEARED, gr.update(interactive=False), run.id, hidden
    if live.pictures and not sets.running:
        write_run_report(run)
    return status + mark, *others, stop, *_after(live, plain), gr.update(interactive=True), run.id, hidden


def _shown(live: LiveSet, stop: Any = None) -> tuple[Any, ...]:
    """Status, chart, cards, discarded pictures, and the stop button."""
    left_out = aside_cards(live)
    label = f"Discarded: {len(left_out)} {'picture' if len(left_out) == 1 else 'pictures'}, and why"
    box = gr.update(visible=bool(left_out), label=label)
    stop = stop or (gr.skip() if live.running else ended())
    return set_status(live), live_chart(live), set_cards(live), box, left_out, stop


def _after(live: LiveSet, plain: LiveSet | None = None) -> tuple[Any, ...]:
    """What stands beside a set that runs no more: links, twins and their button and status, go on."""
    steered = bool(live.pictures) and live.record is not None and live.record.steered
    button = gr.update(visible=steered and (plain is None or plain.state != "done"), interactive=True)
    twins, said = (twin_cards(plain, live), twin_status(plain)) if plain else ([], "")
    links = render("links", run=live.run) if live.pictures else ""
    return links, twins, button, said, gr.update(visible=live.state == "stopped")


_CLEARED: tuple[Any, ...] = ("", [], gr.update(visible=False), "", gr.update(visible=False))
"""The same while a set is made."""
