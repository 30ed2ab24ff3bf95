"""Colours, type and spacing of the page; no font and no style sheet comes from elsewhere."""

from __future__ import annotations

from typing import Any

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Liberation Sans", "sans-serif")
MONO = ("ui-monospace", "Liberation Mono", "Menlo", "monospace")

_BLUE = gr.themes.Color(
    c50="#eef5fa", c100="#d8e8f3", c200="#b3d2e7", c300="#85b7d8", c400="#4f95c4", c500="#2b78ab",
    c600="#14507a", c700="#124668", c800="#103a56", c900="#0e3048", c950="#0a2132",
)  # fmt: skip
_STONE = gr.themes.Color(
    c50="#fbfaf7", c100="#f3f0e9", c200="#e6e2d9", c300="#d2ccbf", c400="#a39d92", c500="#79736a",
    c600="#5f5b54", c700="#403d39", c800="#26272a", c900="#1c1d20", c950="#151618",
)  # fmt: skip

_COLOURS = {
    "body_background_fill": ("#fbfaf7", "#161719"),
    "body_text_color": ("#1d1c1a", "#ebe8e1"),
    "body_text_color_subdued": ("#5f5b54", "#a6a29a"),
    "background_fill_primary": ("#ffffff", "#1e2023"),
    "background_fill_secondary": ("#fbfaf7", "#1a1b1e"),
    "block_background_fill": ("#ffffff", "#1e2023"),
    "block_border_color": ("#dedad1", "#383a3e"),
    "block_label_background_fill": ("transparent", "transparent"),
    "block_label_text_color": ("#1d1c1a", "#ebe8e1"),
    "block_title_text_color": ("#1d1c1a", "#ebe8e1"),
    "block_info_text_color": ("#5f5b54", "#a6a29a"),
    "border_color_primary": ("#dedad1", "#383a3e"),
    "input_background_fill": ("#ffffff", "#161719"),
    "input_border_color": ("#b9b3a6", "#55585e"),
    "input_border_color_focus": ("#14507a", "#6db3e6"),
    "input_placeholder_color": ("#726c62", "#a6a29a"),
    "button_primary_background_fill": ("#14507a", "#6db3e6"),
    "button_primary_background_fill_hover": ("#0f4266", "#8cc4ee"),
    "button_primary_text_color": ("#ffffff", "#0b1a26"),
    "button_secondary_background_fill": ("#ffffff", "#26282c"),
    "button_secondary_background_fill_hover": ("#f3f0e9", "#303338"),
    "button_secondary_border_color": ("#c9c3b6", "#4a4d53"),
    "button_secondary_text_color": ("#1d1c1a", "#ebe8e1"),
    "button_cancel_background_fill": ("#ffffff", "#26282c"),
    "button_cancel_background_fill_hover": ("#fbe9dc", "#4a2f1b"),
    "button_cancel_border_color": ("#c0601a", "#eb8f47"),
    "button_cancel_text_color": ("#8f4411", "#f3b384"),
    "slider_color": ("#14507a", "#6db3e6"),
    "link_text_color": ("#14507a", "#8cc4ee"),
    "link_text_color_hover": ("#0f4266", "#b3d8f3"),
    "loader_color": ("#14507a", "#6db3e6"),
    "accordion_text_color": ("#1d1c1a", "#ebe8e1"),
}
"""What it is for -> its colour by day and by night."""


def theme() -> Any:
    """The theme: warm paper and deep blue by day, charcoal and light blue by night."""
    base = gr.themes.Base(
        primary_hue=_BLUE,
        secondary_hue=_BLUE,
        neutral_hue=_STONE,
        radius_size=gr.themes.sizes.radius_md,
        font=[gr.themes.Font(name) for name in SANS],
        font_mono=[gr.themes.Font(name) for name in MONO],
    )
    by_day = {name: day for name, (day, _) in _COLOURS.items()}
    by_night = {f"{name}_dark": night for name, (_, night) in _COLOURS.items()}
    return base.set(
        **by_day,
        **by_night,
        block_title_text_weight="600",
        block_shadow="none",
        block_border_width="0px",
        block_padding="0px",
        input_border_width="1px",
        layout_gap="18px",
        form_gap_width="0px",
    )
