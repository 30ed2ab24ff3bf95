"""One run with abstentions, discards and fills: whatever shows its figures shows the same, named alike."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fairgen import cli, stats
from fairgen.loop.session import run_session
from fairgen.report import write_report
from fairgen.runs import Run, SetFigures, read_run
from fairgen.targets import load_spec
from fairgen.ui.parts.chart import live_chart
from fairgen.ui.work.folders import RunFolder
from fairgen.ui.work.live import LiveSet
from tests.doubles.session_doubles import ConfusedGenerator, InfoReader

ARMS = ("none", "prompt")
COUNT = 12
ALIASES = {
    "wanted": "count",
    "counted": "kept",
    "not_read": "abstained",
    "reasons": "abstentions",
    "chance_tv": "noise_floor_tv",
}
"""What report.json called a value until 0.1.0 -> its one name."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("agreement") / "run"
    for arm in ARMS:
        model = ConfusedGenerator(spread=22.0, plain=45.0, unreadable=0.3)
        for _ in run_session(
            model,
            InfoReader(),
            "a portrait of a doctor",
            load_spec("uniform"),
            COUNT,
            steering=arm,
            max_tries=2,
            seed=3,
            out_dir=out,
            session=arm,
        ):
            pass
    write_report(out)
    return out


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return read_run(folder)


def recorded(run: Run, arm: str) -> dict[str, Any]:
    summary = run.sessions[arm].summary
    assert summary is not None
    return summary.model_dump(mode="json")


def test_the_run_has_all_that_makes_figures_differ(run: Run) -> None:
    plain, steered = (recorded(run, arm) for arm in ARMS)
    assert plain["missing"] > 0
    assert steered["discarded"] > 0
    assert steered["filled"] > 0
    assert steered["abstained"] > 0
    assert steered["missing"] > 0
    assert plain["kept"] != plain["count"]


@pytest.mark.parametrize("arm", ARMS)
def test_the_chance_floor_is_of_the_pictures_that_the_distance_is_of(run: Run, arm: str) -> None:
    summary = recorded(run, arm)
    assert summary["kept"] == sum(summary["measured"].values())
    assert summary["tv"] == stats.total_variation(summary["measured"], summary["target"])
    assert summary["noise_floor_tv"] == stats.noise_floor(summary["target"], summary["kept"])
    assert summary["noise_floor_tv"] > stats.noise_floor(summary["target"], summary["count"])


@pytest.mark.parametrize("arm", ARMS)
def test_summary_json_says_what_the_run_file_says(run: Run, folder: Path, arm: str) -> None:
    written = json.loads((folder / "summary.json").read_text("utf-8"))["sessions"]
    assert written[ARMS.index(arm)] == recorded(run, arm)


@pytest.mark.parametrize("arm", ARMS)
def test_report_json_has_the_same_values_by_the_same_names(run: Run, folder: Path, arm: str) -> None:
    report = json.loads((folder / "report.json").read_text("utf-8"))
    (prompt,) = report["prompts"]
    found, summary = prompt["sets"][arm], recorded(run, arm)
    for name in SetFigures.model_fields:
        assert found[name] == summary[name], name
    for old, name in ALIASES.items():
        assert found[old] == summary[name], old
    of_arm = next(one for one in report["arms"] if one["arm"] == arm)
    for name in (
        "tv",
        "first_pass_tv",
        "noise_floor_tv",
        "alignment_error",
        "kept",
        "generated",
        "abstained",
    ):
        assert of_arm[name] == pytest.approx(summary[name], abs=1e-15), name


@pytest.mark.parametrize("arm", ARMS)
def test_the_tables_have_the_same_values_by_the_same_names(run: Run, folder: Path, arm: str) -> None:
    with (folder / "sets.csv").open(encoding="utf-8", newline="") as file:
        text = next(row for row in csv.DictReader(file) if row["arm"] == arm)
    typed = next(row for row in pq.read_table(folder / "sets.parquet").to_pylist() if row["arm"] == arm)
    summary = recorded(run, arm)
    shared = sorted(set(SetFigures.model_fields) & set(text))
    assert {"count", "kept", "tv", "noise_floor_tv", "alignment_error", "fd", "kl", "abstained"} <= set(
        shared
    )
    for name in shared:
        assert typed[name] == summary[name], name
        assert float(text[name]) == summary[name], name
    for key, number in summary["measured"].items():
        assert typed[f"measured_{key}"] == int(text[f"measured_{key}"]) == number
    with (folder / "pictures.csv").open(encoding="utf-8", newline="") as file:
        pictures = [row for row in csv.DictReader(file) if row["arm"] == arm]
    assert len(pictures) == summary["generated"]
    assert sum(row["in_set"] == "True" for row in pictures) == summary["kept"]


def test_the_page_shows_the_same_values(run: Run, folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    report = json.loads((folder / "report.json").read_text("utf-8"))["prompts"][0]["sets"]
    sets = [report[arm] for arm in ARMS]
    rows = {
        "Pictures counted": [str(one["kept"]) for one in sets],
        "Total variation (TV)": [f"{one['tv']:.3f}" for one in sets],
        "Chance floor of TV": [f"{one['noise_floor_tv']:.3f}" for one in sets],
        "Alignment error": [f"{one['alignment_error']:.4f}" for one in sets],
        "FD": [f"{one['fd']:.3f}" for one in sets],
        "KL divergence": [f"{one['kl']:.3f}" for one in sets],
        "TV, reading error allowed for": ["{:.2f}–{:.2f}".format(*one["tv_read"]) for one in sets],
        "TV of the first pass": [f"{one['first_pass_tv']:.3f}" for one in sets],
        "Not read": [str(one["abstained"]) for one in sets],
        "Discarded": [str(one["discarded"]) for one in sets],
    }
    for name, values in rows.items():
        pattern = rf"{re.escape(name)}\s+" + r"\s+".join(map(re.escape, values))
        assert re.search(pattern, text), (name, values)


def test_a_score_against_the_same_spec_is_the_same(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["score", str(folder), "--spec", "uniform", "--json"]) == 0
    names = ("measured", "kept", "missing", "first_pass", "first_pass_tv", "noise_floor_tv", "tv", "kl")
    for one in json.loads(capsys.readouterr().out)["sets"]:
        summary = recorded(run, one["session"])
        for name in names:
            assert one[name] == summary[name], name


@pytest.mark.parametrize("arm", ARMS)
def test_the_web_apps_chart_shows_the_same_values(run: Run, folder: Path, arm: str) -> None:
    live = LiveSet.restored(RunFolder("id", "key", "owner", folder), run.sessions[arm])
    chart, summary = live_chart(live), recorded(run, arm)
    report = json.loads((folder / "report.json").read_text("utf-8"))["prompts"][0]["sets"][arm]

    def shown(name: str) -> float:
        found = re.search(rf'{name}="([0-9.]+)"', chart)
        assert found is not None, name
        return float(found[1])

    assert shown("data-tv") == pytest.approx(summary["tv"], abs=1e-6)
    assert shown("data-floor") == pytest.approx(summary["noise_floor_tv"], abs=1e-6)
    counts = dict(re.findall(r'data-class="(\w+)" data-count="(\d+)"', chart))
    assert {key: int(number) for key, number in counts.items()} == summary["measured"]
    figures = live.arm().figures
    assert figures is not None
    assert list(figures.tv_read or ()) == report["tv_read"]
    assert (figures.kept, figures.tv, figures.noise_floor_tv) == (
        summary["kept"],
        summary["tv"],
        summary["noise_floor_tv"],
    )
