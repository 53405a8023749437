"""Where to stop: the threshold of `ConsensusPolicy`, chosen by replay of logged attempts at a price in calls."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from drr_agent.dm.folder import load_dm, set_consensus
from drr_agent.grading import AUTO, Grader
from drr_agent.policy import ConsensusPolicy, MajorityPolicy, Policy, play
from drr_agent.training.behaviors import Behavior
from drr_agent.training.consensus import fit_consensus
from drr_agent.training.logged import (
    IDENTICAL,
    ORDERS,
    LabelledQuestion,
    canonical,
    label_questions,
    require_judged,
    shuffled,
)
from drr_agent.training.weights import Coverage

_THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(5, 100))


class Operating(NamedTuple):
    """A policy's setting with what it gave on the questions it was chosen on."""

    policy: ConsensusPolicy
    accuracy: float
    mean_calls: float
    effective_questions: float
    """As many questions that count alike as would say as much (Kish 1965); fewer than there are where some stand for
    others."""
    coverage: Coverage | None = None
    """What the log told and what not, where one was read for this."""


def choose_threshold(
    questions: Sequence[LabelledQuestion], policy: ConsensusPolicy, *, max_turns: int, mean_calls: float | None = None
) -> Operating:
    """The cheapest threshold that is as accurate as the best within a mean number of Reasoner calls.

    As accurate: at most one standard error of the paired difference over questions below. The plain maximum would be
    mostly luck. Where neighbors do the same, the middle one is taken, which is furthest from doing otherwise. Means and
    errors are weighted; see `drr_agent.training.weights`. Questions with an unlabelled answer are left out.

    Args:
        questions: scored, labelled attempts; not those the result is reported on.
        policy: the policy whose threshold is chosen.
        max_turns: the most calls a question.
        mean_calls: the most calls on average; by default what adaptive self-consistency would use here. Where no
            threshold is that cheap, the cheapest is taken.

    Raises:
        DataError: there is no question whose every answer has a label.
    """
    questions = require_judged(questions, purpose="replay")
    if mean_calls is None:
        adaptive = MajorityPolicy(confidence=0.95, grader=policy.grader)
        _, mean_calls = replay(questions, adaptive, max_turns=max_turns)
    readings, counts = _read(questions, policy, max_turns), _Counts.of(questions)
    tried = [_try(threshold, readings, counts) for threshold in _THRESHOLDS]
    affordable = [trial for trial in tried if trial.calls <= mean_calls] or tried[:1]
    best = max(affordable, key=lambda trial: trial.accuracy)
    good = [trial for trial in affordable if _as_good(trial, best, counts)]
    calls = min(trial.calls for trial in good)
    plateau = [trial for trial in good if trial.calls == calls]
    chosen = plateau[len(plateau) // 2]
    policy = replace(policy, threshold=chosen.threshold)
    return Operating(policy, chosen.accuracy, chosen.calls, counts.effective)


class _Counts(NamedTuple):
    """What the questions given count, some of which may be runs of one question."""

    weights: np.ndarray
    """Shape (questions given,)."""
    places: np.ndarray
    """Number of the distinct question, same shape."""

    @classmethod
    def of(cls, questions: Sequence[LabelledQuestion]) -> Self:
        numbers: dict[object, int] = {}
        keys = [place if question.key is None else question.key for place, question in enumerate(questions)]
        places = [numbers.setdefault(key, len(numbers)) for key in keys]
        return cls(np.array([question.weight for question in questions]), np.array(places))

    @property
    def effective(self) -> float:
        totals = np.bincount(self.places, self.weights)
        return float(totals.sum() ** 2 / (totals**2).sum())

    def mean(self, values: np.ndarray) -> float:
        return float((self.weights * values).sum() / self.weights.sum())

    def standard_error(self, values: np.ndarray) -> float:
        """Of the mean, by linearization: distinct questions are independent, runs of one are not."""
        deviations = np.bincount(self.places, self.weights * (values - self.mean(values)))
        return float(np.sqrt((deviations**2).sum()) / self.weights.sum())


class _Trial(NamedTuple):
    """A threshold on the questions it may be chosen on."""

    threshold: float
    right: np.ndarray
    """Share of a question's readings that end right, shape (questions given,)."""
    accuracy: float
    calls: float
    """Mean Reasoner calls."""


def _as_good(trial: _Trial, best: _Trial, counts: _Counts) -> bool:
    deficit = best.right - trial.right
    return counts.mean(deficit) <= counts.standard_error(deficit) + 1e-12


class _Readings(NamedTuple):
    """The policy's choice after each turn of each reading; it does not depend on the threshold."""

    confidence: np.ndarray
    """Shape (readings, turns); -1 where the log had ended."""
    right: np.ndarray
    """Same shape."""
    ends: np.ndarray
    """Index of each reading's last turn, shape (readings,)."""


def _read(questions: Sequence[LabelledQuestion], policy: ConsensusPolicy, max_turns: int) -> _Readings:
    generator, identical = random.Random(0), replace(policy, grader=IDENTICAL)
    rows: list[list[tuple[float, bool]]] = []
    for question in questions:
        for attempts, labels, *_ in shuffled(canonical(question, policy.grader), generator):
            turns = range(1, min(max_turns, len(attempts)) + 1)
            decisions = [identical.decide(attempts[:turn]) for turn in turns]
            rows.append(
                [(d.confidence or 0.0, d.choice is not None and labels[d.choice] == "correct") for d in decisions]
            )
    ends = np.array([len(row) - 1 for row in rows])
    table = np.array([row + [(-1.0, False)] * (max_turns - len(row)) for row in rows])
    return _Readings(table[:, :, 0], table[:, :, 1], ends)


def _try(threshold: float, readings: _Readings, counts: _Counts) -> _Trial:
    accepted = readings.confidence >= threshold
    stop = np.where(accepted.any(axis=1), accepted.argmax(axis=1), readings.ends)
    right = readings.right[np.arange(len(stop)), stop].reshape(-1, ORDERS).mean(axis=1)
    calls = counts.mean(stop.reshape(-1, ORDERS).mean(axis=1)) + 1
    return _Trial(threshold, right, counts.mean(right), calls)


def replay(
    questions: Sequence[LabelledQuestion], policy: Policy, *, max_turns: int, seed: int = 0
) -> tuple[float, float]:
    """Accuracy and mean Reasoner calls of a policy over logged attempts, by their weights, draws in shuffled orders.

    Questions with an unlabelled answer are left out.

    Raises:
        DataError: there is no question whose every answer has a label.
    """
    questions, generator = require_judged(questions, purpose="replay"), random.Random(seed)
    right, calls, total = 0.0, 0.0, math.fsum(question.weight for question in questions)
    for question in questions:
        for reading in shuffled(question, generator):
            decision, turns = play(policy, reading.attempts, max_turns=max_turns)
            right += question.weight * (decision.choice is not None and reading.labels[decision.choice] == "correct")
            calls += question.weight * turns
    return right / (ORDERS * total), calls / (ORDERS * total)


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
        DataError: there is no question whose every answer has a label.
        DMError: there is no DM at `path`.
    """
    log = label_questions(rows, load_dm(path))
    weights = fit_consensus(log.questions, grader=grader, seed=seed)
    chosen = choose_threshold(
        log.questions, ConsensusPolicy(weights=weights, grader=grader), max_turns=max_turns, mean_calls=mean_calls
    )
    set_consensus(path, {**weights.as_dict(), "threshold": chosen.policy.threshold})
    return chosen._replace(coverage=log.coverage)
