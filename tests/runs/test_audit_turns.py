"""Blocks of an audit side by side: pieces of work in threads, and the run file in its order all the same."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairgen.audit.runner import Audit, blocks, look_back
from fairgen.audit.workers.parallel import in_parallel
from fairgen.cli.common import claim_out
from fairgen.errors import UserError
from fairgen.runs import AHEAD, RUN_FILE, RunReader, RunWriter, Turns, all_sessions, read_run
from tests.doubles.session_doubles import InfoReader, files_of
from tests.doubles.worker_doubles import BATCH, RUN, model, plan


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that one process made."""
    folder = tmp_path_factory.mktemp("whole")
    asked = plan(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        list(Audit(asked, model(), InfoReader(), RUN, batch_size=BATCH).run())
    return folder


class Killed(Exception):
    pass


class Disk:
    """Lets so many lines pass, then acts as a kill would: nothing more is written."""

    def __init__(self, patch: pytest.MonkeyPatch, lines: int) -> None:
        self.left = lines
        write, remove = RunWriter.write_line, shutil.rmtree

        def counted(writer: RunWriter, line: bytes) -> None:
            self.step()
            write(writer, line)

        def removed(path: Any, *arguments: Any) -> None:
            self.step()
            remove(path, *arguments)

        patch.setattr(RunWriter, "write_line", counted)
        patch.setattr("fairgen.runs.turns.shutil.rmtree", removed)

    def step(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


@settings(max_examples=25)
@given(data=st.data())
def test_the_file_is_in_order_whatever_order_blocks_are_made_in(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Blocks take turns at random; now and then a kill strikes, also while lines are moved."""
    reference = (whole / RUN / RUN_FILE).read_bytes().splitlines(keepends=True)
    audit = RunReader(whole / RUN).audit
    assert audit is not None
    order = [block.names for block in blocks(audit)]
    parts = {names[0]: [line for line in reference if _session(line) in names] for names in order}
    folder = tmp_path_factory.mktemp("run")
    (folder / RUN_FILE).write_bytes(b"".join(reference[:2]))
    for life in range(20):
        done = {name: sum(len(part) for part in _found(folder, name, order)) for name in parts}
        with pytest.MonkeyPatch.context() as patch:
            # No kill in the last life, so that there is an end.
            kill = data.draw(st.integers(0, 120), label="lines until the kill") if life < 3 else 10_000
            Disk(patch, kill)
            complete = [name for name, part in parts.items() if done[name] == len(part)]
            try:
                with (
                    RunWriter(folder, fairgen_version="0") as writer,
                    Turns(writer, order, complete) as turns,
                ):
                    left = {name: part[done[name] :] for name, part in parts.items() if name not in complete}
                    while left:
                        name = data.draw(st.sampled_from(list(left)[:3]))
                        for line in left[name][: data.draw(st.integers(1, 30))]:
                            turns.target(name).write_line(line)
                            left[name] = left[name][1:]
                        if not left[name]:
                            del left[name]
                            turns.done(name)
            except Killed:
                continue
        break
    assert (folder / RUN_FILE).read_bytes() == b"".join(reference)
    assert not (folder / AHEAD).exists()


def _session(line: bytes) -> str | None:
    found = json.loads(line).get("session")
    return None if found is None else str(found)


def _found(folder: Path, block: str, order: list[tuple[str, ...]]) -> Iterator[list[object]]:
    """Lines of a block that can be read back, by session."""
    names = next(names for names in order if names[0] == block)
    for session in all_sessions(RunReader(folder)):
        if session.record.session in names:
            yield [session.record, *session.pictures, *session.fills, *filter(None, [session.summary])]


def test_pictures_lost_by_a_block_before_are_made_again(whole: Path, tmp_path: Path) -> None:
    """A block was begun in the file, and one before it has lost a picture: both go on where they were."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    lines = (tmp_path / RUN / RUN_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / RUN / RUN_FILE).write_bytes(b"".join(lines[: len(lines) * 2 // 3]))
    first = next(iter(read_run(tmp_path / RUN).sessions.values())).pictures[0]
    (tmp_path / RUN / str(first.file)).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        left = look_back(RUN)
        list(Audit(plan(tmp_path), model(), InfoReader(), RUN, left=left).run())
    assert files_of(tmp_path) == files_of(whole)


def test_a_run_put_aside_takes_what_waits_along(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / RUN, tmp_path, dirs_exist_ok=True)
    waiting = next(iter(read_run(tmp_path).sessions))
    (tmp_path / AHEAD).mkdir()
    (tmp_path / RUN_FILE).rename(tmp_path / "lines")
    (tmp_path / AHEAD / waiting).mkdir()
    lines = (tmp_path / "lines").read_bytes().splitlines(keepends=True)
    (tmp_path / AHEAD / waiting / RUN_FILE).write_bytes(b"".join([lines[0], *lines[2:4]]))
    (tmp_path / RUN_FILE).write_bytes(b"".join(lines[:2]))
    (tmp_path / "lines").unlink()
    with pytest.raises(UserError, match="holds lines of another audit"):
        Audit(plan(tmp_path), model(), InfoReader(), tmp_path)
    claim_out(tmp_path, force=True)
    assert not (tmp_path / AHEAD).exists()
    assert (tmp_path / "previous-1" / AHEAD / waiting / RUN_FILE).exists()
    assert (tmp_path / "previous-1" / waiting).is_dir()


# Pieces of work in threads -------------------------------------------------------------------------------


def test_pieces_keep_their_own_order_and_few_run_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def piece(number: int) -> Generator[tuple[int, int], None, None]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        for place in range(50):
            yield number, place
        with lock:
            running -= 1

    found = list(in_parallel([partial(piece, number) for number in range(8)], 3, lambda: None))
    assert most <= 3
    for number in range(8):
        assert [place for which, place in found if which == number] == list(range(50))


def test_an_error_in_a_piece_stops_the_others() -> None:
    stopped = threading.Event()

    def waits() -> Generator[int, None, None]:
        yield 1
        assert stopped.wait(10)

    def fails() -> Generator[int, None, None]:
        yield 2
        raise UserError("No space is left.")

    before = threading.active_count()
    with pytest.raises(UserError, match="No space is left"):
        list(in_parallel([waits, fails], 2, stopped.set))
    assert threading.active_count() == before
