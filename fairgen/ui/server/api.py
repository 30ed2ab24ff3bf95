"""The named endpoints for scripts (``gradio_client``); docs/web-app.md documents them.

Each takes and gives plain JSON. Errors are `gradio.Error` with the sentence that the page would show.
Annotations are real types here, since Gradio makes the endpoints' schemas from them.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.events import api

from fairgen.audit.plan import DEFAULT_ARMS
from fairgen.errors import UserError
from fairgen.targets import FairnessSpec, dump_spec, list_specs, load_spec, parse_spec
from fairgen.targets.strict_yaml import MAX_BYTES
from fairgen.ui.parts.ask import ASKED_AT_ONCE, ASKING, asked_spec
from fairgen.ui.parts.models import model_choices
from fairgen.ui.tabs.check import READING
from fairgen.ui.work.audit import PROMPTS, begin_audit, checked_plan, go_on_audit, order_audit
from fairgen.ui.work.check import check_pictures, uploaded
from fairgen.ui.work.job import AuditOrder
from fairgen.ui.work.jobs import STEERED, Services, begin_set, checked_job
from fairgen.ui.work.limits import MOST_STRENGTH, text
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.reopen import go_on, order_twins, sets_of
from fairgen.ui.work.specs import approved, chosen_spec, require_approval
from fairgen.ui.work.visits import UserRun
from fairgen.ui.work.workshop import Work, followed

Json = dict[str, Any]


def add_endpoints(services: Services, *, public: bool, llm_servers: tuple[str, ...] = ()) -> None:
    """Register the endpoints with the blocks that are being built; the others are as in `asked_spec`."""

    async def generate(
        prompt: str,
        request: gr.Request,
        spec: str = "uniform",
        target: Json | None = None,
        count: int = 12,
        steering: str = "auto",
        seed: int = 0,
        max_tries: int = 4,
        model: str = "",
        strength: float = MOST_STRENGTH,
        options: Json | None = None,
    ) -> AsyncIterator[Json]:
        with _sentences():
            job = checked_job(
                services,
                prompt=prompt,
                spec=require_approval(chosen_spec(spec, target)),
                count=count,
                steering=steering,
                seed=seed,
                tries=max_tries,
                model=model,
                strength=strength,
                options=options,
            )
            run = begin_set(services, str(request.session_hash), job)
            async for told in _told(services.workshop.of(run)[STEERED], run):
                yield told

    async def twins(run: str, request: gr.Request, key: str = "") -> AsyncIterator[Json]:
        with _sentences():
            found = services.runs.get(run, request.session_hash, key)
            async for told in _told(order_twins(services, found), found):
                yield told

    def stop(run: str, request: gr.Request, key: str = "") -> Json:
        with _sentences():
            services.workshop.stop(services.runs.get(run, request.session_hash, key))
            return {"run": run, "state": "stopping"}

    def run(run: str, request: gr.Request, key: str = "") -> Json:
        with _sentences():
            found = services.runs.get(run, request.session_hash, key)
            sets = sets_of(found)
            return {"run": found.id, "sets": {arm: set_json(live) for arm, live in sets.items()}}

    async def audit(
        prompts: str,
        request: gr.Request,
        spec: str = "uniform",
        target: Json | None = None,
        count: int = 6,
        arms: list[str] | None = None,
        seed: int = 0,
        model: str = "",
        options: Json | None = None,
    ) -> AsyncIterator[Json]:
        with _sentences():
            declared = require_approval(chosen_spec(spec, target))
            ways = list(DEFAULT_ARMS) if arms is None else arms
            plan = checked_plan(services, prompts, declared, count, ways, seed)
            named = services.engine.check_model(model)
            order = AuditOrder(plan, named, services.engine.check_options(options or {}))
            run = begin_audit(services, str(request.session_hash), order, prompts, declared.name)
            async for told in _audited(order_audit(services, run, order), run):
                yield told

    async def resume(run: str, request: gr.Request, key: str = "") -> AsyncIterator[Json]:
        with _sentences():
            found = services.runs.get(run, request.session_hash, key)
            if found.folder.joinpath(PROMPTS).is_file():
                work = go_on_audit(services, found)
                async for told in _audited(work, found):
                    yield told
                return
            async for told in _told(go_on(services, found), found):
                yield told

    def compare(
        first: str, second: str, request: gr.Request, first_key: str = "", second_key: str = ""
    ) -> Json:
        from fairgen.scoring.compare import compare_runs

        with _sentences():
            pairs = ((first, first_key), (second, second_key))
            runs = [services.runs.get(run, request.session_hash, key) for run, key in pairs]
            found = compare_runs(*(run.folder for run in runs))
            return found.model_dump(mode="json") | {"runs": [run.id for run in runs]}

    def check(
        files: list[Json],
        request: gr.Request,
        spec: str = "uniform",
        target: Json | None = None,
    ) -> Json:
        with _sentences():
            declared = require_approval(chosen_spec(spec, target))
            chosen = uploaded(files, services)
            mine = services.runs.claim(str(request.session_hash), "check", declared.name)
            *_, state = check_pictures(services, mine, chosen, declared)
            document = state.done.to_json()
            document["unreadable"] = {r.file.name: r.unreadable for r in state.done.unreadable}
            pictures = [
                {
                    "file": r.file.name,
                    "measured": r.measured,
                    "abstained": r.abstained,
                    "readings": list(r.readings),
                }
                for r in state.done.results
            ]
            return document | {"run": mine.id, "pictures": pictures, "report": mine.url("report.html")}

    def specs() -> list[Json]:
        return [_spec_line(name) for name in list_specs()]

    def spec(name: str) -> Json:
        with _sentences():
            return _spec_json(chosen_spec(name))

    def check_spec(document: str) -> Json:
        with _sentences():
            return _spec_json(parse_spec(text(document, MAX_BYTES, "document"), origin="The text"))

    def ask(
        prompt: str,
        model: str,
        url: str = "",
        api_key: str = "",
        scale: str = "ita6",
        samples: int = 5,
        look_up: bool = False,
        population: str = "residents",
    ) -> Iterator[Json]:
        with _sentences():
            given = (prompt, model, url, api_key, scale, samples, look_up, population)
            for told in asked_spec(*given, public=public, servers=llm_servers):
                if isinstance(told, str):
                    yield {"state": "asking", "says": told}
                else:
                    yield {"state": "done"} | _spec_json(told)

    def approve(spec: str, name: str) -> Json:
        with _sentences():
            return _spec_json(approved(chosen_spec(spec), name))

    def server() -> Json:
        limits = services.limits
        return {
            "ready": services.engine.ready,
            "models": [name for _, name in model_choices(services.engine)],
            "any_model": services.engine.any_model,
            "most_pictures": limits.count,
            "most_tries": limits.tries,
            "most_uploads": limits.uploads,
        }

    for long in (generate, twins, audit, resume):  # they only follow what the workshop makes
        api(long, api_name=long.__name__, concurrency_limit=None)
    api(check, api_name="check", concurrency_id=READING)
    api(ask, api_name="ask", concurrency_id=ASKING, concurrency_limit=ASKED_AT_ONCE)
    for light in (stop, run, compare, specs, spec, check_spec, approve, server):
        api(light, api_name=light.__name__, concurrency_limit=None)


@contextmanager
def _sentences() -> Iterator[None]:
    """Turns `UserError` into what Gradio sends to a client: the sentence, and no traceback in the log."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None


