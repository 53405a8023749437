"""The subject of a replay on parts of the questions, and examples to read."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Self

import numpy as np

from drr_agent.evaluation.metrics import Bools, Floats, auroc
from drr_agent.evaluation.report import Example, ExampleAttempt
from drr_agent.policy import Outcome
from drr_agent.replay.families import OUTCOMES
from drr_agent.replay.frontier import measure
from drr_agent.replay.paths import Ends
from drr_agent.replay.readings import Ints, Readings
from drr_agent.replay.report import Slice
from drr_agent.replay.standing import NOTHING
from drr_agent.training.behaviors import Behavior
from drr_agent.training.logged import LabelledQuestion

_EXAMPLES = 3
_RATIONALE_CHARS = 1200
_PARTS = 3
"""Of the lengths."""
_MOST_SLICES = 12
"""Of one kind, the largest."""
_ENDINGS: Mapping[Outcome, str] = {
    "accept": "accepted",
    "stop": "stopped, not accepted",
    "review": "sent to review",
    "continue": "turns ended",
}
"""How an example ends, in words."""
QuestionKind = Literal["reasoner", "dataset", "length"]


class Fact(NamedTuple):
    """What a question's rows say of it."""

    question: str
    target: str | None
    dataset: str | None


def facts_of(rows: Sequence[Behavior]) -> dict[str, Fact]:
    """By question key."""
    facts: dict[str, Fact] = {}
    for row in rows:
        facts.setdefault(row["question_key"], Fact(row["question"], row["target"], row["dataset"]))
    return facts


def slices(ends: Ends, readings: Readings, facts: Mapping[str, Fact]) -> list[Slice]:
    """The subject by Reasoner, dataset and length of the first rationale; the attempts by turn."""
    found: list[Slice] = []
    rows = _Labelled.of(readings.questions)
    kinds: dict[QuestionKind, list[str]] = {
        "reasoner": [question.key[-1] if question.key else "" for question in readings.questions],
        "dataset": [_dataset(question, facts) for question in readings.questions],
        "length": _lengths(readings.questions),
    }
    for by, names in kinds.items():
        array = np.array(names)
        values, counts = np.unique(array, return_counts=True)
        largest = values[np.argsort(-counts, kind="stable")][:_MOST_SLICES]
        found += [_slice(by, str(name), array == name, ends, readings, rows) for name in largest]
    return [*found, *(rows.slice("turn", str(turn), rows.turn == turn) for turn in np.unique(rows.turn).tolist())]


def examples(label: str, ends: Ends, readings: Readings, facts: Mapping[str, Fact]) -> list[Example]:
    """The first questions, in their own order, that thinking on fixed or harmed; first as logged, not as liked."""
    _, own = np.unique(readings.question, return_index=True)
    first, last = readings.right[own, 0], ends.right[own]
    answered = (readings.first[own, 0] >= 0) & (ends.choice[own] != NOTHING)
    fixed, harmed = own[answered & ~first & last][:_EXAMPLES], own[answered & first & ~last][:_EXAMPLES]
    return [
        *(_example("fixed", label, int(reading), ends, readings, facts) for reading in fixed),
        *(_example("harmed", label, int(reading), ends, readings, facts) for reading in harmed),
    ]


def _dataset(question: LabelledQuestion, facts: Mapping[str, Fact]) -> str:
    fact = facts.get(question.key[0]) if question.key else None
    return (fact.dataset if fact else None) or "not named"


def _lengths(questions: Sequence[LabelledQuestion]) -> list[str]:
    """The third of the first rationale's length, in characters."""
    sizes = np.array([len(question.attempts[0]["rationale"]) for question in questions])
    bounds = np.unique(np.quantile(sizes, np.linspace(0.0, 1.0, _PARTS + 1)).astype(int))
    places = np.clip(np.searchsorted(bounds, sizes, side="right") - 1, 0, max(0, len(bounds) - 2))
    top = [*bounds[1:-1] - 1, bounds[-1]]
    return [f"{bounds[place]} to {top[place]} characters" for place in places]


class _Labelled(NamedTuple):
    """The labelled attempts, as arrays of shape (attempts,)."""

    question: Ints
    """Its place."""
    turn: Ints
    score: Floats
    """NaN without one."""
    right: Bools

    @classmethod
    def of(cls, questions: Sequence[LabelledQuestion]) -> Self:
        """Those of some questions."""
        rows = [
            (place, attempt["turn"], attempt["score"], label == "correct")
            for place, question in enumerate(questions)
            for attempt, label in zip(question.attempts, question.labels, strict=True)
            if label is not None
        ]
        place, turn, score, right = zip(*rows, strict=True) if rows else ((),) * 4
        return cls(
            np.array(place, dtype=np.int64),
            np.array(turn, dtype=np.int64),
            np.array(score, dtype=np.float64),
            np.array(right, dtype=np.bool_),
        )

    def slice(self, by: QuestionKind | Literal["turn"], name: str, where: Bools) -> Slice:
        """Some of them."""
        right, scored = self.right[where], where & ~np.isnan(self.score)
        return Slice(
            by=by,
            name=name,
            attempts=len(right),
            right=float(right.mean()) if len(right) else None,
            auroc=auroc(self.score[scored], self.right[scored]) if scored.any() else None,
        )


def _slice(by: QuestionKind, name: str, where: Bools, ends: Ends, readings: Readings, rows: _Labelled) -> Slice:
    counted = where[readings.question]
    means = measure(ends, readings, counted).means()
    weights = readings.weights * counted
    return rows.slice(by, name, where[rows.question]).model_copy(
        update={
            "questions": int(where.sum()),
            "first": float((readings.right[:, 0] * weights).sum() / weights.sum()),
            "accuracy": means["accuracy"],
            "calls": means["calls"],
        }
    )


def _example(
    change: Literal["fixed", "harmed"],
    label: str,
    reading: int,
    ends: Ends,
    readings: Readings,
    facts: Mapping[str, Fact],
) -> Example:
    question = readings.questions[readings.question[reading]]
    fact = facts.get(question.key[0]) if question.key else None
    turns = int(ends.turns[reading])
    outcome = OUTCOMES[ends.outcome[reading]]
    return Example(
        change=change,
        strategy=f"{label} ({_ENDINGS[outcome]})",
        question=fact.question if fact else "",
        target=(fact.target if fact else None) or "",
        attempts=[
            ExampleAttempt(
                turn=turn + 1,
                rationale=_shortened(question.attempts[turn]["rationale"]),
                answer=question.attempts[turn]["answer"],
                score=question.attempts[turn]["score"],
                verdict="reject" if turn < turns - 1 else "accept" if outcome == "accept" else None,
                right=None if question.labels[turn] is None else question.labels[turn] == "correct",
                chosen=turn == ends.choice[reading],
            )
            for turn in range(turns)
        ],
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _RATIONALE_CHARS else text[:_RATIONALE_CHARS] + " …"
