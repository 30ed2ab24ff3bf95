"""The path of tones from light to dark, and how two encodings of a prompt are mixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANCHORS: tuple[tuple[float, str], ...] = (
    (-1.0, "very fair"),
    (0.0, "tan"),
    (0.5, "dark brown"),
    (1.0, "very dark"),
)
"""Strength -> tone words of the prompt whose encoding stands there, light to dark."""
RAMP = 0.05
"""Strengths nearer to 0 than this still hold a share of the plain prompt."""


@dataclass(frozen=True)
class Blend:
    """Which encodings a strength is made of.

    Piecewise linear between the anchors nearest to the strength, beyond the last two by extrapolation; within
    `RAMP` of 0 mixed with the plain prompt, so that the effect of a strength ends continuously at none.

    A single direction (dark minus fair, added to the plain prompt) is the simpler choice and was measured
    first: on the embedded model it leaves a CEO as light as before up to full strength and then tips over,
    since the plain prompt's own bias remains in it (docs/steering.md).

    Attributes:
        low: the lower anchor's index.
        high: the upper anchor's index.
        share: how much of the upper one; outside 0-1 where it extrapolates.
        presence: share of the toned encoding, 0-1; the rest is the plain prompt's.
    """

    low: int
    high: int
    share: float
    presence: float

    @classmethod
    def of(cls, strength: float, places: Sequence[float]) -> Blend:
        """The blend for a strength, usually in [-1.3, 1.3]; ``places`` of the anchors rise."""
        low = max((i for i in range(len(places) - 1) if places[i] <= strength), default=0)
        share = (strength - places[low]) / (places[low + 1] - places[low])
        return cls(low, low + 1, share, min(1.0, abs(strength) / RAMP))

    @property
    def anchors(self) -> tuple[int, ...]:
        """The anchors that it needs, none for strength 0."""
        if self.presence == 0:
            return ()
        if self.share == 0:
            return (self.low,)
        return (self.high,) if self.share == 1 else (self.low, self.high)

    def mix(self, plain: Any, toned: Mapping[int, Any]) -> Any:
        """The blend of values (see `mixed`); ``toned``: anchor -> value, for each of `anchors`."""
        if self.presence == 0:
            return plain
        found = [toned[anchor] for anchor in self.anchors]
        value = found[0] if len(found) == 1 else mixed(found[0], found[1], self.share)
        return value if self.presence == 1 else mixed(plain, value, self.presence)


def mixed(first: Any, second: Any, share: float) -> Any:
    """``1 - share`` of the first and ``share`` of the second; shares outside 0-1 extrapolate.

    Floating-point tensors are mixed number by number. Of masks, token counts and the like the larger one is
    taken. Where one text has more tokens than the other, the shorter one's last token stands in for those
    that it lacks.
    """
    import torch

    if share == 0:
        return first
    if share == 1:
        return second
    if not isinstance(first, torch.Tensor):
        return max(first, second)
    if first.shape != second.shape:
        length = max(first.shape[0], second.shape[0])
        first, second = _lengthened(first, length), _lengthened(second, length)
    if not first.is_floating_point() or (is_mask(first) and is_mask(second)):
        return torch.maximum(first, second)
    return torch.lerp(first, second, share)


def _lengthened(tokens: Any, length: int) -> Any:
    import torch

    missing = length - tokens.shape[0]
    if not missing:
        return tokens
    last = torch.zeros_like(tokens[:1]) if is_mask(tokens) else tokens[-1:]
    return torch.cat([tokens, last.repeat(missing, *[1] * (tokens.ndim - 1))])


def is_mask(values: Any) -> bool:
    """Whether a tensor holds nothing but zeros and ones."""
    import torch

    if values.dtype == torch.bool:
        return True
    return bool(((values == 0) | (values == 1)).all())


# Trees of arguments and results --------------------------------------------------------------------------

Path = tuple[Any, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Path and value of everything in nested dictionaries, lists and tuples, but for None."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))
    elif value is not None:
        yield path, value


def replaced(value: Any, changes: Mapping[Path, Any]) -> Any:
    """A copy of the nested value with the leaves at these paths changed; what is not on a path is shared."""
    if not changes:
        return value
    if () in changes:
        return changes[()]
    inner: dict[Any, dict[Path, Any]] = {}
    for path, new in changes.items():
        inner.setdefault(path[0], {})[path[1:]] = new
    if isinstance(value, Mapping):
        copy = dict(value)
        copy.update({key: replaced(value.get(key), below) for key, below in inner.items()})
        return copy
    items = list(value)
    for place, below in inner.items():
        items[place] = replaced(items[place], below)
    if isinstance(value, list):
        return items
    return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
