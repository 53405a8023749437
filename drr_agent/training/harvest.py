"""Harvest: logged attempts become behaviors, and every one that does not is named.

dataset, records = harvest_dataset(["runs.jsonl", "checkpoints.sqlite", "old.csv.gz"], Path("data"))
behaviors = harvest(["runs.jsonl"], where=["reasoner=gemma-2-2b-it"]).behaviors
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from drr_agent.errors import ConfigError, DataError
from drr_agent.grading import Grader, get_grader
from drr_agent.parsing import Parser, StructuredOutput, clean_text, get_parser
from drr_agent.training.behaviors import Behavior, Split
from drr_agent.training.dataset import Dataset
from drr_agent.training.dataset.manifest import SourceRecord, hash_file
from drr_agent.training.dataset.staging import Staging
from drr_agent.training.dataset.writer import edit_dataset
from drr_agent.training.drops import Drop, Flaw
from drr_agent.training.filters import parse_filters
from drr_agent.training.labels import Labeler
from drr_agent.training.labels.environment import Environment
from drr_agent.training.labels.targets import Targets, read_targets
from drr_agent.training.redaction import DEFAULT_REDACTION, Redaction
from drr_agent.training.sources import Reading, Source, Unit, open_sources

REFUSED = frozenset({"unreadable", "bad value", "no question", "no reply"})
"""Reasons for dropping what should have been an attempt. A failed call, an empty run or a duplicate is none."""


_OTHER_TEXTS = ("id", "run_id", "reasoner", "prompts", "dm", "dataset", "feedback", "started_at")


@dataclass(frozen=True, kw_only=True)
class Harvest:
    """How logs are read. Made by `harvest` and `harvest_dataset` from their arguments."""

    reading: Reading
    format: str | None
    progress: bool

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
        name = Path(source.location).name or source.location
        total = source.expected() if self.progress else None
        outcomes = tqdm(source.outcomes(), name, total, unit=" rows", disable=None if self.progress else True)
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
                redaction = self.reading.redaction
                dropped = Drop(source.location, redaction.clean(place), flaw.reason, redaction.remark(flaw.detail))
                staging.drop(dropped)
                tally.dropped[flaw.reason] += 1
        return tally

    def _cleaned(self, row: Behavior) -> Behavior:
        """The row without secrets where none belong: a source cleans its texts, but a key may stand in any field."""
        clean = self.reading.redaction.clean
        others = {name: clean(value) for name, value in row.items() if name in _OTHER_TEXTS and isinstance(value, str)}
        return cast("Behavior", {**row, **others})

    def _record(self, source: Source, tally: "_Tally") -> SourceRecord:
        return SourceRecord(
            location=source.location,
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


def harvest(sources: Iterable[Any], **settings: Any) -> HarvestResult:
    """Read logs into behaviors in memory, each logged attempt once; `harvest_dataset` needs no memory.

    Args:
        sources: as for `harvest_dataset`.
        settings: as for `harvest_dataset`, but `fractions`.

    Raises:
        ConfigError, DataError: as `harvest_dataset`.
    """
    plan, staging = plan_harvest(**settings), Staging()
    try:
        records = plan.collect(plan.open(sources), staging)
        return HarvestResult(behaviors=list(staging.arrivals()), drops=list(staging.drops()), sources=records)
    finally:
        staging.close()


def harvest_dataset(
    sources: Iterable[Any], out: Path, *, fractions: Mapping[Split, float] | None = None, **settings: Any
) -> tuple[Dataset, list[SourceRecord]]:
    """Read logs into a dataset, or into one that is there; the same or a grown log again adds only what is new.

    Whatever is read is written, or named in `rejects.jsonl`, or filtered out, and counted. A killed harvest leaves the
    dataset as it was.

    Args:
        sources: files, folders of files, `postgresql://…`, `langsmith://PROJECT`, or a LangGraph checkpointer. What a
            file is, its content tells.
        out: a new or empty folder, or a dataset.
        fractions: as for `edit_dataset`.
        settings: as for `plan_harvest`.

    Returns:
        The dataset, and what each source gave to it.

    Raises:
        ConfigError: a setting that cannot work, or that is another than that of the dataset at `out`.
        DataError: a source that is missing or of no known format, or that lacks a column that is needed or named; or an
            `out` that cannot be written to.
    """
    plan = plan_harvest(**settings)
    opened = plan.open(sources)
    redaction = plan.reading.redaction
    with edit_dataset(out, fractions=fractions, redaction=redaction, progress=plan.progress) as writer:
        records = plan.collect(opened, writer.staging)
        return writer.commit(records), records


def plan_harvest(
    *,
    grader: str | Grader | Callable[[str, str], bool] = "auto",
    mapping: Mapping[str, str] | None = None,
    where: Iterable[str] = (),
    ignore_labels: Iterable[str] = (),
    targets: Path | Targets | None = None,
    environment: Environment | None = None,
    parser: str | Parser | None = None,
    unit: Unit = "auto",
    redaction: Redaction | None = None,
    format: str | None = None,  # noqa: A002 - what users call it
    progress: bool = True,
) -> Harvest:
    """Check the settings of a harvest.

    Args:
        grader: answer equality, for attempts whose question has a target.
        mapping: role to column for tables (`{"target": "gold"}`); `""` leaves a role out. Roles that are not named are
            found by the usual column names, see `drr_agent.training.sources.ATTEMPT_COLUMNS`.
        where: filters such as `model=gemma-2-2b-it` or `tokens<512` on any column of a source; all must hold.
        ignore_labels: sources of labels that count for nothing, such as `feedback:toxicity` or `judge:*`: a store may
            hold scores that say nothing of right and wrong.
        targets: known answers for questions whose log does not hold theirs, joined by id or text; a file is read by
            `read_targets`.
        environment: a function that says of a run whether it came out right; see
            `drr_agent.training.labels.environment`.
        parser: how the answer is read out of a reply, for traces (by default the whole reply is the answer) and for
            tables without a column of answers.
        unit: what a plain trace gives: the question and final answer of the `root`, each chat-model `call`, or, by
            default, the root where it has both.
        redaction: what is replaced in every text; by default what looks like a secret.
        format: the format of all sources, where their content does not tell it.
        progress: show a bar where there is a terminal.

    Raises:
        ConfigError: a filter, a role, a parser or a grader that does not exist.
        DataError: targets that cannot be read.
    """
    if isinstance(reader := None if parser is None else get_parser(parser), StructuredOutput):
        raise ConfigError(
            "`parser` must read a reply by itself, got 'structured', which needs its Reasoner; name another"
        )
    reading = Reading(
        labeler=Labeler(
            grader=get_grader(grader),
            ignored=tuple(ignore_labels),
            targets=read_targets(targets) if isinstance(targets, str | Path) else targets,
            environment=environment,
        ),
        filters=parse_filters(where),
        redaction=DEFAULT_REDACTION if redaction is None else redaction,
        mapping=mapping,
        parser=reader,
        unit=unit,
    )
    return Harvest(reading=reading, format=format, progress=progress)


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
