"""Writing a dataset, or adding to one: whole or not at all, and twice is once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from drr_agent.errors import ConfigError, DataError
from drr_agent.lines import hold
from drr_agent.training.behaviors import SPLITS, Behavior, Split, assign_split
from drr_agent.training.dataset.card import dataset_card
from drr_agent.training.dataset.census import Census
from drr_agent.training.dataset.commit import finish, is_leftover, put_in_place, stage
from drr_agent.training.dataset.folder import CARD, DEFAULT_FRACTIONS, MANIFEST, REJECTS, Dataset, load_dataset
from drr_agent.training.dataset.manifest import FileRecord, Manifest, SourceRecord, merge_records
from drr_agent.training.dataset.parquet import BehaviorWriter
from drr_agent.training.dataset.rejects import write_rejects
from drr_agent.training.dataset.staging import Staging
from drr_agent.training.drops import Drop
from drr_agent.training.labels import LabelRecord
from drr_agent.training.redaction import Capture, Redaction


class NothingHarvestedError(DataError):
    """Not one attempt came in, so there is nothing to write."""


@dataclass(frozen=True, kw_only=True)
class DatasetWriter:
    """A dataset while it is written: rows are staged, and `commit` makes them the dataset."""

    path: Path
    held: Dataset | None
    """What is there already."""
    staging: Staging
    fractions: dict[Split, float]
    redaction: str
    capture: Capture
    progress: bool = False

    def commit(self, sources: Iterable[SourceRecord] = (), *, rejects: Iterable[Mapping[str, Any]] = ()) -> Dataset:
        """Write what is staged.

        Args:
            sources: what the rows of this harvest come from.
            rejects: lines of the `rejects.jsonl` of other datasets, beside what is staged.

        Raises:
            DataError: nothing is staged.
        """
        sources = tuple(sources)
        with stage(self.path) as staged:
            census, files = self._write_rows(staged)
            if not census.count:
                raise NothingHarvestedError(
                    f"expected behaviors to write to {str(self.path)!r}, got none{self._why_none()}; "
                    "check the sources, their columns and the filters"
                )
            write_rejects(
                staged / REJECTS,
                held=self.path / REJECTS,
                sources=sources,
                drops=self.staging.drops(),
                others=rejects,
            )
            manifest = self._manifest(census, files, sources)
            (staged / CARD).write_text(dataset_card(manifest), encoding="utf-8")
            (staged / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            put_in_place(staged, self.path)
        before = 0 if self.held is None else self.held.manifest.count
        return Dataset(path=self.path, manifest=manifest, added=manifest.count - before)

    def _why_none(self) -> str:
        """What became of all that was read, and of the first of it."""
        counts, first = Counter[str](), None
        for drop in self.staging.drops():
            counts[drop.reason] += 1
            first = drop if first is None else first
        if first is None:
            return ": the sources hold no attempt, or the filters let none through"
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        return f", but {reasons}, the first in {first.source!r}, {first.place}: {first.detail[:200] or first.reason}"

    def _write_rows(self, folder: Path) -> tuple[Census, dict[Split, FileRecord]]:
        census, files = Census(), {}
        with ExitStack() as stack:
            writers = {split: stack.enter_context(BehaviorWriter(folder / split)) for split in SPLITS}
            rows = tqdm(self.staging.ordered(), "write", unit=" rows", disable=None if self.progress else True)
            for row in rows:
                split = assign_split(row["question_key"], self.fractions)
                census.add(split, row)
                writers[split].write(row)
        for split in SPLITS:
            files[split] = FileRecord.of(split, folder / split)
            (folder / split).rename(folder / files[split].name)
        return census, files

    def _manifest(self, census: Census, files: dict[Split, FileRecord], sources: tuple[SourceRecord, ...]) -> Manifest:
        return Manifest(
            fractions=self.fractions,
            capture=self.capture,
            redaction=self.redaction,
            files=files,
            sources=merge_records(() if self.held is None else self.held.manifest.sources, sources),
            **census.findings(),
        )


@contextmanager
def edit_dataset(
    out: Path,
    *,
    fractions: Mapping[Split, float] | None = None,
    redaction: Redaction | None = None,
    progress: bool = False,
) -> Iterator[DatasetWriter]:
    """Hold a folder, and stage the rows that are there.

    Args:
        out: a new or empty folder, or a dataset.
        fractions: the share of questions in each split, which must sum to 1; by default those of the dataset at `out`,
            else `DEFAULT_FRACTIONS`.
        redaction: what was done to the texts of the rows to come; by default what was done to those that are there.
        progress: show a bar while it is written, where there is a terminal.

    Raises:
        ConfigError: fractions that cannot be; or other ones, or another redaction, than those of the dataset at `out`.
        DataError: a folder that is something else or that another harvest writes, or a damaged dataset.
    """
    out = Path(out).resolve()  # what a link leads to may be on another disk than the link
    with hold(out, by="another harvest"):  # a merge with rows that change meanwhile would lose some
        finish(out)
        held = _existing(out)
        shares = _fractions(fractions, held)
        name, capture = _redaction(redaction, held)
        staging = Staging() if held is None else Staging(held.iter_rows())
        try:
            yield DatasetWriter(
                path=out,
                held=held,
                staging=staging,
                fractions=shares,
                redaction=name,
                capture=capture,
                progress=progress,
            )
        finally:
            staging.close()


def write_dataset(
    behaviors: Iterable[Behavior],
    out: Path,
    *,
    fractions: Mapping[Split, float] | None = None,
    redaction: Redaction | None = None,
    sources: Iterable[SourceRecord] = (),
    drops: Iterable[Drop] = (),
) -> Dataset:
    """Write behaviors as a dataset, or add them to the one at `out`: whole or not at all, and twice is once.

    The same behaviors give the same rows, files and digest, in whatever order they come. What a later call says of a
    row that is there counts, and what it does not say stays.

    Args:
        behaviors: any number; what is done to their texts is the caller's to do.
        out: a new or empty folder, or a dataset.
        fractions: as for `edit_dataset`.
        redaction: as for `edit_dataset`.
        sources: where the behaviors come from.
        drops: what was left out; added to `rejects.jsonl`.

    Raises:
        ConfigError: as `edit_dataset`.
        DataError: as `edit_dataset`, and when there is no behavior.
    """
    with edit_dataset(out, fractions=fractions, redaction=redaction) as writer:
        for row in behaviors:
            writer.staging.add(row)
        for drop in drops:
            writer.staging.drop(drop)
        return writer.commit(sources)


def add_labels(path: Path, labels: Iterable[tuple[str, LabelRecord]]) -> tuple[Dataset, int]:
    """Add judgments to rows of a dataset.

    Args:
        path: the dataset.
        labels: a behavior's id and a judgment of it, each.

    Returns:
        The dataset, and how many judgments are of rows that it does not have.

    Raises:
        DataError: there is no dataset at `path`, another harvest writes it, or it is damaged.
    """
    load_dataset(path)
    with edit_dataset(path) as writer:
        unknown = sum(not writer.staging.label(row_id, label) for row_id, label in labels)
        return writer.commit(), unknown


def _existing(out: Path) -> Dataset | None:
    """The dataset at `out`, if there is one; anything else there is not ours to write over."""
    if (out / MANIFEST).is_file():
        return load_dataset(out)
    foreign = out.is_dir() and any(not is_leftover(file.name) for file in out.iterdir())
    if out.is_file() or foreign:
        raise DataError(f"expected a dataset or an empty place at {str(out)!r}, found other files; name another folder")
    return None


def _redaction(redaction: Redaction | None, held: Dataset | None) -> tuple[str, Capture]:
    if redaction is None:
        return ("none", "full") if held is None else (held.manifest.redaction, held.manifest.capture)
    given: tuple[str, Capture] = (redaction.name, redaction.capture)
    if held is not None and given != (held.manifest.redaction, held.manifest.capture):
        raise ConfigError(
            f"the dataset's texts were redacted by {held.manifest.redaction!r} and captured as "
            f"{held.manifest.capture!r}, got {given[0]!r} and {given[1]!r}; use the same, or name a new folder"
        )
    return given


def _fractions(fractions: Mapping[Split, float] | None, held: Dataset | None) -> dict[Split, float]:
    old = None if held is None else held.manifest.fractions
    if fractions is None:
        return dict(DEFAULT_FRACTIONS) if old is None else old
    shares = {split: float(fractions.get(split, 0.0)) for split in SPLITS}
    possible = min(shares.values()) >= 0 and abs(sum(shares.values()) - 1) <= 1e-9
    if set(fractions) - set(SPLITS) or not possible:
        raise ConfigError(f"`fractions` must give shares of {', '.join(SPLITS)} that sum to 1, got {dict(fractions)!r}")
    if old is not None and shares != old:
        raise ConfigError(
            f"the dataset was split by {old!r}, got {shares!r}; leave `fractions` out or name a new folder"
        )
    return shares
