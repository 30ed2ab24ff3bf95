"""The web app's entry for hosts that run a file, such as a Hugging Face Space; else use ``fairgen serve``.

A Space sets SPACE_ID: the server then listens on every address, lets everybody in (the Space's own settings
say who that is) and deletes runs after six hours.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Serve on the host and port that GRADIO_SERVER_NAME and GRADIO_SERVER_PORT name."""
    from fairgen.ui.work.engine import Engine

    space = "SPACE_ID" in os.environ
    # The embedded model unless the host names others, separated by commas.
    models = tuple(os.environ.get("FAIRGEN_MODELS", "embedded").split(","))
    engine = Engine(models, any_model=not space)
    engine.preload()
    from fairgen.ui.server.app import launch
    from fairgen.ui.server.settings import Settings

    settings = Settings(
        host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if space else "127.0.0.1"),
        port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        runs=Path(tempfile.gettempdir()) / "fairgen-runs" if space else Path("runs"),
        keep_hours=6 if space else None,
        allowed_hosts=tuple(filter(None, os.environ.get("SPACE_HOST", "").split(","))),
        framed_by=("https://huggingface.co",) if space else (),
    )
    launch(settings, engine)


if __name__ == "__main__":
    from fairgen.errors import UserError

    try:
        main()
    except UserError as error:
        sys.exit(f"fairgen: {error}")
