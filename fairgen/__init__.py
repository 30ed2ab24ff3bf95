"""Steer and assess the skin-tone distribution of text-to-image output against a target that you declare.

The public names below load on first use (PEP 562), so that ``import fairgen`` stays free of torch,
diffusers and MediaPipe.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairgen.errors import UserError
    from fairgen.generator import Generator, load_generator
    from fairgen.pipeline import FairPipeline, FairResult
    from fairgen.report import write_report
    from fairgen.runfile import Run, Summary, read_run
    from fairgen.session import run_session
    from fairgen.spec import FairnessSpec, load_spec
    from fairgen.steering.guidance import ToneGuidance

__version__ = "0.1.0"

_HOME = {
    "FairPipeline": "fairgen.pipeline",
    "FairResult": "fairgen.pipeline",
    "FairnessSpec": "fairgen.spec",
    "Generator": "fairgen.generator",
    "Run": "fairgen.runfile",
    "Summary": "fairgen.runfile",
    "ToneGuidance": "fairgen.steering.guidance",
    "UserError": "fairgen.errors",
    "load_generator": "fairgen.generator",
    "load_spec": "fairgen.spec",
    "read_run": "fairgen.runfile",
    "run_session": "fairgen.session",
    "write_report": "fairgen.report",
}

__all__ = [
    "FairPipeline",
    "FairResult",
    "FairnessSpec",
    "Generator",
    "Run",
    "Summary",
    "ToneGuidance",
    "UserError",
    "__version__",
    "load_generator",
    "load_spec",
    "read_run",
    "run_session",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fairgen' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
