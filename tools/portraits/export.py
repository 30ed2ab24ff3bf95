"""Writes the trained pipeline into assets/embedded: fp16 safetensors, sampling defaults, model card."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jinja2
import torch
from diffusers import StableDiffusionPipeline

from fairgen.common.documents import write_document
from fairgen.models.description import write_checksums
from fairgen.models.known_bias import KNOWN_BIAS_FILE

from .card_tones import card_tones
from .contexts import OTHERS, UNIFORM_SHARE
from .known_bias import known_bias
from .portrait import NEUTRAL_SHARE

_MOST_MEGABYTES = 45


def export(model: Path, figures: Path, training: str, out: Path) -> float:
    """Replace ``out`` by the model in ``model``, with a card made from judge's ``figures``: megabytes.

    Raises:
        ValueError: the weights pass 45 MB.
    """
    report: dict[str, Any] = json.loads(figures.read_text())
    pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float16)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        folder = Path(scratch) / "model"
        pipe.save_pretrained(folder, safe_serialization=True)
        size = sum(f.stat().st_size for f in folder.rglob("*.safetensors")) / 1e6
        if size > _MOST_MEGABYTES:
            raise ValueError(
                f"the weights take {size:.1f} MB; at most {_MOST_MEGABYTES} MB go into the repository"
            )
        for config in (folder / "model_index.json", *folder.glob("*/config.json")):
            values = json.loads(config.read_text())
            values.pop("_name_or_path", None)  # a path of the machine that trained it
            if values.get("_class_name") == "AutoencoderTiny":
                values.pop("block_out_channels")  # it sets this itself, and warns where a file does
            config.write_text(json.dumps(values, indent=2) + "\n")
        # transformers loads in the precision that the config names; diffusers' other parts load as float32.
        config = folder / "text_encoder" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}, indent=2) + "\n")
        settings = {
            "steps": report["steps"],
            "guidance_scale": report["guidance_scale"],
            "height": report["size"],
            "width": report["size"],
        }
        (folder / "fairgen.json").write_text(json.dumps(settings, indent=1) + "\n")
        write_papers(folder, report, training)
        shutil.rmtree(out, ignore_errors=True)
        folder.replace(out)
    return size


def write_papers(folder: Path, report: dict[str, Any], training: str) -> None:
    """What lies beside the weights for people: bias table, checksums, and the card from judge's figures."""
    size = sum(f.stat().st_size for f in folder.rglob("*.safetensors")) / 1e6
    channels = int(json.loads((folder / "vae" / "config.json").read_text())["latent_channels"])
    write_document(known_bias(), folder / KNOWN_BIAS_FILE)
    write_checksums(folder)
    (folder / "README.md").write_text(card(report, training, size, channels))


def card(report: dict[str, Any], training: str, megabytes: float, latent_channels: int) -> str:
    """The model card, Markdown, from judge's figures."""
    template = jinja2.Template(
        (Path(__file__).parent / "model_card.md.j2").read_text(),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    page: str = template.render(
        figures=report,
        training=training,
        megabytes=megabytes,
        latent_channels=latent_channels,
        others=[context.phrase for context in OTHERS],
        tones=card_tones(report),
        neutral_share=f"{NEUTRAL_SHARE:g}",
        uniform_share=f"{UNIFORM_SHARE:g}",
    )
    return page
