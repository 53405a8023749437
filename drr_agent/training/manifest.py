"""`manifest.json`: what a dataset holds, and where it came from."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drr_agent.training.behaviors import SPLITS, Behavior, Split

DATASET_SCHEMA = 1


class SourceRecord(BaseModel):
    """What one source gave. Its sums always hold: read = filtered + kept + dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """As the caller gave it."""
    sha256: str
    """Of the file's bytes, as they were harvested."""
    kind: str
    grader: str
    mapping: dict[str, str]
    """Role to column, for a table."""
    where: tuple[str, ...]
    read: int
    filtered: int
    kept: int
    dropped: dict[str, int]
    """Attempts by the reason they were left out; each is named in `rejects.jsonl`."""
    unlabeled: dict[str, int]
    """Kept attempts without a label, by reason."""

    @model_validator(mode="after")
    def _check_sums(self) -> Self:
        dropped = sum(self.dropped.values())
        if self.read != self.filtered + self.kept + dropped:
            raise ValueError(
                f"{self.read} attempts read, but {self.filtered} filtered, {self.kept} kept, {dropped} dropped"
            )
        return self

    @property
    def key(self) -> str:
        """Twelve hex digits of what was read and how: a later harvest of the same replaces this one."""
        identity = self.model_dump_json(include={"path", "kind", "grader", "mapping", "where"})
        return hashlib.sha256(identity.encode()).hexdigest()[:12]


class FileRecord(BaseModel):
    """A split's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z]+-[0-9a-f]{12}\.parquet$")
    sha256: str

    @classmethod
    def of(cls, split: Split, content: bytes) -> Self:
        """The record of a file that is named by its content."""
        sha256 = hashlib.sha256(content).hexdigest()
        return cls(name=f"{split}-{sha256[:12]}.parquet", sha256=sha256)


class SplitCounts(BaseModel):
    """What is in one split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    questions: int
    correct: int
    incorrect: int
    unlabeled: int

    @property
    def balance(self) -> float | None:
        """The share of labelled rows that are right; `None` without labels."""
        labelled = self.correct + self.incorrect
        return self.correct / labelled if labelled else None


class Manifest(BaseModel):
    """The whole dataset, counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    digest: str
    """Twelve hex digits over every row's id, label and split."""
    fractions: dict[Split, float]
    files: dict[Split, FileRecord]
    splits: dict[Split, SplitCounts]
    label_sources: dict[str, int]
    origins: dict[str, int]
    reasoners: dict[str, int]
    datasets: dict[str, int]
    sources: tuple[SourceRecord, ...]

    @property
    def count(self) -> int:
        """Rows in all splits."""
        return sum(split.rows for split in self.splits.values())


def describe(
    rows: Mapping[Split, Sequence[Behavior]],
    *,
    files: dict[Split, FileRecord],
    fractions: dict[Split, float],
    sources: tuple[SourceRecord, ...],
) -> Manifest:
    """The manifest of rows that are split and written."""
    every = [row for split in SPLITS for row in rows[split]]
    return Manifest(
        digest=_digest(rows),
        fractions=fractions,
        files=files,
        splits={split: _count(rows[split]) for split in SPLITS},
        label_sources=_values(row["label_source"] for row in every),
        origins=_values(row["origin"] for row in every),
        reasoners=_values(row["reasoner"] for row in every),
        datasets=_values(row["dataset"] for row in every),
        sources=sources,
    )


def merge_records(old: Iterable[SourceRecord], new: Iterable[SourceRecord]) -> tuple[SourceRecord, ...]:
    """One record a harvest: the same path, read the same way again, replaces the one before."""
    records = {record.key: record for record in (*old, *new)}
    return tuple(sorted(records.values(), key=lambda record: (record.path, record.key)))


def _digest(rows: Mapping[Split, Sequence[Behavior]]) -> str:
    lines = (json.dumps([row["id"], row["label"], split]) for split in SPLITS for row in rows[split])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _count(rows: Sequence[Behavior]) -> SplitCounts:
    labels = Counter(row["label"] for row in rows)
    return SplitCounts(
        rows=len(rows),
        questions=len({row["question_key"] for row in rows}),
        correct=labels["correct"],
        incorrect=labels["incorrect"],
        unlabeled=labels[None],
    )


def _values(values: Iterable[str | None]) -> dict[str, int]:
    """How often each value stands there; a missing one counts as `none`."""
    return dict(sorted(Counter("none" if value is None else value for value in values).items()))
