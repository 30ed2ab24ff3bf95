"""How a model is opened: files beside it, sampler, settings. From the library, the command line or a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, field_validator

from fairgen.common.documents import Part
from fairgen.errors import UserError

__all__ = ["OFFLOADS", "SAMPLING", "LoraFile", "ModelOptions", "TokenFile", "is_settings", "read_settings"]

SAMPLING = ("negative_prompt", "steps", "guidance_scale", "height", "width", "scheduler", "vary")
"""Fields of `ModelOptions` that change how a model samples and not what is loaded."""

OFFLOADS = ("none", "model", "sequential", "group")
"""Ways to keep on the CPU what the accelerator does not need at the moment, from fastest to smallest."""
_DTYPES = ("auto", "float32", "float16", "bfloat16")
_MOST_SETTINGS = 1024 * 1024


class LoraFile(Part):
    """A LoRA file and how strongly it acts: 1 as it was trained, 0 not at all."""

    file: str = Field(min_length=1)
    weight: float = Field(default=1.0, ge=-10, le=10)

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"FILE"`` or ``"FILE:0.8"``. Raises `ValueError`."""
        file, colon, weight = text.rpartition(":")
        if not colon or not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", weight):
            if colon and not Path(text).exists() and re.fullmatch(r"[^/\\]*", weight):
                raise ValueError(f"{text!r} is no FILE:WEIGHT: the weight is a number, such as 0.8")
            return cls(file=text)
        return cls(file=file, weight=float(weight))


class TokenFile(Part):
    """A textual inversion's file and the word that stands for it in prompts (default: the file's own)."""

    file: str = Field(min_length=1)
    token: str | None = Field(default=None, min_length=1, max_length=100)

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"FILE"`` or ``"FILE:token"``."""
        file, colon, token = text.rpartition(":")
        if not colon or Path(text).exists() or "/" in token or "\\" in token:
            return cls(file=text)
        return cls(file=file, token=token)


class ModelOptions(Part):
    """How a model is opened, beside its name and device. Everything may be left out."""

    base: str | None = Field(
        default=None,
        description="for a single file: folder or hub id in diffusers' format, for the configuration and for "
        "the parts that the file lacks",
    )
    variant: str | None = Field(default=None, pattern=r"^[\w-]{1,40}$", description="'fp16' ...")
    lora: tuple[LoraFile, ...] = Field(default=(), description="'FILE' or 'FILE:0.8', one or several")
    textual_inversion: tuple[TokenFile, ...] = Field(default=(), description="'FILE' or 'FILE:token'")
    vae: str | None = Field(default=None, description="another autoencoder: a file or a folder")
    vae_tiling: bool = Field(default=False, description="decode in tiles: less memory for large pictures")
    scheduler: str | None = Field(default=None, description="'euler-a', 'dpm++2m-karras', a class ...")
    negative_prompt: str | None = Field(default=None, max_length=10_000)
    steps: int | None = Field(default=None, description="1-1000")
    guidance_scale: float | None = Field(default=None, description="0-100")
    height: int | None = Field(default=None, description="pixels")
    width: int | None = Field(default=None, description="pixels")
    vary: tuple[int, ...] = Field(
        default=(),
        max_length=100,
        description="seed of a picture: all pictures begin near its noise; before it, the seed of the one "
        "that it was itself a variation of, and so on",
    )
    dtype: str = "auto"
    offload: str = Field(default="none", description="'model', 'sequential' or 'group': for small cards")
    compile: bool = Field(default=False, description="compile the denoiser (torch.compile)")
    api_quality: str | None = Field(
        default=None,
        pattern=r"^[\w-]{1,40}$",
        description="for a model behind an API: 'low', 'high' ..., as the service calls it",
    )
    api_seeds: bool = Field(
        default=False,
        description="for a model behind an API: send each picture's seed; only for services that follow it",
    )

    @field_validator("lora", "textual_inversion", mode="before")
    @classmethod
    def _listed(cls, value: Any, info: Any) -> Any:
        kind = LoraFile if info.field_name == "lora" else TokenFile
        if isinstance(value, str | Path | Mapping | BaseModel):
            value = [value]
        if not isinstance(value, list | tuple):
            return value
        return tuple(kind.parse(str(one)) if isinstance(one, str | Path) else one for one in value)

    @field_validator("vary", mode="before")
    @classmethod
    def _seeds(cls, value: Any) -> Any:
        seeds = [value] if isinstance(value, int | str) else value
        if isinstance(seeds, list | tuple) and not all(
            re.fullmatch(r"\d{1,20}", str(seed)) and int(seed) < 2**64 for seed in seeds
        ):
            raise ValueError("a seed is a whole number from 0 to 18446744073709551615")
        return seeds

    @field_validator("base", "vae", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @field_validator("dtype", "offload")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        kind, known = ("precision", _DTYPES) if info.field_name == "dtype" else ("offload", OFFLOADS)
        if value not in known:
            raise ValueError(f"there is no {kind} {value!r}: use one of {', '.join(known)}")
        return value

    @classmethod
    def of(cls, given: Mapping[str, Any], what: str = "the model's options") -> Self:
        """From values by name; None stands for what was not given.

        Raises:
            UserError: a name is unknown or a value cannot be used.
        """
        try:
            return cls.model_validate({name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise UserError(_sentence(error, what)) from None

    def given(self) -> dict[str, Any]:
        """What is not as by default, as JSON values."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def flags(self) -> list[str]:
        """The same as arguments of a command, in pairs of name and value; switches have none."""
        found: list[str] = []
        for name, value in self.given().items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                found.append(flag)
            elif isinstance(value, list):
                for one in value:
                    if isinstance(one, int):
                        found += [flag, str(one)]
                        continue
                    ending = one.get("weight", one.get("token"))
                    found += [flag, one["file"] if ending is None else f"{one['file']}:{ending}"]
            else:
                found += [flag, str(value)]
        return found

    def over(self, other: ModelOptions) -> ModelOptions:
        """These, and the other ones where these say nothing."""
        return ModelOptions.model_validate(other.given() | self.given())

    def within(self, folder: Path) -> ModelOptions:
        """The same, with relative paths of files taken from ``folder``."""

        def placed(text: str) -> str:
            inside = folder / Path(text).expanduser()
            return str(inside) if inside.exists() else text

        return self.with_files(placed)

    def with_files(self, change: Callable[[str], str]) -> ModelOptions:
        """The same, with the name of each file or folder put through ``change``."""
        made = self.given()
        for name in ("base", "vae"):
            if name in made:
                made[name] = change(made[name])
        for name in ("lora", "textual_inversion"):
            if name in made:
                made[name] = [{**one, "file": change(one["file"])} for one in made[name]]
        return ModelOptions.model_validate(made)


