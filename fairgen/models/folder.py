"""Finds a model's folder and says, before anything is loaded, whether it can be used."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fairgen.common.libraries import quiet_libraries
from fairgen.common.resources import embedded_model_dir
from fairgen.common.text import readable
from fairgen.errors import UserError

DEFAULTS_FILE = "fairgen.json"
HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth", "*.pkl")
_READ = frozenset({".json", ".txt", ".model", ".jinja", ".tiktoken", ".vocab", ".spm"})
"""Suffixes of what libraries read beside weights."""
# Parts of a pipeline that have weights of their own, by the library class that model_index.json names.
_WITHOUT_WEIGHTS = re.compile(
    r"(\w*Tokenizer\w*|\w*Scheduler|\w*Processor\w*|\w*FeatureExtractor\w*|\w*Guider\w*|\w*Guidance)$"
)


_CHANGES_A_PICTURE = re.compile(
    "InstructPix2Pix|Pix2PixZero|Upscale|SuperResolution|Edit|Inpaint|Fill|Img2Img|Depth2Img|Layered"
)
"""Classes that take a picture to change, though their calls do not say that they need it."""
_READS_WORDS = re.compile(r"(text_encoder|tokenizer)(_\d)?$")


@dataclass(frozen=True)
class ModelFolder:
    """A folder in diffusers' format, checked."""

    name: str
    """As it was asked for."""
    path: Path
    source: Literal["embedded", "folder", "hub"]
    index: dict[str, Any]
    """model_index.json."""
    variant: str | None
    """File variant to load ("fp16"), where the folder has no other weights."""

    @property
    def pipeline_class(self) -> str:
        return str(self.index["_class_name"])

    def defaults(self) -> dict[str, Any]:
        """``fairgen.json`` beside the weights (steps, guidance_scale, height, width); {} where missing."""
        path = self.path / DEFAULTS_FILE
        return _read_json(path) if path.is_file() else {}

    def weight_hashes(self) -> dict[str, str]:
        """SHA-256 of every safetensors file of the pipeline's parts: file -> 'sha256:<hex>'.

        The hub's cache names its files by that hash already; others are read.
        """
        return {name: file_hash(self.path / name) for name in self.weight_files()}

    def weight_files(self) -> list[str]:
        """The safetensors files of the pipeline's parts; of a part that has the variant's, only those."""
        names = []
        for part in weight_parts(self.index):
            files = sorted((self.path / part).glob("*.safetensors"))
            own = [file for file in files if self.variant and f".{self.variant}." in file.name]
            names += [file.relative_to(self.path).as_posix() for file in own or files]
        return names

    def other_hashes(self) -> dict[str, str]:
        """As `weight_hashes`, of every other file that changes pictures: the index, and the configurations
        and vocabularies of all parts, the tokenizer's and the scheduler's included.
        """
        return setting_hashes_of(self.path, self.index)

    def load(self, dtype: str) -> Any:
        """The pipeline, on the CPU."""
        import torch
        from diffusers import DiffusionPipeline

        return DiffusionPipeline.from_pretrained(
            str(self.path),
            use_safetensors=True,
            local_files_only=True,
            variant=self.variant,
            torch_dtype=getattr(torch, dtype),
        )


def setting_hashes_of(folder: Path, index: dict[str, Any]) -> dict[str, str]:
    """`ModelFolder.other_hashes` of a folder with this ``model_index.json``."""
    found = [folder / "model_index.json"]
    for part in _parts(index):
        files = (folder / part).rglob("*")
        found += sorted(file for file in files if file.suffix in _READ and file.is_file())
    return {file.relative_to(folder).as_posix(): file_hash(file) for file in found}


def file_hash(file: Path) -> str:
    """'sha256:<hex>' of a file; the hub's cache has it in the file's name already."""
    real = file.resolve()
    if real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return f"sha256:{real.name}"
    with file.open("rb") as data:
        return f"sha256:{hashlib.file_digest(data, 'sha256').hexdigest()}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: restore the file.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold one JSON object: restore the file.")
    return content


def read_index(folder: Path) -> dict[str, Any]:
    """``model_index.json`` of a folder. Raises `UserError`."""
    return _read_json(folder / "model_index.json")


