"""Logged attempts by question: what a policy would have met, from a log that may break off where another one accepted.

An accept ends a run, so a log of runs in use shows later turns where the policy was in doubt and hides them where it
was sure. What corrects it is chance: of the runs that were accepted with turns left, a known share `e` thought on
(`explore`), and each of them stands for those that were cut off:

    weight = 1 / P(the run is logged to its end), or 0 if it is not
           = 1      never accepted, or accepted at its last turn: chance had no part in it
           = 1 / e  accepted, and explored
           = 0      accepted, and cut off

The sum of weight times outcome is unbiased for the sum over all runs, had each been logged to its end (Horvitz and
Thompson 1952), whatever policy is replayed within the turns of the log. A mean divides by the sum of the weights (Hájek
1971): consistent, with a bias of the order of one over the explored runs. How many were accepted is known too, so the
weights of the explored are scaled to add up to that: it takes the luck out of how many explored, and lets them stand
for a time before anybody did, which by `1 / e` alone would count by its doubtful runs only.

It asks of the log that runs like the cut off could be explored, that some explored run reached the last turn (which is
how that turn is known), and that whether an answer is judged has nothing to do with exploring.

Each question counts alike, however often it was asked: a run's share is one over the runs that ask its question, cut
off or not. A run is a sequence of its own, in its order: what came after depends on what came before.
"""

import math
import operator
import random
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.errors import DataError
from drr_agent.grading import Grader
from drr_agent.state import Attempt, Label
from drr_agent.training.behaviors import Behavior, is_labelled, to_attempt, to_request

ORDERS = 4
"""Readings of each question: independent draws have no order of their own."""
IDENTICAL = Grader(name="identical", same=operator.eq)
"""Answer equality once `canonical` has spelled equal answers alike."""
_POOLED = frozenset({"distilled", "imported"})
"""Origins whose runs at one question are draws of one reading, made for that."""


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


class Coverage(NamedTuple):
    """What a log tells a replay, and what not. A run in use counts by itself, distilled draws of a question as one."""

    explored: int
    """Runs that thought on after their accept, with a known probability."""
    censored: int
    """Runs that an accept cut off. Where runs of their Reasoner explored, those stand for them."""
    unexplored: int
    """Of the censored, those that nothing stands for: they count as they are. Which had turns left is unknown, too."""
    left_out: int
    """Those with an answer that nobody judged; a weak label is no judgment."""


class LabelledLog(NamedTuple):
    """The questions that count, those with a weight above 0, and what they cover."""

    questions: list[LabelledQuestion]
    coverage: Coverage


class _Reading(NamedTuple):
    """The rows of one question's draws, or of one run in use, in order."""

    question: tuple[str, ...]
    """Its key, its context, its Reasoner."""
    rows: list[Behavior]

    @property
    def judged(self) -> bool:
        return all(row["answer"] is None or is_labelled(row) for row in self.rows)

    @property
    def explore(self) -> float | None:
        """The probability that it went on after its accept, if it did and that is known."""
        rates = (row["propensity"] for row in self.rows if row["origin"] == "explored")
        return next((rate for rate in rates if rate is not None and 0.0 < rate <= 1.0), None)

    @property
    def accepted_at(self) -> float:
        """The turn that ended it while in use; infinite where none did."""
        accepted = (row["turn"] for row in self.rows if row["origin"] == "live" and row["verdict"] == "accept")
        return min(accepted, default=math.inf)


class _Accepted(NamedTuple):
    """The runs of one Reasoner that were accepted with turns left, by their places among all."""

    explored: dict[int, float]
    """With the probability of exploring."""
    censored: list[int]

    def stand_in(self, weights: list[float]) -> None:
        """Move the weight of the censored to the explored, the more to one the less probable it was."""
        if not self.explored:
            return
        least = min(self.explored.values())
        inverse = {place: weights[place] * least / rate for place, rate in self.explored.items()}
        scale = sum(weights[place] for place in (*self.explored, *self.censored)) / sum(inverse.values())
        for place in self.censored:
            weights[place] = 0.0
        for place, weight in inverse.items():
            weights[place] = weight * scale


