"""Datasets out of datasets: several as one, or a part of one; always in a new folder, whole or not at all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from drr_agent.errors import ConfigError, DataError
from drr_agent.training.behaviors import Behavior
from drr_agent.training.dataset.folder import MANIFEST, REJECTS, Dataset, load_dataset, said
from drr_agent.training.dataset.manifest import SourceRecord, hash_file
from drr_agent.training.dataset.rejects import Harvested, read_rejects
from drr_agent.training.dataset.writer import DatasetWriter, edit_dataset
from drr_agent.training.filters import RowFilter, parse_filters
from drr_agent.training.labels import LABEL_ORDER, label_kind

DROP_COPIES = "drop copies"
"""How the record of a filtered dataset says it."""


def merge_datasets(paths: Iterable[Path], out: Path) -> Dataset:
    """Write several datasets as one. Which comes first makes no difference: the same rows, records and files come out.

    A row that several have is one row, with what each knows of it and everybody's labels. The records of all sources
    stay, with their rejects. Labels that stand in a `labels.jsonl` and were never merged are not taken along.

    Args:
        paths: the datasets; they must be split, redacted and captured alike.
        out: a new or empty folder.

    Raises:
        ConfigError: no dataset is named, or `out` is one of them.
        DataError: one of them is none or is damaged; they are not alike; or something is at `out`.
    """
    named = list({Path(path).resolve(): Path(path) for path in paths}.values())
    if not named:
        raise ConfigError("expected datasets to merge, got none; name at least one folder")
    _require_new(Path(out), named)
    datasets = sorted(map(load_dataset, named), key=lambda dataset: (dataset.digest, str(dataset.path.resolve())))
    _require_alike(datasets)
    records = _records(datasets)
    with _editing(Path(out), like=datasets[0]) as writer:
        for dataset in datasets:
            for row in dataset.iter_rows():
                writer.staging.add(row)
        return writer.commit([record for record, _ in records.values()], rejects=_rejects(datasets, records))


def filter_dataset(path: Path, out: Path, *, where: Iterable[str] = (), drop_copies: bool = False) -> Dataset:
    """Write a part of a dataset as a dataset of its own; each row stays in its split.

    Its one source is the dataset, with what that came from itself; what harvests left out is named there, not here.

    Args:
        path: the dataset.
        out: a new or empty folder.
        where: filters such as `turn=1` or `label!=` on the fields of a `Behavior`; all must hold.
        drop_copies: of attempts that say exactly the same, whether to keep one alone: of those that `where` leaves,
            the one whose label counts most, else the first.

    Raises:
        ConfigError: nothing to filter by, a filter of another form or on no field, or an `out` that is `path`.
        DataError: there is no dataset at `path`, or a damaged one; no row is left; or something is at `out`.
    """
    filters = parse_filters(where)
    _check_filters(filters, drop_copies=drop_copies)
    _require_new(Path(out), [Path(path)])
    dataset = load_dataset(path)
    part = _Part(filters=filters, drop_copies=drop_copies)
    sha256 = hash_file(dataset.path / MANIFEST)
    with _editing(Path(out), like=dataset) as writer:
        for row in part.of(dataset.iter_rows()):
            writer.staging.add(row)
        if not part.kept:
            raise DataError(
                f"expected rows of {str(dataset.path)!r} with {', '.join(part.conditions)}, got none of {part.read}; "
                "loosen the filters"
            )
        return writer.commit([part.record(dataset, sha256)])


@dataclass(kw_only=True)
class _Part:
    """Chooses rows, and counts them."""

    filters: tuple[RowFilter, ...]
    drop_copies: bool
    read: int = 0
    kept: int = 0
    unlabeled: Counter[str] = field(default_factory=Counter)

    @property
    def conditions(self) -> tuple[str, ...]:
        return (*map(str, self.filters), *((DROP_COPIES,) if self.drop_copies else ()))

    def of(self, rows: Iterable[Behavior]) -> Iterator[Behavior]:
        """The rows that are chosen; one question is in memory at a time."""
        for _, question in groupby(rows, key=itemgetter("question_key")):
            for row in self._distinct(list(self._matching(question))):
                self.kept += 1
                if row["label"] is None:
                    self.unlabeled["no answer" if row["answer"] is None else "no label"] += 1
                yield row

    def record(self, dataset: Dataset, sha256: str) -> SourceRecord:
        return SourceRecord(
            location=str(dataset.path),
            sha256=sha256,
            kind="dataset",
            grader="none",
            mapping={},
            where=self.conditions,
            read=self.read,
            filtered=self.read - self.kept,
            kept=self.kept,
            dropped={},
            unlabeled=dict(self.unlabeled),
            sources=dataset.manifest.sources,
        )

    def _matching(self, rows: Iterable[Behavior]) -> Iterator[Behavior]:
        for row in rows:
            self.read += 1
            if all(row_filter.matches(row) for row_filter in self.filters):
                yield row

    def _distinct(self, rows: Sequence[Behavior]) -> Sequence[Behavior]:
        if not self.drop_copies:
            return rows
        best: dict[tuple[str, str, str | None], Behavior] = {}
        for row in sorted(rows, key=_trust):  # stable: of equal labels the first row stays
            best.setdefault(said(row), row)
        return [row for row in rows if best[said(row)] is row]


def _trust(row: Behavior) -> int:
    """How much a row's label counts; less is more, and none counts least."""
    kind = label_kind(row["label_source"] or "")
    return LABEL_ORDER.index(kind) if kind in LABEL_ORDER else len(LABEL_ORDER)


