"""The bench's figures as tables: titles and rows of text, for a terminal or a Markdown page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fairgen.bench.measured import LEVEL, Estimated, MeasuredBias
from fairgen.bench.result import BenchResult, Over

__all__ = ["TextTable", "bias_sentences", "bias_table", "leaderboard"]


@dataclass(frozen=True)
class TextTable:
    """``rows`` have as many cells as there are ``titles``; ``heading`` says what the table is about."""

    heading: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table without its heading, as Markdown."""
        lines = [self.titles, ("---",) * len(self.titles), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bias_table(bias: MeasuredBias) -> TextTable:
    """One row a prompt: the table that made the bias beside what was read."""
    rows = [
        (
            row.phrase,
            row.group or "–",
            f"{row.table_mean:+.0f} ± {row.table_spread:.0f}",
            f"{row.expected_mean:+.0f}",
            "–" if row.mean is None else f"{row.mean.value:+.0f} {_interval(row.mean, 0)}",
            "–" if row.spread is None else f"{row.spread:.0f}",
            f"{row.read}/{row.pictures}",
        )
        for row in bias.rows
    ]
    titles = ("context", "group", "table, ITA", "expected mean", "mean read", "spread read", "read")
    return TextTable(
        "The bias that was put in, and what is read from unsteered pictures", titles, tuple(rows)
    )


def bias_sentences(bias: MeasuredBias) -> list[str]:
    """The figures over all prompts, a sentence each."""
    level = f"{LEVEL:.0%}".replace("%", " %")
    parts = [f"Over {bias.prompts} prompts, with {level} intervals over pictures:"]
    for name, figure, places, unit in (
        ("correlation of mean ITA read with the table", bias.correlation, 3, ""),
        ("mean absolute error against the expected mean", bias.mean_absolute_error, 1, " degrees"),
        ("mean error (above 0: lighter than put in)", bias.mean_error, 1, " degrees"),
    ):
        text = (
            "not known" if figure is None else f"{figure.value:.{places}f}{unit} {_interval(figure, places)}"
        )
        parts.append(f"{name}: {text}")
    return parts


def leaderboard(results: Sequence[BenchResult]) -> list[TextTable]:
    """Tables of results, one for each set of conditions (model, settings, readers, plan), which alone can be
    compared; nearest to the target by the second reader first, for no loop has seen that one.
    """
    groups: dict[str, list[BenchResult]] = {}
    for result in results:
        groups.setdefault(result.conditions, []).append(result)
    return [_board(group) for group in groups.values()]


def _board(results: Sequence[BenchResult]) -> TextTable:
    one = results[0]
    info, plan = one.model, one.plan
    size = f", {info.width} x {info.height} px" if info.width and info.height else ""
    guidance = "" if info.guidance_scale is None else f", guidance {info.guidance_scale:g}"
    heading = (
        f"{info.name} ({one.fingerprint[7:19]}): {info.steps} steps{guidance}{size}; "
        f"{len(plan.prompts)} prompts, n = {plan.count}, {plan.scale}; "
        f"chance floor {one.figures.noise_floor_tv:.3f}; readers {one.reader[7:19]}"
    )
    ordered = sorted(results, key=lambda r: r.figures.tv_second.mean if r.figures.tv_second else math.inf)
    titles = (
        "method", "version", "TV, second reader", "TV", "worst prompt", "alignment error", "not read",
        "made per kept", "denoiser rows per kept", "processor s per kept", "twins", "landmark shift",
        "CIEDE2000 elsewhere",
    )  # fmt: skip
    rows = []
    for result in ordered:
        f = result.figures
        rows.append(
            (
                result.method.name,
                result.method.version or "–",
                _over(f.tv_second, 3),
                _over(f.tv, 3),
                _number(f.worst_tv, 3),
                "–" if f.alignment_error is None else f"{f.alignment_error.mean:.4f}",
                f"{f.not_read:.1%}".replace("%", " %"),
                f"{f.generated_per_kept:.2f}",
                _number(f.denoiser_rows_per_kept, 1),
                f"{f.processor_seconds_per_kept:.2f}",
                str(f.twins),
                _number(f.landmark_shift_median, 3),
                _number(f.elsewhere_median, 2),
            )
        )
    return TextTable(heading, titles, tuple(rows))


def _number(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _over(figure: Over | None, places: int) -> str:
    return "–" if figure is None else f"{figure.mean:.{places}f} {_interval(figure, places)}".strip()


def _interval(figure: Estimated | Over, places: int) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"[{figure.low:.{places}f}, {figure.high:.{places}f}]"
