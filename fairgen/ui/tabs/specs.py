"""The tab that shows specs in full, takes others in, and lets a person approve one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency
from markupsafe import Markup

from fairgen.errors import UserError
from fairgen.report.load import tone_classes
from fairgen.targets import FairnessSpec, dump_spec, parse_spec
from fairgen.targets.parts import POPULATIONS
from fairgen.targets.strict_yaml import MAX_BYTES
from fairgen.targets.support import declared_support
from fairgen.ui.parts import picker
from fairgen.ui.parts.ask import ASKED_AT_ONCE, ASKING, ask_form, asked_spec
from fairgen.ui.parts.cards import names
from fairgen.ui.parts.components import QUEUED, QUIET, hint, html
from fairgen.ui.parts.markup import TO_MESSAGE, macro, render
from fairgen.ui.parts.status import error_box
from fairgen.ui.tabs.generate import GenerateParts
from fairgen.ui.work.limits import text
from fairgen.ui.work.specs import Own, approved, chosen_spec, require_room

_KEPT = "Only this browser keeps it; export it to use it elsewhere."


@dataclass(frozen=True)
class SpecsParts:
    """What other tabs lead to."""

    chosen: gr.Dropdown
    """The spec that is shown."""
    asking: gr.Accordion
    """The form that asks a language model."""
    forget: gr.Button
    """Forgets the visitor's own specs."""
    changes: tuple[Dependency, ...]
    """The events that change the visitor's own specs."""


def specs_tab(own: gr.BrowserState, *, public: bool, llm_servers: tuple[str, ...] = ()) -> SpecsParts:
    """Build the tab. ``own`` holds the visitor's own specs; the others are as in `asked_spec`."""
    with gr.Row(elem_classes="fg-work", equal_height=False):
        with gr.Column(elem_classes="fg-controls", scale=0):
            chosen = gr.Dropdown(
                picker.spec_choices({}), value=picker.DEFAULT, label="Spec", elem_id="fg-spec-chosen"
            )
            form = ask_form(public=public)
            with gr.Accordion("Edit, or add your own", open=False, elem_id="fg-import") as editing:
                load = gr.UploadButton(
                    "Load a YAML or JSON file",
                    size="sm",
                    file_types=[".yaml", ".yml", ".json"],
                    elem_id="fg-spec-load",
                )
                pasted = gr.Textbox(
                    dump_spec(chosen_spec(picker.DEFAULT)),
                    label="The document",
                    info="The spec that is shown, to be changed under a name of its own; or paste yours.",
                    lines=8,
                    max_lines=14,
                    elem_id="fg-spec-text",
                )
                add = gr.Button("Check and add", elem_id="fg-spec-add")
            with gr.Accordion("Approve", open=False, elem_id="fg-approve"):
                hint(
                    "By approving you say that you have read it and take responsibility for its use here. "
                    "The approval is bound to the content: any change makes it void."
                )
                name = gr.Textbox(label="Your name", max_length=300, elem_id="fg-approve-name")
                approve = gr.Button("Approve this spec", elem_id="fg-approve-go")
            forget = gr.Button("Forget my own specs", size="sm", visible=False, elem_id="fg-spec-forget")
            message = html(elem_id="fg-spec-message", elem_classes="fg-message")
        with gr.Column(elem_classes="fg-results"):
            shown = html(spec_page(chosen_spec(picker.DEFAULT)), elem_id="fg-spec-page")

    def show(which: str, mine: Own) -> tuple[Any, Any]:
        try:
            spec = chosen_spec(which, own=mine)
        except UserError as error:
            return error_box(str(error)), gr.skip()
        return spec_page(spec), dump_spec(spec)

    chosen.change(show, [chosen, own], [shown, pasted], **QUIET)
    message.change(None, js=TO_MESSAGE)

    forgotten = forget.click(
        lambda: ({}, picker.DEFAULT, _said("Your own specs are forgotten.")),
        None,
        [own, chosen, message],
        **QUIET,
    )

    def proposed(*given: Any) -> Iterator[tuple[Any, ...]]:
        *answers, mine = given
        try:
            for found in asked_spec(*answers, public=public, servers=llm_servers):
                if isinstance(found, str):
                    yield _said(found), *(gr.skip(),) * 3, ""
                    continue
                sentence = (
                    f"The model proposed “{found.name}”. Nobody has approved it: read it, look up its "
                    "sources, change it below if need be, and approve it before it is used."
                )
                yield *_added(mine, found, sentence), gr.update(open=True), ""
        except UserError as error:
            yield error_box(str(error)), *(gr.skip(),) * 3, ""

    asked = form.button.click(
        proposed,
        [*form.fields, own],
        [message, own, chosen, editing, form.key],
        concurrency_limit=ASKED_AT_ONCE,
        concurrency_id=ASKING,
        show_progress="minimal",
        show_progress_on=message,
        api_visibility="private",
    )

    def loaded(path: str) -> tuple[Any, Any]:
        try:
            with Path(path).open("rb") as file:
                spec_text = file.read(MAX_BYTES + 1).decode("utf-8-sig")
            loaded_text = text(spec_text, MAX_BYTES, "file")
        except UnicodeDecodeError:
            return gr.skip(), error_box("The file is not UTF-8 text: choose a YAML or JSON file.")
        except UserError as error:
            return gr.skip(), error_box(str(error))
        return loaded_text, _said("Loaded: read it through, then check and add it.")

    load.upload(loaded, load, [pasted, message], **QUIET)

    def take_in(typed: str, mine: Own) -> tuple[Any, ...]:
        try:
            if not typed.strip():
                raise UserError("There is no spec to add: load a file, or paste its text.")
            spec = parse_spec(text(typed, MAX_BYTES, "document"), origin="The text")
            require_room(mine, spec)
        except UserError as error:
            return error_box(str(error)), gr.skip(), gr.skip()
        return _added(mine, spec, f"“{spec.name}” is valid and can be chosen in the other tabs. {_KEPT}")

    added = add.click(take_in, [pasted, own], [message, own, chosen], **QUEUED)

    def sign(which: str, by: str, mine: Own) -> tuple[Any, ...]:
        try:
            spec = approved(chosen_spec(which, own=mine), by)
        except UserError as error:
            return error_box(str(error)), gr.skip(), gr.skip()
        return _added(mine, spec, f"“{spec.name}” is {spec.approval_text}. {_KEPT}")

    signed = approve.click(sign, [chosen, name, own], [message, own, chosen], **QUEUED)
    signed.then(show, [chosen, own], [shown, pasted], **QUIET)
    return SpecsParts(chosen, form.box, forget, (forgotten, asked, added, signed))


