"""Tones what a pipeline's own ``encode_prompt`` returns, picture by picture, whatever its layout is.

Nothing is known of the pipeline but this: the method is called with prompts, and what it returns for a toned
prompt differs from what it returns for the plain one exactly where the text stands. Every prompt is encoded
once for each anchor that its strengths need, by the pipeline itself and with the arguments of its own call;
the rows that differ are mixed. Where an encoder pads to the longest prompt of its batch, all prompts that are
needed are encoded as one batch, so that the pipeline pads and masks them itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fairgen.errors import UserError
from fairgen.steering.conditioning import leaves, replaced
from fairgen.steering.encode_request import EncodeRequest, Pictures, arguments_of, own_lists, prompt_texts
from fairgen.steering.layout import Singles, Slot, at, is_toned, other_axes, same_lengths, slots, trees_differ
from fairgen.steering.memory import Memory, key_of
from fairgen.steering.mixing import Mixer

_CHANGED, _CHANGED_HALF = 1e-3, 0.03
"""Relative difference from which on an encoding is another than the one that was kept; more in half
precision, where it depends on the batch size."""


class Encoder:
    """Stands in for one pipeline's ``encode_prompt`` during one call of the pipeline.

    Args:
        name: the pipeline's class, for messages.
        pictures: what the call makes.
        memory: where encodings are kept.
    """

    def __init__(self, name: str, pictures: Pictures, memory: Memory) -> None:
        self._name = name
        self._pictures = pictures
        self._memory = memory
        self._first: dict[str, Any] | None = None
        self.steered = False
        """Whether a prompt was encoded."""

    def __call__(self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What ``original(*args, **kwargs)`` returns, toned where it encodes the call's prompts.

        Raises:
            UserError: the encoding cannot be mixed; the sentence says why.
            NeedsOwnPromptsError: see there.
        """
        arguments = own_lists(arguments_of(original, args, kwargs))
        ours = self._is_the_prompt(arguments)
        plain = original(*args, **kwargs)
        if not ours:
            return plain
        self.steered = True
        return EncodeCall(self._name, original, arguments, self._pictures, self._memory).toned(plain)

    def _is_the_prompt(self, arguments: dict[str, Any]) -> bool:
        """The first text that a call of a pipeline encodes is the prompt. The same text again is the prompt
        for another encoder if anything else differs; else it is the unconditional half's.
        """
        texts = prompt_texts(arguments)
        if not texts:
            return False
        if self._first is None:
            self._first = arguments
            return True
        if texts != prompt_texts(self._first):
            return False
        return any(
            arguments.get(name) is not self._first.get(name) and arguments.get(name) != self._first.get(name)
            for name in (set(arguments) | set(self._first)) - set(texts)
            if not hasattr(arguments.get(name), "shape") and not hasattr(self._first.get(name), "shape")
        )


class EncodeCall:
    """One call of ``encode_prompt`` with the prompts; ``checked``: the tone words must be read whole."""

    def __init__(
        self,
        name: str,
        original: Callable[..., Any],
        arguments: dict[str, Any],
        pictures: Pictures,
        memory: Memory,
        *,
        checked: bool = True,
    ) -> None:
        self._request = EncodeRequest(name, arguments, pictures)
        self._original = original
        self._memory = memory
        self._checked = checked

    def toned(self, plain: Any) -> Any:
        """``plain``, what the pipeline encoded, with every picture's own tone."""
        singles = self._singles(plain)
        parts = self._slots(plain, singles)
        text = [slot for slot in parts if is_toned(slot, singles)]
        if not text:
            raise UserError(self._cut())
        mixer = Mixer(self._request, plain, singles)
        if same_lengths(plain, singles, text):
            return replaced(plain, {slot.path: mixer.rows(slot) for slot in text})
        joint = self._original(**self._request.for_all(mixer.needed))
        return mixer.jointly(joint, parts, text)

    def _slots(self, plain: Any, singles: Singles) -> list[Slot]:
        counts = {self._request.count, len(self._request.blends)}
        toned = [tree for (place, anchor), tree in singles.items() if place == 0 and anchor is not None]
        return list(slots(plain, singles[0, None], counts, toned=toned))

    def _singles(self, plain: Any) -> Singles:
        """(prompt, anchor or None) -> the encoding of that prompt alone."""
        request = self._request
        for _ in range(2):
            singles: dict[tuple[int, int | None], Any] = {}
            for place in range(request.count):
                blends = [b for p, b in enumerate(request.blends) if request.prompt_of[p] == place]
                singles[place, None] = self._single(place, None)
                for anchor in sorted({a for blend in blends for a in blend.anchors}):
                    singles[place, anchor] = self._single(place, anchor)
                    if self._checked and not self._is_read(place, anchor, singles[place, anchor]):
                        raise UserError(self._cut())
            if not self._stale(plain, singles):
                break
            self._memory.clear()  # weights, adapters or an encoder have changed since
        return singles

    def _single(self, place: int, anchor: int | None, ending: str = "") -> Any:
        arguments = self._request.for_one(place, anchor, ending)
        key = key_of(arguments)
        if key is None:
            return self._original(**arguments)
        return self._memory.get((key, ending), lambda: self._original(**arguments))

    def _is_read(self, place: int, anchor: int, toned: Any) -> bool:
        """Whether the last letter of the tone words reaches what is returned."""
        key = key_of(self._request.for_one(place, anchor))

        def look() -> bool:
            return trees_differ(toned, self._single(place, anchor, "skim"))

        return look() if key is None else bool(self._memory.get((key, "is read"), look))

    def _stale(self, plain: Any, singles: Singles) -> bool:
        """Whether a kept encoding of a plain prompt is no longer what the pipeline makes of it."""
        for slot in self._slots(plain, singles):
            value, alone = at(plain, slot.path), at(singles[0, None], slot.path)
            if isinstance(value, list):
                pairs = zip(leaves(value), leaves(alone), strict=False)
                first = next(pairs, None)
                if first is not None and hasattr(first[0][1], "shape") and _moved(first[0][1], first[1][1]):
                    return True
                continue
            if slot.axis is None or slot.whole:
                continue
            if not value.is_floating_point() or other_axes(value, slot.axis) != other_axes(alone, slot.axis):
                continue
            if _moved(value.select(slot.axis, 0), alone.select(slot.axis, 0)):
                return True
        return False

    def _cut(self) -> str:
        return (
            f"The prompt is too long for {self._request.name}: the tone words at its end are cut off, in "
            "whole or in part. Shorten it, or raise max_sequence_length."
        )


def _moved(now: Any, kept: Any) -> bool:
    """Whether an encoding is another than the one that was kept, by more than rounding."""
    if now.shape != kept.shape or not now.is_floating_point():
        return False
    bound = _CHANGED if now.dtype.itemsize >= 4 else _CHANGED_HALF
    return float((now.float() - kept.float()).norm()) > bound * max(1e-6, float(now.float().norm()))
