"""A behavior: one logged attempt as training data, with where it came from."""

import hashlib
import json
from typing import Any, Literal, TypedDict, cast, get_args

from drr_agent.dm.protocol import Score, ScoreRequest
from drr_agent.questions import unit_of
from drr_agent.state import Attempt, FeedbackKind, Label, Verdict
from drr_agent.training.labels import WEAK_KINDS, LabelRecord, label_kind, merge_labels, resolve_labels

Split = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
BehaviorOrigin = Literal["live", "explored", "distilled", "traced", "imported"]
"""Made by a graph in use, to explore after the policy had ended the run, by a distillation, by an agent that never
used this package; or read from a file of attempts that does not say."""

_DERIVED_KINDS = frozenset({"column", "grader"})
"""Label sources that a harvest works out anew each time."""


class Judged(TypedDict):
    """What is known of an attempt's being right: these fields of a `Behavior`."""

    labels: list[LabelRecord]
    label: Label | None
    label_source: str | None
    labelled_at: str | None


class Behavior(TypedDict):
    """One row of a dataset. A row without a label or without an answer never trains; it is kept, since it counts."""

    id: str
    """Stable, whichever store the row came through: the run, the turn, and a hash of the attempts up to it, which
    tells the branches of a forked run apart."""
    run_id: str
    question_key: str
    """Hash of the normalized question: what rows are split and grouped by."""
    question: str
    context: str
    rationale: str
    answer: str | None
    target: str | None
    label: Label | None
    """What counts of `labels`."""
    label_source: str | None
    """What made it, such as `grader:auto` or `column:is_correct`."""
    labelled_at: str | None
    labels: list[LabelRecord]
    """Everybody's judgment, one a source."""
    turn: int
    """Position in its run, from 1."""
    draw: int | None
    copies: int
    """How many attempts of this Reasoner at this question, this one included, say exactly the same."""
    feedback: str
    truncated: bool | None
    signals: dict[str, float | None]
    logprobs: list[float] | None
    spans: list[int | None] | None
    """For each of `logprobs` where its token begins in `rationale`, `None` for one outside of it; `None` for all where
    nobody knows, or the rationale is not as it was said."""
    input_tokens: int | None
    output_tokens: int | None
    reasoner: str
    prompts: str | None
    dm: str | None
    """Digest of the DM that scored it when it was made."""
    score: float | None
    """That DM's score."""
    verdict: Verdict | None
    """What the policy said of it when it was made: `accept`, `stop` and `review` ended the run."""
    origin: BehaviorOrigin
    """How it came to be logged."""
    propensity: float | None
    """P(a run like this has such an attempt): 1, or for an explored one the rate of exploring. `None`: unknown."""
    dataset: str | None
    """The benchmark or task the question belongs to, where the source says so."""
    started_at: str | None


def assign_split(key: str, fractions: dict[Split, float]) -> Split:
    """The split of a question, by its hash alone: a growing log moves no row, and near-duplicates stay together.

    Args:
        key: a `question_key`.
        fractions: the share of questions per split; must sum to 1.
    """
    position = int(hashlib.sha256(f"split:{unit_of(key)}".encode()).hexdigest()[:8], 16) / 2**32
    for split in SPLITS:
        position -= fractions.get(split, 0.0)
        if position < 0:
            return split
    return max(fractions, key=lambda split: fractions[split])


def is_labelled(row: Behavior, *, weak: bool = False) -> bool:
    """Whether a row can teach: it has an answer and a label.

    Args:
        row: any.
        weak: whether a label that is only the agreement of attempts counts.
    """
    known = row["answer"] is not None and row["label"] is not None
    return known and (weak or not is_weak(row))


def is_weak(row: Behavior) -> bool:
    """Whether a row's label is only the agreement of attempts."""
    return label_kind(row["label_source"] or "") in WEAK_KINDS


def judged(labels: list[LabelRecord]) -> Judged:
    """Everybody's word, and what counts of it."""
    counted = resolve_labels(labels)
    if counted is None:
        return {"labels": labels, "label": None, "label_source": None, "labelled_at": None}
    return {
        "labels": labels,
        "label": counted["value"],
        "label_source": counted["source"],
        "labelled_at": counted["at"],
    }


def with_labels(row: Behavior, labels: list[LabelRecord]) -> Behavior:
    """The row with these judgments, and what counts of them."""
    return {**row, **judged(labels)}


def join_behaviors(one: Behavior, other: Behavior) -> Behavior:
    """Two sightings of one attempt in one harvest: what either knows, in whatever order they come.

    What a grader said of another target than the one that stays goes.
    """
    joined = {name: _either(value, other.get(name)) for name, value in one.items()}
    joined["signals"] = {
        name: _either(one["signals"].get(name), other["signals"].get(name))
        for name in one["signals"] | other["signals"]
    }
    return with_labels(
        cast("Behavior", joined),
        merge_labels(_labels_for(one, joined["target"]), _labels_for(other, joined["target"])),
    )


def renew_behavior(held: Behavior, new: Behavior) -> Behavior:
    """A row of a dataset that a later harvest sees again: what the later one knows counts, the rest stays.

    What it says by grader or column takes the place of what graders or columns said before, and what a source says of
    the same time that of what it said.
    """
    renewed = {label_kind(label["source"]) for label in new["labels"]} & _DERIVED_KINDS
    said = {(label["source"], label["at"]) for label in new["labels"]}
    kept = [
        label
        for label in held["labels"]
        if label_kind(label["source"]) not in renewed and (label["source"], label["at"]) not in said
    ]
    filled = {name: held.get(name) if value is None else value for name, value in new.items()}
    known = {name: value for name, value in new["signals"].items() if value is not None}
    filled["signals"] = {**dict.fromkeys(new["signals"]), **held["signals"], **known}
    return with_labels(cast("Behavior", filled), merge_labels(kept, new["labels"]))


def _labels_for(row: Behavior, target: str | None) -> list[LabelRecord]:
    """A sighting's labels, as far as they hold for the target that stays."""
    if row["target"] is None or row["target"] == target:
        return row["labels"]
    return [label for label in row["labels"] if label_kind(label["source"]) != "grader"]


def _either(one: Any, other: Any) -> Any:
    """The one that says something; of two that differ always the same one."""
    if one is None or other is None:
        return other if one is None else one
    # by the text of both, and not by `==`, for which 0.0 and -0.0 are one and still two to a third value
    return max(one, other, key=lambda value: json.dumps(value, sort_keys=True))


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
        reasoner=behavior["reasoner"],
        logprobs=behavior["logprobs"],
        spans=behavior["spans"],
    )


def to_attempt(behavior: Behavior, score: Score | None) -> Attempt:
    """A behavior as the attempt it was, with a score of today's DM: what a policy replays."""
    metered = behavior["input_tokens"] is not None and behavior["output_tokens"] is not None
    attempt: Attempt = {
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
        "logit": None if score is None else score.logit,
        "score": None if score is None else score.score,
        "score_error": None,
        "verdict": None,
    }
    return attempt if score is None or score.text_logit is None else {**attempt, "text_logit": score.text_logit}