def lead_to_specs(tabs: gr.Tabs, generate: GenerateParts, specs: SpecsParts) -> None:
    """Let the buttons beneath the choice of a target lead to the tab of specs."""

    def read(name: str) -> tuple[Any, Any]:
        return gr.Tabs(selected="specs"), gr.skip() if name == picker.BY_HAND else name

    generate.read.click(read, generate.chosen, [tabs, specs.chosen], **QUIET)
    generate.bring.click(
        lambda: (gr.Tabs(selected="specs"), gr.update(open=True)), None, [tabs, specs.asking], **QUIET
    )


def _added(mine: Own, spec: FairnessSpec, sentence: str) -> tuple[Any, ...]:
    mine = {**mine, spec.name: dump_spec(spec)}
    return _said(sentence), mine, gr.update(choices=picker.spec_choices(mine), value=spec.name)


def _said(sentence: str) -> str:
    return render(
        "status", kind="note", order="", title=sentence, text="", progress=None, notes=[], announce=True
    )


def spec_page(spec: FairnessSpec) -> str:
    """A spec in full: target, judgements, citations with their check, approval, the document itself."""
    document = dump_spec(spec)
    labels, swatches = names(tone_classes(spec.scale, spec.target))
    return render(
        "spec_page",
        spec=spec,
        title=picker.title(spec),
        labels=labels,
        swatches=swatches,
        strip=Markup(macro("specs", "strip", spec, swatches)),
        document=document,
        support=declared_support(spec.model_dump(mode="json"), None),
        populations=POPULATIONS,
        href="data:application/yaml;base64," + base64.b64encode(document.encode()).decode(),
    )
