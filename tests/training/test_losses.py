import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.training.losses import Objective, listwise_loss, pairwise_loss


def softplus(x):
    return math.log1p(math.exp(x))


def log_sum_exp(*values):
    return math.log(sum(map(math.exp, values)))


def tensors(margins, labels, groups, weights=None):
    return (
        torch.tensor(margins),
        torch.tensor(labels),
        torch.tensor(groups),
        torch.tensor([1.0] * len(margins) if weights is None else weights),
    )


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
    assert pairwise_loss(*tensors(margins, labels, groups)).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param([2.0, 2.0, 1.0], (2 * softplus(-1.0) + 1.5 * softplus(2.0)) / 2, id="hard-at-both-ends-or-one"),
        pytest.param([1.0, 1.0, 3.0], (softplus(-1.0) + 2 * softplus(2.0)) / 2, id="hard-at-one-end"),
    ],
)
def test_a_pair_counts_as_its_attempts_do(weights, expected):
    loss = pairwise_loss(*tensors([1.0, 0.0, 3.0], [1, 0, 0], [0, 0, 0], weights))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("margins", "labels", "groups", "expected"),
    [
        pytest.param([2.0, -1.0], [1, 0], [0, 0], softplus(-3.0), id="two-attempts-are-a-pair"),
        pytest.param([2.0, -1.0], [1, 0], [0, 1], 0.0, id="two-questions"),
        pytest.param([2.0, -1.0], [1, 1], [0, 0], 0.0, id="no-wrong-one"),
        pytest.param([2.0, -1.0], [0, 0], [0, 0], 0.0, id="no-right-one"),
        pytest.param(
            [1.0, 0.5, 3.0, 0.0],
            [1, 1, 0, 0],
            [0, 0, 0, 0],
            log_sum_exp(1.0, 0.5, 3.0, 0.0) - log_sum_exp(1.0, 0.5),
            id="the-mass-of-all-that-are-right",
        ),
        pytest.param(
            [1.0, 0.0, 9.0, 5.0, 5.0],
            [1, 0, 1, 1, 0],
            [7, 7, 3, 4, 4],
            (softplus(-1.0) + math.log(2)) / 2,
            id="the-mean-over-questions-with-both",
        ),
    ],
)
def test_the_listwise_loss_by_hand(margins, labels, groups, expected):
    assert listwise_loss(*tensors(margins, labels, groups)).item() == pytest.approx(expected, abs=1e-6)


def test_a_list_counts_as_its_heaviest_attempt():
    loss = listwise_loss(*tensors([1.0, 0.0, 5.0, 5.0], [1, 0, 1, 0], [0, 0, 1, 1], [1.0, 3.0, 1.0, 1.0]))
    assert loss.item() == pytest.approx((3 * softplus(-1.0) + math.log(2)) / 2, abs=1e-6)


rows = st.lists(
    st.tuples(st.floats(-50, 50, width=32), st.integers(0, 1), st.integers(0, 3), st.floats(0.5, 4, width=32)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("loss", [pairwise_loss, listwise_loss], ids=["pairwise", "listwise"])
@given(given_rows=rows)
def test_what_raises_a_right_attempt_over_wrong_ones_lowers_the_loss(loss, given_rows):
    margins, labels, groups, weights = (
        column.double() if column.is_floating_point() else column
        for column in tensors(*map(list, zip(*given_rows, strict=True)))
    )
    margins.requires_grad_()
    value = loss(margins, labels, groups, weights)
    value.backward()
    assert value.item() >= -1e-9
    assert bool(torch.isfinite(margins.grad).all())
    assert bool((margins.grad[labels == 1] <= 1e-9).all())
    assert bool((margins.grad[labels == 0] >= -1e-9).all())
    shifted = margins.detach() + groups.double()
    assert loss(shifted, labels, groups, weights).item() == pytest.approx(value.item(), abs=1e-6), (
        "questions do not mix"
    )


@pytest.mark.parametrize("loss", [pairwise_loss, listwise_loss], ids=["pairwise", "listwise"])
def test_a_batch_without_pairs_has_a_gradient_of_zero(loss):
    margins, labels, groups, weights = tensors([1.0, 2.0], [1, 1], [0, 0])
    margins.requires_grad_()
    loss(margins, labels, groups, weights).backward()
    assert margins.grad is not None
    assert margins.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"bce_weight": 1.0, "pair_weight": 0.0}, (softplus(-2.0) + softplus(-1.0)) / 2, id="bce"),
        pytest.param({"bce_weight": 0.0, "pair_weight": 1.0}, softplus(-3.0), id="pairs"),
        pytest.param({"bce_weight": 0.0, "pair_weight": 0.0, "list_weight": 0.5}, softplus(-3.0) / 2, id="lists"),
        pytest.param(
            {"bce_weight": 0.5, "pair_weight": 2.0, "list_weight": 1.0},
            (softplus(-2.0) + softplus(-1.0)) / 4 + 3 * softplus(-3.0),
            id="mixed",
        ),
        pytest.param(
            {"bce_weight": 1.0, "pair_weight": 0.0, "accept_weight": 2.0, "reject_weight": 0.5},
            (2 * softplus(-2.0) + 0.5 * softplus(-1.0)) / 2,
            id="class-weights",
        ),
    ],
)
def test_the_objective_by_hand(settings, expected):
    loss = Objective(**settings)(*tensors([2.0, -1.0], [1, 0], [0, 0]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)
