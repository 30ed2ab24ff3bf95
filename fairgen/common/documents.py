"""JSON documents: pydantic models, read with one clear error and written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from fairgen.common.files import write_text
from fairgen.errors import UserError

_MOST_BYTES = 4 * 1024 * 1024

_D = TypeVar("_D", bound=BaseModel)


class Fixed(BaseModel):
    """Values under names: nothing unknown among them, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(Fixed):
    """A part of a document: as `Fixed`, and no NaN."""

    model_config = ConfigDict(allow_inf_nan=False)


def read_document(path: Path, kind: type[_D], what: str) -> _D:
    """Read and check one JSON document.

    Raises:
        UserError: it cannot be read, is larger than 4 MiB, or is no such document.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} is larger than 4 MiB, and so no {what}.")
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text, and so no {what}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path} is no {what}: {place + ': ' if place else ''}{said}.") from error


def write_document(document: BaseModel, path: Path) -> None:
    """Write one JSON document, whole or not at all. Raises `UserError` where the disk refuses."""
    write_text(path, document.model_dump_json(indent=1) + "\n")


def json_schema(
    of: type[BaseModel] | TypeAdapter[Any], title: str, mode: Literal["validation", "serialization"]
) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document.

    Args:
        of: its model, or an adapter of several.
        title: what it is.
        mode: "validation" for documents that people write, "serialization" for those that fairgen writes.
    """
    adapter = of if isinstance(of, TypeAdapter) else TypeAdapter(of)
    return adapter.json_schema(mode=mode) | {"$schema": GenerateJsonSchema.schema_dialect, "title": title}
