"""Files of rows made elsewhere: JSON lines, CSV, TSV and Parquet, gzipped or not, read as numbered dictionaries.

A damaged row costs that row alone. Cells are what the format says they are: text in CSV (an empty cell is missing),
JSON values in JSON lines, Python values in Parquet.
"""

import csv
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from drr_agent.errors import DataError
from drr_agent.lines import GzipDamageError, LongLine, numbered_lines, open_bytes
from drr_agent.parquet import ROWS_PER_BATCH, Outcome, open_parquet, parquet_rows
from drr_agent.runs import Reject

TableFormat = Literal["jsonl", "csv", "tsv", "parquet"]
_SUFFIXES: dict[str, TableFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
}
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_PARQUET_MAGIC = b"PAR1"
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ADDED = re.compile(r"(?:[.-]\d+|\.gz)+$")
"""What rotation and packing add to a name."""
_OBJECT = re.compile(rb'\{\s*"[\x20-\x7e]{8}')
_ODD = re.compile("[\udc80-\udcff]{1,8}")
_SNIFFED_BYTES = 2**20
_MOST_CELL_CHARS = 2**26
"""A longer cell is taken for a quote that nobody closed; `csv` holds four bytes a character."""
_CELLS = threading.Lock()
"""`csv` has one limit for all its readers."""


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
    if head.startswith(_UTF_16) and b"\0" in head:
        raise DataError(f"expected UTF-8 at {str(path)!r}, got UTF-16, by its first bytes {head[:2]!r}; convert it")
    suffix = Path(plain_name(path)).suffix
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if _comes_to_objects(path):
        return "jsonl"
    raise DataError(
        f"expected JSON lines, Parquet, or a file named {', '.join(_SUFFIXES)} at {str(path)!r}, "
        f"got one that opens with {head[:20]!r}; convert or rename it"
    )


def plain_name(path: Path) -> str:
    """A file's name in lower case, without what rotation and packing add to it: `runs.jsonl` of `Runs.jsonl.3.gz`."""
    return _ADDED.sub("", path.name.lower())


def _comes_to_objects(path: Path) -> bool:
    """Whether JSON lines follow on damage, such as a torn line or a hole of NUL bytes, at the beginning."""
    with suppress(GzipDamageError), open_bytes(path) as stream:
        for line in iter(partial(stream.readline, _SNIFFED_BYTES), b""):
            if _OBJECT.match(line):
                return True
            if stream.tell() >= _SNIFFED_BYTES:
                break
    return False


def table_columns(path: Path) -> list[str]:
    """The names of a table's columns: of its header or schema, or of its first thousand JSON objects.

    Raises:
        DataError: as `read_table`; or there are no rows that could tell.
    """
    kind = table_format(path)
    if kind == "parquet":
        with open_parquet(path) as file:
            return list(file.schema_arrow.names)
    if kind != "jsonl":
        return _header(path, csv.reader(_CsvLines(path), delimiter=_DELIMITERS[kind], strict=True))
    rejects: list[Reject] = []
    rows = islice(read_table(path, on_reject=rejects.append), ROWS_PER_BATCH)
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    if not columns:
        found = f"{rejects[0].reason} in line {rejects[0].line}, and no better" if rejects else "none"
        raise DataError(f"expected JSON objects with fields in {str(path)!r}, got {found}; repair it or leave it out")
    return columns


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
        yield from parquet_rows(path)
        return
    rows = _json_rows(path) if kind == "jsonl" else _delimited_rows(path, _DELIMITERS[kind])
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
    odd = b"\0" if any("\0" in name for name in header) else _not_utf8(header)
    if odd is not None:
        raise DataError(f"expected column names in UTF-8 in {str(path)!r} line 1, got bytes {odd!r}; convert the file")
    if not header or len(set(header)) < len(header) or "" in header:
        raise DataError(f"expected distinct column names in {str(path)!r} line 1, got {header!r}; name every column")
    return header


def _delimited_row(header: list[str], cells: list[str]) -> dict[str, Any] | str:
    if len(cells) != len(header):
        return f"{len(cells)} cells under {len(header)} column names"
    odd = _not_utf8(cells)
    if odd is not None:
        return f"bytes that are not UTF-8 ({odd!r})"
    return {name: cell if cell else None for name, cell in zip(header, cells, strict=True)}


def _not_utf8(cells: list[str]) -> bytes | None:
    """The first bytes that are not, and nothing around them."""
    found = next(filter(None, map(_ODD.search, cells)), None)
    return None if found is None else found.group().encode("utf-8", "surrogateescape")
