"""Every kind of reply that language models were seen to write: taken with these numbers, or refused for this.

The contents are written by hand after what models do; replies of a real model are in test_llm_real_replies.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.combining import unusable
from fairgen.targets.sources.endpoint import Endpoint, Schema
from fairgen.targets.sources.question import Question, skeleton
from fairgen.targets.sources.reply import RejectedReply, parse_reply
from skin_tone.scales import SCALES
from tests.doubles.llm_server import (
    CITATION,
    PICTURES,
    SHARES,
    fixture_reply,
    pictures,
    replies,
    say,
    serving,
    streams,
)

SIX = list(SHARES)
GOOD = json.dumps(fixture_reply())
DRAFT = json.dumps(fixture_reply(pictures=pictures(dict.fromkeys(SIX, 0) | {"dark": 100})))
SUM_99 = {k: v / 99 for k, v in (PICTURES | {"dark": 14}).items()}
NO_TAN = {"very_light": 0.1, "light": 0.15, "intermediate": 0.3, "tan": 0.0, "brown": 0.3, "dark": 0.15}


def shared(values: Any, **changes: Any) -> dict[str, Any]:
    """A reply with ``shares`` instead of pictures, as models write that follow their own idea of the form."""
    return fixture_reply(shares=values, **changes)


def doubled(**changes: Any) -> dict[str, Any]:
    return {k: 2 * v for k, v in SHARES.items()} | changes


def confident(value: object) -> dict[str, Any]:
    return fixture_reply(confidence={"overall": value, "classes": dict.fromkeys(SIX, 0.6) | {"tan": value}})


TAKEN: list[tuple[str, Any, dict[str, float], str]] = [
    # name, content, the shares it is read as, words of the note that says what was mended
    ("clean JSON", fixture_reply(), SHARES, ""),
    ("fenced", f"```json\n{json.dumps(fixture_reply(), indent=1)}\n```", SHARES, "text around its JSON"),
    ("prose around", f"Sure! Here it is:\n{GOOD}\nHope it helps.", SHARES, "text around its JSON"),
    ("prose with braces", f"In {{curly}} braces: {GOOD}", SHARES, "text around its JSON"),
    ("the same twice", f"{GOOD}\n\nOnce more:\n{GOOD}", SHARES, "came 2 times, word for word"),
    ("a string of JSON", json.dumps(GOOD), SHARES, "came as a string"),
    ("a list of one", [fixture_reply()], SHARES, "the list around its JSON object"),
    ("<think>", f"<think>{{maybe}} {{perhaps}}</think>{GOOD}", SHARES, "thinking aloud"),
    ("<think> with a draft", f"<think>\n{DRAFT}\nno, wait</think>\n{GOOD}", SHARES, "thinking aloud"),
    ("a lone </think> after a draft", f"{DRAFT}\nWait. </think>\n{GOOD}", SHARES, "thinking aloud"),
    ("<thinking> with braces", f"<thinking>{{a}} {{'b': 1}}</thinking> {GOOD}", SHARES, "thinking aloud"),
    ("<reasoning>", f"<reasoning>{DRAFT}</reasoning><answer>{GOOD}</answer>", SHARES, "thinking aloud"),
    ("[THINK]", f"[THINK]{DRAFT}[/THINK]{GOOD}", SHARES, "thinking aloud"),
    ("◁think▷", f"◁think▷{DRAFT}◁/think▷{GOOD}", SHARES, "thinking aloud"),
    ("<seed:think>", f"<seed:think>{DRAFT}</seed:think>{GOOD}", SHARES, "thinking aloud"),
    (
        "START_THINKING",
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{GOOD}<|END_RESPONSE|>",
        SHARES,
        "thinking aloud",
    ),
    (
        "channels with a draft",
        f"<|channel|>analysis<|message|>Say {DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>"
        f"{GOOD}<|return|>",
        SHARES,
        "thinking aloud",
    ),
    ("channels without marks", f"analysisSay {DRAFT} assistantfinal{GOOD}", SHARES, "thinking aloud"),
    ("a marker in a sentence", fixture_reply(why="The tag </think> ends it."), SHARES, ""),
    ("sum .999", shared(SHARES | {"dark": 0.149}), {k: v / 0.999 for k, v in (SHARES | {"dark": 0.149}).items()}, "0.999, taken for rounding"),
    ("sum 1.002", shared(SHARES | {"dark": 0.152}), {k: v / 1.002 for k, v in (SHARES | {"dark": 0.152}).items()}, "1.002, taken for rounding"),
    ("sum 99", fixture_reply(pictures=pictures(PICTURES | {"dark": 14})), SUM_99, "sum to 99, taken for rounding"),
    ("sum 110", fixture_reply(pictures=pictures(PICTURES | {"dark": 25})), {k: v / 110 for k, v in (PICTURES | {"dark": 25}).items()}, "sum to 110 and not to 100"),
    ("sum 90", fixture_reply(pictures=pictures(PICTURES | {"dark": 5})), {k: v / 90 for k, v in (PICTURES | {"dark": 5}).items()}, "sum to 90 and not to 100"),
    ("confidence n/a", confident("n/a"), SHARES, "counts as not stated"),
    ("confidence null", confident(None), SHARES, ""),
    ("confidence as a word", confident("high"), SHARES, "counts as not stated"),
    ("confidence 7", fixture_reply(confidence=7), SHARES, "counts as not stated"),
    ("a word for one class", fixture_reply(confidence={"overall": 0.6, "classes": {"tan": "low"}}), SHARES, "counts as not stated"),
    ("percent text", shared({k: f"{100 * v:g}%" for k, v in SHARES.items()}), SHARES, "percentages written as text"),
    ("percent text with a space", shared({k: f"{100 * v:g} %" for k, v in SHARES.items()}), SHARES, "percentages written as text"),
    ("16.7%", shared(dict.fromkeys(SIX, "16.7%")), dict.fromkeys(SIX, 1 / 6), "sum to 100.2, taken for rounding"),
    ("comma for a point", shared(dict.fromkeys(SIX, "16,7 %")), dict.fromkeys(SIX, 1 / 6), "percentages written as text"),
    ("percentages to 100", shared({k: 100 * v for k, v in SHARES.items()}), SHARES, "as parts of 100"),
    ("percentages to 99.9", shared({k: 100 * v for k, v in SHARES.items()} | {"dark": 14.9}), {k: 100 * v / 99.9 for k, v in (SHARES | {"dark": 0.149}).items()}, "99.9, taken for rounding"),
    ("0.25 as text", shared({k: f"{v}" for k, v in SHARES.items()}), SHARES, "numbers written as text"),
    ("fractions as text", shared(dict.fromkeys(SIX, "1/6")), dict.fromkeys(SIX, 1 / 6), "numbers written as text"),
    ("counts as text", fixture_reply(pictures={k: {"count": str(n)} for k, n in PICTURES.items()}), SHARES, "numbers written as text"),
    ("labels", shared({SCALES["ita6"].labels[k]: v for k, v in SHARES.items()}), SHARES, "go by other names"),
    ("upper case", shared({k.upper(): v for k, v in SHARES.items()}), SHARES, "go by other names"),
    ("upper case throughout", {k.upper(): v for k, v in fixture_reply().items()}, SHARES, ""),
    ("a class of zero left out", shared({k: v for k, v in NO_TAN.items() if k != "tan"}), NO_TAN, "tan left out by it count as 0"),
    ("a class of null", shared(NO_TAN | {"tan": None}), NO_TAN, "tan left out by it count as 0"),
    ("mapping null", fixture_reply(mapping=None), SHARES, ""),
    ("mapping as a table", fixture_reply(mapping={"Branca": ["light", "very_light"]}), SHARES, ""),
    ("why as a list", fixture_reply(why=["One reason.", "Another."]), SHARES, ""),
    ("a wrapper", {"target": fixture_reply()}, SHARES, "the object around its answer"),
    ("two wrappers", {"response": {"result": fixture_reply()}, "status": "ok"}, SHARES, "the object around"),
    ("a wrapper of text", {"answer": GOOD}, SHARES, "the object around its answer"),
    ("a schema filled in", {"type": "object", "properties": fixture_reply()}, SHARES, "the object around"),
    ("classes at the top", {k: v for k, v in fixture_reply().items() if k != "pictures"} | PICTURES, SHARES, "as parts of 100"),
    ("rows in a list", shared([{"class": k, "share": v} for k, v in SHARES.items()]), SHARES, "as parts of 1,"),
    ("ranges as pairs", fixture_reply(pictures={k: {"count": n, "range": [n, n + 2]} for k, n in PICTURES.items()}), SHARES, ""),
    ("ranges turned round", fixture_reply(pictures={k: {"count": n, "low": n + 1, "high": 0} for k, n in PICTURES.items()}), SHARES, "does not hold its own count"),
    ("a year as text", fixture_reply(citations=[CITATION | {"year": "2022"}]), SHARES, "year of its citation 1 was text"),
    ("a year in words", fixture_reply(citations=[CITATION | {"year": "soon"}]), SHARES, "is no year and was left out"),
    ("one citation alone", fixture_reply(citations=CITATION), SHARES, ""),
    ("placeholders kept", fixture_reply(citations=[CITATION, CITATION | {"title": "<title>"}]), SHARES, "citation 2 was left out: title"),
    ("a reserved name", fixture_reply(citations=[CITATION, CITATION | {"url": "https://www.example.com/nurses"}]), SHARES, "www.example.com is a name reserved for examples"),
    ("sum .95 (a 1.5B model)", shared({k: 0.95 * v for k, v in SHARES.items()}), SHARES, "0.95 and not to 1"),
    ("sum 1.05 (a 1.5B model)", shared({k: 1.05 * v for k, v in SHARES.items()}), SHARES, "1.05 and not to 1"),
    ("sum .90 (a 1.5B model)", shared({k: 0.9 * v for k, v in SHARES.items()}), SHARES, "0.9 and not to 1"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "shares", "note"), [k[1:] for k in TAKEN], ids=[k[0] for k in TAKEN])
def test_a_reply_of_this_kind_is_taken(content: Any, shares: dict[str, float], note: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    proposal = parse_reply(text, "ita6")
    assert proposal.shares == pytest.approx(shares, abs=1e-9)
    assert note in " ".join(proposal.notes)
    if not note:
        assert not [n for n in proposal.notes if "confidence" not in n]
    assert proposal.about == "Nurses at work in the fixture country."
    assert [c.title for c in proposal.citations] == ["Fixture census"]
    assert proposal.citations[0].year == (None if "no year" in note else 2022)


ECHOED_SCHEMA = Question("a nurse").schema
REFUSED: list[tuple[str, Any, str]] = [
    ("-4 of a 135M model", shared(SHARES | {"tan": -4}), "tan is below 0"),
    ("-4 pictures", fixture_reply(pictures=pictures(PICTURES) | {"tan": {"count": -4}}), "tan is below 0"),
    ("sum 2.31 of a 135M model", shared(doubled(dark=0.61)), "pictures sum to 2.31 and not to 100"),
    ("sum .6 of a 135M model", shared({k: 0.6 * v for k, v in SHARES.items()}), "sum to 0.6 and not to 1"),
    ("sum 2.9 of a 0.5B model", shared(doubled(dark=1.2)), "sum to 2.9 and not to 100"),
    ("sum 3 of a 0.5B model", shared({k: 3 * v for k, v in SHARES.items()}), "sum to 3 and not to 100"),
    ("sum 1.77 of a 0.5B model", shared(doubled(dark=0.07)), "sum to 1.77 and not to 1"),
    ("sum 5.4 of a 0.5B model", shared(dict.fromkeys(SIX, 0.9)), "sum to 5.4 and not to 100"),
    ("sum 1.2 of a 0.5B model", shared(dict.fromkeys(SIX, 0.2)), "sum to 1.2 and not to 1"),
    ("sum .54 of a 0.5B model", shared(dict.fromkeys(SIX, 0.09)), "sum to 0.54 and not to 1"),
    ("sum 89", fixture_reply(pictures=pictures(PICTURES | {"dark": 4})), "sum to 89 and not to 100"),
    ("sum 111", fixture_reply(pictures=pictures(PICTURES | {"dark": 26})), "sum to 111 and not to 100"),
    ("all zero", fixture_reply(pictures=pictures(dict.fromkeys(SIX, 0))), "pictures sum to 0 and not to 100"),
    ("the schema echoed", ECHOED_SCHEMA, "gave a JSON Schema back"),
    ("the form echoed", skeleton(SCALES["ita6"]), "gave the form back"),
    ("the form with numbers alone", skeleton(SCALES["ita6"]).replace("<n>", "5"), "sum to 30 and not"),
    (
        "words of the form kept",
        fixture_reply(about="<sentence>"),
        "about is still the <sentence> of the form",
    ),
    ("cut off", GOOD[: len(GOOD) // 2], "no complete JSON object"),
    ("cut off after a draft", f"{DRAFT} Better: {GOOD[:200]}", "a JSON object without end"),
    ("two that differ", f"{DRAFT}\n{GOOD}", "holds 2 complete JSON objects"),
    ("thinking without an answer", f"<think>{GOOD}", "thought aloud to the end"),
    ("an answer that is thinking", f"{GOOD}</think>", "thought aloud to the end"),
    ("channels without a final one", f"<|channel|>analysis<|message|>{GOOD}<|end|>", "thought aloud"),
    ("no classes", {"about": "x", "why": "y", "White": 0.5, "Black": 0.5}, "no number of pictures"),
    ("a class twice", shared({"Dark": 0.15} | SHARES), "the class dark is given twice"),
    ("a class left out, sum .95", shared({k: v for k, v in SHARES.items() if k != "tan"}), "shares lack tan"),
    ("most classes left out", shared({"dark": 1.0, "tan": 0.0}), "shares lack very_light, light, inter"),
    ("a number in words", shared(SHARES | {"tan": "about a fifth"}), "tan has no number but 'about a"),
    ("true as a number", shared(SHARES | {"tan": True}), "tan has no number"),
    ("a count without a number", fixture_reply(pictures=pictures(PICTURES) | {"tan": {}}), "tan has no"),
    ("too large a number", shared(SHARES | {"tan": 10**400}), "tan has no number"),
]


@pytest.mark.parametrize(("content", "reason"), [k[1:] for k in REFUSED], ids=[k[0] for k in REFUSED])
def test_a_reply_of_this_kind_is_refused(content: Any, reason: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(RejectedReply) as refused:
        parse_reply(text, "ita6")
    assert reason in refused.value.reason


def test_kinds_are_as_many_as_are_promised() -> None:
    assert len(TAKEN) + len(REFUSED) >= 30
    assert len({name for name, *_ in [*TAKEN, *REFUSED]}) == len(TAKEN) + len(REFUSED)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("named", ["classes", "labels", "upper"])
def test_every_scale_is_read_by_class_and_by_label(scale: str, named: str) -> None:
    found = SCALES[scale]
    share = 1 / len(found.classes)
    names = {"classes": {}, "labels": found.labels, "upper": {k: k.upper() for k in found.classes}}[named]
    proposal = parse_reply(json.dumps(shared({names.get(k, k): share for k in found.classes})), scale)
    assert proposal.shares == pytest.approx(dict.fromkeys(found.classes, share))


def test_ranges_and_confidence_are_read_as_shares() -> None:
    told = fixture_reply(
        pictures={k: {"count": n, "low": n - 5, "high": n + 10} for k, n in PICTURES.items()},
        confidence={"overall": "85%", "classes": {"Tan": 60, "dark": "no idea"}},
    )
    proposal = parse_reply(json.dumps(told), "ita6")
    assert proposal.ranges["tan"] == pytest.approx((0.15, 0.3))
    assert proposal.confidence == 0.85
    assert proposal.class_confidence == {"tan": 0.6}
    assert parse_reply(GOOD, "ita6").confidence is None


SCHEMA: Schema = {"name": "target", "schema": ECHOED_SCHEMA}

PARTS = [{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": GOOD}]
CALL = [{"id": "1", "type": "function", "function": {"name": "answer", "arguments": GOOD}}]
WRAPPED: list[tuple[str, dict[str, Any], str]] = [
    ("separate reasoning", {"content": GOOD, "reasoning_content": DRAFT}, "text"),
    ("a list of parts", {"content": PARTS}, "parts"),
    ("a list of text", {"content": [GOOD]}, "parts"),
    ("an object that was read already", {"content": fixture_reply()}, "parts"),
    ("a tool call", {"content": None, "tool_calls": CALL}, "tool call"),
    ("a tool call beside empty text", {"content": "", "tool_calls": CALL}, "tool call"),
    ("a function call", {"content": None, "function_call": CALL[0]["function"]}, "tool call"),
]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
@pytest.mark.parametrize(("message", "form"), [k[1:] for k in WRAPPED], ids=[k[0] for k in WRAPPED])
def test_what_a_server_wraps_is_unwrapped(message: dict[str, Any], form: str, whole: bool) -> None:
    content = message.pop("content") if whole else None
    turn = replies(content, as_is=True, **message) if whole else streams(message)
    with serving(turn) as server:
        reply = say(Endpoint.named("m", server.url), "a question", schema=SCHEMA)
    message["content"] = content
    assert reply.form == form
    assert parse_reply(reply.text, "ita6").shares == pytest.approx(SHARES)
    assert unusable("ita6")(reply) is None


def test_thinking_alone_is_no_answer() -> None:
    with serving(streams({"reasoning_content": GOOD}, finish="length")) as server:
        reply = say(Endpoint.named("m", server.url), "a question")
    assert unusable("ita6")(reply) == "it thought aloud and gave no answer (it ran out of tokens)"


def test_a_refusal_is_an_answer() -> None:
    for reply in (
        RawReply(text="No.", refused=True, structured=True, asked_at="2026-11-28T00:00:00Z"),
        RawReply(text="", finish="content_filter", structured=True, asked_at="2026-11-28T00:00:00Z"),
    ):
        assert unusable("ita6")(reply) is None
