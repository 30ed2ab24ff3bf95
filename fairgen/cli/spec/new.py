"""``fairgen spec new``: asks for a spec, one question after the other, and writes the document."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import typer

from fairgen.cli import common
from fairgen.common.text import one_line
from fairgen.errors import UserError

_NO_GROUPS = "None: no groups of people were turned into skin tones."
_REST = "the rest"
_EXACT = Fraction(1, 10**9)
"""Shares given as decimals end at 1 within this; far below what a spec tolerates."""


def new(
    out: Path | None = typer.Option(None, "-o", "--out", help="The file to write; by default NAME.yaml."),
    force: bool = typer.Option(False, "--force", help="Write over a file that is there."),
) -> None:
    """Ask for a spec on the terminal and write it as a document with comments.

    Every answer is checked at once. Answers may be piped in, one a line; then the first that cannot be used
    ends the command. Nothing is written before the last answer.
    """
    if out is not None:
        common.require_free(out, force=force)
    answers = _Answers()
    fields = _asked(answers, lambda name: out or common.require_free(Path(f"{name}.yaml"), force=force))

    from fairgen.targets import FairnessSpec, dump_spec
    from fairgen.targets.document import write_spec

    spec = FairnessSpec.model_validate(fields)
    file = out or Path(f"{spec.name}.yaml")
    write_spec(_commented(dump_spec(spec)), file)
    typer.echo(f"Written: {one_line(str(file))}")
    place = shlex.quote(str(file))
    for what, command in (
        ("Look at it", f"fairgen spec show {place}"),
        ("Use it", f'fairgen generate "a portrait of a doctor" --spec {place}'),
        ("Sign it", f'fairgen spec approve {place} --by "YOUR NAME"'),
    ):
        typer.echo(one_line(f"{what}: {command}"))


class _Answers:
    """Asks on standard error and reads answers from standard input, so that output can be redirected."""

    def __init__(self) -> None:
        self._console = common.stderr()
        self._piped = sys.stdin is None or not sys.stdin.isatty()

    def ask(self, what: str, question: str, check: Callable[[str], Any], default: str = "") -> Any:
        """The answer as ``check`` makes it; asked again while ``check`` raises UserError.

        Raises:
            UserError: the answers ended, or a piped one cannot be used.
        """
        hint = f" [{default}]" if default else ""
        while True:
            self.say(f"{question}{hint}")
            try:
                answer = input().strip() or default
            except (EOFError, RuntimeError):  # the latter where standard input is closed
                raise UserError(
                    f"The answers ended before '{what}': nothing was written. Run `fairgen spec new` on a "
                    "terminal, or pipe in one answer a line."
                ) from None
            except UnicodeDecodeError:
                raise UserError(f"The answer for '{what}' is no UTF-8 text: nothing was written.") from None
            try:
                return check(answer)
            except UserError as error:
                if self._piped:
                    raise UserError(f"{error} Nothing was written.") from None
                self._console.print(f"  {error}", markup=False, soft_wrap=True, style="red")

    def say(self, text: str) -> None:
        common.say(text, self._console)


def _asked(answers: _Answers, require_free: Callable[[str], Path]) -> dict[str, Any]:
    """The fields of a spec, each asked for and valid."""
    from fairgen.targets.sources.uniform import uniform_spec
    from skin_tone import SCALES

    fields = uniform_spec().model_dump(mode="json")
    fields.update(declared_by="", about="", why="", mapping=_NO_GROUPS, source="user")

    def field(name: str, question: str, default: str = "") -> None:
        def check(answer: str) -> str:
            _check_field(fields, name, answer)
            if name == "name":
                require_free(answer)
            return answer

        fields[name] = answers.ask(name, question, check, default)

    answers.say(
        "A fairness spec declares which skin tones a set of pictures should show. Ctrl-C writes nothing."
    )
    field("name", "Name (lower case, digits, - and _):")
    for scale in SCALES.values():
        answers.say(f"  {scale.name}: {', '.join(scale.labels.values())}")
    scale_name = answers.ask("scale", "Scale:", _one_of(*SCALES), "ita6")
    uniform = uniform_spec(scale_name).model_dump(mode="json")
    fields.update(scale=scale_name, target=uniform["target"])
    kind = answers.ask(
        "kind", "Every class alike (uniform), or shares by hand (hand)?", _one_of("uniform", "hand")
    )
    if kind == "hand":
        fields["target"] = _ask_shares(answers, SCALES[scale_name].labels)
    else:
        fields["source"] = "uniform"
    suggested = uniform if kind == "uniform" else {"about": "", "why": ""}
    field(
        "about",
        "What does the target describe: a workforce, a country, the viewers, an ideal?",
        suggested["about"],
    )
    field("why", "Why that?", suggested["why"])
    field("mapping", "How were groups of people turned into skin tones, if they were?", _NO_GROUPS)
    fields["allocation"] = answers.ask(
        "allocation",
        "Should each set have these shares (exact), or sets on average (expected)?",
        _one_of("exact", "expected"),
        "exact",
    )
    field("declared_by", "Who declares this target?")
    return fields | {"declared_on": date.today()}


def _one_of(*choices: str) -> Callable[[str], str]:
    def check(answer: str) -> str:
        found = [choice for choice in choices if answer and choice.startswith(answer.lower())]
        if len(found) != 1:
            raise UserError(f"{answer[:40]!r} is none of {', '.join(choices)}.")
        return found[0]

    return check


def _check_field(fields: Mapping[str, Any], name: str, answer: str) -> None:
    """UserError where the rules of a spec refuse this answer, whatever the other answers will be."""
    from pydantic import ValidationError

    from fairgen.targets import FairnessSpec
    from fairgen.targets.document import problems_of

    try:
        FairnessSpec.model_validate({**fields, name: answer})
    except ValidationError as error:
        for problem in problems_of(error):
            if problem.field == name:
                raise UserError(f"{problem}.") from None


def _ask_shares(answers: _Answers, labels: Mapping[str, str]) -> dict[str, float]:
    """Class -> share; together exactly 1. ``again`` starts again."""
    answers.say("Shares: 20%, 0.2 or 1/5; together they must be 1. 'again' starts the shares over.")
    while True:
        shares: dict[str, Fraction] = {}
        names = list(labels)
        for name in names:
            left = 1 - sum(shares.values(), Fraction(0))
            last = name == names[-1]
            default = _REST if last else "0" if left == 0 else ""
            question = f"  {labels[name]} ({_percent(left)} left):"
            share = answers.ask(f"share of {name}", question, partial(_share, left, last), default)
            if share is None:
                break
            shares[name] = share
        else:
            return {name: share.numerator / share.denominator for name, share in shares.items()}


_NUMBER = re.compile(r"(\d{1,9}(?:\.\d{0,15})?|\.\d{1,15})\s*(%?)|(\d{1,9})\s*/\s*(\d{1,9})")


def _share(left: Fraction, last: bool, answer: str) -> Fraction | None:
    """A share as a fraction of 1; None where the shares should start again. UserError where it cannot be."""
    if answer.lower() == "again":
        return None
    if answer == _REST:
        return left
    match = _NUMBER.fullmatch(answer)
    if match is None or (match[4] is not None and int(match[4]) == 0):
        raise UserError(f"{answer[:40]!r} is no share: write 20%, 0.2 or 1/5.")
    share = Fraction(int(match[3]), int(match[4])) if match[3] else Fraction(match[1])
    if match[2]:
        share /= 100
    if share > left + _EXACT:
        raise UserError(
            f"{_percent(share)} is more than the {_percent(left)} that are left ('again' starts over)."
        )
    if last and share < left - _EXACT:
        raise UserError(
            f"{_percent(share)} leaves {_percent(left - share)} to no class: the last one takes "
            f"{_percent(left)}, or 'again' starts over."
        )
    return min(share, left)


def _percent(share: Fraction) -> str:
    """12.5 %: at most two digits behind the point."""
    return f"{float(100 * share):.2f}".rstrip("0").rstrip(".") + " %"


def _commented(document: str) -> str:
    """The document with the schema's line on top, and above every key what it means."""
    from fairgen.common.resources import specs_dir
    from fairgen.targets import FairnessSpec

    schema = (specs_dir() / "fairgen-spec.schema.json").as_uri()
    lines = [f"# yaml-language-server: $schema={schema}"]
    for line in document.splitlines():
        key = line.partition(":")[0]
        if key in FairnessSpec.model_fields:
            description = FairnessSpec.model_fields[key].description
            lines += [f"# {description}"] if description else []
        lines.append(line)
    return "\n".join(lines) + "\n"
