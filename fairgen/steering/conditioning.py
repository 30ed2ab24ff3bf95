"""What a diffusers pipeline makes of a prompt before the denoiser sees it, and paths between such things.

Every text-to-image pipeline has an ``encode_prompt``; what it returns differs. `FAMILIES` says, for each kind
of denoiser call, where the text's embeddings, its pooled embedding and its mask stand.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairgen.errors import UserError

if TYPE_CHECKING:
    import torch

ANCHORS: tuple[tuple[float, str], ...] = (
    (-1.0, "very fair"),
    (0.0, "tan"),
    (0.5, "dark brown"),
    (1.0, "very dark"),
)
"""Strength -> tone words of the prompt whose embedding stands there, light to dark."""
RAMP = 0.05
"""Strengths nearer to 0 than this still hold a share of the plain prompt."""


@dataclass(frozen=True)
class Conditioning:
    """One prompt as the denoiser gets it. Shapes: tokens x width, width, tokens.

    Attributes:
        hidden: embeddings of the tokens. pooled: embedding of the whole text, where the model uses one.
        mask: which tokens count (1) or are padding (0), where the model is told.
    """

    hidden: torch.Tensor
    pooled: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    def mixed(self, other: Conditioning, share: float) -> Conditioning:
        """``1 - share`` of this and ``share`` of the other; shares outside 0-1 extrapolate."""
        import torch

        pooled = None
        if self.pooled is not None and other.pooled is not None:
            pooled = torch.lerp(self.pooled, other.pooled, share)
        mask = None
        if self.mask is not None and other.mask is not None:
            mask = torch.maximum(self.mask, other.mask)
        return Conditioning(torch.lerp(self.hidden, other.hidden, share), pooled, mask)


@dataclass(frozen=True)
class TonePath:
    """From light to dark through the embeddings of toned prompts, left for the plain one at strength 0.

    ``at(s)``: piecewise linear between the anchors nearest to ``s``, beyond the last two by extrapolation;
    within `RAMP` of 0 mixed with the plain prompt, so that the effect of ``s`` ends continuously at none.

    A single direction (dark minus fair, added to the plain prompt) is the simpler choice and was measured
    first: on the embedded model it leaves a CEO as light as before up to full strength and then tips over,
    since the plain prompt's own bias remains in it (docs/steering.md).
    """

    plain: Conditioning
    anchors: tuple[tuple[float, Conditioning], ...]

    def at(self, strength: float) -> Conditioning:
        """The embedding for a strength, usually in [-1.3, 1.3]; 0 is the plain prompt itself."""
        if strength == 0:
            return self.plain
        places = [place for place, _ in self.anchors]
        low = max((i for i in range(len(places) - 1) if places[i] <= strength), default=0)
        (start, first), (end, second) = self.anchors[low], self.anchors[low + 1]
        toned = first.mixed(second, (strength - start) / (end - start))
        presence = min(1.0, abs(strength) / RAMP)
        return toned if presence == 1 else self.plain.mixed(toned, presence)


@dataclass(frozen=True)
class Family:
    """Where a pipeline's ``encode_prompt`` and its denoiser keep the text.

    Attributes:
        pooled: place of the pooled embedding in what ``encode_prompt`` returns. mask: place of the mask.
        pooled_in: name of the denoiser's argument for it; ``a.b`` is key b of the dictionary a.
        callback: names of embeddings and pooled embedding among the tensors of ``callback_on_step_end``.
    """

    pooled: int | None = None
    mask: int | None = None
    pooled_in: str | None = None
    callback: tuple[str, ...] = ("prompt_embeds",)


_PLAIN = Family()
_MASKED = Family(mask=1)
FAMILIES: Mapping[str, Family] = {
    "StableDiffusionPipeline": _PLAIN,
    "LatentConsistencyModelPipeline": _PLAIN,
    "StableDiffusionXLPipeline": Family(
        pooled=2, pooled_in="added_cond_kwargs.text_embeds", callback=("prompt_embeds", "add_text_embeds")
    ),
    "StableDiffusion3Pipeline": Family(
        pooled=2, pooled_in="pooled_projections", callback=("prompt_embeds", "pooled_prompt_embeds")
    ),
    "FluxPipeline": Family(pooled=1, pooled_in="pooled_projections"),
    "SanaPipeline": _MASKED,
    "SanaSprintPipeline": _MASKED,
    "PixArtSigmaPipeline": _MASKED,
    "PixArtAlphaPipeline": _MASKED,
}
"""Pipelines by the name of their class, or of one that they derive from."""


def steerable(pipe: Any) -> bool:
    """Whether the pipeline's embeddings can be steered."""
    return any(c.__name__ in FAMILIES for c in type(pipe).__mro__)


