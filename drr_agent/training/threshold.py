"""Where to stop: the threshold of `ConsensusPolicy`, chosen by replay of logged attempts at a price in calls."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drr_agent.dm.folder import load_dm, set_consensus
from drr_agent.errors import DataError
from drr_agent.grading import AUTO, Grader
from drr_agent.policy import ConsensusPolicy, MajorityPolicy, Policy, play
from drr_agent.training.behaviors import Behavior
from drr_agent.training.consensus import fit_consensus
from drr_agent.training.logged import IDENTICAL, ORDERS, LabelledQuestion, canonical, label_questions, shuffled

_THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(5, 100))


class Operating(NamedTuple):
    """A policy's setting with what it gave on the questions it was chosen on."""

    policy: ConsensusPolicy
    accuracy: float
    mean_calls: float


def choose_threshold(
    questions: Sequence[LabelledQuestion], policy: ConsensusPolicy, *, max_turns: int, mean_calls: float | None = None
) -> Operating:
    """The cheapest threshold that is as accurate as the best within a mean number of Reasoner calls.

    As accurate: at most one standard error of the paired difference over questions below. The plain maximum would be
    mostly luck. Where neighbors do the same, the middle one is taken, which is furthest from doing otherwise.

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
    tried = [_try(threshold, readings) for threshold in _THRESHOLDS]
    affordable = [trial for trial in tried if trial.calls <= mean_calls] or tried[:1]
    best = max(affordable, key=lambda trial: float(trial.right.mean()))
    calls = min(trial.calls for trial in affordable if _as_good(trial.right, best.right))
    plateau = [trial for trial in affordable if trial.calls == calls and _as_good(trial.right, best.right)]
    chosen = plateau[len(plateau) // 2]
    return Operating(replace(policy, threshold=chosen.threshold), float(chosen.right.mean()), chosen.calls)


class _Trial(NamedTuple):
    """A threshold on the questions it may be chosen on."""

    threshold: float
    right: np.ndarray
    """Share of a question's readings that end right, shape (questions,)."""
    calls: float
    """Mean Reasoner calls."""


def _as_good(right: np.ndarray, best: np.ndarray) -> bool:
    deficit = best - right
    return bool(deficit.mean() <= deficit.std() / math.sqrt(len(deficit)) + 1e-12)


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
        for attempts, labels in shuffled(canonical(question, policy.grader), generator):
            turns = range(1, min(max_turns, len(attempts)) + 1)
            decisions = [identical.decide(attempts[:turn]) for turn in turns]
            rows.append(
                [(d.confidence or 0.0, d.choice is not None and labels[d.choice] == "correct") for d in decisions]
            )
    ends = np.array([len(row) - 1 for row in rows])
    table = np.array([row + [(-1.0, False)] * (max_turns - len(row)) for row in rows])
    return _Readings(table[:, :, 0], table[:, :, 1], ends)


def _try(threshold: float, readings: _Readings) -> _Trial:
    accepted = readings.confidence >= threshold
    stop = np.where(accepted.any(axis=1), accepted.argmax(axis=1), readings.ends)
    right = readings.right[np.arange(len(stop)), stop].reshape(-1, ORDERS)
    return _Trial(threshold, right.mean(axis=1), float(stop.mean() + 1))


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
        for attempts, labels in shuffled(question, generator):
            decision, turns = play(policy, attempts, max_turns=max_turns)
            right += decision.choice is not None and labels[decision.choice] == "correct"
            calls += turns
    return right / (ORDERS * len(questions)), calls / (ORDERS * len(questions))


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
