"""Every reading of every logged question, as arrays over readings and turns: what all families are replayed on.

A question of independent draws has no order of its own, so it is read in several; runs in use, and draws that were
told of their errors, keep theirs. Answers are compared once a question, which is the slow part.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from drr_agent.errors import ConfigError
from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.grading import AUTO, Grader
from drr_agent.odds import attempt_logit, score_logit
from drr_agent.replay.signal_tables import SignalTables
from drr_agent.state import Attempt
from drr_agent.training.logged import LabelledQuestion, orders_of, require_judged, unit_numbers

Ints = npt.NDArray[np.int64]
Orders = Literal["logged", "shuffled"]
"""`logged`: each question in its own order alone; `shuffled`: beside it, three times with its draws shuffled."""
PriceOf = Callable[[LabelledQuestion, Attempt], float | None]
"""USD of an attempt; `None` where nobody knows."""


class Units(NamedTuple):
    """What is resampled, and what it counts: distinct questions, however many runs and Reasoners they were asked by.

    Questions nearly the same are one unit; see `questions.unit_of`.
    """

    of: Ints
    """The unit of each reading, shape (readings,)."""
    weights: Floats
    """What a unit counts, shape (units,)."""

    def sums(self, values: Floats) -> Floats:
        """Sum of some weighted values of the readings in each unit, shape (units,)."""
        return _add_up(self.of, values, len(self.weights))


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """Arrays of shape (readings, turns), unless said otherwise; what is past a reading's end is -1, NaN or False."""

    questions: Sequence[LabelledQuestion]
    """Those that count and are judged."""
    question: Ints
    """Place of each reading's question, shape (readings,)."""
    order: Ints
    """Which attempt of its question stands at a turn."""
    turns: Ints
    """How many there are, shape (readings,)."""
    weights: Floats
    """What a reading counts: its share of its question's weight, shape (readings,)."""
    units: Units
    first: Ints
    """The turn, from 0, at which this answer came first in the reading; -1 without an answer."""
    score: Floats
    """NaN where there is none."""
    logit: Floats
    """Log odds of the score; minus infinity where there is none."""
    raw: Floats
    """What the DM made of the attempt before calibration, else the log odds of its score; NaN without either."""
    right: Bools
    tokens: Floats
    """Of all turns up to this one; NaN throughout a reading with an unmetered attempt."""
    usd: Floats
    """Likewise, where each attempt has a price."""
    signals: SignalTables
    """By question, shape (questions, attempts)."""

    @classmethod
    def of(
        cls,
        questions: Sequence[LabelledQuestion],
        *,
        max_turns: int,
        orders: Orders = "shuffled",
        grader: Grader = AUTO,
        price: PriceOf | None = None,
        seed: int = 0,
    ) -> Self:
        """Read questions in one or more orders.

        Args:
            questions: scored and labelled attempts; those that do not count or are not judged are left out.
            max_turns: the most turns of any policy; later attempts are not read.
            orders: which.
            grader: answer equality.
            price: of an attempt; without it no price is known.
            seed: of the shuffles.

        Raises:
            ConfigError: `max_turns` is below 1.
            DataError: no question counts and is judged.
        """
        if max_turns < 1:
            raise ConfigError(f"`max_turns` must be at least 1, got {max_turns!r}")
        judged, generator = require_judged(questions, purpose="replay"), random.Random(seed)
        places = [_places(question, orders, generator) for question in judged]
        question = np.repeat(np.arange(len(judged)), [len(orders) for orders in places])
        order = _padded([order[:max_turns] for orders in places for order in orders], -1).astype(np.int64)
        shares = np.array([row.weight / len(orders) for row, orders in zip(judged, places, strict=True)])
        columns = _Columns.of(judged, grader, price)
        held = {name: _gather(values, question, order) for name, values in columns._asdict().items()}
        return cls(
            questions=judged,
            question=question,
            order=order,
            turns=(order >= 0).sum(axis=1),
            weights=shares[question],
            units=_units(judged, question, shares[question]),
            first=_first_turns(held["group"]),
            score=held["score"],
            logit=np.nan_to_num(held["logit"], nan=-np.inf, neginf=-np.inf),
            raw=held["raw"],
            right=held["right"] == 1.0,
            tokens=_spent(held["tokens"], order),
            usd=_spent(held["usd"], order),
            signals=SignalTables(questions=judged),
        )

    def __len__(self) -> int:
        return len(self.question)

    def attempts(self, reading: int) -> list[Attempt]:
        """The attempts of a reading, in its order."""
        given = self.questions[self.question[reading]].attempts
        return [given[place] for place in self.order[reading, : self.turns[reading]]]


