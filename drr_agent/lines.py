"""Files of lines, plain or gzipped: read one at a time with their numbers, appended one at a time for good."""

import gzip
import json
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from drr_agent.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_WRITING = threading.Lock()
"""A line that another thread is in the middle of writing looks torn."""


class GzipDamageError(DataError):
    """A gzip file ends early or is broken; what was read before stands."""


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, through gzip where its content says so.

    Raises:
        DataError: there is no file at `path`.
        GzipDamageError: at the place of damage, on reading.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"expected a file at {str(path)!r}, found {found}; check the path")
    with path.open("rb") as plain:
        compressed = plain.read(2) == _GZIP_MAGIC
    with cast("IO[bytes]", gzip.open(path)) if compressed else path.open("rb") as stream:
        try:
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise GzipDamageError(
                f"expected a whole gzip file at {str(path)!r}, got damage ({error}); make it anew"
            ) from error


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every line with its number, from 1, its line ending included.

    Raises:
        DataError: as `open_bytes`; lines before a damaged place are given first.
    """
    with open_bytes(path) as stream:
        yield from enumerate(stream, start=1)


def append_line(path: Path, record: object) -> None:
    """Write a JSON line, durably and by one write; a torn line that a crash left before it is not extended."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass") + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        with _WRITING:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            _write_all(descriptor, b"\n" + line if torn else line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, payload: bytes) -> None:
    """One write where the system takes it whole, which is what lets processes share a log."""
    written = os.write(descriptor, payload)
    while written < len(payload):
        written += os.write(descriptor, payload[written:])
