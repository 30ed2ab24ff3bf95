"""The known-bias bench: methods that are run, and its command."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from PIL import Image

from fairgen import cli
from fairgen.bench import Made, MeasuredBias, Task, leaderboard, load_result
from fairgen.bench.bench import Bench, Work, _counted
from fairgen.bench.entries import SHIPPED, Entry, find_entry
from fairgen.bench.method import load_method
from fairgen.bench.result import BenchPlan, MethodRecord
from fairgen.bench.running import Asked, Job, Setup, missing_jobs, run_jobs
from fairgen.common.documents import write_document
from fairgen.errors import UserError
from fairgen.models.folder import find_model
from fairgen.models.known_bias import ToneLaw, load_known_bias
from fairgen.runs import ModelInfo
from fairgen.scoring.twins import Likeness
from fairgen.steering import Steering
from fairgen.steering.request import Request
from skin_tone import ToneReading
from skin_tone.scales import SCALES
from tests.doubles.known_bias_results import result
from tests.doubles.session_doubles import INFO, ConfusedGenerator, reading_of

ROOT = Path(__file__).resolve().parents[2]
CLASSES = SCALES["ita6"].classes
UNIFORM = dict.fromkeys(CLASSES, 1 / 6)
LAWS = st.builds(ToneLaw, low=st.floats(-80, -20), high=st.floats(20, 80), uniform_share=st.floats(0, 1))

# Methods ----------------------------------------------------------------------------------------------


@dataclass
class Painter(ConfusedGenerator):
    """Like its base, but the ITA stands in the pixels, so that it survives a file."""

    made: list[str] = field(default_factory=list)
    info: ModelInfo = INFO

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        pictures = super().generate(requests, steering)
        self.made += [request.prompt for request in requests]
        angles = [p.info["ita"] for p in pictures]
        return [Image.new("RGB", (8, 8), (0 if a is None else round(a) + 128, 0, 0)) for a in angles]

    threads: int | None = 1
    pipe: Any = None


class PixelReader:
    """Reads what the painter painted."""

    def read(self, image: Image.Image) -> list[ToneReading]:
        red = image.getpixel((0, 0))
        assert isinstance(red, tuple)
        return [reading_of(float(red[0]) - 128) if red[0] else ToneReading(abstained="no_face")]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("fairgen.scoring.twins.likeness", lambda *_: Likeness(0.1, 2.0))
    plan = BenchPlan(prompts=("a judge", "a chef"), count=12, seed=0, scale="ita6", target=UNIFORM)
    numbers = {"a judge": 0, "a pilot": 1, "a chef": 2}
    reader: Any = PixelReader()
    painter: Any = Painter()
    finder: Any = None
    return Bench(plan, numbers, painter, reader, reader, finder, tmp_path / "work")


def words_by_turns(task: Task) -> Made:
    """Somebody else's method: every class's word in turn."""
    words = ("very fair", "fair", "olive", "tan", "brown", "very dark")
    prompts = [f"{task.prompt} with {words[k % 6]} skin" for k in range(task.count)]
    return Made(task.sample(prompts, task.seeds), task.seeds, task.count)


def test_ones_own_method_is_measured_beside_the_model_left_to_itself(bench: Bench) -> None:
    own = Entry(MethodRecord(name="words-by-turns"), words_by_turns)
    for entry in (SHIPPED["none"], own):
        for prompt in bench.plan.prompts:
            bench.work.keep_set(entry.record.name, bench.run(entry, prompt))
    none, mine = bench.result(SHIPPED["none"], workers=1), bench.result(own, workers=1)
    assert none.model.name == "double", "no path of this machine"
    assert none.figures.tv is not None
    assert mine.figures.tv is not None
    assert mine.figures.tv.mean < 0.3 < none.figures.tv.mean
    assert mine.figures.generated_per_kept == 1
    assert mine.figures.twins == 24
    assert mine.figures.elsewhere_median == 2
    assert mine.figures.denoiser_rows_per_kept is None, "a double has no denoiser"
    (board,) = leaderboard([none, mine])
    assert [row[0] for row in board.rows] == ["words-by-turns", "none"]


def test_shipped_methods_close_the_loop(bench: Bench) -> None:
    from fairgen.bench.entries import SessionMethod

    retried = Entry(MethodRecord(name="retried"), SessionMethod("prompt", tries=4))
    tv = {}
    for entry in (SHIPPED["prompt-variants-open"], retried):
        done = bench.run(entry, "a judge")
        tv[entry.record.name] = done.tv
        assert done.generated >= done.count == 12
    assert tv["retried"] == pytest.approx(0)
    assert tv["prompt-variants-open"] is not None


@pytest.mark.parametrize("name", ["none", "prompt-variants-open"])
def test_pictures_that_cannot_be_read_are_handed_over_too(bench: Bench, name: str) -> None:
    painter: Any = bench.generator
    painter.unreadable = 0.4
    done = bench.run(SHIPPED[name], "a judge")
    assert done.count == done.generated == 12
    assert done.not_read > 0
    assert len(done.twins) == 12


def test_a_broken_off_run_goes_on_where_it_stopped(bench: Bench) -> None:
    calls: list[str] = []

    def stops(task: Task) -> Made:
        calls.append(task.prompt)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return words_by_turns(task)

    asked = Asked("stops:stops")
    entry = Entry(MethodRecord(name="stops"), stops)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fairgen.bench.running.find_entry", lambda *_, **__: entry)
        setup = Setup("a", "cpu", bench.plan, bench.numbers, bench.folder)
        jobs = missing_jobs(bench, [asked], bias=True)
        assert jobs == [Job(p) for p in bench.numbers] + [Job(p, asked) for p in bench.plan.prompts]
        with pytest.raises(KeyboardInterrupt):
            list(run_jobs(bench, setup, jobs))
        left = missing_jobs(bench, [asked], bias=True)
        assert left == [Job("a chef", asked)]
        with pytest.raises(UserError, match="1 sets of 'stops' are missing"):
            bench.result(entry, workers=1)
        assert list(run_jobs(bench, setup, left)) == left
        assert missing_jobs(bench, [asked], bias=True) == []
    assert calls == ["a judge", "a chef", "a chef"]
    assert len(bench.result(entry, workers=1).sets) == 2
    assert set(bench.work.readings()) == set(bench.numbers)
    assert not list(bench.folder.rglob("*.tmp"))


def test_a_line_that_was_cut_off_is_made_again(bench: Bench) -> None:
    done = bench.run(SHIPPED["none"], "a judge")
    bench.work.keep_set("none", done)
    path = bench.folder / "sets" / "none.jsonl"
    path.write_text(path.read_text() + '{"prompt": "a ch')
    assert list(bench.work.sets("none")) == ["a judge"]
    bench.work.keep_set("none", bench.run(SHIPPED["none"], "a chef"))
    assert list(bench.work.sets("none")) == ["a judge", "a chef"]


def test_unsteered_pictures_are_made_once(bench: Bench) -> None:
    painter: Any = bench.generator
    first = bench.read_bias("a pilot")
    assert len(first) == 12
    made = len(painter.made)
    assert bench.read_bias("a pilot") == first
    assert len(painter.made) == made


def test_a_work_folder_belongs_to_one_bench(bench: Bench, tmp_path: Path) -> None:
    Work(bench.folder, bench.plan, bench.model, bench.fingerprint)
    other = bench.plan.model_copy(update={"count": 13})
    with pytest.raises(UserError, match="choose another --work"):
        Work(bench.folder, other, bench.model, bench.fingerprint)
    with pytest.raises(UserError, match="choose another --work"):
        Work(bench.folder, bench.plan, bench.model, "sha256:other")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    with pytest.raises(UserError, match="no work folder"):
        Work(tmp_path / "thesis", bench.plan, bench.model, bench.fingerprint)


def test_sets_of_two_versions_of_a_method_are_not_mixed(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def mine(task):\n    return 1\n")
    first = find_entry(f"{path}:mine").record
    bench.work.claim(first)
    bench.work.claim(first)
    path.write_text("def mine(task):\n    return 2\n")
    with pytest.raises(UserError, match="another 'mine'"):
        bench.work.claim(find_entry(f"{path}:mine").record)


@pytest.mark.parametrize("number", [11, 13])
def test_a_method_that_hands_over_another_number_is_refused(bench: Bench, number: int) -> None:
    def wrong(task: Task) -> Made:
        picture = Image.new("RGB", (8, 8))
        return Made([picture] * number, [None] * number, number)

    with pytest.raises(UserError, match="was asked for 12 pictures"):
        bench.run(Entry(MethodRecord(name="wrong"), wrong), "a judge")


def test_pictures_without_a_seed_have_no_twin(bench: Bench) -> None:
    def unseeded(task: Task) -> Made:
        made = words_by_turns(task)
        return Made(made.pictures, [None] * 11 + [task.seeds[3]], 12)

    done = bench.run(Entry(MethodRecord(name="unseeded"), unseeded), "a judge")
    assert len(done.twins) == 1


def test_rows_of_the_denoiser_are_counted_whoever_calls_it() -> None:
    import torch

    class Pipe:
        unet = torch.nn.Linear(3, 3)

    with _counted(Pipe) as counter:
        Pipe.unet(torch.zeros(8, 3))
        Pipe.unet(torch.zeros(2, 3))
        assert counter.rows == 10
    Pipe.unet(torch.zeros(8, 3))
    assert counter.rows == 10
    with _counted(None) as counter:
        assert counter.rows is None


def test_a_method_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my_method.py"
    path.write_text('def my_way(task):\n    """My way."""\n    return task\n')
    entry = find_entry(f"{path}:my_way", version="2", url="https://example.org/")
    assert entry.record.name == "my-way"
    assert entry.record.description == "My way."
    assert entry.record.version == "2"
    assert callable(load_method("json:loads"))


@pytest.mark.parametrize(
    ("reference", "options", "says"),
    [
        ("nonsense", {}, "There is no method 'nonsense': use none, prompt-variants-open"),
        ("no_such_module:f", {}, "There is no module 'no_such_module'"),
        ("no_such_file.py:f", {}, "There is no file no_such_file.py"),
        ("json:nothing", {}, "json holds no function 'nothing'"),
        (":f", {}, "names no method"),
        ("json:loads", {"name": "none"}, "ships with the bench"),
        ("json:loads", {"name": "A/B"}, "must be small letters"),
        ("json:loads", {"url": "ftp://x"}, "must be a link"),
    ],
)
def test_a_method_that_is_not_there_is_one_sentence(
    reference: str, options: dict[str, str], says: str
) -> None:
    with pytest.raises(UserError) as error:
        find_entry(reference, **options)
    assert says in str(error.value)


def test_a_file_that_is_no_python_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken_method.py"
    path.write_text("def f(:\n")
    with pytest.raises(UserError, match="is no Python"):
        load_method(f"{path}:f")


# The command ------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nonsense"), "There is no method"),
        (("table", "nowhere.json"), "nowhere.json cannot be read"),
        (("run", "none", "--name", "mine"), "for one method of your own"),
    ],
)
def test_mistakes_get_one_sentence_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert cli.run(["bench", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert list(tmp_path.iterdir()) == []


def test_results_are_printed_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for one in (result("far", shift=3), result("near")):
        write_document(one, tmp_path / f"{one.method.name}.json")
    assert cli.run(["bench", "table", "far.json", "near.json"]) == 0
    out = capsys.readouterr().out
    assert out.index("| near ") < out.index("| far ")


@pytest.mark.embedded
def test_ones_own_method_runs_on_the_embedded_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from fairgen.bench import Made\n\n"
        "def dark_alone(task):\n"
        "    prompts = [f'{task.prompt} with very dark skin'] * task.count\n"
        "    return Made(task.sample(prompts, task.seeds), task.seeds, task.count)\n"
    )
    options = ["--prompts", "1", "--count", "2", "--workers", "1", "--work", "work"]
    assert cli.run(["bench", "run", "mine.py:dark_alone", *options]) == 0
    found = load_result(tmp_path / "work" / "results" / "dark-alone.json")
    assert found.sets[0].first["dark"] == found.sets[0].second["dark"] == 2
    assert found.figures.twins == 2
    assert found.model.steps is not None
    assert found.figures.denoiser_rows_per_kept == 2 * found.model.steps  # with and without the prompt
    assert found.figures.elsewhere_median is not None
    assert found.figures.elsewhere_median < 6
    assert "| dark-alone " in capsys.readouterr().out


@pytest.mark.embedded
def test_the_bias_is_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--count", "2", "--workers", "1", "--table", "one.json", "--out", "bias.json", "--json"]
    known = load_known_bias(find_model("embedded").path)
    assert known is not None
    write_document(known.model_copy(update={"rows": known.rows[:1]}), tmp_path / "one.json")
    assert cli.run(["bench", "bias", *options]) == 0
    kept = MeasuredBias.model_validate_json((tmp_path / "bias.json").read_text("utf-8"))
    assert json.loads(capsys.readouterr().out) == kept.model_dump(mode="json")
    assert [row.phrase for row in kept.rows] == [known.rows[0].phrase]
    assert kept.reader
    assert (kept.fingerprint or "").startswith("sha256:")


def test_the_example_of_the_page_is_a_method(bench: Bench) -> None:
    text = (ROOT / "docs" / "known-bias.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/known-bias.md", "exec"), names)
    entry = Entry(MethodRecord(name="example"), names["words_with_a_second_look"])
    done = bench.run(entry, "a judge")
    plain = bench.run(SHIPPED["none"], "a judge")
    assert done.tv is not None
    assert plain.tv is not None
    assert done.tv < plain.tv
    assert len(done.twins) == 2 * done.count - done.generated, "what was made again has no twin"
