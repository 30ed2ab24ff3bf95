"""The contexts of a monitor, as its state holds them: for itself, and for those who look at it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fairgen.monitor.reader_error import ReaderError
from fairgen.monitor.store import StateError, Store
from fairgen.scoring.monitored import ContextWatch, Levels
from fairgen.stats.sequential import ShareBox


@dataclass(frozen=True, eq=False)
class Rules:
    """What all contexts of a monitor share.

    Attributes:
        error: errors of the reader that count as on target.
        levels: how the chance of a false alarm is shared out.
        contexts: how many contexts share it.
    """

    error: ReaderError
    levels: Levels
    contexts: int
    _boxes: dict[tuple[float, ...], ShareBox] = field(default_factory=dict, repr=False)
    """Of each target: most contexts share one, and a box takes long to find."""

    def watch(self, name: str, target: dict[str, float], place: int) -> ContextWatch:
        """One that has seen nothing yet. ``place``: in order of appearance, 0 and up."""
        shares = tuple(target.values())
        if shares not in self._boxes:
            self._boxes[shares] = self.error.box(target, 1 - self.levels.reader)
        box, weight = self._boxes[shares], self._weight(place)
        return ContextWatch(name, target, box, levels=self.levels, weight=weight)

    def _weight(self, place: int) -> float:
        return 1 / self.contexts if place < self.contexts else 0.0

    def restored(self, store: Store, known: dict[str, ContextWatch] | None = None) -> dict[str, ContextWatch]:
        """All that a state holds, in order of appearance.

        Args:
            store: the state.
            known: from an earlier look by the same rules; they are brought up to date.

        Raises:
            StateError: another version of fairgen wrote the state.
        """
        found: dict[str, ContextWatch] = {}
        for place, (name, about, state) in enumerate(store.contexts()):
            target, watch = about["target"], (known or {}).get(name)
            if watch is None or (watch.target, watch.weight) != (target, self._weight(place)):
                watch = self.watch(name, target, place)
            try:
                watch.restore(state)
            except (ValueError, KeyError) as error:
                raise StateError(
                    f"{store.path} was written by another version of fairgen: name another --state.",
                    "version",
                ) from error
            found[name] = watch
        return found
