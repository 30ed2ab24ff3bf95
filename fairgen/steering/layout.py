"""Where the text stands in what a pipeline's encoder returns: by comparison with the encodings of single
prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairgen.steering.conditioning import Path, leaves

_LENGTH_MATTERS = ("Kandinsky3", "QwenImage21")
"""Models whose pictures change by how far a prompt is padded, though they have a mask."""

Singles = Mapping[tuple[int, int | None], Any]
"""(prompt, anchor or None) -> what is returned for that prompt alone, with the anchor's tone words."""


@dataclass(frozen=True)
class Slot:
    """One part of what an encoder returns, with a row for each prompt or picture.

    Attributes:
        path: where it stands.
        axis: the rows' axis of a tensor; None: a list with an entry a row.
        whole: there is one row only, and no axis for it.
        cumulative: it holds cumulative lengths, not rows.
    """

    path: Path
    axis: int | None = None
    whole: bool = False
    cumulative: bool = False


def length_matters(name: str) -> bool:
    """Whether a pipeline's pictures (or a modular one's block's) change by how far a prompt is padded."""
    return name.startswith(_LENGTH_MATTERS)


def slots(
    value: Any, single: Any, counts: set[int], path: Path = (), toned: Sequence[Any] = ()
) -> Iterator[Slot]:
    """Every part of what was returned; ``single``: for one prompt alone; ``counts``: of rows there may be;
    ``toned``: as ``single``, with tone words.
    """
    if isinstance(value, list | tuple) and isinstance(single, list | tuple):
        if len(value) != len(single) or (
            isinstance(value, list) and any(_of_other_lengths(single, other) for other in toned)
        ):
            yield Slot(path)
            return
        for place, (inner, other) in enumerate(zip(value, single, strict=True)):
            yield from slots(inner, other, counts, (*path, place), _inside(toned, place))
    elif isinstance(value, Mapping) and isinstance(single, Mapping):
        for key in value:
            if key in single:
                yield from slots(value[key], single[key], counts, (*path, key), _inside(toned, key))
    elif hasattr(value, "shape") and hasattr(single, "shape"):
        if _is_cumulative(value, single):
            yield Slot(path, cumulative=True)
        else:
            axis = row_axis(value, single, counts)
            yield Slot(path, axis, whole=axis is None)
    elif value is not None and single is not None:
        yield Slot(path, whole=True)


def _inside(trees: Sequence[Any], key: Any) -> list[Any]:
    """What stands at a key of each tree that has it."""
    within = [tree for tree in trees if isinstance(tree, Mapping | list | tuple)]
    return [tree[key] for tree in within if (key in tree if isinstance(tree, Mapping) else key < len(tree))]


def _of_other_lengths(single: Sequence[Any], toned: Any) -> bool:
    """Whether these lists hold a tensor for each prompt, whose first axis is the tokens' and not the rows':
    a call with one prompt returns a list that is no longer than that of a prompt alone.
    """
    if not isinstance(toned, list) or len(toned) != len(single):
        return False
    pairs = list(zip(single, toned, strict=True))
    tensors = all(hasattr(mine, "shape") and hasattr(other, "shape") for mine, other in pairs)
    return tensors and any(mine.shape[:1] != other.shape[:1] for mine, other in pairs)


def is_toned(slot: Slot, singles: Singles) -> bool:
    """Whether the tone words change this part."""
    return any(
        anchor is not None and trees_differ(at(toned, slot.path), at(singles[place, None], slot.path))
        for (place, anchor), toned in singles.items()
    )


def same_lengths(plain: Any, singles: Singles, text: Sequence[Slot]) -> bool:
    """Whether every prompt is encoded to as many tokens, or stands in a list of its own length."""
    for slot in text:
        if slot.cumulative:
            return False
        if slot.axis is None and not slot.whole:
            continue
        shapes = {
            other_axes(at(tree, slot.path), slot.axis)
            for tree in [plain, *(tree for (_, anchor), tree in singles.items() if anchor is not None)]
        }
        if len(shapes) > 1:
            return False
    return True


def at(tree: Any, path: Path) -> Any:
    """The leaf at this path."""
    for key in path:
        tree = tree[key]
    return tree


def other_axes(value: Any, axis: int | None) -> Any:
    """The shape without the rows' axis."""
    if not hasattr(value, "shape"):
        return None
    shape = list(value.shape)
    if axis is not None:
        del shape[axis]
    return tuple(shape)


def row_axis(value: Any, single: Any, counts: set[int]) -> int | None:
    """The axis along which ``value`` is so many times as long as the encoding of one prompt."""
    if value.ndim != single.ndim:
        return None
    for axis in range(value.ndim):
        if single.shape[axis] and value.shape[axis] in {count * single.shape[axis] for count in counts}:
            if value.shape[axis] == single.shape[axis] and value.ndim > 1 and axis == 0:
                return 0  # one prompt: its rows come first
            if value.shape[axis] != single.shape[axis]:
                return axis
    return None


def _is_cumulative(value: Any, single: Any) -> bool:
    """Whether it holds cumulative lengths, 0 first, as kernels for packed sequences want them."""
    integer = value.ndim == 1 and not value.is_floating_point() and single.ndim == 1
    return bool(integer and len(single) == 2 and len(value) > 1 and value[0] == 0 and single[0] == 0)


def differ(first: Any, second: Any) -> bool:
    """Whether two leaves differ, in kind, in shape or in any number; functions never do."""
    import torch

    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return first.shape != second.shape or not torch.equal(first, second)
    if callable(first):
        return False
    return bool(type(first) is not type(second) or first != second)


def trees_differ(first: Any, second: Any) -> bool:
    """Whether two nested values differ anywhere."""
    mine, theirs = dict(leaves(first)), dict(leaves(second))
    return mine.keys() != theirs.keys() or any(differ(mine[path], theirs[path]) for path in mine)
