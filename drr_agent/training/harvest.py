"""Harvest: logged attempts become behaviors, and every one that does not is named.

result = harvest([Path("runs.jsonl"), Path("old.csv.gz")], where=["model=gemma-2-2b-it"])
write_dataset(result.behaviors, Path("data"), sources=result.sources, drops=result.drops)
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from drr_agent.errors import DataError
from drr_agent.grading import Grader, get_grader
from drr_agent.training.behaviors import Behavior
from drr_agent.training.filters import parse_filters
from drr_agent.training.labels import Labeler
from drr_agent.training.manifest import SourceRecord
from drr_agent.training.sources import DropReason, Flaw, Source, open_source


class Drop(NamedTuple):
    """A logged attempt that is not harvested, by its place."""

    source: str
    place: str
    reason: DropReason
    detail: str


@dataclass(frozen=True, kw_only=True)
class HarvestResult:
    """What came in, and what did not."""

    behaviors: list[Behavior]
    drops: list[Drop]
    sources: list[SourceRecord]

    @property
    def dropped(self) -> dict[str, int]:
        """Attempts left out over all sources, by reason."""
        return dict(Counter[str](drop.reason for drop in self.drops))


@dataclass
class _Tally:
    """One source's outcomes while they come in."""

    read: int = 0
    filtered: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    unlabeled: Counter[str] = field(default_factory=Counter)


def harvest(
    sources: Iterable[Path],
    *,
    grader: str | Grader | Callable[[str, str], bool] = "auto",
    mapping: Mapping[str, str] | None = None,
    where: Iterable[str] = (),
    progress: bool = True,
) -> HarvestResult:
    """Read logs into behaviors, each logged attempt once.

    Run logs are told from tables by their content. A label is the label column's word where there is one, else the
    grader's on answer and target; an attempt without an answer has none.

    Args:
        sources: run logs, and tables of attempts in JSON lines, CSV, TSV or Parquet, plain or gzipped.
        grader: answer equality, for attempts that no label column judges.
        mapping: role to column for the tables (`{"target": "gold"}`); `""` leaves a role out. Roles that are not named
            are found by the usual column names, see `drr_agent.training.sources.ATTEMPT_COLUMNS`.
        where: filters such as `model=gemma-2-2b-it` or `tokens<512` on any column of a source; all must hold.
        progress: show a bar where there is a terminal.

    Raises:
        ConfigError: a filter, a role or a grader that does not exist.
        DataError: a source that is missing or of no known format, or that lacks a column that is needed or named.
    """
    labeler, filters = Labeler(grader=get_grader(grader)), parse_filters(where)
    opened = [
        open_source(path, labeler=labeler, filters=filters, mapping=mapping)
        for path in dict.fromkeys(map(Path, sources))
    ]
    if not opened:
        raise DataError("expected at least one source to harvest, got none; name a run log or a table of attempts")
    behaviors: dict[str, Behavior] = {}
    drops: list[Drop] = []
    records = []
    for source in opened:
        sha256 = _sha256(source.path)
        tally = _take(source, behaviors, drops, progress=progress)
        records.append(
            SourceRecord(
                path=str(source.path),
                sha256=sha256,
                kind=source.kind,
                grader=labeler.grader.name,
                mapping=source.mapping,
                where=tuple(map(str, filters)),
                **vars(tally),
            )
        )
    return HarvestResult(behaviors=list(behaviors.values()), drops=drops, sources=records)


def merge_rejects(file: Path, sources: Iterable[SourceRecord], drops: Iterable[Drop]) -> bytes:
    """Every drop a line, with the key of the source record that counts it; older ones of the same records go.

    So do damaged lines of `file`: they tell of drops, and no drop is worth a harvest.
    """
    keys = {record.path: record.key for record in sources}
    rows = [row for row in _held_rejects(file) if row["harvest"] not in keys.values()]
    rows += [{"harvest": keys.get(drop.source, ""), **drop._asdict()} for drop in drops]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _held_rejects(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_bytes().splitlines() if file.is_file() else ():
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and "harvest" in row:
                yield row


def _take(source: Source, behaviors: dict[str, Behavior], drops: list[Drop], *, progress: bool) -> _Tally:
    """Sort one source's attempts into behaviors and drops, and count them."""
    tally = _Tally()
    outcomes = tqdm(source.outcomes(), desc=source.path.name, unit=" rows", disable=None if progress else True)
    for place, content in outcomes:
        tally.read += 1
        if isinstance(content, dict) and content["id"] in behaviors:
            content = Flaw("duplicate", f"id {content['id']} came before")
        if content is None:
            tally.filtered += 1
        elif isinstance(content, Flaw):
            drops.append(Drop(str(source.path), place, content.reason, content.detail))
            tally.dropped[content.reason] += 1
        else:
            behaviors[content["id"]] = content
            tally.kept += 1
            tally.unlabeled.update(_why_unlabeled(content, source))
    return tally


def _why_unlabeled(behavior: Behavior, source: Source) -> Iterator[str]:
    if behavior["label"] is not None:
        return
    if behavior["answer"] is None:
        yield "no answer"
    else:
        yield "label not understood" if "label" in source.mapping else "no target"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
