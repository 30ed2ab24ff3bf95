"""Parts of the web app without a server: limits, runs, shares by hand, how a server is started."""

from __future__ import annotations

import base64
import io
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from fairgen.errors import UserError
from fairgen.runs import ReadingDocument
from fairgen.scoring.verify import PictureResult, Verification
from fairgen.targets import load_spec
from fairgen.ui.server.guard import Guard
from fairgen.ui.server.hosts import Hosts
from fairgen.ui.tabs import check
from fairgen.ui.work import limits
from fairgen.ui.work.check import Checked
from fairgen.ui.work.limits import Limits
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.visits import Runs, UserRun
from skin_tone.scales import SCALES


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none(), st.lists(st.integers())))
def test_whole_numbers_are_whole_and_in_range(value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 1 <= value <= 60 and value % 1 == 0:  # type: ignore[operator]
        assert limits.whole(value, 1, 60, "count") == value
    else:
        with pytest.raises(UserError, match="whole number from 1 to 60"):
            limits.whole(value, 1, 60, "count")


@given(st.sampled_from(sorted(SCALES)), st.data())
def test_shares_by_hand_become_a_spec_exactly_when_they_sum_to_one(scale: str, data: st.DataObject) -> None:
    from fairgen.ui.parts.picker import PARTS, edited_spec, even_parts

    keys = SCALES[scale].classes
    assert sum(even_parts(scale)["parts"].values()) == PARTS
    cuts = sorted(data.draw(st.lists(st.integers(0, PARTS), min_size=len(keys) - 1, max_size=len(keys) - 1)))
    whole = [b - a for a, b in zip([0, *cuts], [*cuts, PARTS], strict=True)]
    spec = edited_spec({"scale": scale, "parts": dict(zip(keys, whole, strict=True))})
    assert [round(share * PARTS) for share in spec.target.values()] == whole
    whole[0] += 1
    with pytest.raises(UserError, match="and not to 100 %"):
        edited_spec({"scale": scale, "parts": dict(zip(keys, whole, strict=True))})


@pytest.mark.parametrize(
    "value",
    [None, 3, {}, {"scale": "x", "parts": {}}, {"scale": "lmd3", "parts": {"light": 1000}}]
    + [
        {"scale": "lmd3", "parts": {"light": bad, "medium": 0, "dark": 0}}
        for bad in (1000.0, "1000", True, -1)
    ],
)
def test_shares_by_hand_of_a_wrong_kind_are_refused(value: object) -> None:
    from fairgen.ui.parts.picker import edited_spec

    with pytest.raises(UserError, match="shares by hand"):
        edited_spec(value)


def test_a_slow_model_can_be_asked_though_each_step_has_a_context_of_its_own() -> None:
    from contextvars import copy_context

    from fairgen.ui.parts.ask import asked_spec
    from tests.doubles.llm_server import fixture_reply, late, replies, serving

    steps: list[Any] = []
    with serving(late(0.8, replies(fixture_reply()))) as server:
        asking = asked_spec(
            "a nurse",
            "fixture-model",
            server.url,
            "sk-own",
            "ita6",
            1,
            False,
            public=False,
            servers=[server.url],
        )
        while (step := copy_context().run(next, asking, None)) is not None:
            steps.append(step)
    assert steps[1] == "Asking: 0 of 1 replies …"
    assert steps[-1].source == "llm"
    sent = [{k.lower(): v for k, v in request.headers.items()} for request in server.requests]
    assert [headers["authorization"] for headers in sent] == ["Bearer sk-own"]


def test_writing_direction_of_a_spec_ends_with_its_words() -> None:
    from fairgen.targets import spec_from_shares
    from fairgen.ui.parts.picker import sentence

    turned = "\u202ewolleh"
    spec = spec_from_shares({"light": 0.5, "medium": 0.25, "dark": 0.25})
    spec = spec.model_copy(update={"about": turned, "declared_by": turned})
    assert sentence(spec) == f"\u2068{turned}\u2069. Declared by \u2068{turned}\u2069."


def test_runs_are_open_to_owner_and_key_alone(tmp_path: Path) -> None:
    runs = Runs(tmp_path, per_owner=2)
    run = runs.claim("ann", "generate", "../../<b>a doctor</b>")
    assert run.folder.parent == tmp_path
    assert "<" not in run.folder.name
    assert runs.get(run.id, "ann") is run
    assert runs.get(run.id, None, run.key) is run
    for owner, key in (("bob", None), ("bob", "x"), (None, None), ("", "")):
        with pytest.raises(UserError, match="not yours"):
            runs.get(run.id, owner, key)
    with pytest.raises(UserError, match="no such run"):
        runs.get({"id": run.id}, "ann")
    run.sets["steered"] = LiveSet(run, "lmd3", {"light": 1.0, "medium": 0.0, "dark": 0.0}, 3)
    runs.leave("ann")
    assert not run.stop.is_set()  # the work goes on
    assert run.sets
    later = [runs.claim("ann", "check", "x") for _ in range(2)]
    assert [runs.get(run.id, "ann") for run in later] == later
    with pytest.raises(UserError):
        runs.get(run.id, "ann")


def test_files_of_a_run_are_served_from_inside_it_alone(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs")
    run = runs.claim("ann", "generate", "x")
    (run.folder / "report.html").write_text("x")
    (run.folder / ".hidden.html").write_text("x")
    (run.folder / "code.py").write_text("x")
    (tmp_path / "secret.html").write_text("x")
    (run.folder / "link.html").symlink_to(tmp_path / "secret.html")
    assert runs.file(run.id, run.key, "report.html") == (run.folder / "report.html").resolve()
    for path in (
        "link.html", ".hidden.html", "code.py", "../report.html", "../../secret.html", "", "/", "a//b", "\0",
        str(tmp_path / "secret.html"), "..\\x.html", "x" * 5000 + ".html",
    ):  # fmt: skip
        assert runs.file(run.id, run.key, path) is None, path
    assert runs.file(run.id, "wrong", "report.html") is None


def test_old_runs_are_deleted_where_that_is_asked_for(tmp_path: Path) -> None:
    runs = Runs(tmp_path, keep_hours=1)
    old = runs.claim("ann", "generate", "old")
    os.utime(old.folder, (time.time() - 7200,) * 2)
    new = runs.claim("ann", "generate", "new")
    assert not old.folder.exists()
    assert old.stop.is_set()
    assert runs.get(new.id, "ann") is new
    with pytest.raises(UserError, match="no such run"):
        runs.get(old.id, "ann")


def test_sets_of_older_runs_are_let_go_and_adopted_folders_are_one_run(tmp_path: Path) -> None:
    runs = Runs(tmp_path, adopt=True)
    made = [runs.claim(f"visit {n}", "generate", "x") for n in range(40)]
    for run in made:
        run.sets["steered"] = LiveSet(
            run, "lmd3", {"light": 1.0, "medium": 0.0, "dark": 0.0}, 3, state="done"
        )
    last = runs.claim("ann", "generate", "x")
    assert sum(bool(run.sets) for run in made) == 31  # with the new one, 32
    (last.folder / "run.jsonl").write_text("x")
    left = tmp_path / "by hand"
    left.mkdir()
    (left / "run.jsonl").write_text("x")
    seen = {run.id for visit in range(5) for run in runs.past(f"guest {visit}")}
    assert len(seen) == 2
    assert [run.id for run in runs.past("ann")] == [run.id for run in runs.past("bob")]


@pytest.mark.parametrize("name", ["a copy", "web-copy", "zzz"])
@pytest.mark.parametrize("anew", [False, True])
def test_a_copied_folder_is_a_run_of_its_own(tmp_path: Path, name: str, anew: bool) -> None:
    runs = Runs(tmp_path, adopt=True)
    run = runs.claim("ann", "generate", "x")
    (run.folder / "run.jsonl").write_text("x")
    shutil.copytree(run.folder, tmp_path / name)
    if anew:
        runs = Runs(tmp_path, adopt=True)
    seen = {found.folder: found for found in runs.past("bob")}
    assert seen.keys() == {run.folder, tmp_path / name}
    assert seen[run.folder].id == run.id
    copy = seen[tmp_path / name]
    assert runs.get(copy.id, "bob") is copy
    with pytest.raises(UserError, match="no such run"):
        runs.get(copy.id, None, run.key)
    runs.delete(copy)
    assert Runs(tmp_path).get(run.id, None, run.key).folder == run.folder


def test_deleting_an_old_copy_leaves_the_run_it_was_copied_from(tmp_path: Path) -> None:
    run = Runs(tmp_path).claim("ann", "generate", "x")
    copy = tmp_path / "web-copy"
    shutil.copytree(run.folder, copy)
    os.utime(copy, (time.time() - 7200,) * 2)
    Runs(tmp_path, keep_hours=1).claim("bob", "generate", "y")
    assert not copy.exists()
    assert Runs(tmp_path).get(run.id, None, run.key).folder == run.folder


def test_a_key_opens_a_run_for_one_more_visit_until_that_leaves(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    run = runs.claim("ann", "generate", "x")
    for key in ("x", None, 7, run.id, [run.key]):
        with pytest.raises(UserError, match="not yours"):
            runs.admit(run.id, "bob", key)
    assert runs.admit(run.id, "bob", run.key) is run
    assert runs.get(run.id, "bob") is run
    runs.leave("bob")
    assert not run.stop.is_set()
    with pytest.raises(UserError, match="not yours"):
        runs.get(run.id, "bob")


def guarded(limits_: Limits, cache: Path, request: httpx.Request) -> httpx.Response:
    """What the guard lets an application answer that reads the whole request."""
    import asyncio

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                await PlainTextResponse("cut off", 400)(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        await PlainTextResponse("ok")(scope, receive, send)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Guard(whole, hosts=Hosts(["server"]), limits=limits_, cache=cache))
        async with httpx.AsyncClient(transport=transport) as web:
            return await web.send(request)

    return asyncio.run(ask())


def test_uploads_stop_where_the_server_is_full_and_lengths_are_not_believed(tmp_path: Path) -> None:
    tight = Limits(message_bytes=100, request_bytes=1000, cache_bytes=500)

    def post(path: str, content: Any, **headers: str) -> httpx.Response:
        url = f"http://server{path}"
        return guarded(tight, tmp_path, httpx.Request("POST", url, content=content, headers=headers))

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 10

    assert post("/gradio_api/upload", b"x" * 900).text == "ok"
    assert post("/gradio_api/upload", b"x" * 1001).status_code == 413
    assert post("/queue/join", b"x" * 101).status_code == 413
    assert post("/queue/join", endless()).status_code == 413  # said no length
    for lie in ("-1", "ten", "1e9"):
        assert post("/queue/join", b"x", **{"content-length": lie}).status_code == 413
    (tmp_path / "uploads").write_bytes(b"x" * 501)
    assert post("/gradio_api/upload", b"x").status_code == 507
    assert post("/queue/join", b"x").text == "ok"


def test_uploads_that_a_killed_server_left_are_swept(tmp_path: Path) -> None:
    from fairgen.ui.server.app import sweep

    old, new = tmp_path / "a" / "old.png", tmp_path / "a" / "new.png"
    old.parent.mkdir()
    for file in (old, new):
        file.write_bytes(b"x")
    os.utime(old, (time.time() - 7300,) * 2)
    sweep(tmp_path)
    assert list(tmp_path.rglob("*.png")) == [new]


def test_a_finished_check_states_its_counts_and_its_p_value(tmp_path: Path) -> None:
    sure: ReadingDocument = {"probabilities": {"lmd3": {"light": 0.0, "medium": 0.0, "dark": 1.0}}}
    read = tuple(PictureResult(tmp_path / f"{n} a.png", (sure,), measured="dark") for n in range(12))
    broken = PictureResult(tmp_path / "13 b.png", unreadable="not a picture")
    run = UserRun("k", "key", "owner", tmp_path)
    for results, said in (((*read, broken), "in less than 1 of 1,000 cases"), ((broken,), "0 counted")):
        done = Verification(load_spec("uniform-lmd3"), results)
        status = check._shown(Checked(run, done, len(results), ()))[0]
        assert said in status
        assert "1 not opened" in status


def test_how_a_model_is_opened_goes_to_the_controls_and_back() -> None:
    from fairgen.models.options import ModelOptions
    from fairgen.ui.parts.opening import opening_options, opening_values

    every = {
        "lora": [{"file": "ink.safetensors", "weight": 0.5}],
        "textual_inversion": [{"file": "smile.safetensors", "token": "grin"}, {"file": "frown.safetensors"}],
        "vae": "sharp",
        "dtype": "bfloat16",
        "offload": "group",
        "vae_tiling": True,
        "compile": True,
    }
    for named in (every, {}):
        options = ModelOptions.of(named)
        assert ModelOptions.of(opening_options(*opening_values(options))) == options
    refused: tuple[object, ...] = (["ink.safetensors"], [{}] * 9, "ink")
    for wrong in refused:
        with pytest.raises(UserError, match="At most 8 LoRAs"):
            opening_options(wrong, *opening_values(ModelOptions())[1:])


def test_typed_settings_become_options_or_a_sentence() -> None:
    from fairgen.ui.parts.more import new_seed, sampling_options, seed_for

    nothing = ("", "", "", "own", "", "", "own")
    assert sampling_options(*nothing) == {}
    assert sampling_options(" a\nb ", "20", "6,5", "by hand", "512", "640", "unipc") == {
        "negative_prompt": "a b",
        "steps": 20,
        "guidance_scale": 6.5,
        "width": 512,
        "height": 640,
        "scheduler": "unipc",
    }
    assert sampling_options("", "", "", "192x320", "", "", "own") == {"width": 192, "height": 320}
    for typed, says in (
        (("", "x", "", "own", "", "", "own"), "steps must be a number"),
        (("", "1.5", "", "own", "", "", "own"), "whole number"),
        (("", "", "", "by hand", "", "9", "own"), "width is missing"),
        (("", "", "", "1x2x3", "", "", 7), "scheduler must be text"),
    ):
        with pytest.raises(UserError, match=says):
            sampling_options(*typed)
    assert seed_for(7, True) == 7
    assert len({seed_for(7, False) for _ in range(5)} | {new_seed()}) > 3
    with pytest.raises(UserError, match="seed"):
        seed_for(None, True)


def test_previews_are_learned_from_pictures_and_shown_to_their_run_alone() -> None:
    import numpy as np
    import torch
    from PIL import Image

    from fairgen.ui.work.watch import StepWatch

    watch, rng = StepWatch(), np.random.default_rng(0)
    colours = rng.uniform(0, 0.2, (4, 3))

    def picture(latents: torch.Tensor) -> Image.Image:
        flat = np.einsum("chw,cd->hwd", latents.numpy(), colours) + 0.5
        return Image.fromarray((np.clip(flat, 0, 1) * 255).astype("uint8"))

    latents = torch.from_numpy(rng.normal(0, 0.4, (2, 4, 16, 16)).astype("float32"))
    watch.begin("mine")
    watch.step(1, 2, latents)
    first = watch.now("mine")
    assert first is not None
    assert (first.done, first.total, first.previews) == (1, 2, ())  # nothing is known of colours yet
    assert watch.now("another's") is None
    watch.step(2, 2, latents)
    watch.pictures([picture(one) for one in latents])
    assert watch.now("mine") is None
    watch.step(1, 2, latents)
    shown = watch.now("mine")
    assert shown is not None
    assert len(shown.previews) == 2
    raw = base64.b64decode(shown.previews[0].partition(",")[2])
    seen = np.asarray(Image.open(io.BytesIO(raw)), dtype=float)
    assert np.abs(seen - np.asarray(picture(latents[0]), dtype=float)).max() < 4
    watch.begin("another's")
    assert watch.now("mine") is None
    assert watch.now("another's") is None
    watch.step(1, 2, torch.zeros(1, 8, 16, 64))  # of another model
    other = watch.now("another's")
    assert other is not None
    assert other.previews == ()


def test_what_the_library_says_of_its_options_is_said_in_the_words_of_the_page() -> None:
    from fairgen.ui.parts.markup import plain

    for sentence in (
        "use --offload model (or group), --device cpu, or a smaller model.",
        "give a model with --model and this file with --lora",
        "its dose-response is not known: use more --seeds or --prompts, more --steps, or --steering prompt.",
        "use a smaller --batch-size.",
        "the server at --base-url answered too late: raise --timeout.",
    ):
        assert "--" not in plain(sentence)
    assert plain("a well-kept thing -- and so on") == "a well-kept thing -- and so on"


def test_a_slider_that_an_update_makes_anew_still_hands_on_what_was_typed() -> None:
    from fairgen.ui.parts.components import slider

    made = slider(1, 12, 4)
    again = type(made)(**made.constructor_args)
    assert again.preprocess(0) == 0
    assert again.get_block_name() == "slider"
