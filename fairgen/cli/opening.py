"""Options of every command that opens a model: files beside it, sampler, settings, memory."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

import typer

_F = TypeVar("_F", bound=Callable[..., Any])


_OPTIONS: dict[str, tuple[type, str]] = {
    "base": (str, "For a single file: folder or hub id of its configuration and of what it lacks."),
    "variant": (str, "Which of a folder's files, such as fp16."),
    "lora": (list[str], "A LoRA, FILE or FILE:WEIGHT (0.8); give it again for more."),
    "textual_inversion": (list[str], "A textual inversion, FILE or FILE:WORD; likewise."),
    "vae": (str, "Another autoencoder: a file or a folder."),
    "vae_tiling": (bool, "Decode large pictures in tiles: less memory."),
    "scheduler": (str, "Another sampler: euler-a, dpm++2m-karras, unipc ..."),
    "negative_prompt": (str, "What the pictures shall not show."),
    "steps": (int, "Sampling steps; by default the model's."),
    "guidance_scale": (float, "How closely it follows words; by default the model's."),
    "height": (int, "Of the pictures, pixels; else the model's."),
    "width": (int, "Likewise."),
    "vary": (
        list[str],
        "Variations of the picture with this SEED: all begin near its noise. If it was a variation "
        "itself, give the seed that it was made near to first.",
    ),
    "dtype": (str, "float32, float16 or bfloat16; by default what fits."),
    "offload": (
        str,
        "For small cards, keep on the CPU what is not needed at the moment: model, group "
        "or sequential (from fastest to smallest).",
    ),
    "compile": (bool, "Compile the denoiser: slow at first, then faster."),
    "api_quality": (str, "For api:NAME: low, high ..., as the service calls it."),
    "api_seeds": (bool, "For api:NAME: send seeds, to a service that follows them."),
}
"""Field of `fairgen.models.options.ModelOptions` -> what it holds, and the help of its option."""


def _parameter(name: str, kind: type, help: str) -> inspect.Parameter:
    """A field as a parameter of a command: an option of the same name, None where it is not given."""
    flag = f"--{name.replace('_', '-')}"
    option = typer.Option(None, flag, help=help, rich_help_panel="How the model is opened")
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind | None)


def opens_a_model(command: _F) -> _F:
    """Give a command the options of `fairgen.models.options.ModelOptions`; it gets them as one argument,
    ``opening``.
    """
    signature = inspect.signature(command)
    # What ModelOptions needs is imported when a model is opened, and not for --help.
    kinds = get_type_hints(command, localns={"ModelOptions": object}, include_extras=True)
    own = [
        parameter.replace(annotation=kinds[name])
        for name, parameter in signature.parameters.items()
        if name != "opening"
    ]
    more = [_parameter(name, kind, help) for name, (kind, help) in _OPTIONS.items()]

    @functools.wraps(command)
    def called(**given: Any) -> Any:
        from fairgen.models.options import ModelOptions

        options = {name: given.pop(name) for name in _OPTIONS}
        flags = {name: value for name, value in options.items() if value not in (None, [])}
        return command(**given, opening=ModelOptions.of(flags, "the command"))

    called.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in [*own, *more]}
    del called.__wrapped__
    return called  # type: ignore[return-value]
