"""Starts a training from a model that is shipped already, though the new one is larger.

An autoencoder grows by a level (128 to 256 px) and by latent channels: its first channels go on meaning
what they meant, so that a UNet that knows them has only the further ones to learn. Where shapes agree
weights are copied; what is new begins as nothing (zeros) or, in blocks with a way around them, as the
identity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, UNet2DConditionModel
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

_FRONT_STEPS = 200


def _levels(layers: nn.Sequential) -> list[list[nn.Module]]:
    """The layers of an encoder or decoder, cut before each convolution that stands alone."""
    found: list[list[nn.Module]] = []
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            found.append([])
        found[-1].append(layer)
    return found


def _head(level: list[nn.Module]) -> nn.Conv2d:
    """The convolution that a level begins with."""
    head = level[0]
    assert isinstance(head, nn.Conv2d)
    return head


def _copy(into: nn.Conv2d, source: nn.Conv2d) -> None:
    """The part of a kernel that both have; the rest of ``into`` becomes 0."""
    out, inner = (min(a, b) for a, b in zip(into.weight.shape[:2], source.weight.shape[:2], strict=True))
    into.weight.zero_()
    into.weight[:out, :inner] = source.weight[:out, :inner]
    if into.bias is not None and source.bias is not None:
        into.bias.zero_()
        into.bias[:out] = source.bias[:out]


def _blocks(level: list[nn.Module]) -> list[AutoencoderTinyBlock]:
    return [layer for layer in level if isinstance(layer, AutoencoderTinyBlock)]


def _copy_level(into: list[nn.Module], source: list[nn.Module]) -> None:
    _copy(_head(into), _head(source))
    fresh, old = _blocks(into), _blocks(source)
    for number, block in enumerate(fresh):
        if number < len(old):
            block.load_state_dict(old[number].state_dict())
        else:
            _be_identity(block)


def _be_identity(block: AutoencoderTinyBlock) -> None:
    last = block.conv[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


@torch.no_grad()
def grow_autoencoder(new: AutoencoderTiny, old: AutoencoderTiny) -> None:
    """Put what ``old`` knows into ``new``, which has the same width, one level more, and as many latent
    channels or more. `fit_front` then teaches the first two layers of the encoder, which have no counterpart.

    Raises:
        ValueError: the two are not a level apart, or of different widths.
    """
    ours, theirs = _levels(new.encoder.layers), _levels(old.encoder.layers)
    if len(ours) != len(theirs) + 1 or _head(ours[0]).out_channels != _head(theirs[0]).out_channels:
        raise ValueError("only an autoencoder with one level less, and of the same width, can be grown")
    for level, known in zip(ours[2:], theirs[1:], strict=True):
        _copy_level(level, known)
    latents = _head(ours[-1])
    for channel in range(_head(theirs[-1]).out_channels, latents.out_channels):
        nn.init.normal_(latents.weight[channel], std=float(latents.weight[0].std()))
    ours, theirs = _levels(new.decoder.layers), _levels(old.decoder.layers)
    for level, known in zip(ours[:-2], theirs[:-1], strict=True):
        _copy_level(level, known)
    _copy_end(ours[-3:], _head(theirs[-1]), old)


def _copy_end(ours: list[list[nn.Module]], known: nn.Conv2d, old: AutoencoderTiny) -> None:
    """The new level lets the old features through, twice as large, to the old colours. Its block ends in a
    ReLU, which they never met: a bias lifts them above 0, and the last layer takes it off again.
    """
    lifted, passing, last = _blocks(ours[0])[0], _head(ours[1]), _head(ours[2])
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(8, old.config["latent_channels"], 16, 16, generator=generator)
    lift = -float(old.decoder.layers[:-1](latents).flatten()[::7].quantile(0.001))
    lifted.conv[-1].bias.fill_(lift)
    nn.init.dirac_(passing.weight)
    _copy(last, known)
    assert last.bias is not None
    last.bias -= lift * last.weight.sum((1, 2, 3))


def fit_front(new: AutoencoderTiny, old: AutoencoderTiny, pieces: Iterator[torch.Tensor]) -> float:
    """Teach the two first layers of ``new``, on pieces of pictures (n x 3 x h x w, -1..1), to give what the
    first layer of ``old`` gives for half as large ones: the mean squared error that is left, in units of
    their variance.
    """
    front, known = nn.Sequential(*new.encoder.layers[:2]), old.encoder.layers[0]
    optimiser = torch.optim.AdamW(front.parameters(), 5e-3)
    error = torch.ones(())
    for _ in range(_FRONT_STEPS):
        x = next(pieces)
        with torch.no_grad():
            wanted = known(F.avg_pool2d(x, 2))
        error = (front(x) - wanted).square().mean() / wanted.var()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    return float(error.detach())


@torch.no_grad()
def copy_unet(new: UNet2DConditionModel, old: UNet2DConditionModel) -> None:
    """Weights of a UNet that has at most fewer latent channels, and no attention where the new one has some:
    that begins as the identity.

    Raises:
        ValueError: it differs in more.
    """
    state = old.state_dict()
    for name in ("conv_in", "conv_out"):
        _copy(getattr(new, name), getattr(old, name))
        state |= {k: v for k, v in new.state_dict().items() if k.startswith(f"{name}.")}
    for name, weight in new.state_dict().items():
        if ".attentions." in name and name not in state:
            state[name] = torch.zeros_like(weight) if ".proj_out." in name else weight
    try:
        new.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError("the UNet to start from is of another shape") from error


@torch.no_grad()
def copy_text_encoder(
    new: CLIPTextModel, tokenizer: CLIPTokenizer, old: CLIPTextModel, old_tokenizer: CLIPTokenizer
) -> None:
    """Weights of a text encoder whose vocabulary may be another: a word keeps its embedding, a new word keeps
    the one that it was given.
    """
    table = re.compile(r"(^|\.)token_embedding\.weight$")
    ours, theirs = new.state_dict(), old.state_dict()
    (name,) = (key for key in ours if table.search(key))
    known = old_tokenizer.get_vocab()
    for word, place in tokenizer.get_vocab().items():
        if word in known:
            ours[name][place] = theirs[name][known[word]]
    new.load_state_dict(theirs | {name: ours[name]})
