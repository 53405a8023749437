"""`rejects.jsonl`: every logged attempt that a harvest left out, with its place and the reason."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from drr_agent.errors import DataError
from drr_agent.training.dataset.manifest import SourceRecord

if TYPE_CHECKING:
    from drr_agent.training.drops import Drop

_LONGEST_DETAIL = 500
"""Characters; what is wrong with 10 MB is said in fewer."""


class Harvested(NamedTuple):
    """Which source record counts a line."""

    harvest: str
    """The record's key; empty for what a program left out."""
    sha256: str
    """The first twelve hex digits of the record's."""

    @classmethod
    def by(cls, record: SourceRecord) -> "Harvested":
        """What the lines say that a record counts."""
        return cls(record.key, record.sha256[:12])

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> "Harvested":
        """What a line says."""
        return cls(str(line["harvest"]), str(line.get("sha256", "")))


def write_rejects(
    path: Path,
    *,
    held: Path,
    sources: Iterable[SourceRecord],
    drops: Iterable["Drop"],
    others: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Write every drop a line, with the record that counts it; older ones of the same harvests go.

    So do damaged lines of `held`, since no drop is worth a harvest.

    Args:
        path: the file to write.
        held: the file that it replaces, if there is one.
        sources: the records of this harvest.
        drops: what it left out.
        others: lines of other datasets, as they are.
    """
    records = {record.location: record for record in sources}
    renewed = {record.key for record in records.values()}
    with path.open("w", encoding="utf-8") as stream:
        for line in (row for row in read_rejects(held) if row["harvest"] not in renewed):
            stream.write(json.dumps(line) + "\n")
        for drop in drops:
            by = Harvested.by(records[drop.source]) if drop.source in records else Harvested("", "")
            line = {**by._asdict(), **drop._asdict(), "detail": drop.detail[:_LONGEST_DETAIL]}
            stream.write(json.dumps(line) + "\n")
        for other in others:
            stream.write(json.dumps(other) + "\n")


def read_rejects(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file of rejects, where there is one."""
    if not path.is_file():
        return
    with path.open("rb") as stream:
        for line in stream:
            with suppress(ValueError, RecursionError):
                row = json.loads(line)
                if isinstance(row, dict) and "harvest" in row:
                    yield row


def check_rejects(path: Path, sources: Iterable[SourceRecord]) -> None:
    """Hold the lines of a file of rejects against the records that count them.

    Raises:
        DataError: a record counts other drops than the file names.
    """
    said = Counter[tuple[Harvested, str]]()
    for record in sources:
        said.update({(Harvested.by(record), reason): count for reason, count in record.dropped.items()})
    named = ((Harvested.of(line), str(line.get("reason"))) for line in read_rejects(path))
    found = Counter((by, reason) for by, reason in named if by.harvest)
    wrong = sorted((found - said) | (said - found))
    if wrong:
        by, reason = wrong[0]
        raise DataError(
            f"expected {said[wrong[0]]} lines with reason {reason!r} of harvest {by.harvest} in {str(path)!r}, got "
            f"{found[wrong[0]]}; the file was changed: harvest the same sources again"
        )
