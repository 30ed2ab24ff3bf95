"""An audit in one process and on Ray workers of the same machine, by turns; writes docs/scale-out.md.

    python benchmarks/scale_out.py --prompts 8 --count 8 --rounds 3

Processor time counts all processes, so that it says what a machine would do that is not busy with other work.
The seconds run from the audit's first line to its last; loading the model and starting Ray are apart.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import page_tables
import psutil
import typer

from tools.figures.stamp import CALIBRATIONS, MODEL, READERS, write_figures

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Setup:
    """Workers (0: this process alone) and the threads of each."""

    workers: int
    threads: int

    @property
    def name(self) -> str:
        where = f"{self.workers} workers" if self.workers else "one process"
        return f"{where}, {self.threads} {'thread' if self.threads == 1 else 'threads'}"


@contextmanager
def _maker(setup: Setup) -> Iterator[Any]:
    import torch

    import fairgen
    from fairgen.audit.workers.cluster import connected
    from fairgen.audit.workers.crew import Crew
    from fairgen.audit.workers.worker import model_loader

    if not setup.workers:
        torch.set_num_threads(setup.threads)
        yield fairgen.load_model("embedded", device="cpu")
        return
    with (
        connected(None, workers=setup.workers, device="cpu", threads=setup.threads) as layout,
        Crew(model_loader("embedded", layout.device, layout.threads), layout) as crew,
    ):
        yield crew


def _processor_seconds() -> float:
    """Of this process and all that it started."""
    own = psutil.Process()
    times = [process.cpu_times() for process in [own, *own.children(recursive=True)]]
    return sum(found.user + found.system for found in times)


def _measured(setup: Setup, plan: Any, folder: Path) -> dict[str, float]:
    from fairgen.audit.runner import Audit, AuditFinished, AuditStarted
    from fairgen.audit.workers.crew import Crew
    from skin_tone.pool import ReaderPool

    with ExitStack() as stack:
        begin = time.perf_counter()
        maker = stack.enter_context(_maker(setup))
        crew = maker if isinstance(maker, Crew) else None
        reader = stack.enter_context(ReaderPool(setup.threads))
        start = time.perf_counter() - begin
        clock = cpu = 0.0
        for event in Audit(plan, maker, reader, folder, batch_size=4, crew=crew).run():
            if isinstance(event, AuditStarted):
                clock, cpu = time.perf_counter(), _processor_seconds()
            elif isinstance(event, AuditFinished):
                pictures = sum(arm.generated for arm in event.summary.arms)
        seconds, cpu = time.perf_counter() - clock, _processor_seconds() - cpu
    return {"pictures": pictures, "start": start, "seconds": seconds, "processor_seconds": cpu}


def main(
    prompts: Annotated[int, typer.Option(help="The first so many of the shipped list.")] = 8,
    count: int = 8,
    rounds: Annotated[int, typer.Option(help="Times that each is run.")] = 3,
    all_cores: Annotated[bool, typer.Option(help="Also one process with as many threads as cores.")] = False,
    save: Annotated[bool, typer.Option(help="Write docs/scale-out.md and scale_out.json.")] = False,
) -> None:
    """Time all and print the medians."""
    from fairgen.audit.plan import plan_audit
    from fairgen.audit.prompts import read_prompt_list
    from fairgen.common.resources import prompts_path
    from fairgen.targets import load_spec

    setups = (Setup(0, 1), Setup(2, 1), *([Setup(0, os.cpu_count() or 1)] if all_cores else []))
    rows: dict[str, list[dict[str, float]]] = {setup.name: [] for setup in setups}
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.txt"
        entries = read_prompt_list(prompts_path()).entries[:prompts]
        listed.write_text("\n".join(entry.prompt for entry in entries) + "\n", encoding="utf-8")
        plan = plan_audit(listed, load_spec("uniform"), count=count)
        for number in range(rounds):
            for place, setup in enumerate(setups):
                rows[setup.name].append(_measured(setup, plan, Path(folder) / f"{number}-{place}"))
                print(setup.name, rows[setup.name][-1], flush=True)
    medians = {
        name: {key: statistics.median(row[key] for row in found) for key in found[0]}
        for name, found in rows.items()
    }
    titles = ("", "pictures", "start, s", "audit, s", "pictures/s", "processor s a picture")
    text = page_tables.table(
        titles,
        [
            [
                name,
                f"{found['pictures']:.0f}",
                f"{found['start']:.0f}",
                f"{found['seconds']:.0f}",
                f"{found['pictures'] / found['seconds']:.2f}",
                f"{found['processor_seconds'] / found['pictures']:.3f}",
            ]
            for name, found in medians.items()
        ],
    )
    print(text)
    if save:
        page_tables.put("scale-out", text, _HERE.parent / "docs" / "scale-out.md")
        options = f"--prompts {prompts} --count {count} --rounds {rounds}"
        document = {
            "command": f"python benchmarks/scale_out.py {options} --save",
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "rows": rows,
            "medians": medians,
        }
        write_figures(_HERE / "scale_out.json", document, [MODEL, CALIBRATIONS, READERS])


if __name__ == "__main__":
    typer.run(main)
