"""Binds guidance to one pipeline and one thread, for as long as a block lasts.

While a pipeline is attached, its instance is called through a subclass made for it, and its own
``encode_prompt`` (that of the instance, and of pipelines inside it) goes through a look at who is calling.
Classes, modules and other pipelines are untouched; a thread without guidance of its own passes straight
through. The last one to leave puts everything back.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Protocol

from fairgen.errors import UserError

_LOCK = threading.RLock()
_ATTACHED: dict[int, _Attachment] = {}


class Guided(Protocol):
    """What an attachment asks, in the thread that attached it."""

    def run(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The pipeline was called; ``call(*args, **kwargs)`` is its own call."""

    def encode(
        self,
        encoder: tuple[Any, str],
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """The pipeline, or one inside it, encodes a prompt by its own method ``original``; ``encoder``: the
        owner and the name of the method.
        """


class _Attachment:
    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.guided: dict[int, Guided] = {}
        self._class = type(pipe)
        self._replaced: list[tuple[Any, str, Any]] = []
        pipe.__class__ = _attached_class(self._class)
        for owner, name in encoders(pipe):
            self._replaced.append((owner, name, vars(owner).get(name)))
            object.__setattr__(owner, name, self._looked_up((owner, name), getattr(owner, name)))

    def end(self) -> None:
        for owner, name, before in reversed(self._replaced):
            object.__delattr__(owner, name)
            if before is not None:
                object.__setattr__(owner, name, before)
        self.pipe.__class__ = self._class

    def _looked_up(self, encoder: tuple[Any, str], original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def encode(*args: Any, **kwargs: Any) -> Any:
            guided = self.guided.get(threading.get_ident())
            return (
                original(*args, **kwargs)
                if guided is None
                else guided.encode(encoder, original, args, kwargs)
            )

        return encode


def _attached_class(own: type) -> type:
    """A subclass that differs in nothing but where a call goes first."""

    @functools.wraps(own.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        bare = functools.partial(own.__call__, self)
        guided = guidance_of(self)
        return bare(*args, **kwargs) if guided is None else guided.run(bare, args, kwargs)

    names = {"__call__": call, "__module__": own.__module__, "__qualname__": own.__qualname__}
    return type(own.__name__, (own,), names)


def encoders(pipe: Any) -> list[tuple[Any, str]]:
    """The pipeline and those inside it that encode prompts, with the name of the method; StableUnCLIP has a
    second one for its prior.
    """
    from diffusers import DiffusionPipeline

    inner = [value for value in vars(pipe).values() if isinstance(value, DiffusionPipeline)]
    found = []
    for owner in [pipe, *inner]:
        for name in ("encode_prompt", "_encode_prompt"):
            if callable(getattr(owner, name, None)):
                found.append((owner, name))
                break
        if callable(getattr(owner, "_encode_prior_prompt", None)):
            found.append((owner, "_encode_prior_prompt"))
    return found


def guidance_of(pipe: Any) -> Guided | None:
    """The guidance that this thread has attached to the pipeline."""
    attachment = _ATTACHED.get(id(pipe))
    return None if attachment is None else attachment.guided.get(threading.get_ident())


def attach(pipe: Any, guided: Guided) -> None:
    """Send this thread's calls of the pipeline through ``guided``, until `detach`.

    Raises:
        UserError: this thread has attached guidance to the pipeline already.
    """
    with _LOCK:
        if guidance_of(pipe) is not None:
            raise UserError(
                f"This {type(pipe).__name__} is already steered by a ToneGuidance: leave its block first; "
                "one guidance takes a strength for each picture."
            )
        attachment = _ATTACHED.get(id(pipe))
        if attachment is None:
            attachment = _ATTACHED[id(pipe)] = _Attachment(pipe)
        attachment.guided[threading.get_ident()] = guided


def detach(pipe: Any) -> None:
    """End what `attach` began in this thread."""
    with _LOCK:
        attachment = _ATTACHED[id(pipe)]
        del attachment.guided[threading.get_ident()]
        if not attachment.guided:
            attachment.end()
            del _ATTACHED[id(pipe)]
