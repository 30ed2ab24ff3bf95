"""The models, and files to put onto them, that lie in a folder which whoever runs the server named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fairgen.errors import UserError

_DEEPEST = 3
"""Folders within folders that are looked into."""
_MOST = 2_000
"""Files that are looked at."""
_MOST_CONFIG = 1 << 20
"""Bytes of an autoencoder's configuration, which has a few thousand."""
Kind = Literal["file", "folder", "settings", "LoRA", "autoencoder", "textual inversion"]
MODELS: tuple[Kind, ...] = ("file", "folder", "settings")
"""Checkpoints in one file, folders in diffusers' format, files of settings."""
_KINDS: dict[str, Kind] = {
    "checkpoint": "file",
    "gguf": "file",
    "LoRA": "LoRA",
    "autoencoder": "autoencoder",
    "textual inversion": "textual inversion",
}
"""What the header of a file of weights tells -> what it is here."""


@dataclass(frozen=True)
class Found:
    """One model, or one file to put onto a model.

    Attributes:
        name: its path inside the folder, with forward slashes: what visitors see and choose.
        path: where it lies.
        kind: what it is.
        megabytes: size of its file, 10^6 bytes; None for a folder or a file of settings.
    """

    name: str
    path: Path
    kind: Kind
    megabytes: float | None = None


class Catalogue:
    """What lies in ``folder``; None: nothing does. It is looked at anew whenever a list is asked for."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = None if folder is None else folder.expanduser().absolute()
        self._seen: dict[tuple[Path, int, int], Kind | None] = {}

    def of(self, *kinds: Kind) -> list[Found]:
        """What is of these kinds (autoencoders in files, or in folders of diffusers' format), by name."""
        return [found for found in self._all() if found.kind in kinds]

    def path(self, name: str) -> Path | None:
        """Where what is offered by that name lies; None where there is nothing."""
        return next((found.path for found in self._all() if found.name == name), None)

    def _all(self) -> list[Found]:
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(self._within(self.folder, _DEEPEST), key=lambda found: found.name.lower())[:_MOST]

    def _within(self, folder: Path, deeper: int) -> Iterator[Found]:
        """What lies in a folder; one that holds a model in diffusers' format is that model and no more."""
        try:
            entries = sorted(folder.iterdir())[:_MOST]
        except OSError:
            return  # a folder that the server may not read offers nothing
        for path in entries:
            if path.name.startswith("."):
                continue
            if path.is_dir():
                if (path / "model_index.json").is_file():
                    # What lends a single file its configuration is named like it, and no choice of its own.
                    if not path.with_name(f"{path.name}.safetensors").is_file():
                        yield self._found(path, "folder")
                elif _is_autoencoder(path):
                    yield self._found(path, "autoencoder")
                elif deeper:
                    yield from self._within(path, deeper - 1)
            elif path.suffix in (".safetensors", ".gguf"):
                kind = self._kind(path)
                if kind is not None:
                    yield self._found(path, kind, path.stat().st_size)
            elif path.suffix in (".yaml", ".yml") and _is_settings(path):
                yield self._found(path, "settings")

    def _found(self, path: Path, kind: Kind, size: int | None = None) -> Found:
        assert self.folder is not None
        name = path.relative_to(self.folder).as_posix()
        return Found(name, path, kind, None if size is None else size / 1e6)

    def _kind(self, path: Path) -> Kind | None:
        """What a file of weights is, read from its header once; None for what nothing can be done with."""
        from fairgen.models.files import read_contents

        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        if key not in self._seen:
            try:
                kind = _KINDS.get(read_contents(path, "model").kind)
            except UserError:
                kind = None  # damaged, or a pickle by another name: nothing to choose
            self._seen[key] = kind
        return self._seen[key]


def _is_autoencoder(folder: Path) -> bool:
    """Whether a folder holds an autoencoder in diffusers' format."""
    try:
        with (folder / "config.json").open("rb") as file:
            found = json.loads(file.read(_MOST_CONFIG))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and str(found.get("_class_name", "")).startswith("Autoencoder")


def _is_settings(path: Path) -> bool:
    """Whether a YAML file is one of a model's settings."""
    from fairgen.models.options import read_settings

    try:
        read_settings(path)
    except UserError:
        return False
    return True
