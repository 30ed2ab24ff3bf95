"""The records of a run file: pydantic models, one JSON object a line (see `fairgen.runs.reader`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from fairgen.common.documents import Part, json_schema
from fairgen.runs.chain import unchained
from fairgen.runs.documents import ReadingDocument, SpecDocument, SteeringDocument, TechniqueDocument
from fairgen.targets.approval import Approval

Decision = Literal["kept", "discarded", "abstained"]


class ModelInfo(Part):
    """What sampled the pictures, precisely enough to sample them again."""

    name: str = Field(description="the model as it was asked for: 'embedded', a hub id or a folder")
    source: Literal["embedded", "folder", "hub", "file", "pipeline", "api"]
    pipeline: str = Field(description="class name of the diffusers pipeline")
    scheduler: str
    device: str
    dtype: str
    steps: int | None = Field(description="None: unknown, those of a service")
    guidance_scale: float | None = Field(description="None: the pipeline's own default")
    height: int | None = Field(description="pixels; None: unknown, the pipeline's own")
    width: int | None = Field(description="pixels")
    weights: dict[str, str] = Field(
        description="file inside the model folder, or what else was put on -> 'sha256:<hex>'"
    )
    files: dict[str, str] = Field(
        default_factory=dict,
        exclude_if=lambda value: not value,
        description="whatever else changes pictures (configurations, tokenizers, scheduler): file -> "
        "'sha256:<hex>'; not recorded until 0.1.0",
    )
    versions: dict[str, str] = Field(description="package -> version, python included")
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        exclude_if=lambda value: not value,
        description="what else the pipeline is called with; pictures and tensors by their hash",
    )

    options: dict[str, Any] = Field(
        default_factory=dict,
        exclude_if=lambda value: not value,
        description="how it was opened, beside name and device, as `fairgen.load_model` takes it",
    )
    seeded: bool = Field(
        default=True,
        exclude_if=lambda value: value is True,
        description="False: no seed reaches the model, so pictures of one seed have nothing in common",
    )

    @property
    def short_name(self) -> str:
        """The name without the folders that it lies in, which are this machine's alone."""
        is_path = self.source in ("folder", "file") or self.name.endswith((".yaml", ".yml", ".json"))
        return PurePath(self.name).name if is_path else self.name

    @property
    def sampling(self) -> str:
        """How it samples, in words: pipeline, scheduler, steps, guidance, size."""
        size = f"{self.width}×{self.height} pixels"
        if self.source == "api":
            where = f"{self.pipeline} at {self.arguments.get('address', 'an unknown address')}"
            quality = self.arguments.get("quality")
            parts = [where, size if self.width else "the service's own size"]
            parts += [f"quality {quality}"] if quality else []
            return ", ".join([*parts, "seeds sent" if self.seeded else "no seeds"])
        guidance = "the pipeline's own" if self.guidance_scale is None else f"{self.guidance_scale:g}"
        return f"{self.pipeline}, {self.scheduler}, {self.steps} steps, guidance {guidance}, {size}"

    @property
    def fingerprint(self) -> str:
        """The identity of the model: one hash over those of all weights and other files, and what else the
        pipeline is called with; see `fingerprint_of`.
        """
        files = self.weights | self.files
        if self.arguments:
            called = json.dumps(self.arguments, sort_keys=True)
            files["arguments"] = f"sha256:{hashlib.sha256(called.encode()).hexdigest()}"
        return fingerprint_of(files)

    def changed_files(self, recorded: ModelInfo) -> list[str]:
        """Weights and other files that are not as in an earlier record, sorted. Records of 0.1.0 name only
        weights, and of a pipeline in memory not those of every part: only what they name is compared.
        """
        now, then = self.weights | self.files, recorded.weights | recorded.files
        names = now.keys() | then.keys() if recorded.files or not self.files else then.keys()
        return sorted(name for name in names if now.get(name) != then.get(name))


