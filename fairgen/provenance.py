"""Marks every picture as synthetic and says how it was made.

XMP packet in an iTXt chunk (keyword ``XML:com.adobe.xmp``, XMP specification part 3) with IPTC Photo
Metadata's Digital Source Type ``trainedAlgorithmicMedia``, its AI properties (standard 2025.1) and fairgen's
own fields, and the same as PNG text (`PNG_KEY` holds JSON).
"""

from __future__ import annotations

import hashlib
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel, ConfigDict, ValidationError

from fairgen.errors import UserError
from fairgen.runfile import disk_errors

TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP_KEY = "XML:com.adobe.xmp"
PNG_KEY = "fairgen"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_FAIRGEN = "tag:fairgen,2026:provenance/1/"
_NAMESPACES = {"x": "adobe:ns:meta/", "rdf": _RDF, "xmp": _XMP, "Iptc4xmpExt": _IPTC, "fairgen": _FAIRGEN}
# What XML 1.0 cannot hold, escaped or not (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_XMP = 1_000_000


class Provenance(BaseModel):
    """How one picture was made."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    fairgen: str
    """Version."""
    created_at: datetime
    model: str
    weights: str
    """One hash over the hashes of the weight files: 'sha256:<hex>'."""
    pipeline: str
    seed: int
    prompt: str
    """As it was sent to the model."""
    steps: int
    guidance_scale: float | None
    spec: str
    spec_hash: str
    steering: str
    wanted: str | None
    session: str
    versions: dict[str, str]


def digest(weights: Mapping[str, str]) -> str:
    """One hash over the hashes of a model's files: 'sha256:<hex>'."""
    lines = "\n".join(f"{hashed}  {file}" for file, hashed in sorted(weights.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _xml_text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def xmp_packet(provenance: Provenance) -> str:
    """The XMP packet (UTF-8 text) for a picture made so."""
    for prefix, uri in _NAMESPACES.items():
        ET.register_namespace(prefix, uri)
    meta = ET.Element("{adobe:ns:meta/}xmpmeta")
    rdf = ET.SubElement(meta, f"{{{_RDF}}}RDF")
    description = ET.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    fields = {
        f"{{{_IPTC}}}DigitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        f"{{{_IPTC}}}AISystemUsed": provenance.model,
        f"{{{_IPTC}}}AIPromptInformation": provenance.prompt,
        f"{{{_XMP}}}CreatorTool": f"fairgen {provenance.fairgen}",
        f"{{{_XMP}}}CreateDate": provenance.created_at.isoformat(),
    }
    own = provenance.model_dump(mode="json", exclude={"created_at", "versions"}, exclude_none=True)
    own["versions"] = ", ".join(f"{name} {version}" for name, version in provenance.versions.items())
    fields |= {f"{{{_FAIRGEN}}}{key}": str(value) for key, value in own.items()}
    for tag, value in fields.items():
        ET.SubElement(description, tag).text = _xml_text(value)
    body = ET.tostring(meta, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{body}<?xpacket end="r"?>'


def write_png(image: Image.Image, path: Path, provenance: Provenance) -> None:
    """Write the picture with its marks: whole or not at all.

    Raises `UserError` where the disk is full or not writable.
    """
    info = PngInfo()
    info.add_itxt(XMP_KEY, xmp_packet(provenance))
    info.add_text("Software", f"fairgen {provenance.fairgen}")
    info.add_text("Description", provenance.prompt)
    info.add_text("Disclaimer", "Synthetic picture made by a generative model; it shows no real person.")
    info.add_text("DigitalSourceType", TRAINED_ALGORITHMIC_MEDIA)
    info.add_itxt(PNG_KEY, provenance.model_dump_json())
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(temporary, format="PNG", pnginfo=info)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _png_text(path: Path) -> dict[str, str]:
    try:
        with Image.open(path) as image:
            image.load()  # text chunks may lie behind the pixels
            return {k: v for k, v in image.info.items() if isinstance(k, str) and isinstance(v, str)}
    except FileNotFoundError as error:
        raise UserError(f"There is no picture {path}: check the path.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"{path} is no picture that can be read: give a whole PNG, JPEG or WebP file."
        ) from error


def read_provenance(path: Path) -> Provenance | None:
    """What fairgen wrote about this picture; None where it wrote nothing (or another tool broke it)."""
    text = _png_text(path).get(PNG_KEY)
    if text is None:
        return None
    try:
        return Provenance.model_validate_json(text)
    except ValidationError:
        return None


def digital_source_type(path: Path) -> str | None:
    """IPTC Digital Source Type in the picture's XMP, whichever tool wrote it; None where there is none."""
    packet = _png_text(path).get(XMP_KEY)
    if packet is None or len(packet) > _MAX_XMP or "<!DOCTYPE" in packet:
        return None
    try:
        root = ET.fromstring(packet.replace("\ufeff", ""))
    except ET.ParseError:
        return None
    name = f"{{{_IPTC}}}DigitalSourceType"
    for element in root.iter():
        if element.tag == name and element.text:
            return element.text.strip()
        if name in element.attrib:  # XMP's other spelling: simple properties as attributes
            return element.attrib[name]
    return None
