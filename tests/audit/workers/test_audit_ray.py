"""An audit on Ray workers: the same bytes as one process, whoever dies; and fairgen without Ray."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from fairgen import cli
from fairgen.audit.runner import Audit, look_back
from fairgen.audit.workers import cluster as ray_cluster
from fairgen.audit.workers.crew import Crew
from fairgen.errors import UserError
from fairgen.loop.events import PictureDone
from fairgen.runs import AHEAD, RUN_FILE, read_run
from tests.doubles.session_doubles import InfoReader, files_of
from tests.doubles.worker_doubles import BATCH, RUN, LoadDouble, model, plan

PATHS = str(Path(__file__).resolve().parents[3])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of two machines with a processor each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        patch.setenv("OMP_NUM_THREADS", "1")
        ray_cluster.require_ray()
        from ray.cluster_utils import Cluster

        temporary = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        # Here Ray notes which cluster was started last.
        patch.setenv("RAY_TMPDIR", str(temporary))
        (temporary / "ray").mkdir()
        head = {
            "num_cpus": 1,
            "include_dashboard": False,
            "temp_dir": str(temporary),
            "_system_config": {"worker_niceness": 0},
        }
        nodes: Any = Cluster(initialize_head=True, head_node_args=head)
        nodes.add_node(num_cpus=1)
        yield nodes.address
        nodes.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process makes."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return files_of(folder)


def run(folder: Path, *, stop_after: int | None = None) -> None:
    """Begin the audit in this process, or go on with it."""
    asked = plan(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        left = look_back(RUN) if RUN.exists() else None
        _events(Audit(asked, model(), InfoReader(), RUN, batch_size=BATCH, left=left), stop_after)


def run_on_workers(
    folder: Path,
    address: str,
    load: LoadDouble | None = None,
    workers: int = 2,
    stop_after: int | None = None,
) -> list[str]:
    """The same on workers; what the user was told."""
    asked = plan(folder)
    said: list[str] = []
    with (
        pytest.MonkeyPatch.context() as patch,
        ray_cluster.connected(address, workers=workers, device="cpu", threads=1) as layout,
        Crew(load or LoadDouble(), layout, said.append) as crew,
    ):
        patch.chdir(folder)
        left = look_back(RUN) if RUN.exists() else None
        _events(Audit(asked, crew, InfoReader(), RUN, batch_size=BATCH, left=left, crew=crew), stop_after)
    return said


def _events(audit: Audit, stop_after: int | None) -> None:
    made = 0
    with closing(audit.run()) as events:
        for event in events:
            made += isinstance(event, PictureDone)
            if made == stop_after:
                return


def test_two_workers_give_the_bytes_of_one_process(
    address: str, whole: dict[str, str], tmp_path: Path
) -> None:
    assert run_on_workers(tmp_path, address) == []
    assert files_of(tmp_path) == whole
    assert not (tmp_path / RUN / AHEAD).exists()


def test_a_worker_killed_in_a_batch_changes_nothing(
    address: str, whole: dict[str, str], tmp_path: Path
) -> None:
    mark = tmp_path.with_suffix(".mark")
    said = run_on_workers(tmp_path, address, LoadDouble(dies_at=5, mark=mark))
    assert mark.exists(), "no worker died"
    assert said == ["A worker died: another takes its place, and what it was at is done again."]
    assert files_of(tmp_path) == whole


@pytest.mark.exhaustive
def test_workers_that_die_again_and_again_end_the_audit_whole(
    address: str, whole: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"3 workers died .*memory ran out.*--resume goes on"):
        run_on_workers(tmp_path, address, LoadDouble(dies_at=2), workers=1)
    run(tmp_path)
    assert files_of(tmp_path) == whole


@pytest.mark.exhaustive
def test_stopped_and_resumed_with_other_numbers_of_workers(
    address: str, whole: dict[str, str], tmp_path: Path
) -> None:
    run_on_workers(tmp_path, address, LoadDouble(pause=0.02), stop_after=20)
    run(tmp_path, stop_after=10)
    assert len(read_run(tmp_path / RUN).sessions) < 18, "it ended before it was stopped"
    run_on_workers(tmp_path, address, workers=1)
    assert files_of(tmp_path) == whole


def _program(folder: Path, where: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.doubles.worker_doubles", str(folder), where],
        env={**os.environ, "PYTHONPATH": PATHS, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / RUN).rglob(RUN_FILE))


def _wait_for_lines(folder: Path, number: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while _lines(folder) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_driver_is_killed(address: str, whole: dict[str, str], tmp_path: Path) -> None:
    process = _program(tmp_path, address)
    _wait_for_lines(tmp_path, 40, process)
    process.kill()
    process.communicate()
    alone = tmp_path / "alone"
    shutil.copytree(tmp_path / RUN, alone / RUN)
    run(alone)
    assert files_of(alone) == whole
    shutil.rmtree(alone)
    run_on_workers(tmp_path, address)
    assert files_of(tmp_path) == whole


KILLED = """
import os, signal, sys
from pathlib import Path
from fairgen.common.files import work_folder
with work_folder(Path(sys.argv[1]), "fairgen-ray"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_ctrl_c_on_this_machine_leaves_the_run_and_nothing_else(
    whole: dict[str, str], tmp_path: Path
) -> None:
    """And of a driver that was killed in the same place before, no folder either."""
    home, temporary = tmp_path / "home", Path(tempfile.mkdtemp(prefix="f", dir="/tmp"))
    home.mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    try:
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(temporary)], env={**os.environ, "PYTHONPATH": PATHS}
        )
        (left,) = temporary.iterdir()
        assert killed.returncode == -signal.SIGKILL
        process = _program(folder, "local", HOME=str(home), TMPDIR=str(temporary))
        _wait_for_lines(folder, 40, process)
        started = psutil.Process(process.pid).children(recursive=True)
        assert any("fairgen-ray" in path.name for path in temporary.iterdir() if path != left)
        assert not left.exists()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        assert process.returncode != 0
        assert out == ""
        assert error.strip().splitlines()[-1] == "KeyboardInterrupt"
        assert "ray" not in error.partition("Traceback")[0]
        assert psutil.wait_procs(started, timeout=30)[1] == []
        assert [path.name for path in temporary.iterdir() if "ray" in path.name] == []
        assert list(home.iterdir()) == []
    finally:
        shutil.rmtree(temporary)
    run(folder)
    assert files_of(folder) == whole


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (
            LoadDouble(fails="There is no model 'x'."),
            r"There is no model 'x'\. \(Said by the worker on .+\.\)",
        ),
        (
            LoadDouble(odd=True),
            "would not make the same pictures: the model's weights is .* Use machines of one",
        ),
    ],
)
def test_workers_that_cannot_be_used(address: str, tmp_path: Path, load: LoadDouble, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_on_workers(tmp_path, address, load)
    assert not (tmp_path / RUN).exists()


def test_an_address_without_a_cluster() -> None:
    with (
        pytest.raises(UserError, match=r"There is no Ray cluster at '127\.0\.0\.1:9'"),
        ray_cluster.connected("127.0.0.1:9", workers=1, device="cpu", threads=1),
    ):
        pass


@pytest.mark.embedded
@pytest.mark.exhaustive  # on a double the same bytes are seen; three real models take half a minute
def test_a_real_model_on_two_workers(
    address: str,
    quick_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path / "home"))
    (tmp_path / "list.txt").write_text("a portrait of a doctor\na portrait of a janitor\n")
    asked = ["audit", "--prompts", "list.txt", "--count", "2", "--steering", "none,embedding", "--json"]
    asked += ["--model", str(quick_model), "--batch-size", "2", "--max-tries", "1", "--threads", "1"]
    documents = []
    for name, where in (("one", []), ("two", ["--ray", address, "--workers", "2"])):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        shutil.copy(tmp_path / "list.txt", folder)
        assert cli.run([*asked, "--out", "run", *where]) == 0
        captured = capsys.readouterr()
        documents.append(json.loads(captured.out))
        if where:
            assert "2 workers on the cluster, 1 thread each" in captured.err
    one, two = (files_of(tmp_path / name) for name in ("one", "two"))
    assert one == two
    assert len([name for name in one if name.endswith(".png")]) >= 8
    assert documents[0]["arms"][0]["tv"] == documents[1]["arms"][0]["tv"]


