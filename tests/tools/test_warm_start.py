"""A training that starts from a smaller model keeps what that model knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel

from tools.portraits.autoencoder import new_autoencoder
from tools.portraits.train import new_text_encoder
from tools.portraits.warm_start import copy_text_encoder, copy_unet, fit_front, grow_autoencoder


def _smooth(generator: torch.Generator) -> torch.Tensor:
    """Pictures in which neighbours resemble each other, as in photographs."""
    coarse = torch.rand(4, 3, 8, 8, generator=generator) * 2 - 1
    return F.interpolate(coarse, size=(64, 64), mode="bicubic").clamp(-1, 1)


def test_a_grown_autoencoder_keeps_its_latents_and_begins_new_ones() -> None:
    torch.manual_seed(0)
    old, new = new_autoencoder(128, 16, 4), new_autoencoder(256, 16, 6)
    generator = torch.Generator().manual_seed(1)
    pieces: Iterator[torch.Tensor] = (_smooth(generator) for _ in iter(int, 1))
    grow_autoencoder(new, old)
    assert fit_front(new, old, pieces) < 0.05
    x = _smooth(generator)
    with torch.no_grad():
        found, wanted = new.encode(x).latents, old.encode(F.avg_pool2d(x, 2)).latents
        assert new.decode(found).sample.shape == x.shape
    assert found.shape == (4, 6, 4, 4)
    assert (found[:, :4] - wanted).square().mean() < 0.1 * wanted.var()
    assert found[:, 4:].std() > 0.01 * wanted.std()


def test_only_the_next_size_of_the_same_width_grows() -> None:
    with pytest.raises(ValueError, match="one level less"):
        grow_autoencoder(new_autoencoder(256, 16), new_autoencoder(256, 16))
    with pytest.raises(ValueError, match="same width"):
        grow_autoencoder(new_autoencoder(256, 16), new_autoencoder(128, 8))


def _unet(channels: int, width: int = 16, *, attentive: bool = False) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D" if attentive else "DownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D" if attentive else "UpBlock2D"),
        block_out_channels=(width, width),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def test_a_unet_with_more_channels_says_the_same_of_those_that_it_knew() -> None:
    torch.manual_seed(0)
    old, new = _unet(4), _unet(6)
    copy_unet(new, old)
    x, t, context = torch.randn(2, 6, 8, 8), torch.tensor([3, 700]), torch.randn(2, 5, 8)
    with torch.no_grad():
        said, before = new(x, t, context).sample, old(x[:, :4], t, context).sample
    assert torch.allclose(said[:, :4], before, atol=1e-5)
    assert said[:, 4:].abs().max() == 0  # nothing is known of them yet
    with pytest.raises(ValueError, match="another shape"):
        copy_unet(_unet(4, width=32), old)


def test_attention_that_is_new_begins_as_the_identity_and_can_learn() -> None:
    torch.manual_seed(0)
    old, new = _unet(4), _unet(4, attentive=True)
    copy_unet(new, old)
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 5, 8)
    said = new(x, t, context).sample
    with torch.no_grad():
        assert torch.allclose(said, old(x, t, context).sample, atol=1e-5)
    said.square().mean().backward()
    fresh = set(new.state_dict()) - set(old.state_dict())
    moved = {
        n for n, p in new.named_parameters() if n in fresh and p.grad is not None and p.grad.abs().max() > 0
    }
    assert {n for n in fresh if ".proj_out." in n} <= moved


@pytest.mark.embedded
def test_a_word_keeps_its_embedding_in_another_vocabulary(tmp_path: Path, embedded_model: Path) -> None:
    from transformers import CLIPTextModel, CLIPTokenizer

    from tools.portraits.text import build_tokenizer

    old_words = CLIPTokenizer.from_pretrained(embedded_model / "tokenizer")
    old = CLIPTextModel.from_pretrained(embedded_model / "text_encoder")
    words = build_tokenizer(tmp_path)
    new = new_text_encoder(words)
    copy_text_encoder(new, words, old, old_words)
    text = "a portrait of a doctor with dark brown skin"
    with torch.no_grad():
        said, before = (
            model(torch.tensor([tokenizer(text).input_ids]))[0]
            for model, tokenizer in ((new, words), (old, old_words))
        )
    assert torch.allclose(said, before, atol=1e-5)
