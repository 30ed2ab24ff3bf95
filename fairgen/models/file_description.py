"""What a single file of weights is, and what it needs; nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fairgen.models.description import (
    ModelDescription,
    ModelPart,
    calibrations_of,
    call_defaults,
    class_of,
    config_of,
    counted,
    own_side,
)
from fairgen.models.single_file import SingleFile, open_single_file
from fairgen.runs import fingerprint_of

__all__ = ["describe_file"]


def describe_file(path: Path, base: str | None = None) -> ModelDescription:
    """What a checkpoint in one file is.

    Args:
        path: .safetensors in its original layout, or .gguf.
        base: as `fairgen.ModelOptions.base`.

    Raises:
        UserError: it is no such file, or its configuration is not at hand; the sentence says what to do.
    """
    single = open_single_file(path, base)
    found = single.base
    weights, files = single.weight_hashes(), single.other_hashes()
    fingerprint = fingerprint_of(weights | files)
    call = call_defaults(found.pipeline_class)
    side = own_side(found.path)
    parts = list(_parts(single))
    calibrations, damaged = calibrations_of(path.parent, fingerprint)
    return ModelDescription(
        model=str(path),
        source="file",
        path=str(path),
        card=None,
        title=None,
        licence=None,
        pipeline=found.pipeline_class,
        variant=None,
        parts=parts,
        parameters=sum(part.parameters for part in parts),
        megabytes=round(sum(part.megabytes for part in parts), 3),
        height=side,
        width=side,
        scheduler=class_of(found.index.get("scheduler")),
        prediction=config_of(found.path / "scheduler" / "scheduler_config.json").get("prediction_type"),
        steps=call.get("num_inference_steps"),
        guidance_scale=call.get("guidance_scale"),
        defaults={},
        calibrations=calibrations,
        damaged_calibrations=damaged,
        weights=weights,
        files=files,
        fingerprint=fingerprint,
        as_shipped=None,
        changed=[],
        known_bias=None,
    )


def _parts(single: SingleFile) -> Iterator[ModelPart]:
    """The file itself, and what its base lends."""
    yield counted("in the file", single.base.pipeline_class, [single.path])
    for name in single.lent:
        kind = class_of(single.base.index[name]) or "?"
        yield counted(f"{name}, from {single.base.name}", kind, single.base.weights_of(name))
