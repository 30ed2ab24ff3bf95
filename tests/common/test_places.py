"""One variable moves all that fairgen keeps for a user."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairgen.common.places import cache_folder, data_folder


def test_the_variable_names_one_folder_for_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path))
    assert data_folder("calibrations") == tmp_path / "calibrations"
    assert cache_folder("probes") == tmp_path / "probes"


@pytest.mark.parametrize("home", [None, ""])
def test_without_it_the_platforms_own_folders_are_used(
    monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    if home is None:
        monkeypatch.delenv("FAIRGEN_HOME", raising=False)
    else:
        monkeypatch.setenv("FAIRGEN_HOME", home)
    data, cache = data_folder("kept"), cache_folder("kept")
    assert data.name == cache.name == "kept"
    assert data.is_absolute()
    assert data.parent.name == cache.parent.name == "fairgen"
