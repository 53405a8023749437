"""Labelling by hand: which attempt to look at next, and what is said of it.

A human's minute teaches most where the loop is least sure: at a score near the threshold, and at a question of which
nothing is known yet. Such labels say little of the other attempts. To measure and to promise, questions are taken at
random: in the order of their keys, which are hashes, so that the same order goes on in every session, and
`drr_agent.training.sample` knows its beginning by the rows alone. Each answer is in the label log before the next
attempt is shown.
"""

import hashlib
import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.runs import pass_over
from drr_agent.state import Label
from drr_agent.training.behaviors import Behavior, to_request
from drr_agent.training.labels import MODEL_KINDS, resolve_without
from drr_agent.training.labels.log import LabelLine, append_label, read_labels
from drr_agent.training.spool import Spool

Scorer = Callable[[Sequence[Behavior]], Sequence[float | None]]
"""P(right) of some answered attempts, in order; `None` where nobody knows."""

_NEAR = 0.05
"""Distances from the threshold that differ by less are taken for equal."""
_NOWHERE = 9_999
"""The place of attempts without a score: after all others."""
UNDONE = "undone"
"""The note on a line that takes an answer back."""
_BATCH = 256
"""Attempts that are scored at once."""


class Candidate(NamedTuple):
    """An attempt that a human may judge."""

    row: Behavior
    """Without its signals and log probabilities, which nobody reads."""
    score: float | None


def logged_score(rows: Sequence[Behavior]) -> list[float | None]:
    """The scores that the attempts got when they were made."""
    return [row["score"] for row in rows]


def score_by(dm: DiscriminativeModel) -> Scorer:
    """The scores that a DM gives today."""
    return lambda rows: [score.score for score in dm.score([to_request(row) for row in rows])]


def is_judged(row: Behavior) -> bool:
    """Whether anybody but a model has said whether the attempt is right."""
    return resolve_without(row["labels"], MODEL_KINDS) is not None


def unscored(rows: Sequence[Behavior]) -> list[None]:
    """No scores, where nobody asks for any."""
    return [None] * len(rows)


class LabelQueue:
    """Attempts to be judged, in order; on disk, however many there are."""

    def __init__(
        self,
        rows: Iterable[Behavior],
        *,
        threshold: float | None,
        scorer: Scorer = unscored,
        done: Collection[str] = (),
    ) -> None:
        """Bring attempts into order: by the distance of their score from the threshold, or question by random question.

        Of attempts that are about equally far, those at questions with fewer labels come first. Attempts without a
        score come last. At random, all attempts at a question come together, as they were made.

        Args:
            rows: those of a question together. What has no answer, or is judged already, is left out.
            threshold: where the loop decides; `None`: at random.
            scorer: gives the scores.
            done: ids of attempts that are not to come again.
        """
        self.count = 0
        self._spool = Spool()
        with ExitStack() as failing:
            failing.callback(self._spool.close)
            for _, question in groupby(_scored(rows, scorer, done), key=lambda found: found[0]["question_key"]):
                if threshold is None:
                    self._take_together(list(question))
                else:
                    self._take(list(question), threshold)
            failing.pop_all()

    def __iter__(self) -> Iterator[Candidate]:
        """Every candidate, in order; one at a time in memory."""
        for _, records in self._spool.groups():
            for row, score in records:
                yield Candidate(row, score)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def _take(self, question: list[tuple[Behavior, bool, float | None]], threshold: float) -> None:
        known = sum(is_judged(row) for row, _, _ in question)
        wanted = [(row, score) for row, open_, score in question if open_]
        wanted.sort(key=lambda found: (_distance(found[1], threshold), found[0]["id"]))
        for place, (row, score) in enumerate(wanted, start=known):
            distance = _distance(score, threshold)
            bucket = _NOWHERE if score is None else int(distance / _NEAR)
            self._add(f"{bucket:04d} {place:06d} {distance:.6f} {row['id']}", row, score)

    def _take_together(self, question: list[tuple[Behavior, bool, float | None]]) -> None:
        for place, (row, open_, score) in enumerate(question):
            if open_:
                self._add(f"{row['question_key']} {place:06d}", row, score)

    def _add(self, key: str, row: Behavior, score: float | None) -> None:
        self._spool.add(key, "", (_shown(row), score))
        self.count += 1


def _scored(
    rows: Iterable[Behavior], scorer: Scorer, done: Collection[str]
) -> Iterator[tuple[Behavior, bool, float | None]]:
    """Every row, whether it is to be judged, and its score if it is."""
    waiting = iter(rows)
    while batch := list(islice(waiting, _BATCH)):
        is_open = [row["answer"] is not None and row["id"] not in done and not is_judged(row) for row in batch]
        wanted = [row for row, wants in zip(batch, is_open, strict=True) if wants]
        scores = iter(scorer(wanted) if wanted else ())
        for row, wants in zip(batch, is_open, strict=True):
            yield row, wants, next(scores) if wants else None


def _distance(score: float | None, threshold: float) -> float:
    return 2.0 if score is None else abs(score - threshold)


def _shown(row: Behavior) -> Behavior:
    return {**row, "signals": {}, "logprobs": None, "spans": None}


@dataclass(kw_only=True)
class Session:
    """One person's answers, on their way into a label log."""

    log: Path
    source: str
    """Such as `human:ann`."""
    labelled: int = 0
    skipped: int = 0
    _history: list[tuple[Candidate, Label | None]] = field(default_factory=list)
    _latest: datetime = field(default_factory=lambda: datetime.now(UTC))

    def say(self, candidate: Candidate, value: Label | None) -> None:
        """Write an answer down, durably; `None` is a skip.

        Raises:
            OSError: it cannot be written.
        """
        self._append(candidate, value)
        self._history.append((candidate, value))
        self._count(value, 1)

    def undo(self) -> Candidate | None:
        """Take the latest answer back, and give the attempt that it was about; `None` where there is none left."""
        if not self._history:
            return None
        candidate, value = self._history.pop()
        self._append(candidate, None, note=UNDONE)
        self._count(value, -1)
        return candidate

    def _append(self, candidate: Candidate, value: Label | None, *, note: str | None = None) -> None:
        line = LabelLine(id=candidate.row["id"], value=value, source=self.source, at=self._now(), note=note)
        append_label(self.log, line)

    def _now(self) -> str:
        """The time, later than that of any answer before: the latest one counts."""
        self._latest = max(datetime.now(UTC), self._latest + timedelta(milliseconds=1))
        return self._latest.isoformat()

    def _count(self, value: Label | None, change: int) -> None:
        if value is None:
            self.skipped += change
        else:
            self.labelled += change


def answered_by(log: Path, source: str) -> set[str]:
    """Ids of the attempts that a source has answered for or skipped, in a log; not those whose answer it took back."""
    answered: set[str] = set()
    for line in read_labels(log, on_reject=pass_over) if log.exists() else ():
        if line.source == source and line.id is not None:
            (answered.discard if line.note == UNDONE else answered.add)(line.id)
    return answered


def select_for_judge(rows: Callable[[], Iterable[Behavior]], *, check: int) -> Iterator[Behavior]:
    """Answered attempts for an LLM judge: some that are judged already, to check it by, then all that nobody judged.

    Args:
        rows: gives the rows anew at each call.
        check: how many of those that are judged; the same ones each time.
    """
    answered = (row for row in rows() if row["answer"] is not None and is_judged(row))
    yield from heapq.nsmallest(check, answered, key=lambda row: hashlib.sha256(row["id"].encode()).digest())
    yield from (row for row in rows() if row["answer"] is not None and not is_judged(row))
