"""The text of a fetched page: bytes to characters, and HTML or XML to what a reader would see of it.

The tags are cut by the rules of the HTML standard's tokenizer, in one pass: the standard library's parser
takes quadratic time on some malformed pages (CVE-2025-6069) and raises on others, and the page is a
stranger's. Scripts do not run, so text that only they would show is not there.
"""

from __future__ import annotations

import codecs
import html
import re
from dataclasses import dataclass

from fairgen.targets.citations.fetch import Page, Unreachable

__all__ = ["PageText", "page_text"]

_MARKUP = ("text/html", "application/xhtml+xml", "text/xml", "application/xml")
_PLAIN = ("text/plain", "text/markdown", "text/csv")
_NAMES = {"application/pdf": "a PDF", "application/json": "JSON"}

_INLINE = frozenset(
    """a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr q s samp small
    span strike strong sub sup time tt u var wbr""".split()  # noqa: SIM905 - a list of these would fill a page
)
_SKIPPED = frozenset(["script", "style", "template", "textarea", "iframe", "noembed", "noframes", "xmp"])
_TAG = re.compile(r"<(?=[a-zA-Z/!?])")
_TAG_NAME = re.compile(r"</?([a-zA-Z][^\s/>]{0,60})")
_VALUE_OR_END = re.compile(r">|=\s*([\"'])")
_COMMENT_END = re.compile(r"--!?>")
_PASSWORD = re.compile(r"\stype\s*=\s*[\"']?password", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?([\w.:+-]{1,40})", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"<\?xml[^>]{1,200}?encoding\s*=\s*[\"']([\w.:+-]{1,40})", re.IGNORECASE)
_LONG_REFERENCE = re.compile(r"&#(?:\d{8,}|[xX][0-9a-fA-F]{7,})")

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Those that the web uses. Python knows more, among them some that run slowly, warn or are no charsets.
_CHARSETS = frozenset(
    ["utf-8", "ascii", "utf-16-le", "utf-16-be", "utf-16", "gb2312", "gbk", "gb18030", "big5", "big5hkscs"]
    + ["euc_jp", "shift_jis", "cp932", "iso2022_jp", "euc_kr", "cp949", "koi8-r", "koi8-u", "mac-roman"]
    + ["cp874", "tis-620", "cp866"]
    + [f"cp125{n}" for n in range(9)]
    + [f"iso8859-{n}" for n in range(1, 17) if n != 12]
)


@dataclass(frozen=True)
class PageText:
    """The text of a page, as it may be read."""

    readings: tuple[str, ...]
    """With superscripts, and where there are any, without: a footnote's number is no part of a sentence."""
    asks_for_password: bool
    note: str
    """What was uncertain in reading it; empty if nothing was."""


def page_text(page: Page) -> PageText:
    """The text of a page.

    Raises:
        Unreachable: it is of a type that cannot be read.
    """
    if page.media_type not in (*_MARKUP, *_PLAIN):
        what = _NAMES.get(page.media_type) or (
            f"the type {page.media_type[:60]!r}" if page.media_type else "a page that does not state its type"
        )
        raise Unreachable(f"it is {what}, which cannot be read here: look the quote up by hand")
    text, note = _decoded(page)
    if page.media_type in _PLAIN:
        return PageText((text,), False, note)
    cutter = _Cutter(text, xml=page.media_type != "text/html")
    readings = [cutter.text(superscripts=True)]
    if cutter.superscripts:
        readings.append(cutter.text(superscripts=False))
    return PageText(tuple(readings), cutter.passwords, note)


def _decoded(page: Page) -> tuple[str, str]:
    """The characters, and a note where the stated charset could not be used."""
    for bom, name in _BOMS:
        if page.body.startswith(bom):
            return page.body[len(bom) :].decode(name, "replace"), ""
    head = page.body[:2048]
    inside = _META_CHARSET.search(head) or _XML_CHARSET.search(head)
    stated = [page.charset, inside[1].decode("ascii") if inside else None]
    for label in filter(None, stated):
        if codec := _codec(label):
            return page.body.decode(codec, "replace"), ""
    unknown = next(filter(None, stated), None)
    try:
        text, used = page.body.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        text, used = page.body.decode("cp1252", "replace"), "Windows-1252"
    return text, f"the charset {unknown!r} is unknown, so the page was read as {used}" if unknown else ""


def _codec(label: str) -> str | None:
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    if name not in _CHARSETS:
        return None
    return "cp1252" if name in ("ascii", "iso8859-1") else name  # as the WHATWG's Encoding Standard says


class _Cutter:
    """Cuts the markup out of a page, in time linear in its length."""

    def __init__(self, source: str, *, xml: bool) -> None:
        self._source = source
        self._xml = xml
        self.superscripts = False
        self.passwords = False

    def text(self, *, superscripts: bool) -> str:
        """The text; blocks end in line breaks; with or without what stands in ``sup``."""
        source = self._source
        pieces: list[str] = []
        at = 0
        while markup := _TAG.search(source, at):
            start = markup.start()
            pieces.append(source[at:start])
            if self._xml and source.startswith("<![CDATA[", start):
                end = source.find("]]>", start)
                if end < 0:
                    break
                pieces.append(html.escape(source[start + 9 : end]))  # unescaped with the rest below
                at = end + 3
                continue
            end = _markup_end(source, start)
            if end < 0:
                break  # the standard: what is not closed swallows the rest
            name, at = self._tag(source[start:end]), end
            if name is None:
                continue
            pieces.append("" if name.lstrip("/") in _INLINE else "\n")
            if name in _SKIPPED or (name == "sup" and not superscripts):
                at = _element_end(source, name, at)
                if at < 0:
                    break
        else:
            pieces.append(source[at:])
        return html.unescape(_LONG_REFERENCE.sub("\ufffd", "".join(pieces)))

    def _tag(self, tag: str) -> str | None:
        """The tag's name in lower case, ``/`` before it where it closes; None for a comment or the like."""
        found = _TAG_NAME.match(tag)
        if found is None:
            return None
        name = found[1].lower()
        self.superscripts |= name == "sup"
        self.passwords |= name == "input" and _PASSWORD.search(tag) is not None
        if tag.startswith("</"):
            return "/" + name
        return name + "/" if self._xml and tag.endswith("/>") else name


def _markup_end(source: str, start: int) -> int:
    """Where the tag, comment or declaration that begins at ``start`` has ended; -1 if it does not."""
    if source.startswith("<!--", start):
        found = _COMMENT_END.search(source, start + 2)
        return found.end() if found else -1
    if source[start + 1] in "!?" or not _TAG_NAME.match(source, start):
        return source.find(">", start) + 1 or -1
    at = start + 1
    while stop := _VALUE_OR_END.search(source, at):
        if stop[0] == ">":
            return stop.end()
        at = source.find(stop[1], stop.end()) + 1
        if at == 0:
            return -1
    return -1


def _element_end(source: str, name: str, start: int) -> int:
    """Where the closing tag of an element begins; -1 if it does not come."""
    found = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(source, start)
    return found.start() if found else -1
