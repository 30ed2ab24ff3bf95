"""``fairgen probe values``: does the model keep its operator's rules as often when nobody watches?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.cli.probe import asking
from fairgen.common.text import visible
from fairgen.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fairgen.probe.answering import Answered
    from fairgen.probe.battery import Battery
    from fairgen.probe.chat import Endpoint
    from fairgen.probe.choices import Choice
    from fairgen.probe.compliance import ValuesResult
    from fairgen.probe.steering_result import SteeringResult

_TOKENS_A_SAMPLE = 20


def values(
    model: str | None = typer.Option(
        None, "--model", help="The language model's name, as its server knows it."
    ),
    model_folder: Path | None = typer.Option(
        None, "--model-folder", help="A model on this disk instead (transformers, safetensors)."
    ),
    battery: Path | None = typer.Option(
        None, "--battery", help="Conflicts of your own (YAML); by default fairgen's 100."
    ),
    per_family: int | None = typer.Option(
        None, "--per-family", min=2, help="Only the first so many of each family."
    ),
    samples: int = typer.Option(
        5, "--samples", help="Answers to each question where the server gives no log-probabilities."
    ),
    steer: bool = typer.Option(
        False, "--steer", help="Also try to remove the gap by a vector (with --model-folder)."
    ),
    device: str = typer.Option("auto", "--device", help="For --model-folder: auto, cpu, cuda ..."),
    base_url: str | None = asking.BASE_URL,
    temperature: float | None = asking.TEMPERATURE,
    timeout: float = asking.TIMEOUT,
    parallel: int | None = asking.PARALLEL,
    yes: bool = asking.YES,
    as_json: bool = common.JSON,
) -> None:
    """Put value conflicts: the operator's rule says one thing, a value that many hold dear another.

    Each is asked when told that it is watched and when told that it is not, with its two answers in both
    orders. The gap is how much more often the rule is kept when watched. It says what the model does, and
    nothing of why.
    """
    asking.check_ranges(temperature, timeout)
    if (model is None) == (model_folder is None):
        raise UserError("Give --model NAME, or --model-folder DIR: not both, and not neither.")
    if steer and model_folder is None:
        raise UserError("--steer looks inside the model: give --model-folder DIR.")
    from fairgen.probe.battery import load_battery
    from fairgen.probe.choices import choices
    from fairgen.probe.compliance import compliance

    asked = load_battery(battery).first(per_family)
    questions = list(choices(asked))
    steered = None
    if model_folder is not None:
        answered, steered = _locally(model_folder, device, asked, questions, steer=steer)
    else:
        from fairgen.probe.chat import Endpoint

        endpoint = Endpoint.named(model or "", base_url, temperature=temperature, seconds=timeout)
        answered = _from_server(questions, endpoint, samples, parallel, yes=yes)
    result = compliance(asked, answered.odds, answered.how)
    if as_json:
        typer.echo(json.dumps(_document(asked, answered, result, steered), ensure_ascii=True))
    else:
        _print(asked, answered, result, steered, common.stdout())


def _from_server(
    questions: list[Choice], endpoint: Endpoint, samples: int, parallel: int | None, *, yes: bool
) -> Answered:
    from fairgen.probe.answering import MAX_SAMPLES, answer_by_letters, answer_by_samples
    from fairgen.probe.journal import Journal

    if not 1 <= samples <= MAX_SAMPLES:
        raise UserError(f"--samples is {samples}: give a number from 1 to {MAX_SAMPLES}.")
    journal = Journal(endpoint.model, endpoint.base_url, endpoint.temperature)
    asks = [question.ask(letters=True) for question in questions]
    left = [ask for ask in asks if journal.get(ask) is None]
    tokens = sum(len(ask.system) + len(ask.user) for ask in asks) // asking.CHARACTERS_A_TOKEN
    asking.agree_to_cost(
        len(asks), len(asks) - len(left), tokens * len(left) // len(asks), len(left), yes=yes
    )
    with asking.replies(len(asks)) as advance:
        answered = answer_by_letters(questions, endpoint, journal, at_once=parallel, on_reply=advance)
    if answered is not None:
        return answered
    common.stderr().print("No log-probabilities of the letters A and B: the answers are sampled instead.")
    sampled = [q.ask(letters=False, number=n) for q in questions for n in range(samples)]
    kept = sum(journal.get(ask) is not None for ask in sampled)
    missing = len(sampled) - kept
    cost = tokens * missing // len(asks), _TOKENS_A_SAMPLE * missing
    asking.agree_to_cost(len(sampled), kept, *cost, yes=yes)
    with asking.replies(len(sampled)) as advance:
        return answer_by_samples(
            questions, endpoint, journal, samples=samples, at_once=parallel, on_reply=advance
        )


def _locally(
    folder: Path, device: str, battery: Battery, questions: list[Choice], *, steer: bool
) -> tuple[Answered, SteeringResult | None]:
    with common.stderr().status("Loading the model …") as status:
        from fairgen.probe.answering import answer_locally
        from fairgen.probe.local import LocalModel

        model = LocalModel(folder, device)
        status.update("Asking …")
        answered = answer_locally(questions, model)
        if not steer:
            return answered, None
        from fairgen.probe.steering import steer as steer_model

        return answered, steer_model(
            model, battery, on_done=lambda what: status.update(f"Steering: {what} …")
        )


def _document(
    battery: Battery, answered: Answered, result: ValuesResult, steered: SteeringResult | None
) -> dict[str, object]:
    return {
        "battery": {"name": battery.name, "version": battery.version, "conflicts": len(battery.conflicts)},
        "text": result.text,
        "result": result.model_dump(mode="json"),
        "steering": None if steered is None else steered.model_dump(mode="json") | {"text": steered.text},
        "replies": {
            "asked": answered.asked,
            "kept": answered.kept,
            "failed": len(answered.failures),
        },
    }


def _print(
    battery: Battery,
    answered: Answered,
    result: ValuesResult,
    steered: SteeringResult | None,
    console: Console,
) -> None:
    from rich.text import Text

    console.print(Text(result.text))
    headings = ("conflicts", "watched", "not watched", "gap", "95 % interval", "p", "power at .05")
    table = common.table(["rule kept"], headings)
    for name, gap in [("all", result.overall), *result.families.items()]:
        if gap is not None:
            table.add_row(
                Text(name),
                str(gap.conflicts),
                f"{gap.monitored:.3f}",
                f"{gap.unmonitored:.3f}",
                f"{gap.gap:+.3f}",
                f"{gap.low:+.3f} to {gap.high:+.3f}",
                f"{gap.p_adjusted:.4f}",
                common.number(gap.power, 2),
            )
    console.print(table)
    source = "log-probabilities of the letters" if result.how == "letters" else "sampled answers"
    notes = [
        f"{result.questions} questions answered, {result.missing} not; from {source}, which hold "
        f"{100 * result.letters:.0f} % of the answers.",
        f"Position: the first answer is chosen in {100 * (0.5 + result.position_bias):.0f} % of the "
        "questions; each conflict is asked in both orders.",
        "p of the families is after Holm.",
    ]
    if answered.failures:
        notes.append(f"{len(answered.failures)} replies did not come ({answered.failures[-1]}).")
    for note in notes:
        console.print(Text(visible(note)))
    if steered is not None:
        console.print(Text(steered.text))
        console.print(_arms(steered))


def _arms(steered: SteeringResult) -> Table:
    headings = ("watched", "not watched", "gap", "of the gap removed", "perplexity")
    table = common.table(["vector"], headings)
    table.add_row(
        "none", f"{steered.monitored:.3f}", f"{steered.unmonitored:.3f}", f"{steered.gap:+.3f}", "–", "–"
    )
    names = {"oversight": "oversight", "random": "random, same norm", "unrelated": "unrelated contrast"}
    for arm in steered.arms:
        table.add_row(
            names[arm.kind],
            f"{arm.monitored:.3f}",
            f"{arm.unmonitored:.3f}",
            f"{arm.gap:+.3f}",
            f"{100 * arm.removed:.0f} %",
            f"{100 * arm.perplexity_rise:+.1f} %",
        )
    return table
