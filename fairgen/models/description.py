"""What a model's folder or file says about itself: parts, size, licence, settings, calibrations, known bias.

Nothing is loaded: weights are read as far as their headers, and once through for their hashes.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from fairgen.common.documents import Fixed
from fairgen.common.libraries import quiet_libraries
from fairgen.errors import UserError
from fairgen.models.folder import check_folder, find_model, weight_parts
from fairgen.models.known_bias import load_known_bias
from fairgen.models.single_file import open_single_file
from fairgen.runs import fingerprint_of

__all__ = [
    "CHECKSUMS_FILE",
    "BiasSummary",
    "CalibrationSummary",
    "ModelDescription",
    "ModelPart",
    "describe_file",
    "describe_model",
    "write_checksums",
]

CHECKSUMS_FILE = "SHA256SUMS"
"""Hashes of a model's files as they shipped, in the format of ``sha256sum``."""
_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
}
_MOST_CARD = 1024 * 1024


class ModelPart(Fixed):
    """A part of the pipeline that has weights."""

    name: str = Field(description="its folder: 'unet', 'text_encoder' ...")
    kind: str = Field(description="its class in diffusers or transformers")
    parameters: int
    dtypes: list[str] = Field(description="of the stored weights; more than one where they are mixed")
    megabytes: float = Field(description="of its safetensors files, 10^6 bytes")


class CalibrationSummary(Fixed):
    """A dose-response that lies beside the weights or among the user's own."""

    technique: str
    steps: int
    guidance_scale: float | None
    height: int | None
    width: int | None
    scheduler: str
    place: Literal["beside the weights", "the user's own"]
    usable: bool = Field(description="made with this very model")


class BiasSummary(Fixed):
    """The table of a bias that was built in on purpose."""

    prompts: int
    groups: dict[str, float] = Field(description="group -> mean of its prompts' means, degrees of ITA")
    lightest: list[str] = Field(description="the three prompts with the lightest mean")
    darkest: list[str]
    quantity: str


class ModelDescription(Fixed):
    """What ``fairgen model info`` prints."""

    model: str = Field(description="as it was asked for")
    source: Literal["embedded", "folder", "hub", "file"]
    path: str
    card: str | None = Field(default=None, description="the model card's path; None: there is none")
    title: str | None = Field(default=None, description="the card's first heading")
    licence: str | None = Field(default=None, description="as the card states it; None: it does not")
    pipeline: str
    variant: str | None = None
    parts: list[ModelPart]
    parameters: int
    megabytes: float = Field(description="of all weights, 10^6 bytes")
    height: int | None = Field(description="default, pixels; None: the pipeline decides")
    width: int | None
    scheduler: str | None
    prediction: str | None = Field(description="what the denoiser predicts, where the scheduler says so")
    steps: int | None = Field(description="default")
    guidance_scale: float | None
    defaults: dict[str, Any] = Field(description="fairgen.json beside the weights")
    calibrations: list[CalibrationSummary]
    damaged_calibrations: list[str] = Field(description="files that cannot be read, and should be deleted")
    weights: dict[str, str] = Field(description="file -> 'sha256:<hex>'")
    files: dict[str, str] = Field(
        description="whatever else changes pictures (configurations, tokenizers, scheduler): file -> "
        "'sha256:<hex>'"
    )
    fingerprint: str = Field(description="the model's identity: 'sha256:<hex>' over weights and files")
    as_shipped: bool | None = Field(
        default=None,
        description="whether the files are those that SHA256SUMS lists (an older list: only the weights); "
        "None: there is no such list",
    )
    changed: list[str] = Field(default=[], description="files that are not as listed, not listed, or missing")
    known_bias: BiasSummary | None = None


