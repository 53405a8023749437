"""Harvest: logged attempts become behaviors, and every one that does not is named.

dataset, records = harvest_dataset(["runs.jsonl", "checkpoints.sqlite", "old.csv.gz"], Path("data"))
behaviors = harvest(["runs.jsonl"], where=["reasoner=gemma-2-2b-it"]).behaviors
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm
from typing_extensions import Unpack

from drr_agent.errors import DamagedError, DataError
from drr_agent.parsing import clean_text
from drr_agent.training.behaviors import Behavior, Split, judged
from drr_agent.training.dataset import Dataset
from drr_agent.training.dataset.manifest import SourceRecord, hash_file
from drr_agent.training.dataset.staging import Staging
from drr_agent.training.dataset.writer import edit_dataset
from drr_agent.training.drops import Drop, Flaw
from drr_agent.training.labels import LabelRecord
from drr_agent.training.settings import HarvestSettings, read_settings
from drr_agent.training.sources import Outcome, Reading, Source, open_sources

REFUSED = frozenset({"unreadable", "bad value", "no question", "no reply"})
"""Reasons for dropping what should have been an attempt. A failed call, an empty run or a duplicate is none."""


_OTHER_TEXTS = ("id", "run_id", "reasoner", "prompts", "dm", "dataset", "feedback", "started_at")


@dataclass(frozen=True, kw_only=True)
class Harvest:
    """How logs are read. Made by `harvest` and `harvest_dataset` from their settings."""

    reading: Reading
    format: str | None
    progress: bool

    @classmethod
    def planned(cls, settings: HarvestSettings) -> "Harvest":
        """Check the settings of a harvest.

        Raises:
            ConfigError, DataError: as `read_settings`.
        """
        return cls(
            reading=read_settings(settings),
            format=settings.get("format"),
            progress=settings.get("progress", True),
        )

    def open(self, sources: Iterable[Any]) -> list[Source]:
        """The readers of all sources; nothing is harvested yet.

        Raises:
            ConfigError, DataError: as `harvest`.
        """
        opened = [found for source in sources for found in open_sources(source, self.reading, format=self.format)]
        unique = list({source.location: source for source in opened}.values())
        if not unique:
            raise DataError("expected at least one source to harvest, got none; name a run log or a table of attempts")
        return unique

    def collect(self, opened: Sequence[Source], staging: Staging) -> list[SourceRecord]:
        """Stage what the sources hold, one after the other."""
        return [self._record(source, self._take(source, staging)) for source in opened]

    def _take(self, source: Source, staging: Staging) -> "_Tally":
        """Sort one source's attempts into behaviors and drops, and count them."""
        tally = _Tally()
        redaction, name = self.reading.redaction, Path(source.location).name or source.location
        total = source.expected() if self.progress else None
        outcomes = tqdm(_outcomes(source), name, total, unit=" rows", disable=None if self.progress else True)
        for place, content in outcomes:
            tally.read += 1
            said = content["id"] if isinstance(content, dict) else content
            tally.hashed.update(clean_text(f"{place}\n{said}\n").encode())
            if content is None:
                tally.filtered += 1
            elif not isinstance(content, Flaw) and staging.add(self._cleaned(content)):
                tally.kept += 1
                tally.unlabeled.update(_why_unlabeled(content, source))
            else:
                flaw = content if isinstance(content, Flaw) else Flaw("duplicate", f"id {content['id']} came before")
                location, place = redaction.clean(source.location), redaction.clean(place)
                staging.drop(Drop(location, place, flaw.reason, redaction.remark(flaw.detail)))
                tally.dropped[flaw.reason] += 1
        return tally

    def _cleaned(self, row: Behavior) -> Behavior:
        """The row without secrets where none belong: a source cleans its texts, but a key may stand in any field."""
        clean = self.reading.redaction.clean
        others = {name: clean(value) for name, value in row.items() if name in _OTHER_TEXTS and isinstance(value, str)}
        signals = {clean(name): value for name, value in row["signals"].items()}
        labels = [LabelRecord(value=one["value"], source=clean(one["source"]), at=one["at"]) for one in row["labels"]]
        return cast("Behavior", {**row, **others, "signals": signals, **judged(labels)})

    def _record(self, source: Source, tally: "_Tally") -> SourceRecord:
        return SourceRecord(
            location=self.reading.redaction.clean(source.location),
            sha256=tally.hashed.hexdigest() if (found := _hash_whole(source)) is None else found,
            kind=source.kind,
            grader=self.reading.labeler.grader.name,
            mapping=source.mapping,
            where=tuple(map(str, self.reading.filters)),
            read=tally.read,
            filtered=tally.filtered,
            kept=tally.kept,
            dropped=dict(tally.dropped),
            unlabeled=dict(tally.unlabeled),
        )


