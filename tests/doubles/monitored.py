"""States of monitors, with pictures beside them."""

from __future__ import annotations

from pathlib import Path

from fairgen.common.text import slug
from fairgen.monitor import Monitor
from fairgen.monitor.reading import Tone
from fairgen.targets import load_spec
from skin_tone import SCALES
from tests.doubles.fake_run import draw_face, tone_of

OFF = ("very_light", "very_light", "very_light", "light", "very_light", "tan")


def monitored(state: Path) -> Monitor:
    """A monitor of two contexts that takes readings alone."""
    state.parent.mkdir(parents=True, exist_ok=True)
    return Monitor(load_spec("uniform"), state=state, reader=None, reader_error="none", contexts=2)


def feed(monitor: Monitor, context: str, tones: tuple[str, ...], folder: Path, times: int) -> None:
    """Pictures of these tones again and again, each with a file of its own in the folder."""
    folder.mkdir(exist_ok=True)
    for number in range(times * len(tones)):
        tone = tones[number % len(tones)]
        file = folder / f"{slug(context)}-{number}.png"
        if not file.exists():
            draw_face(file, tone_of(tone, number), number)
        monitor.take(lambda t=tone: Tone(t), context, path=str(file))  # type: ignore[misc]


def write_state(state: Path) -> None:
    """One context that alarmed, with a name that is markup, and one on target."""
    with monitored(state) as monitor:
        feed(monitor, "<b>shop</b>", OFF, state.parent / "pictures", 5)
        monitor.take(lambda: Tone(abstained="small_face", estimate="dark"), "<b>shop</b>")
        feed(monitor, "chat", SCALES["ita6"].classes, state.parent / "pictures", 3)
