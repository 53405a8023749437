"""Where to stop: the threshold of `ConsensusPolicy`, chosen by replay of logged attempts at a price in calls."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

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
from drr_agent.training.operating import Counts, Walks, choose_cutoff
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

    As accurate: see `drr_agent.training.operating`. Questions with an unlabelled answer are left out.

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
    affordable = adaptive_calls(questions, policy.grader, max_turns) if mean_calls is None else mean_calls
    counts = Counts.of(questions)
    chosen = choose_cutoff(_read(questions, policy, max_turns), counts, _THRESHOLDS, mean_calls=affordable)
    return Operating(replace(policy, threshold=chosen.cutoff), chosen.accuracy, chosen.calls, counts.effective)


def adaptive_calls(questions: Sequence[LabelledQuestion], grader: Grader, max_turns: int) -> float:
    """Mean calls of adaptive self-consistency, at the confidence its authors propose."""
    return replay(questions, MajorityPolicy(confidence=0.95, grader=grader), max_turns=max_turns)[1]


def _read(questions: Sequence[LabelledQuestion], policy: ConsensusPolicy, max_turns: int) -> Walks:
    """The policy's choice after each turn of each reading; it does not depend on the threshold."""
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
    return Walks(table[:, :, 0], table[:, :, 1] == 1, ends)


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
