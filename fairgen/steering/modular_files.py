"""Files from which others load a steered block of Modular Diffusers, as its documentation describes."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from fairgen._version import __version__
from fairgen.errors import UserError

REQUIREMENTS = {"fairgen": f">={__version__}"}
"""What whoever loads a steered block needs beside diffusers; diffusers says so when it is missing."""

_MODULE = "block"
_SOURCE = '''"""Steers the skin tone of each picture by the input tone_strength; fairgen must be installed."""

from {package} import {base}

from fairgen.steering.modular import {parent}


class {name}({bases}):
    """{base}, with a tone of its own for each prompt."""

    {body}
'''


def write_block(
    block: Any,
    folder: str | PathLike[str],
    *,
    name: str,
    parent: str,
    base: type,
    anchors: Sequence[tuple[float, str]],
    **hub: Any,
) -> None:
    """Write a folder from which ``ModularPipelineBlocks.from_pretrained`` makes the block again.

    Args:
        block: what is saved; its configuration is written.
        folder: where to; it is made if it is not there.
        name: of the class that stands in ``block.py``.
        parent: the class of `fairgen.steering.modular` that it derives from.
        base: diffusers' own class: a block inside, or the workflow.
        anchors: strength -> tone words.
        hub: ``push_to_hub`` and what else diffusers' ``save_config`` takes.

    Raises:
        UserError: nobody else could import ``base``, or ``folder`` is a file.
    """
    where = Path(folder)
    if where.exists() and not where.is_dir():
        raise UserError(f"{where} is a file: name a folder to save the block in.")
    _check_importable(base)
    inside = parent == "ToneSteps"
    lines = [f"anchors = {tuple((float(place), str(words)) for place, words in anchors)!r}"]
    if inside:
        lines.insert(0, f"inner_class = {base.__name__}")
    source = _SOURCE.format(
        package=base.__module__,
        base=base.__name__,
        parent=parent,
        name=name,
        bases=parent if inside else f"{parent}, {base.__name__}",
        body="\n    ".join(lines),
    )
    where.mkdir(parents=True, exist_ok=True)
    (where / f"{_MODULE}.py").write_text(source, "utf-8")
    # As diffusers' own save_pretrained does, which would name the module of this class instead.
    block.register_to_config(
        auto_map={"ModularPipelineBlocks": f"{_MODULE}.{name}"}, requirements=REQUIREMENTS
    )
    block.save_config(save_directory=str(where), **hub)


def _check_importable(kind: type) -> None:
    """Raise `UserError` where a class is not found again by its module and name."""
    root = kind.__module__.partition(".")[0]
    found = None
    if root not in ("__main__", "diffusers_modules"):
        found = getattr(importlib.import_module(kind.__module__), kind.__name__, None)
    if found is not kind:
        raise UserError(
            f"{kind.__name__} is not in an installed package, so that others could not load it: save that "
            "block first, and put ToneSteps around it where it is used."
        )
