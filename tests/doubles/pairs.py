"""Two processes at once on one run, again and again: resume, report, score, check, kills. The run must stay
readable at every moment, and end equal to the one that nobody disturbed.

    python -m tests.doubles.pairs FOLDER --pairs 200 --seed 7

FOLDER/whole/run is the undisturbed run, FOLDER/<n>/run the others. Each pair is two forks of this process, so
that none starts Python anew. Prints a JSON line for each run, and exits with 1 if one ended otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from fairgen import cli
from fairgen.runs import RUN_FILE, check_run
from tests.doubles.session_doubles import BatchBound, InfoReader, files_of

LIST = "a doctor\na judge\na janitor\n"
BEGIN = ["audit", "--prompts", "list.txt", "--count", "5", "--steering", "none,prompt", "--batch-size", "2"]
RUN = Path("run")
COMMANDS = {
    "begin": [*BEGIN, "--out", "run"],
    "resume": ["audit", "--resume", "run"],
    "report": ["report", "run", "--out", "report"],
    "score": ["score", "run", "--spec", "uniform"],
    "check": ["run", "check", "run"],
}


class Slow(BatchBound):
    """Takes its time, so that another process comes in between."""

    def generate(self, requests: object, steering: object = None) -> list[object]:  # type: ignore[override]
        time.sleep(random.uniform(0, 0.02))
        return super().generate(requests, steering)  # type: ignore[arg-type,return-value]


def load_model(*_: object, **__: object) -> Slow:
    """In place of a true model; loading takes a moment, in which a run may change."""
    time.sleep(random.uniform(0, 0.1))
    return Slow(spread=18.0, unreadable=0.1, plain=25.0)


def fork(action: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        random.seed(os.getpid())
        code = 70
        try:
            code = action()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def command(name: str) -> Callable[[], int]:
    """A command line in a child; what it says is kept in ``log``."""

    def act() -> int:
        with Path(f"log-{name}").open("a") as log, redirect_stdout(log), redirect_stderr(log):
            return cli.run(COMMANDS[name])

    return act


def wait(child: int) -> int:
    """Its exit code; -9 where it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def begun() -> bool:
    return (RUN / RUN_FILE).exists() and (RUN / RUN_FILE).read_bytes().count(b"\n") >= 2


def pair(rng: random.Random) -> list[str]:
    """Two processes at once, one of which may be killed; what was done, and how it ended."""
    writer = "resume" if begun() else "begin"
    names = [writer, rng.choice([writer, writer, *(["report", "score", "check"] if begun() else [])])]
    children = [fork(command(name)) for name in names]
    if rng.random() < 0.7:
        time.sleep(rng.uniform(0, 0.6))
        os.kill(rng.choice(children), signal.SIGKILL)
    codes = [wait(child) for child in children]
    for name, code in zip(names, codes, strict=True):
        # 2: refused, because the other one writes the run, or it holds nothing yet.
        assert code in (0, 2, -9), f"{name} ended with {code}"
        assert code != 1
    if begun():
        assert check_run(RUN).faults == [], "the run contradicts itself"
    return [f"{name}: {code}" for name, code in zip(names, codes, strict=True)]


def content(run: Path) -> dict[str, str]:
    """As `files_of`; the commit of fairgen may change while this runs, and changes nothing."""
    found = files_of(run)
    return found | {RUN_FILE: re.sub(r'"fairgen_commit": "[0-9a-f+]*"', "", found[RUN_FILE])}


def disturbed(folder: Path, rng: random.Random, most: int) -> list[list[str]]:
    """One run by at most so many pairs, then to its end by a last resume."""
    folder.mkdir()
    os.chdir(folder)
    Path("list.txt").write_text(LIST)
    done = [pair(rng) for _ in range(rng.randint(1, most))]
    assert wait(fork(command("resume" if begun() else "begin"))) == 0, Path("log-resume").read_text()
    return done


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import fairgen.models.loading
    import fairgen.report
    import skin_tone

    fairgen.models.loading.load_model = load_model  # type: ignore[assignment]
    skin_tone.SkinToneReader = InfoReader  # type: ignore[misc,assignment]
    root = options.folder.resolve()
    (root / "whole").mkdir(parents=True)
    os.chdir(root / "whole")
    Path("list.txt").write_text(LIST)
    assert wait(fork(command("begin"))) == 0, Path("log-begin").read_text()
    expected = content(root / "whole" / "run")
    rng, pairs, number, bad = random.Random(options.seed), 0, 0, 0
    while pairs < options.pairs:
        number += 1
        folder = root / str(number)
        done = disturbed(folder, rng, min(4, options.pairs - pairs))
        pairs += len(done)
        equal = content(folder / "run") == expected
        bad += not equal
        print(json.dumps({"run": number, "pairs": done, "equal": equal}), flush=True)
    print(json.dumps({"pairs": pairs, "runs": number, "equal": number - bad}))
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
