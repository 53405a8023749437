"""Files of rows made elsewhere: JSON lines, CSV, TSV and Parquet, gzipped or not, read as numbered dictionaries.

A damaged row costs that row alone. Cells are what the format says they are: text in CSV (an empty cell is missing),
JSON values in JSON lines, Python values in Parquet.
"""

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from drr_agent.errors import DataError
from drr_agent.lines import GzipDamageError, LongLine, is_gzip, numbered_lines, open_bytes
from drr_agent.runs import Reject

TableFormat = Literal["jsonl", "csv", "tsv", "parquet"]
_SUFFIXES: dict[str, TableFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
}
_PARQUET_MAGIC = b"PAR1"
_BOM = b"\xef\xbb\xbf"
_MOST_CELL_CHARS = 2**26
"""A longer cell is taken for a quote that nobody closed; `csv` holds four bytes a character."""
_CELLS = threading.Lock()
"""`csv` has one limit for all its readers."""
_MOST_GZIPPED_PARQUET = 2**30
_ROWS_PER_BATCH = 1_000

Outcome = tuple[int, dict[str, Any] | str]
"""A row's line and its cells, or what is wrong with it."""


class TableRow(NamedTuple):
    """One row of a table."""

    line: int
    """From 1: the line it ends on in a text file, its position in Parquet."""
    cells: dict[str, Any]

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"line {self.line}"


def table_format(path: Path) -> TableFormat:
    """The format of a file, by its content where that is plain, else by its name.

    Raises:
        DataError: there is no such file, or it is of no known format.
    """
    with open_bytes(path) as stream:
        head = stream.read(512)
    if head.startswith(_PARQUET_MAGIC):
        return "parquet"
    if head.removeprefix(_BOM).lstrip().startswith(b"{"):
        return "jsonl"
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    raise DataError(
        f"expected JSON lines, Parquet, or a file named {', '.join(_SUFFIXES)} at {str(path)!r}, "
        f"got one that opens with {head[:20]!r}; convert or rename it"
    )


def read_table(path: Path, *, on_reject: Callable[[Reject], None] | None = None) -> Iterator[TableRow]:
    """Read a table row by row.

    Args:
        path: a JSON lines, CSV, TSV or Parquet file, plain or gzipped.
        on_reject: called with each row that cannot be read; without it such a row is an error.

    Raises:
        DataError: the file is missing, of no known format or without a usable header, or a row is damaged and nobody
            asked to hear of it.
    """
    for line, found in _outcomes(path):
        if isinstance(found, dict):
            yield TableRow(line, found)
        elif on_reject is not None:
            on_reject(Reject(path, line, found))
        else:
            raise DataError(f"expected a row in {str(path)!r} line {line}, got {found}; repair it or leave it out")


def _outcomes(path: Path) -> Iterator[Outcome]:
    kind = table_format(path)
    if kind == "parquet":
        yield from _parquet_rows(path)
        return
    rows = _json_rows(path) if kind == "jsonl" else _delimited_rows(path, "\t" if kind == "tsv" else ",")
    line = 0
    while True:
        try:
            line, found = next(rows)
        except StopIteration:
            return
        except GzipDamageError as damage:
            yield line + 1, str(damage)
            return
        yield line, found


def _unmarked_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines, without the mark that some programs write before the first."""
    for number, line in numbered_lines(path):
        yield number, line.removeprefix(_BOM) if number == 1 and line.startswith(_BOM) else line


def _json_rows(path: Path) -> Iterator[Outcome]:
    for number, line in _unmarked_lines(path):
        text = line.strip()
        if not text:
            continue
        if isinstance(line, LongLine):
            yield number, text.decode()
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield number, f"torn or invalid JSON ({error})"
        else:
            yield number, row if isinstance(row, dict) else f"JSON that is not an object but {type(row).__name__}"


class _CsvLines:
    """Lines as text, for `csv`; one that is too long costs the row that it is in."""

    def __init__(self, path: Path) -> None:
        self._lines = _unmarked_lines(path)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if isinstance(line, LongLine):
            raise csv.Error(line.decode())
        return line.decode("utf-8", "surrogateescape")


def _next_cells(reader: Iterator[list[str]]) -> list[str]:
    """The next row, with cells longer than 128 kB, the default of `csv`, which other readers keep."""
    with _CELLS:
        before = csv.field_size_limit(_MOST_CELL_CHARS)
        try:
            return next(reader)
        finally:
            csv.field_size_limit(before)


def _delimited_rows(path: Path, delimiter: str) -> Iterator[Outcome]:
    lines = _CsvLines(path)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header = _header(path, reader)
    while True:
        try:
            cells = _next_cells(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield lines.number, f"broken CSV ({error})"
            continue
        if cells:
            yield lines.number, _delimited_row(header, cells)


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = _next_cells(reader)
    except StopIteration:
        header = []
    except csv.Error as error:
        raise DataError(
            f"expected column names in {str(path)!r} line 1, got broken CSV ({error}); repair it"
        ) from error
    if not header or len(set(header)) < len(header) or "" in header:
        raise DataError(f"expected distinct column names in {str(path)!r} line 1, got {header!r}; name every column")
    return header


def _delimited_row(header: list[str], cells: list[str]) -> dict[str, Any] | str:
    if len(cells) != len(header):
        return f"{len(cells)} cells under {len(header)} column names"
    if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
        return "bytes that are not UTF-8"
    return {name: cell if cell else None for name, cell in zip(header, cells, strict=True)}


def _parquet_rows(path: Path) -> Iterator[Outcome]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = io.BytesIO(_gunzipped(path)) if is_gzip(path) else path
    try:
        batches = pq.ParquetFile(source).iter_batches(batch_size=_ROWS_PER_BATCH)
        rows = (row for batch in batches for row in batch.to_pylist())
        yield from enumerate(rows, start=1)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"expected whole Parquet at {str(path)!r}, got damage ({error}); make it anew") from error


def _gunzipped(path: Path) -> bytes:
    """A whole file: a gzip stream seeks by reading anew, and Parquet is read from its end."""
    with open_bytes(path) as stream:
        content = stream.read(_MOST_GZIPPED_PARQUET + 1)
    if len(content) > _MOST_GZIPPED_PARQUET:
        raise DataError(
            f"expected gzipped Parquet of at most {_MOST_GZIPPED_PARQUET} bytes at {str(path)!r}, got more; unpack it"
        )
    return content
