"""What an audit costs beside a bare diffusers loop that makes as many pictures; writes docs/benchmarks.md.

    python benchmarks/audit.py --prompts 3 --count 30 --rounds 3

Both run in one process on the loaded embedded model, on one thread, by turns, so that a busy machine is
as unkind to the one as to the other. The audit reads every picture, writes every file, and steers by what
it read.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import page_tables
import typer
from rich.console import Console

from tools.figures.stamp import CALIBRATIONS, MODEL, READERS, write_figures

console = Console()
_HERE = Path(__file__).resolve().parent


class _Clock:
    wall = 0.0
    cpu = 0.0


@contextmanager
def _timed() -> Iterator[_Clock]:
    clock, wall, cpu = _Clock(), time.perf_counter(), time.process_time()
    yield clock
    clock.wall, clock.cpu = time.perf_counter() - wall, time.process_time() - cpu


def _bare(pipe: Any, info: Any, prompts: list[str], pictures: int, batch: int) -> None:
    """What one writes without fairgen: the same pipeline, the same batches, the pictures dropped."""
    import torch

    for start in range(0, pictures, batch):
        size = min(batch, pictures - start)
        pipe(
            prompt=[prompts[(start // batch) % len(prompts)]] * size,
            generator=[torch.Generator("cpu").manual_seed(start + k) for k in range(size)],
            num_inference_steps=info.steps,
            guidance_scale=info.guidance_scale,
            height=info.height,
            width=info.width,
        )


def main(
    prompts: Annotated[int, typer.Option(help="So many of the shipped list, spread over it.")] = 3,
    count: int = 30,
    rounds: Annotated[int, typer.Option(help="Times that each is run.")] = 3,
    batch_size: int = 4,
    save: Annotated[bool, typer.Option(help="Write docs/benchmarks.md and audit.json.")] = False,
) -> None:
    """Time both and print the ratio."""
    import torch

    from fairgen.audit.plan import plan_audit
    from fairgen.audit.prompts import read_prompt_list
    from fairgen.audit.runner import Audit, AuditFinished
    from fairgen.common.resources import prompts_path
    from fairgen.models.loading import load_diffusers
    from fairgen.targets import load_spec
    from skin_tone.pool import ReaderPool

    torch.set_num_threads(1)
    entries = read_prompt_list(prompts_path()).entries
    # Spread over the list, so that every group has its share.
    texts = [entries[k * len(entries) // prompts].prompt for k in range(prompts)]
    generator = load_diffusers("embedded", device="cpu")
    rows = []
    with tempfile.TemporaryDirectory() as folder, ReaderPool() as reader:
        listed = Path(folder) / "list.txt"
        listed.write_text("\n".join(texts) + "\n", encoding="utf-8")
        plan = plan_audit(listed, load_spec("uniform"), count=count)
        _bare(generator.pipe, generator.info, texts, 2 * batch_size, batch_size)  # warm
        for number in range(rounds):
            with _timed() as audit_time:
                audit = Audit(plan, generator, reader, Path(folder) / str(number), batch_size=batch_size)
                (summary,) = [e.summary for e in audit.run() if isinstance(e, AuditFinished)]
            pictures = sum(arm.generated for arm in summary.arms)
            with _timed() as bare_time:
                _bare(generator.pipe, generator.info, texts, pictures, batch_size)
            rows.append(
                {
                    "pictures": pictures,
                    "audit_seconds": audit_time.wall,
                    "bare_seconds": bare_time.wall,
                    "ratio": audit_time.wall / bare_time.wall,
                    "audit_cpu_seconds": audit_time.cpu,
                    "bare_cpu_seconds": bare_time.cpu,
                    "cpu_ratio": audit_time.cpu / bare_time.cpu,
                }
            )
            console.print(rows[-1])
    ratio = statistics.median(row["ratio"] for row in rows)
    cpu = statistics.median(row["cpu_ratio"] for row in rows)
    titles = ("pictures", "audit, s", "bare loop, s", "ratio", "ratio of processor time")
    cells = [
        [
            str(row["pictures"]),
            *(f"{row[key]:.1f}" for key in ("audit_seconds", "bare_seconds")),
            *(f"{row[key]:.3f}" for key in ("ratio", "cpu_ratio")),
        ]
        for row in rows
    ]
    text = page_tables.table(titles, [*cells, ["median", "", "", f"{ratio:.3f}", f"{cpu:.3f}"]])
    print(text)
    if save:
        page_tables.put("audit", text)
        document = {
            "command": f"python benchmarks/audit.py --prompts {prompts} --count {count} --rounds {rounds} "
            f"--batch-size {batch_size} --save",
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "rows": rows,
            "ratio": ratio,
            "cpu_ratio": cpu,
        }
        write_figures(_HERE / "audit.json", document, [MODEL, CALIBRATIONS, READERS])


if __name__ == "__main__":
    typer.run(main)
