"""Reads the columns of a CSV or Parquet file cell by cell, with the line or row of each for refusals."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from fairgen.common.files import file_errors
from fairgen.errors import UserError

__all__ = ["Cell", "Row", "Table", "read_table"]

_MAX_BYTES = 20_000_000
_MAX_ROWS = 50_000

Cell = str | int | float | bool | Decimal | None
"""As the file has it: CSV knows text alone."""


@dataclass(frozen=True)
class Row:
    """One row of the chosen columns."""

    number: int
    """From 1: the line of a CSV file (the one in which the row ends), the row of a Parquet file."""
    cells: Mapping[str, Cell]
    """By heading."""


@dataclass(frozen=True)
class Table:
    """The chosen columns of a file."""

    name: str
    row_word: str
    """What ``Row.number`` counts: 'line' or 'row'."""
    sha256: str
    """Of the whole file."""
    rows: tuple[Row, ...]

    def at(self, number: int) -> str:
        """A place for an error message."""
        return f"{self.name}, {self.row_word} {number}"


def read_table(path: Path, columns: Sequence[str], *, separator: str = ",") -> Table:
    """The columns with these headings.

    Raises:
        UserError: the file cannot be read, is no such table, is too large, or lacks a column.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".parquet"):
        raise UserError(f"The table {path.name} must be a .csv, .tsv or .parquet file.")
    with file_errors(f"The table {path} cannot be read"):
        if path.is_fifo():
            raise UserError(f"The table {path} is a pipe: write it into a file, which can be named.")
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise UserError(f"{path.name} is larger than {_MAX_BYTES / 1e6:g} MB: keep the rows that are needed.")
    if len(set(columns)) < len(columns):
        raise UserError("'table.columns' names one column twice: each holds something else.")
    if suffix == ".parquet":
        rows = _parquet(path.name, raw, columns)
    else:
        rows = _csv(path.name, raw, columns, "\t" if suffix == ".tsv" else separator)
    if not rows:
        raise UserError(f"{path.name} has no rows.")
    word = "row" if suffix == ".parquet" else "line"
    return Table(path.name, word, hashlib.sha256(raw).hexdigest(), tuple(rows))


def _csv(name: str, raw: bytes, columns: Sequence[str], separator: str) -> list[Row]:
    # The csv module and not pandas: it takes a short or a long row for what it is, and knows its line.
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}, line {line}: not UTF-8 text: save it as UTF-8.") from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    try:
        heading = [cell.strip() for cell in next(reader, [])]
        if not any(heading):
            raise UserError(f"{name} has no headings in its first line: name each column there.")
        places = _places(name, heading, columns)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(heading):
                raise UserError(
                    f"{name}, line {reader.line_num}: {len(cells)} cells under {len(heading)} headings: a "
                    f"text that holds {separator!r} must stand in quotes."
                )
            if len(rows) == _MAX_ROWS:
                raise UserError(f"{name} has more than {_MAX_ROWS} rows: keep those that are needed.")
            chosen = {column: cells[place].strip() for column, place in places.items()}
            rows.append(Row(reader.line_num, chosen))
    except csv.Error as error:
        raise UserError(f"{name}, line {reader.line_num}: not a CSV table ({error}).") from None
    return rows


def _parquet(name: str, raw: bytes, columns: Sequence[str]) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(raw))
        _places(name, list(file.schema_arrow.names), columns)
        if file.metadata.num_rows > _MAX_ROWS:
            raise UserError(f"{name} has more than {_MAX_ROWS} rows: keep those that are needed.")
        found = file.read(columns=list(columns)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{name} is not a Parquet table that can be read ({str(error)[:100]}).") from None
    for number, cells in enumerate(found, 1):
        for column, cell in cells.items():
            if not isinstance(cell, Cell):
                raise UserError(f"{name}, row {number}: {column!r} holds neither text nor numbers.")
    return [Row(number, cells) for number, cells in enumerate(found, 1)]


def _places(name: str, heading: Sequence[str], columns: Sequence[str]) -> dict[str, int]:
    for column in columns:
        count = heading.count(column)
        if count == 0:
            close = difflib.get_close_matches(column, heading, n=1)
            hint = f": did you mean {close[0]!r}?" if close else f": it has {', '.join(heading)[:200]}."
            if len(heading) == 1 and (other := next((c for c in ";\t," if c in heading[0]), None)):
                hint = f": it has {heading[0][:200]}. Should 'table.separator' be {other!r}?"
            raise UserError(f"{name} has no column {column!r}{hint}")
        if count > 1:
            raise UserError(f"{name} has {count} columns {column!r}: rename all but one.")
    return {column: heading.index(column) for column in columns}
