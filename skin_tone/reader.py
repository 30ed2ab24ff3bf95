"""SkinToneReader: a picture in, a reading per face out."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from . import abstain, colour
from .colour import Lab
from .estimator import Estimator, calibrated
from .faces import Face, FaceFinder
from .features import cut_out, measure
from .picture import RGB, as_rgb
from .pixels import Grids, on_grids, planes, trained
from .regions import POLYGONS, patch_pixels
from .scales import SCALES

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
        outlines: patch -> its corners (x, y) in whole pixels, of every patch, used or not.
        lab: the colour that the skin would show in neutral, well-exposed light, (L*, a*, b*), D65.
        chroma: C*ab, >= 0.
        hue: hue angle h_ab in degrees, 0-360.
        ita: individual typology angle in degrees; high is light.
        ita_sigma: its standard error in degrees, as used for ``probabilities``.
        seen: the colour that the skin shows in the picture as it is, (L*, a*, b*).
        ita_seen: ITA of ``seen``, degrees; ``ita`` - ``ita_seen`` is the correction that was applied.
        patches: patch -> (L*, a*, b*) of the patches that were used.
        skipped: patch -> why it was not used (faces_away, too_small, clipped, disagrees).
        probabilities: scale -> class -> probability; each scale's sum to 1.
        classes: scale -> class, by ``ita``.
        abstained: reason code (see ``skin_tone.abstain.REASONS``), or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: tuple[int, int, int, int] | None = None
    outlines: dict[str, list[tuple[int, int]]] = Field(default_factory=dict, repr=False)
    lab: Lab | None = None
    chroma: float | None = None
    hue: float | None = None
    ita: float | None = None
    ita_sigma: float | None = None
    seen: Lab | None = None
    ita_seen: float | None = None
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

    def __init__(self, max_faces: int = 64) -> None:
        self._finder = FaceFinder(max_faces)
        self._estimator = calibrated()

    def read(self, image: Image.Image | NDArray[np.uint8]) -> list[ToneReading]:
        """A reading per face, largest face first; without a face one reading, abstained for ``no_face``.

        Args:
            image: a Pillow picture (any 8-bit mode), or uint8 RGB, H x W x 3, 0-255.

        Raises:
            PictureError: the picture has a form that is not read.
            RuntimeError: the reader is closed.
        """
        measured = measure_faces(as_rgb(image), self._finder)
        if not measured:
            return [ToneReading(abstained="no_face")]
        return [_concluded(face, self._estimator) for face in measured]

    def close(self) -> None:
        """Free the face finder. May be called twice."""
        self._finder.close()

    def __enter__(self) -> SkinToneReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class MeasuredFace:
    """What was measured on one face, before anything is concluded from it.

    Attributes:
        face: where it is. medians: patch -> its median (L*, a*, b*). skipped: patch -> why it was not used.
        seen: the skin as seen, (L*, a*, b*), None where ``reason`` is set. features: see `features.NAMES`.
        grids: the face as `pixels.on_grids` lays it.
        reason: why nothing can be read, or None.
    """

    face: Face
    medians: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seen: Lab | None = None
    features: NDArray[np.float64] | None = None
    grids: Grids | None = None
    reason: abstain.Reason | None = None


def measure_faces(rgb: RGB, finder: FaceFinder) -> list[MeasuredFace]:
    """Every face of a picture, largest first."""
    faces = finder.find(rgb)
    reason = abstain.picture_reason(rgb) if faces else None
    return [_measure_face(rgb, face, reason) for face in faces]


def _measure_face(rgb: RGB, face: Face, picture_reason: abstain.Reason | None) -> MeasuredFace:
    if face.height < abstain.MIN_FACE_HEIGHT:
        return MeasuredFace(face, reason="small_face")
    if picture_reason is not None:
        return MeasuredFace(face, reason=picture_reason)
    view = cut_out(rgb, face)
    if abstain.sharpness(view.rgb, view.height) < abstain.BLURRED:
        return MeasuredFace(face, reason="blurred")
    pixels, skipped = patch_pixels(view.landmarks, view.rgb.shape[0], view.rgb.shape[1])
    colours = {name: view.rgb[at[:, 0], at[:, 1]] for name, at in pixels.items()}
    clipped = {name: abstain.clipped_pixels(values) for name, values in colours.items()}
    total = sum(len(values) for values in colours.values())
    if total and sum(int(mask.sum()) for mask in clipped.values()) > abstain.CLIPPED_SHARE * total:
        return MeasuredFace(face, skipped=skipped, reason="clipped")

    medians: dict[str, NDArray[np.float64]] = {}
    kept: dict[str, NDArray[np.uint8]] = {}
    for name, values in colours.items():
        bare = values[~clipped[name]]
        lab = colour.srgb_to_lab(bare)
        inside = _without_extremes(lab)
        if inside.sum() < _MIN_PATCH_PIXELS:
            skipped[name] = "too_small" if len(values) < _MIN_PATCH_PIXELS else "clipped"
            continue
        medians[name], kept[name] = np.median(lab[inside], axis=0), bare
    skipped.update(_drop_covered(medians))
    used = sum(len(kept[name]) for name in medians)
    if not medians or used < abstain.MIN_SKIN_PIXELS:
        return MeasuredFace(face, skipped=skipped, reason="few_skin_pixels")
    seen = _lab(np.median(np.stack(list(medians.values())), axis=0))
    if abstain.disagree(list(medians.values())):
        return MeasuredFace(face, medians, skipped, reason="regions_disagree")
    if abstain.cast_away(seen):
        return MeasuredFace(face, medians, skipped, reason="colour_cast")
    return MeasuredFace(
        face,
        medians,
        skipped,
        seen=seen,
        features=measure(rgb, face, view, {name: kept[name] for name in medians}),
        grids=on_grids(view),
    )


def _without_extremes(lab: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pixels of a patch (n, 3 CIELAB) are neither highlight nor shadow."""
    lightness = lab[:, 0]
    if len(lightness) == 0:
        return np.zeros(0, dtype=bool)
    middle = np.median(lightness)
    # 1.4826: median absolute deviation -> standard deviation of a normal distribution.
    spread = max(_MIN_SPREAD, 1.4826 * float(np.median(np.abs(lightness - middle))))
    return np.asarray(
        (lightness >= middle - _FENCE_BELOW * spread) & (lightness <= middle + _FENCE_ABOVE * spread)
    )


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


