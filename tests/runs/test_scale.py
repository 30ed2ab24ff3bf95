"""Beginning, reading and resuming take time in proportion to the run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fairgen.audit.plan import plan_audit
from fairgen.audit.runner import Audit, look_back
from fairgen.loop.events import PictureDone, Replayed
from fairgen.runs import RUN_FILE, RunReader
from fairgen.runs.chain import chained, unchained
from fairgen.targets import load_spec
from tests.doubles.fake_audit import write_fake_audit
from tests.doubles.session_doubles import InfoReader
from tests.doubles.worker_doubles import model


def seconds(work: Callable[[], object]) -> float:
    """Processor time, the least of three."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def long_run(folder: Path, one: Path, sessions: int) -> Path:
    """A run without an audit's record that holds a session again and again, under other names."""
    folder.mkdir()
    head, *lines = [unchained(line)[0] for line in (one / RUN_FILE).read_bytes().splitlines()]
    link = ""
    with (folder / RUN_FILE).open("wb") as file:
        line, link = chained(head, link)
        file.write(line)
        for number in range(sessions):
            for text in lines:
                line, link = chained(text.replace(b'"p0.none"', b'"s%d"' % number), link)
                file.write(line)
    return folder


@pytest.mark.exhaustive
def test_reading_8000_sessions_takes_at_most_9_times_1000(tmp_path: Path) -> None:
    one = write_fake_audit(tmp_path / "one", [("a doctor", None)], count=2, arms=("none",), header=False)
    short, long = (long_run(tmp_path / str(n), one, n) for n in (1000, 8000))

    def read(folder: Path) -> int:
        return sum(1 for _ in RunReader(folder).sessions())

    assert (read(short), read(long)) == (1000, 8000)
    ratio = seconds(lambda: read(long)) / seconds(lambda: read(short))
    assert ratio <= 9, f"{ratio:.2f} times"


@pytest.mark.exhaustive
def test_beginning_and_resuming_10000_prompts_takes_at_most_11_times_1000(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def prompts(number: int) -> Path:
        path = tmp_path / f"{number}.txt"
        path.write_text("".join(f"a portrait of doctor {i}\n" for i in range(number)))
        return path

    def to_the_first_picture(path: Path) -> None:
        """Plan, begin, stop at the first picture, and go on to it again."""
        plan = plan_audit(path, load_spec("uniform"), count=1, arms=("none", "prompt"))
        run = tmp_path / f"run {path.stem}"
        shutil.rmtree(run, ignore_errors=True)
        for left in (False, True):
            found = look_back(run) if left else None
            events = Audit(plan, model(), InfoReader(), run, batch_size=2, left=found).run()
            next(event for event in events if isinstance(event, PictureDone | Replayed))
            events.close()

    short, long = prompts(1000), prompts(10_000)
    ratio = seconds(lambda: to_the_first_picture(long)) / seconds(lambda: to_the_first_picture(short))
    assert ratio <= 11, f"{ratio:.2f} times"


@pytest.mark.exhaustive
def test_a_picture_of_10000_prompts_takes_at_most_a_tenth_longer_than_one_of_100(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two arms, one picture a set, by a model that draws at once: what is left is the work around it."""
    monkeypatch.chdir(tmp_path)

    def each(number: int) -> float:
        """Processor time of a whole audit, for one picture, in seconds."""
        path = tmp_path / f"{number}.txt"
        path.write_text("".join(f"a portrait of doctor {i}\n" for i in range(number)))
        plan = plan_audit(path, load_spec("uniform"), count=1, arms=("none", "prompt"))
        run = tmp_path / "run"
        shutil.rmtree(run, ignore_errors=True)
        begun = time.process_time()
        for _ in Audit(plan, model(), InfoReader(), run, batch_size=2).run():
            pass
        return (time.process_time() - begun) / (2 * number)

    each(20)  # imports
    short = sorted(each(100) for _ in range(5))[2]
    long = each(10_000)
    print(f"{1000 * short:.2f} ms a picture of 100 prompts, {1000 * long:.2f} ms of 10,000")
    assert long <= 1.1 * short, f"{long / short:.3f} times"
