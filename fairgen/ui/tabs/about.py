"""The tab that says what is measured and what is not, and shows the embedded model's card."""

from __future__ import annotations

import gradio as gr

from fairgen.common.resources import embedded_model_dir
from fairgen.ui.parts.components import html
from fairgen.ui.parts.markup import render
from skin_tone.scales import SCALES


def about_tab() -> None:
    """Build the tab."""
    html(render("about", scales=list(SCALES.values())))
    with gr.Accordion("The embedded model's card", open=False, elem_id="fg-model-card"):
        gr.Markdown(_card(), elem_classes="fg-prose")


def _card() -> str:
    """The model card without its front matter."""
    text = (embedded_model_dir() / "README.md").read_text(encoding="utf-8")
    if text.startswith("---"):
        text = text.split("---", 2)[2]
    # The page has its own headings above these.
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in text.strip().splitlines())
