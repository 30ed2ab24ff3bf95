"""What ships: specs, templates and the JSON Schema."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from fairgen.common.resources import specs_dir
from fairgen.errors import UserError
from fairgen.targets import FairnessSpec, dump_spec, list_specs, load_spec, parse_spec, spec_schema
from fairgen.targets.sources.uniform import uniform_spec
from skin_tone.scales import SCALES
from tests.doubles.spec_documents import FIELDS, documents, specs

HASHES = {
    "by-hand-example": "3eda2576b6c6df58b1ef1825a085e098ea349d199c2f6d97bc8ac5aafb4c6e5c",
    "uniform-ita6": "e61eb350adb7bbb2c3121234a495778f42a159ae76726a9c85c1436240dc45c7",
    "uniform-lmd3": "ca01be6230724dee1be3ec8b29bc273de32d9c3e70fde47e32bb36b7bd57fc75",
    "uniform-monk10": "8713f613c8633007df533a8cb24a0d831706a4c56150fe3d6130f2d980779675",
}
SHIPPED = sorted(p for p in specs_dir().rglob("*.yaml") if not p.stem.endswith("-source"))  # these make specs


def _plain(text: str) -> Any:
    """A document as an editor's schema check sees it: dates are text."""
    data = yaml.safe_load(text)

    def as_text(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: as_text(item) for key, item in value.items()}
        if isinstance(value, list):
            return [as_text(item) for item in value]
        return value.isoformat() if isinstance(value, date | datetime) else value

    return as_text(data)


def test_shipped_specs_load_and_uniform_is_ita6() -> None:
    assert list_specs() == ["by-hand-example", "uniform-ita6", "uniform-lmd3", "uniform-monk10"]
    for name in list_specs():
        assert load_spec(name).name == name
        assert load_spec(name).approved_by is None
    assert load_spec("uniform") == load_spec("uniform-ita6")


@pytest.mark.parametrize("scale", sorted(SCALES))
def test_shipped_uniform_specs_are_what_the_source_makes(scale: str) -> None:
    shipped = load_spec(f"uniform-{scale}")
    assert shipped == uniform_spec(scale).model_copy(update={"declared_on": shipped.declared_on})
    assert len(set(shipped.target.values())) == 1


def test_the_example_by_hand_is_skewed_and_gives_its_reasons() -> None:
    spec = load_spec("by-hand-example")
    assert list(spec.target.values()) == sorted(spec.target.values())
    assert spec.source == "user"
    assert min(len(spec.about), len(spec.why), len(spec.mapping)) > 80


def test_uniform_of_an_unknown_scale_is_refused() -> None:
    with pytest.raises(UserError, match="no scale 'ita7': choose one of"):
        uniform_spec("ita7")


def test_published_schema_is_the_models() -> None:
    published = json.loads((specs_dir() / "fairgen-spec.schema.json").read_text(encoding="utf-8"))
    assert published == spec_schema(), "write it again: see docs or `fairgen.targets.spec_schema`"
    assert published["additionalProperties"] is False
    assert set(published["properties"]) == set(FairnessSpec.model_fields)
    assert set(published["required"]) >= {"name", "scale", "target", "about", "why", "declared_by"}
    rules = [rule for rule in published["allOf"] if "scale" in rule["if"]["properties"]]
    by_scale = {rule["if"]["properties"]["scale"]["const"]: rule["then"] for rule in rules}
    assert by_scale["lmd3"]["properties"]["target"]["required"] == ["light", "medium", "dark"]


def test_shipped_hashes_never_change() -> None:
    assert {name: load_spec(name).content_hash() for name in list_specs()} == {
        name: f"sha256:{digest}" for name, digest in HASHES.items()
    }, "whoever signed a copy of these would find the approval void"


def test_the_template_with_contexts_loads_and_gives_its_reasons() -> None:
    spec = load_spec(specs_dir() / "templates" / "many-contexts.yaml")
    assert spec.target_for("A portrait of a  construction worker")["light"] == 0.4
    assert spec.target_for("a portrait of a CEO")["dark"] == 0.5
    assert set(spec.target_for("a portrait of a nurse").values()) == {1 / 3}
    assert all(context.why for context in spec.contexts)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_documents_are_sound_and_fit_the_schema(path: Path) -> None:
    load_spec(path)
    text = path.read_text(encoding="utf-8")
    Draft202012Validator(spec_schema()).validate(_plain(text))
    named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == specs_dir().resolve() / "fairgen-spec.schema.json"


def test_the_schema_is_sound_itself() -> None:
    Draft202012Validator.check_schema(spec_schema())


@given(specs())
@settings(max_examples=40, deadline=None)
def test_dumped_specs_fit_the_schema(spec: FairnessSpec) -> None:
    Draft202012Validator(spec_schema()).validate(_plain(dump_spec(spec)))
    Draft202012Validator(spec_schema()).validate(spec.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("by hand", {"colour": "red"}),
        ("by hand", {"scale": "ita7"}),
        ("by hand", {"target": {"light": 0.5, "dark": 0.5}}),
        ("by hand", {"target": {**FIELDS["target"], "tan": 0}}),
        ("by hand", {"target": {**FIELDS["target"], "light": -1}}),
        ("by hand", {"target": {**FIELDS["target"], "light": "much"}}),
        ("by hand", {"confidence": {"classes": {"tan": 1}}}),
        ("by hand", {"version": 0}),
        ("by hand", {"source": "llm"}),
        ("by hand", {"source": "guess"}),
        ("by hand", {"declared_on": 2026}),
        ("by hand", {"approved_hash": "sha256:0"}),
        ("asked", {"source": "user"}),
        ("asked", {"elicitation": None}),
        ("asked for each", {"source": "table"}),
        ("contexts", {"contexts": [{"prompts": ["a"], "target": {"light": 1, "dark": 0}}]}),
        ("contexts", {"contexts": [{"prompts": ["a"], "target": {**FIELDS["target"], "tan": 0}}]}),
        ("contexts", {"contexts": [{"prompts": [], "target": FIELDS["target"]}]}),
        ("contexts", {"contexts": [{"target": FIELDS["target"]}]}),
        ("contexts", {"contexts": [{"prompts": ["a"], "target": FIELDS["target"], "scale": "lmd3"}]}),
    ],
)
def test_the_schema_refuses_what_the_model_refuses(kind: str, change: dict[str, Any]) -> None:
    schema = Draft202012Validator(spec_schema())
    data = documents()[kind]
    schema.validate(data)
    assert parse_spec(json.dumps(data))
    bad = {key: value for key, value in (data | change).items() if value is not None}
    assert not schema.is_valid(bad)
    with pytest.raises(UserError):
        parse_spec(json.dumps(bad))
