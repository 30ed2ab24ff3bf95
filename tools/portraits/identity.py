"""Whose head: shape, age, sex characteristics and expression, all drawn independently of skin tone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .heads import EYE_LEFT, EYE_RIGHT, Floats, Heads

_SHAPES = ("african", "asian", "caucasian")  # names of the mesh targets; blended freely, never tied to tone
_OPPOSITES = (
    ("-incr", "-decr"),
    ("-up", "-down"),
    ("-in", "-out"),
    ("-forward", "-backward"),
    ("-convex", "-concave"),
)
_DETAIL_FOLDERS = {"cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose"}
#: Where the whole range of a target soon looks like a caricature.
_CALM = ("chin/", "eyes/", "head/", "mouth/", "neck/")
_TOO_STRONG = ("head-age", "head-fat", "head-trans", "mouth-trans", "nose-trans", "neck-trans", "neck-back")


@dataclass(frozen=True)
class Identity:
    """A head in neutral pose. ``maleness`` and ``age`` run 0-1 (age: 0 about 20 years, 1 about 75)."""

    positions: Floats
    maleness: float
    age: float


class IdentitySampler:
    """Draws heads from the mesh's shape targets."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self._details: dict[str, list[tuple[str, str]]] = {}
        for name in heads.targets:
            folder, _, leaf = name.partition("/")
            other = next((name[: -len(a)] + b for a, b in _OPPOSITES if name.endswith(a)), None)
            if (
                folder not in _DETAIL_FOLDERS
                or other not in heads.targets
                or any(k in name for k in _TOO_STRONG)
            ):
                continue
            sided = leaf[:2] in ("l-", "r-")
            key = f"{folder}/{leaf[2:]}" if sided else name
            self._details.setdefault(key, []).append((name, other))

    def draw(
        self, rng: np.random.Generator, *, maleness: float, age: float, smile: float, closed: float = 0.0
    ) -> Identity:
        """One head; ``smile`` and ``closed`` (eyelids) run 0-1."""
        positions = self.heads.rest.copy()
        targets = self.heads.targets
        shape = rng.dirichlet([0.8, 0.8, 0.8])
        muscle, weight = rng.uniform(0.2, 0.8), rng.beta(2.4, 2.6)

        def thirds(x: float) -> dict[str, float]:
            return {"min": max(0.0, 1 - 2 * x), "average": 1 - abs(2 * x - 1), "max": max(0.0, 2 * x - 1)}

        for sex, sex_w in (("female", 1 - maleness), ("male", maleness)):
            for years, years_w in (("young", 1 - age), ("old", age)):
                for name, w in zip(_SHAPES, shape, strict=True):
                    if (t := targets.get(f"macrodetails/{name}-{sex}-{years}")) is not None:
                        positions += t * np.float32(sex_w * years_w * w)
                for m, m_w in thirds(muscle).items():
                    for k, k_w in thirds(weight).items():
                        t = targets.get(f"macrodetails/universal-{sex}-{years}-{m}muscle-{k}weight")
                        if t is not None and m_w * k_w > 0:
                            positions += t * np.float32(sex_w * years_w * m_w * k_w)
        keys = sorted(self._details)
        for k in rng.choice(len(keys), 20, replace=False):
            strength = rng.normal(0, 0.2 if keys[k].startswith(_CALM) else 0.32)
            sides = rng.normal(0, 0.04, 2)
            for j, (plus, minus) in enumerate(self._details[keys[k]]):
                w = float(np.clip(strength + sides[min(j, 1)], -0.7, 0.7))
                positions += targets[plus if w > 0 else minus] * np.float32(abs(w))
        # The base mesh has narrow eyes and a wrestler's neck.
        wide = float(np.clip(rng.normal(0.3, 0.15), 0, 0.7))
        for name, w in (
            ("eyes/l-eye-scale-incr", wide),
            ("eyes/r-eye-scale-incr", wide),
            ("neck/neck-scale-horiz-decr", rng.uniform(0.1, 0.5) + 0.3 * (1 - maleness)),
        ):
            positions += targets[name] * np.float32(w)
        units = f"expression/units/{_SHAPES[int(np.argmax(shape))]}/"

        def express(unit: str, w: float) -> None:
            if (t := targets.get(units + unit)) is not None:
                np.add(positions, t * np.float32(w), out=positions)

        express("mouth-corner-puller", smile)
        if smile > 0.5:
            express("mouth-part-later", 0.5 * (smile - 0.4))
        brows, opened = rng.uniform(-0.1, 0.35), rng.uniform(-0.05, 0.3)
        for side in ("left", "right"):
            express(f"eyebrows-{side}-{'up' if brows > 0 else 'down'}", abs(brows))
            express(f"eye-{side}-closure", closed)
            express(f"eye-{side}-opened-up", max(0.0, opened - 0.1 * smile) * (1 - closed))
        return Identity(positions, maleness, age)


def eye_centres(heads: Heads, positions: Floats) -> tuple[Floats, Floats]:
    """Centres of the left and the right eyeball."""
    left, right = (positions[heads.part_vertices(p)].mean(0) for p in (EYE_LEFT, EYE_RIGHT))
    return left, right
