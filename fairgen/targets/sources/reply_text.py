"""The one JSON object in what a model wrote; thinking aloud, fences and prose around it are left out."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from fairgen.targets.sources.plain_text import MAX_CHARACTERS, readable

__all__ = ["RejectedReply", "only_object", "plain_key", "reject", "safe"]

_MAX_DEPTH = 10

_NAMES = (
    r"(?:think|thinking|thoughts?|thought_process|reason|reasoning|reflection|scratchpad|analysis|planning|"
    r"inner_monologue|antthinking)"
)
_THINKING_ENDS = re.compile(
    rf"</\s*(?:\w+:)?{_NAMES}\s*>|\[/(?:THINK|THINKING|REASONING)\]|◁/{_NAMES}▷"
    rf"|<\|(?:END_THINKING|end_of_thought|/{_NAMES}|end_{_NAMES})\|>|<unused95>|<channel\|>",
    re.IGNORECASE,
)
_THINKING_STARTS = re.compile(
    rf"<\s*(?:\w+:)?{_NAMES}\s*>|\[(?:THINK|THINKING|REASONING)\]|◁{_NAMES}▷"
    rf"|<\|(?:START_THINKING|begin_of_thought|{_NAMES}|start_{_NAMES})\|>|<unused94>|<\|channel>thought",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_CHANNEL_ENDS = re.compile(r"<\|(?:end|return|call|start)\|>")
_FLAT_CHANNEL = re.compile(r"assistantfinal(?=\s*[{`])")
_ANSWER = re.compile(r"<(answer|final_answer|output|response|solution)>(.*)</\1>", re.IGNORECASE | re.DOTALL)


class RejectedReply(Exception):
    """The reply cannot be used; ``reason`` says why, in one short line."""

    def __init__(self, reason: str) -> None:
        self.reason = " ".join(reason.split())[:240]
        super().__init__(self.reason)


def reject(reason: str) -> NoReturn:
    """Raise `RejectedReply`."""
    raise RejectedReply(reason) from None


def safe(name: str) -> str:
    """A name from a reply, for a message: letters of other scripts that look alike become visible."""
    return ascii(name if len(name) <= 60 else name[:57] + "...")


def plain_key(name: str) -> str:
    """A name as it is compared: ``Very Light``, ``VERY_LIGHT`` and ``very-light`` are ``very_light``."""
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def only_object(text: str) -> tuple[dict[str, Any], list[str]]:
    """The one JSON object of a reply, and what was left out around it, one sentence each.

    Raises:
        RejectedReply: there is none, there are several that differ, it is not valid JSON, or it is too deep
            or too long.
    """
    if not text.strip():
        reject("the reply is empty")
    if len(text) > MAX_CHARACTERS:
        reject(f"the reply is longer than {MAX_CHARACTERS} characters")
    notes: list[str] = []
    body = _without_thinking(text.strip(), notes)
    if body.startswith('"') and (inner := _string(body)) is not None:
        notes.append("its JSON object came as a string, which was read.")
        body = inner.strip()
    data, start, end = _one_of(body, notes)
    outside = (body[:start] + body[end:]).strip()
    if body.startswith("[") and outside == "[]":
        notes.append("the list around its JSON object was taken off.")
    elif outside:
        notes.append("text around its JSON object was left out.")
    return data, notes


def _without_thinking(text: str, notes: list[str]) -> str:
    answer = _after_thinking(text)
    if answer == text or _is_part_of_sentences(text):
        return text
    if "{" not in answer:
        reject("it thought aloud to the end and gave no answer")
    notes.append("its thinking aloud was left out.")
    return answer


def _is_part_of_sentences(text: str) -> bool:
    """Whether all marks of thinking stand within the strings of the text's one object."""
    try:
        [(start, end)] = _top_level_objects(text)[0]
        json.loads(text[start:end])
    except (RejectedReply, ValueError):
        return False
    outside = (text[:start] + text[end:]).strip()
    return _after_thinking(outside) == outside


def _after_thinking(text: str) -> str:
    """What follows a model's thinking, in the notations that models have for it."""
    if channels := list(_CHANNEL.finditer(text)):
        final = [found for found in channels if found[1] == "final"]
        return _CHANNEL_ENDS.split(text[final[-1].end() :])[0].strip() if final else ""
    if flat := list(_FLAT_CHANNEL.finditer(text)):
        return text[flat[-1].end() :].strip()
    if ends := list(_THINKING_ENDS.finditer(text)):
        text = text[ends[-1].end() :].strip()
    if begins := _THINKING_STARTS.search(text):  # not ended: all that follows is thinking
        text = text[: begins.start()].strip()
    if answer := _ANSWER.search(text):
        text = answer[2].strip()
    return text


def _string(body: str) -> str | None:
    try:
        inner = json.loads(body)
    except ValueError:
        return None
    return inner if isinstance(inner, str) else None


def _one_of(body: str, notes: list[str]) -> tuple[dict[str, Any], int, int]:
    """The object and its place. Braces that hold no JSON are text; objects that are the same count once."""
    spans, unfinished = _top_level_objects(body)
    if not spans:
        if body.startswith("["):
            reject("the reply is a list and no JSON object")
        if unfinished:
            reject("the reply holds no complete JSON object: it breaks off before its end")
        quoted = ascii(" ".join(readable(body)[0].split())[:80])[1:-1]
        reject(f"the reply holds no complete JSON object: {quoted}")
    if unfinished:
        reject("the reply holds a JSON object without end")
    if len(spans) == 1:
        [(start, end)] = spans
        return _parsed(body[start:end]), start, end
    objects = []
    for start, end in spans:
        try:
            objects.append((_parsed(body[start:end]), start, end))
        except RejectedReply:
            continue
    if not objects or any(data != objects[0][0] for data, _, _ in objects):
        reject(f"the reply holds {len(objects) or len(spans)} complete JSON objects")
    if len(objects) > 1:
        notes.append(f"its JSON object came {len(objects)} times, word for word.")
    return objects[0]


def _parsed(text: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(
            text, object_pairs_hook=_unique, parse_constant=lambda name: reject(f"{name} is no JSON")
        )
    except ValueError as error:
        if re.search(r":\s*<n>", text):
            reject("it gave the form back with <n> where a number goes")
        reject(f"not valid JSON: {error}")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        reject(f"the key {safe(next(n for n in names if names.count(n) > 1))} is given twice")
    return found


def _top_level_objects(text: str) -> tuple[list[tuple[int, int]], bool]:
    """Start and end of every outermost ``{...}``, in one pass, and whether one has no end; deep nesting is
    refused before parsing.
    """
    spans: list[tuple[int, int]] = []
    start = depth = 0
    in_string = after_backslash = False
    for place, char in enumerate(text):
        if in_string:
            in_string = after_backslash or char != '"'
            after_backslash = char == "\\" and not after_backslash
        elif depth == 0:
            if char == "{":
                start, depth = place, 1
        elif char == '"':
            in_string = True
        elif char in "{[":
            depth += 1
            if depth > _MAX_DEPTH:
                reject(f"the reply is nested more than {_MAX_DEPTH} levels deep")
        elif char in "}]":
            depth -= 1
            if depth == 0:
                spans.append((start, place + 1))
    return spans, depth > 0
