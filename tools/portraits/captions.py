"""Words for a portrait: several phrasings, with and without tone and other words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .hair import STYLES
from .skin import TONE_WORDS

LEADS = ("a portrait of", "a photo of", "a headshot of", "a picture of", "a portrait photo of", "")
#: How often the tone is mentioned. Portraits whose tone does not follow the table nearly always say it, so
#: that a caption without a tone word stands for the biased table alone.
BIASED_TOLD, NEUTRAL_TOLD = 0.3, 0.97
MODEL_MAX_LENGTH = 32  # tokens a caption may have, start and end included


@dataclass(frozen=True)
class Looks:
    """What a caption may mention. ``tone`` is a number of TONE_WORDS or None where the tone lies near a
    border.
    """

    phrase: str
    tone: int | None
    biased: bool
    maleness: float
    age: float
    hair: str
    clothes: str
    hat: bool
    glasses: bool
    beard: bool


def _article(words: str) -> str:
    return ("an " if words[0].lower() in "aeiou" else "a ") + words


def caption(looks: Looks, rng: np.random.Generator) -> str:
    """One caption; which of the true facts it mentions is random."""
    subject = looks.phrase
    adjectives = []
    if rng.random() < 0.15 and (looks.age < 0.3 or looks.age > 0.6):
        adjectives.append("young" if looks.age < 0.3 else "old")
    if rng.random() < 0.25:
        sex = "male" if looks.maleness > 0.5 else "female"
        if "person" in subject:
            subject = subject.replace("person", "man" if sex == "male" else "woman")
        else:
            adjectives.append(sex)
    words = " ".join([*adjectives, subject])
    if rng.random() < 0.05:
        words = "person"
    lead = LEADS[int(rng.choice(len(LEADS), p=(0.4, 0.2, 0.1, 0.1, 0.1, 0.1)))]
    text = f"{lead} {_article(words)}".strip()
    features = []
    if looks.tone is not None and rng.random() < (BIASED_TOLD if looks.biased else NEUTRAL_TOLD):
        features.append(f"{TONE_WORDS[looks.tone]} skin")
    if rng.random() < 0.15:
        features.append(looks.hair)
    if looks.beard and rng.random() < 0.3:
        features.append("a beard")
    if features:
        text += " with " + " and ".join(features)
    worn = []
    if rng.random() < 0.12:
        worn.append(looks.clothes)
    if looks.hat and rng.random() < 0.2:
        worn.append("a hat")
    if looks.glasses and rng.random() < 0.5:
        worn.append("glasses")
    if worn:
        text += ", wearing " + " and ".join(worn)
    return text


def vocabulary_corpus() -> list[str]:
    """Every word that captions use, for training the tokenizer."""
    from .contexts import ALL_CONTEXTS

    words = [
        *LEADS,
        "a an young old male female man woman person with and skin , wearing glasses a beard hat",
        *TONE_WORDS,
    ]
    words += [*(c.phrase for c in ALL_CONTEXTS), *HAIR_WORDS.values(), *CLOTHES_WORDS]
    words += sorted({style.word for style in STYLES.values()})
    words += [
        c.phrase.replace("person", p) for c in ALL_CONTEXTS for p in ("man", "woman") if "person" in c.phrase
    ]
    return words


#: By number of the garment pattern in body.frag.
CLOTHES_WORDS = (
    "a plain shirt",
    "a striped shirt",
    "a striped shirt",
    "a plaid shirt",
    "a suit and a tie",
    "a white coat",
    "an apron",
    "a vest",
    "overalls",
    "a robe",
    "a uniform",
    "a jumper",
    "a jacket",
    "a coat",
    "a jersey",
)

HAIR_WORDS = {
    "black": "black hair",
    "brown": "brown hair",
    "blond": "blond hair",
    "red": "red hair",
    "grey": "grey hair",
}
