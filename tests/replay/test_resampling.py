"""Intervals and tests over questions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.evaluation.metrics import bootstrap_ci
from drr_agent.replay import resampling
from drr_agent.replay.resampling import Resampler, sign_flip


def test_equal_weights_give_the_bootstrap_of_a_mean():
    values = np.random.default_rng(0).normal(0.3, 1.0, size=300)
    found = Resampler(units=300, resamples=4_000).ratio(values, np.ones(300))
    known = bootstrap_ci(values, seed=1)
    assert found.mean == pytest.approx(known.mean)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.02)


def test_a_question_asked_often_is_one_question():
    """Ten runs of each of 40 questions say no more than 40 runs; the interval must not be that of 400."""
    outcomes = np.random.default_rng(1).integers(2, size=40).astype(float)
    once = Resampler(units=40).ratio(outcomes, np.ones(40))
    often = Resampler(units=40).ratio(10 * outcomes, np.full(40, 10.0))
    assert often == pytest.approx(once)


def test_what_has_no_weight_has_no_mean():
    known, unknown = Resampler(units=3).ratios(np.ones((2, 3)), np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    assert known == pytest.approx((1.0, 1.0, 1.0))
    assert unknown is None


def test_the_same_units_are_drawn_for_whatever_is_asked():
    resampler, values = Resampler(units=50, resamples=20, seed=4), np.arange(50.0)[None]
    assert (resampler.sums(values) == resampler.sums(np.concatenate([values, values]))[:, :1]).all()


def test_draws_that_are_too_many_to_keep_are_the_same_ones(monkeypatch):
    columns = np.random.default_rng(2).normal(size=(3, 70))
    kept = Resampler(units=70, resamples=90, seed=1).sums(columns)
    monkeypatch.setattr(resampling, "_KEPT", 0)
    monkeypatch.setattr(resampling, "_CELLS", 400)
    assert Resampler(units=70, resamples=90, seed=1).sums(columns) == pytest.approx(kept)
    assert len(np.unique(kept[:, 0])) == 90


@pytest.mark.parametrize(
    ("differences", "low", "high"),
    [
        pytest.param(np.zeros(50), 1.0, 1.0, id="no difference"),
        pytest.param(np.ones(30), 1 / 2001, 0.001, id="always better"),
        pytest.param(np.array([1.0, -1.0] * 20), 0.99, 1.0, id="as often worse"),
        pytest.param(np.array([1.0] * 6 + [0.0] * 100), 0.02, 0.05, id="six of six: 2 / 2 ** 6"),
    ],
)
def test_sign_flip(differences, low, high):
    assert low <= sign_flip(differences, seed=0) <= high


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_a_p_value_has_no_sign_and_is_never_zero(differences):
    given_differences = np.array(differences)
    p = sign_flip(given_differences, seed=0)
    assert 0 < p <= 1
    assert p == sign_flip(-given_differences, seed=0)