def family(pipe: Any) -> Family:
    """The family of a pipeline. Raises `UserError` for one that cannot be steered, naming what it lacks."""
    if pipe is None:
        raise UserError("There is no diffusers pipeline whose embeddings could be steered: use 'prompt'.")
    name = type(pipe).__name__
    found = next((FAMILIES[c.__name__] for c in type(pipe).__mro__ if c.__name__ in FAMILIES), None)
    if found is None:
        raise UserError(
            f"{name} cannot be steered in its embeddings: fairgen does not know what its encode_prompt "
            f"returns. Known are {', '.join(FAMILIES)}; --steering prompt works with every pipeline."
        )
    if not callable(getattr(pipe, "encode_prompt", None)):
        raise UserError(f"{name} cannot be steered in its embeddings: it has no encode_prompt method.")
    if denoiser(pipe) is None:
        raise UserError(f"{name} cannot be steered: it has neither a unet nor a transformer.")
    return found


def denoiser(pipe: Any) -> Any:
    """The module that is called at every step: ``pipe.unet`` or ``pipe.transformer``; None without either."""
    return getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)


def encode(
    pipe: Any, prompts: Sequence[str], settings: Mapping[str, Any] | None = None
) -> list[Conditioning]:
    """The prompts as the pipeline encodes them when called with ``settings`` (clip_skip and the like).

    Raises:
        UserError: the pipeline cannot be steered.
    """
    import torch

    kind = family(pipe)
    wanted = inspect.signature(pipe.encode_prompt).parameters
    call = inspect.signature(type(pipe).__call__).parameters
    # Where a call hands its own default on to encode_prompt, that default counts (Sana's instruction).
    arguments = {
        name: parameter.default
        for name, parameter in call.items()
        if name in wanted and parameter.default is not inspect.Parameter.empty
    }
    arguments |= {name: value for name, value in (settings or {}).items() if name in wanted}
    if "lora_scale" in wanted and (scale := _lora_scale(settings or {})) is not None:
        arguments["lora_scale"] = scale
    for name in list(arguments):
        if name == "prompt" or "negative" in name or "embeds" in name or "attention_mask" in name:
            del arguments[name]
    fixed = {
        "device": pipe._execution_device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": False,
    }
    arguments |= {name: value for name, value in fixed.items() if name in wanted}
    made = []
    with torch.no_grad():
        for prompt in prompts:
            # One at a time: what a prompt becomes must not hang on the others.
            out = pipe.encode_prompt(prompt=prompt, **arguments)
            made.append(
                Conditioning(
                    out[0][0],
                    None if kind.pooled is None else out[kind.pooled][0],
                    None if kind.mask is None else out[kind.mask][0],
                )
            )
    return made


def _lora_scale(settings: Mapping[str, Any]) -> float | None:
    """How strongly LoRAs act, which pipelines hand on to the text encoder too."""
    names = ("cross_attention_kwargs", "joint_attention_kwargs", "attention_kwargs")
    return next((s["scale"] for name in names if "scale" in (s := settings.get(name) or {})), None)


def tone_path(
    pipe: Any,
    prompt: str,
    anchors: Sequence[tuple[float, str]] = ANCHORS,
    settings: Mapping[str, Any] | None = None,
) -> TonePath:
    """Encode a prompt and its toned variants. Raises `UserError`: see `encode`."""
    from fairgen.steering.prompt_variants import with_word

    def worded(value: Any, word: str) -> Any:
        return with_word(value, word) if isinstance(value, str) else value

    given = dict(settings or {})
    (plain,) = encode(pipe, [prompt], given)
    toned = []
    for _, word in anchors:
        # Pipelines with several text encoders may be given a prompt for each.
        further = {k: worded(v, word) for k, v in given.items() if k in ("prompt_2", "prompt_3")}
        toned += encode(pipe, [with_word(prompt, word)], given | further)
    for variant in toned:
        if variant.hidden.shape != plain.hidden.shape:
            raise UserError(
                f"{type(pipe).__name__} cannot be steered in its embeddings: it encodes longer prompts to "
                "more tokens, and these cannot be mixed. --steering prompt works with every pipeline."
            )
    if all(bool((variant.hidden == plain.hidden).all()) for variant in toned):
        raise UserError(
            f"The prompt is too long for {type(pipe).__name__}: the tone words at its end are cut off. "
            "Shorten it, or raise max_sequence_length."
        )
    places = [place for place, _ in anchors]
    return TonePath(plain, tuple(zip(places, toned, strict=True)))
