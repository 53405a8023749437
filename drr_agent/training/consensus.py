"""What agreement is worth, learned from logs: the weights and the threshold of `ConsensusPolicy`.

The weights maximize the likelihood of which distinct answer is right ("none of them" included) over every prefix of
every question's attempts, so the policy's confidence is a probability at every turn, not only at the last. Independent
draws have no order of their own, so each question is also read in shuffled orders.
"""

import operator
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drr_agent.dm.folder import load_dm, set_consensus
from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.errors import DataError
from drr_agent.grading import AUTO, Grader
from drr_agent.policy import ConsensusPolicy, ConsensusWeights, MajorityPolicy, Policy, play, score_logit
from drr_agent.state import Attempt, Label
from drr_agent.training.behaviors import Behavior, to_attempt, to_request

_ORDERS = 4
"""Shuffled readings of each question."""
_RIDGE = 1e-3
"""Pull towards the default weights, so that few questions do not give wild ones."""
_IDENTICAL = Grader(name="identical", same=operator.eq)
_THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(5, 100))


class LabelledQuestion(NamedTuple):
    """The scored attempts of one question, with their labels."""

    attempts: Sequence[Attempt]
    labels: Sequence[Label | None]


class _Prefixes(NamedTuple):
    """Every prefix as one row; columns are its distinct answers, then "none of them"."""

    scores: np.ndarray
    """Sum of score logits per answer, shape (prefixes, answers + 1); zero in the last column."""
    repeats: np.ndarray
    """Attempts after the first per answer, same shape."""
    absent: np.ndarray
    """True where a row has no such answer."""
    later: np.ndarray
    """Attempts after the first of the whole prefix, shape (prefixes,)."""
    right: np.ndarray
    """Column of the right answer, shape (prefixes,)."""
    weight: np.ndarray
    """One over the question's prefixes, so that every question counts alike."""


def fit_consensus(questions: Sequence[LabelledQuestion], *, grader: Grader = AUTO, seed: int = 0) -> ConsensusWeights:
    """Fit the weights by maximum likelihood (L-BFGS), with a slight pull towards the defaults.

    Raises:
        DataError: no question has a labelled attempt with an answer.
    """
    from scipy.optimize import minimize  # half a second that no other command should wait for

    prefixes = _prefixes(questions, grader, random.Random(seed))
    default = np.array([1.0, 1.0, 0.0, 0.0])

    def loss(weights: np.ndarray) -> float:
        return _negative_log_likelihood(weights, prefixes) + _RIDGE * float(np.sum((weights - default) ** 2))

    found = minimize(loss, default, method="L-BFGS-B", bounds=[(0.0, 10.0), (-5.0, 10.0), (-10.0, 10.0), (-5.0, 5.0)])
    score, agreement, none, none_per_attempt = (round(float(weight), 4) for weight in found.x)
    return ConsensusWeights(score=score, agreement=agreement, none=none, none_per_attempt=none_per_attempt)


class Operating(NamedTuple):
    """A policy's setting with what it gave on the questions it was chosen on."""

    policy: ConsensusPolicy
    accuracy: float
    mean_calls: float


def choose_threshold(
    questions: Sequence[LabelledQuestion], policy: ConsensusPolicy, *, max_turns: int, mean_calls: float | None = None
) -> Operating:
    """The most accurate threshold within a mean number of Reasoner calls; the cheaper of equals.

    Args:
        questions: scored, labelled attempts; not those the result is reported on.
        policy: the policy whose threshold is chosen.
        max_turns: the most calls a question.
        mean_calls: the most calls on average; by default what adaptive self-consistency would use here. Where no
            threshold is that cheap, the cheapest is taken.

    Raises:
        DataError: there is no question.
    """
    if mean_calls is None:
        adaptive = MajorityPolicy(confidence=0.95, grader=policy.grader)
        _, mean_calls = replay(questions, adaptive, max_turns=max_turns)
    readings = _read(questions, policy, max_turns)
    tried = [_operate(replace(policy, threshold=threshold), readings) for threshold in _THRESHOLDS]
    affordable = [row for row in tried if row.mean_calls <= mean_calls] or tried[:1]
    return max(affordable, key=lambda row: (round(row.accuracy, 4), -row.mean_calls))


class _Readings(NamedTuple):
    """The policy's choice after each turn of each reading; it does not depend on the threshold."""

    confidence: np.ndarray
    """Shape (readings, turns); -1 where the log had ended."""
    right: np.ndarray
    """Same shape."""
    ends: np.ndarray
    """Index of each reading's last turn, shape (readings,)."""


def _read(questions: Sequence[LabelledQuestion], policy: ConsensusPolicy, max_turns: int) -> _Readings:
    generator, identical = random.Random(0), replace(policy, grader=_IDENTICAL)
    rows: list[list[tuple[float, bool]]] = []
    for question in questions:
        for attempts, labels in _orders(_canonical(question, policy.grader), generator):
            turns = range(1, min(max_turns, len(attempts)) + 1)
            decisions = [identical.decide(attempts[:turn]) for turn in turns]
            rows.append(
                [(d.confidence or 0.0, d.choice is not None and labels[d.choice] == "correct") for d in decisions]
            )
    ends = np.array([len(row) - 1 for row in rows])
    table = np.array([row + [(-1.0, False)] * (max_turns - len(row)) for row in rows])
    return _Readings(table[:, :, 0], table[:, :, 1], ends)


