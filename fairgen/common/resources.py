"""Where the files that ship with fairgen lie: in a checkout beside the package, in a wheel inside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fairgen.errors import UserError

__all__ = ["embedded_model_dir", "prompts_path", "shipped_benchmark", "specs_dir"]

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def _data_root() -> Path:
    """The folder that holds ``assets/`` and ``specs/``.

    A wheel carries them as ``fairgen/_data``; that is looked at first, since site-packages may well hold
    somebody else's folder called ``assets``. A checkout (or an editable install of one) is recognised by
    its pyproject.toml.
    """
    installed = _PACKAGE / "_data"
    if installed.is_dir():
        return installed
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout
    raise UserError(
        f"fairgen's own files are missing: neither {installed} nor a checkout around {_PACKAGE} exists; "
        "install fairgen again."
    )


def _shipped(relative: str, *, folder: bool) -> Path:
    path = _data_root() / relative
    if not (path.is_dir() if folder else path.is_file()):
        raise UserError(f"{path} is missing from this installation of fairgen; install it again.")
    return path


def specs_dir() -> Path:
    """The folder with the shipped fairness specs (``*.yaml``).

    Raises:
        UserError: the installation is incomplete.
    """
    return _shipped("specs", folder=True)


def embedded_model_dir() -> Path:
    """The embedded model: a folder in StableDiffusionPipeline format. Raises as `specs_dir`."""
    return _shipped("assets/embedded", folder=True)


def prompts_path() -> Path:
    """The prompts of the audit, one a line. Raises as `specs_dir`."""
    return _shipped("assets/prompts/occupations.txt", folder=False)


def shipped_benchmark(name: str) -> Path:
    """A file of the published figures (``benchmarks/``) for evidence packs. Raises as `specs_dir`."""
    return _shipped(f"benchmarks/{name}", folder=False)