def fingerprint_of(files: Mapping[str, str]) -> str:
    """The one hash of a model: 'sha256:<hex>' over file -> 'sha256:<hex>', in whatever order."""
    text = json.dumps(dict(sorted(files.items())))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class RunRecord(Part):
    """First line of the file."""

    type: Literal["run"] = "run"
    schema_version: Literal[1] = 1
    created_at: datetime
    fairgen: str = Field(description="version of fairgen that wrote the file")
    audit: bool | None = Field(
        default=None, description="whether an audit's record is line 2; None: not known, in older files"
    )
    note: str = (
        "fairgen run file: one JSON record a line. Every picture named here is synthetic (made by a "
        "generative model). Skin tones are read from pixels; they say nothing about any person."
    )


class SignerRecord(Part):
    """Whose content credentials the pictures carry; nothing of the private key."""

    subject: str = Field(description="of the signing certificate, RFC 4514")
    issuer: str = Field(description="who issued it, RFC 4514")
    fingerprint: str = Field(description="'sha256:<hex>' of the certificate in DER")
    not_after: datetime = Field(description="when it expires")
    algorithm: str = Field(description="C2PA's name: 'es256', 'ps256', 'ed25519' ...")
    timestamps: bool = Field(description="whether an RFC 3161 authority states the time of signing")


class Host(Part):
    """The machine, as far as the pictures may depend on it; no names of users or machines."""

    platform: str = Field(description="operating system and its release")
    machine: str = Field(description="processor architecture, such as x86_64")
    processor: str = Field(description="the processor's own name, where the system tells it")
    cores: int = Field(description="logical processors that this run may use")
    device: str = Field(description="the accelerator's name; empty on a CPU")


class AuditPrompt(Part):
    """One prompt of an audit; its sessions are called ``<name>.<arm>``."""

    name: str = Field(description="place in the list and the prompt's first words, fit for a folder")
    prompt: str
    group: str | None = Field(description="mark in the list, such as 'high'; None where there is none")
    spec: str = Field(description="hash of its spec, a key of the audit's ``specs``")
    count: int = Field(description="pictures wanted in every arm")
    seed: int = Field(description="the session seed, the same in every arm")
    turn: int = Field(description="moves on which classes get the odd pictures")
    ties: int | None = Field(
        default=None,
        description="seed that draws which classes get the odd pictures; None in audits of versions that "
        "gave them to classes in the order of the scale, from ``turn`` on",
    )


class AuditRecord(Part):
    """Second line of an audit's file: everything that was fixed before its first picture."""

    type: Literal["audit"] = "audit"
    schema_version: Literal[1] = 1
    started_at: datetime
    prompts_file: str = Field(description="name of the list, without its folder")
    prompts_hash: str = Field(description="'sha256:<hex>' of the list as it was read")
    prompts: list[AuditPrompt] = Field(min_length=1)
    specs: dict[str, SpecDocument] = Field(description="spec hash -> the whole spec document")
    arms: list[str] = Field(min_length=1, description="techniques, in the order in which they are run")
    seed: int = Field(description="what the prompts' own seeds were derived from, where the list gives none")
    tolerance: float = Field(description="largest TV from the declared target that counts as met")
    max_tries: int
    round_size: int
    batch_size: int
    side_by_side: int = Field(
        description="prompts whose rounds share batches; pictures depend on it as on "
        "``batch_size``: up to floating point"
    )
    fairgen: str = Field(description="version of fairgen")
    fairgen_commit: str | None = Field(description="git commit of fairgen, where it runs from a checkout")
    git_commit: str | None = Field(
        description="git commit of the folder that the command was given in, '+' where files were changed"
    )
    calibrations: dict[str, str] = Field(description="arm -> hash of the calibration that it steers by")
    threads: int | None = Field(
        default=None,
        ge=1,
        description="torch's threads where the model runs on a CPU, for pictures depend on them in the last "
        "bits; None: not on a CPU, or not known",
    )
    host: Host
    model: ModelInfo

    def session(self, prompt: AuditPrompt, arm: str) -> str:
        """The id of a session of this audit."""
        return f"{prompt.name}.{arm}"

    def sessions(self) -> dict[str, tuple[AuditPrompt, str]]:
        """The ids of all sessions -> prompt and arm of each, prompt by prompt."""
        return {self.session(prompt, arm): (prompt, arm) for prompt in self.prompts for arm in self.arms}


