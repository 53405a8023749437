"""A dataset: a folder of four Parquet files, one a split, and the manifest that counts them.

Each Parquet file is named by its content, and the manifest names the files: replacing the manifest is the one step
that turns an old dataset into a new one, so a killed write leaves the old one whole.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from drr_agent.errors import ConfigError, DataError
from drr_agent.lines import hold
from drr_agent.training.behaviors import SPLITS, Behavior, Split, assign_split, merge_behaviors
from drr_agent.training.harvest import Drop, merge_rejects
from drr_agent.training.manifest import DATASET_SCHEMA, FileRecord, Manifest, SourceRecord, describe, merge_records
from drr_agent.training.parquet import decode_behaviors, encode_behaviors

MANIFEST = "manifest.json"
REJECTS = "rejects.jsonl"
DEFAULT_FRACTIONS: Mapping[Split, float] = {"train": 0.6, "validation": 0.15, "calibration": 0.15, "test": 0.1}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled attempts on disk, split by question. Rows are read when asked for, and checked against the manifest."""

    path: Path
    manifest: Manifest
    added: int = 0
    """Rows that were new to the folder, for the dataset that `write_dataset` returns."""

    @property
    def digest(self) -> str:
        """Twelve hex digits over every row's id, label and split."""
        return self.manifest.digest

    def rows(self, split: Split) -> list[Behavior]:
        """A split's rows, ordered by question, run and turn.

        Raises:
            DataError: the file is gone, or is not the one that the manifest names.
        """
        record = self.manifest.files[split]
        file = self.path / record.name
        content = file.read_bytes() if file.is_file() else None
        if content is None or hashlib.sha256(content).hexdigest() != record.sha256:
            raise DataError(
                f"expected {str(file)!r} with SHA-256 {record.sha256[:12]}…, got "
                f"{'no such file' if content is None else 'other content'}; the dataset is damaged or was written "
                "anew: load it again, or harvest it into a new folder"
            )
        return decode_behaviors(content)

    def labelled(self, split: Split) -> list[Behavior]:
        """A split's rows with an answer and a label: what trains and what is measured."""
        return [row for row in self.rows(split) if row["answer"] is not None and row["label"] is not None]

    def all(self) -> list[Behavior]:
        """Every row, split by split."""
        return [row for split in SPLITS for row in self.rows(split)]

    def verify(self) -> None:
        """Derive hashes, splits, counts and digest anew from the files.

        Raises:
            DataError: something is not what the manifest says.
        """
        held = self.manifest
        rows = {split: self.rows(split) for split in SPLITS}
        astray = [
            row["id"] for s in SPLITS for row in rows[s] if assign_split(row["question_key"], held.fractions) != s
        ]
        if astray:
            raise DataError(
                f"expected every row in its question's split, got {astray[:3]!r} elsewhere; harvest it anew"
            )
        derived = describe(rows, files=held.files, fractions=held.fractions, sources=held.sources)
        for name in Manifest.model_fields:
            said, found = getattr(held, name), getattr(derived, name)
            if said != found:
                raise DataError(
                    f"expected `{name}` of {str(self.path)!r} to be {said!r}, got {found!r}; harvest it anew"
                )


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


def write_dataset(
    behaviors: Iterable[Behavior],
    out: Path,
    *,
    fractions: Mapping[Split, float] | None = None,
    sources: Iterable[SourceRecord] = (),
    drops: Iterable[Drop] = (),
) -> Dataset:
    """Write behaviors as a dataset, or add them to the one at `out`: whole or not at all, and twice is once.

    The same behaviors give the same rows, files and digest, in whatever order and in however many harvests they come.
    A row that is there already keeps its place; a new label for it wins over the old one, and no label never does.

    Args:
        behaviors: unique by id, or equal where they are not.
        out: a new or empty folder, or a dataset.
        fractions: the share of questions in each split, which must sum to 1; by default those of the dataset at `out`,
            else `DEFAULT_FRACTIONS`.
        sources: where the behaviors come from.
        drops: what was left out; added to `rejects.jsonl`.

    Raises:
        ConfigError: fractions that cannot be, or other ones than the dataset at `out` was split by.
        DataError: no behaviors, a folder that is something else or that another harvest writes, or a damaged dataset.
    """
    with hold(Path(out).resolve(), by="another harvest"):  # a merge with rows that change meanwhile would lose some
        return _write(behaviors, Path(out), fractions=fractions, sources=tuple(sources), drops=drops)


