"""A language model in a local folder: how it chooses between letters, and what goes on inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fairgen.errors import UserError

__all__ = ["Edit", "LocalModel"]

_TOKENS_AT_ONCE = 4_096
_LONGEST = 4_096

Edit = Callable[[torch.Tensor], torch.Tensor]
"""From the hidden states after a layer, shape (batch, tokens, width), to others."""


class LocalModel:
    """A causal language model of transformers, with its weights in safetensors.

    Args:
        folder: in the form of ``save_pretrained``; nothing is downloaded, and no code of it is run.
        device: ``cpu``, ``cuda`` ...; ``auto``: an accelerator where there is one.

    Raises:
        UserError: the folder holds no such model, or none that can be read.
    """

    def __init__(self, folder: Path, device: str = "auto") -> None:
        if not folder.is_dir() or not any(folder.glob("*.safetensors")):
            raise UserError(
                f"{folder} holds no *.safetensors: give a model's folder "
                "(`hf download NAME --local-dir DIR`)."
            )
        from transformers import AutoModelForCausalLM, AutoTokenizer

        where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype="auto" if where != "cpu" else torch.float32,
            ).to(where)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"The model in {folder} cannot be loaded: {reason}") from None
        self.model.eval()
        self.name = folder.name
        self.device = torch.device(where)
        self.layers = _layers(self.model, folder)
        self._letters = [self._ids_of(letter) for letter in "AB"]
        if not all(self._letters):
            raise UserError(f"The tokens of {folder} have no letters A and B of their own.")

    def _ids_of(self, letter: str) -> list[int]:
        found = set()
        for written in (letter, f" {letter}"):
            ids = self.tokenizer(written, add_special_tokens=False)["input_ids"]
            if len(ids) == 1:
                found.add(int(ids[0]))
        return sorted(found)

    def prompt(self, system: str, user: str) -> list[int]:
        """The tokens of a conversation in which it is the model's turn."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        if self.tokenizer.chat_template is None:
            text = f"{system}\n\n{user}\n\nAnswer:"
            return list(self.tokenizer(text)["input_ids"])[-_LONGEST:]
        import jinja2

        try:
            text = self._templated(messages)
        except jinja2.TemplateError:  # some templates take no system message
            text = self._templated([{"role": "user", "content": f"{system}\n\n{user}"}])
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])[-_LONGEST:]

    def _templated(self, messages: list[dict[str, str]]) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,  # read by the templates of models that think aloud, ignored by others
            )
        )

    @contextmanager
    def edited(self, layer: int, edit: Edit) -> Iterator[None]:
        """Within the block, the hidden states after a layer are what ``edit`` makes of them."""

        def hook(_module: object, _inputs: object, output: Any) -> Any:
            if isinstance(output, tuple):
                return (edit(output[0]), *output[1:])
            return edit(output)

        with self.layers[layer].register_forward_hook(hook):
            yield

    def _batches(self, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Prompts of the same length together, so that none is padded: padding changes some models."""
        by_length: dict[int, list[int]] = {}
        for place, prompt in enumerate(prompts):
            by_length.setdefault(len(prompt), []).append(place)
        for length, places in sorted(by_length.items()):
            step = max(1, _TOKENS_AT_ONCE // length)
            for start in range(0, len(places), step):
                some = places[start : start + step]
                yield some, torch.tensor([list(prompts[p]) for p in some], device=self.device)

    @torch.inference_mode()
    def letters(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """The probabilities of A and B as the next token, shape (prompts, 2)."""
        found = np.zeros((len(prompts), 2))
        for places, tokens in self._batches(prompts):
            logits = self.model(input_ids=tokens, use_cache=False, logits_to_keep=1).logits[:, -1].double()
            likely = torch.softmax(logits, dim=-1)
            for column, ids in enumerate(self._letters):
                found[places, column] = likely[:, ids].sum(dim=-1).cpu().numpy()
        return found

    @torch.inference_mode()
    def states(self, prompts: Sequence[Sequence[int]], last: Sequence[int]) -> NDArray[np.float32]:
        """The mean hidden state of a prompt's last tokens after each layer, shape (layers, prompts, width).

        Args:
            prompts: as `prompt` gives them.
            last: how many tokens of each, from its end.
        """
        found: NDArray[np.float32] | None = None
        for places, tokens in self._batches(prompts):
            seen: list[torch.Tensor] = []
            length = tokens.shape[1]
            counts = torch.tensor([last[p] for p in places], device=self.device)
            ends = torch.arange(length, device=self.device) >= length - counts[:, None]
            weights = (ends / ends.sum(dim=1, keepdim=True)).unsqueeze(-1)
            with ExitStack() as hooks:
                for layer in self.layers:
                    hooks.enter_context(layer.register_forward_hook(_keeps(seen, weights)))
                self.model(input_ids=tokens, use_cache=False, logits_to_keep=1)
            stacked = torch.stack(seen).cpu().numpy()
            if found is None:
                found = np.zeros((len(self.layers), len(prompts), stacked.shape[-1]), dtype=np.float32)
            found[:, places] = stacked
        if found is None:
            raise ValueError("there is no prompt")
        return found

    @torch.inference_mode()
    def surprise(self, texts: Sequence[str]) -> float:
        """The mean negative log-likelihood of a token of these texts, in nats."""
        prompts = [list(self.tokenizer(text)["input_ids"]) for text in texts]
        total, count = 0.0, 0
        for _, tokens in self._batches([prompt for prompt in prompts if len(prompt) > 1]):
            logits = self.model(input_ids=tokens, use_cache=False).logits[:, :-1].float()
            losses = torch.nn.functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1), reduction="none"
            )
            total += float(losses.double().sum())
            count += losses.numel()
        return total / count if count else math.nan


def _keeps(seen: list[torch.Tensor], weights: torch.Tensor) -> Callable[[object, object, Any], None]:
    def hook(_module: object, _inputs: object, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        seen.append((hidden.float() * weights).sum(dim=1))

    return hook


def _layers(model: Any, folder: Path) -> list[Any]:
    """The blocks of the model, from the first to the last."""
    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return list(module)
    raise UserError(f"The model in {folder} has no list of {count} layers: this kind of model is not known.")