def describe_model(model: str) -> ModelDescription:
    """Everything that a model's folder says about itself.

    Args:
        model: "embedded", a folder in diffusers' format, or a hub id.

    Raises:
        UserError: there is no such model, it cannot be used, or one of its files is damaged.
    """
    with quiet_libraries():
        folder = find_model(model)
    parts = []
    for name in weight_parts(folder.index):
        kind = _class_of(folder.index[name]) or "?"
        parts.append(_counted(name, kind, sorted((folder.path / name).glob("*.safetensors"))))
    weights, files, defaults = folder.weight_hashes(), folder.other_hashes(), folder.defaults()
    card = folder.path / "README.md"
    title, licence = _card(card)
    changed = _changed(folder.path, weights, files)
    return _described(
        folder.path,
        folder.index,
        folder.path,
        parts=parts,
        weights=weights,
        files=files,
        defaults=defaults,
        model=folder.name,
        source=folder.source,
        path=str(folder.path),
        card=str(card) if card.is_file() else None,
        title=title,
        licence=licence,
        variant=folder.variant,
        as_shipped=None if changed is None else not changed,
        changed=changed or [],
        known_bias=_bias(folder.path),
    )


def describe_file(path: Path, base: str | None = None) -> ModelDescription:
    """What a checkpoint in one file is.

    Args:
        path: .safetensors in its original layout, or .gguf.
        base: as `fairgen.ModelOptions.base`.

    Raises:
        UserError: it is no such file, or its configuration is not at hand; the sentence says what to do.
    """
    single = open_single_file(path, base)
    lender = single.base
    parts = [_counted("in the file", single.pipeline_class, [path])]
    for name in single.lent:
        kind = _class_of(lender.index[name]) or "?"
        parts.append(_counted(f"{name}, from {lender.name}", kind, lender.weights_of(name)))
    return _described(
        lender.path,
        lender.index,
        path.parent,
        parts=parts,
        weights=single.weight_hashes(),
        files=single.other_hashes(),
        defaults={},
        model=str(path),
        source="file",
        path=str(path),
    )


def _described(
    base: Path,
    index: Mapping[str, Any],
    beside: Path,
    *,
    parts: list[ModelPart],
    weights: dict[str, str],
    files: dict[str, str],
    defaults: dict[str, Any],
    **own: Any,
) -> ModelDescription:
    """A description, with what follows from the configuration in ``base`` and from the calibrations beside
    the weights, in ``beside``; ``own``: its other fields.
    """
    pipeline = str(index["_class_name"])
    fingerprint = fingerprint_of(weights | files)
    call, side = _call_defaults(pipeline), _own_side(base)
    calibrations, damaged = _calibrations_of(beside, fingerprint)
    return ModelDescription(
        pipeline=pipeline,
        parts=parts,
        parameters=sum(part.parameters for part in parts),
        megabytes=round(sum(part.megabytes for part in parts), 3),
        height=defaults.get("height", side),
        width=defaults.get("width", side),
        scheduler=_class_of(index.get("scheduler")),
        prediction=_config_of(base / "scheduler" / "scheduler_config.json").get("prediction_type"),
        steps=defaults.get("steps", call.get("num_inference_steps")),
        guidance_scale=defaults.get("guidance_scale", call.get("guidance_scale")),
        defaults=defaults,
        calibrations=calibrations,
        damaged_calibrations=damaged,
        weights=weights,
        files=files,
        fingerprint=fingerprint,
        **own,
    )


def write_checksums(folder: Path) -> None:
    """Write `CHECKSUMS_FILE` for every file of a model's folder that changes pictures.

    Raises:
        UserError: the folder is no model that can be used.
    """
    model = check_folder(folder.name, folder, "folder")
    found = sorted((model.weight_hashes() | model.other_hashes()).items())
    lines = [f"{digest.removeprefix('sha256:')}  {name}\n" for name, digest in found]
    (folder / CHECKSUMS_FILE).write_text("".join(lines), encoding="utf-8")


def _changed(folder: Path, weights: dict[str, str], files: dict[str, str]) -> list[str] | None:
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        return None
    listed: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            raise UserError(f"{path} is no list of sha256sum: restore or delete it.")
        listed[found[2]] = f"sha256:{found[1]}"
    only_weights = all(name.endswith(".safetensors") for name in listed)
    now = weights if only_weights else weights | files
    return sorted(name for name in listed.keys() | now.keys() if listed.get(name) != now.get(name))


