"""Which reader a source is for: found out from what it is, or named by the caller."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from drr_agent.errors import ConfigError, DataError
from drr_agent.tables import table_format
from drr_agent.training.sources.attempts import RunSource
from drr_agent.training.sources.protocol import Reading, RunReader, Source
from drr_agent.training.sources.run_log import RunLogReader, is_run_log
from drr_agent.training.sources.table import TableSource

_BESIDE_LOGS = (".open", ".lock", "-wal", "-shm", "-journal")
"""Endings of files that stand beside a log and are none."""


class _FileFormat(NamedTuple):
    """A kind of file."""

    detects: Callable[[Path], bool]
    opens: Callable[[Path, Reading], Source]


def open_sources(source: str | Path, reading: Reading, *, format: str | None = None) -> Iterator[Source]:  # noqa: A002
    """The readers for a source: one for a file, several for a folder of files.

    Args:
        source: where it is.
        reading: how it is read.
        format: one of `FILE_FORMATS`, where the content does not tell it.

    Raises:
        ConfigError: there is no such format.
        DataError: there is nothing at `source`, or it is of no known format, or it lacks a column.
    """
    if format is not None and format not in FILE_FORMATS:
        raise ConfigError(f"`format` must be one of {', '.join(FILE_FORMATS)}, got {format!r}")
    path = Path(source)
    if not path.is_dir():
        yield _open_file(path, reading, format)
        return
    files = sorted(file for file in path.rglob("*") if _may_be_log(file, path))
    if not files:
        raise DataError(f"expected logs in the folder {str(path)!r}, found none; name a folder that holds some")
    for file in files:
        yield _open_file(file, reading, format)


def _may_be_log(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden and not file.name.endswith(_BESIDE_LOGS) and file.stat().st_size > 0


def _open_file(path: Path, reading: Reading, format: str | None) -> Source:  # noqa: A002
    if format is not None:
        return FILE_FORMATS[format].opens(path, reading)
    if not path.is_file():
        raise DataError(f"expected a file or a folder at {str(path)!r}, found nothing; check the path")
    found = next(known for known in FILE_FORMATS.values() if known.detects(path))
    return found.opens(path, reading)


def _open_runs(reader: RunReader, reading: Reading) -> RunSource:
    return RunSource(reader=reader, labeler=reading.labeler, filters=reading.filters, redaction=reading.redaction)


def _open_table(path: Path, reading: Reading) -> TableSource:
    return TableSource(
        path=path,
        labeler=reading.labeler,
        filters=reading.filters,
        wanted=reading.mapping,
        redaction=reading.redaction,
        parser=reading.parser,
    )


def _is_jsonl_run_log(path: Path) -> bool:
    return table_format(path) == "jsonl" and is_run_log(path)


FILE_FORMATS: Mapping[str, _FileFormat] = {
    "runs": _FileFormat(_is_jsonl_run_log, lambda path, reading: _open_runs(RunLogReader(path=path), reading)),
    "table": _FileFormat(lambda _: True, _open_table),
}
"""By name, in the order in which a file is tried."""
