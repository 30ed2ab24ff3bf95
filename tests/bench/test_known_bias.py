"""The known-bias bench: the table, what is measured beside it, result files, and methods that are run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairgen.bench import leaderboard, load_result, measured_bias, result_schema
from fairgen.bench.entries import SHIPPED
from fairgen.common.documents import write_document
from fairgen.errors import UserError
from fairgen.models.known_bias import KNOWN_BIAS_FILE, KnownBias, KnownBiasRow, ToneLaw, load_known_bias
from skin_tone.scales import SCALES
from tests.doubles.known_bias_results import result

ROOT = Path(__file__).resolve().parents[2]
CLASSES = SCALES["ita6"].classes
UNIFORM = dict.fromkeys(CLASSES, 1 / 6)
LAWS = st.builds(ToneLaw, low=st.floats(-80, -20), high=st.floats(20, 80), uniform_share=st.floats(0, 1))


def table(*means: float, spread: float = 10.0, share: float = 0.1) -> KnownBias:
    return KnownBias(
        model="a double",
        quantity="ITA",
        note="made up",
        law=ToneLaw(low=-72, high=67, uniform_share=share),
        rows=tuple(
            KnownBiasRow(prompt=f"a portrait of {k}", phrase=str(k), group="", mean=mean, spread=spread)
            for k, mean in enumerate(means)
        ),
    )


# The table --------------------------------------------------------------------------------------------


@given(LAWS, st.floats(-90, 90), st.floats(1, 60))
def test_the_expected_mean_lies_on_the_ramp(law: ToneLaw, mean: float, spread: float) -> None:
    row = KnownBiasRow(prompt="p", phrase="p", group="", mean=mean, spread=spread)
    bias = KnownBias(model="m", quantity="q", note="n", law=law, rows=(row,))
    assert law.low - 1e-6 <= bias.expected_mean(row) <= law.high + 1e-6


def shares_by(law: ToneLaw, row: KnownBiasRow) -> dict[str, float]:
    """Class of ita6 -> its probability by the law, computed apart from fairgen."""
    from scipy.stats import truncnorm, uniform

    ends = ((end - row.mean) / row.spread for end in (law.low, law.high))
    cut, even = truncnorm(*ends, loc=row.mean, scale=row.spread), uniform(law.low, law.high - law.low)
    share = law.uniform_share
    borders = np.array([np.inf, *SCALES["ita6"].borders, -np.inf])
    below = share * even.cdf(borders) + (1 - share) * cut.cdf(borders)
    return dict(zip(CLASSES, (below[:-1] - below[1:]).tolist(), strict=True))


def test_the_law_is_what_the_renderer_draws_from() -> None:
    from tools.portraits.contexts import CONTEXTS
    from tools.portraits.known_bias import known_bias

    bias, rng = known_bias(), np.random.default_rng(0)
    for k in (0, 14, 29, 33):
        drawn = [CONTEXTS[k].draw_ita(rng) for _ in range(4000)]
        row = bias.rows[k]
        assert row.phrase == CONTEXTS[k].phrase
        assert bias.expected_mean(row) == pytest.approx(np.mean(drawn), abs=2)
        read = [SCALES["ita6"].classify(ita) for ita in drawn]
        for name, share in shares_by(bias.law, row).items():
            assert share == pytest.approx(read.count(name) / len(read), abs=0.03)


@pytest.mark.embedded
def test_the_table_that_ships_is_the_one_that_made_the_bias(embedded_model: Path) -> None:
    from tools.portraits.known_bias import known_bias

    shipped = load_known_bias(embedded_model)
    assert shipped == known_bias()
    assert shipped is not None
    listed = (ROOT / "assets" / "prompts" / "occupations.txt").read_text("utf-8").splitlines()
    assert [row.prompt for row in shipped.rows] == [x for x in listed if x and not x.startswith("#")]


@given(st.lists(st.floats(-60, 60), min_size=1, max_size=40), st.integers(1, 50))
def test_prompts_are_spread_over_the_table(means: list[float], count: int) -> None:
    bias = table(*means)
    places = bias.spread_out(count)
    assert places == sorted(set(places))
    assert len(places) == min(count, len(means))
    if count > 1:
        chosen = [bias.rows[k].mean for k in places]
        assert {max(means), min(means)} <= set(chosen)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": []}, "rows"),
        ({"colour": "red"}, "colour"),
        ({"law": {"low": 10, "high": -10, "uniform_share": 0}}, "low must be below high"),
    ],
)
def test_a_broken_table_is_one_sentence(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    assert load_known_bias(tmp_path) is None
    path = tmp_path / KNOWN_BIAS_FILE
    path.write_text(json.dumps(table(1.0).model_dump(mode="json") | change))
    with pytest.raises(UserError, match="is no table of a known bias") as error:
        load_known_bias(tmp_path)
    assert says in str(error.value)
    path.write_text("no JSON")
    with pytest.raises(UserError, match="is no table"):
        load_known_bias(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="no UTF-8"):
        load_known_bias(tmp_path)


def test_a_prompt_stands_once() -> None:
    rows = table(1.0).rows * 2
    with pytest.raises(ValueError, match="more than once"):
        KnownBias(model="m", quantity="q", note="n", law=table(1.0).law, rows=rows)


# What is measured beside it ---------------------------------------------------------------------------


def _drawn(bias: KnownBias, count: int, seed: int = 0) -> dict[str, list[float | None]]:
    rng = np.random.default_rng(seed)
    return {
        row.prompt: [float(v) for v in rng.normal(bias.expected_mean(row), 5, count)] for row in bias.rows
    }


def test_a_model_that_learnt_the_table_follows_it() -> None:
    bias = table(55, 40, 20, 0, -20, -40)
    found = measured_bias(bias, _drawn(bias, 40))
    assert found.prompts == 6
    assert found.correlation is not None
    assert found.mean_absolute_error is not None
    assert found.mean_error is not None
    assert found.correlation.value > 0.99
    assert found.mean_absolute_error.value < 2
    for figure in (found.correlation, found.mean_absolute_error, found.mean_error):
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high
    for row in found.rows:
        assert row.mean is not None
        assert row.mean.value == pytest.approx(row.expected_mean, abs=4)


def test_a_model_that_learnt_the_opposite_is_seen() -> None:
    bias = table(50, 20, -20, -50)
    readings = _drawn(bias, 10)
    turned = dict(zip(readings, reversed(list(readings.values())), strict=True))
    found = measured_bias(bias, turned)
    assert found.correlation is not None
    assert found.correlation.high is not None
    assert found.correlation.high < -0.9


def test_intervals_cover_the_sampler() -> None:
    """95 % intervals of the mean error, over 40 samples from models that are 3 degrees too light."""
    bias, inside = table(40, 0, -40), 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        readings = {
            row.prompt: [float(v) for v in rng.normal(bias.expected_mean(row) + 3, 8, 20)]
            for row in bias.rows
        }
        figure = measured_bias(bias, readings).mean_error
        assert figure is not None
        assert figure.low is not None
        assert figure.high is not None
        inside += figure.low <= 3 <= figure.high
    assert inside >= 33  # binomial(40, .95): fewer in 1 of 3,000


def test_prompts_without_readings_are_said_and_left_out() -> None:
    bias = table(50, 20, -20)
    readings: dict[str, list[float | None]] = {
        "a portrait of 0": [50.0, 52.0, None],
        "a portrait of 1": [None, 3.0],
    }
    found = measured_bias(bias, readings)
    assert found.prompts == 1
    assert found.correlation is None
    assert [(row.read, row.pictures) for row in found.rows] == [(2, 3), (1, 2), (0, 0)]
    assert [row.mean is None for row in found.rows] == [False, True, True]
    with pytest.raises(ValueError, match="no prompt of the table"):
        measured_bias(bias, {"another": [1.0]})
    with pytest.raises(ValueError, match="not finite"):
        measured_bias(bias, {"a portrait of 0": [float("nan"), 1.0]})


def test_readings_without_spread_have_no_interval() -> None:
    bias = table(50, 20, -20)
    found = measured_bias(bias, {row.prompt: [row.mean, row.mean] for row in bias.rows})
    assert found.correlation is not None
    assert found.correlation.value == pytest.approx(1)
    assert found.correlation.low is None


# Result files -----------------------------------------------------------------------------------------


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    done = result(shift=2)
    write_document(done, tmp_path / "mine.json")
    assert load_result(tmp_path / "mine.json") == done
    assert done.figures.tv is not None
    assert done.figures.tv.mean == pytest.approx(1 / 6)
    assert done.figures.not_read == 0
    assert done.figures.not_read_second == pytest.approx(1 / 6)
    assert done.figures.generated_per_kept == pytest.approx(7 / 6)
    assert done.figures.denoiser_rows_per_kept == pytest.approx(14)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("figures", "tv", "mean"), 0.0, "figure tv does not follow"),
        (("figures", "generated_per_kept"), 1.0, "figure generated_per_kept"),
        (("sets", 0, "tv"), 0.01, "tv of 'a' does not follow"),
        (("sets", 0, "first", "dark"), 40, "more pictures than it has"),
        (("sets", 0, "generated"), 5, "another number of pictures"),
        (("sets", 0, "prompt"), "c", "not those of the plan"),
        (("schema_version",), 2, "schema_version"),
        (("method", "name"), "../x", "method.name"),
        (("method", "url"), "javascript:alert(1)", "method.url"),
    ],
)
def test_figures_that_do_not_follow_from_the_counts_are_refused(
    tmp_path: Path, place: Sequence[str | int], value: object, says: str
) -> None:
    document: Any = result(shift=2).model_dump(mode="json")
    part = document
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="is no result of the known-bias bench") as error:
        load_result(path)
    assert says in str(error.value)


def test_the_schemas_are_published() -> None:
    schema = result_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    published = ROOT / "docs" / "schemas" / "known-bias-result.schema.json"
    assert json.loads(published.read_text("utf-8")) == schema
    jsonschema.validate(result().model_dump(mode="json"), schema)
    table_schema = ROOT / "docs" / "schemas" / "known-bias.schema.json"
    assert json.loads(table_schema.read_text("utf-8")) == KnownBias.model_json_schema()
    jsonschema.validate(table(1.0).model_dump(mode="json"), KnownBias.model_json_schema())


def test_results_that_ship_are_whole_or_absent() -> None:
    found = [load_result(path) for path in sorted((ROOT / "benchmarks" / "known_bias").glob("*.json"))]
    assert {one.method.name for one in found} in (set(), set(SHIPPED))
    assert len(leaderboard(found)) == min(1, len(found)), "made under the same conditions"


def test_only_results_of_the_same_conditions_share_a_table() -> None:
    boards = leaderboard([result("far", shift=3), result("near"), result("other", seed=1)])
    assert [[row[0] for row in board.rows] for board in boards] == [["near", "far"], ["other"]]
    assert all(len(row) == len(board.titles) for board in boards for row in board.rows)
