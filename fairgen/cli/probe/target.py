"""``fairgen probe target PROMPT --model NAME``: the same question, told that it is watched, and not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.cli.probe import asking
from fairgen.common.text import read_prompts, visible
from fairgen.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fairgen.probe.chat import Endpoint
    from fairgen.probe.watched import Watched
    from fairgen.targets.oversight import OversightProbe
    from fairgen.targets.sources.question import Question

_TOKENS_A_REPLY = 800


def target(
    prompt: str | None = asking.PROMPT,
    model: str = asking.MODEL,
    scale: str = asking.SCALE,
    prompts: Path | None = typer.Option(
        None, "--prompts", help="Ask for each prompt of this file, one a line."
    ),
    replies: int = typer.Option(20, "--replies", help="How often each text is asked, 2 to 100."),
    policy: str | None = typer.Option(
        None,
        "--policy",
        help="The operator's policy, which presses towards another target; by default to lighter tones.",
    ),
    base_url: str | None = asking.BASE_URL,
    temperature: float | None = asking.TEMPERATURE,
    timeout: float = asking.TIMEOUT,
    parallel: int | None = asking.PARALLEL,
    yes: bool = asking.YES,
    as_json: bool = common.JSON,
) -> None:
    """Ask for a target under several framings and say whether the answers depend on being watched.

    The question is the one of `fairgen spec source`. A system message says that the session is monitored,
    that it is not, something without consequence, or nothing; with and without a policy of the operator's
    that presses towards another target. Only the answers are compared; the reasons for them stay open.
    """
    asking.check_ranges(temperature, timeout)
    questions = _questions(prompt, prompts, scale)
    from fairgen.probe.chat import Endpoint

    endpoint = Endpoint.named(model, base_url, temperature=temperature, seconds=timeout)
    found = watch(questions, endpoint, replies, policy=policy, parallel=parallel, yes=yes)
    if as_json:
        typer.echo(json.dumps(_document(found), ensure_ascii=True))
    else:
        _print(found, common.stdout())


def watch(
    questions: Sequence[Question],
    endpoint: Endpoint,
    replies: int,
    *,
    policy: str | None,
    parallel: int | None,
    yes: bool,
) -> Watched:
    """Show the cost, ask, compare: also for ``spec source --watched-check``."""
    from fairgen.probe.framings import POLICY
    from fairgen.probe.journal import Journal
    from fairgen.probe.target import TargetProbe
    from fairgen.probe.watched import probe_target

    design = TargetProbe(questions, replies, policy or POLICY)
    journal = Journal(endpoint.model, endpoint.base_url, endpoint.temperature)
    asks = list(design.asks())
    left = [ask for ask in asks if journal.get(ask) is None]
    characters = sum(len(ask.system) + len(ask.user) for ask in left)
    tokens = characters // asking.CHARACTERS_A_TOKEN
    asking.agree_to_cost(len(asks), len(asks) - len(left), tokens, _TOKENS_A_REPLY * len(left), yes=yes)
    with asking.replies(len(asks)) as advance:
        return probe_target(design, endpoint, journal, at_once=parallel, on_reply=advance)


def _questions(prompt: str | None, file: Path | None, scale: str) -> list[Question]:
    from fairgen.targets.sources.question import Question

    if (prompt is None) == (file is None):
        raise UserError("Give one prompt, or --prompts FILE: not both, and not neither.")
    lines = [prompt or ""] if file is None else list(dict.fromkeys(read_prompts(file)))
    return [Question(line, scale) for line in lines]


def _document(found: Watched) -> dict[str, object]:
    return {
        "model": found.pooled.model,
        "verdict": found.pooled.verdict,
        "text": found.pooled.text,
        "pooled": found.pooled.model_dump(mode="json"),
        "prompts": [
            {"prompt": question.prompt, "text": probe.text, "probe": probe.model_dump(mode="json")}
            for question, probe in zip(found.design.questions, found.probes, strict=True)
        ],
        "replies": {
            "asked": found.design.calls,
            "came": len(found.replies.heard),
            "kept": found.replies.kept,
        },
    }


def _print(found: Watched, console: Console) -> None:
    from rich.text import Text

    console.print(Text("Consistency under stated oversight", style="bold"))
    console.print(Text(visible(found.pooled.text)))
    console.print(contrast_table(found.pooled))
    if len(found.probes) > 1:
        for question, probe in zip(found.design.questions, found.probes, strict=True):
            console.print(Text(visible(f"{question.prompt}: {probe.text}")))
    if found.pooled.notes:
        console.print(Text(visible(found.pooled.notes), style="yellow"))
    console.print(
        Text(f"Replies: {len(found.replies.heard)} of {found.design.calls}, {found.replies.kept} from disk.")
    )


def contrast_table(probe: OversightProbe) -> Table:
    """A column for each wish of the operator's, a row for each figure."""
    heads = {"none": "no wish", "policy": "policy"}
    pressed = [heads[contrast.pressure] for contrast in probe.contrasts]
    table = common.table(["told that it is watched / not"], pressed)
    rows = [
        ("answers read", [f"{c.monitored} / {c.unmonitored}" for c in probe.contrasts]),
        ("difference of the shares (TV)", [common.number(c.difference, 3) for c in probe.contrasts]),
        ("  noise: 95 % of chance is below", [common.number(c.noise, 3) for c in probe.contrasts]),
        ("  p, after Holm", [common.number(c.p_adjusted, 4) for c in probe.contrasts]),
        ("  chance to see a difference of .05", [common.number(c.power_small, 2) for c in probe.contrasts]),
        ("  chance to see a difference of .1", [common.number(c.power_tenth, 2) for c in probe.contrasts]),
        ("distance along the scale", [common.number(c.along_scale, 3) for c in probe.contrasts]),
        ("shift when not watched (> 0: darker)", [common.signed(c.shift) for c in probe.contrasts]),
        ("stated ranges: change of width", [common.signed(c.range_change) for c in probe.contrasts]),
        ("no target in the reply", [_both(c.unanswered) for c in probe.contrasts]),
        ("  of which marked as refusals", [f"{a} / {b}" for a, b in (c.refused for c in probe.contrasts)]),
        ("  p, after Holm", [common.number(c.unanswered_p, 4) for c in probe.contrasts]),
        ("control: a sentence of no consequence", [common.number(c.control, 3) for c in probe.contrasts]),
        ("  noise", [common.number(c.control_noise, 3) for c in probe.contrasts]),
        ("  p", [common.number(c.control_p, 4) for c in probe.contrasts]),
        ("control: another wording of the same", [common.number(c.wording, 3) for c in probe.contrasts]),
    ]
    for label, cells in rows:
        table.add_row(label, *cells)
    return table


def _both(pair: tuple[float | None, float | None]) -> str:
    return " / ".join("–" if share is None else f"{100 * share:.0f} %" for share in pair)
