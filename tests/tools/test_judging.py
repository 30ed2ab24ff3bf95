"""The measuring commands of tools/portraits: classifier, nearness, judge, two measurements side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fairgen.errors import UserError
from fairgen.runs import ModelInfo
from fairgen.scoring.twins import Likeness
from fairgen.steering.request import Request
from skin_tone import ToneReading
from tests.doubles.session_doubles import reading_of
from tools.portraits import classifier, judge, nearness, sampled
from tools.portraits.compare import compare
from tools.portraits.contexts import CONTEXTS
from tools.portraits.evaluate import jobs_of, tone_figures
from tools.portraits.export import card
from tools.portraits.known_bias import prompt_of
from tools.portraits.renders import load_renders, shards_of
from tools.portraits.skin import TONE_WORDS, tone_range

SIDE = 32
"""Of the renders in these tests."""


def paint(context: int, ita: float, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A stand-in for a render: stripes that tell the context, a block that tells the tone, noise."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((SIDE, SIDE, 3))
    picture[:, :, 0] = 40 + 30 * (context % 6)
    picture[:, :, 1] = 40 + 30 * (context // 6)
    picture[8:24, 8:24] = ita + 100
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def write_shards(folder: Path, shards: int, each: int = 72, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(shards):
        contexts = [k % len(CONTEXTS) for k in range(each)]
        itas = rng.uniform(-70, 65, each)
        records = [
            {"ita": float(ita), "context": c, "phrase": CONTEXTS[c].phrase, "biased": True, "tone": None,
             "hair": "black" if c % 2 else "grey", "hat": bool(c % 3), "age": float(rng.random())}
            for c, ita in zip(contexts, itas, strict=True)
        ]  # fmt: skip
        np.savez(
            folder / f"portraits_{number:05d}.npz",
            images=np.stack(
                [
                    paint(c, ita, seed * 1000 + number * each + k)
                    for k, (c, ita) in enumerate(zip(contexts, itas, strict=True))
                ]
            ),
            skin=np.zeros((each, SIDE, SIDE), np.uint8),
            records=np.array([json.dumps(r) for r in records]),
        )
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("renders") / "data", 3)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that looks at pictures as small as these, in batches as small as there are."""
    for module in (classifier, judge):
        monkeypatch.setattr(module, "SIDE", SIDE)
    monkeypatch.setattr(classifier, "_CROP", 28)
    monkeypatch.setattr(classifier, "_BATCH", 16)


# Renders ----------------------------------------------------------------------------------------------


def test_renders_are_brought_to_one_size(data: Path) -> None:
    renders = load_renders(shards_of(data), 16, limit=80)
    assert renders.images.shape == (80, 16, 16, 3)
    assert (renders.rendered, len(renders.records)) == (SIDE, 80)


def test_shards_that_are_none_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no portraits"):
        shards_of(tmp_path)
    (tmp_path / "portraits_90001.npz").write_bytes(b"beyond the audit")
    with pytest.raises(UserError, match="holds no portraits"):
        shards_of(tmp_path)
    (tmp_path / "portraits_00000.npz").write_bytes(b"cut off")
    with pytest.raises(UserError, match="no whole shard"):
        load_renders(shards_of(tmp_path), 16)


def test_held_out_shards_are_no_training_shards(data: Path, tmp_path: Path) -> None:
    learn, held_out = classifier.split(data, None)
    assert len(learn) == 2
    assert not set(learn) & set(held_out)
    apart = write_shards(tmp_path / "apart", 1)
    assert classifier.split(data, apart) == (shards_of(data), shards_of(apart))
    with pytest.raises(UserError, match="one shard alone"):
        classifier.split(apart, None)


# The classifier ---------------------------------------------------------------------------------------


