"""10,000 generated documents: a refusal or a spec, never a traceback, never a wrong acceptance.

Each test counts what it was given, so that the numbers are what they say. A fifth of them is enough for every
day; `make test-exhaustive` gives all.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairgen.targets import FairnessSpec, SpecError, dump_spec, parse_spec
from tests.doubles.plain_rules import SIGNATURE, acceptable, share
from tests.doubles.spec_documents import CITATION, ELICITATION, MINIMAL, WITH_CONTEXTS, documents, specs

CHANGED_DATA, CHANGED_TEXT, NOISE, SOUND = 3_500, 2_500, 3_700, 300
some_or_all = pytest.mark.parametrize("part", [5, pytest.param(1, marks=pytest.mark.exhaustive)])
"""One document in so many is generated."""
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 3, 2020, 0.5, 1e-7, 1e300, math.nan, math.inf, 10**30),
    *("", " ", "x", "uniform", "llm", "user", "table", "ita6", "monk10", "expected", "1/3", "7/0", "2/1"),
    *(
        "2026-11-23",
        "2026-02-30",
        "0",
        "https://example.org",
        "javascript:x",
        "a  NURSE",
        "sha256:",
        "\u202e",
    ),
    *(
        "x" * 301,
        "y" * 4001,
        "a\nb",
        "a\x1bb",
        "na\u00efve",
        [],
        {},
        [1],
        ["x"],
        {"x": 1},
        CITATION,
        ELICITATION,
    ),
    *({"light": 1, "medium": 0, "dark": 0}, {"light": "1/3", "medium": "1/3", "dark": "1/3"}),
]


def _outcome(raw: bytes | str) -> FairnessSpec | SpecError:
    """The spec, or the refusal; anything else that is raised fails the test."""
    try:
        return parse_spec(raw)
    except SpecError as error:
        refusal = error
    assert refusal.problems
    assert "\n" not in str(refusal)
    return refusal


def _places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and index in plain data, as a path."""
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for key, value in children for path in [(*at, key), *_places(value, (*at, key))]]


def _change(data: dict[str, Any], rng: random.Random) -> None:
    """One change: a key taken out, renamed or added, a value replaced or swapped, a number moved."""
    places = _places(data)
    *above, key = rng.choice(places)
    part: Any = data
    for step in above:
        part = part[step]
    match rng.choice(["take out", "replace", "replace", "swap", "perturb", "perturb", "rename", "copy"]):
        case "take out":
            del part[key]
        case "replace":
            part[key] = rng.choice(VALUES)
        case "swap":
            *above, other = rng.choice(places)
            source: Any = data
            for step in above:
                source = source[step]
            part[key], source[other] = source[other], part[key]
        case "perturb":
            numbers = [k for k, v in part.items() if share(v) >= 0] if isinstance(part, dict) else []
            if len(numbers) >= 2:  # moved from one share to another, mostly leaving the sum
                a, b = rng.sample(numbers, 2)
                step = rng.choice([0.25, 0.01, 1e-5, 5e-7, 1e-9])
                part[a] = share(part[a]) + step
                part[b] = share(part[b]) - step * rng.choice([1, 1, 1, 0.5])
        case "rename" if isinstance(part, dict):
            part[rng.choice(["x", f"{key} ", str(key).upper(), "light", "about"])] = part.pop(key)
        case "copy" if isinstance(part, list):
            part.append(part[key])


def _plain(value: Any) -> Any:
    """Detached from shared parts (a swap may even have put a mapping into itself)."""
    return json.loads(json.dumps(value))


@some_or_all
def test_changed_data_is_accepted_exactly_where_the_plain_rules_accept_it(part: int) -> None:
    seen: Counter[str] = Counter()
    sound = {name: json.dumps(data) for name, data in documents().items()}

    @given(st.sampled_from(sorted(sound)), st.integers(1, 3), st.integers(0, 2**64))
    @settings(max_examples=CHANGED_DATA // part, suppress_health_check=[HealthCheck.too_slow])
    def check(kind: str, changes: int, seed: int) -> None:
        rng = random.Random(seed)
        data = json.loads(sound[kind])
        for _ in range(changes):
            if data:
                _change(data, rng)
                try:
                    data = _plain(data)
                except ValueError:  # a mapping inside itself is no document
                    data = {}
        text = json.dumps(data).replace("Infinity", ".inf").replace("NaN", ".nan")
        found = _outcome(text)
        accepted = isinstance(found, FairnessSpec)
        seen["accepted" if accepted else "refused"] += 1
        assert accepted == acceptable(data), (data, found)
        if isinstance(found, FairnessSpec):
            assert {k: found.target[k] for k in data["target"]} == {
                k: share(v) for k, v in data["target"].items()
            }
            for context, declared in zip(found.contexts, data.get("contexts", []), strict=True):
                assert context.target == {k: share(declared["target"][k]) for k in context.target}
            assert parse_spec(dump_spec(found)) == found

    check()
    print(f"changed data: {dict(seen)}")
    assert seen.total() >= CHANGED_DATA // part
    assert seen["accepted"] > CHANGED_DATA / part / 20
    assert seen["refused"] > CHANGED_DATA / part / 2


def _change_text(text: str, rng: random.Random) -> bytes:
    """Lines shuffled, doubled or taken out, indents changed, or bytes flipped."""
    lines = text.splitlines(keepends=True)
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.choice(["swap", "shuffle", "double", "take out", "indent", "bytes", "bytes", "cut"]):
        case "swap":
            lines[first], lines[second] = lines[second], lines[first]
        case "shuffle":
            rng.shuffle(lines)
        case "double":
            lines.insert(second, lines[first])
        case "take out":
            del lines[first]
        case "indent":
            lines[first] = " " * rng.randrange(4) + lines[first].lstrip()
        case "cut":
            return text.encode()[: rng.randrange(len(text))]
        case "bytes":
            raw = bytearray(text.encode())
            for _ in range(rng.randint(1, 3)):
                raw[rng.randrange(len(raw))] = rng.choice(
                    [rng.randrange(256), *b"0123456789:-#'\"{}[]&*!|>%@\n "]
                )
            return bytes(raw)
    return "".join(lines).encode()


def _dates_as_text(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda moment: moment.isoformat()))


