"""What runs came to, against their targets: who was right, and what thinking on changed.

Unknown is neither right nor wrong: what has no label or no score is left out, and counted.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple, TypedDict

import numpy as np

from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.grading import Grader
from drr_agent.state import Run


class TurnPrecision(TypedDict):
    """How well one turn's accepts were chosen."""

    turn: int
    attempts: int
    """Graded attempts at this turn."""
    accepted: int
    precision: float | None
    """Share of the accepted that are right; `None` when none was accepted."""
    confidence: float | None
    """What the policy said of the accepted ones on average; as high as the precision where it is calibrated."""
    recall: float | None
    """Share of the right that were accepted; `None` when none was right."""
    left_out: int
    """Attempts without a label: no answer, or no target."""


class _Accept(NamedTuple):
    """Whether an attempt was accepted, whether that was right, and how sure the policy was."""

    accepted: bool
    right: bool | None
    confidence: float | None


class ScoredAttempts(NamedTuple):
    """The attempts of runs that have both a score and a label, as parallel arrays."""

    scores: Floats
    labels: Bools
    questions: list[str]
    left_out: int
    """Attempts without a score or without a label."""


class Changes(NamedTuple):
    """Where thinking on changed the outcome of the first attempt."""

    fixed: list[Run]
    """The first attempt was wrong, the chosen answer is right."""
    harmed: list[Run]
    """The first attempt was right, the chosen answer is wrong."""
    left_out: int
    """Runs in which either is unknown: no attempt, no answer, no target."""


def question_of(run: Run) -> str:
    """What runs over the same question share: the sample's id, or for live runs the context and the question."""
    return run["sample_id"] if run["sample_id"] is not None else f"{run['context']}\n{run['question']}"


def scored_attempts(runs: Iterable[Run], grader: Grader) -> ScoredAttempts:
    """Every attempt with a score and a label; the rest is counted in `left_out`."""
    rows: list[tuple[float, bool, str]] = []
    left_out = 0
    for run in runs:
        for attempt in run["attempts"]:
            label = grader.grade(attempt["answer"], run["target"])
            if label is None or attempt["score"] is None:
                left_out += 1
            else:
                rows.append((attempt["score"], label == "correct", question_of(run)))
    scores, labels, questions = zip(*rows, strict=True) if rows else ((), (), ())
    return ScoredAttempts(
        np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool), list(questions), left_out
    )


def precision_recall_by_turn(runs: Iterable[Run], grader: Grader) -> list[TurnPrecision]:
    """Precision and recall of accepting, one row a turn.

    An attempt the policy did not accept counts as not accepted, also where turns or budget ended the run.
    """
    turns: dict[int, list[_Accept]] = {}
    for run in runs:
        for attempt in run["attempts"]:
            accepted = attempt["verdict"] == "accept"
            # an accept may be of an earlier answer, which the new attempt only tipped
            label = grader.grade(run["answer"] if accepted else attempt["answer"], run["target"])
            right = None if label is None else label == "correct"
            turns.setdefault(attempt["turn"], []).append(_Accept(accepted, right, run["score"] if accepted else None))
    return [_turn_precision(turn, turns[turn]) for turn in sorted(turns)]


def fixed_and_harmed(runs: Iterable[Run], grader: Grader) -> Changes:
    """The runs whose first attempt was wrong and whose chosen answer is right, and the other way around."""
    fixed: list[Run] = []
    harmed: list[Run] = []
    left_out = 0
    for run in runs:
        first = grader.grade(run["attempts"][0]["answer"], run["target"]) if run["attempts"] else None
        chosen = grader.grade(run["answer"], run["target"])
        if first is None or chosen is None:
            left_out += 1
        elif first != chosen:
            (fixed if chosen == "correct" else harmed).append(run)
    return Changes(fixed, harmed, left_out)


def _turn_precision(turn: int, decisions: Sequence[_Accept]) -> TurnPrecision:
    graded = [decision for decision in decisions if decision.right is not None]
    accepted = sum(decision.accepted for decision in graded)
    right = sum(bool(decision.right) for decision in graded)
    both = sum(decision.accepted and bool(decision.right) for decision in graded)
    said = [decision.confidence for decision in graded if decision.confidence is not None]
    return {
        "turn": turn,
        "attempts": len(graded),
        "accepted": accepted,
        "precision": both / accepted if accepted else None,
        "confidence": fmean(said) if said else None,
        "recall": both / right if right else None,
        "left_out": len(decisions) - len(graded),
    }
