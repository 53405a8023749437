"""What LangGraph's checkpointers store: checkpoints, and values as plain data and as runs.

Nothing that a value names is imported, built or run: what is somebody's object is left out.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import ormsgpack

from drr_agent.runs import check_run
from drr_agent.state import NO_USAGE, RUN_SCHEMA, Run, RunIdentity, add_usage

CHANNELS = ("drr_start", "drr_attempts", "drr")
"""The channels of a graph that tell of its runs; the values of others are never fetched."""
OBJECT = b""
"""Stands where an object stood: plain, but no field of a run takes it."""
_VALUE_CODES = (0, 3)
"""Extension types of LangGraph's serializer for a class and its one argument: an enum, a date, an id."""
_UNKNOWN: RunIdentity = {"reasoner": "unknown", "dm": None, "prompts": "", "policy": ""}

_NOBODY = dict.fromkeys(("run_id", "started_at", "question", "context"), "")
"""Stands for the start of a run, where none is stored."""


class Cell(NamedTuple):
    """A value as it is stored."""

    kind: str | None
    """How it was serialized, as the store says."""
    blob: object
    """Its bytes."""


class DamageError(Exception):
    """A thread of a store cannot be read to its end."""


class UndecodableError(ValueError):
    """A stored value that cannot be read, or must not be."""


class Write(NamedTuple):
    """What a task wrote to one of `CHANNELS`."""

    channel: str
    key: object
    """For `Store.cell`."""
    cell: Cell | None = None
    """Where it is at hand."""


class Checkpoint(NamedTuple):
    """A checkpoint, and what hangs on it."""

    namespace: str
    """Of a subgraph; empty for the outermost graph."""
    id: str
    parent: str | None
    step: int | None
    source: str | None
    """What made it: an `input`, or something else."""
    key: object
    """For `Store.state`; `None` where no checkpoint, or none that tells more, is stored."""
    tasks: int
    """How many wrote, to whatever channel: none, one, or 2 for several. Errors and interrupts are not counted."""
    writes: list[Write]
    stored: bool = True
    """Else there are its writes alone: it was deleted, or has not been saved yet, or never was."""


class Store(Protocol):
    """Where the values are."""

    def cell(self, key: object) -> Cell:
        """What a task wrote.

        Raises:
            UndecodableError: it cannot be.
        """
        ...

    def state(self, key: object) -> dict[str, object]:
        """What a checkpoint holds of `CHANNELS`, decoded.

        Raises:
            UndecodableError: it cannot be.
        """
        ...


def decode(kind: str | None, blob: object) -> Any:
    """A stored value as plain data; dates and enums in it are their text, messages and other objects `OBJECT`.

    Args:
        kind: how it was serialized, as the store says.
        blob: its bytes.

    Raises:
        UndecodableError: it is damaged, or serialized in a way that is not opened: encrypted, or a pickle.
    """
    if kind == "null":
        return None
    if kind not in ("msgpack", "json"):
        raise UndecodableError(f"a value stored as {kind!r:.40}, which is not opened: only msgpack and JSON are")
    if not isinstance(blob, bytes):
        raise UndecodableError(f"{type(blob).__name__} where the bytes of a value were expected")
    try:
        if kind == "msgpack":
            return ormsgpack.unpackb(blob, ext_hook=_plain, option=ormsgpack.OPT_NON_STR_KEYS)
        value = json.loads(blob)  # half of a surrogate pair may be in it, which no store takes
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise UndecodableError(f"torn or invalid {kind} ({error})") from error


def _plain(code: int, data: bytes) -> Any:
    """An object of somebody's class: its argument where that is a plain value."""
    if code not in _VALUE_CODES:
        return OBJECT
    try:
        return ormsgpack.unpackb(data, ext_hook=lambda _code, _data: OBJECT, option=ormsgpack.OPT_NON_STR_KEYS)[2]
    except (ValueError, TypeError, LookupError):
        return OBJECT


def encode(value: object) -> bytes:
    """Plain data as LangGraph would store it.

    Raises:
        UndecodableError: it is nested too deeply, or holds a number of more than 64 bits.
    """
    try:
        return ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise UndecodableError(f"a value beyond what msgpack holds ({error})") from error


def as_run(value: object) -> Run:
    """Plain data that is a run.

    Raises:
        UndecodableError: it is none.
    """
    reason = check_run(value)
    if reason is not None:
        raise UndecodableError(reason)
    return cast("Run", value)


def unfinished(start: object, attempts: object) -> Run:
    """A run that has no `drr`, from what `begin` fixed and the attempts so far.

    Raises:
        UndecodableError: they are not those of a run.
    """
    if not isinstance(start, dict):
        raise UndecodableError("the start of a run that is no record")
    assignment, identity = (start.get(name) or {} for name in ("assignment", "identity"))
    if not isinstance(assignment, dict) or not isinstance(identity, dict):
        raise UndecodableError("the start of a run whose assignment or identity is no record")
    run = as_run(
        {
            "schema": RUN_SCHEMA,
            **{name: start.get(name) for name in ("run_id", "started_at", "question", "context")},
            **dict.fromkeys(("answer", "score", "choice")),
            "accepted": False,
            "stop_reason": "interrupted",
            "attempts": attempts or [],
            "usage": NO_USAGE,
            "seconds": 0.0,
            **{name: identity.get(name, unknown) for name, unknown in _UNKNOWN.items()},
            "origin": assignment.get("origin", "live"),
            **{name: assignment.get(name) for name in ("sample_id", "target", "draw")},
        }
    )
    run["usage"] = add_usage(attempt["usage"] for attempt in run["attempts"])
    run["seconds"] = round(sum(attempt["seconds"] for attempt in run["attempts"]), 4)
    return run


Load = Callable[[], object]


class State(NamedTuple):
    """What the channels of a graph hold, at a checkpoint or after it."""

    start: Load | None = None
    attempts: Load | None = None
    ended: bool = True
    """Whether nothing is open: the run has its `drr`, or none was begun."""
    last: str | None = None
    """Id of the run in `drr`, be it this one or one before it."""
    before: str | None = None
    """`last`, when this run began."""
    asked: bool = False
    """Whether a question came since, so that another run is about to begin."""

    def run(self) -> Run:
        """The run that has not ended; one whose start is not known has no name.

        Raises:
            UndecodableError: it is damaged.
        """
        start = _NOBODY if self.start is None else self.start()
        return unfinished(start, None if self.attempts is None else self.attempts())
