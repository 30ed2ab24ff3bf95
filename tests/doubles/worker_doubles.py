"""What loads doubles of a model on workers, well-behaved or not. Run as a program, an audit on such workers.

    python -m tests.doubles.worker_doubles FOLDER local|HOST:PORT

FOLDER/run is the run; it goes on where there is one. Nothing but errors is printed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from fairgen.audit.plan import AuditPlan, plan_audit
from fairgen.audit.runner import Audit, look_back
from fairgen.errors import UserError
from fairgen.runs import RUN_FILE
from fairgen.steering import Steering
from fairgen.steering.request import Request
from fairgen.targets import load_spec
from tests.doubles.session_doubles import BatchBound, InfoReader

RUN = Path("run")
LIST = """# [high]\na doctor\na judge\na pilot\na banker
# [low]\na janitor\na nurse\na cook\na farm worker
# [other]\na person in a park
"""
BATCH = 2
"""So blocks of four, four and one prompts."""


@dataclass
class Mortal(BatchBound):
    """Its process is killed by its n-th batch: once if there is a ``mark``, which it leaves, else always."""

    threads: int = 1
    pause: float = 0.0
    dies_at: int | None = None
    mark: Path | None = None
    made: int = field(default=0, init=False)

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        self.made += 1
        if self.made == self.dies_at:
            with suppress(FileExistsError):
                if self.mark is not None:
                    self.mark.touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.pause)
        return super().generate(requests, steering)


@dataclass(frozen=True)
class LoadDouble:
    """Loads `Mortal` on a worker; ``fails``: what it refuses with; ``odd``: each worker has other weights."""

    pause: float = 0.0
    dies_at: int | None = None
    mark: Path | None = None
    fails: str | None = None
    odd: bool = False

    def __call__(self) -> tuple[Mortal, InfoReader]:
        if self.fails is not None:
            raise UserError(self.fails)
        return model(self.pause, self.dies_at, self.mark, self.odd), InfoReader()


def model(
    pause: float = 0.0, dies_at: int | None = None, mark: Path | None = None, odd: bool = False
) -> Mortal:
    found = Mortal(spread=18.0, unreadable=0.1, plain=25.0, pause=pause, dies_at=dies_at, mark=mark)
    if odd:
        found.info = found.info.model_copy(update={"weights": {"unet": f"sha256:{os.getpid()}"}})
    return found


def plan(folder: Path) -> AuditPlan:
    prompts = folder / "prompts.txt"
    prompts.write_text(LIST)
    return plan_audit(prompts, load_spec("uniform"), count=5, arms=("none", "prompt"), max_tries=3, seed=5)


def main() -> None:
    from fairgen.audit.workers.cluster import connected
    from fairgen.audit.workers.crew import Crew

    folder, address = Path(sys.argv[1]), sys.argv[2]
    asked = plan(folder)
    os.chdir(folder)
    left = look_back(RUN) if (RUN / RUN_FILE).exists() else None
    where = None if address == "local" else address
    with (
        connected(where, workers=2, device="cpu", threads=1) as layout,
        Crew(LoadDouble(pause=0.05), layout) as crew,
        closing(Audit(asked, crew, InfoReader(), RUN, batch_size=BATCH, left=left).run()) as events,
    ):
        for _ in events:
            pass


if __name__ == "__main__":
    main()