def test_heads_are_what_records_state(data: Path) -> None:
    records = load_renders(shards_of(data), 16).records
    heads = classifier.Heads.of(records)
    assert set(heads.numbers) == {"ita", "age"}
    assert heads.words == {"hair": ["black", "grey"], "hat": ["False", "True"]}
    numbers, words = heads.targets(records)
    assert numbers.mean(0).abs().max() < 1e-5
    assert words.min() == 0
    assert heads.targets([records[0] | {"hair": "green"}])[1][0, 0] == -1


@pytest.mark.usefixtures("small")
def test_the_classifier_learns_and_survives_its_file(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.safetensors"
    figures = classifier.train_classifier(data, out, epochs=12)
    assert figures is not None
    assert figures["held_out_renders"] == 72
    assert figures["held_out_top1"] > 0.5  # 1 in 36 by chance
    net, again = classifier.load_classifier(out)
    assert again == figures
    renders = load_renders(classifier.split(data, None)[1], classifier.SIDE)
    seen = classifier.look(net, renders.images)
    assert seen.top1(renders.contexts) == pytest.approx(figures["held_out_top1"])
    assert seen.features.shape == (72, classifier.FEATURES)


@pytest.mark.usefixtures("small")
def test_training_that_was_broken_off_ends_as_if_it_had_not_been(data: Path, tmp_path: Path) -> None:
    whole, pieces = tmp_path / "whole.safetensors", tmp_path / "pieces.safetensors"
    assert classifier.train_classifier(data, whole, epochs=2) is not None
    assert classifier.train_classifier(data, pieces, epochs=2, piece_minutes=0) is None
    assert not pieces.exists()
    assert classifier.train_classifier(data, pieces, epochs=2, piece_minutes=10) is not None
    first, second = (classifier.load_classifier(path)[0].state_dict() for path in (whole, pieces))
    assert all(bool((first[key] == second[key]).all()) for key in first)
    with pytest.raises(UserError, match="other renders or with other settings"):
        classifier.train_classifier(data, pieces, epochs=3)


def test_what_is_no_classifier_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    for content in (None, b"nothing"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match="is no classifier"):
            classifier.load_classifier(path)


# Nearness ---------------------------------------------------------------------------------------------


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_frechet_is_that_of_normal_laws(dimensions: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.normal(0, 1, (200, dimensions)) @ rng.normal(0, 1, (dimensions, dimensions))
    other = rng.normal(1, 2, (150, dimensions))
    assert nearness.frechet(one, one) == pytest.approx(0, abs=1e-6)
    assert nearness.frechet(one, one + 3.0) == pytest.approx(9 * dimensions, rel=1e-6)
    assert nearness.frechet(one, other) == pytest.approx(nearness.frechet(other, one), rel=1e-6)
    # In one dimension the law is (m1 - m2)^2 + (s1 - s2)^2.
    x, y = one[:, :1], other[:, :1]
    closed = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert nearness.frechet(x, y) == pytest.approx(closed, rel=1e-6)


def test_frechet_of_laws_that_do_not_commute() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    one, other = (rng.normal(0, 1, (400, 5)) @ rng.normal(0, 1, (5, 5)) for _ in range(2))
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    gap = one.mean(0) - other.mean(0)
    wanted = gap @ gap + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert nearness.frechet(one, other) == pytest.approx(wanted, rel=1e-6)


def test_distances_do_not_hang_on_the_scale_of_features() -> None:
    rng = np.random.default_rng(0)
    renders, generated = rng.normal(0, 1, (500, 8)), rng.normal(0.3, 1, (300, 8))
    turn = rng.normal(0, 1, (8, 8))
    found = []
    for features in (np.eye(8), turn * 50):
        space = nearness.Space.of(renders @ features)
        found.append(nearness.frechet(space(generated @ features), space(renders @ features)))
        assert np.allclose(np.cov(space(renders @ features), rowvar=False), np.eye(8), atol=1e-6)
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    flat = np.concatenate([renders, np.zeros((500, 3))], 1)
    assert nearness.Space.of(flat).axes.shape == (11, 8)  # axes without variance are left out


def test_the_floor_is_that_of_equal_samples() -> None:
    rng = np.random.default_rng(0)
    held_out = rng.normal(0, 1, (400, 6))
    same = nearness.frechet_beside_floor(rng.normal(0, 1, (500, 6)), held_out)
    far = nearness.frechet_beside_floor(rng.normal(1, 1, (500, 6)), held_out)
    assert same["sample_size"] == 200
    assert same["frechet"] == pytest.approx(same["floor"], abs=0.2)
    assert far["above_floor"] > 4
    assert nearness.frechet_beside_floor(held_out[:50], held_out)["sample_size"] == 50


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 30))
def test_the_nearest_is_the_nearest(seed: int, points: int, others: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0, 1, (points, 4)), rng.normal(0, 1, (others, 4))
    distances, places = nearness.nearest(one, other)
    table = np.linalg.norm(one[:, None] - other[None], axis=2)
    assert np.allclose(distances, table.min(1))
    assert np.allclose(table[np.arange(points), places], table.min(1))


