"""Files, plain or gzipped, and their lines one at a time with each line's number."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from drr_agent.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"


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
