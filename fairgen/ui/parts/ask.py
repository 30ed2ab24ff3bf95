"""Asking a language model for a target, from the page. A key that is typed is used once and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.targets import FairnessSpec
from fairgen.targets.parts import POPULATIONS, Population
from fairgen.ui.parts.components import hint
from fairgen.ui.work.limits import one_of, text, whole
from skin_tone.scales import SCALES

_MOST = 10
"""Replies to one question."""
_SECONDS = 120.0
ASKING = "asking"
"""Concurrency id of questions to language models."""
ASKED_AT_ONCE = 4


@dataclass(frozen=True)
class AskForm:
    """The form's fields in the order of `asked_spec`'s arguments, and its parts that others need."""

    fields: list[Any]
    key: gr.Textbox
    button: gr.Button
    box: gr.Accordion


def ask_form(*, public: bool) -> AskForm:
    """The form. On a ``public`` server visitors bring a key and cannot choose whom the server talks to."""
    with gr.Accordion("Ask a language model", open=False, elem_id="fg-ask") as box:
        hint(
            "It is asked several times for a target, with sources. You see how far its answers agree. Where "
            "they agree no more than by chance, or nothing is cited, the target stays even. A target for "
            "which no source was found is marked unsupported. A model's answer is no evidence."
        )
        prompt = gr.Textbox("a portrait of a nurse", label="For pictures of", max_length=1000)
        population = gr.Dropdown(
            [
                ("Those who do the work", "workforce"),
                ("Those who live there", "residents"),
                ("Those who will look at the pictures", "viewers"),
                ("An ideal", "ideal"),
            ],
            value="residents",
            label="Whom the pictures are to show",
            elem_id="fg-ask-population",
        )
        model = gr.Textbox(label="Model, as its server calls it", max_length=200, elem_id="fg-ask-model")
        url = gr.Textbox(
            label="Server",
            info="An OpenAI-compatible address that the server was started with, such as "
            "--llm-server http://localhost:11434/v1; empty: OPENAI_BASE_URL, or OpenAI.",
            max_length=500,
            visible=not public,
            elem_id="fg-ask-url",
        )
        key = gr.Textbox(
            label="Key",
            info="Used for this question alone: not stored, not logged, not sent back."
            + ("" if public else " Empty: OPENAI_API_KEY of this machine, for its own server alone."),
            type="password",
            max_length=1000,
            elem_id="fg-ask-key",
        )
        scale = gr.Dropdown(
            [(f"{', '.join(found.labels.values())} ({name})", name) for name, found in SCALES.items()],
            value="ita6",
            label="Scale",
        )
        samples = gr.Slider(
            1, _MOST, 5, step=1, label="How many replies", buttons=[], elem_id="fg-ask-samples"
        )
        look_up = gr.Checkbox(
            False, label="Look the citations up", info="Fetches the cited pages and looks for the quotes."
        )
        button = gr.Button("Ask", elem_id="fg-ask-go")
    return AskForm([prompt, model, url, key, scale, samples, look_up, population], key, button, box)


def asked_spec(
    prompt: Any,
    model: Any,
    url: Any,
    key: Any,
    scale: Any,
    samples: Any,
    look_up: Any,
    population: Any = "residents",
    *,
    public: bool,
    servers: Sequence[str] = (),
) -> Iterator[str | FairnessSpec]:
    """Ask, and yield sentences on the progress, then the proposed spec. Raises `UserError`.

    The environment's key goes to the environment's address alone. Of other addresses, only those that begin
    with one of ``servers`` are asked. On a ``public`` server visitors name none, and bring their own key.
    """
    from fairgen.targets.sources.combining import combine
    from fairgen.targets.sources.endpoint import Endpoint, given_key
    from fairgen.targets.sources.llm import llm_spec
    from fairgen.targets.sources.permitted import permitted
    from fairgen.targets.sources.question import Question

    known: dict[str, Population] = {name: name for name in POPULATIONS}
    question = Question(
        text(prompt, 1000, "prompt"),
        one_of(scale, list(SCALES), "scale"),
        known[one_of(population, list(known), "population")],
    )
    number = whole(samples, 1, _MOST, "number of replies")
    typed = text(key or "", 1000, "key").strip()
    named = text(model or "", 200, "model's name").strip()
    if not named:
        raise UserError("There is no model to ask: name one, as its server calls it.")
    yield "Asking …"
    address = None if public else text(url or "", 500, "server").strip() or None
    address = permitted(address, servers)
    with given_key(typed if typed or public or address else None):
        endpoint = Endpoint.named(named, address, seconds=_SECONDS)
        # Nothing is yielded in here: Gradio runs each step of a generator in a context of its own.
        knows_key = copy_context()
    combined = None
    for found in _in_background(knows_key, question, endpoint, number):
        if isinstance(found, str):
            yield found
        else:
            combined = combine(found)
    if combined is None:
        raise UserError("No reply came: ask again.")
    if look_up is True:
        from fairgen.targets.citations import check_citations

        yield "Looking the citations up …"
        combined = combined.with_checked(check_citations(combined.citations))
    yield llm_spec([combined])


def _in_background(context: Context, question: Any, endpoint: Any, samples: int) -> Iterator[Any]:
    """Sentences on how many replies are there, then the answer; ``context`` carries the key."""
    from fairgen.targets.sources.asking import ask
    from fairgen.targets.sources.combining import unusable

    came: list[int] = []
    judge = unusable(question.scale)
    asked = partial(ask, [question], endpoint, samples=samples, judge=judge, on_reply=came.append)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(context.run, asked)
        told = -1
        while not wait([work], 0.3).done:
            if sum(came) != told:
                told = sum(came)
                yield f"Asking: {told} of {samples} replies …"
        yield work.result()[0]
