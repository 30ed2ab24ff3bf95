"""What a set asks for next, and what becomes of each picture: with feedback, or without.

Both kinds are driven in the same way: `ask` for a round, hand each picture to `record` in that order, until
`done`. Nothing here samples, so that several sets can share batches, and an interrupted one is replayed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from fairgen.loop.controller import Ask, Controller, ResponseModel, is_open, next_tone
from fairgen.loop.events import Filled, PictureDone, Replayed
from fairgen.loop.recorder import Job, Made, Recorder
from fairgen.runs import Decision, PictureRecord
from fairgen.steering import Steered, Technique


def slot_seed(seed: int, slot: int, attempt: int) -> int:
    """The seed (32 bits) of one attempt at one place, whatever the technique.

    NumPy's SeedSequence with spawn key (slot, attempt): stable across versions and machines by NumPy's
    promise.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(slot, attempt)).generate_state(1, np.uint32)[0])


class Rounds(ABC):
    """One set in the making."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.set = recorder.record

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether every picture of the set is there."""

    @abstractmethod
    def ask(self) -> list[Job]:
        """The pictures of the next round; what they ask for depends on all that were recorded before."""

    @abstractmethod
    def record(self, made: Made) -> Iterator[PictureDone | Replayed | Filled]:
        """Decide on a picture of the round and keep it. In the order of `ask`."""

    def _job(self, slot: int, attempt: int, number: int, variant: Steered | None) -> Job:
        seed = slot_seed(self.set.seed, slot, attempt)
        return Job(slot, attempt, seed, number, variant.prompt if variant else self.set.prompt, variant)


class PlainRounds(Rounds):
    """Every picture is kept: without steering, or with steering that is not told what came out (open loop).

    Args:
        technique: None without steering.
    """

    def __init__(self, recorder: Recorder, technique: Technique | None) -> None:
        super().__init__(recorder)
        self._variants: Sequence[Steered | None] = [None] * self.set.count
        if technique is not None:
            self._variants = technique.steer(self.set.prompt, self._blindly())
        self._recorded = 0

    def _blindly(self) -> list[str]:
        """The quota, one class after the other as an open loop asks for them."""
        asked: Counter[str] = Counter()
        order = []
        for _ in range(self.set.count):
            order.append(next_tone(self.set.requested, asked))
            asked[order[-1]] += 1
        return order

    @property
    def done(self) -> bool:
        return self._recorded == self.set.count

    def ask(self) -> list[Job]:
        return [self._job(slot, 0, 0, variant) for slot, variant in enumerate(self._variants)]

    def record(self, made: Made) -> Iterator[PictureDone | Replayed]:
        self._recorded += 1
        yield self.recorder.picture(made, "abstained" if made.measured is None else "kept", self._recorded)


class SteeredRounds(Rounds):
    """The loop with feedback: `Controller` decides, the technique learns from every reading."""

    def __init__(self, recorder: Recorder, technique: Technique) -> None:
        super().__init__(recorder)
        self._technique = technique
        belief = ResponseModel(list(self.set.requested), prior=technique.expected())
        self._controller = Controller(self.set.requested, self.set.max_tries, belief)
        self._asks: dict[tuple[int, int], Ask] = {}
        self._by_ask: dict[Ask, PictureRecord] = {}
        self._number = 0

    @property
    def done(self) -> bool:
        return self._controller.done

    def ask(self) -> list[Job]:
        # Towards the end each picture decides more, so the loop listens more often.
        missing = self.set.count - self._controller.kept.total() - self._controller.abstained
        asks = self._controller.ask(min(self.set.round_size, max(1, missing // 3)))
        steered = self._technique.steer(self.set.prompt, [ask.tone for ask in asks])
        self._asks = {(ask.slot, ask.attempt - 1): ask for ask in asks}
        jobs = [
            self._job(ask.slot, ask.attempt - 1, self._number, variant)
            for ask, variant in zip(asks, steered, strict=True)
        ]
        self._number += 1
        return jobs

    def record(self, made: Made) -> Iterator[PictureDone | Replayed | Filled]:
        ask, controller = self._asks.pop((made.job.slot, made.job.attempt)), self._controller
        if made.measured is not None and made.job.steered is not None:
            self._technique.observe(made.job.steered, made.readings[0])
        before = Counter(controller.kept)
        fits = made.measured is not None and is_open(self.set.requested, before, made.measured)
        kept = controller.record(ask, made.measured)
        decision: Decision = "kept" if fits else "abstained" if made.measured is None else "discarded"
        event = self.recorder.picture(made, decision, controller.kept.total() + controller.abstained)
        self._by_ask[ask] = event.record
        yield event
        if kept is not None and not fits:
            yield self.recorder.fill(self._by_ask[kept], before)
