"""Options of every command that opens a model: files beside it, sampler, settings, memory."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

import typer

_F = TypeVar("_F", bound=Callable[..., Any])
_PANEL = "How the model is opened"


def _option(default: Any, *names: str, help: str) -> Any:
    return typer.Option(default, *names, help=help, rich_help_panel=_PANEL, show_default=False)


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "base": (
        str | None,
        _option(
            None,
            "--base",
            help="For a single file: folder or hub id of its configuration and of what it lacks.",
        ),
    ),
    "variant": (str | None, _option(None, "--variant", help="Which of a folder's files, such as fp16.")),
    "lora": (
        list[str] | None,
        _option(None, "--lora", help="A LoRA, FILE or FILE:WEIGHT (0.8); give it again for more."),
    ),
    "textual_inversion": (
        list[str] | None,
        _option(None, "--textual-inversion", help="A textual inversion, FILE or FILE:WORD; likewise."),
    ),
    "vae": (str | None, _option(None, "--vae", help="Another autoencoder: a file or a folder.")),
    "vae_tiling": (
        bool | None,
        _option(None, "--vae-tiling", help="Decode large pictures in tiles: less memory."),
    ),
    "scheduler": (
        str | None,
        _option(None, "--scheduler", help="Another sampler: euler-a, dpm++2m-karras, unipc ..."),
    ),
    "negative_prompt": (
        str | None,
        _option(None, "--negative-prompt", help="What the pictures shall not show."),
    ),
    "steps": (int | None, _option(None, "--steps", help="Sampling steps; by default the model's.")),
    "guidance_scale": (
        float | None,
        _option(None, "--guidance-scale", help="How closely it follows words; by default the model's."),
    ),
    "height": (
        int | None,
        _option(None, "--height", help="Of the pictures, pixels; else the model's."),
    ),
    "width": (int | None, _option(None, "--width", help="Likewise.")),
    "vary": (
        list[str] | None,
        _option(
            None,
            "--vary",
            help="Variations of the picture with this SEED: all begin near its noise. If it was a variation "
            "itself, give the seed that it was made near to first.",
        ),
    ),
    "dtype": (
        str | None,
        _option(None, "--dtype", help="float32, float16 or bfloat16; by default what fits."),
    ),
    "offload": (
        str | None,
        _option(
            None,
            "--offload",
            help="For small cards, keep on the CPU what is not needed at the moment: model, group "
            "or sequential (from fastest to smallest).",
        ),
    ),
    "compile": (
        bool | None,
        _option(None, "--compile", help="Compile the denoiser: slow at first, then faster."),
    ),
    "api_quality": (
        str | None,
        _option(None, "--api-quality", help="For api:NAME: low, high ..., as the service calls it."),
    ),
    "api_seeds": (
        bool | None,
        _option(None, "--api-seeds", help="For api:NAME: send seeds, to a service that follows them."),
    ),
}


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
    more = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default) in _OPTIONS.items()
    ]

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
