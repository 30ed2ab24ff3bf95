"""`python -m tools.portraits`: render the training set, train autoencoder and UNet, check, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
_Data = Annotated[Path, typer.Option(help="Folder of the rendered shards.")]


@app.command()
def render(
    data: _Data, count: int = 24_000, others: int = 2_000, seed: int = 0, size: int = 256, workers: int = 2
) -> None:
    """Render portraits of known albedo; resumes where it stopped."""
    from .dataset import render as run

    run(data, count, others=others, seed=seed, size=size, workers=workers)


@app.command()
def sheet(out: Path, columns: int = 12, rows: int = 9, seed: int = 0, size: int = 256) -> None:
    """A contact sheet of renders, to look at."""
    import numpy as np
    from PIL import Image

    from .contexts import CONTEXTS
    from .heads import load_heads
    from .portrait import PortraitMaker

    maker = PortraitMaker(load_heads(), size)
    pictures = [maker.make(seed + i, context=i % len(CONTEXTS)).image for i in range(columns * rows)]
    lines = [np.concatenate(pictures[r * columns : (r + 1) * columns], 1) for r in range(rows)]
    Image.fromarray(np.concatenate(lines, 0)).save(out)


@app.command()
def autoencoder(
    data: _Data,
    out: Path,
    minutes: float = 20,
    piece_minutes: float | None = None,
    seed: int = 0,
    width: int = 48,
    device: str = "cpu",
) -> None:
    """Train the autoencoder; resumes from its checkpoint."""
    from .autoencoder import train_autoencoder

    train_autoencoder(
        data, out, minutes=minutes, piece_minutes=piece_minutes, seed=seed, width=width, device=device
    )


@app.command()
def check_autoencoder(data: _Data, vae: Path, count: int = 400) -> None:
    """The gate: faces found after the autoencoder alone, by tone."""
    from rich import print as show

    from .evaluate import check_autoencoder as run

    show(run(data, vae, count))


@app.command()
def train(
    data: _Data,
    vae: Path,
    out: Path,
    minutes: float = 60,
    piece_minutes: float | None = None,
    batch: int = 64,
    seed: int = 0,
    device: str = "cpu",
    compiled: Annotated[bool, typer.Option(help="Compile the UNet first (needs a C++ compiler).")] = False,
) -> None:
    """Train text encoder and UNet; resumes from its checkpoint. `out/pipeline` is a plain
    StableDiffusionPipeline.
    """
    from .train import Trainer

    trainer = Trainer(data, vae, out, seed=seed, batch=batch, device=device, compiled=compiled)
    trainer.fit(minutes, piece_minutes=piece_minutes)


@app.command()
def evaluate(
    model: Path, out: Path, steps: int = 14, guidance: float = 2.0, each: int = 6, seed: int = 0
) -> None:
    """Measure the model over the 36 prompts and the tone words; writes figures and contact sheets into
    `out`.
    """
    from rich import print as show

    from .evaluate import check_model, save_report, save_sheet

    out.mkdir(parents=True, exist_ok=True)
    report, samples = check_model(model, steps=steps, guidance=guidance, each=each, seed=seed)
    save_report(report, out / "figures.json")
    free = [s for s in samples if s.word is None]
    save_sheet(free, each * 2, out / "unsteered.png")
    save_sheet([s for s in samples if s.word is not None][:144], 16, out / "words.png")
    show(report)


@app.command()
def export(model: Path, figures: Path, training: Path, out: Path = Path("assets/embedded")) -> None:
    """Put a trained pipeline into assets/: fp16 weights, sampling defaults and the model card.

    FIGURES is evaluate's figures.json; TRAINING a text file that says how the model was trained.
    """
    from .export import export as run

    print(f"{run(model, figures, training.read_text().strip(), out):.1f} MB of weights in {out}")


if __name__ == "__main__":
    app()
