"""Where a label comes from: who judged an attempt, when, and whose word counts when they differ."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from typing_extensions import TypedDict  # as in `state.py`

from drr_agent.columns import is_missing
from drr_agent.errors import ConfigError
from drr_agent.grading import Grader
from drr_agent.questions import question_key
from drr_agent.state import Label, Run, RunLabel
from drr_agent.training.labels.environment import Environment, ask_environment
from drr_agent.training.labels.targets import Targets

LABEL_ORDER = ("human", "environment", "column", "grader", "feedback", "judge", "agreement")
"""Kinds of label sources, the one whose word counts most first.

A human who looked at the attempt; the world (tests passed, ticket reopened); a column of an imported file; a grader
that compared the answer with a known target; feedback in a store, often a user's thumb; an LLM judge; and agreement of
the attempts with each other, which is weak.
"""
WEAK_KINDS = frozenset({"agreement"})
"""Label sources that train only when asked to, and never calibrate or measure."""
MODEL_KINDS = WEAK_KINDS | {"judge"}
"""Label sources that are models' opinions: they are measured by the other sources, and a human is still asked."""

_WORDS: dict[str, Label] = {
    **dict.fromkeys(("true", "1", "1.0", "correct", "yes"), "correct"),
    **dict.fromkeys(("false", "0", "0.0", "incorrect", "no"), "incorrect"),
}


_STRICTNESS: dict[Label | None, int] = {None: 0, "correct": 1, "incorrect": 2}


class LabelRecord(TypedDict):
    """One judgment of one attempt."""

    value: Label | None
    """`None`: asked, and nothing came of it (skipped, expired). It never trains."""
    source: str
    """Its kind, one of `LABEL_ORDER`, and after a colon what tells two of a kind apart: `grader:auto`, `human:ann`."""
    at: str | None
    """ISO 8601: when it was judged; for what a grader says, when the attempt was made; `None` where nobody knows."""


def label_kind(source: str) -> str:
    """The kind of a label source."""
    return source.partition(":")[0]


def merge_labels(*groups: Iterable[LabelRecord]) -> list[LabelRecord]:
    """One judgment a source, its latest, in whatever order they come."""
    held: dict[str, LabelRecord] = {}
    for record in (record for group in groups for record in group):
        other = held.get(record["source"])
        held[record["source"]] = record if other is None else max(record, other, key=_weight)
    return [held[source] for source in sorted(held)]


def resolve_labels(records: Iterable[LabelRecord]) -> LabelRecord | None:
    """The judgment that counts: by the order of kinds, then the latest, then the stricter; `None` without any."""
    return max((record for record in records if record["value"] is not None), key=_weight, default=None)


def resolve_without(records: Iterable[LabelRecord], kinds: Collection[str]) -> LabelRecord | None:
    """The judgment that counts where nobody listens to these kinds of sources."""
    return resolve_labels(record for record in records if label_kind(record["source"]) not in kinds)


def in_conflict(records: Iterable[LabelRecord]) -> bool:
    """Whether two sources say opposite things. A weak one contradicts nobody: it is not a judgment."""
    said = {record["value"] for record in records if label_kind(record["source"]) not in WEAK_KINDS}
    return said >= {"correct", "incorrect"}


def read_label(value: Any) -> Label | None:
    """A cell that says true, false, 1, 0, correct, incorrect, yes or no; any other says nothing."""
    return None if is_missing(value) else _WORDS.get(str(value).strip().casefold())


def is_source(source: str) -> bool:
    """Whether the kind of a label source is known."""
    return label_kind(source) in LABEL_ORDER


def check_source(source: str) -> str:
    """The source of a label, if its kind is known.

    Raises:
        ConfigError: it is not.
    """
    if not is_source(source):
        raise ConfigError(
            f"a label's source is one of {', '.join(LABEL_ORDER)}, with a name after a colon if need be, got {source!r}"
        )
    return source


def _weight(record: LabelRecord) -> tuple[int, str, int, str]:
    kind = label_kind(record["source"])
    rank = LABEL_ORDER.index(kind) if kind in LABEL_ORDER else len(LABEL_ORDER)
    return (-rank, record["at"] or "", _STRICTNESS[record["value"]], record["source"])


@dataclass(frozen=True, kw_only=True)
class Labeler:
    """Judges attempts as they are harvested. One without an answer has no label, whatever anybody says of it."""

    grader: Grader
    ignored: tuple[str, ...] = ()
    """Sources of labels that count for nothing; `*` stands for anything: `feedback:toxicity`, `judge:*`."""
    targets: Targets | None = None
    """Known answers, for attempts whose log does not hold theirs."""
    environment: Environment | None = None
    """The user's own word on a run; see `drr_agent.training.labels.environment`."""

    def target(self, sample_id: str | None, question: str, own: str | None) -> str | None:
        """The target of a question: its log's own, else the one that is joined."""
        if own is not None or self.targets is None:
            return own
        return self.targets.target_for(sample_id, question_key(question))

    def heeds(self, source: str) -> bool:
        """Whether what a source says counts; `judge:*` is also a `judge` without a name."""
        named = source if ":" in source else f"{source}:"
        return not any(fnmatchcase(name, pattern) for pattern in self.ignored for name in (source, named))

    def by_environment(self, run: Run) -> list[RunLabel]:
        """What the environment says of a run and its attempts.

        Raises:
            DataError: the environment raised an error, or said what is no verdict.
        """
        return [] if self.environment is None else ask_environment(self.environment, run)

    def by_target(self, answer: str | None, target: str | None, *, at: str | None = None) -> list[LabelRecord]:
        """Grade the answer; without an answer or a target there is no label."""
        label = self.grader.grade(answer, target)
        return [] if label is None else [LabelRecord(value=label, source=f"grader:{self.grader.name}", at=at)]

    def by_column(self, answer: str | None, value: Any, column: str, *, at: str | None = None) -> list[LabelRecord]:
        """What a cell says."""
        label = None if answer is None else read_label(value)
        return [] if label is None else [LabelRecord(value=label, source=f"column:{column}", at=at)]
