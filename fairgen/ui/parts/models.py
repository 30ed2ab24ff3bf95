"""The choice of a model."""

from __future__ import annotations

import gradio as gr

from fairgen.ui.work.engine import Engine


def model_choice(engine: Engine) -> gr.Dropdown:
    """The server's models; on a machine of one's own, any other as well."""
    info = "The models that this server was started with."
    if engine.any_model:
        info = "'embedded', a hub id, or a folder in diffusers' format."
    return gr.Dropdown(
        list(engine.models),
        value=engine.default,
        label="Model",
        info=info,
        allow_custom_value=engine.any_model,
    )