class _Columns(NamedTuple):
    """What is known of the attempts of each question, shape (questions, attempts); NaN where nothing is."""

    group: Floats
    score: Floats
    logit: Floats
    raw: Floats
    right: Floats
    tokens: Floats
    usd: Floats

    @classmethod
    def of(cls, questions: Sequence[LabelledQuestion], grader: Grader, price: PriceOf | None) -> Self:
        scores = [[attempt["score"] for attempt in question.attempts] for question in questions]
        return cls(
            group=_padded([grader.group([a["answer"] for a in question.attempts]) for question in questions]),
            score=_padded(scores),
            logit=_padded([[None if score is None else score_logit(score) for score in row] for row in scores]),
            raw=_padded([[attempt_logit(attempt) for attempt in question.attempts] for question in questions]),
            right=_padded([[label == "correct" for label in question.labels] for question in questions]),
            tokens=_padded([[_tokens(attempt) for attempt in question.attempts] for question in questions]),
            usd=_padded([[price(q, a) if price else None for a in q.attempts] for q in questions]),
        )


def _places(question: LabelledQuestion, orders: Orders, generator: random.Random) -> list[list[int]]:
    """The orders in which to read a question's attempts, its own first."""
    return [list(range(len(question.attempts)))] if orders == "logged" else orders_of(question, generator)


def _tokens(attempt: Attempt) -> int | None:
    usage = attempt["usage"]
    return None if usage["unmetered_calls"] else usage["input_tokens"] + usage["output_tokens"]


def _padded(rows: Sequence[Sequence[float | None]], fill: float = np.nan) -> Floats:
    """Rows of unequal length as one array; `None` becomes NaN."""
    table = np.full((len(rows), max(map(len, rows))), fill)
    filled = np.arange(table.shape[1]) < np.array([len(row) for row in rows])[:, None]
    table[filled] = np.array([value for row in rows for value in row], dtype=np.float64)
    return table


def _gather(values: Floats, question: Ints, order: Ints) -> Floats:
    return np.where(order >= 0, values[question[:, None], np.maximum(order, 0)], np.nan)


def _first_turns(group: Floats) -> Ints:
    first = np.full(group.shape, -1)
    for turn in range(group.shape[1]):
        same = group[:, : turn + 1] == group[:, [turn]]  # never of NaN
        first[:, turn] = np.where(same.any(axis=1), same.argmax(axis=1), -1)
    return first


def _spent(each: Floats, order: Ints) -> Floats:
    """What all turns up to each cost; NaN throughout where a turn of the reading has no known cost."""
    known = ~np.any(np.isnan(np.where(order >= 0, each, 0.0)), axis=1, keepdims=True)
    return np.where(known, np.cumsum(np.nan_to_num(each), axis=1), np.nan)


def _units(questions: Sequence[LabelledQuestion], question: Ints, weights: Floats) -> Units:
    numbers = np.array(unit_numbers(questions))
    return Units(numbers[question], _add_up(numbers[question], weights, numbers.max() + 1))


def _add_up(places: Ints, values: Floats, count: int) -> Floats:
    return np.bincount(places, values, minlength=count).astype(np.float64)
