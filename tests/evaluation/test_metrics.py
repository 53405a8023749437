from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, roc_auc_score

from drr_agent.errors import ConfigError, DataError
from drr_agent.evaluation.metrics import (
    accuracy_ci,
    auroc,
    bootstrap_ci,
    brier,
    ece,
    paired_difference,
    reliability,
    within_question_auroc,
)

# few distinct values, so that ties are common
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0])
ROWS = st.lists(st.tuples(SCORES, st.booleans(), st.sampled_from("abcd")), min_size=1, max_size=40)


def pairs_won(rows):
    """The definition, pair by pair."""
    right = [(score, group) for score, label, group in rows if label]
    wrong = [(score, group) for score, label, group in rows if not label]
    won = [(a > b) + (a == b) / 2 for (a, g), (b, h) in product(right, wrong) if g == h]
    return sum(won) / len(won) if won else None


@given(ROWS)
def test_auroc_is_sklearns(rows):
    scores, labels, _ = zip(*rows, strict=True)
    expected = roc_auc_score(labels, scores) if len(set(labels)) == 2 else None
    assert auroc(scores, labels) == (None if expected is None else pytest.approx(expected))


@given(ROWS)
def test_within_question_auroc_is_brute_force(rows):
    scores, labels, groups = zip(*rows, strict=True)
    expected = pairs_won(rows)
    assert within_question_auroc(scores, labels, groups) == (None if expected is None else pytest.approx(expected))


def test_within_question_auroc_does_not_see_which_questions_are_hard():
    scores = [0.9, 0.8, 0.2, 0.1]
    labels = [True, True, False, False]
    assert auroc(scores, labels) == 1.0
    assert within_question_auroc(scores, labels, ["easy", "easy", "hard", "hard"]) is None


def test_within_question_auroc_weighs_pairs_not_questions():
    # one question has 4 pairs, all won; the other has 1, lost
    scores = [0.9, 0.8, 0.2, 0.1, 0.3, 0.7]
    labels = [1, 1, 0, 0, 1, 0]
    assert within_question_auroc(scores, labels, [1, 1, 1, 1, 2, 2]) == pytest.approx(4 / 5)


@given(ROWS, st.integers(1, 20))
def test_ece_is_the_definition(rows, bins):
    scores, labels, _ = zip(*rows, strict=True)
    gap = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = [row for row in rows if low < row[0] <= high or (index == 0 and row[0] == 0)]
        gap += abs(sum(row[0] for row in inside) - sum(row[1] for row in inside))
    assert ece(scores, labels, bins=bins) == pytest.approx(gap / len(rows))


@given(ROWS)
def test_brier_is_sklearns(rows):
    scores, labels, _ = zip(*rows, strict=True)
    assert brier(scores, labels) == pytest.approx(brier_score_loss(labels, scores, pos_label=True))


@given(ROWS, st.integers(1, 20))
def test_reliability_holds_every_row_once(rows, bins):
    scores, labels, _ = zip(*rows, strict=True)
    table = reliability(scores, labels, bins)
    assert sum(row["count"] for row in table) == len(rows)
    assert sum(row["count"] * row["accuracy"] for row in table) == pytest.approx(sum(labels))
    assert all(row["count"] for row in table)


def test_reliability_bins_are_closed_above():
    table = reliability([0.0, 0.5, 0.51, 1.0], [0, 1, 0, 1], 2)
    assert [(row["count"], row["accuracy"]) for row in table] == [(2, 0.5), (2, 0.5)]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_accuracy_ci_is_wilsons(counts):
    right, n = counts
    expected = binomtest(right, n).proportion_ci(confidence_level=0.95, method="wilson")
    assert accuracy_ci([1] * right + [0] * (n - right)) == pytest.approx((expected.low, expected.high))


def test_bootstrap_is_close_to_the_normal_interval():
    values = np.random.default_rng(1).normal(2.0, 3.0, size=400)
    found = bootstrap_ci(values, seed=0)
    half = 1.96 * values.std() / 400**0.5
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)


def test_bootstrap_repeats_with_its_seed_and_only_with_it():
    values = [0, 1, 1, 0, 0.3, 0.7, 0.11, 0.13]
    assert bootstrap_ci(values, seed=3) == bootstrap_ci(values, seed=3)
    assert bootstrap_ci(values, seed=3) != bootstrap_ci(values, seed=4)


def test_pairing_removes_what_both_sides_share():
    ease = np.random.default_rng(0).normal(0, 10, size=200)
    gain = np.random.default_rng(1).normal(0.5, 1, size=200)
    difference = paired_difference(ease + gain, ease, seed=0)
    alone = bootstrap_ci(ease, seed=0)
    assert difference.mean == pytest.approx(gain.mean())
    assert difference.high - difference.low < 0.2 * (alone.high - alone.low)
    assert difference.low > 0


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(lambda: auroc([], []), None, id="auroc of nothing"),
        pytest.param(lambda: auroc([0.1, 0.9], [1, 1]), None, id="auroc of one class"),
        pytest.param(lambda: within_question_auroc([], [], []), None, id="within-question auroc of nothing"),
        pytest.param(lambda: ece([], []), None, id="ece of nothing"),
        pytest.param(lambda: brier([], []), None, id="brier of nothing"),
        pytest.param(lambda: reliability([], []), [], id="reliability of nothing"),
        pytest.param(lambda: accuracy_ci([]), None, id="interval of nothing"),
        pytest.param(lambda: bootstrap_ci([], seed=0), None, id="bootstrap of nothing"),
        pytest.param(lambda: paired_difference([], [], seed=0), None, id="difference of nothing"),
    ],
)
def test_nothing_to_measure_is_none(call, expected):
    assert call() == expected


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(lambda: auroc([0.1, np.nan], [0, 1]), DataError, "finite.*nan in row 1", id="nan score"),
        pytest.param(lambda: auroc([0.1, None], [0, 1]), DataError, "leave out", id="unknown score"),
        pytest.param(lambda: auroc([0.1, np.inf], [0, 1]), DataError, "finite.*inf", id="infinite score"),
        pytest.param(lambda: auroc([0.1, 0.2], [0, 2]), DataError, "labels 0 or 1, got 2.0 in row 1", id="label 2"),
        pytest.param(lambda: auroc([0.1, 0.2], [0, None]), DataError, "labels 0 or 1", id="unknown label"),
        pytest.param(lambda: auroc([0.1, 0.2], [0]), DataError, "2 scores and 1 labels", id="lengths"),
        pytest.param(lambda: auroc(["high"], [1]), DataError, "flat sequence of numbers", id="words"),
        pytest.param(lambda: auroc([[0.1], [0.2]], [0, 1]), DataError, "shape \\(2, 1\\)", id="matrix"),
        pytest.param(lambda: within_question_auroc([0.1], [1], []), DataError, "group for each of 1", id="groups"),
        pytest.param(lambda: brier([1.2], [1]), DataError, "in \\[0, 1\\], got 1.2.*calibrate", id="not a probability"),
        pytest.param(lambda: ece([0.5], [1], bins=0), ConfigError, "at least 1, got 0", id="no bins"),
        pytest.param(lambda: bootstrap_ci([np.nan], seed=0), DataError, "finite", id="nan in bootstrap"),
        pytest.param(lambda: paired_difference([1], [1, 2], seed=0), DataError, "got 1 and 2", id="unpaired"),
    ],
)
def test_bad_input_is_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