@dataclass(frozen=True, kw_only=True)
class HarvestResult:
    """What came in, and what did not."""

    behaviors: list[Behavior]
    drops: list[Drop]
    sources: list[SourceRecord]

    @property
    def dropped(self) -> dict[str, int]:
        """Attempts left out over all sources, by reason."""
        return count_dropped(self.sources)


def harvest(sources: Iterable[Any], **settings: Unpack[HarvestSettings]) -> HarvestResult:
    """Read logs into behaviors in memory, each logged attempt once; `harvest_dataset` needs no memory.

    Args:
        sources: as for `harvest_dataset`.
        settings: see `HarvestSettings`.

    Raises:
        ConfigError, DataError: as `harvest_dataset`.
    """
    plan, staging = Harvest.planned(settings), Staging()
    try:
        records = plan.collect(plan.open(sources), staging)
        return HarvestResult(behaviors=list(staging.arrivals()), drops=list(staging.drops()), sources=records)
    finally:
        staging.close()


def harvest_dataset(
    sources: Iterable[Any],
    out: Path,
    *,
    fractions: Mapping[Split, float] | None = None,
    **settings: Unpack[HarvestSettings],
) -> tuple[Dataset, list[SourceRecord]]:
    """Read logs into a dataset, or into one that is there; the same or a grown log again adds only what is new.

    Whatever is read is written, or named in `rejects.jsonl`, or filtered out, and counted. A killed harvest leaves the
    dataset as it was.

    Args:
        sources: files, folders of files, `postgresql://…`, `langsmith://PROJECT`, or a LangGraph checkpointer. What a
            file is, its content tells.
        out: a new or empty folder, or a dataset.
        fractions: as for `edit_dataset`.
        settings: see `HarvestSettings`.

    Returns:
        The dataset, and what each source gave to it.

    Raises:
        ConfigError: a setting that cannot work, or that is another than that of the dataset at `out`.
        DataError: a source that is missing or of no known format, or that lacks a column that is needed or named; or an
            `out` that cannot be written to.
    """
    plan = Harvest.planned(settings)
    opened = plan.open(sources)
    redaction = plan.reading.redaction
    with edit_dataset(out, fractions=fractions, redaction=redaction, progress=plan.progress) as writer:
        records = plan.collect(opened, writer.staging)
        return writer.commit(records), records


def count_dropped(sources: Iterable[SourceRecord]) -> dict[str, int]:
    """Attempts left out over all sources, by reason."""
    total: Counter[str] = Counter()
    for source in sources:
        total.update(source.dropped)
    return dict(total)


@dataclass
class _Tally:
    """One source's outcomes while they come in."""

    read: int = 0
    filtered: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    unlabeled: Counter[str] = field(default_factory=Counter)
    hashed: Any = field(default_factory=hashlib.sha256)


def _outcomes(source: Source) -> Iterator[Outcome]:
    """A source's outcomes; damage in one source must not cost the others."""
    try:
        yield from source.outcomes()
    except DamagedError as error:
        yield Outcome("the rest of it", Flaw("unreadable", str(error)))


def _why_unlabeled(behavior: Behavior, source: Source) -> Iterator[str]:
    if behavior["label"] is not None:
        return
    if behavior["answer"] is None:
        yield "no answer"
    else:
        yield "label not understood" if "label" in source.mapping else "no target"


def _hash_whole(source: Source) -> str | None:
    """Of a file that is all there is to its source; a database has more beside it."""
    path = Path(source.location)
    return hash_file(path) if source.kind != "sqlite" and path.is_file() else None
