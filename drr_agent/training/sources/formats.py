"""Which reader a source is for: found out from what it is, or named by the caller."""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver

from drr_agent.errors import ConfigError, DamagedError, DataError
from drr_agent.lines import GzipDamageError, is_gzip, open_bytes
from drr_agent.parsing import Parser, WholeMessage
from drr_agent.tables import plain_name, table_format
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.attempts import RunSource
from drr_agent.training.sources.hf_dataset import is_hf_dataset
from drr_agent.training.sources.postgres import PostgresReader, is_postgres
from drr_agent.training.sources.protocol import Outcome, Reading, RunReader, Source
from drr_agent.training.sources.run_log import RunLogReader, is_run_log
from drr_agent.training.sources.saver import SaverReader
from drr_agent.training.sources.sqlite import SqliteReader, is_sqlite
from drr_agent.training.sources.table import TableSource
from drr_agent.training.sources.traces.langfuse import LangfuseReader, is_langfuse
from drr_agent.training.sources.traces.langsmith import LangSmithReader, is_langsmith_export
from drr_agent.training.sources.traces.langsmith_api import SCHEME, LangSmithApiReader
from drr_agent.training.sources.traces.mlflow import MlflowReader, is_mlflow
from drr_agent.training.sources.traces.otel import OtelReader, is_otel
from drr_agent.training.sources.traces.tracer import TracerReader, is_trace_log

_logger = logging.getLogger(__name__)
_HEAD_BYTES = 2**26
"""What tells the format of a longer file; one whose first record is longer has to be named by the caller."""
_PIECE_BYTES = 2**20
_BESIDE_LOGS = (".open", ".lock", "-wal", "-shm", "-journal")
"""Endings of files that stand beside a log and are none."""
_LOG_NAMES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".sqlite", ".sqlite3", ".db")
"""Endings of files that somebody takes for logs, before what rotation and packing add."""


class _FileFormat(NamedTuple):
    """A kind of file."""

    detects: Callable[[Path], bool]
    opens: Callable[[Path, Reading], Source]


@dataclass(frozen=True, kw_only=True)
class UnreadableFile:
    """A file that cannot be opened as a source: one loss, so that it is named among the others and costs none."""

    path: Path
    why: str
    kind: str = "unreadable"
    mapping: dict[str, str] = field(default_factory=dict)

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def expected(self) -> int:
        """The file itself."""
        return 1

    def outcomes(self) -> Iterator[Outcome]:
        """That it is lost."""
        yield Outcome("the whole file", Flaw("unreadable", self.why))


def open_sources(
    source: str | Path | BaseCheckpointSaver[Any],
    reading: Reading,
    *,
    format: str | None = None,  # noqa: A002 - what users call it
) -> Iterator[Source]:
    """The readers for a source: one for a file or a store, several for a folder of files.

    Args:
        source: a file, a folder of files, `postgresql://…`, `langsmith://PROJECT`, or a checkpointer.
        reading: how it is read.
        format: one of `FILE_FORMATS`, for files whose content does not tell it.

    Raises:
        ConfigError: there is no such format.
        DataError: there is nothing at `source`, or it is of no known format, or it lacks a column.
    """
    if format is not None and format not in FILE_FORMATS:
        raise ConfigError(f"`format` must be one of {', '.join(FILE_FORMATS)}, got {format!r}")
    store = _store(source, reading)
    if store is not None:
        yield _of_runs(store, reading)
        return
    path = Path(source)  # type: ignore[arg-type] # `_store` took the checkpointers
    if is_hf_dataset(path) or not path.is_dir():
        yield _unless_damaged(path, reading, format)
        return
    files = sorted(file for file in path.rglob("*") if _may_be_log(file, path))
    if not files:
        raise DataError(f"expected logs in the folder {str(path)!r}, found none; name a folder that holds some")
    for file in files:
        try:
            yield _opened(_open_file(file, reading, format))
        except DataError as error:  # what else lies in a folder must not cost its logs
            if plain_name(file).endswith(_LOG_NAMES):
                yield UnreadableFile(path=file, why=str(error))
            else:
                _logger.warning("left out of the folder %s: %s", path, error)


def _store(source: Any, reading: Reading) -> RunReader | None:
    """The reader of what is no file."""
    if isinstance(source, BaseCheckpointSaver):
        return SaverReader(saver=source)
    if is_postgres(str(source)):
        return PostgresReader(dsn=str(source))
    if str(source).startswith(SCHEME):
        return LangSmithApiReader(location=str(source), parser=_parser(reading), unit=reading.unit)
    return None


