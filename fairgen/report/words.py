"""The sentences of a report: headline, notes, and what each figure means, for a reader without statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fairgen import stats
from fairgen.quota import quota
from fairgen.report.view import Arm, Picture, Sentence, ToneClass
from fairgen.scoring.figures import Figures
from fairgen.scoring.numbers import MEETS_WITHIN

EMBEDDED_STRIP = (
    "Synthetic pictures by fairgen's small embedded demonstration model, whose bias was built in on purpose. "
    "Skin tone is what the pixels show."
)
SYNTHETIC_STRIP = "Synthetic pictures. Skin tone is what the pixels show, not race and not ethnicity."
FOUND_STRIP = (
    "Pictures that fairgen did not make. Skin tone is what the pixels show, not race and not ethnicity."
)
EMBEDDED_NOTE = (
    "The pictures come from fairgen's small embedded model, a demonstration and test model that draws "
    "rendered heads. Its bias was built in on purpose: the tones of its training pictures depend on the "
    "occupation, as a table in its model card says. "
    "What is shown here says nothing about any other model, and nothing about real people in any occupation."
)
SYNTHETIC_NOTE = (
    "Every picture is synthetic. Skin tone means what the pixels of a picture show: it is not race and not "
    "ethnicity."
)
FOUND_NOTE = (
    "These pictures were given as files, and fairgen does not know how they were chosen. Skin tone means "
    "what the pixels of a picture show: it is not race and not ethnicity."
)
TARGET_NOTE = (
    "The target is a choice that somebody declared, not a fact about the world; fairgen does not say which "
    "target is fair."
)


def reason_text(code: str | None) -> str:
    """A reason code of the reader -> words; an unknown code is shown with its underscores opened."""
    from skin_tone.abstain import REASONS

    return "" if code is None else REASONS.get(code, code.replace("_", " "))


def aside_note(share: float) -> str:
    """Why a picture that was read is in no set, by the declared share of its class."""
    return "its class was already full" if share > 0 else "no picture of its class was declared"


def about(number: float) -> str:
    """A number of pictures for people: whole, with a sign where it was rounded."""
    whole = round(number)
    return f"{whole}" if abs(number - whole) < 0.05 else f"≈ {whole}" if whole else "< 1"


def reasons(pictures: Sequence[Picture]) -> str:
    """``5 no face was found, 1 the face is blurred`` for the line above a folded group."""
    counted = Counter(p.reason for p in pictures if p.reason)
    return ", ".join(f"{reason} ({n})" for reason, n in counted.most_common())


def sure(certainty: float) -> str:
    """A probability for people; never a full 100 %, which no reader of pixels has."""
    return "> 99 %" if certainty >= 0.995 else f"{certainty:.0%}".replace("%", "\N{NO-BREAK SPACE}%")


def _off(f: Figures) -> str:
    """``about 15 of 29 pictures are``; fractions of a picture are rounded, and said to be."""
    whole = round(f.off)
    about = "" if abs(f.off - whole) < 0.05 else "about "
    if whole == 0 and about:
        return f"less than one of {f.kept} pictures is"
    return f"{about}{whole or 'none'} of {f.kept} pictures {'is' if whole == 1 else 'are'}"


def headline(arms: Sequence[Arm]) -> str:
    """One short sentence an arm: how many pictures are off the declared target."""
    parts = []
    for arm in arms:
        if arm.figures is None:
            parts.append(f"{arm.label}: no skin tone could be read.")
            continue
        off = _off(arm.figures)
        text = off[0].upper() + off[1:] if arm.key == "found" else f"{arm.label}, {off}"
        parts.append(f"{text} off{'' if parts else ' the declared target'}.")
    return " ".join(parts)


def subline(arms: Sequence[Arm], classes: Sequence[ToneClass], target: dict[str, float], prompt: str) -> str:
    """What stands out in the first arm, and how the last one compares with chance."""
    sentences = []
    first = next((a for a in arms if a.figures), None)
    if first is None:
        return "Nothing can be said about the set: see the reasons below."
    names = {c.key: c.label for c in classes}
    most = max(first.bars, key=lambda k: first.bars[k].share - target[k])
    share, declared = first.bars[most].share, target[most]
    if share - declared > 0.05:
        whom = f"The skin tone is “{names[most]}”"
        if first.key == "unsteered":
            whom = f"Asked for “{prompt}”, the model on its own drew the skin tone “{names[most]}”"
        text = f"{whom} in {share:.0%} of the pictures; {declared:.0%} were declared."
        sentences.append(text.replace("%", "\N{NO-BREAK SPACE}%"))
    last = [a for a in arms if a.figures][-1]
    if last.figures is not None:
        sentences.append(_against_chance(last.figures, target, steered=last.key == "steered"))
    return " ".join(sentences)


def _against_chance(f: Figures, target: Mapping[str, float], *, steered: bool) -> str:
    tv, floor = f.tv or 0.0, f.noise_floor_tv or 0.0
    alike = round(f.chance_off) == round(f.off) and abs(f.chance_off - f.off) >= 0.05
    chance = f"Chance alone would leave about {f.chance_off:.{1 if alike else 0}f} of {f.kept} off"
    if tv > 1e-9 and tv <= stats.total_variation(quota(target, f.kept), target) + 1e-9:
        pictures = f"{f.kept} whole pictures" if f.kept > 1 else "one picture"
        return f"{chance}; {pictures} cannot come closer to these shares than this."
    if steered and tv < floor:
        return (
            f"{chance}; steering lands below that because each picture is read and the next one is asked "
            "for what is missing."
        )
    how_far = "no" if tv <= floor else "somewhat" if tv <= 1.5 * floor else "clearly"
    return f"{chance}: this set is {how_far} further from the target than that."


def sentences(arms: Sequence[Arm]) -> tuple[Sentence, ...]:
    """The table of figures; every value next to one sentence that says what it means."""

    def row(name: str, meaning: str, value: dict[int, str]) -> Sentence:
        return Sentence(name, tuple(value.get(i, "–") for i in range(len(arms))), meaning)

    have = {i: a.figures for i, a in enumerate(arms) if a.figures is not None}
    rows = [
        row(
            "Pictures counted",
            "Pictures in the set with a skin tone that could be read; everything below is computed from "
            "these.",
            {i: str(f.kept) for i, f in have.items()},
        ),
        row(
            "Total variation (TV)",
            "The share of the pictures that would have to change class for the set to be as declared: 0 is "
            "a perfect match, 1 no overlap at all. Half the sum of |measured − declared|.",
            {i: f"{f.tv:.3f}" for i, f in have.items()},
        ),
        row(
            "Chance floor of TV",
            "The mean TV of a perfect sampler that draws each picture independently from the target. Planned "
            "sets come closer, because each class is asked for by a quota or by what is still missing.",
            {i: f"{f.noise_floor_tv:.3f}" for i, f in have.items()},
        ),
        row(
            "Alignment error",
            "The sum of the squared differences between measured and declared shares; it weighs one large "
            "miss more than several small ones.",
            {i: f"{f.alignment_error:.4f}" for i, f in have.items()},
        ),
        row(
            "FD",
            "The square root of the alignment error, on hard class counts; other papers compute it on soft "
            "scores.",
            {i: f"{f.fd:.3f}" for i, f in have.items()},
        ),
        row(
            "KL divergence",
            "How surprising the measured shares are to someone who expects the declared ones, in nats; 0 is "
            "a perfect match, ∞ a class that the target excludes.",
            {i: "∞" if f.kl is None else f"{f.kl:.3f}" for i, f in have.items()},
        ),
        row(
            "Differs from the target? (p)",
            "How often independent draws from the declared target would look at least this unlikely; a "
            "large p does not prove a match. Not "
            "given for a steered set, whose pictures were chosen by feedback and are not independent draws.",
            {i: "–" if f.p_differs is None else _p(f.p_differs) for i, f in have.items()},
        ),
        row(
            f"Meets the target within TV {MEETS_WITHIN:g}? (p)",
            "Below 0.05, the model behind these pictures is shown to lie within that distance of the "
            "target. That takes some hundred pictures even for a perfect match; a small set proves nothing. "
            "Not given for a steered set.",
            {i: "–" if f.p_meets is None else _p(f.p_meets) for i, f in have.items()},
        ),
        row(
            "TV, reading error allowed for",
            "The range, 95 times in 100, when the class of each picture is redrawn by how sure the "
            "reader was of "
            "it; errors mostly push the distance up, so a set that matches exactly can only move away.",
            {i: f"{f.tv_read[0]:.2f}–{f.tv_read[1]:.2f}" for i, f in have.items() if f.tv_read},
        ),
    ]
    if any(a.first_pass_tv is not None for a in arms):
        rows.append(
            row(
                "TV of the first pass",
                "The same distance before any picture was made again: what the first try of every place in "
                "the set showed.",
                {i: f"{a.first_pass_tv:.3f}" for i, a in enumerate(arms) if a.first_pass_tv is not None},
            )
        )
    rows += [
        row(
            "Not read",
            "Pictures in which no skin tone was read, with the reasons given above; they fill no place in "
            "the set.",
            {i: str(len(a.abstained)) for i, a in enumerate(arms)},
        ),
        row(
            "Discarded",
            "Pictures that were read but not kept, because no place was open for their class: the price of "
            "the match.",
            {i: str(len(a.discarded)) for i, a in enumerate(arms)},
        ),
    ]
    return tuple(rows)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
