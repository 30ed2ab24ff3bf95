"""Encoded prompts that are kept for later calls of the same pipeline."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairgen.steering.conditioning import leaves

_KEPT_BYTES = 1 << 28


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


def key_of(arguments: Mapping[str, Any]) -> Any:
    """What an encoding hangs on; None where an argument cannot be compared."""
    found: list[tuple[str, Any]] = []
    for name, value in sorted(arguments.items()):
        if isinstance(value, list | tuple) and all(isinstance(v, str | int | float) for v in value):
            found.append((name, tuple(value)))
        elif value is None or isinstance(value, str | int | float):
            found.append((name, value))
        elif type(value).__module__ == "torch" and not hasattr(value, "shape"):
            found.append((name, str(value)))  # a device or a precision
        else:
            return None
    return tuple(found)