def check_libraries(name: str, index: dict[str, Any]) -> None:
    """Raise `UserError` where a part is of another library than diffusers and transformers: it would be
    imported.
    """
    from diffusers import pipelines

    for part, entry in index.items():
        if part.startswith("_") or not isinstance(entry, list) or not entry or entry[0] is None:
            continue
        library = entry[0]
        own = isinstance(library, str) and (
            library in ("diffusers", "transformers")
            or (library.isidentifier() and hasattr(pipelines, library))
        )
        if not own:
            raise UserError(
                f"The model {name!r} needs code of its own for its {part} ({str(library)[:60]!r}), which "
                "fairgen does not run: use one whose parts are of diffusers and transformers."
            )


def weight_parts(index: dict[str, Any]) -> list[str]:
    """Names of the parts (subfolders) that carry weights, from model_index.json."""
    return [name for name, kind in _parts(index).items() if not _WITHOUT_WEIGHTS.match(kind)]


def _parts(index: dict[str, Any]) -> dict[str, str]:
    """Part -> its class, from model_index.json; without those that the model lacks on purpose."""
    return {
        name: str(entry[1])
        for name, entry in index.items()
        if not name.startswith("_") and isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
    }


def require_utf8(model: str) -> None:
    """Raise `UserError` where a path is no UTF-8: libraries cannot open it, nor can a run file name it."""
    if readable(model) != model:
        raise UserError(
            f"The path of the model {readable(model)} is no UTF-8: rename the folders and files in it."
        )


def looks_like_file(model: str) -> bool:
    """Whether somebody who gave this name meant a file of weights."""
    return model.lower().endswith((".safetensors", ".gguf", *(pattern[1:] for pattern in _PICKLES)))


def find_model(model: str, variant: str | None = None) -> ModelFolder:
    """The checked folder of "embedded", a local folder or a hub id (the local cache first, then the hub);
    ``variant``: which files of it are meant ("fp16"), where it has several.

    Raises `UserError` where there is no such model, it cannot be reached, is no text-to-image pipeline, or
    has its weights only as pickles.
    """
    if model == "embedded":
        return check_folder(model, embedded_model_dir(), "embedded", variant)
    path = Path(model).expanduser()
    if model and path.is_dir():
        return check_folder(model, path, "folder", variant)
    if path.is_file():
        raise UserError(f"The model {model!r} is a file: a folder in diffusers format is needed here.")
    if not HUB_ID.fullmatch(model):
        raise UserError(
            f"There is no model {model!r}: give 'embedded', a folder that exists, or a hub id such as "
            "'stable-diffusion-v1-5/stable-diffusion-v1-5'."
        )
    return _from_hub(model, variant)


def check_folder(
    name: str, path: Path, source: Literal["embedded", "folder", "hub"], variant: str | None = None
) -> ModelFolder:
    """Check model_index.json and the weights. Raises `UserError`."""
    if not (path / "model_index.json").is_file():
        raise UserError(
            f"The folder {path} is no diffusers pipeline (it has no model_index.json): give a folder that "
            "save_pretrained wrote."
        )
    index = read_index(path)
    check_class(name, index)
    check_parts(name, index)
    check_libraries(name, index)
    variants = set()
    for part in weight_parts(index):
        files = list((path / part).glob("*.safetensors"))
        if not files:
            if any(True for pattern in _PICKLES for _ in (path / part).glob(pattern)):
                raise UserError(
                    f"The model {name!r} has the weights of its {part} only as pickle files, which can run "
                    "code when they are loaded: use a version with safetensors."
                )
            raise UserError(
                f"The model {name!r} lacks the weights of its {part}: download or copy it again, whole."
            )
        variants.add("fp16" if all(".fp16" in file.name for file in files) else None)
    _check_shards(name, path, index)
    for part in _parts(index):
        if not (path / part).is_dir():
            raise UserError(f"The model {name!r} lacks its {part}: download or copy it again, whole.")
    found = variant or ("fp16" if variants == {"fp16"} else None)
    folder = ModelFolder(name, path, source, index, found)
    if variant is not None and not any(f".{variant}." in file for file in folder.weight_files()):
        raise UserError(f"The model {name!r} has no files of the variant {variant!r}: leave it out.")
    return folder


