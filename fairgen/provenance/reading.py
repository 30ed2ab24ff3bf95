"""What a picture says about itself: digital source type, fairgen's block, and signed content credentials."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fairgen.errors import UserError
from fairgen.provenance.block import Provenance
from fairgen.provenance.png import picture_text, provenance_in, source_type_in
from fairgen.provenance.signing import BLOCK_LABEL, OFFLINE, c2pa_library, read_trust_list

CredentialState = Literal["none", "trusted", "valid", "invalid", "unchecked"]
CREDENTIAL_WORDS: dict[CredentialState, str] = {
    "trusted": "valid, by a signer on the trust list",
    "valid": "valid, by a signer on no trust list given here",
    "invalid": "invalid",
    "none": "none",
    "unchecked": "not checked (that needs fairgen[c2pa])",
}
_UNTRUSTED = "signingCredential.untrusted"
_MAX_TEXT = 300


@dataclass(frozen=True)
class Credentials:
    """What C2PA's reader says of a picture's content credentials; texts cut to 300 characters.

    ``trusted`` and ``valid``: signature and hashes hold, so nothing was changed since it was signed; they
    differ in whether the signer's certificate leads to a given trust list. ``invalid``: they do not hold.
    ``unchecked``: the library is not installed.
    """

    state: CredentialState = "none"
    signer: str | None = None
    """Common name of the signing certificate."""
    issuer: str | None = None
    """Its organisation."""
    generator: str | None = None
    """Name and version of the software that claims to have made the picture."""
    source_type: str | None = None
    """IPTC digital source type of the first action that gives one."""
    time: str | None = None
    """When a timestamp authority saw the signature, ISO 8601."""
    problem: str | None = None
    """Why it is invalid: C2PA's status codes, or the reader's message."""


@dataclass(frozen=True)
class Marks:
    """What one picture says about itself. Unsigned marks can be written, and stripped, by anybody."""

    source_type: str | None = None
    """IPTC digital source type in the XMP packet."""
    provenance: Provenance | None = None
    """fairgen's block in the PNG text; where that is missing, the signed one of intact credentials."""
    credentials: Credentials = Credentials()

    def to_json(self) -> dict[str, Any]:
        """One JSON object, without what is None."""
        own = self.provenance.model_dump(mode="json", exclude_none=True) if self.provenance else None
        signed = {key: value for key, value in asdict(self.credentials).items() if value is not None}
        document = {"source_type": self.source_type, "fairgen": own, "content_credentials": signed}
        return {key: value for key, value in document.items() if value is not None}


NOTHING_SAID = Marks()


class MarkReader:
    """Reads marks; without the extra ``fairgen[c2pa]`` all but the content credentials. Uses no network.

    Args:
        trust: PEM file of the certificate authorities whose signers count as trusted.

    Raises:
        UserError: ``trust`` is given, but cannot be read, holds no certificate, or the extra is missing.
    """

    def __init__(self, trust: Path | None = None) -> None:
        self._c2pa: Any = None
        settings: dict[str, Any] = dict(OFFLINE)
        try:
            self._c2pa = c2pa_library()
        except UserError:
            if trust is not None:
                raise
            return
        if trust is not None:
            anchors, _ = read_trust_list(trust)
            settings["trust"] = {"user_anchors": anchors.decode("utf-8", errors="replace")}
        self._context = self._c2pa.Context(self._c2pa.Settings.from_dict(settings))

    def read(self, path: Path) -> Marks:
        """The marks of one picture. Raises `UserError` where it is no picture that can be read."""
        text = picture_text(path)
        credentials, signed = self._credentials(path)
        return Marks(source_type_in(text), provenance_in(text) or signed, credentials)

    def _credentials(self, path: Path) -> tuple[Credentials, Provenance | None]:
        c2pa = self._c2pa
        if c2pa is None:
            return Credentials("unchecked"), None
        try:
            # The file's own format counts, not its suffix.
            with path.open("rb") as file:
                reader = c2pa.Reader.try_create(file, context=self._context)
                if reader is None:
                    return Credentials(), None
                with reader:
                    found = json.loads(reader.json())
        except c2pa.C2paError.NotSupported:
            return Credentials(), None  # a format that cannot carry any
        except c2pa.C2paError as error:
            return Credentials("invalid", problem=_cut(str(error))), None
        return _understood(found)