_Records = dict[Harvested, tuple[SourceRecord, int]]
"""The record of each harvest, and the place of the dataset that it is taken from."""


def _records(datasets: Sequence[Dataset]) -> _Records:
    """Every record once. Of one harvest that several datasets tell of, what the first says of it stays."""
    records: _Records = {}
    for place, dataset in enumerate(datasets):
        for record in dataset.manifest.sources:
            records.setdefault(Harvested.by(record), (record, place))
    return records


def _rejects(datasets: Sequence[Dataset], records: _Records) -> Iterator[dict[str, Any]]:
    """The lines that the chosen records count, and those that no record counts."""
    for place, dataset in enumerate(datasets):
        for line in read_rejects(dataset.path / REJECTS):
            by = Harvested.of(line)
            if not by.harvest or (by in records and records[by][1] == place):
                yield line


@contextmanager
def _editing(out: Path, *, like: Dataset) -> Iterator[DatasetWriter]:
    """A writer of a new dataset that is split, redacted and captured as another."""
    with edit_dataset(out, fractions=like.manifest.fractions) as writer:
        yield replace(writer, redaction=like.manifest.redaction, capture=like.manifest.capture)


def _require_new(out: Path, inputs: Sequence[Path]) -> None:
    if out.resolve() in {path.resolve() for path in inputs}:
        raise ConfigError(
            f"expected another folder to write than those that are read, got {str(out)!r}; name a new one"
        )
    if (out / MANIFEST).exists():
        raise DataError(f"expected a new or empty folder at {str(out)!r}, found a dataset; name another, or remove it")


def _require_alike(datasets: Sequence[Dataset]) -> None:
    first = datasets[0]
    for name in ("fractions", "redaction", "capture"):
        for other in datasets[1:]:
            one, two = getattr(first.manifest, name), getattr(other.manifest, name)
            if one != two:
                raise DataError(
                    f"expected datasets with the same {name}, got {one!r} in {str(first.path)!r} and {two!r} in "
                    f"{str(other.path)!r}; harvest one of them anew with the settings of the other"
                )


def _check_filters(filters: Sequence[RowFilter], *, drop_copies: bool) -> None:
    if not filters and not drop_copies:
        raise ConfigError("expected filters such as turn=1, or that copies are to go, got neither; name one")
    for row_filter in filters:
        if row_filter.column not in Behavior.__annotations__:
            raise ConfigError(
                f"expected a filter on a field of a behavior, got {row_filter.column!r}; the fields are "
                f"{', '.join(Behavior.__annotations__)}"
            )
