"""Agreement of attempts as a weak label: what most independent attempts at a question answer is taken to be right.

It is no judgment: a Reasoner that is wrong in the same way each time agrees with itself. Rows labelled by it alone
train only when asked to, and never calibrate or measure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, groupby
from operator import itemgetter

from drr_agent.errors import ConfigError
from drr_agent.grading import AUTO, Grader
from drr_agent.redaction import MARK
from drr_agent.state import Label
from drr_agent.training.behaviors import Behavior
from drr_agent.training.labels import WEAK_KINDS, LabelRecord, label_kind

SOURCE = "agreement"
_INDEPENDENT = frozenset({"first", "fresh"})
"""How attempts were asked for that know nothing of each other; others repeat or shun what was rejected."""


def weak_labels(
    rows: Iterable[Behavior],
    *,
    grader: Grader = AUTO,
    min_votes: int = 3,
    min_share: float = 0.7,
    at: str | None = None,
) -> Iterator[tuple[str, LabelRecord]]:
    """A label for each answered attempt at the questions that are clear.

    Attempts of one Reasoner at one question, after the same conversation, vote on its answer: those that were asked
    independently. With the answer of the majority any attempt counts as correct, with another one as incorrect. Where
    the votes are not clear, a label that they were given before is taken back.

    Args:
        rows: those of a question together, as a dataset gives them.
        grader: answer equality.
        min_votes: the fewest votes that say something.
        min_share: the least share of them that the majority must have.
        at: the time of the labels; by default that of the latest vote. Labels take the place of earlier ones alone.

    Returns:
        A behavior's id and its label, each.

    Raises:
        ConfigError: `min_votes` is no whole number of at least 2, or `min_share` no share over one half.
    """
    if isinstance(min_votes, bool) or not isinstance(min_votes, int) or min_votes < 2:
        raise ConfigError(f"`min_votes` must be a whole number of at least 2, got {min_votes!r}")
    if not 0.5 < min_share <= 1:
        raise ConfigError(f"`min_share` must be over one half, and at most 1, got {min_share!r}")
    return _each_question(rows, _Ballot(grader=grader, min_votes=min_votes, min_share=min_share, at=at))


def share_of_weak(label_sources: Mapping[str, int]) -> float | None:
    """The share of labels that are weak.

    Args:
        label_sources: rows by the source of the label that counts, as in a dataset's manifest; `none` has no label.

    Returns:
        `None` where nothing is labelled.
    """
    labelled = {source: count for source, count in label_sources.items() if source != "none"}
    weak = sum(count for source, count in labelled.items() if label_kind(source) in WEAK_KINDS)
    return weak / sum(labelled.values()) if any(labelled.values()) else None


def _each_question(rows: Iterable[Behavior], ballot: "_Ballot") -> Iterator[tuple[str, LabelRecord]]:
    for _, question in groupby(rows, key=itemgetter("question_key")):
        voices: dict[tuple[str, str], list[Behavior]] = {}
        for row in question:
            if row["answer"] is not None and MARK not in row["answer"]:  # what was hidden may have differed
                voices.setdefault((row["reasoner"], row["context"]), []).append(row)
        for attempts in voices.values():
            yield from ballot.labels(attempts)


@dataclass(frozen=True, kw_only=True)
class _Ballot:
    """The rules of a vote."""

    grader: Grader
    min_votes: int
    min_share: float
    at: str | None

    def labels(self, attempts: Sequence[Behavior]) -> Iterator[tuple[str, LabelRecord]]:
        """What the vote says of answered attempts."""
        groups = self.grader.group([row["answer"] for row in attempts])
        voters = [row["feedback"] in _INDEPENDENT for row in attempts]
        majority = self._majority(Counter(compress(groups, voters)))
        times = [row["started_at"] for row in compress(attempts, voters) if row["started_at"]]
        at = max(times, default=None) if self.at is None else self.at
        for row, group in zip(attempts, groups, strict=True):
            held = any(record["source"] == SOURCE for record in row["labels"])
            if majority is not None or held:
                yield row["id"], {"value": _value(group, majority), "source": SOURCE, "at": at}

    def _majority(self, votes: Counter[int | None]) -> int | None:
        """The group that wins; `None` where the votes are few or divided."""
        if votes.total() < self.min_votes:
            return None
        ((winner, count),) = votes.most_common(1)
        return winner if count / votes.total() >= self.min_share else None


def _value(group: int | None, majority: int | None) -> Label | None:
    if majority is None:
        return None
    return "correct" if group == majority else "incorrect"