def _counted(name: str, kind: str, files: Sequence[Path]) -> ModelPart:
    """A part by the headers of its files. Raises `UserError` where one is damaged."""
    from safetensors import SafetensorError, safe_open

    parameters, dtypes, size = 0, set(), 0
    for file in files:
        size += file.stat().st_size
        if file.suffix == ".gguf":
            dtypes.add("gguf")
            continue
        try:
            with safe_open(file, framework="np") as tensors:
                for key in tensors.keys():  # noqa: SIM118  # no mapping, whatever it looks like
                    tensor = tensors.get_slice(key)
                    parameters += math.prod(tensor.get_shape())
                    dtypes.add(_DTYPES.get(tensor.get_dtype(), tensor.get_dtype().lower()))
        except SafetensorError as error:
            raise UserError(f"{file} is damaged: download or copy the model again, whole.") from error
    return ModelPart(
        name=name, kind=kind, parameters=parameters, dtypes=sorted(dtypes), megabytes=round(size / 1e6, 3)
    )


def _class_of(entry: Any) -> str | None:
    """The class that an entry of model_index.json names."""
    return str(entry[1]) if isinstance(entry, list) and len(entry) == 2 and entry[1] else None


def _config_of(path: Path) -> dict[str, Any]:
    """A part's configuration; {} where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # of a part that is not there, or keeps its configuration elsewhere
    return found if isinstance(found, dict) else {}


def _own_side(folder: Path) -> int | None:
    """Pixels of a side, from the denoiser's latents and how often the autoencoder halves them, in the way of
    diffusers' own pipelines.
    """
    configs = (_config_of(folder / part / "config.json") for part in ("unet", "transformer"))
    sizes = (config.get("sample_size") for config in configs)
    latents = next((size for size in sizes if isinstance(size, int)), None)
    blocks = _config_of(folder / "vae" / "config.json").get("block_out_channels")
    if latents is None or not isinstance(blocks, list):
        return None
    return int(latents * 2 ** (len(blocks) - 1))


def _call_defaults(pipeline_class: str) -> dict[str, Any]:
    """Steps and guidance scale that a pipeline takes by itself."""
    import diffusers

    parameters = inspect.signature(getattr(diffusers, pipeline_class).__call__).parameters
    names = ("num_inference_steps", "guidance_scale")
    found = {name: parameters[name].default for name in names if name in parameters}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _card(path: Path) -> tuple[str | None, str | None]:
    """First heading and licence of a model card, in the hub's form (YAML between two lines of dashes)."""
    import yaml

    if not path.is_file():
        return None, None
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_MOST_CARD)
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    heading = re.search(r"^# +(.+)$", text[found.end() :] if found else text, re.MULTILINE)
    fields: Any = None
    if found:
        try:
            fields = yaml.safe_load(found[1])
        except yaml.YAMLError:
            fields = None  # a card that states its licence in no form that can be read states none
    licence = fields.get("license") if isinstance(fields, dict) else None
    return heading[1].strip() if heading else None, licence if isinstance(licence, str) else None


def _calibrations_of(folder: Path, fingerprint: str) -> tuple[list[CalibrationSummary], list[str]]:
    """Those that may be of these weights, and the files that cannot be read."""
    from fairgen.steering.calibration import Calibration, user_folder

    found, damaged = [], []
    beside = folder / "calibrations"
    for file in sorted([*beside.glob("*.json"), *user_folder().glob("*.json")]):
        own = file.parent == beside
        if not own and _config_of(file).get("weights") != fingerprint:
            continue  # of another model
        try:
            one = Calibration.model_validate_json(file.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError):
            damaged.append(str(file))
            continue
        found.append(
            CalibrationSummary(
                technique=one.technique,
                steps=one.steps,
                guidance_scale=one.guidance_scale,
                height=one.height,
                width=one.width,
                scheduler=one.scheduler,
                place="beside the weights" if own else "the user's own",
                usable=one.weights == fingerprint,
            )
        )
    return found, damaged


def _bias(folder: Path) -> BiasSummary | None:
    table = load_known_bias(folder)
    if table is None:
        return None
    groups: dict[str, list[float]] = {}
    for row in table.rows:
        groups.setdefault(row.group, []).append(row.mean)
    ordered = [row.phrase for row in sorted(table.rows, key=lambda row: -row.mean)]
    return BiasSummary(
        prompts=len(table.rows),
        groups={name: round(sum(means) / len(means), 2) for name, means in groups.items()},
        lightest=ordered[:3],
        darkest=ordered[::-1][:3],
        quantity=table.quantity,
    )
