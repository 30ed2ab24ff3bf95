"""``fairgen evidence``: packs what runs show into one signed file, and checks such a file."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from fairgen.cli import common
from fairgen.cli.telling import with_progress
from fairgen.common.text import counted, one_line, readable
from fairgen.errors import UserError

if TYPE_CHECKING:
    from fairgen.evidence import PackCheck
    from fairgen.provenance.documents import DocumentSigner

_EPOCH = "SOURCE_DATE_EPOCH"
_PACK = "pack"
_MARKS = {"holds": "holds", "fault": "FAULT", "note": "note "}


class _PackUnlessNamed(TyperGroup):
    """``fairgen evidence RUN...`` packs; no name of a command is needed for it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_PACK, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Evidence that a reviewer can check without trusting it: `fairgen evidence RUN... -o pack.zip` "
    "writes a pack, `fairgen evidence check pack.zip` checks one.",
    no_args_is_help=True,
    cls=_PackUnlessNamed,
)


@app.command(_PACK)
def pack(
    runs: list[Path] = typer.Argument(help="Run folders (or their run.jsonl)."),
    out: Path = typer.Option(..., "-o", "--out", help="The pack to write, such as pack.zip."),
    pictures: common.Shown = typer.Option(
        common.Shown.ALL,
        "--pictures",
        help="Pictures in the pack: all, thin (the first places of every set, as many as fit), or none.",
    ),
    max_mb: float | None = typer.Option(
        None, "--max-mb", help="Largest pack with --pictures thin, in megabytes; by default 25."
    ),
    model_card: Path | None = typer.Option(
        None, "--model-card", help="The model's card, where it does not lie in the model's folder."
    ),
    c2pa_cert: Path | None = typer.Option(
        None,
        "--c2pa-cert",
        envvar="FAIRGEN_C2PA_CERT",
        help="Sign the pack with the certificate that signs pictures: PEM file of the chain.",
    ),
    c2pa_key: Path | None = common.C2PA_KEY,
    force: bool = typer.Option(False, "--force", help="Write over a pack that is there."),
    as_json: bool = common.JSON,
) -> None:
    """Pack runs as evidence: run files, pictures, specs with their approval, report, figures, the reader's
    own errors, the model's card and hashes, the environment, what was left out, decisions, known limits.

    Every file is listed with its SHA-256. The list is signed where a certificate is configured, and
    time-stamped where an authority is (FAIRGEN_C2PA_TSA). Only runs in which `fairgen run check` finds
    nothing wrong are packed.
    """
    common.check_range("--max-mb", max_mb, 0.1, 4_000)
    if max_mb is not None and pictures is not common.Shown.THIN:
        raise UserError("--max-mb is for --pictures thin: give both, or neither.")
    common.require_free(out, force=force)
    from fairgen.evidence import plan_pack

    signer = _signer(c2pa_cert, c2pa_key)
    created_at = _time()
    with common.stderr().status("Checking the runs …"):
        plan = plan_pack(
            runs,
            pictures=pictures.value,
            max_mb=max_mb,
            signer=signer,
            model_card=model_card,
            created_at=created_at,
        )
    written = with_progress(plan.write(out), "Packing", plan.total, unit="MB", of=1_000_000)
    if as_json:
        document = {
            "pack": readable(written.path),
            "bytes": written.bytes,
            "files": written.files,
            "pictures": written.pictures,
            "packed": written.packed,
            "signer": written.signer,
            "stamped": written.stamped,
        }
        common.echo_json(document)
        return
    typer.echo(
        f"Pack: {written.path} ({written.bytes / 1e6:.1f} MB, {counted(written.files, 'file')}, "
        f"{written.packed:,} of {counted(written.pictures, 'picture')})"
    )
    if written.signer is None:
        typer.echo("Not signed: set FAIRGEN_C2PA_CERT and FAIRGEN_C2PA_KEY, so that changes by others show.")
    else:
        stamped = "with a timestamp" if written.stamped else "without a timestamp (see FAIRGEN_C2PA_TSA)"
        typer.echo(one_line(f"Signed by {written.signer}, {stamped}"))
    typer.echo(
        f"`fairgen evidence check {shlex.quote(str(written.path))}` checks it; unpacked, index.html is the "
        "page to begin with"
    )


@app.command("check")
def check(
    path: Path = typer.Argument(metavar="PACK", help="The pack."),
    trust: Path | None = typer.Option(
        None,
        "--trust",
        envvar="FAIRGEN_C2PA_TRUST",
        help="PEM file of the authorities whose signers and timestamps count as trusted.",
    ),
    as_json: bool = common.JSON,
) -> None:
    """Say in one line each what holds: bytes, order, signature, run files, pictures, approvals, and that
    figures, report and page follow from them; they are made again. Exit code 1 if something does not hold.

    Nothing is written, and the network is not used.
    """
    from fairgen.evidence import check_pack, pack_size

    found = with_progress(check_pack(path, trust), "Checking", pack_size(path), unit="MB", of=1_000_000)
    if as_json:
        document = {
            "pack": readable(path),
            "holds": not found.faults,
            "findings": [{"state": one.state, "text": one.text} for one in found.findings],
            "manifest": found.manifest.model_dump(mode="json", exclude={"files"}) if found.manifest else None,
        }
        common.echo_json(document)
    else:
        _show(found)
    if found.faults:
        raise typer.Exit(1)


def _show(found: PackCheck) -> None:
    for one in found.findings:
        typer.echo(one_line(f"{_MARKS[one.state]}  {one.text}"))
    faults = len(found.faults)
    if not faults:
        typer.echo(f"{found.path}: everything that was checked holds.")
    else:
        typer.echo(f"{found.path}: {faults:,} {'thing does' if faults == 1 else 'things do'} not hold.")


def _signer(cert: Path | None, key: Path | None) -> DocumentSigner | None:
    from fairgen.provenance.signing import SigningConfig

    config = SigningConfig.from_environment(cert, key)
    if config is None:
        return None
    from fairgen.provenance.documents import DocumentSigner

    return DocumentSigner(config)


def _time() -> datetime | None:
    """The time to put into the pack, where the environment fixes it (reproducible-builds.org)."""
    given = os.environ.get(_EPOCH, "").strip()
    if not given:
        return None
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise UserError(
            f"{_EPOCH} must be seconds since 1970, not {given[:40]!r}: change or unset it."
        ) from None
