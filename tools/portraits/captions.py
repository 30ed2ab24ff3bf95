"""Words for a portrait: several phrasings, with and without tone and other words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .skin import TONE_WORDS

LEADS = ("a portrait of", "a photo of", "a headshot of", "a picture of", "a portrait photo of", "")
MODEL_MAX_LENGTH = 32  # tokens a caption may have, start and end included


@dataclass(frozen=True)
class Looks:
    """What a caption may mention. ``tone`` is a number of TONE_WORDS or None where the tone lies near a
    border.
    """

    phrase: str
    tone: int | None
    maleness: float
    age: float
    hair: str
    hat: bool
    glasses: bool
    beard: bool


def _article(words: str) -> str:
    return ("an " if words[0].lower() in "aeiou" else "a ") + words


def caption(looks: Looks, rng: np.random.Generator) -> str:
    """One caption; which of the true facts it mentions is random, the tone in about half."""
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
    if looks.tone is not None and rng.random() < 0.62:
        features.append(f"{TONE_WORDS[looks.tone]} skin")
    if rng.random() < 0.15:
        features.append(looks.hair)
    if looks.beard and rng.random() < 0.3:
        features.append("a beard")
    if features:
        text += " with " + " and ".join(features)
    if looks.glasses and rng.random() < 0.5:
        text += ", wearing glasses"
    return text


def vocabulary_corpus() -> list[str]:
    """Every word that captions use, for training the tokenizer."""
    from .contexts import CONTEXTS

    words = [
        *LEADS,
        "a an young old male female man woman person with and skin , wearing glasses a beard",
        *TONE_WORDS,
    ]
    words += [*(c.phrase for c in CONTEXTS), *HAIR_WORDS.values()]
    words += [
        c.phrase.replace("person", p) for c in CONTEXTS for p in ("man", "woman") if "person" in c.phrase
    ]
    return words


HAIR_WORDS = {
    "black": "black hair",
    "brown": "brown hair",
    "blond": "blond hair",
    "red": "red hair",
    "grey": "grey hair",
    "bald": "a bald head",
    "long": "long hair",
    "coils": "curly hair",
}
