"""``fairgen spec source PROMPT --model NAME``: ask a language model for a target, several times."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fairgen.cli import common
from fairgen.common.text import one_line, read_prompts
from fairgen.errors import UserError

if TYPE_CHECKING:
    from fairgen.targets import FairnessSpec
    from fairgen.targets.citations import Verdict
    from fairgen.targets.sources.asking import Asked, Tokens
    from fairgen.targets.sources.endpoint import Endpoint
    from fairgen.targets.sources.llm import Combined
    from fairgen.targets.sources.question import Question


def source(
    prompt: str | None = typer.Argument(
        None, help="What the pictures will be asked for.", show_default=False
    ),
    model: str = typer.Option(..., "--model", help="The language model's name, as its server knows it."),
    scale: str = typer.Option("ita6", "--scale", help="ita6, monk10 or lmd3."),
    samples: int = typer.Option(5, "--samples", help="How often it is asked, 1 to 20."),
    prompts: Path | None = typer.Option(
        None, "--prompts", help="Ask for each prompt of this file, one a line; one spec holds them all."
    ),
    check_citations: bool = typer.Option(
        False, "--check-citations", help="Fetch the cited pages and look for the quotes (uses the network)."
    ),
    threshold: float = typer.Option(
        0.5, "--threshold", help="Below it in stated confidence or agreement, the target becomes uniform."
    ),
    base_url: str | None = typer.Option(
        None, "--base-url", help="The server; by default OPENAI_BASE_URL, else OpenAI.", show_default=False
    ),
    temperature: float | None = typer.Option(
        None, "--temperature", help="0 to 2; by default the server's.", show_default=False
    ),
    timeout: float = typer.Option(180.0, "--timeout", help="Seconds that one request may take."),
    parallel: int | None = typer.Option(
        None,
        "--parallel",
        min=1,
        max=32,
        help="Requests at the same time; by default 4, and 1 for a server on this machine.",
        show_default=False,
    ),
    cache: bool = typer.Option(True, "--cache/--no-cache", help="Use and keep replies; --no-cache: neither."),
    refresh: bool = typer.Option(False, "--refresh", help="Ask again, and keep the new replies instead."),
    out: Path | None = typer.Option(None, "-o", "--out", help="Write the spec here.", show_default=False),
    force: bool = typer.Option(False, "--force", help="Write over the file that is there."),
    as_json: bool = common.JSON,
) -> None:
    """Ask a language model for a target, several times, and say how far its answers agree.

    The key is taken from OPENAI_API_KEY; servers on this machine need none. Nobody has approved what
    comes out: read it, look its sources up, and change it.
    """
    common.check_range("--threshold", threshold, 0, 1)
    common.check_range("--temperature", temperature, 0, 2)
    common.check_range("--timeout", timeout, 0.1, 3600)
    questions = _questions(prompt, prompts, scale)
    if prompts is not None and out is None:
        raise UserError("--prompts needs -o FILE: the spec for all prompts is written there.")
    if out is not None:
        common.require_free(out, force=force)
    from fairgen.targets.sources.endpoint import Endpoint

    endpoint = Endpoint.named(model, base_url, temperature=temperature, seconds=timeout)
    with _kept(cache):
        answers = _asked(questions, endpoint, samples, parallel, use_cache=cache, refresh=refresh)
    from fairgen.targets import save_spec
    from fairgen.targets.sources.asking import tokens
    from fairgen.targets.sources.llm import citations_kept, combine, llm_spec

    limit = citations_kept(len(answers))
    combined = [combine(answer, max_citations=limit) for answer in answers]
    verdicts: list[Verdict] = []
    if check_citations:
        with _kept(cache):
            combined, verdicts = _checked(combined)
    name = out.stem.lower() if out is not None and _is_name(out.stem.lower()) else None
    spec = llm_spec(combined, name=name, threshold=threshold)
    if out is not None:
        save_spec(spec, out)
    cost = tokens(answers)
    if as_json:
        typer.echo(json.dumps(_document(spec, combined, cost, out), ensure_ascii=True))
    else:
        from fairgen.cli.spec.source_show import print_answers

        print_answers(spec, combined, {(v.citation.url, v.citation.quote): v.reason for v in verdicts})
        typer.echo(str(cost))
        typer.echo(one_line(f"Written: {out}" if out else "Not written to a file: add -o FILE."))


def _questions(prompt: str | None, file: Path | None, scale: str) -> list[Question]:
    from fairgen.targets.context import normal_prompt
    from fairgen.targets.sources.llm import MAX_PROMPTS
    from fairgen.targets.sources.question import Question

    if (prompt is None) == (file is None):
        raise UserError("Give one prompt, or --prompts FILE: not both, and not neither.")
    if file is None:
        return [Question(prompt or "", scale)]
    once = {normal_prompt(line): line for line in reversed(read_prompts(file))}
    if len(once) > MAX_PROMPTS:
        raise UserError(f"{file} has {len(once)} prompts, above the limit of {MAX_PROMPTS}: split it.")
    try:
        return [Question(line, scale) for line in reversed(once.values())]
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _is_name(text: str) -> bool:
    import re

    return re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", text) is not None


@contextlib.contextmanager
def _kept(cache: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        what = (
            "the replies so far are kept, the same command goes on from there"
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
    from rich.progress import Progress

    from fairgen.targets.sources.ask_cache import AskCache
    from fairgen.targets.sources.asking import ask

    console = common.stderr()
    total, told = len(questions) * samples, 0
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("Asking", total=total)

        def advance(count: int) -> None:
            nonlocal told
            progress.advance(task, count)
            done = int(progress.tasks[0].completed)
            if not console.is_terminal and len(questions) > 1 and 10 * done // total > told:
                told = 10 * done // total
                print(f"Asking: {done} of {total} replies", file=sys.stderr, flush=True)

        return ask(
            questions,
            endpoint,
            samples=samples,
            cache=AskCache() if use_cache else None,
            refresh=refresh,
            at_once=parallel,
            on_reply=advance,
        )


def _checked(answers: Sequence[Combined]) -> tuple[list[Combined], list[Verdict]]:
    """The answers with their citations looked up; a page is fetched once, however many prompts cite it."""
    from fairgen.cli.spec.check import look_up

    verdicts = look_up([citation for answer in answers for citation in answer.citations])
    found = iter(verdict.citation for verdict in verdicts)
    return [a.with_checked([next(found) for _ in a.citations]) for a in answers], verdicts


def _document(
    spec: FairnessSpec, answers: Sequence[Combined], cost: Tokens, out: Path | None
) -> dict[str, Any]:
    asked = [context.elicitation for context in spec.contexts] or [spec.elicitation]
    return {
        "spec": spec.model_dump(mode="json") | {"hash": spec.content_hash()},
        "answers": [
            {
                "prompt": answer.asked.question.prompt,
                "proposal": answer.proposal,
                "valid": len(answer.shares),
                "asked": answer.asked.samples,
                "agreement": answer.agreement,
                "stated_confidence": answer.confidence,
                "fallback": how.fallback if how else None,
            }
            for answer, how in zip(answers, asked, strict=True)
        ],
        "tokens": {
            "in": cost.read,
            "out": cost.written,
            "replies_asked": cost.replies,
            "replies_from_cache": cost.from_cache,
        },
        "file": str(out) if out is not None else None,
    }
