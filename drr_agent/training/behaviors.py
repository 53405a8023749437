"""A behavior: one logged attempt as training data, with where it came from."""

import hashlib
from collections.abc import Iterable
from typing import Literal, TypedDict, cast, get_args

from drr_agent.dm.protocol import ScoreRequest
from drr_agent.state import Attempt, FeedbackKind, Label

Split = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Behavior(TypedDict):
    """One row of a dataset. A row without a label or without an answer never trains; it is kept, since it counts."""

    id: str
    """Stable: the run and the turn, whichever store the row came through."""
    run_id: str
    question_key: str
    """Hash of the normalized question: what rows are split and grouped by."""
    question: str
    context: str
    rationale: str
    answer: str | None
    target: str | None
    label: Label | None
    label_source: str | None
    """What made the label, such as `grader:auto` or `column:is_correct`."""
    turn: int
    """Position in its run, from 1."""
    draw: int | None
    feedback: str
    truncated: bool | None
    signals: dict[str, float | None]
    logprobs: list[float] | None
    input_tokens: int | None
    output_tokens: int | None
    reasoner: str
    prompts: str | None
    origin: str
    """`live`, `distilled` or `imported`."""
    dataset: str | None
    """The benchmark or task the question belongs to, where the source says so."""
    started_at: str | None


def assign_split(key: str, fractions: dict[Split, float]) -> Split:
    """The split of a question, by its hash alone: a growing log moves no row.

    Args:
        key: a `question_key`.
        fractions: the share of questions per split; must sum to 1.
    """
    position = int(hashlib.sha256(f"split:{key}".encode()).hexdigest()[:8], 16) / 2**32
    for split in SPLITS:
        position -= fractions.get(split, 0.0)
        if position < 0:
            return split
    return max(fractions, key=lambda split: fractions[split])


def merge_behaviors(old: Iterable[Behavior], new: Iterable[Behavior]) -> list[Behavior]:
    """Old rows and new ones by question, run and turn; a new row replaces its old self, unless it lost its label."""
    merged = {row["id"]: row for row in old}
    for row in new:
        held = merged.get(row["id"])
        merged[row["id"]] = held if held is not None and row["label"] is None else row
    return sorted(merged.values(), key=lambda row: (row["question_key"], row["run_id"], row["turn"], row["id"]))


def to_request(behavior: Behavior) -> ScoreRequest:
    """What the DM is asked about a behavior.

    Raises:
        ValueError: the behavior has no answer, so there is nothing to score.
    """
    if behavior["answer"] is None:
        raise ValueError(f"behavior {behavior['id']!r} has no answer to score")
    return ScoreRequest(
        question=behavior["question"],
        rationale=behavior["rationale"],
        answer=behavior["answer"],
        context=behavior["context"],
        signals=behavior["signals"],
    )


def to_attempt(behavior: Behavior, *, score: float | None, logit: float | None = None) -> Attempt:
    """A behavior as the attempt it was, with a score of today's DM: what a policy replays."""
    metered = behavior["input_tokens"] is not None and behavior["output_tokens"] is not None
    return {
        "rationale": behavior["rationale"],
        "answer": behavior["answer"],
        "truncated": behavior["truncated"],
        "logprobs": behavior["logprobs"],
        "feedback": cast("FeedbackKind", behavior["feedback"]),
        "error": None,
        "usage": {
            "calls": 1,
            "unmetered_calls": 0 if metered else 1,
            "input_tokens": behavior["input_tokens"] or 0,
            "output_tokens": behavior["output_tokens"] or 0,
        },
        "seconds": 0.0,
        "turn": behavior["turn"],
        "signals": behavior["signals"],
        "logit": logit,
        "score": score,
        "score_error": None,
        "verdict": None,
    }
