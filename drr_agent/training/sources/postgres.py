"""The tables of a `PostgresSaver` or `AsyncPostgresSaver`, as runs."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, cast
from urllib.parse import unquote

from drr_agent.errors import DataError, require_extra
from drr_agent.training.sources.checkpoints import read_threads
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.stored import CHANNELS, Cell, Checkpoint, Write, decode

_URI = re.compile(r"postgres(ql)?://")
_KEYWORDS = re.compile(r"\s*(host|hostaddr|port|dbname|user|password|service)\s*=")
_USER_PASSWORD = re.compile(r"(?<=://)([^:/?#@]*):(.*)@")
_PASSWORD = re.compile(r"(?i)\b(password|sslpassword)(\s*=\s*)('(?:\\.|[^'\\])*'|[^&\s]*)")
_PAIR = re.compile(r"\s*(\w+)\s*=\s*((?:'(?:\\.|[^'\\])*'|(?:\\.|[^\s\\'])*)(?=\s|$))")
_PAIRS = re.compile(f"(?:{_PAIR.pattern})*\\s*")
_SHOWN = ("user", "host", "port", "dbname", "service")
"""What is told of an address; other parts may hold secrets, or say nothing of where it is."""
_TIMEOUT = re.compile(r"(?i)\bconnect_timeout\s*=")
_CONNECT_SECONDS = 10
_WHOLE = re.compile(r"-?\d{1,9}")
_THREADS_AT_ONCE = 200
_ROWS_AT_ONCE = 100

_BOTH = "w.thread_id = c.thread_id and w.checkpoint_ns = c.checkpoint_ns and w.checkpoint_id = c.checkpoint_id"
_OURS = "w.channel = any(%(ours)s)"
_THREADS = """
select thread_id from (select thread_id from checkpoints union select thread_id from checkpoint_writes) both_tables
order by thread_id collate "C"
"""
# below 0 are the indexes of errors and interrupts
_CHECKPOINTS = f"""
select c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.metadata ->> 'step',
    c.metadata ->> 'source', coalesce(c.checkpoint -> 'channel_versions' ?| %(ours)s, false),
    (select min(w.task_id) = max(w.task_id) from checkpoint_writes w where {_BOTH} and w.idx >= 0),
    w.task_id, w.idx, w.channel, w.type, case when w.channel = 'drr' then w.blob end
from checkpoints c left join checkpoint_writes w on {_BOTH} and {_OURS}
where c.thread_id = any(%(threads)s)
order by c.thread_id collate "C", c.checkpoint_ns collate "C", c.checkpoint_id collate "C", w.task_id, w.idx
"""
_BARE_WRITES = f"""
select w.thread_id, w.checkpoint_ns, w.checkpoint_id, null, null, null, null, true,
    w.task_id, w.idx, w.channel, w.type, null
from checkpoint_writes w
where w.thread_id = any(%(threads)s) and {_OURS} and not exists (select 1 from checkpoints c where {_BOTH})
order by w.thread_id collate "C", w.checkpoint_ns collate "C", w.checkpoint_id collate "C", w.task_id, w.idx
"""  # of a checkpoint that was deleted, or has not been saved, or not yet
_COUNT = "select count(*) from checkpoint_writes where channel = 'drr_attempts'"
_CELL = """
select type, blob from checkpoint_writes
where thread_id = %s and checkpoint_ns = %s and checkpoint_id = %s and task_id = %s and idx = %s
"""
_STATE = """
select b.channel, b.type, b.blob from checkpoints c join checkpoint_blobs b
    on b.thread_id = c.thread_id and b.checkpoint_ns = c.checkpoint_ns and b.channel = any(%s)
    and b.version = c.checkpoint -> 'channel_versions' ->> b.channel
