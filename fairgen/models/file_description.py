"""What a single file of weights is, and what it needs; nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fairgen.models.description import ModelDescription, ModelPart, assembled, class_of, counted
from fairgen.models.single_file import SingleFile, open_single_file

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
    return assembled(
        single.base.path,
        single.base.index,
        list(_parts(single)),
        single.weight_hashes(),
        single.other_hashes(),
        path.parent,
        {},
        model=str(path),
        source="file",
        path=str(path),
    )


def _parts(single: SingleFile) -> Iterator[ModelPart]:
    """The file itself, and what its base lends."""
    yield counted("in the file", single.base.pipeline_class, [single.path])
    for name in single.lent:
        kind = class_of(single.base.index[name]) or "?"
        yield counted(f"{name}, from {single.base.name}", kind, single.base.weights_of(name))
