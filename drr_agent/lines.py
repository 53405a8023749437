"""Files of lines, plain or gzipped, read and appended one at a time; and files that are held, or replaced whole.

A small gzip file may hold one line without end, and so may a damaged log: a line that is too long to be held is passed
over, piece by piece, and what stands in its place is nothing that any format takes.
"""

import gzip
import json
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, cast

from filelock import FileLock, Timeout

from drr_agent.errors import DamagedError, DataError

_GZIP_MAGIC = b"\x1f\x8b"
MOST_LINE_BYTES = 2**28
"""A longer line is taken for damage. Messages of 10 MB, some to an attempt and some attempts to a run, are far below,
and the JSON of this many bytes still fits into the memory of a small machine."""
_PIECE_BYTES = 2**20
_LOOKED_AT = 2**24
"""Bytes that tell how long a line is."""
_WRITING = threading.Lock()
"""A line that another thread is in the middle of writing looks torn."""


class GzipDamageError(DamagedError):
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
    with cast("IO[bytes]", gzip.open(path)) if is_gzip(path) else path.open("rb") as stream:
        try:
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise GzipDamageError(
                f"expected a whole gzip file at {str(path)!r}, got damage ({error}); make it anew"
            ) from error


def is_gzip(path: Path) -> bool:
    """Whether a file is gzipped, by its first bytes."""
    with path.open("rb") as plain:
        return plain.read(2) == _GZIP_MAGIC


class LongLine(bytes):
    """Stands for a line of more than `MOST_LINE_BYTES`: a remark, which is neither JSON nor blank."""


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every line with its number, from 1, its line ending included; a `LongLine` for one that is too long.

    Raises:
        DataError: as `open_bytes`; lines before a damaged place are given first.
    """
    with open_bytes(path) as stream:
        most = MOST_LINE_BYTES + 1
        for number, line in enumerate(iter(partial(stream.readline, most), b""), start=1):
            if len(line) < most:
                yield number, line
            else:
                _pass_over(line[-1:], stream)
                yield number, LongLine(b"a line of more than %d bytes" % MOST_LINE_BYTES)


def _pass_over(piece: bytes, stream: IO[bytes]) -> None:
    """Read on to the end of the line that a piece is of."""
    while piece and not piece.endswith(b"\n"):
        piece = stream.readline(_PIECE_BYTES)


def estimate_lines(path: Path) -> int | None:
    """About how many lines a plain file has, by its size and the length of the first; `None` for a gzipped one."""
    if is_gzip(path):
        return None
    with path.open("rb") as stream:
        head = stream.read(_LOOKED_AT)
    return round(path.stat().st_size * max(head.count(b"\n"), 1) / len(head)) if head else 0


def append_line(path: Path, record: object) -> None:
    """Write a JSON line, durably and by one write; a torn line that a crash left before it is not extended."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass") + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+", buffering=0, opener=_open_private) as stream:
        with _WRITING:
            _write_all(stream, line if _ends_whole(stream) else b"\n" + line)
        os.fsync(stream.fileno())


def write_whole(path: Path, text: str) -> None:
    """Write or replace a file in one step: no reader sees half, and a full disk leaves nothing beside it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def hold(path: Path, *, by: str) -> Iterator[None]:
    """Hold a file against other processes; the system lets go of it when the process dies.

    Args:
        path: the file; the lock stands beside it.
        by: who else may hold it, for the error.

    Raises:
        DataError: somebody does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(path.name + ".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DataError(
            f"expected {str(path)!r} to be nobody's, but {by} holds it; wait for it, or name another"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ends_whole(stream: IO[bytes]) -> bool:
    """Whether a file is empty or ends with a line ending."""
    if stream.seek(0, os.SEEK_END) == 0:
        return True
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"


def _write_all(stream: IO[bytes], payload: bytes) -> None:
    """One write where the system takes it whole, which is what lets processes share a log."""
    written = stream.write(payload)
    while written < len(payload):
        written += stream.write(payload[written:])
