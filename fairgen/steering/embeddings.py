"""Tones embeddings that somebody else made: compel and the like, or encoders that are no longer loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fairgen.errors import UserError
from fairgen.steering.encode_request import Pictures
from fairgen.steering.encoding import EncodeCall
from fairgen.steering.memory import Memory
from fairgen.steering.prompt_variants import with_word

Embeddings = Mapping[str, Any]
"""Arguments of a pipeline's call for one prompt, such as ``prompt_embeds``, each with one row."""


@dataclass
class OwnEmbeddings:
    """Where the embeddings of toned prompts come from.

    Attributes:
        encode: prompt -> its embeddings.
        anchors: or strength -> the embeddings of the prompt at that tone.
    """

    encode: Callable[[str], Embeddings] | None
    anchors: Mapping[float, Embeddings] | None

    def toned(self, name: str, given: Embeddings, pictures: Pictures) -> dict[str, Any]:
        """What the pipeline is to be called with.

        Args:
            name: the pipeline's class.
            given: what it was called with, a row for each prompt.
            pictures: what it makes of the prompts.

        Raises:
            UserError: the embeddings have other names or lengths than those of the call.
        """
        encode: Callable[[str], Embeddings]
        if self.encode is not None:
            encode = self.encode
        else:
            encode, pictures = self._looked_up(given, pictures)

        def encode_all(prompt: Sequence[str]) -> dict[str, Any]:
            import torch

            rows = [encode(text) for text in prompt]
            missing = sorted(set(given) - set(rows[0]))
            if missing:
                raise UserError(
                    f"{name} was called with {', '.join(missing)}, which encode of ToneGuidance leaves out."
                )
            made: dict[str, Any] = {}
            for key, value in given.items():
                parts = [row[key] for row in rows]
                if isinstance(value, list):
                    made[key] = [part[0] if isinstance(part, list) else part for part in parts]
                    continue
                if len({part.shape[1:] for part in [*parts, value]}) > 1:
                    raise UserError(
                        f"The {key} of {name} have other lengths for toned prompts: pad them all to one "
                        "length in encode."
                    )
                made[key] = torch.cat([part.to(value.device, value.dtype) for part in parts])
            return made

        asked = {"prompt": list(pictures.texts)}
        call = EncodeCall(name, encode_all, asked, pictures, Memory(), checked=self.encode is not None)
        toned: dict[str, Any] = call.toned(dict(given))
        return toned

    def _looked_up(
        self, given: Embeddings, pictures: Pictures
    ) -> tuple[Callable[[str], Embeddings], Pictures]:
        anchors = self.anchors or {}
        if len(anchors) < 2:
            raise UserError("ToneGuidance needs embeddings for two strengths or more.")
        if len(set(pictures.texts)) > 1:
            raise UserError("ToneGuidance's embeddings are those of one prompt: use encode for several.")
        words = {place: f"{place:g}" for place in sorted(anchors)}
        known = {with_word(pictures.texts[0], word): anchors[place] for place, word in words.items()}
        plain = {key: value[:1] for key, value in given.items()}
        pictures = replace(pictures, anchors=tuple(words.items()))
        return (lambda text: known.get(text, plain)), pictures
