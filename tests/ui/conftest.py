"""Fixtures of the web app's tests."""

from tests.doubles.ui_server import client, face, page, quick_model, served

__all__ = ["client", "face", "page", "quick_model", "served"]
