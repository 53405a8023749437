"""The database of a `SqliteSaver` or `AsyncSqliteSaver`, as runs."""

import os
import sqlite3
import struct
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from drr_agent.errors import DamagedError, DataError
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.checkpoints import read_threads
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.sqlite_rows import SQLITE_ERRORS, Values, checkpoints, text
from drr_agent.training.sources.stored import Checkpoint, DamageError

_LOG_HEADER, _FRAME_HEADER = 32, 24
_PAGE_SIZES = [2**power for power in range(9, 17)]
_MAGIC = b"SQLite format 3\0"
_WAL_MODE = b"\2"
"""The nineteenth byte of a database whose writers keep a write-ahead log."""
_CACHE_KIB, _CHECK_CACHE_KIB = 32 * 1024, 2 * 1024
"""Of the page cache: a walk through every page comes by each once."""
_SHOWN_CHARS = 200
_LOCKLESS = {"posix": "unix-none", "nt": "win32-none"}
_THREADS = "select distinct thread_id from checkpoints order by 1"
_COUNT = "select count(*) from writes where channel = 'drr_attempts'"
_CHECKED = ("sqlite_master", "checkpoints", "writes")
"""What is read of a database; its other tables may need modules and collations that are not here."""
_BARE_THREADS = """
select distinct thread_id from writes w
where not exists (select 1 from checkpoints c where c.thread_id = w.thread_id) order by 1
"""


def is_sqlite(path: Path) -> bool:
    """Whether a file is a SQLite database."""
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


@dataclass(frozen=True, kw_only=True)
class SqliteReader:
    """A checkpointer's SQLite database, whether its writer is alive, gone or killed; nothing is ever written to it."""

    path: Path
    kind: str = "sqlite"

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def expected(self) -> int | None:
        """By the writes of attempts: `score` and `decide` make one each."""
        path = self.path.resolve()
        with closing(_connect(path, _manner(path))) as connection:
            try:
                (count,) = connection.execute(_COUNT).fetchone()
            except SQLITE_ERRORS:  # damage, which `entries` tells of in its place
                return None
        return count // 2 or None

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """Every run of every thread; at the end, whether the file is damaged, since rows in it may be lost unseen.

        Raises:
            DataError: there is no such file, or it is not a checkpointer's database, or nothing of it can be read.
        """
        path = self.path.resolve()
        manner = _manner(path)
        before = _version(path)
        with closing(_connect(path, manner)) as connection, _checked(path, manner) as damaged:
            yield from read_threads(_threads(connection, path), Values(connection))
            damage = _log_damage(path) or damaged.result()
        if manner.unwatched and _version(path) != before:
            yield LostEntry("end of file", Flaw("unreadable", "somebody wrote to it meanwhile; harvest it again"))
        elif damage is not None:
            yield LostEntry("the whole file", Flaw("unreadable", f"damaged, so that more may be lost ({damage})"))


class _Manner(NamedTuple):
    """How to open a database."""

    options: str = ""
    exclusively: bool = False
    """Keep the index of its log in memory."""
    unwatched: bool = False
    """Without locks: nobody had it open."""


