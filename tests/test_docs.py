"""The examples of docs/embedding.md, run as they stand, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_examples_of_embedding_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    blocks = _BLOCK.findall(text)
    assert len(blocks) >= 7
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/embedding.md", "exec"), names)
    assert len(names["result"].images) == 4
    assert len(names["images"]) == 2
    assert names["result"].summary.steering == "embedding"
    assert sum(names["event"].summary.measured.values()) == 3
