"""Beliefs along the readings of a log: what a policy would have believed after each turn, as arrays.

Every distinct answer after every turn of every reading is one row of a table, made once. A model of answers gives each
row a probability in one pass, and so any number of models and settings can be tried on the same table.
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from drr_agent.grading import AUTO, Grader
from drr_agent.state import Attempt
from drr_agent.stopping.answers import OF_BEST, Facts, read_answers
from drr_agent.stopping.beliefs import AnswerModel
from drr_agent.stopping.values import TurnValues
from drr_agent.training.logged import (
    IDENTICAL,
    LabelledQuestion,
    canonical,
    require_judged,
    shuffled,
    unit_numbers,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]


class Orders(NamedTuple):
    """The orders in which the attempts of a log are read, a row each."""

    ends: Ints
    """Index of its last turn."""
    weights: Floats
    """What it counts."""
    questions: Ints
    """Number of its question, whoever was asked it in whatever context; questions nearly the same have one number."""
    own: Bools
    """Whether it is the question's own order, of which each question has one."""
    attempts: list[Sequence[Attempt]]
    """In the order of the reading, answers spelled alike where they are equal."""

    @property
    def turns(self) -> int:
        """Of the longest one."""
        return int(self.ends.max()) + 1


class AnswerTable(NamedTuple):
    """Every distinct answer after every turn of every reading, a row each; arrays of shape (rows,)."""

    columns: dict[str, Floats]
    """Facts, and signals of the answer's best attempt; NaN is missing."""
    reading: Ints
    turn: Ints
    """Index, from 0."""
    choice: Ints
    """Index in the reading of the attempt that stands for the answer."""
    right: Bools
    readings: Orders

    def where(self, rows: Bools) -> "AnswerTable":
        """Some of the rows, of the same readings."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return AnswerTable(
            columns, self.reading[rows], self.turn[rows], self.choice[rows], self.right[rows], self.readings
        )


class Paths(NamedTuple):
    """The most probable answer after each turn of each reading; arrays of shape (readings, turns)."""

    best: Floats
    """P(it is right); 0 where there is no answer, and after the end."""
    second: Floats
    """P(the next best is right)."""
    right: Bools
    choice: Ints
    """Index in the reading of the attempt that stands for it; -1 for none."""
    readings: Orders


def tabulate(
    questions: Sequence[LabelledQuestion], *, grader: Grader = AUTO, max_turns: int | None = None, seed: int = 0
) -> AnswerTable:
    """Read every question in its own order and with its draws shuffled.

    Args:
        questions: scored and labelled; those with an unlabelled answer are left out.
        grader: answer equality.
        max_turns: attempts of a reading that are looked at; by default all.
        seed: of the shuffles.

    Raises:
        DataError: there is no question whose every answer has a label.
    """
    generator, judged = random.Random(seed), require_judged(questions, purpose="learn from")
    readings: list[tuple[LabelledQuestion, int, bool]] = []
    for question, number in zip(judged, unit_numbers(judged), strict=True):
        orders = enumerate(shuffled(canonical(question, grader), generator))
        readings += [(_first_turns(ordered, max_turns), number, order == 0) for order, ordered in orders]
    return tabulate_in_order(
        [question for question, *_ in readings],
        numbers=[number for _, number, _ in readings],
        own=[own for *_, own in readings],
    )


def tabulate_in_order(
    readings: Sequence[LabelledQuestion], *, numbers: Sequence[int] | None = None, own: Sequence[bool] | None = None
) -> AnswerTable:
    """Read every question in the order it has.

    Args:
        readings: with equal answers spelled alike.
        numbers: of the questions; by default each reading is of another one.
        own: whether a reading is its question's own order; by default all are.
    """
    rows = [row for place, question in enumerate(readings) for row in _read(place, question)]
    reading, turn, choice, right, *_ = zip(*rows, strict=True) if rows else ((),) * 4
    table = AnswerTable(
        {},
        np.array(reading, dtype=np.intp),
        np.array(turn, dtype=np.intp),
        np.array(choice, dtype=np.intp),
        np.array(right, dtype=np.bool_),
        Orders(
            np.array([len(question.attempts) - 1 for question in readings]),
            np.array([question.weight for question in readings]),
            np.arange(len(readings)) if numbers is None else np.array(numbers),
            np.ones(len(readings), dtype=np.bool_) if own is None else np.array(own),
            [question.attempts for question in readings],
        ),
    )
    facts = np.array([row[4:] for row in rows], dtype=np.float64).reshape(len(rows), len(Facts._fields))
    table.columns.update(dict(zip(Facts._fields, facts.T, strict=True)))
    table.columns.update(_signals(table))
    return table


def _first_turns(question: LabelledQuestion, max_turns: int | None) -> LabelledQuestion:
    return question._replace(attempts=question.attempts[:max_turns], labels=question.labels[:max_turns])


def _read(place: int, question: LabelledQuestion) -> Iterator[tuple[float | None, ...]]:
    """Reading, turn, choice and right, then the facts, of every answer after every turn."""
    for turn in range(len(question.attempts)):
        for choice, facts in read_answers(question.attempts[: turn + 1], IDENTICAL):
            yield (place, turn, choice, question.labels[choice] == "correct", *facts)


def _signals(table: AnswerTable) -> Iterator[tuple[str, Floats]]:
    """The signals of each row's best attempt, a column each."""
    attempts = table.readings.attempts
    starts = np.concatenate([[0], np.cumsum([len(reading) for reading in attempts])])
    rows = starts[table.reading] + table.choice
    found = [attempt["signals"] for reading in attempts for attempt in reading]
    for name in dict.fromkeys(name for signals in found for name in signals):
        values = np.array([signals.get(name) for signals in found], dtype=np.float64)
        yield OF_BEST + name, values[rows]


def scored(table: AnswerTable) -> AnswerTable:
    """Without the answers that have no score, where any has one."""
    known = ~np.isnan(table.columns["best"])
    return table.where(known) if known.any() else table


def follow(table: AnswerTable, model: AnswerModel) -> Paths:
    """What a model believes along each reading."""
    judged = table.where(~np.isnan(table.columns["best"])) if model.needs_scores else table
    return best_two(judged, model.probabilities(judged.columns))


def best_two(table: AnswerTable, probabilities: Floats) -> Paths:
    """The two most probable answers after each turn of each reading.

    Args:
        table: with the rows of one reading and turn in order of their support, which decides between equals.
        probabilities: of its rows, shape (rows,).
    """
    shape = (len(table.readings.ends), table.readings.turns)
    paths = Paths(np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.bool_), np.full(shape, -1), table.readings)
    place = table.reading * shape[1] + table.turn
    order = np.lexsort((-probabilities, place))
    place = place[order]
    first = np.concatenate([[True], place[1:] != place[:-1]]) if len(place) else np.empty(0, dtype=np.bool_)
    second = np.concatenate([[False], first[:-1]]) & ~first if len(place) else first
    paths.best.flat[place[first]] = probabilities[order[first]]
    paths.second.flat[place[second]] = probabilities[order[second]]
    paths.right.flat[place[first]] = table.right[order[first]]
    paths.choice.flat[place[first]] = table.choice[order[first]]
    return paths


def break_even_prices(paths: Paths, values: TurnValues) -> Floats:
    """The break-even price after each turn of each reading, shape (readings, turns)."""
    turns = range(paths.best.shape[1])
    return np.stack(
        [values.break_even_prices(turn + 1, paths.best[:, turn], paths.second[:, turn]) for turn in turns], axis=1
    )
