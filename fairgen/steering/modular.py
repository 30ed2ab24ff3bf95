"""Steering for Modular Diffusers: a block that stands in for a pipeline's text encoder.

blocks = ModularPipelineBlocks.from_pretrained(...)          # or a class such as StableDiffusionXLAutoBlocks
blocks.sub_blocks["text_encoder"] = ToneSteps(blocks.sub_blocks["text_encoder"])
pipe = blocks.init_pipeline(...)
pipe(prompt=["a portrait of a doctor"] * 2, tone_strength=[-0.8, 0.8], output="images")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffusers.modular_pipelines import InputParam, ModularPipelineBlocks, PipelineState

from fairgen.errors import UserError
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.encode_request import Pictures
from fairgen.steering.encoding import EncodeCall
from fairgen.steering.memory import Memory


class ToneSteps(ModularPipelineBlocks):  # type: ignore[misc]
    """Encodes the prompts as the block inside does, each with a tone of its own.

    Input of its own: ``tone_strength``, a number, or one for each prompt; 0 leaves a prompt as it is, above 0
    is darker, below lighter, useful in [-1.3, 1.3].

    Args:
        inner: the block that reads ``prompt``.
        anchors: strength -> tone words, light to dark.
    """

    def __init__(self, inner: Any, anchors: Sequence[tuple[float, str]] = ANCHORS) -> None:
        self._inner = inner
        self._anchors = tuple(sorted(anchors))
        self._memory = Memory()
        self.model_name = getattr(inner, "model_name", None)
        super().__init__()

    @property
    def description(self) -> str:
        """What the block does."""
        return f"Steers the skin tone of each picture: {self._inner.description}"

    @property
    def expected_components(self) -> list[Any]:
        """Those of the block inside."""
        return list(self._inner.expected_components)

    @property
    def expected_configs(self) -> list[Any]:
        """Those of the block inside."""
        return list(self._inner.expected_configs)

    @property
    def inputs(self) -> list[Any]:
        """Those of the block inside, and ``tone_strength``."""
        own = InputParam("tone_strength", description="a number, or one for each prompt: below 0 lighter")
        return [*self._inner.inputs, own]

    @property
    def intermediate_outputs(self) -> list[Any]:
        """Those of the block inside."""
        return list(self._inner.intermediate_outputs)

    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """The components, and the state with every prompt's own tone in what was encoded.

        Raises:
            UserError: the strengths do not fit the prompts, or the encoding cannot be mixed.
        """
        arguments = {
            param.name: state.get(param.name) for param in self._inner.inputs if param.name is not None
        }
        strength = state.get("tone_strength")
        components, state = self._inner(components, state)
        if strength is None:
            return components, state
        prompt = arguments.get("prompt")
        texts = [prompt] if isinstance(prompt, str) else list(prompt or [])
        strengths = [float(strength)] * len(texts) if isinstance(strength, int | float) else list(strength)
        if not texts or len(strengths) != len(texts):
            raise UserError(
                f"tone_strength has {len(strengths)} values for {len(texts)} prompts: give one for each."
            )
        if not any(strengths):
            return components, state
        fields = {param.name: param.kwargs_type for param in self._inner.intermediate_outputs}

        def encode(**given: Any) -> dict[str, Any]:
            fresh = PipelineState()
            for name, value in given.items():
                fresh.set(name, value)
            _, fresh = self._inner(components, fresh)
            return {name: fresh.get(name) for name in fields}

        name = f"The modular pipeline of {type(self._inner).__name__}"
        pictures = Pictures(tuple(texts), 1, tuple(strengths), self._anchors)
        call = EncodeCall(name, encode, arguments, pictures, self._memory)
        toned = call.toned({field: state.get(field) for field in fields})
        for field, kind in fields.items():
            state.set(field, toned[field], kind)
        return components, state
