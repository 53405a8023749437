"""Grouping and ordering of records that may not fit in memory, in a temporary SQLite database.

SQLite keeps what is small in its cache and spills the rest to a temporary file, which the system removes.
"""

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import groupby
from operator import itemgetter
from typing import Any, ParamSpec, TypeVar

from drr_agent.errors import DataError

_CACHE_KIB = 64 * 1024
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_P = ParamSpec("_P")
_T = TypeVar("_T")


def open_scratch() -> sqlite3.Connection:
    """A private database that nobody else sees and that is gone when it is closed.

    Whatever is done with it raises a `DataError` where the disk is full, or takes no files.
    """
    connection = sqlite3.connect("", isolation_level=None, factory=_Scratch)
    connection.execute(f"pragma cache_size = -{_CACHE_KIB}")
    connection.execute("pragma journal_mode = off")
    connection.execute("pragma synchronous = off")
    connection.execute("pragma temp_store = file")
    return connection


def _needs_room(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """A method that tells of a disk without room: reading may need some too, to sort."""

    @wraps(method)
    def call(*args: _P.args, **settings: _P.kwargs) -> _T:
        try:
            return method(*args, **settings)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _NO_ROOM:  # the lowest byte of a code is its kind
                raise
            raise DataError(
                f"expected room for temporary files in {_folder()!r}, got an error ({error}); "
                "free some space there, or name another folder by the environment variable SQLITE_TMPDIR"
            ) from error

    return call


def _folder() -> str:
    """Where SQLite puts temporary files."""
    if os.name == "nt":
        return tempfile.gettempdir()
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")
    usable = (folder for folder in named if folder and os.access(folder, os.W_OK | os.X_OK))
    return next(usable, ".")


class _Cursor(sqlite3.Cursor):
    """Of what a cursor can do, what is done with a scratch."""

    execute = _needs_room(sqlite3.Cursor.execute)
    executescript = _needs_room(sqlite3.Cursor.executescript)
    fetchone = _needs_room(sqlite3.Cursor.fetchone)
    fetchall = _needs_room(sqlite3.Cursor.fetchall)
    __next__: Any = _needs_room(sqlite3.Cursor.__next__)


class _Scratch(sqlite3.Connection):
    """Does everything by its own cursors."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self.cursor(_Cursor).execute(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        return self.cursor(_Cursor).executescript(sql_script)


class Spool:
    """Takes JSON records in any order and gives them back by key, each key's in order."""

    def __init__(self) -> None:
        self._scratch = open_scratch()
        self._scratch.execute('create table records (key text, "order" text, record text)')
        self._scratch.execute("begin")

    def add(self, key: str, order: str, record: object) -> None:
        """Take a record.

        Args:
            key: its group.
            order: its place in the group; equal places keep the order in which they came.
            record: plain JSON.
        """
        texts = (key.encode("utf-8", "replace").decode(), order.encode("utf-8", "replace").decode(), json.dumps(record))
        self._scratch.execute("insert into records values (?, ?, ?)", texts)

    def groups(self) -> Iterator[tuple[str, list[Any]]]:
        """Every key in order, with its records."""
        rows = self._scratch.execute('select key, record from records order by key, "order", rowid')
        for key, group in groupby(rows, key=itemgetter(0)):
            yield key, [json.loads(record) for _, record in group]

    def close(self) -> None:
        """Drop everything."""
        self._scratch.close()
