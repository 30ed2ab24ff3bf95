"""Whether a model can tell one prompt from another."""

from __future__ import annotations

from typing import Any

from fairgen.errors import UserError

__all__ = ["check_reads_prompts", "text_tokenizer"]

# As many words and letters, so that only a vocabulary tells them apart.
_PROMPTS = ("a doctor", "a farmer")


def check_reads_prompts(pipe: Any, name: str) -> None:
    """Raise `UserError` where a tokenizer turns different prompts into the same numbers: it has lost its
    vocabulary, and whatever is asked for, the model draws the same.
    """
    for part, tokenizer in pipe.components.items():
        if not part.startswith("tokenizer") or not callable(tokenizer):
            continue
        reader = text_tokenizer(tokenizer)
        first, second = (reader(prompt, return_tensors="pt").input_ids.tolist() for prompt in _PROMPTS)
        if first == second:
            raise UserError(
                f"The model {name!r} encodes different prompts alike, so it would draw the same whatever it "
                f"is asked for: its {part} lacks its vocabulary. Download or copy the model again, whole."
            )


def text_tokenizer(part: Any) -> Any:
    """What turns text into numbers: the part itself, or that of a vision-language model's processor
    (Flux 2, Kandinsky 5), which takes pictures first.
    """
    return part if hasattr(part, "model_max_length") else getattr(part, "tokenizer", part)
