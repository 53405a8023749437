"""`manifest.json`: what a dataset holds, and where it came from."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drr_agent.training.behaviors import Split
from drr_agent.training.redaction import Capture

DATASET_SCHEMA: Literal[2] = 2


class SourceRecord(BaseModel):
    """What one source gave. Its sums always hold: read = filtered + kept + dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: str
    """As the caller gave it, without passwords."""
    sha256: str
    """Of a file's bytes, as they were harvested; of a store that is no file, of what was read from it, in order."""
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
    sources: tuple["SourceRecord", ...] = ()
    """Of a dataset that was filtered: what its own rows came from."""

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
        """Twelve hex digits of what was read and how: a later harvest of the same replaces this one.

        Two records of a merged dataset may share it: those of one place that was harvested at two times, or of two
        places by one relative path. Their `sha256` tells them apart.
        """
        identity = self.model_dump_json(include={"location", "kind", "grader", "mapping", "where"})
        return hashlib.sha256(identity.encode()).hexdigest()[:12]


class FileRecord(BaseModel):
    """A split's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z]+-[0-9a-f]{12}\.parquet$")
    sha256: str

    @classmethod
    def of(cls, split: Split, file: Path) -> Self:
        """The record of a file, which gives it the name of its content."""
        sha256 = hash_file(file)
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

    schema_version: Literal[2] = DATASET_SCHEMA
    digest: str
    """Twelve hex digits over every row's id, texts, label and split."""
    fractions: dict[Split, float]
    capture: Capture
    redaction: str
    """What was replaced in every text before it was written."""
    files: dict[Split, FileRecord]
    splits: dict[Split, SplitCounts]
    turns: dict[int, SplitCounts]
    """Rows by their turn, over all splits."""
    label_sources: dict[str, int]
    """Rows by what made the label that counts; `none` has no label."""
    conflicts: int
    """Rows of which two sources say opposite things."""
    weak: int
    """Rows whose label is weak: agreement of attempts, which nobody judged. They train only when asked to."""
    copies: int
    """Rows that say exactly what another attempt of the same Reasoner at the same question says."""
    origins: dict[str, int]
    verdicts: dict[str, int]
    """Rows by the verdict they got when they were made. One accepted, stopped or sent to review ended its run."""
    reasoners: dict[str, int]
    prompts: dict[str, int]
    datasets: dict[str, int]
    sources: tuple[SourceRecord, ...]

    @property
    def count(self) -> int:
        """Rows in all splits."""
        return sum(split.rows for split in self.splits.values())


def merge_records(old: Iterable[SourceRecord], new: Iterable[SourceRecord]) -> tuple[SourceRecord, ...]:
    """The records after another harvest: the same place, read the same way again, replaces what it gave before."""
    new = tuple(new)
    renewed = {record.key for record in new}
    records = (*(record for record in old if record.key not in renewed), *new)
    return tuple(sorted(records, key=lambda record: (record.location, record.key, record.sha256)))


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
