"""Whether the pictures of a pack say of themselves what the run file says of them."""

from __future__ import annotations

from fairgen.errors import UserError
from fairgen.evidence.facts import RunFacts
from fairgen.evidence.findings import NAMED, Findings
from fairgen.provenance.block import TRAINED_ALGORITHMIC_MEDIA
from fairgen.provenance.reading import MarkReader, Marks
from fairgen.runs import PictureRecord, RunReader, SessionRecord

__all__ = ["check_marks"]


def check_marks(one: RunFacts, findings: Findings) -> None:
    """Hold the block and the credentials in each packed picture against its record."""
    if not one.run.packed:
        return
    reader = MarkReader()
    wrong: list[str] = []
    looked = credited = unchecked = 0
    for session in RunReader(one.run.folder).sessions():
        moved = {fill.index: fill.file for fill in session.fills}
        for picture in session.pictures:
            file = moved.get(picture.index) or picture.file
            if file not in one.run.packed or file is None:
                continue
            try:
                marks = reader.read(one.run.folder / file)
            except UserError:
                continue  # `check_run` named it
            if problem := _problem(marks, picture, session.record):
                wrong.append(f"{file} {problem}")
            looked += 1
            credited += marks.credentials.state in ("trusted", "valid")
            unchecked += marks.credentials.state == "unchecked"
    for text in wrong[:NAMED]:
        findings.fault(f"Run {one.run.title}: {text}.")
    if wrong:
        return
    more = f", and {credited:,} have intact content credentials" if credited else ""
    if looked:
        said = "say that a model made them, and of themselves what was recorded"
        findings.holds(f"Run {one.run.title}: {looked:,} pictures {said}{more}.")
    if unchecked:
        findings.note("Content credentials of pictures were not checked: that needs fairgen[c2pa].")


def _problem(marks: Marks, picture: PictureRecord, session: SessionRecord) -> str | None:
    own = marks.provenance
    if marks.credentials.state == "invalid":
        return f"was changed after it was signed ({marks.credentials.problem})"
    if session.signer is not None and marks.credentials.state == "none":
        return "carries no content credentials, though its set was signed"
    if own is None or marks.source_type != TRAINED_ALGORITHMIC_MEDIA:
        return "does not say that a model made it, as fairgen has every picture say"
    said = (own.session, own.seed, own.prompt, own.spec_hash)
    recorded = (picture.session, picture.seed, picture.prompt, session.spec_hash)
    if said != recorded:
        return "says of itself another set, seed, prompt or spec than its record"
    return None
