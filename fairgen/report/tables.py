"""Tables beside the page, as CSV and Parquet: one row a picture, one row a prompt under an arm."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from fairgen.common.files import disk_errors, replacing
from fairgen.runs import ReadingDocument, SessionRun
from fairgen.scoring.figures import PromptFigures

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "whole", "number", "yes"]
Columns = Mapping[str, Kind]

PICTURES: Columns = {
    "session": "text",
    "session_prompt": "text",
    "group": "text",
    "arm": "text",
    "index": "whole",
    "slot": "whole",
    "attempt": "whole",
    "round": "whole",
    "seed": "whole",
    "prompt": "text",
    "wanted": "text",
    "word": "text",
    "strength": "number",
    "measured": "text",
    "certainty": "number",
    "abstained": "text",
    "decision": "text",
    "in_set": "yes",
    "lab_l": "number",
    "lab_a": "number",
    "lab_b": "number",
    "ita": "number",
    "faces": "whole",
    "file": "text",
    "seconds": "number",
}
"""Columns of pictures.csv and pictures.parquet; `docs/report.md` says what each holds."""

_SET_TEXT = ("name", "prompt", "group", "spec", "spec_hash", "scale")
_SET_FIGURES: Columns = {
    "finished": "yes",
    "steered": "yes",
    "count": "whole",
    "generated": "whole",
    "kept": "whole",
    "discarded": "whole",
    "abstained": "whole",
    "filled": "whole",
    "missing": "whole",
    "asked": "whole",
    "hits": "whole",
    "tv": "number",
    "first_pass_tv": "number",
    "noise_floor_tv": "number",
    "alignment_error": "number",
    "fd": "number",
    "kl": "number",
    "p_differs": "number",
    "p_meets": "number",
    "mean_ita": "number",
    # Old names, for one version.
    "wanted": "whole",
    "counted": "whole",
    "not_read": "whole",
    "chance_tv": "number",
}
_ROWS_AT_ONCE = 2_000


def set_columns(prompts: Sequence[PromptFigures]) -> Columns:
    """Columns of sets.csv: figures, then target, count and first-pass count of each class."""
    classes = list(dict.fromkeys(key for prompt in prompts for key in prompt.target))
    columns: dict[str, Kind] = dict.fromkeys(_SET_TEXT, "text")
    columns |= {
        "arm": "text",
        "session": "text",
        **_SET_FIGURES,
        "tv_read_low": "number",
        "tv_read_high": "number",
    }
    columns |= {f"target_{key}": "number" for key in classes}
    columns |= {f"measured_{key}": "whole" for key in classes}
    columns |= {f"first_pass_{key}": "whole" for key in classes}
    return columns


def set_rows(prompts: Sequence[PromptFigures]) -> Iterator[dict[str, Any]]:
    """One row a prompt under an arm."""
    for prompt in prompts:
        shared = {key: getattr(prompt, key) for key in _SET_TEXT}
        shared |= {f"target_{key}": share for key, share in prompt.target.items()}
        for arm, found in prompt.sets.items():
            low, high = found.tv_read or (None, None)
            yield (
                shared
                | {"arm": arm, "session": found.session, "tv_read_low": low, "tv_read_high": high}
                | {key: getattr(found, key) for key in _SET_FIGURES}
                | {f"measured_{key}": count for key, count in found.measured.items()}
                | {f"first_pass_{key}": count for key, count in found.first_pass.items()}
            )


def picture_rows(session: SessionRun, arm: str, group: str | None) -> Iterator[dict[str, Any]]:
    """One row a picture of a session, in the order of generation."""
    inside = {p.index: p for p in session.final_set()}
    for made in session.pictures:
        picture = inside.get(made.index, made)
        yield picture.model_dump(mode="json", exclude={"readings", "steering"}) | {
            "session_prompt": session.record.prompt,
            "group": group,
            "arm": arm,
            "strength": picture.steering.get("strength"),
            "in_set": picture.index in inside and picture.measured is not None,
            **reading_columns(picture.readings, session.record.scale, picture.measured),
        }


def reading_columns(readings: Sequence[ReadingDocument], scale: str, measured: str | None) -> dict[str, Any]:
    """What tables say of a picture's readings (largest face first), beside the class that counts."""
    first: ReadingDocument = readings[0] if readings else {}
    chances = (first.get("probabilities") or {}).get(scale) or {}
    return {
        "certainty": chances.get(measured or ""),
        **dict(zip(("lab_l", "lab_a", "lab_b"), first.get("lab") or (), strict=False)),
        "ita": first.get("ita"),
        "faces": sum(1 for r in readings if r.get("box") is not None),
    }


class TableWriter:
    """Writes rows to ``<name>.csv`` and ``<name>.parquet`` as they come; memory holds 2,000 of them.

    The CSV is as `csv_writer` writes it; the Parquet file has every text as it is. Use through `table`.
    """

    def __init__(self, columns: Columns, csv_file: IO[str], parquet_file: IO[bytes]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "yes": pa.bool_()}
        self._schema: pa.Schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._columns = tuple(columns)
        self._add_to_csv = csv_writer(self._columns, csv_file)
        self._parquet = pq.ParquetWriter(parquet_file, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row; columns that it leaves out are empty."""
        cells = {name: row.get(name) for name in self._columns}
        self._add_to_csv(cells)
        self._waiting.append(cells)
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._parquet.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting.clear()

    def close(self) -> None:
        """Write what is left; without a call the Parquet file has no end and cannot be read."""
        if self._waiting:
            self._flush()
        self._parquet.close()


@contextmanager
def table(folder: Path, name: str, columns: Columns) -> Iterator[TableWriter]:
    """A `TableWriter` whose files take their names once the block is left without an error.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    csv_path, parquet_path = folder / f"{name}.csv", folder / f"{name}.parquet"
    with (
        disk_errors(csv_path),
        replacing(csv_path) as csv_temporary,
        replacing(parquet_path) as parquet_temporary,
        csv_temporary.open("w", encoding="utf-8", newline="") as csv_file,
        parquet_temporary.open("wb") as parquet_file,  # by a path pyarrow takes UTF-8 alone
    ):
        writer = TableWriter(columns, csv_file, parquet_file)
        try:
            yield writer
        finally:
            writer.close()


def csv_writer(columns: Iterable[str], file: IO[str]) -> Callable[[Mapping[str, Any]], object]:
    """Begin a CSV with its titles; what is returned writes a row, whose missing columns are empty.

    A text that a spreadsheet would run as a formula gets a leading apostrophe.
    """
    names, writer = list(columns), csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    return lambda row: writer.writerow([_cell(row.get(name)) for name in names])


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def csv_text(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows -> CSV, as `csv_writer` writes it."""
    buffer = io.StringIO()
    add = csv_writer(columns, buffer)
    for row in rows:
        add(row)
    return buffer.getvalue()
