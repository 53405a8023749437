"""Which setting is chosen, by hand."""

import numpy as np
import pytest

from drr_agent.training.logged import ORDERS, LabelledQuestion
from drr_agent.training.operating import Counts, Walks, choose_cutoff, choose_setting, standard_error, try_cutoff


def walks(*questions):
    """From a list of (value, right) by turn for each question, read alike in each order."""
    rows = [row for row in questions for _ in range(ORDERS)]
    turns = max(map(len, rows))
    padded = [[*row, *[(-np.inf, False)] * (turns - len(row))] for row in rows]
    table = np.array(padded, dtype=float)
    return Walks(table[:, :, 0], table[:, :, 1] == 1, np.array([len(row) - 1 for row in rows]))


def counts(*weights, keys=None):
    keys = [None] * len(weights) if keys is None else keys
    return Counts.of([LabelledQuestion([], [], w, key) for w, key in zip(weights, keys, strict=True)])


RISING = [(0.2, False), (0.5, False), (0.8, True)]
FIRST = [(0.6, True), (0.7, True), (0.9, False)]


@pytest.mark.parametrize(
    ("cutoff", "accuracy", "calls"),
    [
        pytest.param(0.0, 0.5, 1.0, id="at once"),
        pytest.param(0.5, 0.5, 1.5, id="inclusive"),
        pytest.param(0.6, 1.0, 2.0, id="each at its best"),
        pytest.param(0.75, 0.5, 3.0, id="too long"),
        pytest.param(2.0, 0.5, 3.0, id="never, so at the end"),
    ],
)
def test_a_cutoff(cutoff, accuracy, calls):
    trial = try_cutoff(walks(RISING, FIRST), counts(1.0, 1.0), cutoff)
    assert (trial.accuracy, trial.calls) == (accuracy, calls)


def test_weights_count():
    trial = try_cutoff(walks(RISING, FIRST), counts(3.0, 1.0), 0.0)
    assert trial.accuracy == 0.25
    assert try_cutoff(walks(RISING, FIRST), counts(3.0, 1.0), 0.5).calls == 1.75


def test_a_short_reading_ends_where_it_ends():
    trial = try_cutoff(walks([(0.1, True)], RISING), counts(1.0, 1.0), 2.0)
    assert (trial.accuracy, trial.calls) == (1.0, 2.0)


CUTOFFS = (0.0, 0.3, 0.55, 0.6, 0.75)


@pytest.mark.parametrize(
    ("mean_calls", "cutoff"),
    [
        pytest.param(3.0, 0.6, id="the most accurate"),
        pytest.param(2.0, 0.6, id="just affordable"),
        pytest.param(1.9, 0.0, id="of equals, the cheapest"),
        pytest.param(0.5, 0.0, id="none is affordable"),
    ],
)
def test_the_cheapest_that_is_as_accurate_as_the_best(mean_calls, cutoff):
    many = walks(*[RISING, FIRST] * 50)
    assert choose_cutoff(many, counts(*[1.0] * 100), CUTOFFS, mean_calls=mean_calls).cutoff == cutoff


def test_of_neighbors_that_do_the_same_the_middle_one_is_taken():
    many = walks(*[RISING, FIRST] * 50)
    grid = [0.51, 0.53, 0.55, 0.57, 0.59]
    assert choose_cutoff(many, counts(*[1.0] * 100), grid, mean_calls=3.0).cutoff == 0.55


def test_what_luck_explains_is_not_paid_for():
    """Waiting wins two questions of fifty and loses one: less than one standard error, and twice the calls."""
    same, won, lost = ([(0.2, before), (0.8, after)] for before, after in ((True, True), (False, True), (True, False)))
    given = walks(*[same] * 47, won, won, lost)
    assert choose_cutoff(given, counts(*[1.0] * 50), (0.1, 0.5), mean_calls=9.0).cutoff == 0.1


@pytest.mark.parametrize(
    ("weights", "keys", "effective"),
    [
        pytest.param((1.0, 1.0, 1.0), None, 3.0, id="alike"),
        pytest.param((2.0, 1.0, 1.0), None, 16 / 6, id="one counts more"),
        pytest.param((0.5, 0.5, 1.0), [("q",), ("q",), ("r",)], 2.0, id="two runs of one question"),
        pytest.param((0.5, 0.5, 1.0), [("q", "", "a"), ("q", "", "b"), ("r",)], 2.0, id="by two Reasoners"),
        pytest.param((0.5, 0.5, 1.0), [("0" * 16,), ("0" * 8 + "1" * 8,), ("r",)], 2.0, id="nearly the same"),
    ],
)
def test_as_many_questions_as_would_say_as_much(weights, keys, effective):
    assert counts(*weights, keys=keys).effective == pytest.approx(effective)


def test_runs_of_one_question_are_not_independent():
    values = np.array([1.0, 1.0, 0.0, 0.0])
    given = counts(1.0, 1.0, 1.0, 1.0), counts(1.0, 1.0, 1.0, 1.0, keys=[("q",), ("q",), ("r",), ("r",)])
    apart, paired = (standard_error(some.sums(values), some.totals) for some in given)
    assert apart == pytest.approx(0.25)
    assert paired == pytest.approx(apart * np.sqrt(2))


@pytest.mark.parametrize(
    ("calls", "right", "mean_calls", "place"),
    [
        pytest.param([3.0, 2.0, 4.0], [[9, 9], [1, 1], [9, 9]], 1.0, 1, id="none is affordable: the cheapest"),
        pytest.param([1.0, 2.0, 4.0], [[1, 1], [5, 5], [9, 9]], 2.0, 1, id="the most accurate that is affordable"),
        pytest.param([1.0, 2.0, 2.0 + 1e-12], [[1, 1], [5, 5], [5, 5]], 2.0, 2, id="rounding costs nothing"),
        pytest.param([1.0, 2.0], [[4, 5], [5, 4]], 2.0, 0, id="what luck explains is not paid for"),
    ],
)
def test_a_setting_is_chosen_by_its_sums(calls, right, mean_calls, place):
    found = choose_setting(np.array(calls), np.array(right, dtype=float), np.array([10.0, 10.0]), mean_calls=mean_calls)
    assert found == place
