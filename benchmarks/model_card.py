"""The tones that the embedded model draws by itself and by words; writes two tables of its card.

python benchmarks/model_card.py --work FOLDER   # goes on where it stopped
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import page_tables
import typer

from tools.figures.stamp import MODEL, READERS, hold_work, write_figures
from tools.portraits.card_tones import card_tones
from tools.portraits.evaluate import jobs_of, settled, tone_figures
from tools.portraits.judge import Amount
from tools.portraits.sampled import Sampled

_ROOT = Path(__file__).resolve().parents[1]
_CARD = _ROOT / "assets" / "embedded" / "README.md"
_COMMAND = "python benchmarks/model_card.py --work FOLDER"
OF = (MODEL, READERS)


def main(work: Annotated[Path, typer.Option(help="Folder of pictures and readings.")]) -> None:
    """Make and read what is missing, print the tables, put them into the card."""
    hold_work(work, OF)
    amount = Amount()
    jobs = jobs_of(amount.each, amount.tries, amount.seed)
    sampled = Sampled(settled("embedded", None, None, "cpu"), jobs, work)
    sampled.make()
    figures = tone_figures(jobs, sampled.read())
    for mark, text in card_tones(figures).items():
        print(f"{text}\n")
        page_tables.put(mark, text, _CARD)
    write_figures(_ROOT / "benchmarks" / "model_card.json", {"command": _COMMAND} | figures, OF)


if __name__ == "__main__":
    typer.run(main)
