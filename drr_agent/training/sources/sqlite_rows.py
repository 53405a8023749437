"""The rows of a checkpointer's SQLite database, as checkpoints."""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from drr_agent.training.sources.stored import CHANNELS, Cell, Checkpoint, DamageError, UndecodableError, Write, decode

SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged database raises; the second, where its own message holds the damage."""
_OURS = {channel.encode(): channel for channel in CHANNELS}
_MARKS = {b"drr_start": "s", b"drr_attempts": "a"}
_END, _OTHER = "d", "x"
_ENDED_RUNS = re.compile("(?:sa+d)+")
_READABLE = ("msgpack", "json", "pickle")
"""Serializations that show whether a state holds a channel without being opened."""

_OUR_WRITES = f"w.channel in ({', '.join(map(repr, CHANNELS))})"
_BOTH = "w.thread_id = c.thread_id and w.checkpoint_ns = c.checkpoint_ns and w.checkpoint_id = c.checkpoint_id"
_OUTLINE = f"""
select w.checkpoint_ns, w.checkpoint_id, w.task_id, w.channel, w.rowid from writes w
where w.thread_id = cast(? as text) and {_OUR_WRITES}
order by w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx
"""
_ANY_WRITE = "select 1 from writes where thread_id = cast(? as text) limit 1"
# below 0 are the indexes of errors and interrupts
_COUNTS = f"""
select c.checkpoint_ns, count(*), sum(exists (select 1 from writes w where {_BOTH} and w.idx >= 0)) from checkpoints c
where c.thread_id = cast(? as text)
group by c.checkpoint_ns order by c.checkpoint_ns
"""
_CHECKPOINTS = f"""
select c.checkpoint_id, c.parent_checkpoint_id, c.metadata, c.rowid,
    (select min(w.task_id) = max(w.task_id) from writes w where {_BOTH} and w.idx >= 0), w.channel, w.rowid
from checkpoints c left join writes w on {_BOTH} and {_OUR_WRITES}
where c.thread_id = cast(? as text) and c.checkpoint_ns = cast(? as text)
order by c.checkpoint_id, w.task_id, w.idx
"""
_BARE_WRITES = f"""
select w.checkpoint_id, null, null, null, 1, w.channel, w.rowid from writes w
where w.thread_id = cast(? as text) and w.checkpoint_ns = cast(? as text) and {_OUR_WRITES}
    and not exists (select 1 from checkpoints c where {_BOTH})
order by w.checkpoint_id, w.task_id, w.idx
"""  # of a checkpoint that was deleted, or has not been saved, or not yet


class _Outline:
    """The order of our writes in a namespace, and which of them are ends."""

    def __init__(self) -> None:
        self.marks: list[str] = []
        self.ends: list[tuple[bytes, object]] = []
        self._said: tuple[bytes, bytes] | None = None

    def add(self, checkpoint: bytes, task: bytes, channel: bytes, key: object) -> None:
        """Take the next write. A run ends together with its attempts; another write of `drr` is a label, perhaps."""
        said = (checkpoint, task)
        if channel == b"drr":
            self.ends.append((checkpoint, key))
            self.marks.append(_END if said == self._said else _OTHER)
        else:
            self.marks.append(_MARKS[channel])
        self._said = said

    def all_ended(self, *, unwritten: int) -> bool:
        """Whether run followed run, each to its end.

        Then only the checkpoint after an end has no writes. One whose steps were not saved has none either, and every
        branch of a fork has a last one.
        """
        return len(self.ends) == unwritten and _ENDED_RUNS.fullmatch("".join(self.marks)) is not None

    def checkpoints(self, namespace: str) -> Iterator[Checkpoint]:
        """The last writes alone."""
        for checkpoint, key in self.ends:
            yield Checkpoint(namespace, text(checkpoint), None, -1, "input", None, 1, [Write("drr", key)])


def checkpoints(connection: sqlite3.Connection, thread: object) -> Iterator[Checkpoint]:
    """What tells of the runs of a thread: where all of them ended as they should, their last writes alone.

    Raises:
        DamageError: the database breaks off here.
    """
    try:
        outlines: dict[object, _Outline] = defaultdict(_Outline)
        for namespace, *write in connection.execute(_OUTLINE, (thread,)):
            outlines[namespace].add(*write)
        counts = connection.execute(_COUNTS, (thread,)).fetchall()
        for namespace, total, written in counts:
            outline = outlines.pop(namespace, None)
            if outline is not None and outline.all_ended(unwritten=total - written):
                yield from outline.checkpoints(text(namespace))
            else:
                yield from _walk(connection, thread, namespace)
        for namespace in outlines:
            yield from _walk(connection, thread, namespace)
        found = counts or outlines or connection.execute(_ANY_WRITE, (thread,)).fetchone()
    except SQLITE_ERRORS as error:
        raise DamageError(str(error)) from error
    if not found:
        raise DamageError("nothing that can be found by its name")


def _walk(connection: sqlite3.Connection, thread: object, namespace: object) -> Iterator[Checkpoint]:
    for query, stored in ((_CHECKPOINTS, True), (_BARE_WRITES, False)):
        for _, rows in groupby(connection.execute(query, (thread, namespace)), key=itemgetter(0)):
            yield _checkpoint(text(namespace), list(rows), stored=stored)


def _checkpoint(namespace: str, rows: list[tuple[Any, ...]], *, stored: bool) -> Checkpoint:
    """A checkpoint from its rows, one for each write of ours on it."""
    name, parent, metadata, key, alone, *_ = rows[0]
    step, source = _origin(metadata)
    tasks = 0 if alone is None else 1 if alone else 2
    writes = [Write(_OURS[channel], write) for *_, channel, write in rows if channel is not None]
    parent = None if parent is None else text(parent)
    return Checkpoint(namespace, text(name), parent, step, source, key, tasks, writes, stored)


@lru_cache(maxsize=64)
def _origin(metadata: object) -> tuple[int | None, str | None]:
    """Step and source of a checkpoint; graphs write few kinds of metadata, many times."""
    try:
        said = json.loads(metadata) if isinstance(metadata, bytes) else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return None, None
    step, source = said.get("step"), said.get("source")
    return step if isinstance(step, int) else None, source if isinstance(source, str) else None


def text(value: object) -> str:
    """A name, to be shown and compared; damaged databases have other values than text."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class Values:
    """Single values, by their rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cell(self, key: object) -> Cell:
        """What a task wrote."""
        return self._fetch("select type, value from writes where rowid = ?", key)

    def state(self, key: object) -> dict[str, object]:
        """What a checkpoint holds of our channels."""
        if key is None:
            return {}
        cell = self._fetch("select type, checkpoint from checkpoints where rowid = ?", key)
        if cell.kind in _READABLE and isinstance(cell.blob, bytes) and b"drr" not in cell.blob:
            return {}
        held = decode(*cell)
        values = held.get("channel_values") if isinstance(held, dict) else None
        if not isinstance(values, dict):
            raise UndecodableError("a checkpoint without the values of its channels")
        return {channel: values[channel] for channel in CHANNELS if values.get(channel) is not None}

    def _fetch(self, query: str, key: object) -> Cell:
        try:
            row = self._connection.execute(query, (key,)).fetchone()
        except SQLITE_ERRORS as error:
            raise UndecodableError(str(error)) from error
        if row is None:
            raise UndecodableError("a row that its index does not lead to")
        return Cell(text(row[0]), row[1])