def _manner(path: Path) -> _Manner:
    """How to open a database so that nothing appears beside it, not even for its readers.

    Those who have it open share the index of its log in a file. Where there is none, SQLite would make one.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"expected a SQLite database at {str(path)!r}, found {found}; check the path")
    with path.open("rb") as stream:
        keeps_log = stream.read(20)[18:19] == _WAL_MODE
    log, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    if not keeps_log or index.exists():
        return _Manner()
    if not log.exists() or log.stat().st_size == 0:
        return _Manner("&immutable=1", unwatched=True)
    lockless = _LOCKLESS.get(os.name)
    return _Manner() if lockless is None else _Manner(f"&vfs={lockless}", exclusively=True, unwatched=True)


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _connect(path: Path, manner: _Manner, *, cache_kib: int = _CACHE_KIB) -> sqlite3.Connection:
    """A connection that sees one state of the database throughout."""
    uri = f"{path.as_uri()}?mode=ro{manner.options}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.text_factory = bytes
    try:
        if manner.exclusively:
            connection.execute("pragma locking_mode = exclusive")
        connection.execute("pragma trusted_schema = off")
        connection.execute(f"pragma cache_size = -{cache_kib}")
        connection.execute("begin")
        found = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    except SQLITE_ERRORS as error:
        connection.close()
        raise _unusable(path, error) from error
    tables = sorted(text(name) for (name,) in found)
    if not {"checkpoints", "writes"} <= set(tables):
        connection.close()
        raise DataError(
            f"expected the tables `checkpoints` and `writes` of a checkpointer in {str(path)!r}, "
            f"found {', '.join(tables) or 'none'}; name the database that a SqliteSaver writes"
        )
    return connection


def _unusable(path: Path, error: Exception) -> DamagedError:
    return DamagedError(
        f"expected a checkpointer's SQLite database at {str(path)!r}, got one that cannot be read ({error}); "
        "restore it from a copy, or with `.recover` of the `sqlite3` shell"
    )


def _threads(connection: sqlite3.Connection, path: Path) -> Iterator[tuple[str, Iterator[Checkpoint]]]:
    started = False
    try:
        for query in (_THREADS, _BARE_THREADS):
            for (thread,) in connection.execute(query):
                started = True
                yield text(thread), checkpoints(connection, thread)
    except SQLITE_ERRORS as error:
        if not started:
            raise _unusable(path, error) from error
        yield "(all others)", _broken(str(error))


@contextmanager
def _checked(path: Path, manner: _Manner) -> Iterator[Future[str | None]]:
    """What `_damage` finds, looked for beside the reading; who leaves early does not wait for it."""
    with closing(_connect(path, manner, cache_kib=_CHECK_CACHE_KIB)) as connection, ThreadPoolExecutor(1) as executor:
        try:
            yield executor.submit(_damage, connection)
        finally:
            connection.interrupt()


def _damage(connection: sqlite3.Connection) -> str | None:
    """The first flaw in what was read, if there is one.

    A damaged page may well give fewer rows and no error. This goes through every page once, and looks up every row in
    its index and back: 200 MB take a quarter of a second where the system has them at hand.
    """
    for table in _CHECKED:
        try:
            ((found,), *_) = connection.execute(f"pragma integrity_check({table})")
        except SQLITE_ERRORS as error:
            return str(error)
        if found != b"ok":
            return " ".join(text(found).split())[:_SHOWN_CHARS]
    return None


def _log_damage(path: Path) -> str | None:
    """Where a write-ahead log breaks off although more was committed, if it does.

    SQLite takes the first frame whose sum is wrong for the end of the log, and tells nobody. Frames of an older log,
    which this one is written over, have other salts.
    """
    with suppress(FileNotFoundError), path.with_name(path.name + "-wal").open("rb") as log:
        if _first_torn_frame(log) is not None:
            log.seek(0)
            return _first_torn_frame(log)  # a writer may have been in the middle of a frame
    return None


def _first_torn_frame(log: IO[bytes]) -> str | None:
    header = log.read(_LOG_HEADER)
    if len(header) < _LOG_HEADER:
        return None
    magic, _, page, _, *salts = struct.unpack(">6I", header[:24])
    words = f"{'>' if magic & 1 else '<'}%dI"
    sums, torn = _sums(words, header[:24], (0, 0)), None
    if sums != struct.unpack(">2I", header[24:]) or page not in _PAGE_SIZES:
        return "its write-ahead log begins with damage"
    for number, frame in enumerate(iter(partial(log.read, _FRAME_HEADER + page), b""), start=1):
        if len(frame) < _FRAME_HEADER + page:
            break
        _, commits, *found = struct.unpack(">6I", frame[:_FRAME_HEADER])
        if torn is None:
            sums = _sums(words, frame[:8] + frame[_FRAME_HEADER:], sums)
            torn = None if found == [*salts, *sums] else number
        elif commits and found[:2] == salts:
            return f"its write-ahead log breaks off at frame {torn}, and more was committed"
    return None


def _sums(words: str, content: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    """The sums that a log keeps of itself, as its format defines them."""
    one, two = sums
    numbers = struct.unpack(words % (len(content) // 4), content)
    for even, odd in zip(numbers[::2], numbers[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return one, two


def _broken(reason: str) -> Iterator[Checkpoint]:
    yield from ()
    raise DamageError(reason)
