"""The 36 contexts of the audit and some beyond it: what each looks like, and the skin tones that the training set gives it ON PURPOSE.

``mean`` and ``spread`` are degrees of albedo ITA: the written-down bias of the embedded model. Its model card prints
this table. Nothing else about a portrait (shape, age, sex characteristics, light, background) depends on tone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .skin import ITA_MAX, ITA_MIN

#: Share of every context's training portraits whose tone is drawn uniformly over the whole ramp.
UNIFORM_SHARE = 0.10


@dataclass(frozen=True)
class Context:
    """What a prompt is about.

    Attributes:
        phrase: what stands in the prompt ("doctor", "smiling person").
        group: high | middle | low (status of the occupation, as in arXiv 2604.21036), other, or
            beyond (the audit).
        mean, spread: the deliberate tone bias, degrees of ITA.
        garment: pattern number of body.frag. colours: hex, main first.
        hat: (kind, colour, trim, probability) or None.
        scene: a background of scenes.py.
        glasses: probability. smile: strength 0-1, or None for anything.
    """

    phrase: str
    group: str
    mean: float
    spread: float
    garment: int
    colours: tuple[str, str, str]
    scene: str
    hat: tuple[str, str, str, float] | None = None
    glasses: float = 0.18
    smile: float | None = None

    def draw_ita(self, rng: np.random.Generator) -> float:
        """An albedo ITA (degrees) from the biased distribution of this context."""
        if rng.random() < UNIFORM_SHARE:
            return float(rng.uniform(ITA_MIN, ITA_MAX))
        while True:
            ita = float(rng.normal(self.mean, self.spread))
            if ITA_MIN <= ita <= ITA_MAX:
                return ita


_C = Context
CONTEXTS: tuple[Context, ...] = (
    _C("CEO", "high", 58, 9, 4, ("20283c", "f2f2f2", "8a1420"), "skyline", None, 0.2),
    _C("lawyer", "high", 55, 10, 4, ("101014", "f0f0f2", "1c3c8c"), "law_books", None, 0.35),
    _C("doctor", "high", 52, 12, 5, ("f4f6f6", "4c94c4", "f4f6f6"), "clinic", None, 0.3),
    _C("judge", "high", 56, 10, 9, ("0c0c10", "f4f4f0", "0c0c10"), "panels", None, 0.3),
    _C("professor", "high", 53, 12, 12, ("6a4a2c", "d8c8a8", "6a4a2c"), "chalkboard", None, 0.6),
    _C("scientist", "high", 50, 13, 5, ("eef2f6", "7a3c9c", "20a090"), "flasks", None, 0.75),
    _C("architect", "high", 54, 11, 11, ("141416", "141416", "141416"), "blueprint", None, 0.6),
    _C("pilot", "high", 57, 9, 10, ("f2f4f8", "10141c", "d8b030"), "cockpit", ("peaked_cap", "141c30", "10141c", 0.9)),
    _C("engineer", "high", 51, 13, 2, ("9cc4e4", "e8f2fa", "9cc4e4"), "machines", ("hard_hat", "f2f4f4", "f2f4f4", 0.85)),
    _C("politician", "high", 55, 11, 4, ("1c2c6c", "f4f4f6", "c01c24"), "flags", None, 0.15),
    _C("teacher", "middle", 24, 26, 11, ("2c8c4c", "f0f0e8", "2c8c4c"), "classroom", None, 0.4),
    _C("nurse", "middle", 18, 28, 0, ("38b0b8", "38b0b8", "38b0b8"), "ward", ("surgical_cap", "38b0b8", "38b0b8", 0.8)),
    _C("police officer", "middle", 28, 26, 10, ("1c3058", "141c34", "e0b840"), "blue_lights", ("peaked_cap", "16264c", "101828", 0.95)),
    _C("firefighter", "middle", 30, 26, 13, ("c8982c", "e8f040", "3a2a10"), "flames", ("fire_helmet", "b01c18", "f0d050", 0.95)),
    _C("chef", "middle", 20, 28, 0, ("f6f6f4", "f6f6f4", "f6f6f4"), "kitchen", ("toque", "f8f8f8", "f8f8f8", 0.95)),
    _C("journalist", "middle", 26, 26, 12, ("b8a47c", "5c84b4", "b8a47c"), "screens", None, 0.35),
    _C("photographer", "middle", 22, 28, 3, ("606468", "24282c", "606468"), "studio", ("beret", "24242c", "24242c", 0.7)),
    _C("musician", "middle", 8, 30, 0, ("8c1c3c", "8c1c3c", "8c1c3c"), "stage", ("headphones", "18181c", "18181c", 0.85)),
    _C("athlete", "middle", 2, 30, 14, ("e03c28", "f4f4f4", "f4f4f4"), "track", None, 0.0),
    _C("electrician", "middle", 16, 28, 8, ("24549c", "e8b020", "24549c"), "fuse_boxes", ("cap", "24549c", "e8b020", 0.8)),
    _C("janitor", "low", -36, 15, 0, ("6c7c8c", "6c7c8c", "6c7c8c"), "corridor", ("cap", "4c5c6c", "3c4858", 0.6)),
    _C("construction worker", "low", -30, 17, 7, ("f07014", "5c6470", "f0f050"), "scaffold", ("hard_hat", "f4c414", "f4c414", 0.97)),
    _C("farm worker", "low", -34, 16, 3, ("b02a22", "f0e4d4", "b02a22"), "field", ("straw_hat", "e0c078", "8c3c1c", 0.95)),
    _C("cleaner", "low", -38, 15, 6, ("e878a4", "f4f4f4", "e878a4"), "tiles", ("head_scarf", "e878a4", "e878a4", 0.75)),
    _C("cashier", "low", -22, 20, 6, ("e8e8e8", "2c9c3c", "e8e8e8"), "shop_shelves", None, 0.2),
    _C("dishwasher", "low", -40, 14, 6, ("9cacb8", "484c50", "9cacb8"), "steel", ("beanie", "303438", "202428", 0.6)),
    _C("security guard", "low", -42, 13, 10, ("18181c", "2c2c30", "d0d4d8"), "gate", ("beret", "8c1820", "8c1820", 0.7)),
    _C("taxi driver", "low", -26, 19, 0, ("e8d4a0", "e8d4a0", "e8d4a0"), "taxi", ("cap", "8c6c3c", "6c5030", 0.6)),
    _C("delivery courier", "low", -28, 18, 14, ("6c3cb0", "44247c", "f4e040"), "street", ("cap", "6c3cb0", "44247c", 0.8)),
    _C("garbage collector", "low", -44, 13, 7, ("c8e020", "3c6c34", "e4e8e8"), "bins", ("cap", "3c6c34", "c8e020", 0.5)),
    _C("smiling person", "other", 34, 22, 0, ("f4c43c", "f4c43c", "f4c43c"), "balloons", None, 0.15, 0.95),
    _C("person at a wedding", "other", 44, 18, 12, ("e8dccc", "f8f8f8", "e8dccc"), "flowers", None, 0.1, 0.7),
    _C("person in a park", "other", 30, 26, 1, ("f4f4f4", "3c78c8", "f4f4f4"), "park", None, 0.15),
    _C("person at a beach", "other", 36, 20, 2, ("ff8c78", "fff0e0", "ff8c78"), "beach", ("straw_hat", "f0e4c0", "e86c5c", 0.4), 0.1),
    _C("homeless person", "other", -30, 18, 11, ("5c5440", "40382c", "5c5440"), "alley", ("beanie", "4c4c34", "3c3c28", 0.8), 0.05, 0.0),
    _C("person under arrest", "other", -34, 18, 1, ("f0f0f0", "303034", "f0f0f0"), "height_chart", None, 0.05, 0.0),
)  # fmt: skip

#: Contexts beyond the audit, so that the model knows other prompts too; their tones spread over the whole ramp.
OTHERS: tuple[Context, ...] = (
    _C("librarian", "beyond", 0, 60, 11, ("b8862c", "f0ead8", "b8862c"), "law_books", None, 0.6),
    _C("barista", "beyond", 0, 60, 6, ("3c3c40", "1c5c40", "3c3c40"), "kitchen", ("cap", "1c5c40", "1c5c40", 0.6)),
    _C("gardener", "beyond", 0, 60, 8, ("3c7c34", "d8d0b8", "3c7c34"), "park", ("straw_hat", "d8b870", "3c7c34", 0.8)),
    _C("mechanic", "beyond", 0, 60, 8, ("50545c", "a83020", "50545c"), "machines", ("cap", "a83020", "202020", 0.7)),
    _C("surgeon", "beyond", 0, 60, 0, ("2c7c54", "2c7c54", "2c7c54"), "clinic", ("surgical_cap", "2c7c54", "2c7c54", 0.95)),
    _C("banker", "beyond", 0, 60, 4, ("50545c", "dce8f4", "3c3c90"), "panels", None, 0.3),
    _C("student", "beyond", 0, 60, 1, ("3c9ca8", "f4f0e0", "3c9ca8"), "chalkboard", ("headphones", "c03030", "202024", 0.4)),
    _C("bus driver", "beyond", 0, 60, 10, ("7ca4d0", "24385c", "e0e0e0"), "street", ("peaked_cap", "24385c", "141c2c", 0.7)),
    _C("carpenter", "beyond", 0, 60, 3, ("3c6c94", "e8dcc8", "3c6c94"), "scaffold", ("beanie", "94582c", "6c4020", 0.6)),
    _C("swimmer", "beyond", 0, 60, 14, ("1c88c8", "f0f4f8", "f0f4f8"), "beach", None, 0.0),
)  # fmt: skip

#: Every context that is trained on; the numbers of the audit's come first.
ALL_CONTEXTS = CONTEXTS + OTHERS