def _concluded(measured: MeasuredFace, estimator: Estimator) -> ToneReading:
    face = measured.face
    if measured.seen is None or measured.features is None or measured.grids is None:
        return ToneReading(
            box=face.box, outlines=_outlines(face), skipped=measured.skipped, abstained=measured.reason
        )
    gains = trained().gains(planes(measured.grids, measured.features[:3]))
    found = estimator.estimate(np.concatenate([measured.features, gains]), measured.seen)
    angle = colour.ita(found.lab)
    return ToneReading(
        box=face.box,
        outlines=_outlines(face),
        lab=found.lab,
        chroma=colour.chroma(found.lab),
        hue=colour.hue(found.lab),
        ita=angle,
        ita_sigma=found.sigma,
        seen=measured.seen,
        ita_seen=colour.ita(measured.seen),
        patches={name: _lab(value) for name, value in measured.medians.items()},
        skipped=measured.skipped,
        probabilities={name: scale.probabilities(angle, found.sigma) for name, scale in SCALES.items()},
        classes={name: scale.classify(angle) for name, scale in SCALES.items()},
    )


def _outlines(face: Face) -> dict[str, list[tuple[int, int]]]:
    return {
        name: [(round(float(x)), round(float(y))) for x, y in face.landmarks[list(corners)]]
        for name, corners in POLYGONS.items()
    }


def _lab(values: NDArray[np.float64]) -> Lab:
    return float(values[0]), float(values[1]), float(values[2])