def _write(
    behaviors: Iterable[Behavior],
    out: Path,
    *,
    fractions: Mapping[Split, float] | None,
    sources: tuple[SourceRecord, ...],
    drops: Iterable[Drop],
) -> Dataset:
    old = _existing(out)
    shares = _fractions(fractions, old)
    merged = merge_behaviors([] if old is None else old.all(), behaviors)
    if not merged:
        raise DataError(f"expected behaviors to write to {str(out)!r}, got none; see what was dropped, and why")
    placed: dict[Split, list[Behavior]] = {split: [] for split in SPLITS}
    for row in merged:
        placed[assign_split(row["question_key"], shares)].append(row)
    contents = {split: encode_behaviors(placed[split]) for split in SPLITS}
    files = {split: FileRecord.of(split, content) for split, content in contents.items()}
    records = merge_records(() if old is None else old.manifest.sources, sources)
    manifest = describe(placed, files=files, fractions=shares, sources=records)
    _commit(
        out,
        {
            **{files[split].name: contents[split] for split in SPLITS},
            REJECTS: merge_rejects(out / REJECTS, sources, drops),
            MANIFEST: manifest.model_dump_json(indent=2).encode() + b"\n",
        },
        stale=() if old is None else tuple(record.name for record in old.manifest.files.values()),
    )
    before = 0 if old is None else old.manifest.count
    return Dataset(path=out, manifest=manifest, added=manifest.count - before)


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


def _existing(out: Path) -> Dataset | None:
    """The dataset at `out`, if there is one; anything else there is not ours to write over."""
    if (out / MANIFEST).is_file():
        return load_dataset(out)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise DataError(f"expected a dataset or an empty place at {str(out)!r}, found other files; name another folder")
    return None


def _fractions(fractions: Mapping[Split, float] | None, old: Dataset | None) -> dict[Split, float]:
    held = None if old is None else old.manifest.fractions
    if fractions is None:
        return dict(DEFAULT_FRACTIONS) if held is None else held
    shares = {split: float(fractions.get(split, 0.0)) for split in SPLITS}
    possible = min(shares.values()) >= 0 and abs(sum(shares.values()) - 1) <= 1e-9
    if set(fractions) - set(SPLITS) or not possible:
        raise ConfigError(f"`fractions` must give shares of {', '.join(SPLITS)} that sum to 1, got {dict(fractions)!r}")
    if held is not None and shares != held:
        raise ConfigError(
            f"the dataset was split by {held!r}, got {shares!r}; leave `fractions` out or name a new folder"
        )
    return shares


def _commit(out: Path, files: Mapping[str, bytes], *, stale: Iterable[str]) -> None:
    """Write the files, the manifest last; a new folder appears whole. The caller holds the folder."""
    _clear(out)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        staged = Path(temporary) / "dataset"
        staged.mkdir()
        for name, content in files.items():
            with (staged / name).open("wb") as stream:
                stream.write(content)
                os.fsync(stream.fileno())
        if (out / MANIFEST).is_file():
            for name in files:
                (staged / name).replace(out / name)
        else:
            staged.replace(out)
    for name in set(stale) - files.keys():
        (out / name).unlink(missing_ok=True)


def _clear(out: Path) -> None:
    """Remove what killed commits left beside the folder."""
    name = re.compile(rf"\.{re.escape(out.name)}-[a-z0-9_]{{8}}")
    for folder in out.parent.iterdir():
        if name.fullmatch(folder.name) and {file.name for file in folder.iterdir()} <= {"dataset"}:
            shutil.rmtree(folder, ignore_errors=True)
