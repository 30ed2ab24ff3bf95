"""The choice of a model, and what the page says of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.models.contract import Model
from fairgen.models.options import ModelOptions
from fairgen.ui.parts.components import QUEUED, QUIET, html
from fairgen.ui.parts.markup import render
from fairgen.ui.parts.more import SamplingControls, offered_size, sampling_options, size_choices
from fairgen.ui.parts.opening import (
    OPENING_FIELDS,
    OpeningControls,
    opening_controls,
    opening_options,
    vae_choices,
)
from fairgen.ui.work.catalogue import MODELS
from fairgen.ui.work.engine import Engine
from fairgen.ui.work.facts import EMBEDDED, ModelFacts, model_facts, model_title

LOADING = "loading"
"""Concurrency id of looks at models that are not loaded yet: one is loaded at a time anyway."""


@dataclass(frozen=True)
class ModelControls:
    """The model's name, what the page says of it, and how it is opened."""

    name: gr.Dropdown
    facts: gr.HTML
    opening: OpeningControls


def model_controls(engine: Engine, prefix: str) -> ModelControls:
    """The controls, in the layout that is open; ``prefix`` begins their ids."""
    name = gr.Dropdown(
        model_choices(engine),
        value=engine.default,
        label="Model",
        info=_invitation(engine),
        allow_custom_value=engine.any_model,
        elem_id=f"{prefix}-model",
    )
    facts = html(_box(), elem_id=f"{prefix}-model-facts")
    return ModelControls(name, facts, opening_controls(engine, prefix))


def wire_models(
    engine: Engine, controls: ModelControls, sampling: SamplingControls, seen: Callable[..., Any]
) -> None:
    """Say what the chosen model can do with these settings, and offer the sizes that suit it.

    Args:
        engine: the models. controls, sampling: the parts. seen: listens to a visitor's first sight of them.
    """

    opening, told = controls.opening, [controls.facts, sampling.size]
    asked = [controls.name, *opening, *sampling]
    size = asked.index(sampling.size) - 1

    def look(name: Any, *fields: Any) -> Iterator[tuple[Any, Any]]:
        try:
            chosen = engine.check_model(name)
            bare = engine.check_options(given_options(*fields[:OPENING_FIELDS]))
            for state in loaded(engine, chosen, bare):
                if isinstance(state, float):
                    yield _waiting(chosen, state), gr.skip()
            # Of the model alone: what is offered does not depend on what is chosen.
            own = model_facts(engine.load(chosen, bare)).size
            offered = offered_size(own, fields[size])
            options = engine.check_options(given_options(*fields))
            yield facts_box(engine, chosen, options), offered
        except UserError as error:
            yield _box(error=str(error)), gr.skip()

    shown = QUEUED | {"concurrency_id": LOADING, "concurrency_limit": 1, "trigger_mode": "always_last"}
    gr.on([field.change for field in (controls.name, *opening)], look, asked, told, **shown)

    def look_again(*given: Any) -> Iterator[Any]:
        # Without the sizes: a list that gets its choices anew opens, though nobody asked for it.
        yield from (facts for facts, _ in look(*given))

    chosen_at_once = (sampling.scheduler, sampling.size, sampling.steps, sampling.guidance)
    changes = [field.change for field in chosen_at_once]
    # Of words and sizes, a part that was typed says nothing yet: they are looked at when the field is left.
    changes += [field.blur for field in (sampling.negative, sampling.width, sampling.height)]
    gr.on(changes, look_again, asked, controls.facts, **shown)

    def first() -> tuple[Any, ...]:
        known, box, sizes = engine.loaded(engine.default), _box(), gr.skip()
        try:
            if known is not None:
                facts = model_facts(known)
                box, sizes = _box(facts=facts), gr.update(choices=size_choices(facts.size))
        except UserError as error:
            box = _box(error=str(error))
        return box, gr.update(choices=model_choices(engine)), gr.update(choices=vae_choices(engine)), sizes

    begun = seen(first, None, [controls.facts, controls.name, opening.vae, sampling.size], **QUIET)
    begun.then(look, asked, told, **shown)


def model_choices(engine: Engine) -> list[tuple[str, str]]:
    """(label, name): the server's models, then what lies in its folder."""
    named = [(model_title(name), name) for name in engine.models]
    found = [
        (one.name if one.megabytes is None else f"{one.name} ({_size(one.megabytes)})", one.name)
        for one in engine.catalogue.of(*MODELS)
    ]
    return [*named, *found]


def given_options(*fields: Any) -> dict[str, Any]:
    """The values of the opening controls, and of the sampling controls (all or none), as fields of
    `fairgen.ModelOptions` by name. Raises `UserError`.
    """
    opening, sampling = fields[:OPENING_FIELDS], fields[OPENING_FIELDS:]
    return opening_options(*opening) | (sampling_options(*sampling) if sampling else {})


def loaded(engine: Engine, name: str, options: ModelOptions) -> Iterator[float | Model]:
    """Seconds for as long as it is loaded, at last the model. Raises `UserError`."""
    began = time.monotonic()
    with ThreadPoolExecutor(1, "loading") as pool:
        work = pool.submit(engine.load, name, options)
        if not wait([work], 0.25).done:
            yield 0.0
            while not wait([work], 1.0).done:
                yield time.monotonic() - began
        yield work.result()


def facts_box(engine: Engine, name: str, options: ModelOptions) -> str:
    """What the page says of a model, which is loaded for that. Raises `UserError`."""
    return _box(facts=model_facts(engine.load(name, options)))


def _waiting(name: str, seconds: float) -> str:
    waited = "A file of several gigabytes takes a while." if seconds < 3 else f"{seconds:.0f} s so far."
    return _box(loading=model_title(name), waited="" if name == EMBEDDED else waited)


def _invitation(engine: Engine) -> str:
    if engine.any_model:
        return "Choose one, or paste a hub id or the address of a file or folder on this machine."
    if len(model_choices(engine)) > 1:
        return "The models that this server offers."
    return "The only model that this server offers."


def _box(*, facts: ModelFacts | None = None, error: str = "", loading: str = "", waited: str = "") -> str:
    """What stands beneath the model's name."""
    return render("model", facts=facts, error=error, loading=loading, waited=waited)


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"