class SessionRecord(Part):
    """One prompt under one technique: everything that was fixed before the first picture."""

    type: Literal["session"] = "session"
    schema_version: Literal[1] = 1
    session: str = Field(description="id, unique in the file; also the name of the session's folder")
    started_at: datetime
    prompt: str
    count: int = Field(description="pictures wanted")
    seed: int
    steering: str = Field(description="the technique that was asked for: 'none', 'prompt', ...")
    steered: bool = Field(description="False for 'none', and where the technique stays off (see notes)")
    notes: list[str] = Field(default_factory=list)
    spec: SpecDocument = Field(description="the whole spec document")
    spec_hash: str = Field(description="'sha256:<hex>' of the spec's content")
    context: int | None = Field(
        default=None,
        ge=0,
        description="index in the spec's contexts of the one that gave the target; None: the top-level one",
    )
    scale: str
    classes: list[str] = Field(description="light -> dark")
    target: dict[str, float] = Field(description="class -> declared share")
    requested: dict[str, int] = Field(description="class -> whole-number quota; sums to count")
    round_size: int = Field(description="pictures between two feedback steps")
    max_tries: int = Field(description="at most this many pictures for a slot")
    feedback: bool = Field(
        default=True, description="False: the quota was asked for blindly and every picture kept (open loop)"
    )
    batch_size: int
    technique: TechniqueDocument = Field(
        default_factory=TechniqueDocument, description="the technique's own parameters"
    )
    model: ModelInfo
    signer: SignerRecord | None = Field(
        default=None, description="who signs the content credentials of the pictures; None: not signed"
    )


class PictureRecord(Part):
    """One generated picture, kept or not."""

    type: Literal["picture"] = "picture"
    schema_version: Literal[1] = 1
    session: str
    index: int = Field(ge=0, description="order of generation in the session, from 0")
    slot: int = Field(
        ge=0, description="place in the set, 0 ... count-1; a slot has the same first seed in every arm"
    )
    attempt: int = Field(ge=0, description="0 = first pass")
    round: int = Field(ge=0, description="feedback round, from 0")
    seed: int
    prompt: str = Field(description="as it was sent to the model")
    wanted: str | None = Field(description="class that was asked for; None where steering is off")
    word: str | None = Field(description="tone word used, where the technique uses one")
    steering: SteeringDocument = Field(
        default_factory=SteeringDocument, description="what else the technique did"
    )
    measured: str | None = Field(
        description="class of the largest face on the session's scale; None: abstained"
    )
    abstained: str | None = Field(description="reason code where no tone was read")
    decision: Decision = Field(
        description="kept: fills a place in the set; discarded: its class was full; abstained: no tone was "
        "read, so it fills no quota"
    )
    file: str | None = Field(description="path relative to the run folder; None where pictures are not saved")
    pixels: str | None = Field(
        default=None,
        description="'sha256:<hex>' of mode, size and pixels, not of the file; None in older runs",
    )
    seconds: float = Field(ge=0, description="its share of the batch's sampling time plus its reading time")
    readings: list[ReadingDocument] = Field(description="skin_tone readings as JSON, largest face first")


class FillRecord(Part):
    """A picture that was put into its slot after all, because the slot's tries were used up."""

    type: Literal["fill"] = "fill"
    schema_version: Literal[1] = 1
    session: str
    index: int = Field(description="the picture")
    slot: int = Field(description="the slot that it fills")
    missing: str = Field(description="class nearest to the picture's that the quota still lacked")
    measured: str | None = Field(description="class that the picture shows instead; None: no tone was read")
    file: str | None = Field(description="the picture's path from now on")


