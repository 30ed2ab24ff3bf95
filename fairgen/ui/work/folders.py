"""The folder of one run of one visitor, and the addresses of the files in it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

FILES = "files"
"""First part of the address of a run's file: ``files/<id>/<key>/<path>``."""


@dataclass
class RunFolder:
    """A run's folder, and who may open it."""

    id: str
    key: str
    owner: str
    folder: Path
    stop: threading.Event = field(default_factory=threading.Event)
    """Set to end the run after the batch in hand; what was made is kept."""
    orders: int = 0
    """How many orders for it this server has taken."""

    def url(self, file: str) -> str:
        """Address of one of its files, relative to the app's root."""
        return f"{FILES}/{self.id}/{self.key}/{quote(file)}"
