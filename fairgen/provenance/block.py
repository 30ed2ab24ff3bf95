"""What is said about how a picture was made: fairgen's own block, and the fields of IPTC Photo Metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    pass

TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"


class Provenance(BaseModel):
    """How one picture was made."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    fairgen: str
    """Version."""
    created_at: datetime
    model: str
    weights: str
    """One hash over the hashes of the weight files: 'sha256:<hex>'."""
    pipeline: str
    seed: int
    prompt: str
    """As it was sent to the model."""
    steps: int
    guidance_scale: float | None
    spec: str
    spec_hash: str
    steering: str
    wanted: str | None
    session: str
    versions: dict[str, str]


def digest(weights: Mapping[str, str]) -> str:
    """One hash over the hashes of a model's files: 'sha256:<hex>'."""
    lines = "\n".join(f"{hashed}  {file}" for file, hashed in sorted(weights.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def iptc_fields(provenance: Provenance) -> dict[str, str]:
    """IPTC Photo Metadata (standard 2025.1) of a picture made so: property -> value."""
    return {
        "DigitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "AISystemUsed": provenance.model,
        "AIPromptInformation": provenance.prompt,
    }
