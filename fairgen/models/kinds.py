"""The kinds of model by name: what each is, which names are its own, and how it is loaded.

A kind is one file, whose class fulfils `fairgen.models.contract.Model`, and its entry in `_KINDS`. It is
imported when a model of that kind is first loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["REMOTE", "Kind", "kind_of", "kinds", "register"]

REMOTE = "api:"
"""How the name of a model behind an API begins."""


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    Attributes:
        name: what it is called.
        sentence: which models these are, for the help of ``--model``.
        home: ``module:function`` that loads one; it takes the model, the device, ``name`` and
            ``options`` (`fairgen.models.options.ModelOptions`).
        takes: whether a name that a user gave is one of its models.
    """

    name: str
    sentence: str
    home: str
    takes: Callable[[str], bool]


_KINDS = [
    Kind(
        "api",
        "'api:NAME' for a model behind an OpenAI-compatible images API",
        "fairgen.models.remote:load_remote",
        lambda name: name.startswith(REMOTE),
    ),
    Kind(
        "diffusers",
        "'embedded', a hub id, a folder in diffusers' format, a single file (.safetensors, .gguf), or a "
        "YAML file of settings",
        "fairgen.models.loading:load_diffusers",
        lambda name: True,
    ),
]


def register(kind: Kind) -> None:
    """Add a kind of model. It is asked before those that are there whether a name is its own.

    Raises:
        ValueError: the name is taken by another kind.
    """
    if any(one.name == kind.name for one in _KINDS):
        raise ValueError(f"there is a kind of model {kind.name!r} already")
    _KINDS.insert(0, kind)


def kinds() -> tuple[Kind, ...]:
    """Every kind, in the order in which they are asked."""
    return tuple(_KINDS)


def kind_of(name: str) -> Kind:
    """The kind of the model that a user names."""
    return next(kind for kind in _KINDS if kind.takes(name))
