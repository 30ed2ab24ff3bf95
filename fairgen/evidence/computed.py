"""The computed files of a pack: all that follows from what was given. A check makes them again."""

from __future__ import annotations

import hashlib
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fairgen.evidence.approvals import spec_statements
from fairgen.evidence.crosswalk import crosswalk
from fairgen.evidence.every_eval_ever import eval_record
from fairgen.evidence.facts import RunFacts, models_of
from fairgen.evidence.inputs import Inputs
from fairgen.evidence.limits import limits
from fairgen.evidence.oscal import oscal_document
from fairgen.evidence.page import index_page
from fairgen.evidence.spec_history import with_spec_decisions
from fairgen.report.audit_page import write_audit_page
from fairgen.report.gallery import Gallery
from fairgen.runs import RUN_FILE

__all__ = ["INDEX", "compute", "json_bytes"]

INDEX = "index.html"


def compute(inputs: Inputs, facts: list[RunFacts]) -> dict[str, bytes]:
    """Make all computed files: path in the pack -> content, sorted by path, the page on top first.

    Args:
        facts: of each run, in the order of ``inputs.runs``.
    """
    files: dict[str, bytes] = {}
    facts = with_spec_decisions(facts)
    for one in facts:
        run = one.run
        files |= {
            f"report/{run.name}.html": _report(one),
            f"figures/{run.name}.json": (one.figures.model_dump_json(indent=1) + "\n").encode(),
            f"tables/{run.name}-pictures.csv": one.pictures_csv.encode(),
            f"tables/{run.name}-sets.csv": one.sets_csv.encode(),
            f"records/{run.name}-left-out.csv": one.left_out_csv.encode(),
            f"records/{run.name}-decisions.csv": one.decisions_csv.encode(),
            f"every-eval-ever/{run.name}.json": json_bytes(eval_record(one, inputs)),
        }
    specs = spec_statements(facts)
    models = models_of(facts)
    for number, model in enumerate(models.values(), 1):
        files[f"models/{number}.json"] = (model.model_dump_json(indent=1) + "\n").encode()
    for spec in specs:
        files[f"specs/{spec.recorded_hash[7:23]}.json"] = json_bytes(spec.document)
    files["approvals.json"] = json_bytes(
        [spec.model_dump(mode="json", exclude={"document"}) for spec in specs]
    )
    rows = crosswalk(
        facts,
        approved=all(spec.approval == "approved" for spec in specs),
        cards=all(key in inputs.cards for key in models),
        signed=inputs.signer is not None,
    )
    known = limits(inputs, facts, specs)
    files["crosswalk.json"] = json_bytes([row.model_dump(mode="json") for row in rows])
    files["limits.json"] = json_bytes(known)
    evidence = {f"runs/{run.name}/{RUN_FILE}": _sha256(run.folder / RUN_FILE) for run in inputs.runs}
    evidence |= {
        path: f"sha256:{hashlib.sha256(content).hexdigest()}"
        for path, content in files.items()
        if path.startswith(("figures/", "report/", "specs/"))
    }
    files["oscal/assessment-results.json"] = json_bytes(oscal_document(inputs, facts, rows, evidence))
    page_on_top = index_page(inputs, facts, specs, rows, known).encode()
    return {INDEX: page_on_top} | dict(sorted(files.items()))


def _report(one: RunFacts) -> bytes:
    """Without pictures: those are files of the pack, and the page is the same wherever it is made."""
    with (
        tempfile.TemporaryDirectory(prefix="fairgen-evidence-") as scratch,
        Gallery(Path(scratch, "pictures")) as gallery,
        ThreadPoolExecutor(1, "evidence") as threads,
    ):
        page = Path(scratch, "report.html")
        write_audit_page(one.collected, page, gallery, threads, pictures="none")
        return page.read_bytes()


def json_bytes(document: Any) -> bytes:
    """A document as it stands in a pack."""
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
