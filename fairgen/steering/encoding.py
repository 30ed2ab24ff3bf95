"""Tones what a pipeline's own ``encode_prompt`` returns, picture by picture, whatever its layout is.

Nothing is known of the pipeline but this: the method is called with prompts, and what it returns for a toned
prompt differs from what it returns for the plain one exactly where the text stands. Every prompt is encoded
once for each anchor that its strengths need, by the pipeline itself and with the arguments of its own call;
the rows that differ are mixed. Where an encoder pads to the longest prompt of its batch, all prompts that are
needed are encoded as one batch, so that the pipeline pads and masks them itself.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fairgen.errors import UserError
from fairgen.steering.conditioning import Blend, Path, is_mask, leaves, replaced
from fairgen.steering.errors import SampledTogetherError
from fairgen.steering.prompt_variants import with_word

if TYPE_CHECKING:
    import torch

PROMPTS = ("prompt", "prompts", "prompt_2", "prompt_3", "prompt_4")
"""Arguments that hold text which describes the picture."""
_COUNTS = ("num_images_per_prompt", "num_videos_per_prompt")
_KEPT_BYTES = 1 << 28
_CHANGED = {"torch.float32": 1e-3, "torch.float64": 1e-3}
"""Relative difference from which on an encoding is another than the one that was kept; in half precision
`_CHANGED_HALF`, since there it depends on the batch size."""
_CHANGED_HALF = 0.03


LENGTH_MATTERS = ("Kandinsky3Pipeline", "QwenImage21Pipeline")
"""Pipelines whose pictures change by how far a prompt is padded, though they have a mask."""


class NeedsOwnPromptsError(Exception):
    """The encoder returns a row for each prompt only, but a prompt's pictures have different strengths."""


@dataclass(frozen=True)
class Pictures:
    """What one call of a pipeline makes.

    Attributes:
        texts: the prompts that it was called with.
        each: pictures of each prompt.
        strengths: of each picture, prompt by prompt.
        anchors: strength -> tone words, light to dark.
    """

    texts: tuple[str, ...]
    each: int
    strengths: tuple[float, ...]
    anchors: tuple[tuple[float, str], ...]

    def blends(self) -> list[Blend]:
        """For each picture."""
        places = [place for place, _ in self.anchors]
        return [Blend.of(strength, places) for strength in self.strengths]

    def with_others(self, texts: Sequence[str], *, last: bool) -> Pictures:
        """These, among further texts that are encoded with them and stay as they are: some pipelines put the
        negative prompts behind the prompts, some before (``last``).
        """
        known = len(self.texts)
        places = [
            k
            for k in range(len(texts) - known + 1)
            if all(mine in other for mine, other in zip(self.texts, texts[k : k + known], strict=True))
        ]
        if not places or len(texts) == known:
            return self
        place = places[-1 if last else 0]
        before, after = self.each * place, self.each * (len(texts) - known - place)
        strengths = (0.0,) * before + self.strengths + (0.0,) * after
        return Pictures(tuple(texts), self.each, strengths, self.anchors)


@dataclass
class Memory:
    """Encoded prompts that are kept for later calls of the same pipeline, up to 256 MiB."""

    kept: OrderedDict[Any, Any] = field(default_factory=OrderedDict)
    bytes: int = 0

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """The value of the key, made where it is not known."""
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        value = make()
        self.kept[key] = value
        self.bytes += _size(value)
        while self.bytes > _KEPT_BYTES and len(self.kept) > 1:
            self.bytes -= _size(self.kept.popitem(last=False)[1])
        return value

    def clear(self) -> None:
        """Forget everything."""
        self.kept.clear()
        self.bytes = 0


def _size(value: Any) -> int:
    return sum(getattr(leaf, "nbytes", 0) for _, leaf in leaves(value))


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
        bound = inspect.signature(original).bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = _flat(bound)
        if not self._is_the_prompt(arguments):
            return original(*args, **kwargs)
        self.steered = True
        plain = original(*args, **kwargs)
        if not any(self._pictures.strengths):
            return plain
        call = EncodeCall(self._name, original, arguments, self._pictures, self._memory)
        return call.toned(plain)

    def _is_the_prompt(self, arguments: dict[str, Any]) -> bool:
        """The first text that a call of a pipeline encodes is the prompt. The same text again is the prompt
        for another encoder if anything else differs; else it is the unconditional half's.
        """
        texts = _texts(arguments)
        if not texts:
            return False
        if self._first is None:
            self._first = arguments
            return True
        if texts != _texts(self._first):
            return False
        return any(
            arguments.get(name) is not self._first.get(name) and arguments.get(name) != self._first.get(name)
            for name in (set(arguments) | set(self._first)) - set(texts)
            if not hasattr(arguments.get(name), "shape") and not hasattr(self._first.get(name), "shape")
        )


