"""Logged attempts by question, read in the order of the log and in shuffled ones."""

import operator
import random
from collections.abc import Sequence
from typing import NamedTuple

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.grading import Grader
from drr_agent.state import Attempt, Label
from drr_agent.training.behaviors import Behavior, is_labelled, to_attempt, to_request

ORDERS = 4
"""Readings of each question: independent draws have no order of their own."""
IDENTICAL = Grader(name="identical", same=operator.eq)
"""Answer equality once `canonical` has spelled equal answers alike."""


class LabelledQuestion(NamedTuple):
    """The scored attempts of one question, with their labels."""

    attempts: Sequence[Attempt]
    labels: Sequence[Label | None]


def label_questions(rows: Sequence[Behavior], dm: DiscriminativeModel) -> list[LabelledQuestion]:
    """Scored attempts by question and Reasoner, draws in order; those without an answer stay unscored."""
    answered = [row for row in rows if row["answer"] is not None]
    scores = dm.score([to_request(row) for row in answered])
    by_id = {row["id"]: score for row, score in zip(answered, scores, strict=True)}
    groups: dict[tuple[str, str], list[Behavior]] = {}
    for row in rows:
        groups.setdefault((row["question_key"], row["reasoner"]), []).append(row)
    questions = []
    for group in groups.values():
        ordered = sorted(group, key=lambda row: (row["draw"] or 0, row["turn"], row["id"]))
        scored = [(row, by_id.get(row["id"])) for row in ordered]
        attempts = [to_attempt(row, score=None if found is None else found.score) for row, found in scored]
        questions.append(LabelledQuestion(attempts, [row["label"] if is_labelled(row) else None for row in ordered]))
    return questions


def canonical(question: LabelledQuestion, grader: Grader) -> LabelledQuestion:
    """The question with equal answers spelled alike, so that they need not be compared again."""
    groups = grader.group([attempt["answer"] for attempt in question.attempts])
    spelled = [None if group is None else str(group) for group in groups]
    attempts: list[Attempt] = [
        {**attempt, "answer": answer} for attempt, answer in zip(question.attempts, spelled, strict=True)
    ]
    return LabelledQuestion(attempts, question.labels)


def shuffled(question: LabelledQuestion, generator: random.Random) -> list[LabelledQuestion]:
    """The question in its own order and in shuffled ones."""
    orders, places = [question], list(range(len(question.attempts)))
    for _ in range(ORDERS - 1):
        generator.shuffle(places)
        orders.append(LabelledQuestion([question.attempts[i] for i in places], [question.labels[i] for i in places]))
    return orders
