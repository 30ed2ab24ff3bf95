"""What the tests share: no network, the marker `embedded`, and the places of things that may be absent."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.doubles.quick_model import quick_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from fairgen.models.diffusers import DiffusersModel
    from fairgen.provenance.signing import PictureSigner

__all__ = ["quick_model"]

# Before any test imports matplotlib or a library of the hub: no window, no network, no telemetry.
os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
# Whoever runs the tests may sign their own pictures; the tests sign where they say so.
for name in [name for name in os.environ if name.startswith("FAIRGEN_C2PA_")]:
    del os.environ[name]

# Tests that run side by side take a core each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Freed memory is kept, here and in every command that a test starts (see `fairgen.common.memory`).
os.environ.setdefault("MALLOC_MMAP_MAX_", "0")
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**30))

# Started in the background of a script, pytest ignores Ctrl-C, and so would every command that it starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes any example slow now and then: that is no failure.
# Continuous integration judges a change, so it draws the same examples each time; other runs draw new ones.
settings.register_profile("fairgen", deadline=None, derandomize="FAIRGEN_CI" in os.environ)
settings.load_profile("fairgen")

ROOT = Path(__file__).resolve().parents[1]
LONGEST = ("ui", "test_embedded.py", "test_pipeline.py", "test_audit_ray.py", "test_every_pipeline.py")
"""What takes longest begins first, so that no worker is left with it at the end."""
EMBEDDED = ROOT / "assets" / "embedded"
SHARED_FACES = ROOT.parent / "shared" / "faces"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `embedded` while assets/embedded is absent; an incomplete folder fails them.

    Where pytest-xdist shares the tests out, a file's stay together, and those of the web app with its server;
    the `LONGEST` come first.
    """
    places = {}
    for item in items:
        group = "ui" if item.path.parent.name == "ui" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
        name = Path(group).name
        places[item] = LONGEST.index(name) if name in LONGEST else len(LONGEST)
    items.sort(key=lambda item: places[item])
    if EMBEDDED.is_dir():
        return
    absent = pytest.mark.skip(reason="assets/embedded does not exist in this checkout")
    for item in items:
        if item.get_closest_marker("embedded"):
            item.add_marker(absent)


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """The folder of the embedded model, for tests marked `embedded`."""
    assert (EMBEDDED / "model_index.json").is_file(), f"{EMBEDDED} is there, but holds no model_index.json"
    return EMBEDDED


@pytest.fixture(scope="session")
def embedded_side(embedded_model: Path) -> int:
    """Width and height of the embedded model's pictures, in pixels."""
    width: int = json.loads((embedded_model / "fairgen.json").read_text("utf-8"))["width"]
    return width


@pytest.fixture(scope="session")
def embedded_generator(embedded_model: Path) -> DiffusersModel:
    """The embedded model on the CPU, loaded once for all tests marked `embedded`."""
    from fairgen.models.loading import load_diffusers

    return load_diffusers(str(embedded_model), device="cpu")


@pytest.fixture(scope="module")  # a session's would leave its event loop to tests that begin one of their own
def browser() -> Iterator[Browser]:
    """Headless Chromium; the build without windows where it is installed, for it takes half the time."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no chromium is installed: install it to run the tests that look at pages")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        # Chromium's sandbox needs rights that containers do not give; the pages are our own.
        found = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> PictureSigner:
    """Signs content credentials with the certificate of the tests' own authority."""
    from fairgen.provenance.signing import PictureSigner
    from tests.doubles.c2pa_authority import config

    return PictureSigner(config(tmp_path_factory.mktemp("signer")))


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    """A trust list that names the tests' own authority."""
    from tests.doubles.c2pa_authority import ROOT as AUTHORITY

    path = tmp_path / "roots.pem"
    path.write_bytes(AUTHORITY.pem)
    return path


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder that holds pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def shared_faces() -> Path:
    """The folder of face photographs beside the checkout (jpg files in one folder a collection)."""
    if not SHARED_FACES.is_dir():
        pytest.skip("../shared/faces is not beside this checkout")
    return SHARED_FACES
