"""Mixes encodings of plain and toned prompts, picture by picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairgen.steering.conditioning import Blend, is_mask, leaves, replaced
from fairgen.steering.encode_request import EncodeRequest
from fairgen.steering.errors import SampledTogetherError
from fairgen.steering.layout import (
    Singles,
    Slot,
    at,
    differ,
    length_matters,
    other_axes,
    row_axis,
    trees_differ,
)

if TYPE_CHECKING:
    import torch


class Mixer:
    """Mixes what was encoded for a request.

    Args:
        request: which prompts are for which pictures.
        plain: what the pipeline encoded for the plain prompts.
        singles: what it encodes for each prompt alone.
    """

    def __init__(self, request: EncodeRequest, plain: Any, singles: Singles) -> None:
        self._request = request
        self._plain = plain
        self._singles = singles
        self._blends = request.blends
        self._places: dict[tuple[int, int | None], int] = {}
        for picture, blend in enumerate(self._blends):
            for anchor in [*([None] if blend.presence < 1 else []), *blend.anchors]:
                self._places.setdefault((request.prompt_of[picture], anchor), len(self._places))
        self.needed = list(self._places)
        """(prompt, anchor or None) of what a joint encoding must hold, in its order."""

    def rows(self, slot: Slot) -> Any:
        """This part for the pictures, from the single encodings, which are as long as the plain one."""
        value = at(self._plain, slot.path)
        parts = {key: at(tree, slot.path) for key, tree in self._singles.items()}
        if slot.axis is None:
            return self._mixed_list(slot, value, parts)
        new = value.contiguous().clone()  # expanded rows share their memory
        blocks = parts[0, None].shape[slot.axis]
        rows = value.shape[slot.axis] // blocks
        for row, picture in enumerate(self._request.picture_of_rows(rows)):
            blend, place = self._blends[picture], self._request.prompt_of[picture]
            for block in range(blocks):
                toned = {a: parts[place, a].select(slot.axis, block) for a in blend.anchors}
                alone = parts[place, None].select(slot.axis, block)
                if not any(differ(alone, other) for other in toned.values()):
                    continue  # the unconditional half
                target = new.select(slot.axis, block * rows + row)
                target.copy_(blend.mix(target.clone(), toned))
        return new

    def _mixed_list(self, slot: Slot, value: Any, parts: Singles) -> Any:
        if slot.whole:
            self._request.picture_of_rows(1)
            toned = {a: parts[0, a] for a in self._blends[0].anchors}
            return self._blends[0].mix(value, toned)
        blocks = len(parts[0, None])
        rows = len(value) // blocks
        new = list(value)
        for row, picture in enumerate(self._request.picture_of_rows(rows)):
            blend, place = self._blends[picture], self._request.prompt_of[picture]
            for block in range(blocks):
                toned = {a: parts[place, a][block] for a in blend.anchors}
                if any(trees_differ(parts[place, None][block], other) for other in toned.values()):
                    new[block * rows + row] = _mixed_entry(blend, value[block * rows + row], toned)
        return type(value)(new)

    def jointly(self, joint: Any, slots: Sequence[Slot], text: Sequence[Slot]) -> Any:
        """The plain encoding with every picture's own tone, where lengths differ.

        Args:
            joint: what the pipeline encoded for all that is `needed`, padded by itself.
            slots: every part.
            text: those that the tone words change.

        Raises:
            SampledTogetherError: the padding would change a picture of strength 0.
        """
        tensors = [leaf for _, leaf in leaves(joint) if hasattr(leaf, "shape")]
        masked = any(leaf.ndim == 2 and len(leaf) == len(self.needed) and is_mask(leaf) for leaf in tensors)
        safe = masked and not length_matters(self._request.name)
        if not safe and any(blend.presence == 0 for blend in self._blends):
            raise SampledTogetherError(
                f"{self._request.name} pads the prompts of a batch to the longest one, and that changes its "
                "pictures, so that one of strength 0 would change beside others: sample it in a call of its "
                "own."
            )
        changes = {}
        for slot in slots:
            new = self._joint_rows(slot, joint, is_text=slot in text)
            if new is not None:
                changes[slot.path] = new
        total = next((len(changes[s.path]) for s in text if s.axis == 0 and s.path in changes), None)
        for path, mask in leaves(joint):
            # A mask that none of the prompts needed alone, since nothing was padded then.
            if hasattr(mask, "shape") and total is not None and at(self._plain, path) is None:
                changes[path] = self._rows_of_joint(mask, 0, 1, total)
        return replaced(self._plain, changes)

    def _joint_rows(self, slot: Slot, joint: Any, *, is_text: bool) -> Any:
        """This part for the pictures, from the joint encoding; None: it stays as it is."""
        import torch

        value, together = at(self._plain, slot.path), at(joint, slot.path)
        alone = at(self._singles[0, None], slot.path)
        if not hasattr(value, "shape"):
            if not slot.whole:
                return self.rows(slot) if is_text else None
            return together
        if slot.cumulative:
            lengths = together.diff()
            rows = [
                blend.mix(*self._of_picture(picture, blend, lengths.__getitem__))
                for picture, blend in enumerate(self._blends)
            ]
            start = torch.zeros(1, dtype=value.dtype, device=value.device)
            return torch.cat([start, torch.stack(rows).cumsum(0).to(value.dtype)])
        axis = row_axis(together, alone, {len(self._places)})
        if axis is None and len(self._places) == 1:
            axis = slot.axis if slot.axis is not None else 0
        if axis is None:
            return together if is_text else None
        blocks = alone.shape[axis]
        rows_now = value.shape[axis] // blocks
        if not is_text and other_axes(value, axis) == other_axes(together, axis):
            return None
        return self._rows_of_joint(together, axis, blocks, rows_now)

    def _rows_of_joint(self, together: Any, axis: int, blocks: int, rows: int) -> Any:
        """So many rows, in each of ``blocks`` blocks, mixed from those of the joint encoding."""
        import torch

        made = []
        for block in range(blocks):
            begin = block * len(self._places)
            for picture in self._request.picture_of_rows(rows):
                blend = self._blends[picture]

                def row(place: int, begin: int = begin) -> Any:
                    return together.select(axis, begin + place)

                made.append(blend.mix(*self._of_picture(picture, blend, row)))
        return torch.stack(made, dim=axis).contiguous()

    def _of_picture(
        self, picture: int, blend: Blend, row: Callable[[int], torch.Tensor]
    ) -> tuple[Any, dict[int, Any]]:
        """The plain value (None where it is not needed) and the toned ones for a picture's blend."""
        place = self._request.prompt_of[picture]
        plain = row(self._places[place, None]) if (place, None) in self._places else None
        return plain, {anchor: row(self._places[place, anchor]) for anchor in blend.anchors}


def _mixed_entry(blend: Blend, plain: Any, toned: Mapping[int, Any]) -> Any:
    """The blend of one prompt's entry of a list: a value, or a list of pieces (prompts with pictures)."""
    if not isinstance(plain, list):
        return blend.mix(plain, toned)
    return [
        _mixed_entry(blend, piece, {anchor: other[place] for anchor, other in toned.items()})
        for place, piece in enumerate(plain)
    ]
