"""The named endpoints for scripts (``gradio_client``); docs/web-app.md documents them.

Each takes and gives plain JSON. Errors are `gradio.Error` with the sentence that the page would show.
Annotations are real types here, since Gradio makes the endpoints' schemas from them.
"""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.events import api

from fairgen.errors import UserError
from fairgen.spec import dump_spec, list_specs, load_spec, parse_spec
from fairgen.spec.strict_yaml import MAX_BYTES
from fairgen.ui.check import check_pictures, uploaded
from fairgen.ui.check_tab import READING
from fairgen.ui.generate_tab import SAMPLING
from fairgen.ui.jobs import Job, Services, make_set, unsteered
from fairgen.ui.limits import text
from fairgen.ui.live import LiveSet
from fairgen.ui.runs import UserRun
from fairgen.ui.specs import chosen_spec

Json = dict[str, Any]


def add_endpoints(services: Services) -> None:
    """Register the endpoints with the blocks that are being built."""

    def generate(
        prompt: str,
        request: gr.Request,
        spec: str = "uniform",
        target: Json | None = None,
        count: int = 12,
        steering: str = "auto",
        seed: int = 0,
        max_tries: int = 4,
        model: str = "",
    ) -> Iterator[Json]:
        with _sentences():
            job = Job.checked(
                services,
                prompt=prompt,
                spec=chosen_spec(spec, target),
                count=count,
                steering=steering,
                seed=seed,
                tries=max_tries,
                model=model,
            )
            run = services.runs.claim(str(request.session_hash), "generate", job.prompt)
            run.job = job
            yield from _told(services, run, job, "steered")

    def twins(run: str, request: gr.Request, key: str = "") -> Iterator[Json]:
        with _sentences():
            found = services.runs.get(run, request.session_hash, key)
            if found.job is None:
                raise UserError("Only a run of /generate has twins.")
            found.stop.clear()
            yield from _told(services, found, unsteered(found.job), "unsteered")

    def stop(run: str, request: gr.Request, key: str = "") -> Json:
        with _sentences():
            services.runs.get(run, request.session_hash, key).stop.set()
            return {"run": run, "state": "stopping"}

    def run(run: str, request: gr.Request, key: str = "") -> Json:
        with _sentences():
            found = services.runs.get(run, request.session_hash, key)
            return {"run": found.id, "sets": {arm: set_json(live) for arm, live in found.sets.items()}}

    def check(
        files: list[Json],
        request: gr.Request,
        spec: str = "uniform",
        target: Json | None = None,
    ) -> Json:
        with _sentences():
            declared = chosen_spec(spec, target)
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
            found = chosen_spec(name)
            return found.model_dump(mode="json") | {"hash": found.content_hash(), "yaml": dump_spec(found)}

    def check_spec(document: str) -> Json:
        with _sentences():
            found = parse_spec(text(document, MAX_BYTES, "document"), origin="The text")
            return found.model_dump(mode="json") | {"hash": found.content_hash(), "approval": found.approval}

    def server() -> Json:
        limits = services.limits
        return {
            "ready": services.engine.ready,
            "models": list(services.engine.models),
            "any_model": services.engine.any_model,
            "most_pictures": limits.count,
            "most_tries": limits.tries,
            "most_uploads": limits.uploads,
        }

    api(generate, api_name="generate", concurrency_id=SAMPLING)
    api(twins, api_name="twins", concurrency_id=SAMPLING)
    api(check, api_name="check", concurrency_id=READING)
    for light in (stop, run, specs, spec, check_spec, server):
        api(light, api_name=light.__name__, concurrency_limit=None)


class _sentences:
    """Turns `UserError` into what Gradio sends to a client: the sentence, and no traceback in the log."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, UserError):
            raise gr.Error(str(error), print_exception=False) from None


def _told(services: Services, run: UserRun, job: Job, arm: str) -> Iterator[dict[str, Any]]:
    """The progress of a set as JSON, at its end with summary, pictures and the address of the report."""
    for live in make_set(services, run, job, arm):
        if live.running:
            yield {"run": run.id} | live.to_json()
    if live.state == "failed":
        raise UserError(live.error)
    yield {"run": run.id, "key": run.key} | set_json(live)


def set_json(live: LiveSet) -> dict[str, Any]:
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


def _spec_line(name: str) -> dict[str, Any]:
    found = load_spec(name)
    return {
        "name": name,
        "scale": found.scale,
        "target": found.target,
        "about": found.about,
        "declared_by": found.declared_by,
        "approval": found.approval,
    }
