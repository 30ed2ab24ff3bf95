"""Fixtures of the web app's tests; a module of their own, since mypy knows one ``conftest`` only."""

from ui_server import browser, client, face, page, served

__all__ = ["browser", "client", "face", "page", "served"]
