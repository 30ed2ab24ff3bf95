"""Two runs compared that have unequal counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairgen.scoring import compare
from fairgen.scoring.across import interval_over
from fairgen.scoring.compare import compare_runs
from tests.doubles import fake_audit
from tests.doubles.fake_audit import write_fake_audit

PROMPTS = [(f"a portrait of number {i}", "high") for i in range(16)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One sampler, 6 pictures a prompt and 30."""
    folder = tmp_path_factory.mktemp("compare")
    few, many = (
        write_fake_audit(folder / str(count), PROMPTS, count=count, arms=("none",)) for count in (6, 30)
    )
    return few, many


def test_runs_of_one_sampler_at_unequal_counts_do_not_differ(runs: tuple[Path, Path]) -> None:
    found = compare_runs(*runs)
    (arm,) = found.arms
    assert arm.prompts == len(PROMPTS)
    small, large = arm.first_pass_tv
    assert small is not None
    assert large is not None
    assert small - large > 0.04, "with fewer pictures a set is further off by chance alone"
    assert arm.interval is not None
    assert arm.interval[0] < 0 < arm.interval[1]
    assert arm.p_value is not None
    assert arm.p_value > 0.05
    gaps = [one.first_pass_difference for one in found.sets]
    assert abs(sum(gap for gap in gaps if gap is not None)) / len(gaps) < (small - large) / 2
    assert not any(one.p_holm is not None and one.p_holm <= 0.05 for one in found.sets)
    assert any("another count of pictures" in problem for problem in found.problems)


def test_steered_sets_of_unequal_count_are_not_tested(tmp_path: Path) -> None:
    """Both hit their quotas exactly; a part of the larger set would not."""
    few, many = (
        write_fake_audit(tmp_path / str(count), PROMPTS[:6], count=count, arms=("none", "embedding"))
        for count in (6, 12)
    )
    found = compare_runs(few, many)
    steered = [one for one in found.sets if one.arm == "embedding"]
    assert len(steered) == 6
    assert all(one.p_value is one.first_pass_difference is None for one in steered)
    assert all(one.p_value is not None for one in found.sets if one.arm == "none")
    assert {arm.arm: arm.p_value is None for arm in found.arms} == {"none": False, "embedding": True}
    assert any("6 rows are not compared" in problem for problem in found.problems)
    again = compare_runs(few, few)
    assert all(one.p_value is not None and one.first_pass_difference == 0 for one in again.sets)


def test_a_steered_set_that_was_stopped_is_not_tested() -> None:
    def read(made: int) -> compare._Read:
        first: dict[int, str | None] = dict(enumerate(("a", "b", "c") * made))
        target = dict.fromkeys("abc", 1 / 3)
        return compare._Read("x", "embedding", None, "lmd3", target, 12, None, first, True, steered=True)

    assert compare._compared(read(4), read(4), 99).p_value is not None
    assert compare._compared(read(4), read(2), 99).p_value is None
    assert len(compare._unequal([(read(4), read(2))])) == 1


def test_turned_round_it_says_the_same(runs: tuple[Path, Path]) -> None:
    one, other = compare_runs(*runs), compare_runs(*reversed(runs))
    assert one.arms[0].p_value == pytest.approx(other.arms[0].p_value)
    assert one.arms[0].interval is not None
    assert other.arms[0].interval is not None
    assert one.arms[0].interval == pytest.approx([-x for x in reversed(other.arms[0].interval)], abs=0.02)


def test_seeds_that_reached_no_model_make_no_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = PROMPTS[:1]
    seeded = write_fake_audit(tmp_path / "seeded", prompts, count=6, arms=("none",))
    monkeypatch.setattr(fake_audit, "MODEL", fake_audit.MODEL.model_copy(update={"seeded": False}))
    service = write_fake_audit(tmp_path / "service", prompts, count=6, arms=("none",))
    assert compare_runs(seeded, seeded).sets[0].paired
    assert not compare_runs(service, service).sets[0].paired
    assert not compare_runs(seeded, service).sets[0].paired


def test_one_row_of_520_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holm multiplies its p-value by 520, and 9,999 draws leave none below .0001."""

    def read(folder: Path, _: list[str]) -> dict[tuple[str, str], compare._Read]:
        sets: list[tuple[str, ...]] = [("a", "b")] * 519
        sets.append(("a",) * 40 if folder == Path("first") else ("a", "b", "c", "c") * 10)
        target = {"a": 0.2, "b": 0.3, "c": 0.5}
        return {
            (str(number), "none"): compare._Read(
                str(number), "none", None, "lmd3", target, len(tones), None, dict(enumerate(tones)), False
            )
            for number, tones in enumerate(sets)
        }

    monkeypatch.setattr(compare, "_read", read)
    monkeypatch.setattr(compare, "FEWEST", 1_000)  # the test over prompts is not looked at
    monkeypatch.setattr(compare, "interval_over", lambda *_: None)
    found = compare_runs(Path("first"), Path("second"))
    assert [one.prompt for one in found.sets if one.p_holm is not None and one.p_holm < 0.05] == ["519"]


def test_an_interval_over_prompts_is_given_for_ten_or_more() -> None:
    assert interval_over([0.1] * 9, (0.0, 1.0)) is None
    found = interval_over([0.1] * 10, (0.0, 1.0))
    assert found is not None
    assert found[0] < 0.1 < found[1], "prompts that were not seen may differ"
