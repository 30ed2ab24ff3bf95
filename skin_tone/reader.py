"""SkinToneReader: a picture in, a reading per face out."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from . import abstain, colour
from .appearance import describe
from .colour import Lab
from .estimator import Estimate, calibrated
from .faces import Face, FaceFinder
from .familiarity import renders
from .features import FaceView, cut_out, measure
from .files import open_picture
from .observer import angle_of, degrees_per_class, fitted, lab_of
from .picture import RGB, as_rgb
from .pixels import on_grids, planes, trained
from .regions import LOWER_PATCHES, POLYGONS, patch_pixels
from .scales import SCALES
from .upright import lay_upright
from .views import describe_views, views

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
    """What was read from one face, or why no tone was read.

    The numbers describe the pixels of a picture: apparent skin colour, not race, ethnicity or a phototype.
    If ``abstained`` is set, the measured fields are None or empty.

    Attributes:
        box: (x0, y0, x1, y1) of the face in pixels, x1 and y1 exclusive; None when there is no face.
        outlines: patch -> its corners (x, y) in whole pixels, for every patch, used or not.
        lab: the estimated colour of the skin without effects of light, gloss and shadow, (L*, a*, b*), D65.
        chroma: C*ab, >= 0.
        hue: hue angle h_ab in degrees, 0-360.
        ita: individual typology angle in degrees; high is light.
        ita_sigma: its standard error in degrees, as used for ``probabilities``.
        seen: the colour of the skin as the picture shows it, (L*, a*, b*): the median of its bare
            parts.
        ita_seen: ITA of ``seen``, degrees; ``ita`` - ``ita_seen`` is the correction that was applied.
        like_renders: 0-1, how much the face looks like the renders that the correction for light was
            fitted on. At 1 the estimate is the colour in neutral light, at 0 what a careful observer names.
        nearness: 0-1, how close the most similar rated faces are; None where ``like_renders`` is 1.
            Far from all of them the estimate is the plain reading and the interval is wide.
        patches: patch -> (L*, a*, b*) of the patches that were used.
        skipped: patch -> why it was not used (faces_away, too_small, clipped, disagrees, covered).
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
    like_renders: float | None = None
    nearness: float | None = None
    patches: dict[str, Lab] = Field(default_factory=dict)
    skipped: dict[str, str] = Field(default_factory=dict)
    probabilities: dict[str, dict[str, float]] = Field(default_factory=dict)
    classes: dict[str, str] = Field(default_factory=dict)
    abstained: str | None = None


