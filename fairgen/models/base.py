"""The configuration of a single-file checkpoint: a folder in diffusers' format, from where it is at hand."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fairgen.errors import UserError
from fairgen.models.files import Contents
from fairgen.models.folder import HUB_ID, check_class, check_libraries, read_index, weight_parts

_CONFIGURATION = ("*.json", "*.txt", "*.model", "*/*.json", "*/*.txt", "*/*.model")
_INDEX = "model_index.json"


@dataclass(frozen=True)
class Base:
    """Where a single file's configuration comes from.

    Attributes:
        name: folder or hub id, for messages.
        path: its folder on this machine.
        index: its ``model_index.json``.
        hub: whether parts that are missing may be fetched from the hub under ``name``.
    """

    name: str
    path: Path
    index: Mapping[str, Any]
    hub: bool

    @property
    def pipeline_class(self) -> str:
        """Class name of the pipeline."""
        return str(self.index["_class_name"])

    def weights_of(self, part: str) -> list[Path]:
        """The safetensors files of a part, fetched where that is possible; [] where there are none."""
        found = sorted((self.path / part).glob("*.safetensors"))
        if found or not self.hub:
            return found
        with contextlib.suppress(UserError):
            _snapshot(self.name, [f"{part}/*.safetensors", f"{part}/*.json"])
        return sorted((self.path / part).glob("*.safetensors"))

    @contextlib.contextmanager
    def without_pickles(self) -> Iterator[Path]:
        """A folder that shows nothing of the base but configurations, vocabularies and safetensors."""
        with tempfile.TemporaryDirectory(prefix="fairgen-base-") as made:
            shown = Path(made)
            for pattern in (*_CONFIGURATION, "*/*.safetensors"):
                for file in self.path.glob(pattern):
                    link = shown / file.relative_to(self.path)
                    link.parent.mkdir(exist_ok=True)
                    link.symlink_to(file.resolve())
            yield shown


def find_base(contents: Contents, given: str | None) -> Base:
    """The base of a single file: ``given`` (a folder or hub id); else the folder beside the file that has its
    name; else what diffusers names for such a file, from the hub's cache or the hub.

    Raises:
        UserError: there is none; the sentence says what to put where.
    """
    path = contents.path
    if given is not None:
        folder = Path(given).expanduser()
        if folder.is_dir():
            return _base(str(given), folder, hub=False)
        if folder.is_file() or not HUB_ID.fullmatch(given):
            raise UserError(
                f"The base {given!r} is no folder and no hub id: give a folder in diffusers' format, such "
                "as one that save_pretrained wrote."
            )
        return _base(given, _from_hub(given, path), hub=True)
    beside = path.with_suffix("")
    if (beside / _INDEX).is_file():
        return _base(str(beside), beside, hub=False)
    usual = _usual_base(contents)
    return _base(usual, _from_hub(usual, path), hub=True)


def _base(name: str, path: Path, *, hub: bool) -> Base:
    if not (path / _INDEX).is_file():
        raise UserError(f"The base {name} is no folder in diffusers' format (it has no {_INDEX}).")
    index = read_index(path)
    check_class(name, index)
    check_libraries(name, index)
    return Base(name, path, index, hub)


def _usual_base(contents: Contents) -> str:
    """The hub id that diffusers names for a file with these tensors."""
    from diffusers.loaders.single_file_utils import (
        DIFFUSERS_DEFAULT_PIPELINE_PATHS,
        infer_diffusers_model_type,
    )

    # Stand for the tensors, of which only the shape is asked for.
    shapes = {name: SimpleNamespace(shape=shape) for name, shape in contents.shapes.items()}
    try:
        kind = str(infer_diffusers_model_type(shapes))
    except (KeyError, IndexError, ValueError, AttributeError, UnboundLocalError):
        kind = ""
    if contents.kind == "gguf" or (kind == "v1" and not _is_first_stable_diffusion(contents)):
        kind = ""  # v1 is what diffusers takes anything else for
    if kind not in DIFFUSERS_DEFAULT_PIPELINE_PATHS:
        raise UserError(
            f"What kind of model {contents.path} is cannot be told from its tensors: name a folder in "
            "diffusers' format of such a model with --base."
        )
    return str(DIFFUSERS_DEFAULT_PIPELINE_PATHS[kind]["pretrained_model_name_or_path"])


def _is_first_stable_diffusion(contents: Contents) -> bool:
    key = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    return contents.shapes.get(key, (0,))[-1] == 768


def _from_hub(name: str, path: Path) -> Path:
    """The configuration from the hub's cache, else from the hub."""
    for local in (True, False):
        try:
            found = _snapshot(name, list(_CONFIGURATION), local=local)
        except UserError:
            continue
        if (found / _INDEX).is_file():
            return found
    beside = path.with_suffix("")
    raise UserError(
        f"{path} needs the configuration of {name}, which is not on this machine, and the hub does not give "
        f"it: fetch it elsewhere (hf download {name} --include '*.json' '*.txt' '*.model' --local-dir "
        f"{beside.name}) and put that folder beside the file, or name it with --base."
    )


def _snapshot(name: str, patterns: Sequence[str], *, local: bool = False) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever httpx the hub uses

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns), local_files_only=local))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError, httpx.HTTPError) as error:
        raise UserError(f"The hub does not give {name}.") from error


def parts_with_weights(base: Base) -> list[str]:
    """The base's parts that have weights, without a safety checker, which no checkpoint holds."""
    return [
        part for part in weight_parts(dict(base.index)) if part not in ("safety_checker", "image_encoder")
    ]