where c.thread_id = %s and c.checkpoint_ns = %s and c.checkpoint_id = %s and b.type <> 'empty'
"""


def is_postgres(location: str) -> bool:
    """Whether a text is the address of a PostgreSQL database: a URI or `host=… dbname=…`."""
    return _URI.match(location) is not None or _KEYWORDS.match(location) is not None


@dataclass(frozen=True, kw_only=True)
class PostgresReader:
    """A checkpointer's PostgreSQL database, read in one transaction that sees one state of it and writes nothing."""

    dsn: str = field(repr=False)
    """Its address, as for `psycopg.connect`."""
    kind: str = "postgres"

    @property
    def location(self) -> str:
        """User, host, port, database and service of the address, and nothing else."""
        if _URI.match(self.dsn):
            place, _, settings = _USER_PASSWORD.sub(r"\1@", self.dsn).partition("?")
            shown = "&".join(pair for pair in settings.split("&") if unquote(pair.partition("=")[0]) in _SHOWN)
            return f"{place}?{shown}" if shown else place
        if not _PAIRS.fullmatch(self.dsn):
            return "(an address that cannot be read)"
        shown = " ".join(f"{name}={value}" for name, value in _PAIR.findall(self.dsn) if name in _SHOWN)
        return shown or "(the default server)"

    def expected(self) -> int | None:
        """By the writes of attempts: `score` and `decide` make one each.

        Raises:
            DataError, MissingExtraError: as `entries`.
        """
        with self._connected() as connection:
            (count,) = connection.execute(_COUNT).fetchone()
        return count // 2 or None

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """Every run of every thread.

        Raises:
            DataError: the database cannot be reached or read, or has no checkpointer's tables.
            MissingExtraError: psycopg is not installed.
        """
        with self._connected() as connection:
            yield from read_threads(_threads(connection), _Values(connection))

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        psycopg: Any = require_extra("psycopg", extra="postgres", purpose="harvesting PostgreSQL")
        try:
            with psycopg.connect(self.dsn, client_encoding="utf8", **self._patience()) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                yield connection
        except (psycopg.Error, UnicodeDecodeError) as error:
            raise DataError(
                f"expected the tables of a PostgresSaver at {self.location}, got {self._told(error)}; check the "
                "address, your rights there, and that the saver's `setup` has run"
            ) from None  # what it was raised from may show the password

    def _patience(self) -> dict[str, int]:
        """How long to wait for a host that does not answer; psycopg alone would wait two minutes."""
        is_given = _TIMEOUT.search(self.dsn) is not None or "PGCONNECT_TIMEOUT" in os.environ
        return {} if is_given else {"connect_timeout": _CONNECT_SECONDS}

    def _told(self, error: Any) -> str:
        """An error without any part of a password."""
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        said = f"{type(error).__name__}: {primary or ' '.join(str(error).split())}"
        if (
            primary is None and type(error).__name__ == "ProgrammingError"
        ):  # of an address it cannot read, it quotes some
            return type(error).__name__
        passwords = [found[3] for found in _PASSWORD.finditer(self.dsn)]
        passwords += [found[2] for found in _USER_PASSWORD.finditer(self.dsn)]
        for part in {part for password in passwords for part in re.split(r"\W+", f"{password} {unquote(password)}")}:
            said = said.replace(part, "***") if part else said
        return said


def _threads(connection: Any) -> Iterator[tuple[str, Iterator[Checkpoint]]]:
    with connection.cursor(name="drr_threads") as names:
        names.execute(_THREADS)
        while threads := [name for (name,) in names.fetchmany(_THREADS_AT_ONCE)]:
            given = {"threads": threads, "ours": list(CHANNELS)}
            bare: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
            for row in connection.execute(_BARE_WRITES, given):
                bare[row[0]].append(row)
            with connection.cursor(name="drr_checkpoints", binary=True) as rows:
                rows.itersize = _ROWS_AT_ONCE
                rows.execute(_CHECKPOINTS, given)
                for thread, group in groupby(rows, key=itemgetter(0)):
                    yield thread, _checkpoints(merge(group, bare.pop(thread, ()), key=itemgetter(1)))
            for thread, left in bare.items():
                yield thread, _checkpoints(left)


def _checkpoints(rows: Iterable[tuple[Any, ...]]) -> Iterator[Checkpoint]:
    """A checkpoint for the rows of each, one for each write of ours on it."""
    for (thread, namespace, name), group in groupby(rows, key=itemgetter(0, 1, 2)):
        first, *more = group
        _, _, _, parent, step, source, holds, alone, *_ = first
        yield Checkpoint(
            namespace=namespace,
            id=name,
            parent=parent,
            step=int(step) if step is not None and _WHOLE.fullmatch(step) else None,
            source=source,
            key=(thread, namespace, name) if holds else None,
            tasks=0 if alone is None else 1 if alone else 2,
            writes=[_write(row) for row in (first, *more) if row[10] is not None],
            stored=holds is not None,
        )


def _write(row: tuple[Any, ...]) -> Write:
    *place, task, index, channel, kind, blob = row
    return Write(channel, (*place[:3], task, index), None if blob is None else Cell(kind, blob))


class _Values:
    """Single values, by their keys."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def cell(self, key: object) -> Cell:
        """What a task wrote."""
        return Cell(*self._connection.execute(_CELL, key).fetchone())

    def state(self, key: object) -> dict[str, object]:
        """What a checkpoint holds of our channels."""
        if key is None:
            return {}
        rows = self._connection.execute(_STATE, (list(CHANNELS), *cast("tuple[str, ...]", key))).fetchall()
        return {channel: decode(kind, blob) for channel, kind, blob in rows}
