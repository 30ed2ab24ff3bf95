"""What is said about how a picture was made: fairgen's own block, and the fields of IPTC Photo Metadata."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

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
    """`ModelInfo.fingerprint`; pictures of 0.1.0 have another hash over the same files."""
    pipeline: str
    seed: int
    prompt: str
    """As it was sent to the model."""
    steps: int | None
    guidance_scale: float | None
    spec: str
    spec_hash: str
    steering: str
    wanted: str | None
    session: str
    versions: dict[str, str]


def iptc_fields(provenance: Provenance) -> dict[str, str]:
    """IPTC Photo Metadata (standard 2025.1) of a picture made so: property -> value."""
    return {
        "DigitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "AISystemUsed": provenance.model,
        "AIPromptInformation": provenance.prompt,
    }
