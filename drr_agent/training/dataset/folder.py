"""A dataset: a folder of four Parquet files, one a split, and the manifest that counts them.

Each Parquet file is named by its content, and the manifest names the files: replacing the manifest is the one step
that turns an old dataset into a new one, so a killed write leaves the old one whole. `writer` writes it.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pydantic import ValidationError

from drr_agent.errors import DataError
from drr_agent.questions import question_key
from drr_agent.training.behaviors import SPLITS, Behavior, Split, assign_split, is_labelled, judged
from drr_agent.training.dataset.census import Census
from drr_agent.training.dataset.manifest import DATASET_SCHEMA, Manifest, hash_file
from drr_agent.training.dataset.parquet import read_behaviors
from drr_agent.training.dataset.rejects import check_rejects
from drr_agent.training.redaction import DIGEST_MARK

MANIFEST = "manifest.json"
REJECTS = "rejects.jsonl"
PENDING = ".pending"
"""Holds the files of a write that was killed while it put them in place; the next write does that first."""
CARD = "README.md"
DEFAULT_FRACTIONS: Mapping[Split, float] = {"train": 0.6, "validation": 0.15, "calibration": 0.15, "test": 0.1}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled attempts on disk, split by question. Rows are read when asked for, and checked against the manifest."""

    path: Path
    manifest: Manifest
    added: int = 0
    """Rows that were new to the folder, for a dataset that was just written."""

    @property
    def digest(self) -> str:
        """Twelve hex digits over every row's id, texts, label and split."""
        return self.manifest.digest

    def iter_rows(self, *splits: Split) -> Iterator[Behavior]:
        """The rows of some splits, or of all, ordered by question, run and turn; a few thousand in memory at a time.

        Raises:
            DataError: a file is gone, or is not the one that the manifest names.
        """
        for split in splits or SPLITS:
            yield from read_behaviors(self._checked_file(split))

    def rows(self, split: Split) -> list[Behavior]:
        """A split's rows, ordered by question, run and turn.

        Raises:
            DataError: the file is gone, or is not the one that the manifest names.
        """
        return list(self.iter_rows(split))

    def labelled(self, split: Split, *, weak: bool = False) -> list[Behavior]:
        """A split's rows with an answer and a label: what trains and what is measured.

        Args:
            split: which.
            weak: whether labels that are only the agreement of attempts count.
        """
        return [row for row in self.iter_rows(split) if is_labelled(row, weak=weak)]

    def all(self) -> list[Behavior]:
        """Every row, split by split."""
        return list(self.iter_rows())

    def require_texts(self, *, instead: str = "") -> None:
        """Refuse to read texts where there are none.

        Args:
            instead: what else can be done, for the error.

        Raises:
            DataError: the dataset holds hashes in their place.
        """
        if self.manifest.capture != "full":
            raise DataError(
                f"expected texts in {str(self.path)!r}, got hashes of them (captured as {self.manifest.capture!r}); "
                f"{instead}harvest the sources into a new folder with `--capture full`"
            )

    def verify(self) -> None:
        """Derive hashes, question keys, splits, labels, copies, counts and digest anew from the files.

        The rejects must be those that the records of the sources count, and the card must tell of these very files.

        Raises:
            DataError: something is not what the manifest says.
        """
        census = Census()
        for split in SPLITS:
            for _, question in groupby(self.iter_rows(split), key=itemgetter("question_key")):
                rows = list(question)
                self._verify_rows(split, rows)
                for row in rows:
                    census.add(split, row)
        for name, found in census.findings().items():
            claimed = getattr(self.manifest, name)
            if claimed != found:
                raise DataError(
                    f"expected `{name}` of {str(self.path)!r} to be {claimed!r}, got {found!r}; harvest it anew"
                )
        if not (self.path / PENDING).is_dir():  # else they may be those of the dataset that is to come
            check_rejects(self.path / REJECTS, self.manifest.sources)
            self._verify_card()

    def _verify_card(self) -> None:
        """Whatever else people write into it: what it says of these files must be of these files."""
        card = self.path / CARD
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        told = (self.digest, *(record.name for record in self.manifest.files.values()))
        missing = [name for name in told if name not in text]
        if missing:
            raise DataError(
                f"expected {str(card)!r} to tell of {missing[0]!r}, got {'another' if text else 'no'} card; the file "
                "was changed: any harvest into the dataset writes it anew"
            )

    def _verify_rows(self, split: Split, rows: Sequence[Behavior]) -> None:
        copies = Counter(map(said, rows))
        for row in rows:
            if assign_split(row["question_key"], self.manifest.fractions) != split:
                raise DataError(
                    f"expected every row in its question's split, got {row['id']!r} in {split}; harvest it anew"
                )
            found = {
                "question_key": _key_of(row["question"]),
                **judged(row["labels"]),
                "copies": copies[said(row)],
            }
            wrong = [name for name, value in found.items() if row.get(name) != value]
            if wrong:
                raise DataError(
                    f"expected `{wrong[0]}` of row {row['id']!r} to be {found[wrong[0]]!r}, got "
                    f"{row.get(wrong[0])!r}; harvest it anew"
                )

    def _checked_file(self, split: Split) -> Path:
        record = self.manifest.files[split]
        file = self.path / record.name
        if not file.is_file() or hash_file(file) != record.sha256:
            raise DataError(
                f"expected {str(file)!r} with SHA-256 {record.sha256[:12]}…, got "
                f"{'other content' if file.is_file() else 'no such file'}; the dataset is damaged or was written "
                "anew: load it again, or harvest it into a new folder"
            )
        return file


def load_dataset(path: Path) -> Dataset:
    """Open a dataset.

    Raises:
        DataError: there is none at `path`, or one of another schema.
    """
    path = Path(path)
    file = path / MANIFEST
    if not file.is_file():
        found = "no such folder" if not path.exists() else f"no {MANIFEST} in it"
        raise DataError(f"expected a dataset folder at {str(path)!r}, found {found}; make one with `drr harvest`")
    try:
        raw = json.loads(file.read_bytes())
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != DATASET_SCHEMA:
            raise DataError(
                f"expected a dataset of schema {DATASET_SCHEMA} at {str(path)!r}, got {version!r}; "
                "harvest its sources anew with this version"
            )
        return Dataset(path=path, manifest=Manifest.model_validate(raw))
    except (ValidationError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"expected a whole manifest at {str(file)!r}, got {error}; harvest it anew") from error


def require_both_classes(rows: Sequence[Behavior], *, what: str = "the dataset") -> None:
    """Refuse to learn from one class.

    Raises:
        DataError: no row is labelled correct, or none incorrect.
    """
    correct = sum(row["label"] == "correct" for row in rows)
    incorrect = sum(row["label"] == "incorrect" for row in rows)
    if not correct or not incorrect:
        raise DataError(
            f"expected both right and wrong attempts in {what}, got {correct} correct and {incorrect} incorrect of "
            f"{len(rows)} rows; harvest more questions, or check the grader and the targets"
        )


def said(row: Behavior) -> tuple[str, str, str | None]:
    """What two attempts at one question have in common when one is a copy of the other."""
    return row["reasoner"], row["rationale"], row["answer"]


def _key_of(question: str) -> str:
    """The key of a question as it was written: a hash in its place is the key."""
    return question.removeprefix(DIGEST_MARK) if question.startswith(DIGEST_MARK) else question_key(question)
