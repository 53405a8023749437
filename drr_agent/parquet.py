"""Parquet files row by row, where damage costs what is damaged and no more."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drr_agent.errors import DamagedError, DataError
from drr_agent.lines import is_gzip, open_bytes

ROWS_PER_BATCH = 1_000
_MOST_GZIPPED = 2**30

Outcome = tuple[int, dict[str, Any] | str]
"""A row's line and its cells, or what is wrong with it."""


def parquet_rows(path: Path) -> Iterator[Outcome]:
    """Every row by its position, from 1; a damaged row group costs its own rows alone.

    Raises:
        DamagedError: the file as a whole cannot be read.
    """
    with open_parquet(path) as file:
        first = 1
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            yield from _group_rows(file, group, first, end)
            first = end
        if first <= file.metadata.num_rows:
            yield first, f"damage that costs {file.metadata.num_rows - first + 1} rows: no row group speaks of them"


def open_parquet(path: Path) -> Any:
    """A `pyarrow.parquet.ParquetFile`, gzipped or not.

    Raises:
        DamagedError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = io.BytesIO(_gunzipped(path)) if is_gzip(path) else path
    try:
        return pq.ParquetFile(source, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"expected whole Parquet at {str(path)!r}, got damage ({error}); make it anew") from error


def _group_rows(file: Any, group: int, line: int, end: int) -> Iterator[Outcome]:
    """The rows of a row group; damage costs those from its place to the end of the group, and no other group's."""
    import pyarrow as pa

    why = "it ends early"
    try:
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, row_groups=[group]):
            yield from enumerate(_batch_rows(batch), start=line)
            line += batch.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        why = str(error)
    if line < end:
        yield line, f"damage in row group {group + 1}, which costs {end - line} rows ({why})"


def _batch_rows(batch: Any) -> list[dict[str, Any] | str]:
    """Every row; one with a cell that is no text, or no time that Python knows, does not cost the others."""
    try:
        found: list[dict[str, Any] | str] = batch.to_pylist()
    except (ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            return [f"a cell that cannot be read ({error})"]
        return [row for at in range(batch.num_rows) for row in _batch_rows(batch.slice(at, 1))]
    return found


def _gunzipped(path: Path) -> bytes:
    """A whole file: a gzip stream seeks by reading anew, and Parquet is read from its end."""
    with open_bytes(path) as stream:
        content = stream.read(_MOST_GZIPPED + 1)
    if len(content) > _MOST_GZIPPED:
        raise DataError(
            f"expected gzipped Parquet of at most {_MOST_GZIPPED} bytes at {str(path)!r}, got more; unpack it"
        )
    return content
