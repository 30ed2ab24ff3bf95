"""What is put onto a model, and how it is kept in memory: LoRAs, and what fewer people need in a fold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import gradio as gr

from fairgen.errors import UserError
from fairgen.models.options import ModelOptions
from fairgen.ui.parts.components import html
from fairgen.ui.parts.markup import asset
from fairgen.ui.work.engine import Engine
from fairgen.ui.work.limits import text

_MOST_FILES = 8
"""LoRAs, and as many textual inversions."""
_OWN = "own"
"""The choice that leaves the model its own autoencoder."""
_PRECISIONS = (
    ("What suits this machine", "auto"),
    ("32 bits: exact, needs the most memory", "float32"),
    ("16 bits (float16)", "float16"),
    ("16 bits (bfloat16)", "bfloat16"),
)
_OFFLOADS = (
    ("Nothing", "none"),
    ("Whole parts, by turns (model)", "model"),
    ("Groups of layers (group)", "group"),
    ("Single layers (sequential): smallest and slowest", "sequential"),
)


class OpeningControls(NamedTuple):
    """The controls, in the order of `opening_options`'s arguments."""

    loras: gr.HTML
    words: gr.HTML
    vae: gr.Dropdown
    dtype: gr.Dropdown
    offload: gr.Dropdown
    tiling: gr.Checkbox
    compiled: gr.Checkbox


OPENING_FIELDS = len(OpeningControls._fields)
"""How many controls these are."""


def opening_controls(engine: Engine, prefix: str) -> OpeningControls:
    """The controls, in the layout that is open; ``prefix`` begins their ids. Files are those of the server's
    folder, or any where any model may be named; so are the settings that take memory and time.
    """
    anything = engine.any_model
    loras = _files("LoRAs", engine, f"{prefix}-loras")
    known = engine.catalogue.of("textual inversion", "autoencoder")
    with gr.Accordion(
        "Other files, and memory" if anything else "Other files",
        open=False,
        visible=bool(anything or known),
        elem_id=f"{prefix}-opening",
    ):
        words = _files("words", engine, f"{prefix}-words")
        vae = gr.Dropdown(
            vae_choices(engine),
            value=_OWN,
            label="Autoencoder (VAE)",
            info="The part that turns what was sampled into pixels."
            + (" Choose one, or paste the address of a file or folder on this machine." if anything else ""),
            allow_custom_value=anything,
            elem_id=f"{prefix}-vae",
        )
        dtype = gr.Dropdown(
            list(_PRECISIONS),
            value="auto",
            label="Precision",
            filterable=False,
            visible=anything,
            elem_id=f"{prefix}-dtype",
        )
        offload = gr.Dropdown(
            list(_OFFLOADS),
            value="none",
            label="What waits outside the graphics card",
            info="For cards with little memory: slower the less has to fit.",
            filterable=False,
            visible=anything,
            elem_id=f"{prefix}-offload",
        )

        def box(label: str, name: str) -> gr.Checkbox:
            return gr.Checkbox(False, label=label, visible=anything, elem_id=f"{prefix}-{name}")

        tiling = box("Turn large pictures into pixels tile by tile: needs less memory", "tiling")
        compiled = box("Compile the model: its first picture takes longer, the next ones less", "compile")
    return OpeningControls(loras, words, vae, dtype, offload, tiling, compiled)


def opening_options(
    loras: Any, words: Any, vae: Any, dtype: Any, offload: Any, tiling: Any, compiled: Any
) -> dict[str, Any]:
    """What was set, as fields of `fairgen.ModelOptions` by name. Raises `UserError`."""
    found: dict[str, Any] = {}
    if loras:
        listed = _listed(loras, "LoRAs are put onto a model, each a file with a weight")
        found["lora"] = [{"file": one.get("file"), "weight": one.get("weight", 1.0)} for one in listed]
    if words:
        listed = _listed(words, "textual inversions are put into a model, each a file, perhaps with a word")
        found["textual_inversion"] = [
            {"file": one.get("file"), "token": one.get("token") or None} for one in listed
        ]
    if vae not in (None, "", _OWN):
        found["vae"] = text(vae, 300, "autoencoder").strip()
    for name, value, plain in (("dtype", dtype, "auto"), ("offload", offload, "none")):
        if value not in (None, plain):
            found[name] = text(value, 40, name)
    if tiling is True:
        found["vae_tiling"] = True
    if compiled is True:
        found["compile"] = True
    return found


def opening_values(options: ModelOptions) -> tuple[Any, ...]:
    """The values of the controls that `opening_options` makes such options of, in the controls' order."""
    return (
        [lora.model_dump(mode="json") for lora in options.lora],
        [one.model_dump(mode="json") for one in options.textual_inversion],
        options.vae or _OWN,
        options.dtype,
        options.offload,
        options.vae_tiling,
        options.compile,
    )


def vae_choices(engine: Engine) -> list[tuple[str, str]]:
    """(label, value): the model's own autoencoder, then what lies in the server's folder."""
    return [("The model's own", _OWN), *((one.name, one.name) for one in engine.catalogue.of("autoencoder"))]


def _files(holds: str, engine: Engine, elem_id: str) -> gr.HTML:
    """A list of files that grows and shrinks; ``holds`` is "LoRAs" or "words"."""
    known = engine.catalogue.of("LoRA" if holds == "LoRAs" else "textual inversion")
    names = quote(json.dumps([one.name for one in known]))  # as nothing that a template would act on
    return html(
        [],
        html_template=asset("files.html").replace("HOLDS", holds).replace("KNOWN", names),
        js_on_load=asset("files.js"),
        visible=bool(engine.any_model or known),
        elem_id=elem_id,
    )


def _listed(value: Any, what: str) -> list[Mapping[str, Any]]:
    known = isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
    if not known or len(value) > _MOST_FILES:
        raise UserError(f"At most {_MOST_FILES} {what}.")
    return list(value)
