"""How a server is started. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fairgen.ui.work.limits import Limits

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine can reach."""


@dataclass(frozen=True)
class Settings:
    """The defaults are those of ``fairgen serve``."""

    host: str = "127.0.0.1"
    port: int = 7860
    share: bool = False
    auth: tuple[tuple[str, str], ...] = ()
    """(name, password) of those who may sign in; empty: everybody who reaches the server."""
    runs: Path = Path("runs")
    keep_hours: float | None = None
    """Runs that are older are deleted when a new one starts; None keeps all."""
    open_browser: bool = False
    allowed_hosts: tuple[str, ...] = ()
    """Further host names that the server answers to; ``*``: whatever a request says."""
    llm_servers: tuple[str, ...] = ()
    """Addresses of language models that visitors may name, beside the environment's."""
    framed_by: tuple[str, ...] = ()
    """Origins whose pages may show this one in a frame."""
    monitors: tuple[Path, ...] = ()
    """States of monitors (``fairgen monitor --state``) that visitors may look at."""
    limits: Limits = field(default_factory=Limits)

    @property
    def public(self) -> bool:
        """Whether others than the users of this machine can reach the server."""
        return self.share or self.host not in LOOPBACK
