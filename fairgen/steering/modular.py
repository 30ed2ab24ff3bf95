"""Steering for Modular Diffusers: a block that stands in for a pipeline's text encoder.

blocks = steered(StableDiffusionXLAutoBlocks)
pipe = blocks.init_pipeline("stabilityai/stable-diffusion-xl-base-1.0")
pipe.load_components()
pipe(prompt=["a portrait of a doctor"] * 2, tone_strength=[-0.8, 0.8], output="images")

Guiders need nothing of their own: what they make of a prompt's embedding, they make of the toned one.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from diffusers.modular_pipelines import (
    InputParam,
    ModularPipelineBlocks,
    PipelineState,
    SequentialPipelineBlocks,
)

from fairgen.errors import UserError
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.encode_request import Pictures, own_lists
from fairgen.steering.encoding import EncodeCall
from fairgen.steering.memory import Memory
from fairgen.steering.modular_files import REQUIREMENTS, write_block


class ToneSteps(ModularPipelineBlocks):  # type: ignore[misc]
    """Encodes the prompts as the block inside does, each with a tone of its own.

    Input of its own: ``tone_strength``, a number, or one for each prompt; 0 leaves a prompt as it is, above 0
    is darker, below lighter, useful in [-1.3, 1.3].

    Args:
        inner: the block that encodes ``prompt``, or its class; default: one of `inner_class`.
        anchors: strength -> tone words, light to dark; default: those of the class.

    Raises:
        UserError: the block inside encodes no prompt, or to something that cannot be mixed.
    """

    inner_class: type | None = None
    """The class of the block inside, where none is given."""
    anchors: Sequence[tuple[float, str]] = ANCHORS
    """Strength -> tone words, light to dark."""
    _requirements = REQUIREMENTS

    def __init__(self, inner: Any = None, anchors: Sequence[tuple[float, str]] | None = None) -> None:
        inner = inner if inner is not None else self.inner_class
        if inner is None:
            raise UserError("ToneSteps needs the block that encodes the prompt: ToneSteps(inner).")
        self._inner = inner() if isinstance(inner, type) else inner
        _check_encoder(self._inner)
        self.anchors = tuple(sorted(self.anchors if anchors is None else anchors))
        self._memory = Memory()
        self.model_name = getattr(self._inner, "model_name", None)
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
        arguments = own_lists({name: state.get(name) for name in self._inner.input_names})
        strength = state.get("tone_strength")
        components, state = self._inner(components, state)
        if strength is None:
            return components, state
        prompt = arguments.get("prompt")
        texts = [prompt] if isinstance(prompt, str) else list(prompt or [])
        single = isinstance(strength, int | float)
        strengths = [float(each) for each in ([strength] * len(texts) if single else strength)]
        if any(strengths) and not texts:
            raise UserError("tone_strength needs a prompt, to add tone words to.")
        if len(strengths) != len(texts):
            raise UserError(
                f"tone_strength has {len(strengths)} values for {len(texts)} prompts: give one for each, and "
                "a prompt again for another picture of it."
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

        pictures = Pictures(tuple(texts), 1, tuple(strengths), tuple(self.anchors))
        call = EncodeCall(type(self._inner).__name__, encode, arguments, pictures, self._memory)
        toned = call.toned({field: state.get(field) for field in fields})
        for field, kind in fields.items():
            state.set(field, toned[field], kind)
        return components, state

    def save_pretrained(
        self, save_directory: str | PathLike[str], push_to_hub: bool = False, **more: Any
    ) -> None:
        """Save the block so that others load it: ``ModularPipelineBlocks.from_pretrained(folder,
        trust_remote_code=True)``, where fairgen is installed.

        Args:
            save_directory: a folder; ``block.py`` and ``modular_config.json`` are written to it.
            push_to_hub: whether to upload the folder.
            more: arguments of the upload, as of diffusers' blocks (``repo_id``, ``private``, ``token`` ...).

        Raises:
            UserError: the block inside is not in an installed package, or the folder is a file.
        """
        write_block(
            self, save_directory, name="ToneSteps", parent="ToneSteps", base=type(self._inner),
            anchors=self.anchors, push_to_hub=push_to_hub, **more,
        )  # fmt: skip


class SteeredBlocks(SequentialPipelineBlocks):  # type: ignore[misc]
    """A workflow with `ToneSteps` in place of its text encoder's block: derive from this and the workflow.

    class SteeredXLBlocks(SteeredBlocks, StableDiffusionXLAutoBlocks): pass

    Raises:
        UserError: no block of the workflow encodes a prompt, or to something that cannot be mixed.
    """

    anchors: Sequence[tuple[float, str]] = ANCHORS
    """Strength -> tone words, light to dark."""

    def __init__(self) -> None:
        super().__init__()
        for name, block in self.sub_blocks.items():
            if _encodes_prompts(block):
                self.sub_blocks[name] = ToneSteps(block, self.anchors)
                return
        raise UserError(f"No block of {type(self).__name__} encodes a prompt, so there is nothing to steer.")

    def save_pretrained(
        self, save_directory: str | PathLike[str], push_to_hub: bool = False, **more: Any
    ) -> None:
        """Save the workflow so that others load it: ``ModularPipeline.from_pretrained(folder,
        trust_remote_code=True)`` if the pipeline is saved to the same folder.

        Args:
            save_directory: a folder; ``block.py`` and ``modular_config.json`` are written to it.
            push_to_hub: whether to upload the folder.
            more: arguments of the upload, as of diffusers' blocks.

        Raises:
            UserError: the workflow is not in an installed package, or the folder is a file.
        """
        kinds = type(self).__mro__
        write_block(
            self, save_directory, name=type(self).__name__, parent="SteeredBlocks",
            base=next(kind for kind in kinds if not issubclass(kind, SteeredBlocks)),
            anchors=self.anchors, push_to_hub=push_to_hub, **more,
        )  # fmt: skip


def steered(workflow: type, anchors: Sequence[tuple[float, str]] = ANCHORS) -> Any:
    """The blocks of a workflow, steered.

    Args:
        workflow: a class of blocks, such as ``diffusers.StableDiffusionXLAutoBlocks``.
        anchors: strength -> tone words, light to dark.

    Returns:
        The blocks; ``init_pipeline`` makes a pipeline of them that takes ``tone_strength``.

    Raises:
        UserError: no block of the workflow encodes a prompt, or to something that cannot be mixed.
    """
    kind = type(f"Steered{workflow.__name__}", (SteeredBlocks, workflow), {"anchors": tuple(anchors)})
    return kind()


def _encodes_prompts(block: Any) -> bool:
    """Whether a block reads the prompt and puts out more than another prompt."""
    made = block.intermediate_output_names
    return "prompt" in block.input_names and ("prompt" not in made or any("embeds" in name for name in made))


def _check_encoder(block: Any) -> None:
    """Raise `UserError` where a block encodes no prompt, or encodes it to token numbers."""
    name = type(block).__name__
    if isinstance(block, ToneSteps):
        raise UserError("ToneSteps is around this block already: one is enough.")
    if not _encodes_prompts(block):
        raise UserError(f"{name} encodes no prompt: put ToneSteps around the text encoder's block.")
    numbers = [made for made in block.intermediate_output_names if made.endswith("_ids")]
    if numbers:
        raise UserError(
            f"{name} hands the numbers of tokens ({', '.join(numbers)}) to the denoiser, which have no tones "
            "between them: put tone words into the prompt instead."
        )
