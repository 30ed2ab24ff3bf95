"""What the embedded model is taught, and a step of its training."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fairgen.errors import UserError
from tools.portraits.autoencoder import HELD_OUT, new_autoencoder, to_tensor
from tools.portraits.lessons import Lessons, load_lessons, prepare, tone_told
from tools.portraits.skin import TONE_WORDS
from tools.portraits.train import Trainer

_COUNT = HELD_OUT + 6


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Portraits whose faces fill the upper left corner; only a few are ever encoded."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    record = {
        "phrase": "doctor",
        "tone": 3,
        "biased": True,
        "maleness": 0.9,
        "age": 0.5,
        "hair": "black hair",
        "clothes": "a white coat",
        "hat": False,
        "glasses": True,
        "beard": False,
    }
    skin = np.zeros((_COUNT, 128, 128), np.uint8)
    skin[:, :32, :32] = 255
    np.savez(
        folder / "portraits_00000.npz",
        images=rng.integers(0, 255, (_COUNT, 128, 128, 3), dtype=np.uint8),
        skin=skin,
        records=np.array([json.dumps(record)] * _COUNT),
    )
    return folder


@pytest.fixture(scope="module")
def autoencoder(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained one whose latents are centred and of unit spread, as a trained one's are."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("autoencoder")
    model = new_autoencoder(128, 16, 4)
    last = model.encoder.layers[-1]
    with torch.no_grad(), np.load(shards / "portraits_00000.npz") as shard:
        z = model.encode(to_tensor(shard["images"][:20], torch.device("cpu"))).latents
        mean, spread = z.mean((0, 2, 3)), z.std((0, 2, 3))
        last.weight /= spread[:, None, None, None]
        last.bias.copy_((last.bias - mean) / spread)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lessons(shards: Path, autoencoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "lessons"
    prepare(shards, autoencoder, folder)
    return folder


def _loaded(folder: Path) -> Lessons:
    return load_lessons(folder, torch.device("cpu"))


def test_latents_come_back_as_they_were(lessons: Path, shards: Path, autoencoder: Path) -> None:
    from diffusers import AutoencoderTiny

    found = _loaded(lessons)
    with np.load(shards / "portraits_00000.npz") as shard:
        x = to_tensor(shard["images"][HELD_OUT:], torch.device("cpu"))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model = AutoencoderTiny.from_pretrained(autoencoder)
        wanted = torch.cat([model.encode(view).latents.float() for view in (x, x.flip(-1))])
    ours = found.latents * found.step[:, None, None]
    assert ours.shape == wanted.shape == (12, 4, 16, 16)
    assert found.latents.abs().max() > 10  # levels enough
    apart = ((ours[:, None] - wanted).square().mean((2, 3, 4)) / wanted.var((0, 2, 3)).mean()).sqrt()
    assert apart.min(1).values.max() < 0.2  # an untrained encoder in bfloat16, and a rounding of 0.03
    assert sorted(apart.argmin(1).tolist()) == list(range(12))
    assert found.spread == pytest.approx(float(wanted.std()), rel=0.02)


def test_latents_that_do_not_fit_into_8_bits_are_refused(shards: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    new_autoencoder(128, 16, 4).save_pretrained(tmp_path / "untrained")
    with pytest.raises(ValueError, match="not centred"):
        prepare(shards, tmp_path / "untrained", tmp_path / "lessons", views=1)
    assert not (tmp_path / "lessons").exists()


def test_one_view_takes_one_side_of_each_by_chance(shards: Path, autoencoder: Path, tmp_path: Path) -> None:
    prepare(shards, autoencoder, tmp_path / "lessons", views=1, seed=1)
    found = _loaded(tmp_path / "lessons")
    assert len(found.latents) == len(found.tokens) == 6
    left = found.faces[:, 0, 0].bool()
    assert set(left.tolist()) == {True, False}
    assert (found.faces[:, 0, 15].bool() ^ left).all()  # the face turns with the picture


def test_captions_are_kept_with_the_tone_that_they_say(lessons: Path) -> None:
    from transformers import CLIPTokenizer

    found = _loaded(lessons)
    words = CLIPTokenizer.from_pretrained(found.tokenizer)
    for row, told in zip(found.tokens.flatten(0, 1), found.told.flatten(), strict=True):
        text = words.decode(row.tolist(), skip_special_tokens=True)
        assert "doctor" in text or "person" in text
        assert int(told) == (3 if f"{TONE_WORDS[3]} skin" in text else len(TONE_WORDS))
    assert words.decode(found.empty.tolist(), skip_special_tokens=True) == ""


def test_the_longer_tone_word_is_heard() -> None:
    for number, word in enumerate(TONE_WORDS):
        assert tone_told(f"a portrait of a judge with {word} skin, wearing a robe") == number
    assert tone_told("a portrait of a judge") == len(TONE_WORDS)


def test_a_folder_without_lessons_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="prepare"):
        _loaded(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes a second, however fast the machine is."""
    seconds, learn = itertools.count(1), Trainer._learn
    now = SimpleNamespace(told=0.0)

    def slowly(self: Trainer, batch: Any) -> torch.Tensor:
        now.told = float(next(seconds))
        return learn(self, batch)

    monkeypatch.setattr(Trainer, "_learn", slowly)
    monkeypatch.setattr("tools.portraits.train.time", SimpleNamespace(monotonic=lambda: now.told))


@pytest.mark.usefixtures("clock")
def test_a_training_learns_and_goes_on_where_it_stopped(lessons: Path, tmp_path: Path) -> None:
    first = Trainer(lessons, tmp_path, seed=0, batch=4, device="cpu")
    before = {name: weight.clone() for name, weight in first.unet.state_dict().items()}
    first.fit(0.05)
    assert first.step == 3  # in three seconds
    assert any(not torch.equal(weight, before[name]) for name, weight in first.unet.state_dict().items())
    again = Trainer(lessons, tmp_path, seed=0, batch=4, device="cpu")
    assert (again.step, again.seconds) == (first.step, first.seconds)
    for name, weight in first.unet_average.state_dict().items():
        assert torch.equal(weight, again.unet_average.state_dict()[name])
    again.fit(0.08)  # its learning rates are those of the schedule, not of the checkpoint
    assert again.step == 5
    assert float(again.optimiser.param_groups[0]["lr"]) == float(again.pace.rate) > 0
    assert (tmp_path / "pipeline" / "model_index.json").is_file()
