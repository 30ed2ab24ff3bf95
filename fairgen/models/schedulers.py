"""Schedulers by the names that people use for them."""

from __future__ import annotations

from typing import Any

from fairgen.errors import UserError

__all__ = ["NAMES", "with_scheduler"]

_MULTISTEP = "DPMSolverMultistepScheduler"
NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2-a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpm++2m": (_MULTISTEP, {}),
    "dpm++2m-karras": (_MULTISTEP, {"use_karras_sigmas": True}),
    "dpm++2m-sde": (_MULTISTEP, {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++2m-sde-karras": (_MULTISTEP, {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True}),
    "dpm++2s": ("DPMSolverSinglestepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
    "flow-euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "flow-heun": ("FlowMatchHeunDiscreteScheduler", {}),
}
"""Name -> class in diffusers and what else it is told, after the names that other programs use."""


def with_scheduler(pipe: Any, name: str) -> Any:
    """A scheduler of that name with the options of the one that the pipeline has.

    Args:
        pipe: the pipeline.
        name: one of `NAMES`, or a class of diffusers.

    Raises:
        UserError: there is no such scheduler, or it cannot stand in the place of the pipeline's.
    """
    import diffusers

    class_name, more = NAMES.get(name.lower(), (name, {}))
    kind = getattr(diffusers, class_name, None) if class_name.isidentifier() else None
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise UserError(
            f"There is no scheduler {name!r}: use one of {', '.join(NAMES)}, or a class of diffusers."
        )
    old = pipe.scheduler
    fitting = {type(old).__name__, *(one.__name__ for one in getattr(old, "compatibles", []))}
    if class_name not in fitting:
        known = [short for short, (long, _) in NAMES.items() if long in fitting]
        raise UserError(
            f"The scheduler {name!r} does not fit a {type(pipe).__name__}, whose own is "
            f"{type(old).__name__}: use one of {', '.join(known or sorted(fitting))}."
        )
    try:
        loader: Any = kind
        return loader.from_config(old.config, **more)
    except (
        ImportError,
        ValueError,
        NotImplementedError,
    ) as error:  # scipy, torchsde; contradictions
        raise UserError(f"The scheduler {name!r} cannot be used: {str(error).splitlines()[0]}") from error