class Distances(Part):
    """How far a set of pictures is from its declared target.

    The distances compare the shares of ``measured`` with the target (`fairgen.stats`); they are None where no
    picture could be read.
    """

    measured: dict[str, int] = Field(description="measured classes of the final set")
    kept: int = Field(description="pictures of the set with a measured tone: the distances are of these")
    tv: float | None = Field(description="total variation from the target, final set")
    alignment_error: float | None = Field(description="sum of squared differences of the shares")
    fd: float | None = Field(description="square root of the alignment error")
    kl: float | None = Field(description="Kullback-Leibler divergence, nats; None also where infinite")
    noise_floor_tv: float | None = Field(
        description="mean TV of a perfect independent sampler of as many pictures as were kept"
    )


class SetFigures(Distances):
    """One set: what was asked for, what was made, and how far it is from its target.

    ``generated = kept + discarded + abstained`` and ``sum(measured.values()) = kept`` always hold in a
    finished set.
    """

    count: int = Field(description="pictures wanted")
    first_pass: dict[str, int] = Field(description="measured classes of the first attempt of every place")
    first_pass_abstained: int
    first_pass_tv: float | None
    generated: int = Field(description="pictures made, tries included")
    discarded: int = Field(description="pictures with a measured tone that are not in the set")
    abstained: int = Field(description="pictures in which no tone was read")
    abstentions: dict[str, int] = Field(description="reason code -> pictures")
    filled: int = Field(description="places filled with another class after the tries ran out")
    missing: int = Field(description="count - kept: places of the set whose picture has no reading")
    asked: int = Field(default=0, description="pictures that a class was asked for and a tone was read in")
    hits: int = Field(default=0, description="those of them that show the class that was asked for")
    seconds: float = Field(description="spent on the set's pictures")


class _SummaryHead(Part):
    """What a summary says beside the figures; its keys come first."""

    type: Literal["summary"] = "summary"
    schema_version: Literal[1] = 1
    session: str
    prompt: str
    model: str
    device: str
    spec: str = Field(description="name of the spec")
    spec_hash: str
    approval: Approval | None = Field(
        default=None, description="whether a person stands behind the spec; None: not recorded"
    )
    scale: str
    classes: list[str]
    target: dict[str, float]
    steering: str
    steered: bool
    notes: list[str] = Field(description="sentences for the reader: steering stays off, tries ran out, ...")
    seed: int
    requested: dict[str, int]


class Summary(SetFigures, _SummaryHead):
    """How close a finished session came to its declared target; the object that ``--json`` prints."""

    words: dict[str, int] = Field(description="tone word -> pictures made with it")
    faces: dict[str, int] = Field(
        default_factory=dict,
        description="measured classes of every face in the final set, where a picture shows more than one",
    )
    faces_tv: float | None = Field(default=None, description="distance of ``faces`` from the target")
    out: str | None = Field(description="the run folder")

    @model_validator(mode="before")
    @classmethod
    def _floor_of_what_was_kept(cls, data: Any) -> Any:
        """Until 0.1.0 the floor was written for the pictures that were wanted, not for those that count."""
        if not isinstance(data, dict) or data.get("kept") == data.get("count"):
            return data
        from fairgen.stats import noise_floor

        kept = data.get("kept")
        return data | {"noise_floor_tv": noise_floor(data["target"], kept) if kept else None}


Record = Annotated[
    RunRecord | AuditRecord | SessionRecord | PictureRecord | FillRecord | Summary,
    Field(discriminator="type"),
]
_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


def parse_record(line: bytes | str) -> Record:
    """One line -> its record, without its link to the line before; raises pydantic's ValidationError."""
    return _RECORD.validate_json(unchained(line.encode() if isinstance(line, str) else line)[0])


def record_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a line of ``run.jsonl``."""
    schema = json_schema(_RECORD, "A line of a fairgen run file", "serialization")
    for option in schema["oneOf"]:
        schema["$defs"][option["$ref"].rpartition("/")[2]]["properties"]["chain"] = {
            "description": "links the line to the one before it (see fairgen.runs.chain); not in older files",
            "type": "string",
            "pattern": "^[0-9a-f]{16}$",
        }
    return schema
