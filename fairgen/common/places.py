"""Where fairgen keeps what belongs to a user and to no single run."""

from __future__ import annotations

import os
from pathlib import Path

_HOME = "FAIRGEN_HOME"
"""The variable that names one folder for all of it."""


def data_folder(name: str) -> Path:
    """Of what was costly to make: ``$FAIRGEN_HOME/name``, else one in the platform's data folder."""
    import platformdirs

    return _home(name) or Path(platformdirs.user_data_dir("fairgen", appauthor=False), name)


def cache_folder(name: str) -> Path:
    """Of what can be had again: ``$FAIRGEN_HOME/name``, else one in the platform's cache folder."""
    import platformdirs

    return _home(name) or Path(platformdirs.user_cache_dir("fairgen", appauthor=False), name)


def _home(name: str) -> Path | None:
    home = os.environ.get(_HOME)
    return Path(home, name) if home else None
