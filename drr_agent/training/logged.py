"""Logged attempts by question, scored and labelled: what a policy would have met."""

import operator
import random
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from drr_agent.dm.protocol import DiscriminativeModel, Score
from drr_agent.errors import DataError
from drr_agent.grading import Grader
from drr_agent.questions import unit_of
from drr_agent.state import Attempt, Label
from drr_agent.training.behaviors import Behavior, is_labelled, to_attempt, to_request
from drr_agent.training.weights import POOLED, Coverage, Reading, read_rows, weigh

ORDERS = 4
"""Readings of each question: independent draws have no order of their own."""
IDENTICAL = Grader(name="identical", same=operator.eq)
"""Answer equality once `canonical` has spelled equal answers alike."""


class LabelledQuestion(NamedTuple):
    """The scored attempts of one question, or of one run in use, with their labels."""

    attempts: Sequence[Attempt]
    labels: Sequence[Label | None]
    weight: float = 1.0
    """How much it counts: its share of its question, over the probability that it is logged to its end."""
    key: tuple[str, ...] | None = None
    """Which question it is, where several runs ask the same; `None` is one of its own."""
    draws: Sequence[int] | None = None
    """The independent draw that each attempt belongs to. Those of one draw stand together and keep their order; `None`:
    every attempt is a draw of its own."""


class LabelledLog(NamedTuple):
    """The questions that count, those with a weight above 0, and what they cover."""

    questions: list[LabelledQuestion]
    coverage: Coverage


def label_questions(rows: Sequence[Behavior], dm: DiscriminativeModel | Mapping[str, Score]) -> LabelledLog:
    """Scored attempts by question and Reasoner, each run in use by itself, with what they count.

    Args:
        rows: any.
        dm: what scores them; or scores made elsewhere, by the id of the row. An attempt without one is unscored.

    Raises:
        DataError: there are rows, and every question has an answer without a label.
    """
    readings = read_rows(rows)
    counted, coverage = weigh(readings)
    if readings and not counted:
        raise _nothing_judged(len(readings))
    return LabelledLog(_score(counted, dm), coverage)


def _score(
    counted: Sequence[tuple[Reading, float]], dm: DiscriminativeModel | Mapping[str, Score]
) -> list[LabelledQuestion]:
    by_id = dm if isinstance(dm, Mapping) else _ask(dm, [row for reading, _ in counted for row in reading.rows])
    return [
        LabelledQuestion(
            [to_attempt(row, by_id.get(row["id"])) for row in reading.rows],
            [row["label"] if is_labelled(row) else None for row in reading.rows],
            weight,
            reading.question,
            _draws(reading.rows),
        )
        for reading, weight in counted
    ]


def _ask(dm: DiscriminativeModel, rows: Sequence[Behavior]) -> dict[str, Score]:
    answered = [row for row in rows if row["answer"] is not None]
    scores = dm.score([to_request(row) for row in answered])
    return {row["id"]: score for row, score in zip(answered, scores, strict=True)}


def _draws(rows: Sequence[Behavior]) -> list[int]:
    """The draw of each row: another run, or turns that begin again; a run in use is one."""
    draws = [0]
    for previous, row in pairwise(rows):
        begins = row["origin"] in POOLED and (row["run_id"] != previous["run_id"] or row["turn"] <= previous["turn"])
        draws.append(draws[-1] + begins)
    return draws


def require_judged(questions: Sequence[LabelledQuestion], *, purpose: str) -> list[LabelledQuestion]:
    """Those that count and whose every answer has a label: an answer without one is neither right nor wrong.

    Raises:
        DataError: there is none.
    """
    if not questions:
        raise DataError(f"expected questions to {purpose}, got none; harvest more attempts")
    judged = [
        question
        for question in questions
        if question.weight > 0
        and all(a["answer"] is None or label for a, label in zip(question.attempts, question.labels, strict=True))
    ]
    if not judged:
        raise _nothing_judged(len(questions))
    return judged


def _nothing_judged(count: int) -> DataError:
    return DataError(
        f"expected questions or runs whose every answer has a label, got {count} with an answer that nobody judged; "
        "label more attempts (`drr label`)"
    )


def units_of(questions: Sequence[LabelledQuestion]) -> list[str | int]:
    """The independent unit of each: its question, with those nearly the same; see `questions.unit_of`.

    Whichever Reasoner was asked, in whatever context, it is the same unit. Without a key it is one of its own, and that
    is its place.
    """
    return [place if question.key is None else unit_of(question.key[0]) for place, question in enumerate(questions)]


def unit_numbers(questions: Sequence[LabelledQuestion]) -> list[int]:
    """`units_of`, numbered from 0 in order of appearance."""
    numbers: dict[str | int, int] = {}
    return [numbers.setdefault(unit, len(numbers)) for unit in units_of(questions)]


def canonical(question: LabelledQuestion, grader: Grader) -> LabelledQuestion:
    """The question with equal answers spelled alike, so that they need not be compared again."""
    groups = grader.group([attempt["answer"] for attempt in question.attempts])
    spelled = [None if group is None else str(group) for group in groups]
    attempts: list[Attempt] = [
        {**attempt, "answer": answer} for attempt, answer in zip(question.attempts, spelled, strict=True)
    ]
    return question._replace(attempts=attempts)


def orders_of(question: LabelledQuestion, generator: random.Random) -> list[list[int]]:
    """Places of the attempts in the question's own order, and three times with its draws shuffled.

    A question of one draw has no order but its own.
    """
    count = len(question.attempts)
    draws = range(count) if question.draws is None else question.draws
    blocks = [list(places) for _, places in groupby(range(count), key=draws.__getitem__)]
    orders = [list(range(count))]
    for _ in range(ORDERS - 1 if len(blocks) > 1 else 0):
        generator.shuffle(blocks)
        orders.append([place for block in blocks for place in block])
    return orders


def shuffled(question: LabelledQuestion, generator: random.Random) -> list[LabelledQuestion]:
    """The question in each of `orders_of`, and always as often: one of a single draw in its own again and again."""
    orders = orders_of(question, generator)
    return [_in_order(question, orders[number % len(orders)]) for number in range(ORDERS)]


def _in_order(question: LabelledQuestion, places: Sequence[int]) -> LabelledQuestion:
    return question._replace(
        attempts=[question.attempts[place] for place in places],
        labels=[question.labels[place] for place in places],
        draws=[place if question.draws is None else question.draws[place] for place in places],
    )
