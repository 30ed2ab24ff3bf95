"""The loop, on doubles whose measured tones are drawn from a seeded confusion."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairgen.errors import UserError
from fairgen.loop.events import Event, Filled, Finished, PictureDone, Started
from fairgen.loop.rounds import slot_seed
from fairgen.loop.session import run_session
from fairgen.models.contract import FLAGGED
from fairgen.provenance.block import TRAINED_ALGORITHMIC_MEDIA
from fairgen.provenance.png import picture_text, provenance_in, source_type_in
from fairgen.runs import PictureRecord, Summary, read_run
from fairgen.steering.request import Request
from fairgen.targets import load_spec
from tests.doubles.session_doubles import ConfusedGenerator, InfoReader

UNIFORM = load_spec("uniform")


def run(generator: ConfusedGenerator | None = None, count: int = 12, **options: Any) -> list[Event]:
    generator = generator or ConfusedGenerator()
    return list(run_session(generator, InfoReader(), "a doctor", UNIFORM, count, **options))


def summary_of(events: list[Event]) -> Summary:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.summary


def pictures_of(events: list[Event]) -> list[PictureRecord]:
    return [event.record for event in events if isinstance(event, PictureDone)]


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 24),
    seed=st.integers(0, 2**40),
    spread=st.floats(0, 25),
    shift=st.floats(-20, 20),
    unreadable=st.sampled_from([0.0, 0.2, 1.0]),
    max_tries=st.integers(1, 5),
    round_size=st.integers(1, 9),
)
def test_nothing_is_lost_and_the_counts_add_up(
    count: int, seed: int, spread: float, shift: float, unreadable: float, max_tries: int, round_size: int
) -> None:
    generator = ConfusedGenerator(spread=spread, shift=shift, unreadable=unreadable)
    events = run(generator, count, seed=seed, max_tries=max_tries, round_size=round_size)
    pictures, summary = pictures_of(events), summary_of(events)
    assert sum(generator.batches) == len(pictures) == summary.generated <= count * max_tries
    assert summary.generated == summary.kept + summary.discarded + summary.abstained
    assert sum(summary.measured.values()) == summary.kept
    assert sum(summary.first_pass.values()) + summary.first_pass_abstained == count
    assert [p.index for p in pictures] == list(range(len(pictures)))
    fills = [event.record for event in events if isinstance(event, Filled)]
    in_set = [p.slot for p in pictures if p.decision == "kept"] + [fill.slot for fill in fills]
    assert sorted(in_set) == list(range(count)), "each slot is filled exactly once"
    assert len({p.seed for p in pictures}) == len({(p.slot, p.attempt) for p in pictures}) == len(pictures)
    for p in pictures:
        assert (p.decision == "abstained") == (p.measured is None) == (p.abstained is not None)
    if summary.filled == summary.missing == 0:
        assert summary.measured == summary.requested


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(2, 30))
def test_the_quota_is_met_when_the_tries_suffice(seed: int, count: int) -> None:
    summary = summary_of(run(ConfusedGenerator(spread=12.0, unreadable=0.1), count, seed=seed, max_tries=60))
    assert summary.measured == summary.requested
    assert (summary.filled, summary.missing) == (0, 0)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.permutations([1, 2, 3, 4, 5, 64]))
def test_the_batch_size_changes_nothing(seed: int, sizes: list[int]) -> None:
    def timeless(batch_size: int) -> list[dict[str, Any]]:
        generator = ConfusedGenerator(spread=15, unreadable=0.1)
        events = run(generator, 13, seed=seed, batch_size=batch_size)
        return [picture.model_dump(exclude={"seconds"}) for picture in pictures_of(events)]

    assert timeless(sizes[0]) == timeless(sizes[1])


def test_batches_keep_to_their_size() -> None:
    generator = ConfusedGenerator()
    run(generator, 12, batch_size=3)
    assert max(generator.batches) == 3
    generator = ConfusedGenerator()
    run(generator, 12, batch_size=8, steering="none")
    assert generator.batches == [8, 4], "without feedback nothing waits for a round"


def test_unsteered_is_plain() -> None:
    events = run(ConfusedGenerator(unreadable=0.3), 20, steering="none")
    summary = summary_of(events)
    assert summary.generated == 20
    assert not summary.steered
    assert (summary.steering, summary.discarded, summary.filled) == ("none", 0, 0)
    assert summary.first_pass == summary.measured
    assert summary.missing == summary.abstained > 0
    assert all(p.wanted is None and p.word is None and p.prompt == "a doctor" for p in pictures_of(events))
    assert "no skin tone could be read" in summary.notes[0]


def test_every_slot_has_an_unsteered_twin() -> None:
    plain = pictures_of(run(steering="none", seed=5))
    first = [p for p in pictures_of(run(ConfusedGenerator(spread=20), seed=5)) if p.attempt == 0]
    assert {p.slot: p.seed for p in plain} == {p.slot: p.seed for p in first}


def test_seeds_are_fixed_for_good() -> None:
    # A change here would break the reproduction of every earlier run.
    assert (slot_seed(0, 0, 0), slot_seed(7, 3, 1)) == (4088532484, 3976707960)


def test_tries_run_out_and_that_is_said() -> None:
    # Whatever is asked for, the model shows the lightest class.
    events = run(ConfusedGenerator(spread=0, shift=400), 12, max_tries=2)
    summary = summary_of(events)
    assert summary.measured == {**dict.fromkeys(summary.classes, 0), "very_light": 12}
    assert summary.filled == 10
    assert summary.kept == 12
    assert summary.notes[0].startswith("Steered by words in the prompt: "), "auto says why"
    assert "10 of 12 places were filled with the nearest class" in summary.notes[1]
    assert "very_light instead of light" in summary.notes[1]
    fills = [event.record for event in events if isinstance(event, Filled)]
    assert {fill.missing for fill in fills} == {"light"}, "the nearest class that is still missing"


def test_the_nearest_of_the_rejected_fills_the_place() -> None:
    events = run(ConfusedGenerator(spread=30, shift=25), 12, max_tries=3, seed=3)
    classes = summary_of(events).classes
    pictures = {p.index: p for p in pictures_of(events)}
    fills = [event.record for event in events if isinstance(event, Filled)]
    assert fills
    for fill in fills:
        tried = [p for p in pictures.values() if p.slot == fill.slot and p.measured]
        assert pictures[fill.index] in tried
        distance = abs(classes.index(str(fill.measured)) - classes.index(fill.missing))
        same = [abs(classes.index(str(p.measured)) - classes.index(fill.missing)) for p in tried]
        assert distance == min(same)


def test_pictures_without_a_reading_fill_no_quota() -> None:
    summary = summary_of(run(ConfusedGenerator(unreadable=1.0), 4, max_tries=3))
    assert summary.generated == summary.abstained == 12
    assert (summary.kept, summary.missing, summary.discarded) == (0, 4, 0)
    assert summary.abstentions == {"no_face": 12}
    assert (summary.tv, summary.alignment_error, summary.fd, summary.kl, summary.first_pass_tv) == (None,) * 5


def test_a_picture_that_the_safety_checker_blanked_is_not_read() -> None:
    class Blanking(ConfusedGenerator):
        def generate(self, requests: Any, steering: Any = None) -> Any:
            pictures = super().generate(requests)
            pictures[0].info[FLAGGED] = True
            return pictures

    summary = summary_of(run(Blanking(), 4, steering="none", batch_size=4))
    assert summary.abstentions == {"safety_checker": 1}
    assert summary.notes[-2] == "The model's own safety checker blanked 1 of 4 pictures."


def test_a_prompt_that_names_a_tone_is_left_alone() -> None:
    events = list(run_session(ConfusedGenerator(), InfoReader(), "a nurse with dark skin", UNIFORM, 6))
    summary = summary_of(events)
    assert not summary.steered
    assert summary.steering == "prompt"
    assert "'dark skin'" in summary.notes[0]
    assert {p.prompt for p in pictures_of(events)} == {"a nurse with dark skin"}


def test_steering_brings_the_set_to_the_target() -> None:
    plain = summary_of(run(ConfusedGenerator(spread=10), 30, steering="none"))
    steered = summary_of(run(ConfusedGenerator(spread=10, shift=8), 30))
    assert plain.tv is not None
    assert steered.tv is not None
    assert plain.tv >= 0.35
    assert steered.noise_floor_tv is not None
    assert steered.tv <= 0.07 < steered.noise_floor_tv
    assert sum(steered.words.values()) == steered.generated


def test_the_run_folder_holds_everything(tmp_path: Path) -> None:
    events = run(ConfusedGenerator(spread=25, unreadable=0.3), 10, out_dir=tmp_path, seed=4, max_tries=2)
    run_file = read_run(tmp_path)
    assert not run_file.problems
    session = run_file.sessions["prompt"]
    assert session.pictures == pictures_of(events)
    assert session.fills == [event.record for event in events if isinstance(event, Filled)]
    assert session.summary == summary_of(events)
    chosen = session.final_set()
    assert [p.slot for p in chosen] == list(range(10))
    assert session.fills, "this seed fills some places"
    assert {p.index for p in chosen} | {p.index for p in session.left_out()} == set(
        range(len(session.pictures))
    )
    named = {p.file for p in [*chosen, *session.left_out()]}
    assert named == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    counted = Counter(p.measured for p in chosen if p.measured)
    assert {name: n for name, n in session.summary.measured.items() if n} == counted
    for p in chosen:
        path = run_file.path(p.file)
        assert path is not None
        assert source_type_in(picture_text(path)) == TRAINED_ALGORITHMIC_MEDIA
        provenance = provenance_in(picture_text(path))
        assert provenance is not None
        assert provenance.model == "double", "no path of the user's machine travels with a picture"
        assert (provenance.seed, provenance.prompt, provenance.spec_hash) == (
            p.seed,
            p.prompt,
            UNIFORM.content_hash(),
        )


def test_sessions_share_a_folder(tmp_path: Path) -> None:
    for steering in ("none", "prompt", "prompt"):
        run(count=2, steering=steering, out_dir=tmp_path)
    assert list(read_run(tmp_path).sessions) == ["unsteered", "prompt", "prompt-2"]
    with pytest.raises(UserError, match="'prompt' is taken"):
        run(count=2, out_dir=tmp_path, session="prompt")


def test_stopping_leaves_everything_whole(tmp_path: Path) -> None:
    events = run_session(ConfusedGenerator(), InfoReader(), "a doctor", UNIFORM, 12, out_dir=tmp_path)
    seen = list(islice(events, 6))
    assert isinstance(seen[0], Started)
    assert hasattr(events, "close")
    events.close()
    run_file = read_run(tmp_path)
    assert run_file.problems == ["Session prompt was interrupted: it has no summary."]
    assert len(run_file.sessions["prompt"].pictures) == 5
    assert len(list(tmp_path.rglob("*.png"))) == 5
    assert not list(tmp_path.rglob("*.tmp"))


def test_ctrl_c_while_sampling(tmp_path: Path) -> None:
    class Interrupted(ConfusedGenerator):
        def generate(self, requests: Any, steering: Any = None) -> Any:
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().generate(requests)

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(), 30, out_dir=tmp_path)
    assert len(read_run(tmp_path).sessions["prompt"].pictures) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": "a\nb"}, "one line"),
        ({"prompt": "x" * 1001}, "1001 characters"),
        ({"count": 0}, "count must be a whole number from 1 to 10000, not 0"),
        ({"count": 2.5}, "count must be a whole number"),
        ({"seed": -1}, "seed must be"),
        ({"batch_size": 0}, "batch size must be"),
        ({"round_size": 65}, "round size must be"),
        ({"max_tries": 0}, "number of tries must be"),
        ({"steering": "magic"}, "no steering 'magic': use one of auto, none, prompt"),
        ({"session": "../up"}, "not usable as a folder name"),
    ],
)
def test_bad_input_is_told_before_anything_is_made(options: dict[str, Any], message: str) -> None:
    generator = ConfusedGenerator()
    given_: dict[str, Any] = {"prompt": "a doctor", "count": 3, **options}
    with pytest.raises(UserError, match=message):
        run_session(generator, InfoReader(), given_.pop("prompt"), UNIFORM, given_.pop("count"), **given_)
    assert not generator.batches


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"choose another --out"):
        run(out_dir=tmp_path / "file")


def test_requests_carry_seed_and_prompt() -> None:
    seen: list[Request] = []

    class Watching(ConfusedGenerator):
        def generate(self, requests: Any, steering: Any = None) -> Any:
            seen.extend(requests)
            return super().generate(requests)

    pictures = pictures_of(run(Watching(), 5))
    assert [(p.prompt, p.seed) for p in pictures] == [(request.prompt, request.seed) for request in seen]


def test_every_face_of_a_crowd_is_counted() -> None:
    class Crowd(InfoReader):
        def read(self, image: Any) -> Any:
            (first,) = super().read(image)
            image.info["ita"] = -50.0
            return [first, *super().read(image)]

    events = list(run_session(ConfusedGenerator(), Crowd(), "two doctors", UNIFORM, 6, max_tries=1))
    summary = summary_of(events)
    assert sum(summary.faces.values()) == 12
    assert summary.faces["dark"] == summary.measured["dark"] + 6
    assert summary.faces_tv is not None
    assert summary.tv is not None
    assert summary.faces_tv > summary.tv
    assert summary.notes[-2].startswith("6 of 6 pictures show more than one face.")
    alone = summary_of(run(ConfusedGenerator(), 6))
    assert alone.faces == {}
    assert alone.faces_tv is None


def test_an_open_loop_asks_blindly_and_keeps_everything() -> None:
    events = list(
        run_session(ConfusedGenerator(spread=20), InfoReader(), "a doctor", UNIFORM, 12, feedback=False)
    )
    summary, pictures = summary_of(events), pictures_of(events)
    assert summary.generated == summary.kept == 12
    assert summary.discarded == 0
    assert Counter(p.wanted for p in pictures) == Counter(summary.requested)
    assert {p.round for p in pictures} == {0}
    assert summary.tv is not None
    assert summary.tv > 0


def test_rounds_shrink_towards_the_end() -> None:
    pictures = pictures_of(run(ConfusedGenerator(spread=0.1), 30))
    sizes = list(Counter(p.round for p in pictures).values())
    assert sizes[0] == 4
    assert sizes[-3:] == [1, 1, 1]
    assert sizes == sorted(sizes, reverse=True)
