"""Whole datasets labelled by a machine, each source beside its agreement with the labels that exist."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drr_agent.grading import AUTO, Grader
from drr_agent.state import Label
from drr_agent.training.behaviors import Split
from drr_agent.training.dataset import Dataset, load_dataset
from drr_agent.training.dataset.writer import add_labels
from drr_agent.training.labels import LabelRecord
from drr_agent.training.labels.agreement import SOURCE, weak_labels
from drr_agent.training.labels.book import merge_label_log
from drr_agent.training.labels.judge import Judge
from drr_agent.training.labels.judging import JudgeResult, judge_rows
from drr_agent.training.labels.kappa import Kappa, judged_pairs, kappa
from drr_agent.training.labels.log import LABELS
from drr_agent.training.labels.queue import select_for_judge


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A dataset after a source has said its word."""

    dataset: Dataset
    source: str
    values: dict[str, int]
    """What it said this time: `correct`, `incorrect`, `none`."""
    kappa: Kappa
    """Its agreement with the labels that exist, models' opinions aside; over everything it ever said."""


def label_by_agreement(
    path: Path,
    *,
    splits: Iterable[Split] = (),
    grader: Grader = AUTO,
    min_votes: int = 3,
    min_share: float = 0.7,
) -> Labelled:
    """Give the attempts of a dataset weak labels; see `weak_labels`.

    Args:
        path: the dataset.
        splits: of these alone; by default of all.
        grader: as for `weak_labels`.
        min_votes: as for `weak_labels`.
        min_share: as for `weak_labels`.

    Raises:
        ConfigError: as `weak_labels`.
        DataError: there is no dataset at `path`, a harvest writes it, or it is damaged.
    """
    splits, values = tuple(splits), Counter[Label | None]()
    labels = weak_labels(
        load_dataset(path).iter_rows(*splits),
        grader=grader,
        min_votes=min_votes,
        min_share=min_share,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    dataset, _ = add_labels(path, _counted(labels, values))
    return _measured(dataset, SOURCE, splits, values)


def label_by_judge(
    path: Path,
    judge: Judge,
    *,
    splits: Iterable[Split] = (),
    check: int = 200,
    limit: int | None = None,
    concurrency: int = 16,
    progress: bool = True,
) -> tuple[Labelled, JudgeResult]:
    """Have an LLM judge the attempts of a dataset that nobody judged, and some that somebody did, to be compared.

    Its judgments are in the dataset's label log as they come, and merged at the end. Killed or interrupted, the same
    call goes on.

    Args:
        path: the dataset.
        judge: who judges.
        splits: of these alone; by default of all.
        check: the most attempts with a label; they come first.
        limit: the most attempts to ask about this time.
        concurrency: calls under way at once.
        progress: show a bar where there is a terminal.

    Raises:
        DataError: there is no dataset at `path`, a harvest or another judge writes it, or it is damaged.
        ReasonerError: too many calls in a row failed; what is judged stays.
    """
    splits, dataset = tuple(splits), load_dataset(path)
    dataset.require_texts()
    rows = select_for_judge(lambda: dataset.iter_rows(*splits), check=check)
    log = dataset.path / LABELS
    judged = judge_rows(rows, judge, log=log, limit=limit, concurrency=concurrency, progress=progress)
    values = Counter[Label | None]()
    for opinion, count in judged.opinions.items():
        values[opinion if opinion in ("correct", "incorrect") else None] += count
    return _measured(merge_label_log(path).dataset, judge.source, splits, values), judged


def _counted(
    labels: Iterable[tuple[str, LabelRecord]], values: Counter[Label | None]
) -> Iterator[tuple[str, LabelRecord]]:
    for row_id, label in labels:
        values[label["value"]] += 1
        yield row_id, label


def _measured(dataset: Dataset, source: str, splits: tuple[Split, ...], values: Counter[Label | None]) -> Labelled:
    return Labelled(
        dataset=dataset,
        source=source,
        values={"none" if value is None else value: count for value, count in values.items()},
        kappa=kappa(judged_pairs(dataset.iter_rows(*splits), source)),
    )
