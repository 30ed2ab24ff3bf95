"""What came back so far, on disk, so that an interrupted probe goes on without asking twice."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fairgen.common.places import cache_folder
from fairgen.errors import UserError
from fairgen.probe.asks import Ask, Heard

__all__ = ["Journal", "probe_folder"]


def probe_folder() -> Path:
    """``$FAIRGEN_HOME/probes``, else a folder in the platform's cache folder."""
    return cache_folder("probes")


class Journal:
    """An append-only file with one JSON line a reply, for one model at one address and temperature.

    A line that was cut off (a crash, a full disk) is passed over; its reply is asked for again.

    Args:
        model: the model's name.
        base_url: of its server, or the folder of a local model.
        temperature: None: the server's.
        folder: by default `probe_folder`.

    Raises:
        UserError: the folder or the file cannot be used.
    """

    def __init__(
        self, model: str, base_url: str, temperature: float | None, folder: Path | None = None
    ) -> None:
        self._who = {"model": model, "base_url": base_url, "temperature": temperature}
        name = hashlib.sha256(json.dumps(self._who, sort_keys=True).encode()).hexdigest()[:32]
        self.path = (folder or probe_folder()) / f"{name}.jsonl"
        self._kept: dict[str, Heard] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            raw = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise self._trouble(error) from error
        self._torn = bool(raw) and not raw.endswith(b"\n")
        for line in raw.split(b"\n"):
            self._read(line)

    def _read(self, line: bytes) -> None:
        try:
            data: Any = json.loads(line)
            self._kept.setdefault(data["key"], Heard.model_validate(data["reply"]))
        except (ValueError, ValidationError, KeyError, TypeError):
            return  # cut off, or the line that says who was asked

    def _trouble(self, error: OSError) -> UserError:
        return UserError(
            f"The replies cannot be kept in {self.path.parent} ({error.strerror}): set FAIRGEN_HOME to a "
            "folder that you may write to."
        )

    def get(self, ask: Ask) -> Heard | None:
        """The reply that was kept; None where there is none."""
        return self._kept.get(ask.key)

    def keep(self, ask: Ask, heard: Heard) -> None:
        """Add a reply, at once and whole.

        Raises:
            UserError: the disk refuses.
        """
        lines = [json.dumps({"key": ask.key, "name": ask.name, "reply": heard.model_dump(exclude_none=True)})]
        if not self._kept and not self._torn:
            lines.insert(0, json.dumps({"schema_version": 1, "asked": self._who}))
        text = ("\n" if self._torn else "") + "".join(f"{line}\n" for line in lines)
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "ab", buffering=0) as file:
                file.write(text.encode())
        except OSError as error:
            raise self._trouble(error) from error
        self._torn = False
        self._kept[ask.key] = heard
