"""The list of all figures, benchmarks/index.yaml, and what the pages state of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fairgen.common.files import write_text
from tools.figures.stamp import CALIBRATIONS, KEY, MODEL, READERS, identities

ROOT = Path(__file__).resolve().parents[2]
NOT_MEASURED = (
    "*Not yet measured with the model and the readers that ship: `make figures ONLY={name}` measures it.*"
)
"""Stands where a table would."""

MATERIALS = ("work", "shots", "photos", "faces", "committees")
"""What a command may ask for in braces; all but ``work`` are folders or files that the user has to give."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Part):
    """One figure in a JSON file.

    Args:
        file: the file, from the root of the repository.
        at: the way to the figure, parts joined by "/". A part names a key; with "=" it chooses from a list
            the row whose columns have these values, several joined by "&".
        show: how it is written, as a format specification of Python.
        times: it is multiplied by this.
    """

    file: str
    at: str
    show: str
    times: float = 1.0

    def text(self, root: Path) -> str:
        """The figure as a page has to write it, without the zero before the point.

        Raises:
            LookupError: there is no such figure.
        """
        found: Any = json.loads((root / self.file).read_text(encoding="utf-8"))
        for part in self.at.split("/"):
            found = _step(found, part)
        written = format(float(found) * self.times, self.show)
        return re.sub(r"^(-?)0\.", r"\1.", written)


class Statement(_Part):
    """A sentence of a page that states figures.

    Args:
        page: the page, from the root of the repository.
        text: the sentence, or a part of it, with the names of ``values`` in braces. Line breaks do not count.
        values: name -> where the figure comes from.
    """

    page: str
    text: str
    values: dict[str, Value]

    def wanted(self, root: Path) -> str:
        """The sentence as the page has to have it."""
        return self.text.format_map({name: value.text(root) for name, value in self.values.items()})

    def stands(self, root: Path) -> bool:
        """Whether the page has it."""
        page = (root / self.page).read_text(encoding="utf-8")
        return " ".join(self.wanted(root).split()) in " ".join(page.split())


class Table(_Part):
    """A part of a page between ``<!-- mark -->`` and ``<!-- /mark -->``, which a command writes."""

    page: str
    mark: str

    def shown(self, root: Path) -> str:
        """What stands there.

        Raises:
            LookupError: the page lacks the marks.
        """
        return self._parts(root)[1].strip()

    def put(self, root: Path, text: str) -> None:
        """Replace what stands there, and nothing else.

        Raises:
            LookupError: the page lacks the marks.
        """
        before, _, after = self._parts(root)
        write_text(root / self.page, f"{before}{text}\n{after}")

    def _parts(self, root: Path) -> tuple[str, str, str]:
        """The page up to the end of the first mark, what stands there, and the rest."""
        page = (root / self.page).read_text(encoding="utf-8")
        begin, end = f"<!-- {self.mark} -->\n", f"<!-- /{self.mark} -->"
        before, found, rest = page.partition(begin)
        text, closed, after = rest.partition(end)
        if not found or not closed:
            raise LookupError(f"{self.page} lacks the marks of {self.mark}")
        return before + begin, text, end + after


class Piece(_Part):
    """What is measured in one go.

    Args:
        title: what is measured, in a few words.
        commands: what measures it, one after the other; ``{work}`` is a folder of its own, and the other
            `MATERIALS` are given by the user.
        minutes: about how long it takes on two idle cores.
        of: names of `tools.figures.stamp.identities` that the figures depend on. Empty: of the code alone.
        files: the JSON files that it writes, as patterns from the root of the repository.
        tables: what it writes into pages.
        states: sentences of pages that state its figures.
    """

    title: str
    commands: list[str]
    minutes: float
    of: list[str]
    files: list[str]
    tables: list[Table] = Field(default_factory=list)
    states: list[Statement] = Field(default_factory=list)

    @model_validator(mode="after")
    def _known(self) -> Piece:
        unknown = set(self.of) - {MODEL, CALIBRATIONS, READERS}
        if unknown:
            raise ValueError(f"nothing ships under the name of {', '.join(sorted(unknown))}")
        return self

    @property
    def needs(self) -> list[str]:
        """The materials that the user has to give."""
        used = {name for command in self.commands for name in re.findall(r"{(\w+)}", command)}
        return [name for name in MATERIALS[1:] if name in used]

    def written(self, root: Path) -> list[Path]:
        """The JSON files that are there."""
        return sorted(path for pattern in self.files for path in root.glob(pattern))

    def unfinished(self, root: Path) -> bool:
        """Whether a file says under ``missing`` that something is still to be measured."""
        documents = (json.loads(path.read_text(encoding="utf-8")) for path in self.written(root))
        return any(isinstance(found, dict) and found.get("missing") for found in documents)

    def stale(self, root: Path) -> list[str]:
        """What is wrong with the figures that are there, a sentence each. Empty where nothing is."""
        found = []
        for path in self.written(root):
            other = [name for name, old in _of(path, self.of).items() if old != identities()[name]]
            if other:
                found.append(f"{path.relative_to(root)} is not of the {' and '.join(other)} that ship")
        return found


class Index(_Part):
    """All pieces, in the order in which they are measured."""

    pieces: dict[str, Piece]


def load_index(root: Path = ROOT) -> Index:
    """Read benchmarks/index.yaml.

    Raises:
        pydantic.ValidationError: it says something that an index cannot.
    """
    text = (root / "benchmarks" / "index.yaml").read_text(encoding="utf-8")
    return Index.model_validate(yaml.safe_load(text))


def _of(path: Path, names: list[str]) -> dict[str, str]:
    """What a file says that it is of; results of the known-bias bench say it in fields of their own."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if KEY in document:
        own = document[KEY]["of"]
    else:
        own = {MODEL: document.get("fingerprint"), READERS: document.get("reader")}
    return {name: str(own.get(name)) for name in names}


def _step(found: Any, part: str) -> Any:
    if "=" not in part:
        return found[part]
    wanted = [column.split("=", 1) for column in part.split("&")]
    rows = [row for row in found if all(str(row[name]) == value for name, value in wanted)]
    if len(rows) != 1:
        raise LookupError(f"{len(rows)} rows have {part}")
    return rows[0]
