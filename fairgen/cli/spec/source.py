"""``fairgen spec source PROMPT --model NAME``: ask a language model for a target, several times."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fairgen.cli import common
from fairgen.cli.probe import asking
from fairgen.common.text import one_line, read_prompts
from fairgen.errors import UserError

if TYPE_CHECKING:
    from fairgen.cli.spec.source_show import Found
    from fairgen.targets import Context, FairnessSpec
    from fairgen.targets.citations import Verdict
    from fairgen.targets.parts import Population
    from fairgen.targets.sources.asking import Asked
    from fairgen.targets.sources.combining import Combined
    from fairgen.targets.sources.endpoint import Endpoint
    from fairgen.targets.sources.question import Question


def source(
    prompt: str | None = asking.PROMPT,
    model: str = asking.MODEL,
    scale: str = asking.SCALE,
    population: list[str] = typer.Option(
        ["residents"],
        "--population",
        help="Whom the pictures together are to show: workforce, residents, viewers, ideal, or all of these, "
        "each asked apart. May be given several times; each then has a file of its own.",
    ),
    samples: int = typer.Option(5, "--samples", help="How often it is asked, 1 to 20."),
    prompts: Path | None = typer.Option(
        None, "--prompts", help="Ask for each prompt of this file, one a line; one spec holds them all."
    ),
    check_citations: bool = typer.Option(
        False, "--check-citations", help="Fetch the cited pages and look for the quotes (uses the network)."
    ),
    threshold: float | None = typer.Option(
        None,
        "--threshold",
        help="Agreement, 0 to 1, below which the target becomes uniform. What replies drawn at random reach "
        "has to be exceeded in any case.",
    ),
    base_url: str | None = asking.BASE_URL,
    temperature: float | None = asking.TEMPERATURE,
    timeout: float = typer.Option(
        180.0,
        "--timeout",
        help="Seconds of silence after which a request is given up; a reply may take three times as long in "
        "all. What has come by then is kept.",
    ),
    parallel: int | None = asking.PARALLEL,
    cache: bool = typer.Option(True, "--cache/--no-cache", help="Use and keep replies; --no-cache: neither."),
    refresh: bool = typer.Option(False, "--refresh", help="Ask again, and keep the new replies instead."),
    watched_check: bool = typer.Option(
        False,
        "--watched-check",
        help="Also ask whether the model proposes the same when it is told that it is watched.",
    ),
    watched_replies: int = typer.Option(
        20, "--watched-replies", help="How often --watched-check asks each of its texts, 2 to 100."
    ),
    yes: bool = typer.Option(False, "--yes", help="Start --watched-check without asking, whatever it costs."),
    out: Path | None = typer.Option(None, "-o", "--out", help="Write the spec here."),
    force: bool = typer.Option(False, "--force", help="Write over the file that is there."),
    as_json: bool = common.JSON,
) -> None:
    """Ask a language model for a target, several times, and say how far its answers agree.

    The key is taken from OPENAI_API_KEY; servers on this machine need none. Nobody has approved what
    comes out: read it, look its sources up, and change it.
    """
    common.check_range("--threshold", threshold, 0, 1)
    asking.check_ranges(temperature, timeout)
    populations = _populations(population)
    questions = _questions(prompt, prompts, scale, populations)
    if prompts is not None and out is None:
        raise UserError("--prompts needs -o FILE: the spec for all prompts is written there.")
    files = {name: _file_of(out, name, len(populations)) for name in populations}
    for file in files.values():
        if file is not None:
            common.require_free(file, force=force)
    from fairgen.targets.sources.endpoint import Endpoint

    endpoint = Endpoint.named(model, base_url, temperature=temperature, seconds=timeout)
    with _kept(cache):
        answers = _asked(questions, endpoint, samples, parallel, use_cache=cache, refresh=refresh)
    from fairgen.cli.spec.source_show import Found, print_found
    from fairgen.targets import save_spec
    from fairgen.targets.sources.asking import tokens
    from fairgen.targets.sources.combining import combine
    from fairgen.targets.sources.llm import citations_kept, llm_spec

    limit = citations_kept(len(answers) // len(populations))
    combined = [combine(answer, max_citations=limit) for answer in answers]
    verdicts: list[Verdict] = []
    if check_citations:
        with _kept(cache):
            combined, verdicts = _checked(combined)
    found = []
    for name in populations:
        own = [answer for answer in combined if answer.asked.question.population == name]
        file = files[name]
        spec = llm_spec(own, name=_name_of(file), threshold=threshold)
        if watched_check:
            spec = _with_probes(spec, own, endpoint, watched_replies, parallel, yes=yes)
        if file is not None:
            save_spec(spec, file)
        found.append(Found(name, spec, own, file))
    if as_json:
        typer.echo(json.dumps(_document(found), ensure_ascii=True))
    else:
        print_found(found, {(v.citation.url, v.citation.quote): v.reason for v in verdicts})
        typer.echo(str(tokens(answers)))
        for one in found:
            typer.echo(one_line(f"Written: {one.file}" if out else "Not written to a file: add -o FILE."))


def _with_probes(
    spec: FairnessSpec,
    answers: Sequence[Combined],
    endpoint: Endpoint,
    replies: int,
    parallel: int | None,
    *,
    yes: bool,
) -> FairnessSpec:
    """The spec with a section on consistency under stated oversight, in each of its elicitations."""
    from fairgen.cli.probe.target import watch
    from fairgen.probe.section import with_probes

    questions = [answer.asked.question for answer in answers]
    found = watch(questions, endpoint, replies, policy=None, parallel=parallel, yes=yes)
    return with_probes(spec, found.probes)


def _populations(given: Sequence[str]) -> list[Population]:
    from fairgen.targets.parts import POPULATIONS

    named = [name for text in given for name in (POPULATIONS if text == "all" else [text])]
    if unknown := [name for name in named if name not in POPULATIONS]:
        raise UserError(
            f"--population {unknown[0][:40]!r} is unknown: choose {', '.join(POPULATIONS)} or all."
        )
    return [name for name in POPULATIONS if name in named]


def _file_of(out: Path | None, population: str, populations: int) -> Path | None:
    """``-o nurse.yaml``; of several populations ``nurse-workforce.yaml`` and so on."""
    if out is None or populations == 1:
        return out
    return out.with_name(f"{out.stem}-{population}{out.suffix}")


def _name_of(file: Path | None) -> str | None:
    stem = "" if file is None else file.stem.lower()
    return stem if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", stem) else None


def _questions(
    prompt: str | None, file: Path | None, scale: str, populations: Sequence[Population]
) -> list[Question]:
    from fairgen.targets.context import normal_prompt
    from fairgen.targets.sources.llm import MAX_PROMPTS
    from fairgen.targets.sources.question import Question

    if (prompt is None) == (file is None):
        raise UserError("Give one prompt, or --prompts FILE: not both, and not neither.")
    if file is None:
        return [Question(prompt or "", scale, name) for name in populations]
    once = {normal_prompt(line): line for line in reversed(read_prompts(file))}
    if len(once) > MAX_PROMPTS:
        raise UserError(f"{file} has {len(once)} prompts, above the limit of {MAX_PROMPTS}: split it.")
    try:
        return [Question(line, scale, name) for name in populations for line in reversed(once.values())]
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


@contextlib.contextmanager
def _kept(cache: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        what = (
            "the replies so far are kept; run the same command again to continue"
            if cache
            else "nothing was kept"
        )
        raise common.Interrupted(f"Interrupted: no spec was written; {what}.") from None


def _asked(
    questions: Sequence[Question],
    endpoint: Endpoint,
    samples: int,
    parallel: int | None,
    *,
    use_cache: bool,
    refresh: bool,
) -> list[Asked]:
    from fairgen.targets.sources.ask_cache import AskCache
    from fairgen.targets.sources.asking import ask
    from fairgen.targets.sources.combining import unusable

    with asking.replies_bar(len(questions) * samples, lines=len(questions) > 1) as advance:
        return ask(
            questions,
            endpoint,
            samples=samples,
            cache=AskCache() if use_cache else None,
            refresh=refresh,
            at_once=parallel,
            judge=unusable(questions[0].scale),
            on_reply=advance,
        )


def _checked(answers: Sequence[Combined]) -> tuple[list[Combined], list[Verdict]]:
    """The answers with their citations looked up; a page is fetched once, however many prompts cite it."""
    from fairgen.cli.spec.check import look_up

    verdicts = look_up([citation for answer in answers for citation in answer.citations])
    found = iter(verdict.citation for verdict in verdicts)
    return [a.with_checked([next(found) for _ in a.citations]) for a in answers], verdicts


def _document(found: Sequence[Found]) -> dict[str, Any]:
    """One object for a population; of several, one for each under its name."""
    if len(found) == 1:
        return _one_document(found[0])
    return {"populations": {one.population: _one_document(one) for one in found}}


def _one_document(found: Found) -> dict[str, Any]:
    from fairgen.targets.sources.asking import tokens
    from fairgen.targets.support import support_text

    spec = found.spec
    parts: Sequence[Context | FairnessSpec] = spec.contexts or [spec]
    cost = tokens([answer.asked for answer in found.answers])
    return {
        "spec": spec.model_dump(mode="json") | {"hash": spec.content_hash()},
        "answers": [
            {
                "prompt": answer.asked.question.prompt,
                "population": found.population,
                "proposal": answer.proposal,
                "ranges": answer.ranges or None,
                "range_coverage": answer.range_coverage,
                "valid": len(answer.shares),
                "asked": answer.asked.samples,
                "agreement": answer.agreement,
                "chance_agreement": answer.chance_agreement,
                "stated_confidence": answer.confidence,
                "support": support_text(part.elicitation, part.citations) or None,
                "fallback": part.elicitation.fallback if part.elicitation else None,
            }
            for answer, part in zip(found.answers, parts, strict=True)
        ],
        "tokens": {
            "in": cost.read,
            "out": cost.written,
            "replies_asked": cost.replies,
            "replies_from_cache": cost.from_cache,
        },
        "file": str(found.file) if found.file is not None else None,
    }