def _operate(policy: ConsensusPolicy, readings: _Readings) -> Operating:
    accepted = readings.confidence >= policy.threshold
    stop = np.where(accepted.any(axis=1), accepted.argmax(axis=1), readings.ends)
    return Operating(policy, float(readings.right[np.arange(len(stop)), stop].mean()), float(stop.mean() + 1))


def _canonical(question: LabelledQuestion, grader: Grader) -> LabelledQuestion:
    """The question with equal answers spelled alike, so that they need not be compared again."""
    groups = grader.group([attempt["answer"] for attempt in question.attempts])
    spelled = [None if group is None else str(group) for group in groups]
    attempts: list[Attempt] = [
        {**attempt, "answer": answer} for attempt, answer in zip(question.attempts, spelled, strict=True)
    ]
    return LabelledQuestion(attempts, question.labels)


def replay(
    questions: Sequence[LabelledQuestion], policy: Policy, *, max_turns: int, seed: int = 0
) -> tuple[float, float]:
    """Accuracy and mean Reasoner calls of a policy over logged attempts, in shuffled orders.

    Raises:
        DataError: there is no question.
    """
    if not questions:
        raise DataError("expected questions to replay, got none; harvest more attempts")
    right, calls, generator = 0, 0, random.Random(seed)
    for question in questions:
        for attempts, labels in _orders(question, generator):
            decision, turns = play(policy, attempts, max_turns=max_turns)
            right += decision.choice is not None and labels[decision.choice] == "correct"
            calls += turns
    return right / (_ORDERS * len(questions)), calls / (_ORDERS * len(questions))


def _orders(question: LabelledQuestion, generator: random.Random) -> list[LabelledQuestion]:
    """The question in its own order and in shuffled ones."""
    orders, places = [question], list(range(len(question.attempts)))
    for _ in range(_ORDERS - 1):
        generator.shuffle(places)
        orders.append(LabelledQuestion([question.attempts[i] for i in places], [question.labels[i] for i in places]))
    return orders


def _prefixes(questions: Sequence[LabelledQuestion], grader: Grader, generator: random.Random) -> _Prefixes:
    rows: list[tuple[list[float], list[int], int | None, float]] = []
    for question in questions:
        for ordered in _orders(_canonical(question, grader), generator):
            rows += _read_prefixes(ordered)
    if not rows:
        raise DataError("expected labelled attempts with answers to fit the consensus, got none; label more attempts")
    width = max(len(sums) for sums, *_ in rows) + 1
    scores, repeats = np.zeros((len(rows), width)), np.zeros((len(rows), width))
    absent = np.ones((len(rows), width), dtype=bool)
    for row, (sums, sizes, _, _) in enumerate(rows):
        scores[row, : len(sums)], repeats[row, : len(sizes)] = sums, np.array(sizes) - 1
        absent[row, : len(sums)] = False
    absent[:, -1] = False
    later = np.array([sum(sizes) - 1 for _, sizes, _, _ in rows])
    right = np.array([width - 1 if place is None else place for _, _, place, _ in rows])
    return _Prefixes(scores, repeats, absent, later, right, np.array([weight for *_, weight in rows]))


def _read_prefixes(
    question: LabelledQuestion,
) -> list[tuple[list[float], list[int], int | None, float]]:
    """Per prefix: score sums and sizes of its answers, the place of the right one, and the prefix's weight."""
    kept = [
        (attempt, label)
        for attempt, label in zip(question.attempts, question.labels, strict=True)
        if attempt["answer"] is not None and label is not None
    ]
    groups = _IDENTICAL.group([attempt["answer"] for attempt, _ in kept])
    sums: list[float] = []
    sizes: list[int] = []
    right: int | None = None
    rows = []
    for (attempt, label), group in zip(kept, groups, strict=True):
        place = 0 if group is None else group
        if place == len(sums):
            sums.append(0.0)
            sizes.append(0)
        sums[place] += score_logit(attempt)
        sizes[place] += 1
        right = place if label == "correct" else right
        rows.append((list(sums), list(sizes), right, 1.0 / len(kept)))
    return rows


def _negative_log_likelihood(weights: np.ndarray, given: _Prefixes) -> float:
    score, agreement, none, none_per_attempt = weights
    supports = score * given.scores + agreement * given.repeats
    supports[:, -1] = none + none_per_attempt * given.later
    supports[given.absent] = -np.inf
    peak = supports.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(supports - peak).sum(axis=1)) + peak[:, 0]
    log_right = supports[np.arange(len(supports)), given.right]
    return float(np.average(log_total - log_right, weights=given.weight))


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
        questions.append(LabelledQuestion(attempts, [row["label"] for row in ordered]))
    return questions


def calibrate_consensus(
    path: Path,
    rows: Sequence[Behavior],
    *,
    max_turns: int = 8,
    mean_calls: float | None = None,
    grader: Grader = AUTO,
    seed: int = 0,
) -> Operating:
    """Fit the consensus of a saved DM to calibration rows, choose its threshold, and store both in the folder.

    Args:
        path: the DM folder, calibrated.
        rows: the calibration split, at the live base rate.
        max_turns: the most calls a question.
        mean_calls: as for `choose_threshold`.
        grader: answer equality.
        seed: of the shuffled readings.

    Raises:
        DataError: no row has a label and an answer.
        DMError: there is no DM at `path`.
    """
    questions = label_questions(rows, load_dm(path))
    weights = fit_consensus(questions, grader=grader, seed=seed)
    chosen = choose_threshold(
        questions, ConsensusPolicy(weights=weights, grader=grader), max_turns=max_turns, mean_calls=mean_calls
    )
    set_consensus(path, {**weights.as_dict(), "threshold": chosen.policy.threshold})
    return chosen
