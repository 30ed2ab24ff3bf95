"""A session that was stopped anywhere goes on and ends as if it had never stopped."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairgen.common.files import now
from fairgen.errors import UserError
from fairgen.loop.events import Event, Filled, Finished, PictureDone, Replayed, Started
from fairgen.loop.session import run_session
from fairgen.runs import RUN_FILE, RunReader, RunWriter, SessionRun, read_run
from fairgen.steering import Technique
from fairgen.steering.calibration import Calibration
from fairgen.steering.embedding_direction import EmbeddingDirection
from fairgen.steering.prompt_variants import PromptVariants
from fairgen.steering.request import Request
from fairgen.steering.response import DoseResponse
from fairgen.targets import load_spec
from skin_tone.pool import ReaderPool
from tests.doubles.session_doubles import BatchBound, InfoReader, files_of, unlinked

CALIBRATION = Calibration(
    model="double",
    pipeline="None",
    weights="sha256:" + "0" * 64,
    technique="embedding",
    scheduler="None",
    steps=1,
    guidance_scale=None,
    height=8,
    width=8,
    start=0.0,
    stop=1.0,
    curve=DoseResponse(strengths=(-1.2, -0.5, 0.5, 1.2), ita=(80.0, 45.0, -5.0, -50.0), spread=(8.0,) * 4),
    doses=(),
    starts=(),
    spearman=-1.0,
    prompts=("a portrait",),
    seeds=1,
    fairgen="0",
    made_at=now(),
)
KINDS = ("none", "prompt", "embedding", "open")


def model(unreadable: float = 0.15) -> BatchBound:
    return BatchBound(spread=18.0, unreadable=unreadable, plain=20.0)


def technique(kind: str) -> Technique | None:
    if kind == "none":
        return None
    return EmbeddingDirection("ita6", CALIBRATION) if kind == "embedding" else PromptVariants("ita6")


def events(folder: Path, kind: str, resume: SessionRun | None = None, **options: Any) -> Iterator[Event]:
    given_: dict[str, Any] = {"batch_size": 3, "max_tries": 3, "seed": 11, **options}
    return run_session(
        given_.pop("generator", None) or model(),
        given_.pop("reader", None) or InfoReader(),
        given_.pop("prompt", "a doctor"),
        load_spec("uniform"),
        14,
        steering=technique(kind),
        feedback=kind != "open",
        out_dir=folder,
        resume=resume,
        **given_,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each kind, all in a folder of the same name."""
    folders = {}
    for kind in KINDS:
        folders[kind] = tmp_path_factory.mktemp(kind) / "run"
        list(events(folders[kind], kind))
    return folders


def resumed(folder: Path, kind: str, generator: BatchBound | None = None) -> list[Event]:
    """Go on with the only session of a folder."""
    (session,) = RunReader(folder).sessions()
    return list(events(folder, kind, session, generator=generator))


