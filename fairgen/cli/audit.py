"""``fairgen audit``: many prompts, several arms on the same seeds, one run folder; resumable."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fairgen.cli import common
from fairgen.cli import workers as scale
from fairgen.cli.opening import opens_a_model
from fairgen.common.text import one_line
from fairgen.errors import UserError
from fairgen.steering import registry

if TYPE_CHECKING:
    from fairgen.audit.plan import AuditPlan
    from fairgen.audit.runner import LookBack
    from fairgen.audit.workers.crew import Crew
    from fairgen.models.contract import Model
    from fairgen.models.options import ModelOptions
    from fairgen.provenance.signing import PictureSigner
    from fairgen.runs import RunWriter
    from fairgen.scoring.arms import ArmFigures, AuditSummary
    from skin_tone.pool import ReaderPool


@opens_a_model
def audit(
    context: typer.Context,
    prompts: Path | None = typer.Option(
        None,
        "--prompts",
        help="The list: one prompt a line, or YAML or CSV; by default the 36 that come with fairgen.",
    ),
    spec: str = common.SPEC,
    target: str | None = common.TARGET,
    count: int = typer.Option(
        30, "--count", min=1, max=10_000, help="Pictures wanted for each prompt in each arm."
    ),
    steering: str = typer.Option(
        "none,prompt,embedding", "--steering", help=f"The arms: {registry.help_text(registry.arms())}"
    ),
    model: str = common.MODEL,
    device: str = common.DEVICE,
    batch_size: int | None = common.BATCH,
    workers: int | None = scale.WORKERS,
    ray: str | None = scale.RAY,
    threads: int | None = scale.THREADS,
    c2pa_cert: Path | None = common.C2PA_CERT,
    c2pa_key: Path | None = common.C2PA_KEY,
    max_tries: int = typer.Option(
        4, "--max-tries", min=1, max=100, help="Most pictures made for one place in a set."
    ),
    seed: int = common.SEED,
    out: Path | None = common.OUT,
    resume: Path | None = typer.Option(
        None, "--resume", help="Continue the interrupted audit in this run folder, with its own settings."
    ),
    force: bool = common.FORCE,
    tolerance: float = common.TOLERANCE,
    require: bool = typer.Option(
        False,
        "--require",
        help="Exit with code 3 unless some arm is within --tolerance for every prompt.",
    ),
    as_json: bool = common.JSON,
    *,
    opening: ModelOptions,
) -> None:
    """Assess a model on a list of prompts, unsteered and steered from the same seeds, against a target.

    However an audit was interrupted, --resume continues it, with the same result as without the interruption.
    """
    common.check_range("--tolerance", tolerance, 0, 1)
    from fairgen._version import __version__
    from fairgen.provenance.signing import signer_from_environment
    from fairgen.runs import RUN_FILE, RunWriter

    signer = signer_from_environment(c2pa_cert, c2pa_key)
    if workers is not None or ray is not None:
        from fairgen.audit.workers.cluster import require_ray

        require_ray()
    left = None
    # Locked before it is read, and until the audit ends: a run has one writer.
    with ExitStack() as held:
        if resume is not None:
            from fairgen.audit.plan import plan_of
            from fairgen.audit.runner import open_audit
            from fairgen.models.options import ModelOptions

            given = {name for name in context.params if _was_given(context, name)}
            folder = resume.parent if resume.name == RUN_FILE else resume
            writer = held.enter_context(open_audit(folder))
            left = _look_back(folder, writer)
            plan = plan_of(left.audit)
            _require_agreement(context.params, given, left, folder)
            then = ModelOptions.model_validate(left.audit.model.options)
            if opening.given() and opening != then:
                raise _conflict(" ".join(opening.flags()), " ".join(then.flags()) or "nothing of it", folder)
            opening = then
            model, device, threads = left.audit.model.name, left.audit.model.device, left.audit.threads
        else:
            from fairgen.audit.plan import parse_arms, plan_audit
            from fairgen.common.resources import prompts_path

            plan = plan_audit(
                prompts or prompts_path(),
                common.resolve_spec(spec, target),
                count=count,
                arms=parse_arms(steering),
                seed=seed,
                tolerance=tolerance,
                max_tries=max_tries,
            )
            folder = common.claim_out(out or common.default_out("audit", plan.prompts_file), force=force)
            writer = held.enter_context(RunWriter(folder, fairgen_version=__version__))
        made_by = scale.makers(model, device, opening, workers=workers, address=ray, threads=threads)
        summary = _run(plan, left, folder, writer, made_by, batch_size, signer)
    if as_json:
        typer.echo(summary.model_dump_json())
    else:
        _show(summary)
        old = _outdated(folder / "report.html")
        again = " anew: the one that lies there is older than the run" if old else ""
        typer.echo(f"Run: {folder}; `fairgen report {shlex.quote(str(folder))}` makes the report{again}")
    if require:
        from fairgen.scoring.arms import meets

        if not meets(summary):
            raise typer.Exit(3)


def _outdated(report: Path) -> bool:
    """Whether a report lies there that is older than the run beside it."""
    from fairgen.runs import RUN_FILE

    return report.is_file() and report.stat().st_mtime < report.with_name(RUN_FILE).stat().st_mtime


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _look_back(folder: Path, writer: RunWriter) -> LookBack:
    from fairgen.audit.runner import look_back
    from fairgen.runs import TORN

    with common.stderr().status("Checking what was made …"):
        left = look_back(folder)
    if writer.dropped_torn_line:
        left.problems.insert(0, TORN)
    return left


def _require_agreement(params: dict[str, Any], given: set[str], left: LookBack, folder: Path) -> None:
    """Refuse an option that contradicts what the audit was begun with."""
    from fairgen.audit.plan import parse_arms
    from fairgen.audit.prompts import read_prompt_list

    audit = left.audit
    if "force" in given:
        raise UserError("--resume continues a run, and --force moves it away: give one of them.")
    if "target" in given or "spec" in given:
        declared = common.resolve_spec(params["spec"], params["target"]).content_hash()
        if declared not in audit.specs:
            raise _conflict("--spec or --target", "another target", folder)
    begun_with: dict[str, Any] = {
        "steering": audit.arms,
        "prompts": audit.prompts_hash,
        "model": audit.model.name,
        "device": audit.model.device,
        "batch_size": audit.batch_size,
        "max_tries": audit.max_tries,
        "seed": audit.seed,
        "threads": audit.threads,
        "tolerance": audit.tolerance,
        "out": folder.resolve(),
    }
    read: dict[str, Callable[[Any], Any]] = {
        "steering": lambda arms: list(parse_arms(arms)),
        "prompts": lambda file: read_prompt_list(file).content_hash,
        "out": Path.resolve,
    }
    for name, then in begun_with.items():
        if name in given:
            now = read[name](params[name]) if name in read else params[name]
            if now != then and (name, now) != ("device", "auto"):
                raise _conflict(f"--{name.replace('_', '-')}", str(then), folder)
    if "count" in given and all(prompt.count != params["count"] for prompt in audit.prompts):
        raise _conflict("--count", str(audit.prompts[0].count), folder)


def _conflict(option: str, then: str, folder: Path) -> UserError:
    return UserError(
        f"{option} is not what the audit in {folder} was begun with ({one_line(then)}): leave it out, "
        "or begin a new run."
    )


def _run(
    plan: AuditPlan,
    left: LookBack | None,
    folder: Path,
    writer: RunWriter,
    made_by: AbstractContextManager[tuple[Model, ReaderPool, Crew | None]],
    batch_size: int | None,
    signer: PictureSigner | None,
) -> AuditSummary:
    from fairgen.audit.runner import Audit
    from fairgen.cli.audit_live import watch_audit

    with made_by as (generator, reader, crew):
        if left is None:
            each = plan.places // len(plan.arms)
            tries = sum(1 if arm == registry.NONE else plan.max_tries for arm in plan.arms)
            common.say_requests(generator, plan.places, each * tries)
        audit = Audit(
            plan,
            generator,
            reader,
            folder,
            batch_size=batch_size,
            left=left,
            signer=signer,
            crew=crew,
            writer=writer,
        )
        # Closed whatever happens: work that goes on in threads ends with it.
        with closing(audit.run()) as events:
            return watch_audit(events, folder, plan.places)


def _show(summary: AuditSummary) -> None:
    console = common.stdout()
    columns = ("prompts", "TV", "1st pass", "chance", "align.", "hits", "made/kept", "not read")
    table = common.table(["arm"], columns, collapse_padding=True)
    for column in table.columns:
        column.no_wrap = True
    for arm in summary.arms:
        table.add_row(arm.arm, *_cells(arm))
    console.print(table)
    groups = list(dict.fromkeys(group for arm in summary.arms for group in arm.groups))
    if groups:
        table = common.table(["TV by group"], [arm.arm for arm in summary.arms], collapse_padding=True)
        table.columns[0].no_wrap = True
        for group in groups:
            found = [arm.groups.get(group) for arm in summary.arms]
            row = [common.number(one.tv, 3) if one else "–" for one in found]
            table.add_row(one_line(group) or "(no mark)", *row)
        console.print(table)
    for arm in summary.arms:
        if arm.worst_prompt is not None and arm.worst_tv:
            worst = f"Worst prompt, {arm.arm}: {one_line(arm.worst_prompt)}, TV {arm.worst_tv:.3f}"
            common.say(worst)
    common.say(
        "TV: total variation from the declared target, mean over prompts (0 = as declared); chance: what a "
        "perfect independent sampler gets; align.: the alignment error, sum (p - q)^2."
    )
    for problem in summary.problems:
        common.say(problem)
    if summary.model == "embedded":
        words = "Synthetic pictures of a small demonstration model whose bias was built in on purpose."
        common.say(words)


def _cells(arm: ArmFigures) -> list[str]:
    return [
        str(arm.prompts) if arm.prompts == arm.of else f"{arm.prompts}/{arm.of}",
        common.number(arm.tv, 3),
        common.number(arm.first_pass_tv, 3),
        common.number(arm.noise_floor_tv, 3),
        common.number(arm.alignment_error, 4),
        "–" if arm.hit_rate is None else f"{arm.hit_rate:.0%}",
        common.number(arm.generated_per_kept, 2),
        str(arm.abstained),
    ]
