"""What the page's script needs to find its work again after the line to the server dropped."""

from __future__ import annotations

import secrets

from fairgen.ui.parts.markup import render
from fairgen.ui.work.folders import RunFolder

DRAW = """(...given) => {
  const bytes = crypto.getRandomValues(new Uint8Array(36));
  given[0] = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
  window.fairgenDrawn?.(given[0]);
  return given;
}"""
"""Draws id and key of a run before it is ordered (the first input), and lets the browser keep them: so it
finds the run again even where the answer to the order gets lost.
"""


def seen(run: RunFolder, version: int, *, running: bool) -> str:
    """What the page has seen of a run, for its script: it loads the page anew where the server is further."""
    return render("seen", run=run, version=version, running=running)


def to_follow(run: RunFolder) -> dict[str, str]:
    """A value that differs from all before it and names the run to follow."""
    return {"run": run.id, "look": secrets.token_hex(4)}
