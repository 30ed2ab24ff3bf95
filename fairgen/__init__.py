"""Steer and assess the skin-tone distribution of text-to-image output against a target that you declare.

The public names below load on first use (PEP 562), so that ``import fairgen`` stays free of torch,
diffusers and MediaPipe.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from fairgen._version import __version__

if TYPE_CHECKING:
    from fairgen.errors import UserError
    from fairgen.loop.session import run_session
    from fairgen.models.contract import Model
    from fairgen.models.diffusers import DiffusersModel
    from fairgen.models.loading import load_model
    from fairgen.models.options import ModelOptions
    from fairgen.pipeline import FairPipeline, FairResult
    from fairgen.report import write_report
    from fairgen.runs import Run, Summary, read_run
    from fairgen.steering.guidance import ToneGuidance
    from fairgen.targets import FairnessSpec, load_spec

_HOME = {
    "DiffusersModel": "fairgen.models.diffusers",
    "FairPipeline": "fairgen.pipeline",
    "FairResult": "fairgen.pipeline",
    "FairnessSpec": "fairgen.targets",
    "Model": "fairgen.models.contract",
    "ModelOptions": "fairgen.models.options",
    "Run": "fairgen.runs",
    "Summary": "fairgen.runs",
    "ToneGuidance": "fairgen.steering.guidance",
    "UserError": "fairgen.errors",
    "load_model": "fairgen.models.loading",
    "load_spec": "fairgen.targets",
    "read_run": "fairgen.runs",
    "run_session": "fairgen.loop.session",
    "write_report": "fairgen.report",
}
_RENAMED = {"Generator": "DiffusersModel", "load_generator": "load_model"}
"""Old names that still work, for one version."""

__all__ = [
    "DiffusersModel",
    "FairPipeline",
    "FairResult",
    "FairnessSpec",
    "Model",
    "ModelOptions",
    "Run",
    "Summary",
    "ToneGuidance",
    "UserError",
    "__version__",
    "load_model",
    "load_spec",
    "read_run",
    "run_session",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        new = _RENAMED[name]
        warnings.warn(f"fairgen.{name} is now called fairgen.{new}", DeprecationWarning, stacklevel=2)
        return globals().get(new) or __getattr__(new)
    if name not in _HOME:
        raise AttributeError(f"module 'fairgen' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
