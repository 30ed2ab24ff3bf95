"""How a model samples: the controls that people know from other programs, folded away behind "More"."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

import gradio as gr

from fairgen.errors import UserError
from fairgen.models.options import ModelOptions
from fairgen.models.schedulers import NAMES
from fairgen.ui.parts.components import QUIET, hint
from fairgen.ui.work.limits import text, whole

_OWN = "own"
"""The choice that leaves size or scheduler as the model has them."""
_BY_HAND = "by hand"
_SHAPES = ((1, 1), (3, 4), (4, 3), (9, 16), (16, 9))
_LARGEST_SEED = 2**32 - 1
_SCHEDULERS = {
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "pndm": "PNDM",
    "lms": "LMS",
    "euler": "Euler",
    "euler-karras": "Euler, Karras",
    "euler-a": "Euler, ancestral",
    "heun": "Heun",
    "dpm2": "DPM2",
    "dpm2-a": "DPM2, ancestral",
    "dpm++2m": "DPM++ 2M",
    "dpm++2m-karras": "DPM++ 2M, Karras",
    "dpm++2m-sde": "DPM++ 2M SDE",
    "dpm++2m-sde-karras": "DPM++ 2M SDE, Karras",
    "dpm++2s": "DPM++ 2S",
    "deis": "DEIS",
    "unipc": "UniPC",
    "lcm": "LCM",
    "tcd": "TCD",
    "flow-euler": "Euler, for flow models",
    "flow-heun": "Heun, for flow models",
}


class SamplingControls(NamedTuple):
    """The controls, in the order of `sampling_options`'s arguments."""

    negative: gr.Textbox
    steps: gr.Textbox
    guidance: gr.Textbox
    size: gr.Dropdown
    width: gr.Textbox
    height: gr.Textbox
    scheduler: gr.Dropdown


class SeedControls(NamedTuple):
    """The seed, and whether it is kept from one set to the next."""

    seed: gr.Number
    keep: gr.Checkbox


def seed_controls(info: str, prefix: str) -> SeedControls:
    """A seed that is drawn anew for every run, unless it is kept; a seed that is typed is kept."""
    with gr.Row(elem_classes="fg-seed", equal_height=False):
        seed = gr.Number(
            new_seed(), precision=0, minimum=None, label="Seed", info=info, elem_id=f"{prefix}-seed"
        )
        again = gr.Button("New seed", size="sm", elem_id=f"{prefix}-seed-new")
    keep = gr.Checkbox(False, label="Keep this seed for the next run", elem_id=f"{prefix}-seed-keep")
    again.click(new_seed, None, seed, **QUIET)
    seed.input(lambda: True, None, keep, **QUIET)
    return SeedControls(seed, keep)


def new_seed() -> int:
    """A seed that nobody chose, 0 to 2^32 - 1."""
    return secrets.randbelow(_LARGEST_SEED + 1)


def seed_for(typed: Any, keep: Any) -> int:
    """The seed of the run that is about to begin. Raises `UserError` where a kept one cannot be used."""
    return whole(typed, 0, _LARGEST_SEED, "seed") if keep is True else new_seed()


def sampling_controls(prefix: str) -> SamplingControls:
    """The controls, in the layout that is open; ``prefix`` begins their ids."""
    negative = gr.Textbox(
        label="What the pictures should not show",
        placeholder="blurry, drawing",
        info="The negative prompt. Leave skin tones out of it: the target says those.",
        max_length=1000,
        elem_id=f"{prefix}-negative",
    )
    with gr.Row(elem_classes="fg-two", equal_height=False):
        steps = _number("Steps", f"{prefix}-steps")
        guidance = _number("Guidance", f"{prefix}-guidance")
    size = gr.Dropdown(
        size_choices(None), value=_OWN, label="Size", filterable=False, elem_id=f"{prefix}-size"
    )
    with gr.Row(elem_classes="fg-two", equal_height=False, visible=False) as sides:
        width = _number("Width, pixels", f"{prefix}-width", "512")
        height = _number("Height, pixels", f"{prefix}-height", "512")
    scheduler = gr.Dropdown(
        [("The model's own", _OWN), *((_SCHEDULERS.get(name, name), name) for name in NAMES)],
        value=_OWN,
        label="Scheduler",
        info="The rule by which noise is taken away. One that does not fit the model is refused.",
        elem_id=f"{prefix}-scheduler",
    )
    hint(
        "Changing any of these makes pictures respond to steering in another way. So fairgen measures the "
        "model once more, briefly, before such a set."
    )
    size.change(lambda chosen: gr.update(visible=chosen == _BY_HAND), size, sides, **QUIET)
    return SamplingControls(negative, steps, guidance, size, width, height, scheduler)