def _flat(bound: inspect.BoundArguments) -> dict[str, Any]:
    arguments = dict(bound.arguments)
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name))
    return own_lists(arguments)


def own_lists(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with copies of the lists of prompts: some pipelines write into them (Z-Image)."""
    return {
        name: list(value) if isinstance(value, list) and "prompt" in name else value
        for name, value in arguments.items()
    }


def _texts(arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    """The prompts, a list for each argument that has some."""
    found = {}
    for name in PROMPTS:
        value = arguments.get(name)
        if isinstance(value, str):
            found[name] = [value]
        elif isinstance(value, list | tuple) and value and all(isinstance(text, str) for text in value):
            found[name] = list(value)
    return found


@dataclass(frozen=True)
class _Slot:
    """One part of what an encoder returns, with a row for each prompt or picture.

    Attributes:
        path: where it stands.
        axis: the rows' axis of a tensor; None: a list with an entry a row.
        whole: there is one row only, and no axis for it.
    """

    path: Path
    axis: int | None = None
    whole: bool = False
    cumulative: bool = False


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
        self._name = name
        self._checked = checked
        self._original = original
        self._arguments = arguments
        self._texts = _texts(arguments)
        self._count = max(len(texts) for texts in self._texts.values())
        total = len(pictures.strengths)
        argument, texts = next(iter(self._texts.items()))
        each = [text for text in pictures.texts for _ in range(pictures.each)]
        if tuple(texts) != pictures.texts and texts != each:
            pictures = pictures.with_others(texts, last=argument == "prompts")
            total = len(pictures.strengths)
        self._pictures = pictures
        self._memory = memory
        self._blends = pictures.blends()
        if self._count not in (len(pictures.texts), total):
            raise UserError(
                f"{name} encodes {self._count} prompts for {total} pictures, which fairgen cannot tell "
                "apart: use --steering prompt."
            )
        self._of = [picture * self._count // total for picture in range(total)]  # prompt of each picture

    def toned(self, plain: Any) -> Any:
        """``plain``, what the pipeline encoded, with every picture's own tone."""
        singles = self._singles(plain)
        slots = list(self._slots(plain, singles[0, None]))
        text = [slot for slot in slots if self._differs(slot, singles)]
        if not text:
            raise UserError(self._cut())
        if self._same_lengths(plain, singles, text):
            changes = {slot.path: self._mixed_rows(slot, plain, singles) for slot in text}
            return replaced(plain, changes)
        return self._jointly(plain, singles, slots, text)

    # Encoding ------------------------------------------------------------------------------------------

    def _singles(self, plain: Any) -> dict[tuple[int, int | None], Any]:
        """(prompt, anchor or None) -> the encoding of that prompt alone."""
        for _ in range(2):
            singles: dict[tuple[int, int | None], Any] = {}
            for place in range(self._count):
                blends = [b for p, b in enumerate(self._blends) if self._of[p] == place]
                singles[place, None] = self._single(place, None)
                for anchor in sorted({a for blend in blends for a in blend.anchors}):
                    singles[place, anchor] = self._single(place, anchor)
                    if self._checked and not self._is_read(place, anchor, singles):
                        raise UserError(self._cut())
            if not self._stale(plain, singles):
                break
            self._memory.clear()  # weights, adapters or an encoder have changed since
        return singles

    def _single(self, place: int, anchor: int | None, ending: str = "") -> Any:
        word = None if anchor is None else self._pictures.anchors[anchor][1]
        arguments = {
            name: self._of_prompt(name, value, place, word, ending)
            for name, value in self._arguments.items()
            if name != "self"
        }
        key = _key(arguments)
        if key is None:
            return self._original(**arguments)
        return self._memory.get((key, ending), lambda: self._original(**arguments))

    def _of_prompt(self, name: str, value: Any, place: int, word: str | None, ending: str) -> Any:
        """An argument as it is for one prompt alone."""
        if name in self._texts:
            text = self._texts[name][place]
            if word is not None:
                text = with_word(text, word)
                text = text[: -len(ending)] + ending if ending else text
            return text if isinstance(value, str) else [text]
        if name in _COUNTS or name == "batch_size":
            return 1
        if self._count == 1:
            return value
        if "prompt" in name and isinstance(value, list | tuple) and len(value) == self._count:
            return [value[place]]
        if "prompt" in name and hasattr(value, "shape") and len(value) == self._count:
            return value[place : place + 1]
        return value

    def _is_read(self, place: int, anchor: int, singles: Mapping[tuple[int, int | None], Any]) -> bool:
        """Whether the last letter of the tone words reaches what is returned."""
        arguments = {
            name: self._of_prompt(name, value, place, self._pictures.anchors[anchor][1], "")
            for name, value in self._arguments.items()
        }
        key = _key(arguments)

        def look() -> bool:
            other = self._single(place, anchor, "skim")
            mine = dict(leaves(singles[place, anchor]))
            theirs = dict(leaves(other))
            return mine.keys() != theirs.keys() or any(_differ(mine[p], theirs[p]) for p in mine)

        return look() if key is None else bool(self._memory.get((key, "is read"), look))

    def _stale(self, plain: Any, singles: Mapping[tuple[int, int | None], Any]) -> bool:
        """Whether a kept encoding of a plain prompt is no longer what the pipeline makes of it."""
        for slot in self._slots(plain, singles[0, None]):
            if slot.axis is None or slot.whole:
                continue
            value, alone = _at(plain, slot.path), _at(singles[0, None], slot.path)
            if not value.is_floating_point() or _other(value, slot.axis) != _other(alone, slot.axis):
                continue
            mine, kept = value.select(slot.axis, 0).float(), alone.select(slot.axis, 0).float()
            bound = _CHANGED.get(str(value.dtype), _CHANGED_HALF)
            if float((mine - kept).norm()) > bound * max(1e-6, float(mine.norm())):
                return True
        return False

    def _cut(self) -> str:
        return (
            f"The prompt is too long for {self._name}: the tone words at its end are cut off, in whole or in "
            "part. Shorten it, or raise max_sequence_length."
        )

    # Layout --------------------------------------------------------------------------------------------

    def _slots(self, value: Any, single: Any, path: Path = ()) -> Iterator[_Slot]:
        """Every part of what was returned, by comparison with the encoding of one prompt alone."""
        if isinstance(value, list | tuple) and isinstance(single, list | tuple):
            if len(value) != len(single):
                yield _Slot(path)
                return
            for place, (inner, other) in enumerate(zip(value, single, strict=True)):
                yield from self._slots(inner, other, (*path, place))
        elif isinstance(value, Mapping) and isinstance(single, Mapping):
            for key in value:
                if key in single:
                    yield from self._slots(value[key], single[key], (*path, key))
        elif hasattr(value, "shape") and hasattr(single, "shape"):
            if _is_cumulative(value, single):
                yield _Slot(path, cumulative=True)
            else:
                axis = _row_axis(value, single, {self._count, len(self._blends)})
                yield _Slot(path, axis, whole=axis is None)
        elif value is not None and single is not None:
            yield _Slot(path, whole=True)

    def _differs(self, slot: _Slot, singles: Mapping[tuple[int, int | None], Any]) -> bool:
        """Whether the tone words change this part."""
        for (place, anchor), toned in singles.items():
            if anchor is None:
                continue
            mine = dict(leaves(_at(toned, slot.path)))
            theirs = dict(leaves(_at(singles[place, None], slot.path)))
            if mine.keys() != theirs.keys() or any(_differ(mine[p], theirs[p]) for p in mine):
                return True
        return False

    def _same_lengths(
        self, plain: Any, singles: Mapping[tuple[int, int | None], Any], text: Sequence[_Slot]
    ) -> bool:
        """Whether every prompt is encoded to as many tokens, or stands in a list of its own length."""
        for slot in text:
            if slot.cumulative:
                return False
            if slot.axis is None and not slot.whole:
                continue
            shapes = {
                _other(_at(tree, slot.path), slot.axis)
                for tree in [plain, *(tree for (_, anchor), tree in singles.items() if anchor is not None)]
            }
            if len(shapes) > 1:
                return False
        return True

    # Mixing --------------------------------------------------------------------------------------------

    def _mixed_rows(self, slot: _Slot, plain: Any, singles: Mapping[tuple[int, int | None], Any]) -> Any:
        value = _at(plain, slot.path)
        parts = {key: _at(tree, slot.path) for key, tree in singles.items()}
        if slot.axis is None:
            return self._mixed_list(slot, value, parts)
        new = value.contiguous().clone()  # expanded rows share their memory
        blocks = parts[0, None].shape[slot.axis]
        rows = value.shape[slot.axis] // blocks
        for row, picture in enumerate(self._rows(rows)):
            blend, place = self._blends[picture], self._of[picture]
            for block in range(blocks):
                toned = {a: parts[place, a].select(slot.axis, block) for a in blend.anchors}
                alone = parts[place, None].select(slot.axis, block)
                if not any(_differ(alone, other) for other in toned.values()):
                    continue  # the unconditional half
                target = new.select(slot.axis, block * rows + row)
                target.copy_(blend.mix(target.clone(), toned))
        return new

    def _mixed_list(self, slot: _Slot, value: Any, parts: Mapping[tuple[int, int | None], Any]) -> Any:
        if slot.whole:
            self._rows(1)
            toned = {a: parts[0, a] for a in self._blends[0].anchors}
            return self._blends[0].mix(value, toned)
        blocks = len(parts[0, None])
        rows = len(value) // blocks
        new = list(value)
        for row, picture in enumerate(self._rows(rows)):
            blend, place = self._blends[picture], self._of[picture]
            for block in range(blocks):
                toned = {a: parts[place, a][block] for a in blend.anchors}
                if any(_differ(parts[place, None][block], other) for other in toned.values()):
                    new[block * rows + row] = blend.mix(value[block * rows + row], toned)
        return type(value)(new)

    def _rows(self, rows: int) -> list[int]:
        """The picture that each of so many rows is for."""
        total = len(self._blends)
        if rows == total:
            return list(range(total))
        if rows == self._count and total % rows == 0:
            each = total // rows
            strengths = self._pictures.strengths
            if any(len(set(strengths[row * each : (row + 1) * each])) > 1 for row in range(rows)):
                raise NeedsOwnPromptsError
            return [row * each for row in range(rows)]
        raise UserError(
            f"{self._name} encodes {rows} texts for {total} pictures, which fairgen cannot tell apart: use "
            "--steering prompt."
        )

    def _jointly(
        self,
        plain: Any,
        singles: Mapping[tuple[int, int | None], Any],
        slots: Sequence[_Slot],
        text: Sequence[_Slot],
    ) -> Any:
        """Where lengths differ: all that is needed in one batch, which the pipeline pads itself."""
        needed: dict[tuple[int, int | None], int] = {}
        for picture, blend in enumerate(self._blends):
            for anchor in [*([None] if blend.presence < 1 else []), *blend.anchors]:
                needed.setdefault((self._of[picture], anchor), len(needed))
        joint = self._original(**self._joined(list(needed)))
        tensors = [leaf for _, leaf in leaves(joint) if hasattr(leaf, "shape")]
        masked = any(leaf.ndim == 2 and len(leaf) == len(needed) and is_mask(leaf) for leaf in tensors)
        safe = masked and self._name not in LENGTH_MATTERS
        if not safe and any(blend.presence == 0 for blend in self._blends):
            raise SampledTogetherError(
                f"{self._name} pads the prompts of a batch to the longest one, and that changes its "
                "pictures, so that one of strength 0 would change beside others: sample it in a call of its "
                "own."
            )
        changes = {}
        for slot in slots:
            new = self._joint_rows(slot, plain, singles, joint, needed, is_text=slot in text)
            if new is not None:
                changes[slot.path] = new
        total = next((len(changes[s.path]) for s in text if s.axis == 0 and s.path in changes), None)
        for path, mask in leaves(joint):
            # A mask that none of the prompts needed alone, since nothing was padded then.
            if hasattr(mask, "shape") and total is not None and _at(plain, path) is None:
                changes[path] = self._rows_of_joint(mask, 0, 1, total, needed)
        return replaced(plain, changes)

    def _joined(self, needed: Sequence[tuple[int, int | None]]) -> dict[str, Any]:
        import torch

        made: dict[str, Any] = {}
        for name, value in self._arguments.items():
            if name == "self":
                continue
            if name in self._texts:
                words = [None if a is None else self._pictures.anchors[a][1] for _, a in needed]
                texts = [self._texts[name][place] for place, _ in needed]
                made[name] = [t if w is None else with_word(t, w) for t, w in zip(texts, words, strict=True)]
            elif name in _COUNTS:
                made[name] = 1
            elif name == "batch_size":
                made[name] = len(needed)
            elif "prompt" in name and isinstance(value, list | tuple) and len(value) == self._count:
                made[name] = [value[place] for place, _ in needed]
            elif (
                "prompt" in name and isinstance(value, str) and isinstance(self._arguments.get("prompt"), str)
            ):
                made[name] = [value] * len(needed)
            elif "prompt" in name and isinstance(value, torch.Tensor) and len(value) == self._count:
                made[name] = torch.cat([value[place : place + 1] for place, _ in needed])
            else:
                made[name] = value
        return made

    def _joint_rows(
        self,
        slot: _Slot,
        plain: Any,
        singles: Mapping[tuple[int, int | None], Any],
        joint: Any,
        needed: Mapping[tuple[int, int | None], int],
        *,
        is_text: bool,
    ) -> Any:
        """This part for the pictures, from the joint encoding; None: it stays as it is."""
        import torch

        value, together = _at(plain, slot.path), _at(joint, slot.path)
        alone = _at(singles[0, None], slot.path)
        if not hasattr(value, "shape"):
            if not slot.whole:
                return self._mixed_rows(slot, plain, singles) if is_text else None
            return together
        if slot.cumulative:
            lengths = together.diff()
            rows = [
                blend.mix(*self._of_picture(picture, blend, needed, lengths.__getitem__))
                for picture, blend in enumerate(self._blends)
            ]
            start = torch.zeros(1, dtype=value.dtype, device=value.device)
            return torch.cat([start, torch.stack(rows).cumsum(0).to(value.dtype)])
        axis = _row_axis(together, alone, {len(needed)})
        if axis is None and len(needed) == 1:
            axis = slot.axis if slot.axis is not None else 0
        if axis is None:
            return together if is_text else None
        blocks = alone.shape[axis]
        rows_now = value.shape[axis] // blocks
        if not is_text and _other(value, axis) == _other(together, axis):
            return None
        return self._rows_of_joint(together, axis, blocks, rows_now, needed)

    def _rows_of_joint(
        self, together: Any, axis: int, blocks: int, rows: int, needed: Mapping[tuple[int, int | None], int]
    ) -> Any:
        """So many rows, in each of ``blocks`` blocks, mixed from those of the joint encoding."""
        import torch

        made = []
        for block in range(blocks):
            at = block * len(needed)
            for picture in self._rows(rows):
                blend = self._blends[picture]

                def row(place: int, at: int = at) -> Any:
                    return together.select(axis, at + place)

                made.append(blend.mix(*self._of_picture(picture, blend, needed, row)))
        return torch.stack(made, dim=axis).contiguous()

    def _of_picture(
        self,
        picture: int,
        blend: Blend,
        needed: Mapping[tuple[int, int | None], int],
        row: Callable[[int], torch.Tensor],
    ) -> tuple[Any, dict[int, Any]]:
        """The plain value (None where it is not needed) and the toned ones for a picture's blend."""
        place = self._of[picture]
        plain = row(needed[place, None]) if (place, None) in needed else None
        return plain, {anchor: row(needed[place, anchor]) for anchor in blend.anchors}


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _other(value: Any, axis: int | None) -> Any:
    """The shape without the rows' axis."""
    if not hasattr(value, "shape"):
        return None
    shape = list(value.shape)
    if axis is not None:
        del shape[axis]
    return tuple(shape)


def _row_axis(value: Any, single: Any, counts: set[int]) -> int | None:
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


def _differ(first: Any, second: Any) -> bool:
    import torch

    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return first.shape != second.shape or not torch.equal(first, second)
    return bool(first != second)


def _key(arguments: Mapping[str, Any]) -> Any:
    """What an encoding depends on; None where an argument cannot be compared."""
    found: list[tuple[str, Any]] = []
    for name, value in sorted(arguments.items()):
        simple = isinstance(value, str | int | float | bool | type(None))
        if isinstance(value, list | tuple) and all(isinstance(v, str | int | float) for v in value):
            found.append((name, tuple(value)))
        elif simple:
            found.append((name, value))
        elif type(value).__module__ == "torch" and not hasattr(value, "shape"):
            found.append((name, str(value)))  # a device or a precision
        else:
            return None
    return tuple(found)
