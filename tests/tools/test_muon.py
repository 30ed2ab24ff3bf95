"""The optimiser of tools/portraits: updates near orthogonal, only where a matrix is, and it learns."""

from __future__ import annotations

import pytest
import torch

from tools.portraits.muon import Muon, has_matrix, orthogonalised


@pytest.mark.parametrize("shape", [(3, 48, 432), (2, 96, 16), (1, 32, 32)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    before = torch.linalg.svdvals(matrices)
    after = torch.linalg.svdvals(orthogonalised(matrices))
    known = before > 0.1 * before[:, :1]  # the smallest take more iterations than are made
    assert after[known].min() > 0.5
    assert after.max() < 1.3


def test_biases_and_colours_are_not_for_muon() -> None:
    assert has_matrix(torch.zeros(48, 48, 3, 3))
    assert has_matrix(torch.zeros(16, 128))
    for shape in [(48,), (48, 3, 3, 3), (3, 48, 3, 3), (1, 128)]:
        assert not has_matrix(torch.zeros(shape))


def test_a_convolution_learns_another_and_a_checkpoint_goes_on() -> None:
    torch.manual_seed(0)
    wanted, ours = torch.nn.Conv2d(8, 8, 3, bias=False), torch.nn.Conv2d(8, 8, 3, bias=False)
    optimiser = Muon([ours.weight], lr=0.02)
    losses = []
    for step in range(60):
        if step == 30:
            stored = optimiser.state_dict()
            optimiser = Muon([ours.weight], lr=0.005)
            optimiser.load_state_dict(stored)
            assert optimiser.param_groups[0]["lr"] == 0.02
            optimiser.param_groups[0]["lr"] = 0.005
        x = torch.randn(16, 8, 8, 8)
        loss = (ours(x) - wanted(x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]
