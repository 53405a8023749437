"""Grouping and ordering of records that may not fit in memory, in a temporary SQLite database.

SQLite keeps what is small in its cache and spills the rest to a temporary file, which the system removes.
"""

import json
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

_CACHE_KIB = 64 * 1024


def open_scratch() -> sqlite3.Connection:
    """A private database that nobody else sees and that is gone when it is closed."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute(f"pragma cache_size = -{_CACHE_KIB}")
    connection.execute("pragma journal_mode = off")
    connection.execute("pragma synchronous = off")
    connection.execute("pragma temp_store = file")
    return connection


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
