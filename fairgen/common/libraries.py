"""Big libraries without their notices to people who cannot act on them, and which versions are there."""

from __future__ import annotations

import contextlib
import platform
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def versions(*packages: str) -> dict[str, str]:
    """Python's version, and that of each of the packages that is installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the libraries' notices (deprecations, progress bars of weights) from the user; errors are raised
    all the same.
    """
    from transformers.utils import logging as transformers_logging

    with warnings.catch_warnings(), _hushed(transformers_logging):
        warnings.simplefilter("ignore")
        # Importing diffusers makes transformers speak already, so it comes second.
        from diffusers.utils import logging as diffusers_logging

        with _hushed(diffusers_logging):
            yield


@contextlib.contextmanager
def _hushed(library: Any) -> Iterator[None]:
    level, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()
