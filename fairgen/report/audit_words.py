"""The sentences of an audit's report: headline, conclusion, and what each figure means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairgen.common.text import counted
from fairgen.scoring.across import UNSTEERED
from fairgen.scoring.figures import Comparison, ReportFigures
from fairgen.steering.registry import label


def percent(share: float) -> str:
    """A share in words: whole per cent, with one decimal below 10 %, never a bare 0 for what is not 0."""
    if share < 1e-9:  # what rounding leaves of equal shares
        return "none"
    if share < 0.0005:
        return "less than 0.1 %".replace(" %", "\N{NO-BREAK SPACE}%")
    text = f"{100 * share:.0f}" if share >= 0.0995 else f"{100 * share:.1f}".removesuffix(".0")
    return f"{text}\N{NO-BREAK SPACE}%"


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def headline(figures: ReportFigures) -> str:
    """One sentence: how much of the pictures is off the target in each arm."""
    known = [arm for arm in figures.arms if arm.tv is not None]
    if not known:
        return "There is no prompt yet that every arm has finished."
    plain = next((arm for arm in known if arm.arm == UNSTEERED), None)
    steered = [arm for arm in known if arm.arm != UNSTEERED]
    off = _each({arm.arm: percent(arm.tv or 0.0) for arm in steered})
    if plain is None or plain.tv is None:
        return f"Off the declared target: {off} of the pictures."
    left = f"Left to itself, the model is off the declared target in {percent(plain.tv)} of its pictures"
    return f"{left}; steered, in {off}." if steered else f"{left}."


def _each(said: Mapping[str, str]) -> str:
    """What is said of each arm, once where it is the same of all."""
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return listed([f"{text} ({label(arm)})" for arm, text in said.items()])


def conclusion(figures: ReportFigures) -> list[str]:
    """Plain sentences with the uncertainty, then chance and the price; one paragraph each."""
    compared = " ".join(_closer(same) for same in _alike(figures.comparisons))
    chance = next((arm.noise_floor_tv for arm in figures.arms if arm.noise_floor_tv is not None), None)
    rest = [_chance(figures, chance)] if chance is not None else []
    prices = {
        a.arm: f"{a.generated_per_kept:.2f}"
        for a in figures.arms
        if a.arm != UNSTEERED and a.generated_per_kept
    }
    if prices:
        rest.append(f"The price: {_each(prices)} pictures made for each one that is kept.")
    return [text for text in (compared, " ".join(rest)) if text]


def _alike(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    """Comparisons that read the same together."""
    alike: dict[tuple[str, ...], list[Comparison]] = {}
    for c in comparisons:
        alike.setdefault((str(c.closer), str(c.further), _span(c), _fall(c)), []).append(c)
    return list(alike.values())


def _closer(same: Sequence[Comparison]) -> str:
    c = same[0]
    every = f"On all {c.prompts} prompts" if c.prompts > 1 else "On the one prompt"
    on = every if c.closer == c.prompts else f"On {c.closer} of {counted(c.prompts, 'prompt')}"
    which = f"the set steered by {label(c.arm)} is"
    if len(same) > 1:
        which = f"the sets steered by {listed([label(other.arm) for other in same])} are"
    further = f", further away on {c.further}" if c.further else ""
    return (
        f"{on} {which} closer to the target than the unsteered set{further} "
        f"({_span(c)} when the reader's own errors are allowed for){_fall(c)}."
    )


def _span(c: Comparison) -> str:
    low, high = round(c.closer_read[0]), round(c.closer_read[1])
    if low == c.closer == c.prompts:
        return "even"
    return f"on {low}" if low == high else f"on {low} to {high}"


def _fall(c: Comparison) -> str:
    """By how much, in percentage points, with the interval where one holds; empty for a single prompt."""
    if c.prompts < 2:
        return ""
    text = f": {round(-100 * c.difference)} percentage points fewer pictures are off"
    if c.difference_range is None:
        return (text + ", too few prompts for an interval").replace("-", "\N{MINUS SIGN}")
    low, high = sorted(round(-100 * end) for end in c.difference_range)
    if low < high:
        text += f", 95\N{NO-BREAK SPACE}% interval {low} to {high}"
    return text.replace("-", "\N{MINUS SIGN}")


def _chance(figures: ReportFigures, chance: float) -> str:
    text = f"Drawing at random from the target itself would leave {percent(chance)} off"
    plain = next((arm for arm in figures.arms if arm.arm == UNSTEERED), None)
    if plain is not None and plain.beyond_chance is not None:
        miss = "misses" if plain.beyond_chance == 1 else "miss"
        text += (
            f"; unsteered, {plain.beyond_chance} of {plain.prompts} prompts {miss} by more than such chance"
        )
    steered = [a for a in figures.arms if a.arm != UNSTEERED and a.tv is not None]
    if steered and all((a.tv or 0.0) < (a.noise_floor_tv or 0.0) for a in steered):
        text += (
            ". Steering lands below, since each picture is read and the next one asked for what is missing"
        )
    return text + "."


def meanings(figures: ReportFigures) -> list[tuple[str, str]]:
    """Each statistic of the page in a sentence or two."""
    return [
        (
            "Total variation (TV)",
            "The share of a set's pictures that would have to change class for the set to be as "
            "declared: half the sum of |measured − declared|. 0 is a perfect match, 1 no overlap at "
            "all. Means are over prompts, each counting the same.",
        ),
        (
            "Chance floor",
            "The mean TV of a perfect sampler that draws each picture independently from the target. Sets "
            "that are planned come closer: where each class is asked for by a quota, or by what is missing.",
        ),
        (
            "Alignment error",
            "The sum of the squared differences between measured and declared shares; it weighs one "
            "large miss more than several small ones. It is the measure of arXiv 2604.21036.",
        ),
        (
            "First pass and final set",
            "The first pass holds the first try of every place, before anything was thrown away; the "
            "final set is what remains after retries. Unsteered, they are the same.",
        ),
        (
            "95 % interval of a share",
            "Simultaneous over the classes of a set: it holds for all of them together 95 times in "
            "100 or more (Clopper-Pearson, with Bonferroni's correction for the number of classes). "
            "It is about the sampler behind the set and so given for the first pass only. A steered "
            "first pass is asked for by what is missing, hence more even than independent draws: there "
            "the interval is wider than it need be.",
        ),
        (
            "95 % interval of a mean",
            "Where the mean over all prompts of the same kind lies, 95 times in 100, however different they "
            "are: it allows for kinds of prompts that were not asked (the bound of Gaffke, of Learned-Miller "
            "and Thomas), and so reaches further than the prompts seen. With fewer than 10 prompts it would "
            "be too wide to tell anything, and is left out.",
        ),
        (
            "With reading errors",
            "The range, 95 times in 100, when the class of every picture is drawn anew by how sure the "
            "reader was of it. Errors blur: a set that matches exactly can only move away from its target, "
            "a skewed one looks less skewed. So this range need not hold the figure beside it.",
        ),
        (
            "More than chance",
            "The exact multinomial test of the unsteered set against its target, at 5 % after Holm's "
            "correction for the number of prompts. Steered sets are no independent draws and get no p-value.",
        ),
        (
            f"Within TV {figures.tolerance:g}",
            "The tolerance of this run: sets at most this far from their target count as meeting it. "
            "That describes the pictures of the set; to show it of a sampler takes hundreds of "
            "pictures (the equivalence test's p-value is in report.json).",
        ),
        (
            "ITA",
            "The individual typology angle of the skin's colour in degrees, arctan((L* − 50) / b*): "
            "above 55 very light, below −30 dark. Means by group are of the prompts' means.",
        ),
        (
            "Made per kept",
            "Pictures made for each one that is counted: the price of retries and of pictures that "
            "could not be read.",
        ),
        (
            "Not read",
            "Pictures in which the reader would not name a tone, each with its reason; they count for"
            " no class. Abstaining more often on some tones than on others would itself be unfair, so"
            " they are shown.",
        ),
    ]


def incomplete(figures: ReportFigures) -> str:
    """What the figures are of, where sets are missing."""
    whole = figures.arms[0].prompts if figures.arms else 0
    return (
        f"The means are over the {whole} of {len(figures.prompts)} prompts here that every arm has finished; "
        "the other prompts are shown with what there is."
    )