# Without Ray, or before it is asked ----------------------------------------------------------------------


def test_without_the_extra_everything_else_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fairgen.models.loading.load_model", lambda *_, **__: model())
    monkeypatch.setattr("skin_tone.pool.ReaderPool", lambda *_, **__: InfoReader())
    plan(tmp_path)
    asked = ["audit", "--prompts", "prompts.txt", "--count", "3", "--steering", "none,prompt"]
    for where in (["--workers", "2"], ["--ray", "auto"]):
        assert cli.run([*asked, *where, "--out", "run"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
        assert 'pip install "fairgen[ray]"' in captured.err
        assert not (tmp_path / "run").exists()
    assert cli.run([*asked, "--out", "run"]) == 0


def _ray(*nodes: dict[str, float]) -> Any:
    return SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": node} for node in nodes])


@pytest.mark.parametrize(
    ("nodes", "asked", "expected"),
    [
        ([{"CPU": 16, "GPU": 4}, {"CPU": 16, "GPU": 4}], (None, "auto", None), (8, "cuda", None)),
        ([{"CPU": 16, "GPU": 4}, {"CPU": 16}], (3, "cuda", None), (3, "cuda", None)),
        ([{"CPU": 16}, {"CPU": 8}], (None, "auto", None), (2, "cpu", 8)),
        ([{"CPU": 16}, {"CPU": 8}], (4, "cpu", None), (4, "cpu", 4)),
        ([{"CPU": 16, "GPU": 1}, {"CPU": 8}], (3, "cpu", 2), (3, "cpu", 2)),
        ([{"CPU": 16}, {}], (1, "auto", None), (1, "cpu", 16)),
    ],
)
def test_workers_are_laid_out(
    nodes: list[dict[str, float]],
    asked: tuple[int | None, str, int | None],
    expected: tuple[int, str, int | None],
) -> None:
    found = ray_cluster._layout(_ray(*nodes), False, *asked)
    assert (found.workers, found.device, found.threads) == expected
    options = found.options()
    assert options.get("num_gpus", 0) == (found.device == "cuda")
    if found.threads is not None:
        assert sum(node.get("CPU", 0) // options["num_cpus"] for node in nodes) >= found.workers


@pytest.mark.parametrize(
    ("nodes", "asked", "message"),
    [
        ([{"CPU": 4, "GPU": 1}], (2, "auto", None), "Each worker needs a GPU of its own, and Ray has 1"),
        ([{"CPU": 4}], (1, "cuda", None), "Ray has 0"),
        ([{"CPU": 4}, {"CPU": 2}], (4, "cpu", 2), "has room for 3"),
        ([{}], (1, "cpu", None), "no processors"),
    ],
)
def test_too_much_is_refused(
    nodes: list[dict[str, float]], asked: tuple[int | None, str, int | None], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ray_cluster._layout(_ray(*nodes), False, *asked)


def test_threads_are_the_audits(tmp_path: Path, whole: dict[str, str]) -> None:
    run(tmp_path, stop_after=5)
    assert read_run(tmp_path / RUN).audit.threads == 1  # type: ignore[union-attr]
    asked, left = plan(tmp_path), look_back(tmp_path / RUN)
    other = model()
    other.threads = 2
    with pytest.raises(UserError, match="begun with 1 threads, and now there would be 2 threads"):
        Audit(asked, other, InfoReader(), tmp_path / RUN, left=left)
    run(tmp_path)
    assert files_of(tmp_path) == whole
