"""Fixtures of the web app's tests; a module of their own, since mypy knows one ``conftest`` only."""

from ui_server import client, face, page, quick_model, served

__all__ = ["client", "face", "page", "quick_model", "served"]
