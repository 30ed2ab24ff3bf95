"""Kills a small audit with SIGKILL at random moments and resumes it, again and again; a process of its own,
so that each try is a fork and no fresh start of Python.

    python -m tests.doubles.audit_kills FOLDER --kills 50 --seed 7

FOLDER/<n>/run are the runs, FOLDER/whole/run the one that nobody stopped. Prints a JSON line for each run:
after how many lines of its run file it was killed, and whether it ended equal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from fairgen.audit.plan import AuditPlan, plan_audit
from fairgen.audit.runner import Audit, look_back
from fairgen.runs import RUN_FILE
from fairgen.targets import load_spec
from tests.doubles.session_doubles import BatchBound, InfoReader, files_of

RUN = Path("run")
LIST = "# [high]\na doctor\na judge\n# [low]\na janitor\n# [other]\na person in a park\na person at a beach\n"


def plan(folder: Path) -> AuditPlan:
    """Five prompts under two arms, in blocks of four and one."""
    prompts = folder / "prompts.txt"
    prompts.write_text(LIST)
    return plan_audit(prompts, load_spec("uniform"), count=9, arms=("none", "prompt"), max_tries=3, seed=5)


def run(asked: AuditPlan, folder: Path) -> None:
    """Begin the audit, or go on with what is there; from inside the folder, whose name is thus the same."""
    os.chdir(folder)
    # Killed before the audit's own record was written, there is nothing to go on with.
    begun = (RUN / RUN_FILE).exists() and (RUN / RUN_FILE).read_bytes().count(b"\n") >= 2
    if not begun:
        (RUN / RUN_FILE).unlink(missing_ok=True)
    left = look_back(RUN) if begun else None
    generator = BatchBound(spread=18.0, unreadable=0.1, plain=25.0)
    audit = Audit(asked, generator, InfoReader(), RUN, batch_size=2, left=left)
    for _ in audit.run():
        pass


def fork(asked: AuditPlan, folder: Path) -> int:
    """The audit in a child process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run(asked, folder)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def lines(folder: Path) -> int:
    try:
        return (folder / RUN / RUN_FILE).read_bytes().count(b"\n")
    except FileNotFoundError:  # not written yet, or about to be begun anew
        return 0


def kill_at(asked: AuditPlan, folder: Path, line: int, pause: float) -> bool:
    """Run until the run file has that many lines, and a little longer; whether the kill came in time."""
    child = fork(asked, folder)
    while lines(folder) < line:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            assert status == 0, f"the audit in {folder} failed"
            return False
    time.sleep(pause)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = options.folder.resolve()
    rng = random.Random(options.seed)
    whole = root / "whole"
    whole.mkdir()
    asked = plan(root)
    _, status = os.waitpid(fork(asked, whole), 0)
    assert status == 0
    total, expected = lines(whole), files_of(whole)
    kills = number = 0
    while kills < options.kills:
        number += 1
        folder = root / str(number)
        folder.mkdir()
        at: list[int] = []
        for _ in range(rng.randint(1, 4)):
            if lines(folder) == total:  # the last kill came after the last line
                break
            # Half of the kills strike right after a line, the others somewhere in the work that follows.
            pause = rng.choice([0.0, rng.uniform(0, 0.004)])
            if not kill_at(asked, folder, rng.randint(lines(folder), total - 1), pause):
                break
            at.append(lines(folder))
        kills += len(at)
        _, status = os.waitpid(fork(asked, folder), 0)
        equal = status == 0 and files_of(folder) == expected
        print(json.dumps({"run": number, "killed_after_lines": at, "of": total, "equal": equal}), flush=True)


if __name__ == "__main__":
    main()
