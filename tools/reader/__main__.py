"""`python -m tools.reader`: render the shots of known albedo, fit the reader's calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _main() -> None:
    """`python -m tools.reader COMMAND`."""


_Data = Annotated[Path, typer.Option(help="Folder of the rendered shots.")]


@app.command()
def render(data: _Data, calibration: int = 2000, test: int = 600, workers: int = 2) -> None:
    """Render both splits; resumes where it stopped."""
    from .shots import render as run

    run(data, "calibration", calibration, workers)
    run(data, "test", test, workers)


@app.command()
def fit(
    data: _Data,
    out: Path = Path("skin_tone/calibration.json"),
    vae: Path = Path("assets/embedded/vae"),
    steps: int = 3000,
    epochs: int = 24,
    consistency: float = 0.5,
    seed: int = 0,
    workers: int = 2,
    device: Annotated[str, typer.Option(help="Where the pixel network is fitted: cpu, cuda.")] = "cpu",
) -> None:
    """Measure the calibration split (kept beside the shots), fit the reader, write its calibration and
    pixel network.
    """
    import torch
    from rich import print as show

    from .fit import fit as run
    from .fit import measure_split

    table = data / "measured.npz"
    if not table.exists():
        measure_split(data, vae, table, seed, workers)
    where = torch.device(device)
    show(run(table, out, steps=steps, epochs=epochs, seed=seed, consistency=consistency, device=where))


@app.command()
def observe(
    faces: Annotated[Path, typer.Option(help="Folder of rated faces; see tools/reader/rated.py.")],
    out: Path = Path("skin_tone/observer.safetensors"),
    left_out: Annotated[
        Path | None,
        typer.Option(help="Write what committees say of faces that they were not fitted on here, as JSON."),
    ] = None,
    workers: int = 2,
) -> None:
    """Describe the rated faces in many looks and fit the observer on those whose licence allows it."""
    import json

    from rich import print as show

    from .observe import described, fit
    from .rated import rated_faces

    figures, said = fit(described(rated_faces(faces), workers), out)
    show(figures)
    if left_out is not None:
        left_out.write_text(json.dumps(said, indent=0) + "\n", encoding="utf-8")


@app.command()
def familiar(
    data: _Data,
    pictures: Annotated[Path, typer.Option(help="Folder of pictures that the embedded model made.")],
    faces: Annotated[Path, typer.Option(help="Folder of rated faces; see tools/reader/rated.py.")],
    out: Path = Path("skin_tone/familiarity.safetensors"),
    vae: Path = Path("assets/embedded/vae"),
    shots: int = 240,
) -> None:
    """Measure how the renders look, so that the light estimator is asked for nothing else."""
    from rich import print as show

    from .familiar import describe_renders, write
    from .observe import described
    from .rated import rated_faces

    # First the one that forks: afterwards this process has threads of its own.
    rated = described([face for face in rated_faces(faces) if face.fit], once=True)
    show(write(describe_renders(data, vae, shots, sorted(pictures.rglob("*.png"))), rated, out))


@app.command()
def second(
    data: _Data,
    faces: Annotated[Path, typer.Option(help="Folder of rated faces; see tools/reader/rated.py.")],
) -> None:
    """Fit the second reader's straight line and print what belongs into skin_tone/second.py."""
    from rich import print as show

    from .rated import rated_faces
    from .second_line import fit as run

    weights, sigma, figures = run(rated_faces(faces), data)
    show({"WEIGHTS": [round(float(w), 3) for w in weights], "SIGMA": round(sigma, 2), **figures})


@app.command()
def selftest_faces(data: _Data, out: Path = Path("skin_tone")) -> None:
    """Put four test shots of each ita6 class into the package, for `python -m skin_tone.selftest`."""
    from .selftest_faces import write

    write(data, out)


@app.command()
def readings(out: Path = Path("tests/fixtures/readings.json")) -> None:
    """Record what both readers read of the self-test's faces, whenever `skin_tone.identity.METHOD` rises."""
    import json

    from .readings import readings as run

    lines = [
        f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in run().items()
    ]
    out.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    app()
