"""Draws one portrait from a seed: identity, context, light, camera, and the photograph that results."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import captions, props, scenes, skin
from .contexts import ALL_CONTEXTS, CONTEXTS, Context
from .hair import STYLES, Roots, grow
from .heads import Floats, Heads
from .identity import IdentitySampler, eye_centres
from .renderer import Prop, Renderer, Scene
from .studio import PORTRAIT_POSE, PORTRAIT_RIG, Pose, Rig, camera, light, rotation

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_HAIR = (  # word, hex, weight
    ("black", "100e0d", 5),
    ("black", "1a1310", 4),
    ("brown", "3a2618", 3),
    ("brown", "54361f", 3),
    ("blond", "a88450", 1.5),
    ("red", "7a3014", 0.8),
    ("grey", "8a8a88", 1.5),
    ("grey", "c9c6c0", 0.8),
)
#: Hair styles and their shares, for women and for men.
_STYLES = {
    False: (
        (
            "long",
            "wavy",
            "curls",
            "bob",
            "bob_fringe",
            "braids",
            "locs",
            "afro",
            "coils",
            "knot",
            "side",
            "crop",
        ),
        (0.16, 0.14, 0.11, 0.1, 0.08, 0.09, 0.04, 0.08, 0.04, 0.1, 0.04, 0.02),
    ),
    True: (
        ("crop", "side", "swept", "fringe", "buzz", "coils", "afro", "locs", "braids", "wavy", "bald"),
        (0.19, 0.16, 0.11, 0.09, 0.13, 0.09, 0.04, 0.04, 0.03, 0.03, 0.09),
    ),
}
_IRIS = ("2a160c", "3a2212", "4b3018", "6a5a30", "5b6b4a", "6f8290")
#: Share of portraits whose tone is drawn uniformly over the ramp, whatever the context: these carry tone
# words.
NEUTRAL_SHARE = 0.5


@dataclass(frozen=True)
class Portrait:
    """A rendered picture with what is known about it.

    Attributes:
        image: size x size x 3, sRGB, uint8.
        skin_mask: share of bare facial skin in each pixel, 0-1.
        ita: albedo ITA, degrees. context: number in ALL_CONTEXTS.
    """

    image: npt.NDArray[np.uint8]
    skin_mask: Floats
    ita: float
    context: int
    looks: captions.Looks

    def record(self) -> dict[str, Any]:
        """What is stored beside the picture."""
        return {"ita": self.ita, "context": self.context, **asdict(self.looks)}


@dataclass(frozen=True)
class Shot:
    """What stands before the camera: linear light, exposed for the face, before any camera has rendered it.

    Attributes:
        linear: size x size x 3, linear sRGB, >= 0; diffuse white in the key light is about 1.
        skin_mask: share of bare facial skin in each pixel, 0-1.
        alpha: size x size, share of each pixel that person and clothes cover, 0-1.
        behind: size x size x 3, linear light of the background alone.
        ita: albedo ITA, degrees. lab: albedo as L*, a*, b* (D65). context: number in ALL_CONTEXTS.
    """

    linear: npt.NDArray[np.float64]
    alpha: Floats
    behind: npt.NDArray[np.float64]
    skin_mask: Floats
    ita: float
    lab: tuple[float, float, float]
    context: int
    looks: captions.Looks


class PortraitMaker:
    """Makes portraits; the picture for a seed is always the same."""

    def __init__(self, heads: Heads, size: int = 128, factor: int = 2) -> None:
        self.heads, self.size = heads, size
        self.renderer = Renderer(heads, size, factor)
        self.identities = IdentitySampler(heads)
        self._roots = Roots.of(heads)
        rest_left, rest_right = eye_centres(heads, heads.rest)
        self._rest_eyes = (rest_left, rest_right)

    def make(self, seed: int, *, context: int | None = None, ita: float | None = None) -> Portrait:
        """One portrait; context and albedo ITA (degrees) are drawn where they are not given."""
        rng = np.random.default_rng(seed)
        shot = self.shoot(rng, context=context, ita=ita)
        # Highlights roll off, and the sensor adds noise.
        x = shot.linear
        x = np.where(x > 0.8, 0.8 + 0.2 * (1 - np.exp(-(x - 0.8) / 0.2)), x)
        picture = skin.encoded(x) + rng.normal(0, 0.003, x.shape)
        image = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
        return Portrait(image, shot.skin_mask, shot.ita, shot.context, shot.looks)

    def shoot(
        self,
        rng: np.random.Generator,
        *,
        context: int | None = None,
        ita: float | None = None,
        rig: Rig = PORTRAIT_RIG,
        pose: Pose = PORTRAIT_POSE,
        wall: npt.NDArray[np.float64] | None = None,
        look: Context | None = None,
    ) -> Shot:
        """The scene of one portrait; ``wall`` (size x size x 3, linear) takes the place of the context's
        background, and ``look`` that of what the context says of clothes, hat, glasses and smile.
        """
        number = int(rng.integers(len(CONTEXTS))) if context is None else context
        look = ALL_CONTEXTS[number] if look is None else look
        biased = bool(rng.random() >= NEUTRAL_SHARE)
        table = look.draw_ita(rng)
        # Neutral portraits spread evenly over the tone words, so that words are learnt equally well.
        even = float(rng.uniform(*skin.clear_range(int(rng.integers(len(skin.TONE_WORDS))))))
        tone = ita if ita is not None else table if biased else even
        lab = skin.albedo_lab(tone, rng)
        low, high = skin.clear_range(skin.tone_word(tone))
        clear = low <= tone <= high

        maleness = float(np.clip(rng.beta(0.45, 0.45), 0, 1))
        male = maleness > 0.5
        age = float(rng.beta(1.0, 1.7))
        smile = (
            look.smile
            if look.smile is not None
            else float(rng.uniform(0.05, 0.3) if rng.random() < 0.3 else rng.uniform(0.3, 0.95))
        )
        who = self.identities.draw(rng, maleness=maleness, age=age, smile=smile)
        hat = look.hat if look.hat is not None and rng.random() < look.hat[3] else None
        with_glasses = bool(rng.random() < look.glasses)
        weights = np.array([h[2] for h in _HAIR]) * np.where(
            [h[0] == "grey" for h in _HAIR], 0.15 + 2.5 * age, 1
        )
        hair_name, hair_hex, _ = _HAIR[int(rng.choice(len(_HAIR), p=weights / weights.sum()))]
        names, shares = _STYLES[male]
        style = STYLES[str(rng.choice(names, p=shares))]
        recede = float(rng.uniform(0.4, 1)) if male and rng.random() < 0.1 + 0.45 * age else 0.0
        beard = float(rng.uniform(0.3, 0.9)) if male and rng.random() < 0.3 else 0.0
        hair_word = style.word if style.count == 0 or rng.random() < 0.5 else captions.HAIR_WORDS[hair_name]
        looks = captions.Looks(
            phrase=look.phrase,
            tone=skin.tone_word(tone) if clear else None,
            biased=biased,
            maleness=maleness,
            age=age,
            hair=hair_word,
            clothes=captions.CLOTHES_WORDS[look.garment],
            hat=hat is not None,
            glasses=with_glasses,
            beard=beard > 0.5,
        )

        positions, head_motion = self._posed(who.positions, pose, rng)
        left, right = eye_centres(self.heads, positions)
        projection, eye, up, axes, target = camera((left + right) / 2, pose, rng)
        light_dir, light_col, ambient = light(axes, rng, rig)
        fitted = self._fit_head(who.positions)
        hairline = float(rng.normal(0, 0.04) + (0.06 * age if male else 0))
        hair = np.clip(skin.hex_linear(hair_hex) * np.exp(rng.normal(0, 0.1, 3)), 0.006, 0.8)
        uniforms: dict[str, Any] = {
            **ambient,
            "camera": tuple(eye),
            "up": tuple(up),
            "seed": float(rng.uniform(0, 50)),
            "shadow_soft": float(rng.uniform(0.012, 0.045)),
            "skin": tuple(skin.lab_to_linear(lab)),
            "lips": self._lips(lab[0], male, rng),
            "iris": tuple(skin.hex_linear(str(rng.choice(_IRIS)))),
            "gaze": (rng.normal(0, 0.08), rng.normal(0, 0.05), 1.0),
            "eye_left": tuple(self._eye_centre_rest()),
            "redness": float(rng.uniform(0.1, 0.7) * np.interp(lab[0], [20, 40, 70], [0.2, 0.6, 1])),
            "freckles": float(rng.uniform(0.3, 0.9)) if rng.random() < 0.12 else 0.0,
            # Behind lips that hardly part there is no light.
            "teeth": float(np.clip(2 * smile - 0.6, 0.12, 1)),
            # Eye whites and teeth are not the same white in everybody, nor at every age.
            "sclera": tuple(
                np.array([0.80, 0.765, 0.74]) * np.exp(rng.normal(0, 0.06) + rng.normal(0, [0.01, 0.0, 0.04]))
            ),
            "enamel": tuple(
                np.array([0.80, 0.77, 0.70]) * np.exp(rng.normal(0, 0.07) + rng.normal(0, [0.01, 0.0, 0.05]))
            ),
            "moles": float(rng.uniform(0.3, 1)) if rng.random() < 0.3 else 0.0,
            "roughness": float(rng.uniform(0.42, 0.6)),
            "oil": float(rng.uniform(0.1, 0.6)),
            "age": age,
            "hair": tuple(hair),
            "brow": tuple(np.clip(np.minimum(hair * 0.5, 0.4 * skin.lab_to_linear(lab)), 0.004, 0.11)),
            "hairline": hairline + 0.02,
            "hair_seed": float(rng.uniform(0, 50)),
            "hair_density": 0.0 if style.count == 0 or recede > 0.7 else 0.8,
            "hair_round": 1.0 if style.curl and style.length[1] < 1 else 0.0,
            "hair_length": 0.03 if hat else min(0.12, 0.3 * style.length[1]),
            "hair_gloss": float(rng.uniform(0.5, 1.2)) * (0.35 if style.curl else 1.0),
            "hair_centre": tuple((head_motion @ fitted @ np.array([0, 7.55, 0.56, 1.0]))[:3]),
            "beard": beard,
            "brow_width": float(rng.uniform(0.034, 0.05) + (0.012 if male else 0)),
            "brow_dark": float(rng.uniform(0.7, 1)),
            **self._clothes(look, rng),
        }
        items = []
        ribbons = grow(
            self.heads,
            self._roots,
            who.positions,
            style,
            hair,
            rng,
            fitted=fitted,
            hairline=hairline,
            recede=recede,
            rim=props.RIM if hat is not None and hat[0] != "headphones" else None,
        )
        if ribbons is not None:
            items.append(Prop(props.moved(ribbons[0], head_motion), ribbons[1]))
        if hat is not None:
            rows = props.hat(
                hat[0], skin.hex_linear(hat[1]) * np.exp(rng.normal(0, 0.06)), skin.hex_linear(hat[2])
            )
            items.append(Prop(props.moved(rows, head_motion @ fitted)))
        if with_glasses:
            frame = skin.hex_linear(str(rng.choice(["141414", "3a2412", "707478"])))
            shift = np.eye(4)
            neutral = eye_centres(self.heads, who.positions)
            rows = props.glasses(
                *neutral, float(rng.uniform(0.92, 1.1)), float(rng.random()), frame, fitted[0, 0]
            )
            items.append(Prop(props.moved(rows, head_motion @ shift)))
        scene = Scene(
            positions=positions,
            camera=projection,
            light_target=target,
            light_dir=light_dir,
            light_col=light_col,
            uniforms=uniforms,
            hair_shells=0 if style.count == 0 or recede > 0.7 else 3,
            props=tuple(items),
        )
        linear, alpha, behind, mask = self._exposed(scene, look, wall, rng)
        return Shot(
            linear, alpha, behind, mask, tone, (float(lab[0]), float(lab[1]), float(lab[2])), number, looks
        )

    def _eye_centre_rest(self) -> Floats:
        """Centre of the rest mesh's left eyeball's front sphere (iris and lashes are placed from it)."""
        left = self.heads.rest[self.heads.part_vertices(1)]
        centre = (left.min(0) + left.max(0)) / 2
        centre[2] = left[:, 2].min() + 0.138
        return np.asarray(centre, np.float32)

    def _posed(
        self, positions: Floats, pose: Pose, rng: np.random.Generator
    ) -> tuple[Floats, npt.NDArray[np.float64]]:
        """Turns the head about the neck; also returns the head's 4 x 4 motion for hats and glasses."""
        left, right = eye_centres(self.heads, positions)
        eyes = (left + right) / 2
        chin = eyes[1] - 1.1
        w = np.clip((positions[:, 1] - (chin - 0.35)) / 0.6, 0, 1)[:, None]
        w = w * w * (3 - 2 * w)
        pivot = np.array([0, chin - 0.1, eyes[2] - 1.0])
        turn = (
            rotation(1, rng.normal(0, pose.turn[0]))
            @ rotation(0, rng.normal(0, pose.turn[1]))
            @ rotation(2, rng.normal(0, pose.turn[2]))
        )
        moved = positions * (1 - w) + ((positions - pivot) @ turn.T + pivot) * w
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = turn, pivot - turn @ pivot
        return moved.astype(np.float32), motion

    def _fit_head(self, positions: Floats) -> npt.NDArray[np.float64]:
        """Scales and shifts hats from the rest skull to this one."""
        skull = (self.heads.rest[:, 1] > 7.5) & (self.heads.rest[:, 1] < 8.6)
        a, b = self.heads.rest[skull], positions[skull]
        scale = np.ptp(b, axis=0) / np.ptp(a, axis=0)
        m = np.diag([*np.clip(scale, 0.85, 1.3), 1.0])
        m[:3, 3] = b.mean(0) - m[:3, :3] @ a.mean(0)
        return m

    @staticmethod
    def _lips(lightness: float, male: bool, rng: np.random.Generator) -> tuple[float, ...]:
        natural = 1 - (1 - np.array([0.86, 0.58, 0.60])) * np.interp(lightness, [20, 60], [0.7, 1.0])
        if male:
            natural = 0.4 + 0.6 * natural
        elif rng.random() < 0.3:
            natural = np.array([rng.uniform(0.75, 1.0), rng.uniform(0.25, 0.5), rng.uniform(0.3, 0.55)])
        return tuple(np.clip(natural + rng.normal(0, 0.03, 3), 0.1, 1.2))

    @staticmethod
    def _clothes(look: Context, rng: np.random.Generator) -> dict[str, Any]:
        first, second, third = (
            tuple(np.clip(skin.hex_linear(c) * np.exp(rng.normal(0, 0.06)), 0, 0.92)) for c in look.colours
        )
        collared = look.garment in (4, 5, 12)
        return {
            "garment": look.garment,
            "cloth": first,
            "cloth2": second,
            "cloth3": third,
            "neckline": float(rng.uniform(5.86, 6.0)),
            "vneck": 0.05 if collared else float(rng.uniform(0, 0.35)),
        }

    def _exposed(
        self,
        scene: Scene,
        look: Context,
        wall: npt.NDArray[np.float64] | None,
        rng: np.random.Generator,
    ) -> tuple[npt.NDArray[np.float64], Floats, npt.NDArray[np.float64], Floats]:
        """Linear light, cover, background and bare skin, exposed for the light on the face, never for its
        tone.
        """
        colour, irradiance = self.renderer.render(scene)
        bare = irradiance[..., 3] > 0.9
        falling = (irradiance[..., :3] @ _LUMINANCE)[bare]
        level = float(np.quantile(falling, 0.7)) if falling.size > 30 else 1.0
        gain = math.exp(rng.normal(0, 0.04)) / level
        behind = skin.linear(scenes.background(look.scene, self.size, rng)) * math.exp(
            rng.normal(-0.05, 0.08)
        )
        behind = behind if wall is None else wall
        linear = colour[..., :3] * gain + behind * (1 - colour[..., 3:4])
        return linear, colour[..., 3].copy(), behind, irradiance[..., 3].copy()