def label_questions(rows: Sequence[Behavior], dm: DiscriminativeModel) -> LabelledLog:
    """Scored attempts by question and Reasoner, each run in use by itself, with what they count.

    Raises:
        DataError: there are rows, and every question has an answer without a label.
    """
    readings = _read(rows)
    judged = [reading for reading in readings if reading.judged]
    if readings and not judged:
        raise _nothing_judged(len(readings))
    shares = Counter(reading.question for reading in judged)
    weights = [1.0 / shares[reading.question] for reading in judged]
    accepted = _accepted(judged)
    for runs in accepted:
        runs.stand_in(weights)
    counted = [(reading, weight) for reading, weight in zip(judged, weights, strict=True) if weight > 0]
    coverage = Coverage(
        explored=sum(len(runs.explored) for runs in accepted),
        censored=sum(len(runs.censored) for runs in accepted),
        unexplored=sum(len(runs.censored) for runs in accepted if not runs.explored),
        left_out=len(readings) - len(judged),
    )
    return LabelledLog(_score(counted, dm), coverage)


def _read(rows: Sequence[Behavior]) -> list[_Reading]:
    readings: dict[tuple[str, ...], _Reading] = {}
    for row in rows:
        question = (row["question_key"], row["context"], row["reasoner"])
        own = () if row["origin"] in _POOLED else (row["run_id"],)
        readings.setdefault(question + own, _Reading(question, [])).rows.append(row)
    for reading in readings.values():
        reading.rows.sort(key=lambda row: (row["draw"] or 0, row["run_id"], row["turn"], row["id"]))
    return list(readings.values())


def _accepted(readings: Sequence[_Reading]) -> list[_Accepted]:
    """By Reasoner: what explores stands for what was cut off of the same one."""
    by_reasoner: dict[str, list[int]] = {}
    for place, reading in enumerate(readings):
        by_reasoner.setdefault(reading.question[-1], []).append(place)
    found = []
    for places in by_reasoner.values():
        explored = {place: rate for place in places if (rate := readings[place].explore) is not None}
        last_turn = max((readings[place].rows[-1]["turn"] for place in explored), default=math.inf)
        ended = [place for place in places if readings[place].accepted_at < last_turn]
        found.append(_Accepted(explored, [place for place in ended if place not in explored]))
    return found


def _score(counted: Sequence[tuple[_Reading, float]], dm: DiscriminativeModel) -> list[LabelledQuestion]:
    answered = [row for reading, _ in counted for row in reading.rows if row["answer"] is not None]
    scores = dm.score([to_request(row) for row in answered])
    by_id = {row["id"]: score.score for row, score in zip(answered, scores, strict=True)}
    return [
        LabelledQuestion(
            [to_attempt(row, score=by_id.get(row["id"])) for row in reading.rows],
            [row["label"] if is_labelled(row) else None for row in reading.rows],
            weight,
            reading.question,
            _draws(reading.rows),
        )
        for reading, weight in counted
    ]


def _draws(rows: Sequence[Behavior]) -> list[int]:
    """The draw of each row: another run, or turns that begin again; a run in use is one."""
    draws = [0]
    for previous, row in pairwise(rows):
        begins = row["origin"] in _POOLED and (row["run_id"] != previous["run_id"] or row["turn"] <= previous["turn"])
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


def canonical(question: LabelledQuestion, grader: Grader) -> LabelledQuestion:
    """The question with equal answers spelled alike, so that they need not be compared again."""
    groups = grader.group([attempt["answer"] for attempt in question.attempts])
    spelled = [None if group is None else str(group) for group in groups]
    attempts: list[Attempt] = [
        {**attempt, "answer": answer} for attempt, answer in zip(question.attempts, spelled, strict=True)
    ]
    return question._replace(attempts=attempts)


def shuffled(question: LabelledQuestion, generator: random.Random) -> list[LabelledQuestion]:
    """The question in its own order and with its draws shuffled."""
    count = len(question.attempts)
    draws = range(count) if question.draws is None else question.draws
    blocks = [list(places) for _, places in groupby(range(count), key=draws.__getitem__)]
    orders = [question]
    for _ in range(ORDERS - 1):
        generator.shuffle(blocks)
        places = [place for block in blocks for place in block]
        attempts, labels = [question.attempts[i] for i in places], [question.labels[i] for i in places]
        orders.append(question._replace(attempts=attempts, labels=labels, draws=[draws[i] for i in places]))
    return orders
