"""Fixtures of the web app's tests."""

from tests.doubles.ui_server import client, face, page, served

__all__ = ["client", "face", "page", "served"]
