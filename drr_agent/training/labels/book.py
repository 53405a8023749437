"""A label log by what it speaks of, and how it becomes part of its dataset."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from drr_agent.runs import Reject
from drr_agent.training.behaviors import Behavior
from drr_agent.training.dataset import Dataset, load_dataset
from drr_agent.training.dataset.writer import add_labels
from drr_agent.training.labels import LabelRecord, merge_labels
from drr_agent.training.labels.log import LABELS, LabelLine, read_labels


@dataclass(kw_only=True)
class LabelBook:
    """The lines of a log. Judgments are few beside the attempts, and small: they are held in memory."""

    by_id: dict[str, list[LabelRecord]] = field(default_factory=dict)
    by_run: dict[str, list[LabelLine]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    """Lines that cannot be read."""
    count: int = 0

    def add(self, line: LabelLine) -> None:
        """Take a line."""
        self.count += 1
        if line.id is not None:
            self.by_id.setdefault(line.id, []).append(line.record)
        elif line.run_id is not None:
            self.by_run.setdefault(line.run_id, []).append(line)

    def about(self, run: Sequence[Behavior]) -> Iterator[tuple[Behavior, list[LabelRecord]]]:
        """The attempts of a run that something is said of, each with what is said.

        Of an attempt without an answer nothing can be said, nor of a turn that the branches of a forked run share.
        """
        said: defaultdict[str, list[LabelRecord]] = defaultdict(list)
        for line in self.by_run.get(run[0]["run_id"], ()):
            meant = _meant(line.turn, run)
            if meant is not None:
                said[meant["id"]].append(line.record)
        for row in run:
            records = [*self.by_id.get(row["id"], ()), *said[row["id"]]]
            if records and row["answer"] is not None:
                yield row, records


def read_book(log: Path) -> LabelBook:
    """Read a log; one that does not exist says nothing.

    Raises:
        DataError: it is a folder, or a gzip that is cut off.
    """
    book = LabelBook()
    for line in read_labels(log, on_reject=book.rejects.append) if log.exists() else ():
        book.add(line)
    return book


@dataclass(frozen=True, kw_only=True)
class Merged:
    """A dataset with its label log in it."""

    dataset: Dataset
    added: int
    """Judgments that were news to the dataset."""
    unknown: int
    """Lines about attempts that it does not have, cannot tell apart, or has without an answer."""
    rejects: tuple[Reject, ...]
    """Lines that cannot be read."""


def merge_label_log(path: Path) -> Merged:
    """Make the label log of a dataset part of it. The log stays; merged again, it changes nothing.

    Raises:
        DataError: there is no dataset at `path`, a harvest writes it, or it is damaged.
    """
    dataset = load_dataset(path)
    book = read_book(dataset.path / LABELS)
    news: list[tuple[str, LabelRecord]] = []
    known = 0
    for row, records in _matches(dataset, book) if book.count else ():
        known += len(records)
        held = merge_labels(row["labels"])
        news += [(row["id"], record) for record in merge_labels(held, records) if record not in held]
    if news:
        dataset, _ = add_labels(path, news)
    return Merged(dataset=dataset, added=len(news), unknown=book.count - known, rejects=tuple(book.rejects))


def _matches(dataset: Dataset, book: LabelBook) -> Iterator[tuple[Behavior, list[LabelRecord]]]:
    for _, run in groupby(dataset.iter_rows(), key=lambda row: (row["question_key"], row["run_id"])):
        yield from book.about(list(run))


def _meant(turn: int | None, run: Sequence[Behavior]) -> Behavior | None:
    """The one attempt that a line means: that of its turn, else the accepted one, else the only one not explored."""
    if turn is not None:
        found = [row for row in run if row["turn"] == turn]
    else:
        found = [row for row in run if row["verdict"] == "accept"] or [r for r in run if r["origin"] != "explored"]
    return found[0] if len(found) == 1 else None
