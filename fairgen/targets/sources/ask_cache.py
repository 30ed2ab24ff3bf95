"""What language models have replied, kept so that the same question is not paid for twice."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fairgen.common.files import replacing
from fairgen.common.places import cache_folder
from fairgen.errors import UserError

__all__ = ["AskCache", "CacheKey", "RawReply", "user_cache_folder"]


class RawReply(BaseModel):
    """One reply as it came.

    Attributes:
        text: what the model wrote, hidden characters as ``\\uXXXX``, at most 65,536 characters and a mark.
        refused: the server marks it as a refusal.
        form: how the server wrapped the text: plainly, as a list of content parts, or as a tool call.
        thought: the model thought aloud in a field of its own, which is not kept.
        finish: the server's word for why it stopped (``stop``, ``length``, ``content_filter`` ...);
            ``stalled`` or ``broken off`` where the stream did not end.
        served_model: the model's name as the server reports it.
        structured: the reply was asked for by JSON schema, and not only by words.
        tokens_in: tokens of the question, as the server counts them, both times where it was asked twice;
            None where it does not say.
        tokens_out: tokens of the reply, likewise.
        asked_at: UTC.
        first: the reply that this one took the place of, because that one could not be used; None: this is
            the first.
        asked_again: why the first could not be used; also given where asking again brought nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    refused: bool = False
    form: Literal["text", "parts", "tool call"] = "text"
    thought: bool = False
    finish: str | None = None
    served_model: str | None = None
    structured: bool
    tokens_in: int | None = None
    tokens_out: int | None = None
    asked_at: datetime
    first: str | None = None
    asked_again: str | None = None


class CacheKey(BaseModel):
    """What a reply depends on. ``question`` is the hash of words, schema and template version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    scale: str
    model: str
    base_url: str
    temperature: float | None


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    prompt: str
    key: CacheKey
    replies: list[RawReply]


def user_cache_folder() -> Path:
    """``$FAIRGEN_HOME/llm-replies``, else the platform's cache folder."""
    return cache_folder("llm-replies")


class AskCache:
    """A folder with one JSON file a question. Writes are atomic.

    The number of samples is no part of the key: who asked 5 times and wants 10 pays for 5 more.

    Raises:
        UserError: the folder cannot be made.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_cache_folder()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> UserError:
        return UserError(
            f"The replies cannot be kept in {self.folder} ({error.strerror}): set FAIRGEN_HOME to a folder "
            "that you may write to, or add --no-cache."
        )

    def path(self, key: CacheKey) -> Path:
        """The file of a question."""
        text = json.dumps(key.model_dump(), sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def load(self, key: CacheKey) -> list[RawReply]:
        """The replies kept so far, oldest first.

        Raises:
            UserError: the file is there, but broken.
        """
        path = self.path(key)
        try:
            entry = _Entry.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise UserError(
                f"The kept replies {path} cannot be read: delete the file, or ask again with --refresh."
            ) from error
        return entry.replies

    def save(self, key: CacheKey, prompt: str, replies: list[RawReply]) -> None:
        """Keep these replies instead of what was kept.

        Raises:
            UserError: the disk refuses.
        """
        path = self.path(key)
        text = _Entry(prompt=prompt, key=key, replies=replies).model_dump_json(indent=1)
        try:
            with replacing(path) as made:
                made.touch(mode=0o600)  # for the user alone
                made.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise self._trouble(error) from error
