"""Any checkpointer that can list what it holds, as runs."""

import asyncio
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from drr_agent.errors import ConfigError, DataError
from drr_agent.state import Run
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.branches import Found, Shelf, chain, digest
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.stored import CHANNELS, UndecodableError, as_run, decode, encode, unfinished


@dataclass(frozen=True, kw_only=True)
class SaverReader:
    """A checkpointer of the calling program, such as an `InMemorySaver`.

    It lists whole states, some of them many times over: for databases, `SqliteReader` and `PostgresReader` are faster
    and need less memory. With LangGraph's own serializer, nothing that is stored is imported or unpickled.
    """

    saver: BaseCheckpointSaver[Any]
    kind: str = "saver"

    def __post_init__(self) -> None:
        """Check that the saver can be listed here."""
        if not isinstance(self.saver, BaseCheckpointSaver):
            raise ConfigError(f"`saver` must be a LangGraph checkpointer, got {type(self.saver).__name__}; pass one")
        if isinstance(getattr(self.saver, "loop", None), asyncio.AbstractEventLoop):
            raise ConfigError(
                f"`saver` must be one that needs no event loop, got {self.location}; "
                "pass its synchronous form, or harvest its database"
            )

    @property
    def location(self) -> str:
        """The saver's class."""
        return type(self.saver).__name__

    def expected(self) -> int | None:
        """Unknown: a checkpointer cannot count."""
        return None

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """Every run of every thread.

        Raises:
            DataError: the saver cannot be listed at all.
        """
        shelf = Shelf()
        try:
            found = _Listing(shelf)
            found.read(_plainly(self.saver))
            yield from found.lost.values()
            yield from shelf.give(set())
        finally:
            shelf.close()


class _PlainSerializer(JsonPlusSerializer):
    """Gives plain data, and the error where there is none: one bad value must not end the list."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        try:
            return bytes(data[1]) if data[0] in ("bytes", "bytearray") else decode(data[0], bytes(data[1] or b""))
        except UndecodableError as error:
            return error


def _plainly(saver: BaseCheckpointSaver[Any]) -> BaseCheckpointSaver[Any]:
    """The saver over the same store, with a serializer that builds no objects; its own where we do not know it."""
    own = saver.serde
    serde: Any = None
    if isinstance(own, JsonPlusSerializer):
        serde = _PlainSerializer()
    elif isinstance(own, EncryptedSerializer) and isinstance(own.serde, JsonPlusSerializer):
        serde = EncryptedSerializer(own.cipher, _PlainSerializer())
    if serde is None:
        return saver
    plain = copy.copy(saver)
    plain.serde = serde
    return plain


class _Listing:
    """Goes through the checkpoints, newest first, and shelves each run as it is met at its fullest."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._covered: set[bytes] = set()
        """Marks of the attempts of all branches so far: what an older checkpoint adds nothing to."""
        self._ended: dict[tuple[bytes, bytes] | None, str] = {}
        """Marks of the runs that ended and of their labels, and the last checkpoint that holds them."""
        self.lost: dict[tuple[str, str], LostEntry] = {}

    def read(self, saver: BaseCheckpointSaver[Any]) -> None:
        """List the saver; it is locked meanwhile, so nothing is given before the end."""
        place = None
        try:
            for checkpoint in saver.list(None):
                place = self._take(checkpoint)
        except Exception as error:  # a saver is foreign code and fails as it likes
            said = f"{type(error).__name__}: {error}"
            if place is None:
                name = type(saver).__name__
                raise DataError(f"expected a {name} that can be listed, got an error ({said}); mend it") from error
            self.lost["", said] = LostEntry(f"after {place}", Flaw("unreadable", said))

    def _take(self, checkpoint: CheckpointTuple) -> str:
        """Shelve what is new; where it stood."""
        named = checkpoint.config["configurable"]
        thread, namespace = str(named["thread_id"]), str(named.get("checkpoint_ns", ""))
        at = _At(thread, f"thread {thread}{namespace and ' ' + namespace}", str(named["checkpoint_id"]))
        state: Any = checkpoint.checkpoint
        if not isinstance(state, dict):
            self._lose(at, str(state))
            state = {}
        held = state.get("channel_values") or {}
        writes = [write[1:] for write in checkpoint.pending_writes or () if write[1] in CHANNELS]
        for run in (held.get("drr"), *(value for channel, value in writes if channel == "drr")):
            self._take_ended(run, at)
        said = dict(writes)
        if "drr_start" in said:
            self._take_open(held, at)
            held = {}
        self._take_open({**held, **said}, at)
        return at.place

    def _take_ended(self, run: object, at: "_At") -> None:
        known = self._ended.get(_end(run))
        if run is None or (known is not None and at.checkpoint <= known):
            return
        try:
            record = as_run(_plain(run))
            self._shelve(record, at)
            self._ended[_end(record)] = at.checkpoint
        except UndecodableError as error:
            self._lose(at, str(error))

    def _take_open(self, state: Mapping[str, object], at: "_At") -> None:
        start, attempts, run = (state.get(channel) for channel in CHANNELS)
        if start is None or (isinstance(run, dict) and _ends(run, start, attempts)):
            return
        if isinstance(start, dict) and _tip({**start, "attempts": attempts or []}) in self._covered:
            return
        try:
            self._shelve(unfinished(_plain(start), _plain(attempts)), at)
        except UndecodableError as error:
            self._lose(at, str(error))

    def _shelve(self, run: Run, at: "_At") -> None:
        blob = encode(run)
        self._covered.update(chain(run))
        self._shelf.add(Found(at.place, run, digest(blob), at.checkpoint), size=len(blob), group=at.thread)

    def _lose(self, at: "_At", reason: str) -> None:
        """Each flaw once a thread: later checkpoints hold it too."""
        self.lost.setdefault((at.graph, reason), LostEntry(at.place, Flaw("unreadable", reason)))


class _At(NamedTuple):
    """Where a checkpoint stands."""

    thread: str
    graph: str
    checkpoint: str

    @property
    def place(self) -> str:
        return f"{self.graph} checkpoint {self.checkpoint}"


def _plain(value: object) -> Any:
    """A value as if it came from a database."""
    if isinstance(value, UndecodableError):
        raise value
    try:
        return decode(*JsonPlusSerializer().dumps_typed(value))
    except (TypeError, RecursionError) as error:
        raise UndecodableError(f"a value that cannot be stored ({error})") from error


def _tip(run: Any) -> bytes | None:
    """The mark of a run's last attempt, `None` for what is no run."""
    try:
        return chain(run)[-1]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return None


def _end(run: Any) -> tuple[bytes, bytes] | None:
    """Marks of a run's attempts and labels, `None` for what is no run."""
    mark = _tip(run)
    try:
        return None if mark is None else (mark, encode(run.get("labels")))
    except (AttributeError, UndecodableError):
        return None


def _ends(run: Mapping[str, object], start: object, attempts: object) -> bool:
    """Whether a run is what became of a start."""
    return isinstance(start, dict) and start.get("run_id") == run.get("run_id") and attempts == run.get("attempts")
