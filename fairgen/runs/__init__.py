"""The run file: ``run.jsonl``, an append-only log of pydantic records, one JSON object a line.

The file is the product of a run: whatever a report, a table or a later re-score shows is computed from it.
One file can hold several sessions (one session = one prompt under one technique, for instance the unsteered
and the steered arm of a comparison, or every prompt of an audit); each line names the session it belongs to.
Lines are never rewritten. What is decided later is appended (`FillRecord`).

Order of lines: one `RunRecord`; in an audit one `AuditRecord`; then for each session a `SessionRecord`, its
`PictureRecord`s in the order of generation, any `FillRecord`s, and, when the session ended by itself, a
`Summary`. Sessions of an audit that share batches take turns. A session without a summary was interrupted.
Each line is linked to the one before it (`chain`), and what records say of each other must agree
(`contradictions`): a reader refuses a file where it does not, `check` lists everything that is wrong, and
`repair` moves it aside.
"""

from fairgen.runs.check import Fault, RunCheck, check_run
from fairgen.runs.documents import (
    ReadingDocument,
    SpecDocument,
    SteeringDocument,
    TechniqueDocument,
    reading_document,
    spec_document,
)
from fairgen.runs.reader import TORN, Run, RunReader, SessionRun, read_run, session_names
from fairgen.runs.records import (
    AuditPrompt,
    AuditRecord,
    Decision,
    Distances,
    FillRecord,
    Host,
    ModelInfo,
    PictureRecord,
    Record,
    RunRecord,
    SessionRecord,
    SetFigures,
    SignerRecord,
    Summary,
    fingerprint_of,
    parse_record,
    record_schema,
)
from fairgen.runs.repair import Repaired, repair_run
from fairgen.runs.resume import (
    Past,
    damaged,
    file_is_whole,
    pixels_hash,
    require_same,
    require_same_model,
    sweep,
)
from fairgen.runs.shown import Saw, ShownPictures
from fairgen.runs.turns import AHEAD, Turns, ahead_of, all_sessions
from fairgen.runs.writer import RUN_FILE, RecordWriter, RunWriter, holds_records, line_of, no_run_folder

__all__ = [
    "AHEAD",
    "RUN_FILE",
    "TORN",
    "AuditPrompt",
    "AuditRecord",
    "Decision",
    "Distances",
    "Fault",
    "FillRecord",
    "Host",
    "ModelInfo",
    "Past",
    "PictureRecord",
    "ReadingDocument",
    "Record",
    "RecordWriter",
    "Repaired",
    "Run",
    "RunCheck",
    "RunReader",
    "RunRecord",
    "RunWriter",
    "Saw",
    "SessionRecord",
    "SessionRun",
    "SetFigures",
    "ShownPictures",
    "SignerRecord",
    "SpecDocument",
    "SteeringDocument",
    "Summary",
    "TechniqueDocument",
    "Turns",
    "ahead_of",
    "all_sessions",
    "check_run",
    "damaged",
    "file_is_whole",
    "fingerprint_of",
    "holds_records",
    "line_of",
    "no_run_folder",
    "parse_record",
    "pixels_hash",
    "read_run",
    "reading_document",
    "record_schema",
    "repair_run",
    "require_same",
    "require_same_model",
    "session_names",
    "spec_document",
    "sweep",
]