class SkinToneReader:
    """Reads the apparent skin tones of the faces in pictures.

    It keeps its models in memory: use it in a ``with`` block, or close it. Several threads may share it.

    Args:
        max_faces: most faces to read in one picture, 1 or more.
    """

    def __init__(self, max_faces: int = 64) -> None:
        self._finder = FaceFinder(max_faces)

    def read(self, image: Image.Image | NDArray[np.uint8] | str | os.PathLike[str]) -> list[ToneReading]:
        """Read every face in a picture.

        Args:
            image: a Pillow image (any 8-bit mode), an array (uint8, H x W x 3, RGB, 0-255), or the path of
                a picture file.

        Returns:
            One reading per face, largest face first. Without a face, one reading whose ``abstained`` is
            ``no_face``, or ``turned_away`` where a head is seen on which no mesh comes to lie.

        Raises:
            PictureError: the format is not supported, or the file is not a picture.
            RuntimeError: the reader is closed.
        """
        rgb = as_rgb(open_picture(Path(image)) if isinstance(image, str | os.PathLike) else image)
        measured = measure_faces(rgb, self._finder)
        if not measured:
            head = self._finder.turned_away(rgb)
            return [ToneReading(box=head, abstained="no_face" if head is None else "turned_away")]
        return [_concluded(rgb, face, self._finder) for face in measured]

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
        face: where it is.
        medians: patch -> its median (L*, a*, b*).
        skipped: patch -> why it was not used.
        seen: the skin as seen, (L*, a*, b*), None where ``reason`` is set.
        described: see `appearance.NAMES`.
        view: the face cut out.
        colours: patch -> its unclipped pixels, (n, 3) sRGB, of the patches in ``medians``.
        reason: why nothing can be read, or None.
    """

    face: Face
    medians: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seen: Lab | None = None
    described: NDArray[np.float64] | None = None
    view: FaceView | None = None
    colours: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
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
    if abstain.posterised(view.rgb):
        return MeasuredFace(face, reason="posterised")
    if abstain.sharpness(view.rgb, view.height) < abstain.BLURRED:
        return MeasuredFace(face, reason="blurred")
    pixels, skipped = patch_pixels(view.landmarks, view.rgb.shape[0], view.rgb.shape[1])
    colours = {name: view.rgb[at[:, 0], at[:, 1]] for name, at in pixels.items()}
    clipped = {name: abstain.clipped_pixels(values) for name, values in colours.items()}
    total = sum(len(values) for values in colours.values())
    if total and sum(int(mask.sum()) for mask in clipped.values()) > abstain.CLIPPED_SHARE * total:
        return MeasuredFace(face, skipped=skipped, reason="clipped")
    upright = lay_upright(rgb, face.landmarks)
    described = describe(upright)
    if described is None:
        reason: abstain.Reason = "covered" if upright.covered else "few_skin_pixels"
        return MeasuredFace(face, skipped=skipped, reason=reason)

    medians: dict[str, NDArray[np.float64]] = {}
    kept: dict[str, NDArray[np.uint8]] = {}
    for name, values in colours.items():
        bare = values[~clipped[name]]
        lab = colour.srgb_to_lab(bare)
        inside = _without_extremes(lab)
        if upright.covered and name in LOWER_PATCHES:
            skipped[name] = "covered"
        elif inside.sum() < _MIN_PATCH_PIXELS:
            skipped[name] = "too_small" if len(values) < _MIN_PATCH_PIXELS else "clipped"
        else:
            medians[name], kept[name] = np.median(lab[inside], axis=0), bare
    skipped.update(_drop_covered(medians))
    seen = _lab(np.median(upright.lab[upright.skin], axis=0))
    if abstain.disagree(list(medians.values())):
        return MeasuredFace(face, medians, skipped, reason="regions_disagree")
    if abstain.cast_away(seen):
        return MeasuredFace(face, medians, skipped, reason="colour_cast")
    return MeasuredFace(face, medians, skipped, seen, described, view, {name: kept[name] for name in medians})


def light_features(rgb: RGB, measured: MeasuredFace) -> NDArray[np.float64] | None:
    """What the light estimator judges by: `features.NAMES`; None where no patch of the face can be used."""
    if measured.view is None or not measured.medians:
        return None
    return measure(rgb, measured.face, measured.view, measured.colours)


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


def _concluded(rgb: RGB, measured: MeasuredFace, finder: FaceFinder) -> ToneReading:
    face = measured.face
    if measured.seen is None or measured.described is None:
        return ToneReading(
            box=face.box, outlines=_outlines(face), skipped=measured.skipped, abstained=measured.reason
        )
    found = _estimated(rgb, measured, finder, measured.described, measured.seen)
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
        like_renders=found.like_renders,
        nearness=found.nearness,
        patches={name: _lab(value) for name, value in measured.medians.items()},
        skipped=measured.skipped,
        probabilities={name: scale.probabilities(angle, found.sigma) for name, scale in SCALES.items()},
        classes={name: scale.classify(angle) for name, scale in SCALES.items()},
    )


@dataclass(frozen=True)
class _Found:
    lab: Lab
    sigma: float
    like_renders: float
    nearness: float | None


def _estimated(
    rgb: RGB, measured: MeasuredFace, finder: FaceFinder, described: NDArray[np.float64], seen: Lab
) -> _Found:
    """Light taken off by as much as the face looks like the renders on which that was learnt; what an
    observer names for the rest.
    """
    share = renders().likeness(described)
    light = _in_neutral_light(rgb, measured) if share > 0 else None
    if light is None:
        share = 0.0
    elif share == 1:
        return _Found(light.lab, light.sigma, 1.0, None)
    steady = describe_views(views(rgb, measured.face, finder))
    judged = fitted().judge(described if steady is None else steady)
    angle, sigma = angle_of(judged.tone), judged.sigma * degrees_per_class(judged.tone)
    if light is not None:
        other = colour.ita(light.lab)
        apart = share * (1 - share) * (other - angle) ** 2
        sigma = math.sqrt(share * light.sigma**2 + (1 - share) * sigma**2 + apart)
        angle = share * other + (1 - share) * angle
    return _Found(lab_of(angle, seen), sigma, share, judged.nearness)


def _in_neutral_light(rgb: RGB, measured: MeasuredFace) -> Estimate | None:
    features = light_features(rgb, measured)
    if features is None or measured.view is None:
        return None
    gains = trained().gains(planes(on_grids(measured.view), features[:3]))
    patches = _lab(np.median(np.stack(list(measured.medians.values())), axis=0))
    return calibrated().estimate(np.concatenate([features, gains]), patches)


def _outlines(face: Face) -> dict[str, list[tuple[int, int]]]:
    return {
        name: [(round(float(x)), round(float(y))) for x, y in face.landmarks[list(corners)]]
        for name, corners in POLYGONS.items()
    }


def _lab(values: NDArray[np.float64]) -> Lab:
    return float(values[0]), float(values[1]), float(values[2])
