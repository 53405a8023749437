"""Beliefs along the readings of a log, as arrays."""

import numpy as np
import pytest
from fakes import make_attempt
from stopping.models import BY_SCORE, doubting, logit_of

from drr_agent.errors import DataError
from drr_agent.questions import question_key
from drr_agent.stopping.beliefs import Belief
from drr_agent.training.logged import ORDERS, LabelledQuestion
from drr_agent.training.paths import (
    best_two,
    break_even_prices,
    follow,
    scored,
    tabulate,
    tabulate_in_order,
)


def question(*rows, **changes):
    """From pairs of answer and probability; `a` is right."""
    attempts = [
        make_attempt(answer, p, logit=None if p is None else logit_of(p), turn=turn, signals={"length": float(turn)})
        for turn, (answer, p) in enumerate(rows, 1)
    ]
    labels = [None if answer is None else "correct" if answer == "a" else "incorrect" for answer, _ in rows]
    return LabelledQuestion(attempts, labels, **changes)


SPLIT = question(("b", 0.6), ("a", 0.8), (None, None), ("b", 0.7))


def test_every_answer_after_every_turn_is_a_row():
    table = tabulate_in_order([SPLIT, question(("a", 0.5))])
    rows = zip(table.reading, table.turn, table.choice, table.right, table.columns["votes"], strict=True)
    assert [tuple(map(int, row)) for row in rows] == [
        (0, 0, 0, 0, 1),
        (0, 1, 1, 1, 1),
        (0, 1, 0, 0, 1),
        (0, 2, 1, 1, 1),
        (0, 2, 0, 0, 1),
        (0, 3, 3, 0, 2),
        (0, 3, 1, 1, 1),
        (1, 0, 0, 1, 1),
    ]
    assert table.columns["best.length"].tolist() == [1, 2, 1, 2, 1, 4, 2, 1], "of the attempt that stands"
    assert table.readings.ends.tolist() == [3, 0]
    assert table.readings.questions.tolist() == [0, 1]


def test_the_two_most_probable_answers_are_followed():
    paths = follow(tabulate_in_order([SPLIT, question(("a", 0.5))]), BY_SCORE)
    assert paths.best == pytest.approx(np.array([[0.6, 0.8, 0.8, 0.8], [0.5, 0, 0, 0]]))
    assert paths.second == pytest.approx(np.array([[0.0, 0.6, 0.6, 0.7], [0, 0, 0, 0]]))
    assert paths.right.tolist() == [[False, True, True, True], [True, False, False, False]]
    assert paths.choice.tolist() == [[0, 1, 1, 1], [0, -1, -1, -1]]


def test_of_equally_probable_answers_the_better_supported_stands():
    table = tabulate_in_order([SPLIT])
    paths = best_two(table, np.full(len(table.turn), 0.4))
    assert paths.choice.tolist() == [[0, 1, 1, 3]]
    assert paths.second.tolist() == [[0.0, 0.4, 0.4, 0.4]]


def test_a_log_without_answers_has_no_rows():
    table = tabulate_in_order([question((None, None), (None, None))])
    assert len(table.turn) == 0
    paths = follow(table, BY_SCORE)
    assert paths.best.tolist() == [[0.0, 0.0]]
    assert paths.choice.tolist() == [[-1, -1]]


def test_questions_are_read_in_several_orders_and_keep_their_number():
    same = ("q", "", "m")
    log = [SPLIT._replace(key=same), question(("a", 0.5), ("b", 0.4)), SPLIT._replace(key=same, weight=0.5)]
    readings = tabulate(log).readings
    assert readings.questions.tolist() == [0] * ORDERS + [1] * ORDERS + [0] * ORDERS
    alike = [SPLIT._replace(key=(question_key(text), "", "m")) for text in ("What is 1 + 1?", "What is 1+1?")]
    assert set(tabulate(alike).readings.questions) == {0}
    assert readings.own.tolist() == [True, *[False] * (ORDERS - 1)] * 3
    assert readings.weights.tolist() == [1.0] * 2 * ORDERS + [0.5] * ORDERS
    first = [reading[0]["turn"] for reading in tabulate([SPLIT] * 30).readings.attempts]
    assert set(first) == {1, 2, 3, 4}, "draws are shuffled"


def test_turns_of_one_run_keep_their_order():
    run = SPLIT._replace(draws=[0, 0, 0, 0])
    assert all([a["turn"] for a in reading] == [1, 2, 3, 4] for reading in tabulate([run]).readings.attempts)


def test_shuffles_are_seeded():
    orders = [[[a["turn"] for a in r] for r in tabulate([SPLIT] * 9, seed=s).readings.attempts] for s in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_no_more_turns_than_asked_for():
    table = tabulate([SPLIT], max_turns=2)
    assert table.readings.turns == 2
    assert table.readings.ends.tolist() == [1] * ORDERS


def test_equal_answers_are_one():
    assert set(tabulate([question(("41", 0.5), ("41.0", 0.6))]).columns["distinct"]) == {1.0}
    assert set(tabulate([SPLIT]).columns["distinct"]) == {1.0, 2.0}


def test_a_log_that_nobody_judged_is_refused():
    unlabelled = SPLIT._replace(labels=["incorrect", None, None, None])
    assert set(tabulate([unlabelled, SPLIT]).readings.questions) == {0}
    with pytest.raises(DataError, match="nobody judged"):
        tabulate([unlabelled])


def test_answers_without_a_score_are_left_out_where_any_has_one():
    table = tabulate_in_order([question(("a", None), ("b", 0.5))])
    assert scored(table).choice.tolist() == [1]
    unscored = tabulate_in_order([question(("a", None), ("b", None))])
    assert scored(unscored).choice.tolist() == unscored.choice.tolist() == [0, 0, 1]
    assert follow(table, BY_SCORE).choice.tolist() == [[-1, 1]]


def test_break_even_prices_are_those_of_each_belief():
    paths, values = follow(tabulate_in_order([SPLIT, question(("a", 0.5))]), BY_SCORE), doubting(turns=2)
    found = break_even_prices(paths, values)
    expected = [
        [values.break_even(turn + 1, Belief(0, paths.best[r, turn], paths.second[r, turn])) for turn in range(4)]
        for r in range(2)
    ]
    assert found == pytest.approx(np.array(expected))
    assert not found[:, 2:].any()
