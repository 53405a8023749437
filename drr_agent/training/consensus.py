"""What agreement is worth, learned from logs: the weights of `ConsensusPolicy`.

They maximize the likelihood of which distinct answer is right ("none of them" included) over every prefix of every
question's attempts, so the policy's confidence is a probability at every turn, not only at the last.
"""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drr_agent.errors import DataError
from drr_agent.grading import AUTO, Grader
from drr_agent.odds import score_logit
from drr_agent.policy import ConsensusWeights
from drr_agent.training.logged import IDENTICAL, LabelledQuestion, canonical, require_judged, shuffled

_RIDGE = 1e-3
"""Pull towards the default weights, so that few questions do not give wild ones."""
_BOUNDS = ((0.0, 10.0), (0.0, 10.0), (-10.0, 10.0), (0.0, 5.0))
"""Of the weights: agreement never speaks against an answer, and a wrong attempt never for another one."""


class _Prefixes(NamedTuple):
    """Every prefix as one row; columns are its distinct answers, then "none of them"."""

    scores: np.ndarray
    """Best score logit per answer, shape (prefixes, answers + 1); zero in the last column."""
    repeats: np.ndarray
    """Attempts after the first per answer, same shape."""
    absent: np.ndarray
    """True where a row has no such answer."""
    later: np.ndarray
    """Attempts after the first of the whole prefix, shape (prefixes,)."""
    right: np.ndarray
    """Column of the right answer, shape (prefixes,)."""
    weight: np.ndarray
    """The question's, over its prefixes: a question counts alike however many attempts it has."""


def fit_consensus(questions: Sequence[LabelledQuestion], *, grader: Grader = AUTO, seed: int = 0) -> ConsensusWeights:
    """Fit the weights by maximum likelihood (L-BFGS), with a slight pull towards the defaults.

    Questions count by their weight; see `drr_agent.training.weights`. Those with an unlabelled answer are left out.

    Raises:
        DataError: no question has a scored, labelled attempt with an answer, and no answer without a label.
    """
    from scipy.optimize import minimize  # half a second that no other command should wait for

    prefixes = _prefixes(questions, grader, random.Random(seed))
    default = np.array([1.0, 1.0, 0.0, 0.0])

    def loss(weights: np.ndarray) -> float:
        return _negative_log_likelihood(weights, prefixes) + _RIDGE * float(np.sum((weights - default) ** 2))

    found = minimize(loss, default, method="L-BFGS-B", bounds=_BOUNDS)
    score, agreement, none, none_per_attempt = (round(float(weight), 4) for weight in found.x)
    return ConsensusWeights(score=score, agreement=agreement, none=none, none_per_attempt=none_per_attempt)


def _prefixes(questions: Sequence[LabelledQuestion], grader: Grader, generator: random.Random) -> _Prefixes:
    rows: list[tuple[list[float], list[int], int | None, float]] = []
    for question in require_judged(questions, purpose="fit the consensus"):
        for ordered in shuffled(canonical(question, grader), generator):
            rows += _read_prefixes(ordered)
    if not rows:
        raise DataError("expected scored attempts with answers to fit the consensus, got none; harvest more attempts")
    width = max(len(bests) for bests, *_ in rows) + 1
    scores, repeats = np.zeros((len(rows), width)), np.zeros((len(rows), width))
    absent = np.ones((len(rows), width), dtype=bool)
    for row, (bests, sizes, _, _) in enumerate(rows):
        scores[row, : len(bests)], repeats[row, : len(sizes)] = bests, np.array(sizes) - 1
        absent[row, : len(bests)] = False
    absent[:, -1] = False
    later = np.array([sum(sizes) - 1 for _, sizes, _, _ in rows])
    right = np.array([width - 1 if place is None else place for _, _, place, _ in rows])
    return _Prefixes(scores, repeats, absent, later, right, np.array([weight for *_, weight in rows]))


def _read_prefixes(
    question: LabelledQuestion,
) -> list[tuple[list[float], list[int], int | None, float]]:
    """Per prefix: best score logits and sizes of its answers, the place of the right one, and the prefix's weight."""
    kept = [
        (attempt["answer"], attempt["score"], label)
        for attempt, label in zip(question.attempts, question.labels, strict=True)
        if attempt["answer"] is not None and attempt["score"] is not None and label is not None
    ]
    groups = IDENTICAL.group([answer for answer, _, _ in kept])
    bests: list[float] = []
    sizes: list[int] = []
    right: int | None = None
    rows = []
    for (_, score, label), group in zip(kept, groups, strict=True):
        place = 0 if group is None else group
        if place == len(bests):
            bests.append(-math.inf)
            sizes.append(0)
        bests[place] = max(bests[place], score_logit(score))
        sizes[place] += 1
        right = place if label == "correct" else right
        rows.append((list(bests), list(sizes), right, question.weight / len(kept)))
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