def _understood(found: Mapping[str, Any]) -> tuple[Credentials, Provenance | None]:
    """C2PA's manifest store -> its state and fairgen's block, which is believed only where intact."""
    states: dict[str, CredentialState] = {"Trusted": "trusted", "Valid": "valid"}
    state = states.get(str(found.get("validation_state")), "invalid")
    manifest = _mapping(_mapping(found.get("manifests")).get(str(found.get("active_manifest"))))
    signature = _mapping(manifest.get("signature_info"))
    generators = manifest.get("claim_generator_info")
    tool = _mapping(generators[0]) if isinstance(generators, list) and generators else {}
    source_type, own = None, None
    for assertion in map(_mapping, manifest.get("assertions") or []):
        label, data = str(assertion.get("label")), _mapping(assertion.get("data"))
        if label.startswith("c2pa.actions"):
            given = (_mapping(action).get("digitalSourceType") for action in data.get("actions") or [])
            source_type = source_type or next((_cut(str(each)) for each in given if each), None)
        elif label == BLOCK_LABEL and state != "invalid":
            own = provenance_in({"fairgen": json.dumps(data)})
    codes = [
        str(_mapping(problem).get("code"))
        for problem in found.get("validation_status") or []
        if _mapping(problem).get("code") != _UNTRUSTED
    ]
    credentials = Credentials(
        state,
        signer=_text(signature.get("common_name")),
        issuer=_text(signature.get("issuer")),
        generator=_text(" ".join(str(tool[key]) for key in ("name", "version") if key in tool)),
        source_type=source_type,
        time=_text(signature.get("time")),
        problem=_cut(", ".join(dict.fromkeys(codes)) or "no reason given") if state == "invalid" else None,
    )
    return credentials, own


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return _cut(value) if isinstance(value, str) and value.strip() else None


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


@dataclass(frozen=True)
class MarkCounts:
    """How many pictures say what about themselves."""

    source_types: dict[str, int]
    """XMP digital source type -> pictures; those without are left out."""
    by_fairgen: int
    """Pictures with fairgen's block."""
    credentials: dict[CredentialState, int]
    """State -> pictures, in the order of `CREDENTIAL_WORDS`; states without a picture are left out."""
    signers: dict[str, int]
    """Signer of intact credentials -> pictures."""


def count_marks(marks: Iterable[Marks]) -> MarkCounts:
    """Sum up what pictures say about themselves."""
    said = list(marks)
    credentials = [each.credentials for each in said]
    intact = [each for each in credentials if each.state in ("trusted", "valid")]
    states = Counter(each.state for each in credentials)
    source_types = Counter(each.source_type for each in said if each.source_type is not None)
    signers = Counter(each.signer or each.issuer or "unnamed" for each in intact)
    return MarkCounts(
        dict(source_types.most_common()),
        sum(each.provenance is not None for each in said),
        {state: states[state] for state in CREDENTIAL_WORDS if states[state]},
        dict(signers.most_common()),
    )


def mark_sentence(counts: MarkCounts) -> str:
    """The counts in one line, for a terminal or a table."""
    types = ", ".join(f"{name.rpartition('/')[2]} ({n})" for name, n in counts.source_types.items())
    states = ", ".join(f"{CREDENTIAL_WORDS[state]} ({n})" for state, n in counts.credentials.items())
    signed = ", ".join(f"{name} ({n})" for name, n in counts.signers.items())
    return (
        f"XMP digital source type: {types or 'none'}; fairgen's own block: {counts.by_fairgen}; content "
        f"credentials: {states or 'none'}{f'; signed by {signed}' if signed else ''}"
    )