def _sentence(error: ValidationError, what: str) -> str:
    found = error.errors()[0]
    name = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        known = ", ".join(ModelOptions.model_fields)
        return f"There is no option {name!r} in {what}: use {known}."
    reason = found["msg"].removeprefix("Value error, ")
    return f"{name} in {what} cannot be used: {reason[:1].lower()}{reason[1:]}."


def is_settings(model: str) -> bool:
    """Whether the name of a model is that of a file of settings."""
    return Path(model).suffix.lower() in (".yaml", ".yml", ".json")


def read_settings(path: Path) -> tuple[str, ModelOptions]:
    """The model and its options from a YAML or JSON file: ``model`` and the fields of `ModelOptions`.

    Relative paths in it are taken from its own folder, where such a file or folder exists.

    Raises:
        UserError: it cannot be read, or names what there is not.
    """
    content = _read(path)
    model = content.pop("model", None)
    if not isinstance(model, str) or not model or is_settings(model):
        raise UserError(f"{path} names no model: it needs a line such as 'model: my-model.safetensors'.")
    beside = path.parent / Path(model).expanduser()
    options = ModelOptions.of(content, str(path)).within(path.parent)
    return str(beside) if beside.exists() else model, options


def _read(path: Path) -> dict[str, Any]:
    from fairgen.targets.strict_yaml import YamlProblem, parse

    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_SETTINGS + 1)
    except OSError as error:
        raise UserError(f"The settings {path} cannot be read ({error.strerror}).") from error
    if len(raw) > _MOST_SETTINGS:
        raise UserError(f"The settings {path} are larger than 1 MiB: this is no file of settings.")
    try:
        content, _ = parse(raw)  # JSON is YAML too
    except YamlProblem as problem:
        line = f", line {problem.line}" if problem.line else ""
        raise UserError(f"The settings {path}{line}: {problem.reason}.") from problem
    if not isinstance(content, dict):
        raise UserError(f"The settings {path} must hold names and values, such as 'model: embedded'.")
    return {str(name): value for name, value in content.items()}