def sampling_options(
    negative: Any, steps: Any, guidance: Any, size: Any, width: Any, height: Any, scheduler: Any
) -> dict[str, Any]:
    """What was set, as fields of `fairgen.ModelOptions` by name. Raises `UserError`."""
    found: dict[str, Any] = {}
    words = " ".join(text(negative or "", 1000, "negative prompt").split())
    if words:
        found["negative_prompt"] = words
    if (number := _typed(steps, "number of steps")) is not None:
        found["steps"] = whole(number, 1, 1000, "number of steps")
    if (number := _typed(guidance, "guidance")) is not None:
        found["guidance_scale"] = number
    sides = (width, height) if size == _BY_HAND else str(size or _OWN).split("x")
    if size == _BY_HAND or len(sides) == 2:
        for name, side in zip(("width", "height"), sides, strict=True):
            found[name] = whole(_typed(side, name), 16, 4096, name)
    if scheduler not in (None, _OWN):
        found["scheduler"] = text(scheduler, 100, "scheduler")
    return found


def sampling_values(options: ModelOptions) -> tuple[Any, ...]:
    """The values of the controls that `sampling_options` makes such options of, in the controls' order."""
    sides = (options.width, options.height)
    return (
        options.negative_prompt or "",
        "" if options.steps is None else str(options.steps),
        "" if options.guidance_scale is None else f"{options.guidance_scale:g}",
        _OWN if sides == (None, None) else _BY_HAND,
        *("" if side is None else str(side) for side in sides),
        options.scheduler or _OWN,
    )


def _number(label: str, elem_id: str, placeholder: str = "the model's") -> gr.Textbox:
    """A box for a number that may be left empty: Gradio's own makes a nought of nothing."""
    return gr.Textbox(label=label, placeholder=placeholder, max_length=12, elem_id=elem_id)


def _typed(value: Any, what: str) -> float | None:
    """What was typed as a number; None for nothing. Raises `UserError`."""
    words = text(value or "", 40, what).strip().replace(",", ".")
    if not words:
        return None
    try:
        return float(words)
    except ValueError:
        raise UserError(f"The {what} must be a number, not {words!r}.") from None


def size_choices(own: tuple[int, int] | None) -> list[tuple[str, str]]:
    """(label, value): the model's ``own`` (width, height) in pixels, others of about as many pixels, and by
    hand.
    """
    if own is None:
        return [("The model's own", _OWN), ("Set by hand …", _BY_HAND)]
    width, height = own
    found = [(f"The model's own, {width} × {height}", _OWN)]
    pixels = width * height
    for across, down in _SHAPES:
        wide, high = _sides(pixels, across, down)
        if (wide, high) != (width, height):
            found.append((f"{across}:{down}, {wide} × {high}", f"{wide}x{high}"))
    return [*found, ("Set by hand …", _BY_HAND)]


def offered_size(own: tuple[int, int] | None, chosen: Any) -> Any:
    """The update of the choice for another model: what it does not offer gives way to its own size."""
    choices = size_choices(own)
    known = chosen in [value for _, value in choices]
    return gr.update(choices=choices) if known else gr.update(choices=choices, value=_OWN)


def _sides(pixels: int, across: int, down: int) -> tuple[int, int]:
    """Sides of that shape with about so many pixels."""
    unit = (pixels / (across * down)) ** 0.5
    step = 64 if pixels >= 512 * 512 else 32  # of which sides are whole multiples
    wide, high = (max(step, round(unit * part / step) * step) for part in (across, down))
    return wide, high
