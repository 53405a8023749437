"""What speaks for each answer, by array: the same as attempt by attempt."""

import numpy as np
import pytest
from fakes import make_attempt
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.grading import AUTO
from drr_agent.replay.answer_rows import tabulate_readings
from drr_agent.replay.readings import Readings
from drr_agent.stopping.answers import Facts
from drr_agent.training.logged import LabelledQuestion, canonical
from drr_agent.training.paths import tabulate_in_order

ANSWERS = st.sampled_from([None, "41", "41.0", "$42", "42", "a"])
LENGTHS = st.none() | st.integers(0, 9)
ATTEMPTS = st.lists(st.tuples(ANSWERS, st.none() | st.integers(-12, 12), LENGTHS), min_size=1, max_size=7)
LOGS = st.lists(ATTEMPTS, min_size=1, max_size=4)
NAMES = [*Facts._fields, "best.length", "best.never", "unheard"]


def question(rows):
    attempts = [
        make_attempt(answer, None, logit=None if logit is None else logit / 3, turn=turn, signals={"length": length})
        for turn, (answer, logit, length) in enumerate(rows, 1)
    ]
    return LabelledQuestion(attempts, ["correct" if answer == "a" else "incorrect" for answer, *_ in rows])


def by_array(readings, rows):
    """Columns and places by reading, turn and rank; the place of a reading is among all."""
    found = tabulate_readings(readings, rows, NAMES)
    order = np.lexsort((found.columns["rank"], found.turn, found.reading))
    columns = {name: column[order] for name, column in found.columns.items()}
    return columns, np.stack([rows[found.reading], found.turn, found.choice, found.right])[:, order].tolist()


@given(log=LOGS)
def test_all_at_once_is_attempt_by_attempt(log):
    questions = [question(rows) for rows in log]
    readings = Readings.of(questions, max_turns=5)
    ordered = [
        question._replace(
            attempts=[question.attempts[place] for place in order[order >= 0]],
            labels=[question.labels[place] for place in order[order >= 0]],
        )
        for order, number in zip(readings.order, readings.question, strict=True)
        for question in [questions[number]]
    ]
    expected = tabulate_in_order([canonical(one, AUTO) for one in ordered])
    columns, places = by_array(readings, np.arange(len(readings)))
    assert places == np.stack([expected.reading, expected.turn, expected.choice, expected.right]).tolist()
    for name in Facts._fields:
        assert columns[name] == pytest.approx(expected.columns[name], abs=1e-9, nan_ok=True), name
    assert columns["best.length"] == pytest.approx(expected.columns["best.length"], nan_ok=True)
    assert np.isnan(columns["best.never"]).all()
    assert "unheard" not in columns


def test_some_readings_are_a_part_of_all():
    log = [[("a", 3, 1), ("b", 6, 2)], [(None, None, None)], [("b", None, 4), ("b", 0, 5), ("a", 2, None)]]
    readings = Readings.of([question(rows) for rows in log], max_turns=5, orders="logged")
    _, every = by_array(readings, np.arange(3))
    _, last = by_array(readings, np.array([2]))
    assert last == [[value for value, reading in zip(row, every[0], strict=True) if reading == 2] for row in every]
    assert every[0] == [0, 0, 0, 2, 2, 2, 2]


def test_equal_support_is_a_tie_in_whatever_order_it_was_added_up():
    """Then the answer that came first stands first, as an exact sum has it."""
    rows = [("b", -3, None), ("a", -3, None), ("b", -2, None), ("a", -1, None), ("b", -1, None), ("a", -2, None)]
    readings = Readings.of([question(rows)], max_turns=6, orders="logged")
    columns, places = by_array(readings, np.array([0]))
    last = [choice for turn, choice in zip(places[1], places[2], strict=True) if turn == 5]
    assert last == [4, 3]
    assert columns["lead"][-2:] == pytest.approx([0.0, 0.0], abs=1e-9)
