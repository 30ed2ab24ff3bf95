"""The choice of a target: cards that say what each one means and who declared it, and shares by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from fairgen.common.text import counted, isolated
from fairgen.errors import UserError
from fairgen.report.load import tone_classes
from fairgen.targets import FairnessSpec, list_specs, spec_from_shares
from fairgen.targets.support import declared_support
from fairgen.ui.parts.cards import names
from fairgen.ui.parts.components import QUIET, html
from fairgen.ui.parts.markup import asset, macro, percent
from fairgen.ui.work.specs import available, chosen_spec
from fairgen.ui.work.variations import LIKE
from skin_tone.scales import SCALES

DEFAULT = "uniform-ita6"
BY_HAND = "by hand"
"""The picker's value for shares by hand; no spec's name holds a space."""
PARTS = 1000
"""Thousandths: what the editor hands out."""
_EVEN = {
    "ita6": ("Even, six tones", "six classes by measured lightness (ITA)"),
    "monk10": ("Even, ten tones", "the ten tones of the Monk scale"),
    "lmd3": ("Even, three tones", "light, medium and dark"),
}
"""Scale -> title of its even target, and what its classes are."""
_BY_A_VISITOR = {"by-hand": "By hand", LIKE: "Like one picture"}


def title(spec: FairnessSpec) -> str:
    """A spec's name for people."""
    if spec.name == "by-hand-example" and spec.name in list_specs():
        return "Example: the walls of a clinic"
    if spec.source == "uniform":
        return _EVEN[spec.scale][0]
    if spec.source == "user" and spec.name in _BY_A_VISITOR:
        return _BY_A_VISITOR[spec.name]
    return spec.name.replace("-", " ").capitalize() if spec.name in list_specs() else spec.name


def sentence(spec: FairnessSpec) -> str:
    """What the target means and who declared it, in two short sentences."""
    if spec.source == "uniform":
        share = percent(1 / len(spec.target))
        meaning = f"Each of {_EVEN[spec.scale][1]} as often as the others, {share} each."
    else:
        meaning = isolated(spec.about.split(". ")[0].rstrip(".")) + "."
    signed = f", {isolated(spec.approval_text)}" if spec.approval != "unapproved" else ""
    if spec.source == "llm" and spec.approval != "approved":
        signed += ": to be approved in the Specs tab before it is used"
    if "unsupported" in declared_support(spec.model_dump(mode="json"), None):
        signed += ". Unsupported: no source was found for what the model proposed"
    contexts = (
        f" Has targets of its own for {counted(len(spec.contexts), 'context')}." if spec.contexts else ""
    )
    return f"{meaning}{contexts} Declared by {isolated(spec.declared_by)}{signed}."


def options(own: Any) -> str:
    """The cards as HTML: what ships, the visitor's own specs, and by hand. The page's script marks the chosen
    one.
    """
    cards = [
        (spec.source == "uniform", macro("specs", "option", name, title(spec), sentence(spec), strip(spec)))
        for name, spec in available(own).items()
    ]
    by_hand = macro("specs", "option", BY_HAND, "By hand", "Set each share yourself. Declared by you.", "")
    even = [card for is_even, card in cards if is_even]
    return "".join([*even, by_hand, *(card for is_even, card in cards if not is_even)])


def strip(spec: FairnessSpec) -> Markup:
    """The target as one bar of tones."""
    return Markup(macro("specs", "strip", spec, names(tone_classes(spec.scale, spec.target))[1]))


@dataclass(frozen=True)
class TargetChoice:
    """A target from a list or by hand, with a picture of it."""

    chosen: gr.Dropdown
    """A spec's name, or `BY_HAND`."""
    editor: gr.HTML