def _unless_damaged(path: Path, reading: Reading, format: str | None) -> Source:  # noqa: A002
    """The source; damage that leaves nothing of it to be read must not cost those beside it."""
    try:
        source = _open_table(path, reading) if is_hf_dataset(path) else _open_file(path, reading, format)
        return _opened(source) if source.kind in ("parquet", "datasets") else source
    except DamagedError as error:
        return UnreadableFile(path=path, why=str(error))


def _opened(source: Source) -> Source:
    """The source, if what it needs is there: its columns, or the tables of its database."""
    _ = source.mapping
    if source.kind == "sqlite":
        next(source.outcomes(), None)
    return source


def _may_be_log(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden and not file.name.endswith(_BESIDE_LOGS) and file.stat().st_size > 0


def _open_file(path: Path, reading: Reading, format: str | None) -> Source:  # noqa: A002
    if format is not None:
        return FILE_FORMATS[format].opens(path, reading)
    if not path.is_file():
        raise DataError(f"expected a file or a folder at {str(path)!r}, found nothing; check the path")
    if _is_empty(path):
        return FILE_FORMATS["runs"].opens(path, reading)  # a log that was just rotated
    with _head(path) as head:
        found = next(known for known in FILE_FORMATS.values() if _suits(known, head))
    return found.opens(path, reading)


def _is_empty(path: Path) -> bool:
    with suppress(GzipDamageError), open_bytes(path) as stream:
        return not stream.read(1)
    return False


@contextmanager
def _head(path: Path) -> Iterator[Path]:
    """A file with the beginning of another: nobody has to read on for a record that never comes, or a line's end."""
    if is_sqlite(path) or _is_parquet(path) or (path.stat().st_size <= _HEAD_BYTES and not is_gzip(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        head = Path(folder) / path.name.removesuffix(".gz")
        try:
            _copy_head(path, head)
        except OSError:  # no room for it: then the file itself, however much there is to read
            head = path
        yield head


def _copy_head(path: Path, head: Path) -> None:
    with suppress(GzipDamageError), open_bytes(path) as stream, head.open("wb") as copy:
        # by lines: of a gzip that is cut short, those before its end are given
        for piece in iter(partial(stream.readline, _PIECE_BYTES), b""):
            if copy.tell() + len(piece) > _HEAD_BYTES:
                break
            copy.write(piece)
    if is_gzip(head) or is_sqlite(head):  # no reader unpacks twice, or a database
        head.write_bytes(b"")


def _is_parquet(path: Path) -> bool:
    try:
        return table_format(path) == "parquet"
    except DataError:
        return False


def _suits(known: _FileFormat, path: Path) -> bool:
    """Whether a file is of a format. One that cannot be looked into is none; the last format says what is wrong."""
    try:
        return known.detects(path)
    except DataError:
        return False


def _of_runs(reader: RunReader, reading: Reading) -> RunSource:
    return RunSource(reader=reader, labeler=reading.labeler, filters=reading.filters, redaction=reading.redaction)


def _stores_runs(reader: Callable[..., RunReader]) -> Callable[[Path, Reading], Source]:
    return lambda path, reading: _of_runs(reader(path=path), reading)


def _stores_traces(reader: Callable[..., RunReader]) -> Callable[[Path, Reading], Source]:
    return lambda path, reading: _of_runs(reader(path=path, parser=_parser(reading), unit=reading.unit), reading)


def _parser(reading: Reading) -> Parser:
    return WholeMessage() if reading.parser is None else reading.parser


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
    "sqlite": _FileFormat(is_sqlite, _stores_runs(SqliteReader)),
    "runs": _FileFormat(_is_jsonl_run_log, _stores_runs(RunLogReader)),
    "trace": _FileFormat(is_trace_log, _stores_traces(TracerReader)),
    "langsmith": _FileFormat(is_langsmith_export, _stores_traces(LangSmithReader)),
    "otel": _FileFormat(is_otel, _stores_traces(OtelReader)),
    "mlflow": _FileFormat(is_mlflow, _stores_traces(MlflowReader)),
    "langfuse": _FileFormat(is_langfuse, _stores_traces(LangfuseReader)),
    "table": _FileFormat(lambda _: True, _open_table),
}
"""By name, in the order in which a file is tried."""
