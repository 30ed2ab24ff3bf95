"""The tab that makes a set: controls, pictures as they come, the live chart, the unsteered twins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.report import words
from fairgen.spec import FairnessSpec
from fairgen.ui import picker
from fairgen.ui.cards import aside_cards, set_cards, twin_cards
from fairgen.ui.chart import distribution_chart, live_chart
from fairgen.ui.jobs import Job, Services, make_set, unsteered
from fairgen.ui.live import LiveSet
from fairgen.ui.markup import LIST, render
from fairgen.ui.runs import UserRun
from fairgen.ui.specs import Own, chosen_spec, require_approval
from fairgen.ui.stopping import wire_stop

EXAMPLES = (
    "a portrait of a CEO",
    "a portrait of a janitor",
    "a portrait of a nurse",
    "a person at a wedding",
)
TECHNIQUES = [
    ("Best for this model", "auto"),
    ("Inside the model (embedding direction)", "embedding"),
    ("Inside the model (semantic guidance, slower)", "semantic"),
    ("Words added to the prompt", "prompt"),
    ("None: see what the model does by itself", "none"),
]
_TO_RESULTS = """() => {
  if (window.innerWidth < 820) document.querySelector(".fg-results").scrollIntoView({behavior: "smooth"});
}"""
"""On a phone the results lie beneath the controls."""
SAMPLING = "sampling"
"""Concurrency id of whatever samples: one at a time, the others see their place in the queue."""


def generate_tab(services: Services, own: gr.State) -> None:
    """Build the tab. ``own`` holds the visitor's own specs."""
    limits, engine = services.limits, services.engine
    ticket = gr.State(None)
    with gr.Row(elem_classes="fg-work", equal_height=False):
        with gr.Column(elem_classes="fg-controls", scale=0):
            prompt = gr.Textbox(
                EXAMPLES[0],
                label="What shall the pictures show?",
                lines=2,
                max_lines=4,
                max_length=1000,
                elem_id="fg-prompt",
            )
            with gr.Row(elem_classes="fg-chips"):
                chips = [gr.Button(text, size="sm", variant="secondary") for text in EXAMPLES]
            chosen = picker.spec_picker()
            editor = picker.share_editor()
            count = gr.Slider(
                1, limits.count, 12, step=1, label="How many pictures?", elem_id="fg-count", buttons=[]
            )
            with gr.Accordion("Advanced", open=False):
                steering = gr.Dropdown(
                    TECHNIQUES,
                    value="auto",
                    label="How to steer",
                    info="Steering changes how pictures are sampled, not the model's weights. Its strength "
                    "is set for each picture, by what the model was measured to do.",
                )
                tries = gr.Slider(
                    1,
                    limits.tries,
                    4,
                    step=1,
                    label="Tries for one place",
                    info="A picture whose tone does not fit is made again, at most this often.",
                    buttons=[],
                )
                seed = gr.Number(
                    0, precision=0, label="Seed", info="The same seed gives the same pictures again."
                )
                model = gr.Dropdown(
                    list(engine.models),
                    value=engine.default,
                    label="Model",
                    info="'embedded', a hub id, or a folder in diffusers' format."
                    if engine.any_model
                    else "The models that this server was started with.",
                    allow_custom_value=engine.any_model,
                )
            with gr.Row(elem_classes="fg-go"):
                go = gr.Button("Make the pictures", variant="primary", elem_id="fg-go")
                stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="fg-stop")
        with gr.Column(elem_classes="fg-results"):
            status = gr.HTML("", apply_default_css=False, elem_id="fg-status")
            with gr.Row(elem_classes="fg-show", equal_height=False):
                with gr.Column(elem_classes="fg-beside"):
                    default = chosen_spec(picker.DEFAULT)
                    chart = gr.HTML(
                        distribution_chart(default.scale, default.target, 12),
                        apply_default_css=False,
                        elem_id="fg-chart",
                    )
                    links = gr.HTML("", apply_default_css=False, elem_id="fg-links")
                with gr.Column(elem_classes="fg-pictures"):
                    welcome = gr.HTML(render("welcome"), apply_default_css=False)
                    cards = gr.HTML(
                        [],
                        html_template=f'<ul class="fg-pics" aria-label="The set">{LIST}</ul>',
                        apply_default_css=False,
                        elem_id="fg-cards",
                    )
                    with gr.Accordion(
                        "Set aside", open=False, visible=False, elem_id="fg-aside"
                    ) as aside_box:
                        aside = gr.HTML(
                            [],
                            html_template=f'<ul class="fg-pics" aria-label="Set aside">{LIST}</ul>',
                            apply_default_css=False,
                        )
                    twin_button = gr.Button(
                        "Show what the model does by itself, same seeds", visible=False, elem_id="fg-twin-go"
                    )
                    twin_status = gr.HTML("", apply_default_css=False)
                    twins = gr.HTML(
                        [],
                        html_template=f'<ul class="fg-twins" aria-label="Unsteered and steered">{LIST}</ul>',
                        apply_default_css=False,
                        elem_id="fg-twins",
                    )

    for chip, text in zip(chips, EXAMPLES, strict=True):
        chip.click(lambda text=text: text, outputs=prompt, queue=False, api_visibility="private")

    def preview(text: str, name: str, shares: Any, number: float, mine: Own, made: str | None) -> Any:
        if made is not None:
            return gr.skip()  # the chart belongs to the pictures beside it
        try:
            spec = spec_of(name, shares, mine)
            places = max(1, min(int(number), limits.count))
            return distribution_chart(spec.scale, spec.target_for(text), places)
        except (UserError, TypeError, ValueError):
            return gr.skip()  # said when the pictures are asked for

    chosen.change(
        lambda name: gr.update(visible=True if name == picker.BY_HAND else "hidden"),
        chosen,
        editor,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    gr.on(
        [chosen.change, editor.change, count.release],
        preview,
        [prompt, chosen, editor, count, own, ticket],
        chart,
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )

    def prepare(
        text: str,
        name: str,
        shares: Any,
        number: float,
        how: str,
        most: float,
        start: float,
        which: str,
        mine: Own,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        try:
            job = Job.checked(
                services,
                prompt=text,
                spec=require_approval(spec_of(name, shares, mine)),
                count=number,
                steering=how,
                seed=start,
                tries=most,
                model=which,
            )
            run = services.runs.claim(str(request.session_hash), "generate", job.prompt)
            run.job = job
        except UserError as error:
            return _error(str(error)), gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return (
            _status(job.begin(run)),
            run.id,
            gr.update(interactive=False),
            gr.update(interactive=True),
            gr.update(visible=False),
        )

    go.click(None, js=_TO_RESULTS)
    gr.on(
        [go.click, prompt.submit],
        prepare,
        [prompt, chosen, editor, count, steering, tries, seed, model, own],
        [status, ticket, go, stop, welcome],
        concurrency_limit=None,  # queued, since only queued events tell the page of a changed state
        show_progress="hidden",
        api_visibility="private",
    )

    def make(number: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        if number is None:
            return
        run = services.runs.get(number, request.session_hash)
        job = run.job
        if job is None:
            return
        yield (*_shown(job.begin(run)), "", [], gr.update(visible=False), "", gr.skip())
        for live in make_set(services, run, job):
            yield (*_shown(live), gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip())
        can_twin = bool(live.pictures) and live.record is not None and live.record.steered
        yield (
            *_shown(live),
            _links(run) if live.pictures else "",
            [],
            gr.update(visible=can_twin),
            "",
            gr.update(interactive=True),
        )

    shown = [status, chart, cards, aside_box, aside, stop]
    ticket.change(
        make,
        ticket,
        [*shown, links, twins, twin_button, twin_status, go],
        show_progress="minimal",
        show_progress_on=status,
        concurrency_id=SAMPLING,
        api_visibility="private",
    )

    wire_stop(stop, ticket, services)

    def make_twins(number: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        if number is None:
            return
        run = services.runs.get(number, request.session_hash)
        if run.job is None:
            return
        run.stop.clear()
        steered = run.sets["steered"]
        yield gr.skip(), [], gr.update(interactive=False), gr.update(interactive=True), gr.skip()
        for plain in make_set(services, run, unsteered(run.job), "unsteered"):
            busy = gr.skip() if plain.running else gr.update(interactive=False)
            yield _twin_status(plain), twin_cards(plain, steered), gr.skip(), busy, gr.skip()
        again = gr.update(interactive=True, visible=plain.state != "done")
        yield _twin_status(plain), twin_cards(plain, steered), again, gr.skip(), _links(run)

    twin_button.click(
        make_twins,
        ticket,
        [twin_status, twins, twin_button, stop, links],
        show_progress="minimal",
        show_progress_on=twin_status,
        concurrency_id=SAMPLING,
        api_visibility="private",
    )
    own.change(
        lambda mine, name: gr.update(cards=picker.options(mine, name)),
        [own, chosen],
        chosen,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def spec_of(name: str, shares: Any, own: Own) -> FairnessSpec:
    """The spec that picker and editor stand for. Raises `UserError`."""
    return picker.edited_spec(shares) if name == picker.BY_HAND else chosen_spec(name, own=own)


def _shown(live: LiveSet) -> tuple[Any, ...]:
    left_out = aside_cards(live)
    label = f"Set aside: {len(left_out)} {'picture' if len(left_out) == 1 else 'pictures'}, and why"
    box = gr.update(visible=bool(left_out), label=label)
    stop = gr.skip() if live.running else gr.update(interactive=False)
    return _status(live), live_chart(live), set_cards(live), box, left_out, stop


def _error(sentence: str) -> str:
    return render("status", kind="error", text=sentence)


def _status(live: LiveSet) -> str:
    if live.state == "failed":
        return _error(live.error)
    title, text, progress = _sentence(live)
    notes: list[str] = []
    if live.state == "done" and live.summary is not None:
        notes = list(live.summary.notes)
    elif live.record is not None:
        notes = live.record.notes
    if live.record is not None and live.record.model.source == "embedded":
        notes = [*notes, words.EMBEDDED_STRIP]
    # A screen reader is told of beginnings and ends, not of every picture.
    announce = not live.pictures or not live.running
    return render(
        "status",
        kind=live.state,
        title=title,
        text=text,
        progress=progress,
        notes=notes,
        announce=announce,
    )


def _sentence(live: LiveSet) -> tuple[str, str, float | None]:
    """(what happens, more about it, progress 0-1 or None)."""
    made = f"{len(live.pictures)} {'picture' if len(live.pictures) == 1 else 'pictures'} made"
    if live.state == "waiting":
        return "Waiting for your turn …", "The pictures start as soon as the model is free.", 0.0
    if live.state == "loading":
        return "Loading the model …", "This takes a few seconds, once.", 0.0
    if live.state == "calibrating" and live.calibrating is not None:
        at = live.calibrating
        return (
            "Learning how this model responds …",
            f"It was never steered here: {at.done} of {at.total} trial pictures.",
            at.done / at.total,
        )
    if live.state == "sampling":
        left = render("time_left", seconds=live.seconds_left())
        return f"{live.places} of {live.count} places filled", f"{made}{left}", live.places / live.count
    if live.state == "stopped":
        return (
            f"Stopped: {live.places} of {live.count} places filled.",
            f"{made}; these and their readings are kept.",
            live.places / live.count,
        )
    arm = live.arm()
    price = f"{len(live.pictures)} pictures were made for {live.count} places; {len(live.aside())} set aside."
    return words.headline([arm]), f"{_against_chance(live)} {price}", None


def _against_chance(live: LiveSet) -> str:
    arm = live.arm()
    return words.subline([arm], live.classes, dict(live.target), live.record.prompt if live.record else "")


def _twin_status(plain: LiveSet) -> str:
    if plain.state == "failed":
        return _error(plain.error)
    return render("twin_status", plain=plain, headline=words.headline([plain.arm()]))


def _links(run: UserRun) -> str:
    return render("links", run=run)
