"""One message to an endpoint: how it is bounded, what is kept of a stream, what a refusal changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairgen.targets.sources.combining import unusable
from fairgen.targets.sources.endpoint import Endpoint, NoReply, Schema
from tests.doubles.llm_server import (
    Handler,
    Turn,
    breaks,
    drops,
    fails,
    fixture_reply,
    never_ends,
    replies,
    said,
    say,
    sends,
    serving,
    stalls,
    streams,
)

GOOD = json.dumps(fixture_reply())
SCHEMA: Schema = {"name": "answer", "schema": {"type": "object"}}


def refuses(words: str, *, unless: Any, status: int = 400) -> Turn:
    """An error with these words until a request's body is as wanted, then a chat completion."""

    def turn(handler: Handler) -> None:
        (replies("fine") if unless(handler.asked.body) else fails(status, words))(handler)

    return turn


def test_a_system_and_a_user_message_are_sent_and_the_text_comes_back() -> None:
    with serving(streams({"content": "Seventeen."})) as server:
        reply = say(Endpoint.named("m", server.url), "How many?", system="You count.", max_tokens=99)
    [request] = server.requests
    assert request.body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You count."},
            {"role": "user", "content": "How many?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 99,
    }
    assert (reply.text, reply.finish, reply.structured) == ("Seventeen.", "stop", False)
    assert (reply.tokens_in, reply.tokens_out) == (900, 300)


@pytest.mark.parametrize("whole", [True, False])
def test_a_stream_that_stalls_is_kept(whole: bool) -> None:
    text = GOOD if whole else GOOD[:200]
    with serving(streams({"content": text}, then=stalls)) as server:
        reply = say(Endpoint.named("m", server.url, seconds=3.0), "a question")
        assert len(server.requests) == 1
    assert reply.text == text
    assert reply.finish == "stalled"
    reason = unusable("ita6")(reply)
    assert reason is None if whole else reason is not None and reason.endswith("(the stream stalled)")


def test_a_stream_that_breaks_is_tried_again_and_then_kept() -> None:
    with serving(streams({"content": "half a"}, then=breaks), streams({"content": "whole"})) as server:
        assert say(Endpoint.named("m", server.url), "a question").text == "whole"
    with serving(streams({"content": "half a"}, then=breaks)) as server:
        reply = say(Endpoint("m", server.url, retries=1), "a question")
        assert len(server.requests) == 2
    assert (reply.text, reply.finish) == ("half a", "broken off")


def test_a_stream_without_text_is_no_reply() -> None:
    with (
        serving(streams({}, then=stalls)) as server,
        pytest.raises(NoReply, match=r"no answer within 0\.3 seconds"),
    ):
        say(Endpoint.named("m", server.url, seconds=0.3), "a question")
    with serving(streams({}, then=breaks)) as server, pytest.raises(NoReply, match="fixture trouble"):
        say(Endpoint("m", server.url, retries=0), "a question")
    with serving(drops(said("x"))) as server, pytest.raises(NoReply, match="the connection failed"):
        say(Endpoint("m", server.url, retries=0), "a question")


def test_a_reply_that_never_ends_is_hung_up_on() -> None:
    with serving(streams({"content": "start "}, then=never_ends)) as server:
        reply = say(Endpoint.named("m", server.url), "a question", max_tokens=60)
        assert server.hung_up.wait(10)
    assert reply.finish == "length"
    assert 50 <= reply.text.count("word") <= 60
    assert server.flooded < 5_000


REFUSALS: list[tuple[str, str, Any, dict[str, Any]]] = [
    (
        "too many for the model",
        "max_tokens is too large: 4096. This model supports at most 1024 completion tokens.",
        lambda body: body["max_tokens"] <= 1024,
        {"max_tokens": 1024},
    ),
    (
        "too many for the context",
        "This model's maximum context length is 2048 tokens. However, you requested 5000 tokens.",
        lambda body: body["max_tokens"] <= 600,
        {"max_tokens": 512},
    ),
    (
        "another name",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
        lambda body: "max_tokens" not in body,
        {"max_completion_tokens": 4096},
    ),
    (
        "no count of tokens",
        "Unrecognized request argument supplied: stream_options",
        lambda body: "stream_options" not in body,
        {"max_tokens": 4096},
    ),
    (
        "no schema",
        "response_format is not supported",
        lambda body: "response_format" not in body,
        {"max_tokens": 4096},
    ),
]


@pytest.mark.parametrize(
    ("words", "unless", "holds"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_what_a_server_refuses_is_left_out(words: str, unless: Any, holds: dict[str, Any]) -> None:
    with serving(refuses(words, unless=unless)) as server:
        reply = say(Endpoint.named("m", server.url), "a question", schema=SCHEMA)
        body = server.requests[-1].body
    assert reply.text == "fine"
    assert holds.items() <= body.items()
    assert reply.structured == ("response_format" in body)
    assert reply.structured == ("response_format" not in words)


LISTS: list[tuple[str, dict[str, Any], int | None]] = [
    ("llama.cpp", {"id": "x.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 512}}, None),
    ("vLLM", {"id": "m", "owned_by": "vllm", "max_model_len": 3000}, 1500),
    ("vLLM with another model", {"id": "other", "owned_by": "vllm", "max_model_len": 3000}, 4096),
    ("Ollama", {"id": "m", "owned_by": "library"}, 4096),
]


@pytest.mark.parametrize(("model", "tokens"), [row[1:] for row in LISTS], ids=[row[0] for row in LISTS])
def test_a_reply_has_no_more_tokens_than_the_server_allows(model: dict[str, Any], tokens: int | None) -> None:
    """llama.cpp's own bound gives way to that of a request, so there the request has none."""
    with serving(replies("fine")) as server:
        server.models = json.dumps({"object": "list", "data": [model]}).encode()
        say(Endpoint.named("m", server.url), "a question")
    assert server.requests[-1].body.get("max_tokens") == tokens


def test_a_served_model_that_is_a_path_is_named_by_its_file() -> None:
    body = said("fine").replace(b"fixture-model", b"/home/somebody/llama.gguf")
    with serving(sends(body)) as server:
        assert say(Endpoint.named("m", server.url), "a question").served_model == "llama.gguf"
    with serving(sends(said("fine").replace(b"fixture-model", b"Qwen/Qwen2.5-7B"))) as server:
        assert say(Endpoint.named("m", server.url), "a question").served_model == "Qwen/Qwen2.5-7B"