def _same(folder: Path, reference: Path) -> None:
    found, expected = files_of(folder), files_of(reference)
    assert found.keys() == expected.keys()
    out = (str(folder), str(reference))
    for name in expected:
        assert found[name].replace(*out) == expected[name], name


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_a_stop_at_any_byte_changes_nothing(
    whole: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    reference = whole[kind]
    folder = tmp_path_factory.mktemp("cut") / "run"
    shutil.copytree(reference, folder)
    content = (reference / RUN_FILE).read_bytes()
    cut = data.draw(st.integers(content.index(b"\n") + 1, len(content)))
    (folder / RUN_FILE).write_bytes(content[:cut])
    # Besides, the disk lost or tore some pictures, and a killed write left its temporary file.
    pictures = sorted(folder.rglob("*.png"))
    for path in data.draw(st.lists(st.sampled_from(pictures), max_size=4, unique=True)):
        size = data.draw(st.integers(-1, path.stat().st_size - 1))
        path.unlink() if size < 0 else path.write_bytes(path.read_bytes()[:size])
    (pictures[0].parent / f".{pictures[0].name}.1.tmp").write_bytes(b"x")
    if b"\n" in content[content.index(b"\n") + 1 : cut]:
        resumed(folder, kind)
        _same(folder, reference)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_that_are_there_are_not_sampled_again(
    whole: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "run"
    stopped = events(folder, kind)
    for count, event in enumerate(stopped):
        if count == 7:
            assert isinstance(event, PictureDone | Filled)
            break
    stopped.close()  # type: ignore[attr-defined]
    recorded = len(next(RunReader(folder).sessions()).pictures)
    generator = model()
    found = resumed(folder, kind, generator)
    replayed = [event for event in found if isinstance(event, Replayed)]
    made = [event for event in found if isinstance(event, PictureDone)]
    assert isinstance(found[0], Started)
    assert isinstance(found[-1], Finished)
    assert len(replayed) == recorded
    assert [e.record.index for e in replayed + made] == list(range(recorded + len(made)))
    # At most the rest of the batch in which it stopped is sampled once more.
    assert len(made) <= sum(generator.batches) <= len(made) + 2
    _same(folder, whole[kind])


def test_a_finished_session_is_left_alone(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole["prompt"], folder)
    before = (folder / RUN_FILE).read_bytes()
    generator = model()
    found = resumed(folder, "prompt", generator)
    assert generator.batches == []
    assert isinstance(found[-1], Finished)
    assert (folder / RUN_FILE).read_bytes() == before


def _stopped(folder: Path, kind: str = "prompt") -> SessionRun:
    stopped = events(folder, kind)
    for _ in range(9):
        next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    return next(RunReader(folder).sessions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a nurse"}, "its prompt was 'a doctor' and would now be 'a nurse'"),
        ({"seed": 12}, "its seed was 11"),
        ({"batch_size": 2}, "its batch_size was 3"),
        ({"max_tries": 2}, "its max_tries was 3"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    past = _stopped(tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(UserError, match=message):
        list(events(tmp_path, "prompt", past, **options))
    assert files_of(tmp_path) == before


def test_other_weights_are_refused_and_other_versions_said(tmp_path: Path) -> None:
    past = _stopped(tmp_path)
    other = model()
    other.info = other.info.model_copy(update={"weights": {"unet": "sha256:1"}})
    with pytest.raises(UserError, match="begun with another model: its weights"):
        list(events(tmp_path, "prompt", past, generator=other))
    newer = model()
    newer.info = newer.info.model_copy(update={"versions": {"python": "4"}})
    last = list(events(tmp_path, "prompt", past, generator=newer))[-1]
    assert isinstance(last, Finished)
    assert "It was interrupted, and went on with python 4 instead of 3." in last.summary.notes


def test_records_of_another_loop_are_refused(tmp_path: Path) -> None:
    _stopped(tmp_path)
    path = tmp_path / RUN_FILE
    lines = unlinked(path).decode().splitlines()
    place = next(k for k, line in enumerate(lines) if '"index":5' in line)
    wanted = next(iter(read_run(tmp_path).sessions.values())).pictures[5].wanted
    other = "dark" if wanted != "dark" else "light"
    lines[place] = lines[place].replace(f'"wanted":"{wanted}"', f'"wanted":"{other}"')
    path.write_text("\n".join(lines) + "\n")
    past = next(RunReader(tmp_path).sessions())
    with pytest.raises(UserError, match=r"Picture 5 of session .* its wanted was"):
        list(events(tmp_path, "prompt", past))


def test_a_machine_that_computes_otherwise_is_refused(tmp_path: Path) -> None:
    past = _stopped(tmp_path)
    first = tmp_path / str(past.pictures[0].file)
    first.unlink()

    class Otherwise(BatchBound):
        def generate(self, requests: Any, steering: Any = None) -> Any:
            pictures = super().generate(requests, steering)
            for picture in pictures:
                picture.putpixel((7, 7), (random.randrange(1, 255), 1, 1))
            return pictures

    generator = Otherwise(spread=18.0, unreadable=0.15, plain=20.0)
    with pytest.raises(UserError, match="this machine does not compute as the one that began"):
        list(events(tmp_path, "prompt", past, generator=generator))


def test_two_writers_are_kept_apart(tmp_path: Path) -> None:
    with RunWriter(tmp_path, fairgen_version="0"), pytest.raises(UserError, match="another fairgen"):
        RunWriter(tmp_path, fairgen_version="0")
    RunWriter(tmp_path, fairgen_version="0").close()


class _Background(InfoReader):
    """Reads a batch while the next one is sampled, as `skin_tone.pool.ReaderPool` does beside a GPU."""

    background = True

    def start(self, images: Any) -> Any:
        found = [self.read(image) for image in images]
        return lambda: found


@pytest.mark.parametrize("kind", KINDS)
def test_reading_in_the_background_changes_nothing(whole: dict[str, Path], tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "run"
    list(events(folder, kind, reader=_Background()))
    _same(folder, whole[kind])


def test_ctrl_c_keeps_what_is_being_read(tmp_path: Path, whole: dict[str, Path]) -> None:
    class Interrupted(BatchBound):
        def generate(self, requests: Any, steering: Any = None) -> Any:
            if len(self.batches) == 3:
                raise KeyboardInterrupt
            return super().generate(requests, steering)

    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        list(
            events(
                folder,
                "none",
                reader=_Background(),
                generator=Interrupted(spread=18.0, unreadable=0.15, plain=20.0),
            )
        )
    assert len(next(RunReader(folder).sessions()).pictures) == 9
    resumed(folder, "none")
    _same(folder, whole["none"])


@pytest.mark.parametrize("background", [False, True])
def test_a_pool_reads_as_one_reader_does(monkeypatch: pytest.MonkeyPatch, background: bool) -> None:
    closed = []

    class Reader(InfoReader):
        def __enter__(self) -> Reader:
            return self

        def __exit__(self, *_: object) -> None:
            closed.append(self)

    monkeypatch.setattr("skin_tone.SkinToneReader", Reader)
    pictures = model(0.3).generate([Request("a doctor", seed) for seed in range(20)])
    with ReaderPool(3, background=background) as pool:
        assert pool.start(pictures)() == [InfoReader().read(picture) for picture in pictures]
        assert pool.start([])() == []
    assert len(closed) == 3
