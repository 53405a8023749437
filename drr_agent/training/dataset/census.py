"""Counting a dataset's rows as they pass, for its manifest."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drr_agent.training.behaviors import SPLITS, Behavior, Split, is_weak
from drr_agent.training.dataset.manifest import SplitCounts
from drr_agent.training.labels import in_conflict

_VALUES: Mapping[str, Callable[[Behavior], str | None]] = {
    "label_sources": lambda row: row["label_source"],
    "origins": lambda row: row["origin"],
    "verdicts": lambda row: row["verdict"],
    "reasoners": lambda row: row["reasoner"],
    "prompts": lambda row: row["prompts"],
    "datasets": lambda row: row["dataset"],
}


@dataclass
class Part:
    """A split, a turn, or any other part whose rows come in the order of questions."""

    labels: Counter[str | None] = field(default_factory=Counter)
    questions: int = 0
    last_question: str | None = None

    def add(self, row: Behavior) -> None:
        """Count a row."""
        self.labels[row["label"]] += 1
        self.questions += row["question_key"] != self.last_question
        self.last_question = row["question_key"]

    def counts(self) -> SplitCounts:
        """What came so far."""
        return SplitCounts(
            rows=self.labels.total(),
            questions=self.questions,
            correct=self.labels["correct"],
            incorrect=self.labels["incorrect"],
            unlabeled=self.labels[None],
        )


class Census:
    """Takes every row once, each split's in the order of questions."""

    def __init__(self) -> None:
        self._splits: dict[Split, Part] = {split: Part() for split in SPLITS}
        self._digests = {split: hashlib.sha256() for split in SPLITS}
        self._turns: dict[int, Part] = {}
        self._values: dict[str, Counter[str]] = {name: Counter() for name in _VALUES}
        self._marks: Counter[str] = Counter()

    def add(self, split: Split, row: Behavior) -> None:
        """Count a row."""
        self._splits[split].add(row)
        self._digests[split].update(_digested(row))
        self._turns.setdefault(row["turn"], Part()).add(row)
        for name, value_of in _VALUES.items():
            self._values[name]["none" if (value := value_of(row)) is None else value] += 1
        self._marks["conflicts"] += in_conflict(row["labels"])
        self._marks["weak"] += is_weak(row)
        self._marks["copies"] += row["copies"] > 1

    @property
    def count(self) -> int:
        """Rows so far."""
        return sum(part.labels.total() for part in self._splits.values())

    def findings(self) -> dict[str, Any]:
        """Every field of a `Manifest` that its rows decide."""
        marks = ("conflicts", "weak", "copies")
        return {
            "digest": hashlib.sha256("".join(d.hexdigest() for d in self._digests.values()).encode()).hexdigest()[:12],
            "splits": {split: part.counts() for split, part in self._splits.items()},
            "turns": {turn: self._turns[turn].counts() for turn in sorted(self._turns)},
            **{name: dict(sorted(counter.items())) for name, counter in self._values.items()},
            **{name: self._marks[name] for name in marks},
        }


def _digested(row: Behavior) -> bytes:
    """What a dataset's digest covers of a row."""
    said = [row[name] for name in ("id", "label", "question", "context", "rationale", "answer", "target")]
    return json.dumps(said).encode()