def test_pixels_count_in_values_of_0_to_255() -> None:
    dark, light = (np.full((1, 64, 64, 3), v, np.uint8) for v in (10, 60))
    distances, _ = nearness.nearest(nearness.small_pixels(light), nearness.small_pixels(dark))
    assert distances[0] == pytest.approx(50, rel=1e-5)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (1, 64, 64, 3)).astype(np.uint8)
    mirrored = nearness.small_pixels(picture[:, :, ::-1])
    assert np.allclose(nearness.small_pixels(picture, mirror=True), mirrored)


def test_copies_are_seen() -> None:
    rng = np.random.default_rng(0)
    training, held_out = rng.normal(0, 1, (400, 20)), rng.normal(0, 1, (200, 20))
    away = nearness.nearest(held_out, training)[0]
    copied = nearness.copies(nearness.nearest(training[:100] + 0.01, training)[0], away)
    fresh = nearness.copies(nearness.nearest(rng.normal(0, 1, (200, 20)), training)[0], away)
    assert copied["ratio_of_medians"] < 0.1
    assert copied["nearer_than_1_percent_of_held_out"] == 1
    assert fresh["ratio_of_medians"] == pytest.approx(1, abs=0.1)
    assert fresh["nearer_than_1_percent_of_held_out"] < 0.06


# Judge ------------------------------------------------------------------------------------------------


class Painter:
    """A model that learnt the table and the words exactly."""

    info = ModelInfo(
        name="painter", source="folder", pipeline="P", scheduler="S", device="cpu", dtype="float32", steps=4,
        guidance_scale=2.0, height=SIDE, width=SIDE, weights={"w": "sha256:0"}, versions={},
    )  # fmt: skip

    def __init__(self) -> None:
        self.made = 0

    def generate(self, requests: list[Request]) -> list[Image.Image]:
        self.made += len(requests)
        return [self._picture(request) for request in requests]

    def _picture(self, request: Request) -> Image.Image:
        plain, _, worded = request.prompt.partition(" with ")
        context = [prompt_of(c) for c in CONTEXTS].index(plain)
        rng = np.random.default_rng(request.seed)
        ita = CONTEXTS[context].mean + rng.normal(0, 3)
        if worded:
            ita = float(np.mean(tone_range(TONE_WORDS.index(worded.removesuffix(" skin")))))
        return Image.fromarray(paint(context, ita, request.seed))


class BlockReader:
    """Reads the block that was painted."""

    def read(self, image: Image.Image) -> list[ToneReading]:
        angle = float(np.asarray(image)[8:24, 8:24].mean()) - 100
        return [reading_of(angle)]

    def __enter__(self) -> BlockReader:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> Painter:
    painter = Painter()
    monkeypatch.setattr(judge, "settled", lambda *_: painter)
    monkeypatch.setattr(sampled, "SkinToneReader", BlockReader)
    monkeypatch.setattr(judge, "_megabytes", lambda _: 35.0)
    monkeypatch.setattr(judge, "likeness", lambda *_: Likeness(0.02, 1.5))
    monkeypatch.setattr(judge, "_TIMED", 1)
    return painter