async def _told(work: Work, run: UserRun) -> AsyncIterator[Json]:
    """The progress of a set as JSON, at its end with summary, pictures and the address of the report."""
    async for live in followed(work):
        if live.running:
            yield {"run": run.id} | live.to_json()
    live = work.state
    if live.state == "failed":
        raise UserError(live.error)
    yield {"run": run.id, "key": run.key} | set_json(live)


async def _audited(work: Work, run: UserRun) -> AsyncIterator[Json]:
    """The progress of an audit as JSON, at its end with the address of the report."""
    async for state in followed(work):
        told = {"run": run.id} | state.to_json()
        if state.state in ("stopped", "done"):
            report = run.url("report.html") if state.arms else None
            told |= {"key": run.key, "report": report}
        yield told


def _spec_json(spec: FairnessSpec) -> Json:
    """The whole document, its hash, whether a person stands behind it, and its YAML."""
    more = {"hash": spec.content_hash(), "approval": spec.approval, "yaml": dump_spec(spec)}
    return spec.model_dump(mode="json") | more


def set_json(live: LiveSet) -> Json:
    """A set with its pictures; the addresses are relative to the server's."""
    pictures = []
    inside = {p.index for p in live.inside()}
    for record in live.pictures:
        card = live.card(record)
        pictures.append(
            {
                "url": card.view.image,
                "in_set": record.index in inside,
                "slot": record.slot,
                "attempt": record.attempt,
                "seed": record.seed,
                "wanted": record.wanted,
                "measured": record.measured,
                "certainty": card.view.certainty,
                "abstained": record.abstained,
            }
        )
    return live.to_json() | {
        "summary": live.summary.model_dump(mode="json", exclude={"out"}) if live.summary else None,
        "pictures": pictures,
        "report": live.run.url("report.html") if pictures and not live.running else None,
    }


def _spec_line(name: str) -> Json:
    found = load_spec(name)
    told = ("scale", "target", "about", "declared_by", "approval")
    return {"name": name} | {key: getattr(found, key) for key in told}