def check_class(name: str, index: dict[str, Any]) -> None:
    """Raise `UserError` unless the pipeline is one of diffusers' own that makes pictures from words."""
    import diffusers

    class_name = index.get("_class_name")
    if not isinstance(class_name, str):
        raise UserError(
            f"The model {name!r} needs code of its own, which fairgen does not run: use one that diffusers "
            "knows."
        )
    pipeline = getattr(diffusers, class_name, None)
    if not (isinstance(pipeline, type) and issubclass(pipeline, diffusers.DiffusionPipeline)):
        raise UserError(
            f"The installed diffusers {diffusers.__version__} does not know the pipeline {class_name!r} of "
            f"the model {name!r}: upgrade diffusers, or use another model."
        )
    parameters = inspect.signature(pipeline.__call__).parameters
    # Inputs of other kinds: a picture to change, a video's length, a sound's.
    other_inputs = {"strength", "mask_image", "control_image", "num_frames", "audio_length_in_s"}
    changes_a_picture = "image" in parameters and _CHANGES_A_PICTURE.search(class_name)
    from_words = "prompt" in parameters and not other_inputs & set(parameters) and not changes_a_picture
    if "ControlNet" in class_name or not (from_words or _is_text_to_image(pipeline)):
        raise UserError(
            f"The model {name!r} is a {class_name}, which does not make pictures from words: use a "
            "text-to-image model."
        )


def check_parts(name: str, index: dict[str, Any]) -> None:
    """Raise `UserError` where the index lacks a part that reads words and that its pipeline needs."""
    import diffusers

    class_name = index["_class_name"]
    pipeline = getattr(diffusers, class_name)
    needed = [
        part
        for part, given in inspect.signature(pipeline).parameters.items()
        if given.default is given.empty and _READS_WORDS.match(part)
    ]
    if missing := [part for part in needed if part not in index]:
        raise UserError(
            f"The model {name!r} lacks the {missing[0]} of a {class_name}: its model_index.json names "
            "another class than the one that its parts are of."
        )


def _check_shards(name: str, path: Path, index: dict[str, Any]) -> None:
    """Raise `UserError` where an index of weights in several files names what is no such file."""
    for part in weight_parts(index):
        for listed in sorted((path / part).glob("*.safetensors.index*.json")):
            named = _read_json(listed).get("weight_map")
            for file in set(named.values()) if isinstance(named, dict) else {None}:
                sound = isinstance(file, str) and file.endswith(".safetensors") and Path(file).name == file
                if not sound or not (path / part / str(file)).is_file():
                    raise UserError(
                        f"The model {name!r} lists {str(file)[:80]!r} among the weights of its {part} "
                        f"({listed.name}), which is no file of safetensors there: download or copy it again, "
                        "whole."
                    )


def _is_text_to_image(pipeline: type) -> bool:
    # Importing this imports every pipeline of diffusers, which takes seconds: only for a class in doubt.
    with quiet_libraries():
        from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    return pipeline in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()


def _from_hub(model: str, variant: str | None) -> ModelFolder:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever httpx the hub uses

    try:
        return check_folder(model, _download(model, variant, local=True), "hub", variant)
    except (OSError, ValueError, UserError):
        pass  # not in the cache, or not whole there: ask the hub, whose errors are told below
    try:
        return check_folder(model, _download(model, variant, local=False), "hub", variant)
    except (OSError, httpx.HTTPError) as error:
        # diffusers wraps what the hub answered into an OSError of its own
        cause = error.__cause__ or error
        if isinstance(cause, GatedRepoError):
            mend = "is gated: accept its terms on its page at the hub and log in with 'hf auth login'"
        elif isinstance(cause, RepositoryNotFoundError):
            mend = (
                "does not exist on the hub, or is private: check the spelling, or log in with 'hf auth login'"
            )
        else:
            mend = (
                "is not on this machine and the hub cannot be reached: check the network, or give a local "
                "folder or 'embedded'"
            )
        raise UserError(f"The model {model!r} {mend}.") from error
    except ValueError as error:
        raise UserError(f"The model {model!r} cannot be used: {str(error).splitlines()[0]}") from error


def _download(model: str, variant: str | None, *, local: bool) -> Path:
    from diffusers import DiffusionPipeline

    found = DiffusionPipeline.download(model, use_safetensors=True, local_files_only=local, variant=variant)
    return Path(found)
