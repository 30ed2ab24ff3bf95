"""`python -m tools.portraits`: render the training set, train autoencoder and UNet, check, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fairgen import cli

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
_Data = Annotated[Path, typer.Option(help="Folder of the rendered shards.")]
_HeldOut = Annotated[
    Path | None,
    typer.Option(
        help="Folder of shards that no training saw (another --seed); default: the data's last tenth."
    ),
]


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
    decoder_of: Annotated[
        Path | None, typer.Option(help="Train only the decoder of this autoencoder; its latents stay.")
    ] = None,
    grown_from: Annotated[
        Path | None,
        typer.Option(help="Start from this autoencoder of pictures half as large, and keep its latents."),
    ] = None,
) -> None:
    """Train the autoencoder; resumes from its checkpoint."""
    from .autoencoder import train_autoencoder

    train_autoencoder(
        data,
        out,
        minutes=minutes,
        piece_minutes=piece_minutes,
        seed=seed,
        width=width,
        device=device,
        decoder_of=decoder_of,
        grown_from=grown_from,
    )


@app.command()
def check_autoencoder(data: _Data, vae: Path, count: int = 400) -> None:
    """The gate: faces found after the autoencoder alone, by tone."""
    from rich import print as show

    from .evaluate import check_autoencoder as run

    show(run(data, vae, count))


@app.command()
def prepare(
    data: _Data,
    vae: Path,
    lessons: Path,
    views: Annotated[
        int, typer.Option(min=1, max=2, help="2: every portrait and its mirror picture; 1: one of them.")
    ] = 2,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Put what `train` sees into the folder LESSONS: latents, captions, autoencoder, tokenizer."""
    from .lessons import prepare as run

    run(data, vae, lessons, views=views, seed=seed, device=device)


@app.command()
def train(
    lessons: Path,
    out: Path,
    minutes: float = 60,
    piece_minutes: float | None = None,
    batch: int = 64,
    seed: int = 0,
    device: str = "cpu",
    start: Annotated[
        Path | None,
        typer.Option(
            help="Start from this pipeline's weights; it may have fewer latent channels or less attention."
        ),
    ] = None,
    pace: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of the usual learning rates; less for good weights.")
    ] = 1.0,
) -> None:
    """Train text encoder and UNet on what `prepare` wrote; resumes from its checkpoint. `out/pipeline` is a
    plain StableDiffusionPipeline.
    """
    from .train import Trainer

    trainer = Trainer(lessons, out, seed=seed, batch=batch, device=device, start=start)
    trainer.fit(minutes, piece_minutes=piece_minutes, pace=pace)


@app.command()
def evaluate(
    model: Path,
    out: Path,
    steps: int | None = None,
    guidance: float | None = None,
    each: int = 6,
    seed: int = 0,
) -> None:
    """Look at the model's tones over the 36 prompts and the tone words: figures and contact sheets in `out`.
    `judge` measures everything.
    """
    from rich import print as show

    from .evaluate import check_model, save_report, save_sheet

    out.mkdir(parents=True, exist_ok=True)
    report, jobs, pictures = check_model(model, steps=steps, guidance=guidance, each=each, seed=seed)
    save_report(report, out / "figures.json")
    free = sum(job.word is None for job in jobs)
    save_sheet(pictures[:free], each * 2, out / "unsteered.png")
    save_sheet(pictures[free : free + 144], 16, out / "words.png")
    show(report)


@app.command()
def classifier(
    data: _Data,
    out: Path,
    held_out: _HeldOut = None,
    epochs: int = 8,
    limit: Annotated[int | None, typer.Option(help="At most so many renders.")] = None,
    piece_minutes: float | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train the CNN that judges pictures into OUT (safetensors), on renders; resumes from its checkpoint."""
    from rich import print as show

    from .classifier import train_classifier as run

    figures = run(
        data,
        out,
        held_out=held_out,
        epochs=epochs,
        limit=limit,
        piece_minutes=piece_minutes,
        seed=seed,
        device=device,
    )
    if figures is not None:
        show(figures)


@app.command()
def judge(
    data: _Data,
    model: str,
    classifier: Path,
    out: Path,
    held_out: _HeldOut = None,
    each: Annotated[int, typer.Option(help="Unsteered pictures a prompt.")] = 14,
    tries: Annotated[int, typer.Option(help="Pictures a prompt and tone word.")] = 2,
    steps: int | None = None,
    guidance: float | None = None,
    piece_minutes: float | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Measure MODEL (a pipeline folder, or 'embedded') against all that the embedded model is held to.

    Figures and contact sheets go to OUT; the same command goes on where it stopped. By default
    36 x (14 + 8 x 2) = 1,080 pictures.
    """
    from rich import print as show

    from .judge import Amount, Judge

    measurement = Judge(
        model,
        classifier,
        data,
        out,
        held_out=held_out,
        amount=Amount(each, tries, seed),
        steps=steps,
        guidance=guidance,
        device=device,
    )
    report = measurement.run(piece_minutes)
    if report is None:
        print(f"{out} is not finished: the same command goes on.")
    else:
        show({k: v for k, v in report.items() if k not in ("bias", "unsteered_mean_ita")})


@app.command()
def compare(before: Path, after: Path) -> None:
    """Print two judge.json side by side, with what the embedded model is held to (Markdown)."""
    from .compare import compare as run

    lines = [("check", "bar", "before", "after", "met"), ("---",) * 5, *run(before, after)]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


@app.command()
def export(model: Path, figures: Path, training: Path, out: Path = Path("assets/embedded")) -> None:
    """Put a trained pipeline into assets/: fp16 weights, sampling defaults and the model card.

    FIGURES is judge's judge.json; TRAINING a text file that says how the model was trained.
    """
    from .export import export as run

    print(f"{run(model, figures, training.read_text().strip(), out):.1f} MB of weights in {out}")


@app.command()
def card(figures: Path, training: Path, out: Path = Path("assets/embedded")) -> None:
    """Write the model card, the bias table and the checksums of an exported model anew."""
    import json

    from .export import write_papers

    write_papers(out, json.loads(figures.read_text()), training.read_text().strip())


if __name__ == "__main__":
    sys.exit(cli.run(command=app, name="portraits"))
