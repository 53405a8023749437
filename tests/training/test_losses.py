import math

import pytest
import torch

from drr_agent.training.losses import Objective, pairwise_loss


def softplus(x):
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("margins", "labels", "groups", "expected"),
    [
        pytest.param([2.0, -1.0], [1, 0], [0, 0], softplus(-3.0), id="one-pair"),
        pytest.param([-1.0, 2.0], [1, 0], [0, 0], softplus(3.0), id="a-wrong-order"),
        pytest.param([2.0, -1.0], [1, 0], [0, 1], 0.0, id="two-questions"),
        pytest.param([2.0, -1.0], [1, 1], [0, 0], 0.0, id="no-wrong-one"),
        pytest.param([1.0, 0.0, 3.0], [1, 0, 0], [0, 0, 0], (softplus(-1.0) + softplus(2.0)) / 2, id="the-mean"),
    ],
)
def test_the_pairwise_loss_by_hand(margins, labels, groups, expected):
    loss = pairwise_loss(torch.tensor(margins), torch.tensor(labels), torch.tensor(groups))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_a_batch_without_pairs_has_a_gradient_of_zero():
    margins = torch.tensor([1.0, 2.0], requires_grad=True)
    pairwise_loss(margins, torch.tensor([1, 1]), torch.tensor([0, 0])).backward()
    assert margins.grad is not None
    assert margins.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param({"bce_weight": 1.0, "pair_weight": 0.0}, (softplus(-2.0) + softplus(-1.0)) / 2, id="bce"),
        pytest.param({"bce_weight": 0.0, "pair_weight": 1.0}, softplus(-3.0), id="pairs"),
        pytest.param(
            {"bce_weight": 0.5, "pair_weight": 2.0},
            (softplus(-2.0) + softplus(-1.0)) / 4 + 2 * softplus(-3.0),
            id="mixed",
        ),
        pytest.param(
            {"bce_weight": 1.0, "pair_weight": 0.0, "accept_weight": 2.0, "reject_weight": 0.5},
            (2 * softplus(-2.0) + 0.5 * softplus(-1.0)) / 2,
            id="class-weights",
        ),
    ],
)
def test_the_objective_by_hand(weights, expected):
    loss = Objective(**weights)(torch.tensor([2.0, -1.0]), torch.tensor([1, 0]), torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)