@some_or_all
def test_changed_text_is_accepted_only_where_the_plain_rules_accept_it(part: int) -> None:
    seen: Counter[str] = Counter()

    @given(st.sampled_from([MINIMAL, WITH_CONTEXTS]), st.integers(1, 2), st.integers(0, 2**64))
    @settings(max_examples=CHANGED_TEXT // part, suppress_health_check=[HealthCheck.too_slow])
    def check(text: str, changes: int, seed: int) -> None:
        rng = random.Random(seed)
        raw = text.encode()
        for _ in range(changes):
            raw = _change_text(raw.decode("utf-8", "replace") or " ", rng)
        found = _outcome(raw)
        seen["accepted" if isinstance(found, FairnessSpec) else "refused"] += 1
        if isinstance(found, FairnessSpec):
            # PyYAML's own loader is laxer (double keys, 010 is 8), so only agreement lets a document in.
            data = _dates_as_text(yaml.safe_load(raw))
            signature = {key: data.pop(key) for key in SIGNATURE & set(data)}
            assert not any(signature.values())
            assert acceptable(data), raw
            tops = [line.split(b":")[0] for line in raw.splitlines() if line[:1].isalpha()]
            assert len(tops) == len(set(tops)), raw
            assert {k: found.target[k] for k in data["target"]} == {
                k: share(v) for k, v in data["target"].items()
            }
            assert parse_spec(dump_spec(found)) == found

    check()
    print(f"changed text: {dict(seen)}")
    assert seen.total() >= CHANGED_TEXT // part
    assert seen["accepted"] > CHANGED_TEXT / part / 50
    assert seen["refused"] > CHANGED_TEXT / part / 2


@some_or_all
def test_noise_is_refused(part: int) -> None:
    seen: Counter[str] = Counter()
    marks = st.text("abc:-#'\"{}[]&*!|>%@?,0123456789. \n\t<\x00\x85\u2028\ufeff", max_size=120)
    noise = st.binary(max_size=120) | st.text(max_size=120).map(lambda t: t.encode("utf-8", "replace"))

    @given(noise | marks.map(str.encode) | marks.map(lambda t: (MINIMAL + t).encode()))
    @settings(max_examples=NOISE // part, suppress_health_check=[HealthCheck.too_slow])
    def check(raw: bytes) -> None:
        found = _outcome(raw)
        seen["accepted" if isinstance(found, FairnessSpec) else "refused"] += 1
        if isinstance(found, FairnessSpec):  # what followed the document said nothing
            assert raw.startswith(MINIMAL.rstrip().encode())
            assert found.model_copy(update={"declared_on": None}) == parse_spec(MINIMAL).model_copy(
                update={"declared_on": None}
            )

    check()
    print(f"noise: {dict(seen)}")
    assert seen.total() >= NOISE // part
    assert seen["refused"] > NOISE / part / 2


@some_or_all
def test_sound_specs_survive_dump_and_parse(part: int) -> None:
    seen: Counter[str] = Counter()

    @given(specs())
    @settings(max_examples=SOUND // part, suppress_health_check=[HealthCheck.too_slow])
    def check(spec: FairnessSpec) -> None:
        again = parse_spec(dump_spec(spec))
        assert again == spec
        assert again.content_hash() == spec.content_hash()
        assert again.approval == spec.approval
        seen["with contexts" if spec.contexts else "one target"] += 1

    check()
    print(f"sound: {dict(seen)}")
    assert seen.total() >= SOUND // part
    assert min(seen.values()) > SOUND / part / 10


def test_the_numbers_add_up() -> None:
    assert CHANGED_DATA + CHANGED_TEXT + NOISE + SOUND == 10_000
