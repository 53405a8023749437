import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from drr_agent.dm.calibration import (
    _FITTERS,
    Calibration,
    IsotonicCalibration,
    SigmoidCalibration,
    apply_calibration,
    fit_calibration,
    log_loss,
)
from drr_agent.errors import DataError

ANY: TypeAdapter[Calibration] = TypeAdapter(Calibration)
finite = st.floats(allow_nan=False, allow_infinity=False)


def draw(probability, *, rows=3000, seed=0):
    """Logits, labels drawn with a probability of the logit, and four rows a question."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, rows)
    labels = random.random(rows) < np.array([probability(logit) for logit in logits])
    return logits.tolist(), labels.tolist(), [str(row // 4) for row in range(rows)]


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        pytest.param(lambda z: sigmoid(z / 3), "temperature", id="overconfident"),
        pytest.param(lambda z: sigmoid(z - 2), "platt", id="another-base-rate"),
        pytest.param(lambda z: 0.1 if z < 1 else 0.8, "isotonic", id="a-step"),
    ],
)
def test_the_simplest_kind_that_fits_is_chosen_and_its_probabilities_come_true(truth, kind):
    calibration, held_out = fit_calibration(*draw(truth))
    assert calibration.kind == kind
    fresh, labels, _ = draw(truth, rows=20_000, seed=1)
    said = apply_calibration(calibration, fresh)
    assert np.abs(said - [truth(logit) for logit in fresh]).mean() < 0.03
    assert log_loss(held_out, draw(truth)[1]) == pytest.approx(log_loss(said, labels), abs=0.02)


def test_a_gain_that_may_be_luck_buys_nothing():
    fits = (fit_calibration(*draw(lambda z: sigmoid(0.7 * z), rows=240, seed=seed)) for seed in range(12))
    assert {fit.calibration.kind for fit in fits} == {"temperature"}


@pytest.mark.parametrize("kind", _FITTERS)
@settings(max_examples=40)
@given(
    rows=st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({label for _, label in rows}) == 2
    ),
    asked=st.lists(finite, min_size=2, max_size=10).map(sorted),
)
def test_any_fit_rises_stays_inside_and_survives_json(kind, rows, asked):
    logits, labels = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    calibration = _FITTERS[kind](logits, labels, np.ones_like(logits))
    said = apply_calibration(calibration, asked)
    assert np.all((said >= 0) & (said <= 1))
    assert np.all(np.diff(said) >= 0)
    seen = apply_calibration(calibration, logits)
    assert np.all((seen > 0) & (seen < 1)), "an observed logit is never certain"
    assert ANY.validate_json(ANY.dump_json(calibration)) == calibration


def test_the_ends_of_an_isotonic_curve_count_what_they_have_seen():
    logits, labels = [0.0] * 9 + [1.0] * 4, [False] * 9 + [True] * 4
    curve = _FITTERS["isotonic"](np.array(logits), np.array(labels, dtype=float), np.ones(13))
    assert curve.probability(-5.0) == pytest.approx(1 / 10)
    assert curve.probability(5.0) == pytest.approx(4 / 5)
    assert curve.probability(0.5) == pytest.approx((1 / 10 + 4 / 5) / 2)


@pytest.mark.parametrize("truth", [lambda z: sigmoid(z / 3), lambda z: 0.1 if z < 1 else 0.8], ids=["line", "step"])
@pytest.mark.parametrize("weight", [1.0, 0.25, 1 / 3], ids="{:.2g}".format)
def test_equal_weights_change_nothing(truth, weight):
    plain, held_out = fit_calibration(*draw(truth, rows=800))
    found = fit_calibration(*draw(truth, rows=800), weights=[weight] * 800)
    assert found.calibration == plain
    assert (found.held_out == held_out).all()


@pytest.mark.parametrize(
    "truth",
    [pytest.param(lambda z: sigmoid(z - 1), id="a line"), pytest.param(lambda z: 0.2 if z < 0.6 else 0.6, id="a step")],
)
def test_rows_that_stand_for_others_bring_the_base_rate_that_was_hidden(truth):
    """Of the wrong rows three in four were lost; the others stand for them by their weight."""
    logits, labels, groups = draw(truth, rows=6000)
    kept = [place for place in range(6000) if labels[place] or int(groups[place]) % 4 == 0]
    shown = [[column[place] for place in kept] for column in (logits, labels, groups)]
    weights = [1.0 if labels[place] else 4.0 for place in kept]
    asked = np.linspace(-2, 2, 9)
    known = np.array([truth(z) for z in asked])
    weighted, plain = fit_calibration(*shown, weights=weights), fit_calibration(*shown)
    assert np.abs(apply_calibration(weighted.calibration, asked) - known).max() < 0.08
    assert np.abs(apply_calibration(plain.calibration, asked) - known).max() > 0.2


def test_a_few_heavy_rows_make_nothing_certain():
    """One heavy row among a hundred: as many rows as say as much are hardly more than one."""
    logits, labels = [0.0] * 99 + [1.0], [True, False] * 49 + [True, True]
    settings = {"groups": ["q"] * 100, "weights": [1e-6] * 99 + [1.0]}
    assert fit_calibration(logits, labels, **settings).calibration.probability(1.0) < 0.8


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        pytest.param([1.0], r"expected 2 finite weights above 0, got 1 with 0", id="too few"),
        pytest.param([1.0, 0.0], "got 2 with 1 that are none", id="zero"),
        pytest.param([1.0, -1.0], "got 2 with 1", id="negative"),
        pytest.param([math.nan, math.inf], "got 2 with 2", id="not finite"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(DataError, match=message):
        fit_calibration([1.0, 2.0], [True, False], ["p", "q"], weights=weights)


def test_questions_never_stand_on_both_sides_of_a_fold():
    """A logit that only knows its question looks perfect to folds that split questions."""
    random = np.random.default_rng(0)
    logits = np.repeat(random.normal(size=60), 10)
    labels = np.repeat(np.arange(60) % 2 == 0, 10)
    groups = [str(row // 10) for row in range(600)]
    _, held_out = fit_calibration(logits.tolist(), labels.tolist(), groups)
    assert log_loss(held_out, labels) > 0.65


def test_reversed_logits_give_the_base_rate():
    calibration, _ = fit_calibration([3.0, 2.0, -2.0, -3.0] * 20, [False, False, True, True] * 20, list("abcd") * 20)
    assert apply_calibration(calibration, [-3.0, 3.0]) == pytest.approx([0.5, 0.5], abs=0.05)


def test_too_few_questions_leave_nothing_held_out():
    calibration, held_out = fit_calibration([1.0, -1.0], [True, False], ["a", "b"])
    assert (calibration.kind, held_out) == ("platt", None)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        pytest.param([1.0, 2.0], [True, True], "2 right and 0 wrong", id="one-class"),
        pytest.param([], [], "0 right and 0 wrong", id="empty"),
        pytest.param([1.0, math.nan], [True, False], "with 1 not finite", id="nan"),
    ],
)
def test_what_cannot_be_fitted_is_refused(logits, labels, message):
    with pytest.raises(DataError, match=message):
        fit_calibration(logits, labels, ["q"] * len(logits))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: SigmoidCalibration(kind="platt", slope=-1, intercept=0), "greater than 0", id="falling"),
        pytest.param(lambda: SigmoidCalibration(kind="platt", slope=1, intercept=math.nan), "finite", id="nan"),
        pytest.param(lambda: IsotonicCalibration(logits=(0, 1), probabilities=(0.5, 0.4)), "do not rise", id="fall"),
        pytest.param(lambda: IsotonicCalibration(logits=(0, 1), probabilities=(0.5,)), "but 1 prob", id="uneven"),
        pytest.param(lambda: IsotonicCalibration(logits=(0,), probabilities=(1.0,)), "less than 1", id="certain"),
    ],
)
def test_a_calibration_that_breaks_its_promise_cannot_be_made(make, message):
    with pytest.raises(ValidationError, match=message):
        make()