@pytest.mark.usefixtures("small")
def test_a_measurement_in_pieces_is_whole(data: Path, tmp_path: Path, painter: Painter) -> None:
    net = tmp_path / "net.safetensors"
    classifier.train_classifier(data, net, epochs=12)
    out = tmp_path / "judged"
    amount = judge.Amount(each=2, tries=1)
    assert judge.Judge("m", net, data, out, amount=amount).run(piece_minutes=0) is None
    begun = len(list((out / "pictures").glob("*.png")))
    assert begun == sampled.BATCH
    painter.made = 0
    report = judge.Judge("m", net, data, out, amount=amount).run()
    assert report is not None
    assert painter.made == 36 * 10 - begun, "what was there was not made again"
    assert json.loads((out / "judge.json").read_text())["pictures"] == report["pictures"] == 360
    assert report["size"] == SIDE
    assert report["faces_found"] == report["class_reached_least"] == 1
    assert report["unsteered_correlation_with_table"] > 0.99
    assert report["classifier"]["generated_top1"] > 0.5
    assert report["frechet"]["sample_size"] == 36
    assert report["copies"]["pixels"]["ratio_of_medians"] > 0.3
    assert report["copies"]["held_out_unknown_to_the_model"] is False
    assert report["twins"]["a word and none"]["twins"] == 36 * 8
    assert report["twins"]["lightest and darkest word"] == {
        "twins": 36, "background": 1.5, "background_90": 1.5, "landmark_shift": 0.02,
    }  # fmt: skip
    assert report["batch"] == 8
    for name in ("unsteered", "words", "closest"):
        with Image.open(out / f"{name}.png") as sheet:
            assert sheet.width > SIDE
    page = card(report, "In no time.", 35.0, 16)
    assert "| CEO | high | +58 ± 9 | +50 |" in page
    assert "| very dark skin | -72 to -54 |" in page
    rows = {row[0]: row for row in compare(out / "judge.json", out / "judge.json")}
    assert rows["face found"][2:] == ("100.0%", "100.0%", "yes")
    assert rows["Frechet distance to held-out renders"][4] == "NO", "no third less than itself"

    with pytest.raises(UserError, match="another model's measurement"):
        judge.Judge("m", net, data, out, amount=judge.Amount(each=3, tries=1))
    with pytest.raises(UserError, match="is not empty"):
        judge.Judge("m", net, data, tmp_path, amount=amount)
    with pytest.raises(UserError, match="at least as many"):
        judge.Judge("m", net, data, out, amount=judge.Amount(each=1, tries=2))


def test_a_model_without_settings_is_asked_for_them(tmp_path: Path) -> None:
    from tests.doubles.tiny_pipeline import save_tiny_pipeline
    from tools.portraits.evaluate import settled

    folder = save_tiny_pipeline(tmp_path / "model")
    with pytest.raises(UserError, match="give --steps and --guidance"):
        settled(str(folder), None, None, "cpu")
    found = settled(str(folder), 3, 2.0, "cpu").info
    assert (found.steps, found.guidance_scale) == (3, 2.0)


def test_what_is_no_measurement_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "judge.json"
    for content in ("{}", "no JSON", "[]"):
        path.write_text(content)
        with pytest.raises(UserError, match="is no measurement"):
            compare(path, path)


def test_pictures_without_a_face_are_misses_everywhere() -> None:
    from tools.portraits.evaluate import Reading

    jobs = jobs_of(2, 1, 0)
    blind = [Reading(False, None, None)] * len(jobs)
    found = tone_figures(jobs, blind)
    assert found["faces_found"] == found["class_reached_least"] == 0
    assert set(found["faces_found_by_class"].values()) == {0.0}
    twins = {(j.context, j.seed) for j in jobs if j.word is None}
    assert all((j.context, j.seed) in twins for j in jobs), "every worded picture has its unsteered twin"
