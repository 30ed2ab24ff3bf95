"""SkinToneReader: a picture in, a reading per face out."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from . import abstain, colour
from .colour import Lab
from .faces import Face, FaceFinder
from .picture import RGB, as_rgb
from .regions import patch_pixels
from .scales import SCALES

SIGMA_LIGHTNESS = 4.0
"""Standard error of a face's L* that one picture cannot tell: about a quarter of a stop on mid tones."""
SIGMA_B = 2.5
"""Standard error of a face's b*: the white balance that a careful photographer would still call neutral."""

# Fences around a patch's median L*, in robust standard deviations. Gloss only ever adds light, so the upper
# one is nearer.
_FENCE_ABOVE = 1.0
_FENCE_BELOW = 2.0
_MIN_SPREAD = 1.0  # L*; keeps a flat patch whole
_MIN_PATCH_PIXELS = 8
# The forehead may lie under a fringe and the chin under a beard: they count only if they agree with the
# cheeks.
_COVERED = ("forehead", "chin")
_AGREE_DELTA_E = 15.0


class ToneReading(BaseModel):
    """What was read from one face, or why nothing was.

    The numbers describe pixels of a picture: apparent skin colour, not race, ethnicity or a phototype.
    If ``abstained`` is set, the measured fields are None or empty.

    Attributes:
        box: (x0, y0, x1, y1) of the face in pixels, x1 and y1 exclusive; None when there is no face.
        lab: median skin colour, (L*, a*, b*), D65.
        chroma: C*ab, >= 0.
        hue: hue angle h_ab in degrees, 0-360.
        ita: individual typology angle in degrees; high is light.
        ita_sigma: its standard error in degrees, as used for ``probabilities``.
        patches: patch -> (L*, a*, b*) of the patches that were used.
        skipped: patch -> why it was not used (faces_away, too_small, clipped, disagrees).
        probabilities: scale -> class -> probability; each scale's sum to 1.
        classes: scale -> class, by ``ita``.
        abstained: reason code (see ``skin_tone.abstain.REASONS``), or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: tuple[int, int, int, int] | None = None
    lab: Lab | None = None
    chroma: float | None = None
    hue: float | None = None
    ita: float | None = None
    ita_sigma: float | None = None
    patches: dict[str, Lab] = Field(default_factory=dict)
    skipped: dict[str, str] = Field(default_factory=dict)
    probabilities: dict[str, dict[str, float]] = Field(default_factory=dict)
    classes: dict[str, str] = Field(default_factory=dict)
    abstained: str | None = None


class SkinToneReader:
    """Reads apparent skin tones. Keeps one face finder: close it, or use it in a ``with`` block. Thread-safe.

    Args:
        max_faces: at most this many faces of a picture are read, >= 1.
    """

    def __init__(self, max_faces: int = 8) -> None:
        self._finder = FaceFinder(max_faces)

    def read(self, image: Image.Image | NDArray[np.uint8]) -> list[ToneReading]:
        """A reading per face, largest face first; without a face one reading, abstained for ``no_face``.

        Args:
            image: a Pillow picture (any 8-bit mode), or uint8 RGB, H x W x 3, 0-255.

        Raises:
            PictureError: the picture has a form that is not read.
            RuntimeError: the reader is closed.
        """
        rgb = as_rgb(image)
        faces = self._finder.find(rgb)
        if not faces:
            return [ToneReading(abstained="no_face")]
        reason = abstain.picture_reason(rgb)
        return [_read_face(rgb, face, reason) for face in faces]

    def close(self) -> None:
        """Free the face finder. May be called twice."""
        self._finder.close()

    def __enter__(self) -> SkinToneReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read_face(rgb: RGB, face: Face, picture_reason: abstain.Reason | None) -> ToneReading:
    if face.height < abstain.MIN_FACE_HEIGHT:
        return ToneReading(box=face.box, abstained="small_face")
    if picture_reason is not None:
        return ToneReading(box=face.box, abstained=picture_reason)
    pixels, skipped = patch_pixels(face.landmarks, rgb.shape[0], rgb.shape[1])
    colours = {name: rgb[at[:, 0], at[:, 1]] for name, at in pixels.items()}
    clipped = {name: abstain.clipped_pixels(values) for name, values in colours.items()}
    total = sum(len(values) for values in colours.values())
    if total and sum(int(mask.sum()) for mask in clipped.values()) > abstain.CLIPPED_SHARE * total:
        return ToneReading(box=face.box, skipped=skipped, abstained="clipped")

    medians: dict[str, NDArray[np.float64]] = {}
    used = 0
    for name, values in colours.items():
        kept = _trimmed(values[~clipped[name]])
        if len(kept) < _MIN_PATCH_PIXELS:
            skipped[name] = "too_small" if len(values) < _MIN_PATCH_PIXELS else "clipped"
            continue
        medians[name] = np.median(kept, axis=0)
        used += len(kept)
    skipped.update(_drop_covered(medians))
    if not medians or used < abstain.MIN_SKIN_PIXELS:
        return ToneReading(box=face.box, skipped=skipped, abstained="few_skin_pixels")
    return _reading(face, medians, skipped)


def _trimmed(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB of the pixels of a patch, without highlights and shadows."""
    lab = colour.srgb_to_lab(rgb)
    if len(lab) == 0:
        return lab
    lightness = lab[:, 0]
    middle = np.median(lightness)
    # 1.4826: median absolute deviation -> standard deviation of a normal distribution.
    spread = max(_MIN_SPREAD, 1.4826 * float(np.median(np.abs(lightness - middle))))
    inside = (lightness >= middle - _FENCE_BELOW * spread) & (lightness <= middle + _FENCE_ABOVE * spread)
    return np.asarray(lab[inside])


def _drop_covered(medians: dict[str, NDArray[np.float64]]) -> dict[str, str]:
    """Take forehead and chin out of ``medians`` where they are far from the cheeks; name those taken out."""
    cheeks = [lab for name, lab in medians.items() if name not in _COVERED]
    if not cheeks:
        return {}
    # Light from one side sets the cheeks apart, so a patch need only agree with one of them.
    dropped = {
        name: "disagrees"
        for name in _COVERED
        if name in medians
        and min(float(np.linalg.norm(medians[name] - cheek)) for cheek in cheeks) > _AGREE_DELTA_E
    }
    for name in dropped:
        del medians[name]
    return dropped


def _reading(face: Face, medians: dict[str, NDArray[np.float64]], skipped: dict[str, str]) -> ToneReading:
    patches = np.stack(list(medians.values()))
    middle = np.median(patches, axis=0)
    # What the patches disagree about is not known any better for there being few of them: the spread counts
    # in full.
    spread = patches.std(axis=0)
    lab = _lab(middle)
    sigma = colour.ita_sigma(
        lab, float(np.hypot(SIGMA_LIGHTNESS, spread[0])), float(np.hypot(SIGMA_B, spread[2]))
    )
    angle = colour.ita(lab)
    return ToneReading(
        box=face.box,
        lab=lab,
        chroma=colour.chroma(lab),
        hue=colour.hue(lab),
        ita=angle,
        ita_sigma=sigma,
        patches={name: _lab(value) for name, value in medians.items()},
        skipped=skipped,
        probabilities={name: scale.probabilities(angle, sigma) for name, scale in SCALES.items()},
        classes={name: scale.classify(angle) for name, scale in SCALES.items()},
    )


def _lab(values: NDArray[np.float64]) -> Lab:
    return float(values[0]), float(values[1]), float(values[2])
