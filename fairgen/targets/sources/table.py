"""A target from a table of shares by group, and a declared mapping of each group to skin tones.

A group of people is not a skin tone: how one was spread over the classes is a judgement, written down in a
document (``TableSource``) together with its reasons, and told again in the spec that comes out. With s the
share of a group in the table and m the share of a class in that group, the target is
t(class) = sum over groups of s(group) m(group, class).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fairgen.common.files import file_errors
from fairgen.errors import UserError
from fairgen.targets import Citation, Confidence, FairnessSpec
from fairgen.targets.document import parse_document, validated
from fairgen.targets.fields import NAME_PATTERN, Day, Part, RequiredLine, RequiredText, Unit, problem
from fairgen.targets.model import SHARE_SUM_TOLERANCE, unknown_class
from fairgen.targets.sources.table_file import Cell, Row, Table, read_table
from fairgen.targets.strict_yaml import MAX_BYTES
from skin_tone.scales import SCALES

__all__ = ["GroupMapping", "TableColumns", "TableFile", "TableSource", "load_table_source", "table_spec"]

_LONGEST_MAPPING = 4_000
_NUMBER = re.compile(r"-?(\d{1,18}(\.\d{1,40})?|\.\d{1,40})(e[+-]?\d{1,2})?", re.IGNORECASE | re.ASCII)
_WHOLE = {"shares": Fraction(1), "percent": Fraction(100)}


class TableColumns(Part):
    """Which column holds what, by its heading."""

    group: RequiredLine
    share: RequiredLine
    context: RequiredLine | None = Field(None, description="the prompts or patterns that a row is about")


class TableFile(Part):
    """The table, and how it is to be read."""

    file: RequiredLine = Field(description="a .csv or .parquet file; relative to this document")
    columns: TableColumns
    values: Literal["shares", "percent", "counts"] = Field(
        description="shares sum to 1 and percent to 100 (in each context); counts are divided by their sum"
    )
    separator: Literal[",", ";", "\t"] = Field(",", description="between the columns of a CSV file")


class GroupMapping(Part):
    """How one group is spread over the classes of the scale, and why so."""

    shares: dict[str, Unit] = Field(
        min_length=1, description="class -> share of the group; sums to 1; a class that is left out has none"
    )
    why: RequiredText

    @field_validator("shares")
    @classmethod
    def _sums_to_one(cls, value: dict[str, float]) -> dict[str, float]:
        total = math.fsum(value.values())
        if abs(total - 1) > SHARE_SUM_TOLERANCE:
            raise problem(f"sums to {total:.8g} and not to 1: spread the whole group")
        return value


class TableSource(Part):
    """A document that turns a table into a spec."""

    name: Annotated[str, Field(max_length=64, pattern=NAME_PATTERN)]
    version: Annotated[int, Field(strict=True, ge=1)] = 1
    scale: Literal["ita6", "monk10", "lmd3"]
    table: TableFile
    mapping: dict[str, GroupMapping] = Field(min_length=1, description="group, as the table has it -> tones")
    contexts: dict[str, Annotated[list[RequiredLine], Field(min_length=1)]] = Field(
        default={},
        description="value of the context column -> prompts or patterns; empty: it holds these itself",
    )
    otherwise: RequiredLine | None = Field(
        None, description="the context whose target all other prompts have, or 'uniform'"
    )
    citation: Citation = Field(description="where the table is from")
    confidence: Confidence = Confidence()
    about: RequiredText = Field(description="what the target describes: a workforce, a country ...")
    why: RequiredText = Field(description="why that")
    allocation: Literal["exact", "expected"] = "exact"
    declared_by: RequiredLine
    declared_on: Day

    @field_validator("mapping")
    @classmethod
    def _names_classes(cls, value: dict[str, GroupMapping], info: ValidationInfo) -> dict[str, GroupMapping]:
        if "scale" in info.data:
            for group, mapped in value.items():
                if unknown := unknown_class(mapped.shares, info.data["scale"], group, "shares"):
                    raise unknown
        return value

    @model_validator(mode="after")
    def _says_what_holds_otherwise(self) -> Self:
        has_contexts = self.table.columns.context is not None
        if has_contexts != (self.otherwise is not None):
            raise problem(
                "is given exactly when 'table.columns.context' is: the name of the context whose target all "
                "other prompts have, or 'uniform'",
                "otherwise",
            )
        if self.contexts and not has_contexts:
            raise problem("says what contexts stand for: name their column in 'table.columns'", "contexts")
        return self


def load_table_source(path: str | os.PathLike[str]) -> tuple[TableSource, Table]:
    """A table source document, and the table that it names.

    Raises:
        SpecError: the document is refused; the message gives file, line and reason.
        UserError: a file cannot be read, or the table is refused; the message gives file, row and reason.
    """
    file = Path(path)
    with file_errors(f"The table source {str(path)!r} cannot be read"), file.open("rb") as stream:
        raw = stream.read(MAX_BYTES + 1)
    source = parse_document(TableSource, raw, origin=str(file), start="specs/templates/table-source.yaml")
    if "://" in source.table.file:
        raise UserError(f"{file}: 'table.file' is a web address: download the table, and name the file.")
    columns = source.table.columns
    wanted = [columns.group, columns.share, *([columns.context] if columns.context is not None else [])]
    return source, read_table(file.parent / source.table.file, wanted, separator=source.table.separator)


def table_spec(source: TableSource, table: Table) -> FairnessSpec:
    """The spec that a table and the mapping of its groups make. Nothing is renormalised: only ``counts`` are
    divided by their sum, since the document says so.

    Raises:
        UserError: a row cannot be used, or groups and mapping do not fit; the message gives row and reason.
        SpecError: the spec that comes out is refused.
    """
    by_context = _shares_by_context(source, table)
    if unknown := [context for context in source.contexts if context not in by_context]:
        raise UserError(f"{table.name} has no context {_some(unknown)}, which 'contexts' names: take it out.")
    targets = {context: _target(source, shares) for context, shares in by_context.items()}
    data = source.model_dump(
        include={"name", "version", "scale", "about", "why", "allocation", "declared_by", "declared_on"}
    )
    data |= {
        "source": "table",
        "citations": [source.citation],
        "confidence": source.confidence,
        "mapping": _mapping_text(source, table, by_context),
    }
    if source.otherwise is None:
        data["target"] = targets[""]
        return validated(FairnessSpec, data, table.name, {})
    classes = SCALES[source.scale].classes
    if source.otherwise == "uniform":
        data["target"] = dict.fromkeys(classes, 1 / len(classes))
    elif source.otherwise in targets:
        data["target"] = targets[source.otherwise]
    else:
        raise UserError(
            f"{table.name} has no context {source.otherwise!r}, which 'otherwise' names: write 'uniform', or "
            f"one of {_some(targets)}."
        )
    data["contexts"] = [
        {
            "prompts": _prompts(source, context),
            "target": target,
            "mapping": f"For {context!r} the table has {_told(by_context[context])}. Each group was spread "
            "over the classes as the mapping of the document says.",
        }
        for context, target in targets.items()
        if context != source.otherwise or context in source.contexts
    ]
    return validated(FairnessSpec, data, table.name, {})


def _shares_by_context(source: TableSource, table: Table) -> dict[str, dict[str, Fraction]]:
    """Context ('' where there is no such column) -> group -> share of the whole; exact, sums to 1."""
    columns = source.table.columns
    rows: dict[str, dict[str, tuple[Fraction, int]]] = {}
    for row in table.rows:
        group = _word(table, row, columns.group)
        context = "" if columns.context is None else _word(table, row, columns.context)
        value = _number(table, row, columns.share)
        if group not in source.mapping:
            raise UserError(
                f"{table.at(row.number)}: the group {group!r} is not mapped: add it under 'mapping', next to "
                f"{_some(source.mapping)}, and say why so."
            )
        where = f" in the context {context!r}" if context else ""
        seen = rows.setdefault(context, {})
        if group in seen:
            raise UserError(
                f"{table.at(row.number)}: the group {group!r} appears twice{where}, first in "
                f"{table.row_word} {seen[group][1]}: a table with one row a group{where} is needed."
            )
        seen[group] = value, row.number
    return {context: _whole(source, table, context, found) for context, found in rows.items()}


def _whole(
    source: TableSource, table: Table, context: str, found: Mapping[str, tuple[Fraction, int]]
) -> dict[str, Fraction]:
    where = f" in the context {context!r}" if context else ""
    if absent := [group for group in source.mapping if group not in found]:
        raise UserError(
            f"{table.name} has no row for {_some(absent)}{where}: write the share, 0 if need be, or take the "
            "group out of 'mapping'."
        )
    values = {group: value for group, (value, _) in found.items()}
    total = sum(values.values(), Fraction(0))
    whole = _WHOLE.get(source.table.values, total)
    if total == 0:
        raise UserError(f"{table.name}: the values{where} sum to 0: there is nothing to divide.")
    if abs(total / whole - 1) > SHARE_SUM_TOLERANCE:
        raise UserError(
            f"{table.name}: the {source.table.values}{where} sum to {float(total):.8g} and not to {whole}: "
            "correct the table. If they were rounded, or groups are missing, and each is to be divided by "
            "their sum, say so with 'values: counts', and in 'why'."
        )
    return {group: value / whole for group, value in values.items()}


def _target(source: TableSource, shares: Mapping[str, Fraction]) -> dict[str, float]:
    """Class -> share. Fractions of what the files say in decimals, so that 0.1 x 0.3 is 0.03."""
    target = dict.fromkeys(SCALES[source.scale].classes, Fraction(0))
    for group, share in shares.items():
        for name, part in source.mapping[group].shares.items():
            target[name] += share * Fraction(repr(part))
    return {name: float(share) for name, share in target.items()}


def _prompts(source: TableSource, context: str) -> list[str]:
    if not source.contexts:
        return [context]
    if context not in source.contexts:
        raise UserError(
            f"The context {context!r} of the table has no prompts: add it under 'contexts', next to "
            f"{_some(source.contexts)}, or take its rows out."
        )
    return source.contexts[context]


def _word(table: Table, row: Row, column: str) -> str:
    cell = row.cells[column]
    text = "" if cell is None else str(cell).strip()
    if not text or isinstance(cell, float):
        raise UserError(f"{table.at(row.number)}: {column!r} is {_cell(cell)}: name what the row is about.")
    return text


def _number(table: Table, row: Row, column: str) -> Fraction:
    cell = row.cells[column]
    what = f"{table.at(row.number)}: {column!r} is {_cell(cell)}"
    text = "" if isinstance(cell, bool) else str(cell)
    if not _NUMBER.fullmatch(text):
        raise UserError(
            f"{what} and not a number such as 12.5: no percent signs, no thousands separators, nothing left "
            "empty."
        )
    value = Fraction(text)
    if value < 0:
        raise UserError(f"{what}: a share cannot be negative.")
    return value


def _cell(cell: Cell) -> str:
    if cell is None or cell == "":
        return "empty"
    text = repr(cell)
    return text if len(text) <= 40 else text[:37] + "..."


def _mapping_text(source: TableSource, table: Table, by_context: Mapping[str, Mapping[str, Fraction]]) -> str:
    """The judgements of the document in words, to be read and disputed in the spec."""
    columns = source.table.columns
    read = "counts, divided by their sum" if source.table.values == "counts" else source.table.values
    lines = [
        f"From the table {table.name} (sha256:{table.sha256}): the column {columns.share!r} by "
        f"{columns.group!r}, read as {read}. Each group was spread over the classes of {source.scale} by "
        "judgement, since a group of people is not a skin tone:"
    ]
    labels = SCALES[source.scale].labels
    for group, mapped in source.mapping.items():
        spread = ", ".join(f"{labels[name]} {_percent(share)}" for name, share in mapped.shares.items())
        lines.append(f"- {group}: {spread}. Why: {mapped.why}")
    if source.otherwise is None:
        lines.append(f"The table has {_told(by_context[''])}.")
    elif source.otherwise == "uniform":
        lines.append("Prompts that the table does not know get a uniform target: that is no figure of it.")
    else:
        lines.append(
            f"Prompts that the table does not know get the target of {source.otherwise!r}, for which it has "
            f"{_told(by_context.get(source.otherwise, {}))}."
        )
    text = "\n".join(lines)
    if len(text) > _LONGEST_MAPPING:
        raise UserError(
            f"The mapping would take {len(text)} characters in the spec, which holds {_LONGEST_MAPPING}: "
            "shorten the reasons."
        )
    return text


def _told(shares: Mapping[str, Fraction]) -> str:
    return ", ".join(f"{group} {_percent(share)}" for group, share in shares.items())


def _percent(share: Fraction | float) -> str:
    return f"{float(share * 100):.4g} %"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