def target_choice(prefix: str, own: gr.BrowserState) -> TargetChoice:
    """The choice of a target where there is no room for cards, in the layout that is open; ``prefix`` begins
    the ids. ``own`` holds the visitor's own specs.
    """
    chosen = gr.Dropdown(
        target_choices({}),
        value=DEFAULT,
        label="Target",
        info="A target that somebody declared, or shares by hand. The Specs tab shows targets in full.",
        elem_id=f"{prefix}-spec",
    )
    shown = html(_picture(DEFAULT, {}), elem_id=f"{prefix}-target")
    editor = share_editor(f"{prefix}-shares")
    chosen.change(
        lambda name, mine: (gr.update(visible=True if name == BY_HAND else "hidden"), _picture(name, mine)),
        [chosen, own],
        [editor, shown],
        **QUIET,
    )
    return TargetChoice(chosen, editor)


def _picture(name: Any, own: Any) -> str:
    """The target as a bar with its meaning; the editor shows shares by hand itself."""
    spec = available(own).get(name) if isinstance(name, str) else None
    return "" if spec is None else macro("specs", "picture", sentence(spec), strip(spec))


def spec_choices(own: Any) -> list[tuple[str, str]]:
    """(label, name) of what ships with fairgen and of the visitor's own specs."""
    titles = ((title(spec), name) for name, spec in available(own).items())
    return [(told if told == name else f"{told} ({name})", name) for told, name in titles]


def target_choices(own: Any) -> list[tuple[str, str]]:
    """The same, and shares by hand."""
    return [*spec_choices(own), ("By hand", BY_HAND)]


def spec_of(name: str, shares: Any, own: Mapping[str, str]) -> FairnessSpec:
    """The spec that choice and editor stand for. Raises `UserError`."""
    return edited_spec(shares) if name == BY_HAND else chosen_spec(name, own=own)


def card_props(own: Any) -> dict[str, Any]:
    """All that the cards' template names. An update has to bring the whole of it: one that comes before the
    page has built the cards is all that Gradio then fills the template with.
    """
    return {"legend": "Which skin tones should they show?", "cards": options(own)}


def spec_picker() -> gr.HTML:
    """Radio cards; the value is a spec's name, or `BY_HAND`."""
    return html(
        DEFAULT,
        html_template='<fieldset class="fg-specs"><legend>${legend}</legend>${cards}</fieldset>',
        js_on_load=asset("picker.js"),
        **card_props({}),
    )


def share_editor(elem_id: str = "fg-shares") -> gr.HTML:
    """Sliders on the scale's swatches; the value is ``{"scale": ..., "parts": {class: thousandths}}``."""
    scales = {
        name: {"classes": [asdict(found) for found in tone_classes(name, scale.classes)]}
        for name, scale in SCALES.items()
    }
    return html(
        even_parts("ita6"),
        html_template=asset("editor.html"),
        js_on_load=asset("editor.js"),
        visible="hidden",
        scales=json.dumps(scales),
        elem_id=elem_id,
    )


def even_parts(scale: str) -> dict[str, Any]:
    """The editor's value with the thousandths spread as evenly as whole numbers allow."""
    keys = SCALES[scale].classes
    each, over = divmod(PARTS, len(keys))
    return {"scale": scale, "parts": {key: each + (i < over) for i, key in enumerate(keys)}}


def edited_spec(value: Any) -> FairnessSpec:
    """The editor's value as a spec. Raises `UserError` where the parts are no whole numbers that sum to
    `PARTS`.
    """
    parts = value.get("parts") if isinstance(value, Mapping) else None
    scale = value.get("scale") if isinstance(value, Mapping) else None
    if not isinstance(parts, Mapping) or scale not in SCALES or set(parts) != set(SCALES[scale].classes):
        raise UserError("The shares by hand must give each class of a scale its part.")
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in parts.values()):
        raise UserError("The shares by hand must be whole thousandths.")
    if sum(parts.values()) != PARTS:
        raise UserError(f"The shares by hand sum to {sum(parts.values()) / 10:g} % and not to 100 %.")
    return spec_from_shares({key: n / PARTS for key, n in parts.items()}, scale=scale)
