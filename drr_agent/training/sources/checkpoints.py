"""Checkpoints of LangGraph as runs: what the readers of its databases share.

A checkpoint is the state between two steps of a graph; on it hangs what the tasks of the next step wrote. Where every
step left both, the writes tell a thread's runs, and of a run that ended one row is enough: its `drr`. A checkpoint
itself is opened only where the writes do not explain it: steps that left none (`durability="exit"`, pruned threads), a
second continuation (time travel), parallel tasks.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from drr_agent.training.drops import Flaw
from drr_agent.training.sources.branches import Found, Shelf, digest
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.stored import Cell, UndecodableError, as_run, decode, encode, unfinished


class DamageError(Exception):
    """A thread of a store cannot be read to its end."""


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


def read_threads(threads: Iterable[tuple[str, Iterable[Checkpoint]]], store: Store) -> Iterator[LoggedRun | LostEntry]:
    """The runs of a store, a thread at a time.

    Args:
        threads: the name of each thread, and its checkpoints: those of a namespace together, the older before the
            newer. They may end in a `DamageError`, which costs the rest of the thread.
        store: where values are.
    """
    given: set[bytes] = set()
    for name, checkpoints in threads:
        shelf = Shelf()
        try:
            thread = _Thread(name, store, shelf)
            thread.read(checkpoints)
            yield from thread.lost
            yield from shelf.give(given)
        finally:
            shelf.close()


_Load = Callable[[], object]


class _State(NamedTuple):
    """What the channels hold, at a checkpoint or after it."""

    start: _Load | None = None
    attempts: _Load | None = None
    ended: bool = True
    """Whether nothing is open: the run has its `drr`, or none was begun."""
    last: str | None = None
    """Id of the run in `drr`, be it this one or one before it."""
    before: str | None = None
    """`last`, when this run began."""


class _Tip(NamedTuple):
    """A checkpoint that nothing has continued yet, and what its writes lead to."""

    step: int | None
    tasks: int
    state: _State


class _Thread:
    """Follows the checkpoints of a thread and shelves its runs."""

    def __init__(self, name: str, store: Store, shelf: Shelf) -> None:
        self._place = f"thread {name}"
        self._store = store
        self._shelf = shelf
        self._namespace = ""
        self._tips: dict[str, _Tip] = {}
        self._seen: dict[bytes, str] = {}
        self.lost: list[LostEntry] = []

    def read(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Go through all of them; what is damaged is in `lost`."""
        try:
            for checkpoint in checkpoints:
                if checkpoint.namespace != self._namespace:
                    self._close()
                    self._namespace = checkpoint.namespace
                inherited = self._inherit(checkpoint)
                state = self._open(checkpoint) if inherited is None else inherited
                after = self._after(state, checkpoint)
                if checkpoint.key is not None or not after.ended:
                    self._tips[checkpoint.id] = _Tip(checkpoint.step, checkpoint.tasks, after)
        except DamageError as damage:
            self.lost.append(LostEntry(self._place, Flaw("unreadable", str(damage))))
        else:
            self._close()

    def _inherit(self, checkpoint: Checkpoint) -> _State | None:
        """What the writes before a checkpoint made of the state; `None` where they do not tell everything."""
        if checkpoint.parent is None:
            return _State() if checkpoint.source == "input" and checkpoint.step == -1 else None
        tip = self._tips.get(checkpoint.parent)
        if tip is None or tip.step is None or checkpoint.step != tip.step + 1:
            return None
        if tip.tasks != 1 and checkpoint.source != "input":
            return None
        return self._tips.pop(checkpoint.parent).state

    def _open(self, checkpoint: Checkpoint) -> _State:
        """The state as the checkpoint itself has it."""
        try:
            values = self._store.state(checkpoint.key)
            whole, start = values.get("drr"), values.get("drr_start")
            last = None if whole is None else self._shelve(encode(whole), whole, checkpoint.id)
        except UndecodableError as error:
            self._lose(checkpoint.id, str(error))
            return _State()
        if start is None:
            return _State(last=last)
        same = isinstance(start, dict) and start.get("run_id") == last
        ended = same and isinstance(whole, dict) and whole.get("attempts") == values.get("drr_attempts")
        held = partial(self._held, checkpoint.key)
        return _State(partial(held, "drr_start"), partial(held, "drr_attempts"), ended=ended, last=last, before=last)

    def _held(self, key: object, channel: str) -> object:
        return self._store.state(key).get(channel)

    def _after(self, state: _State, checkpoint: Checkpoint) -> _State:
        """The state once the writes on a checkpoint are in it."""
        if not checkpoint.writes:
            return state
        said = {write.channel: write for write in checkpoint.writes}
        if "drr_start" in said:
            self._offer(state, checkpoint.id)
            start = partial(self._said, said["drr_start"])
            state = _State(start, None, ended=False, last=state.last, before=state.last)
        if "drr_attempts" in said:
            state = state._replace(attempts=partial(self._said, said["drr_attempts"]), ended=False)
        for write in checkpoint.writes:
            last = self._read_run(write, checkpoint.id) if write.channel == "drr" else None
            if last is not None:  # a label on the run before this one does not end this one
                state = state._replace(last=last, ended=state.ended or last != state.before)
        return state

    def _said(self, write: Write) -> object:
        return decode(*(write.cell or self._store.cell(write.key)))

    def _read_run(self, write: Write, checkpoint: str) -> str | None:
        """Shelve the run in a write of `drr`; its id, `None` where the channel was only cleared."""
        try:
            cell = write.cell or self._store.cell(write.key)
            known = self._seen.get(digest(cell.blob)) if isinstance(cell.blob, bytes) else None
            value = decode(*cell) if known is None else None
        except UndecodableError as error:
            self._lose(checkpoint, str(error))
            return ""
        if value is None or not isinstance(cell.blob, bytes):
            return known
        return self._shelve(cell.blob, value, checkpoint)

    def _shelve(self, blob: bytes, value: object, checkpoint: str) -> str:
        """Shelve a run that ended, but once: a host holds what its subgraph does. Its id, which a bad one may have."""
        mark = digest(blob)
        if mark not in self._seen:
            try:
                self._shelf.add(Found(self._at(checkpoint), as_run(value), mark), size=len(blob))
            except UndecodableError as error:
                self._lose(checkpoint, str(error))
            run_id = value.get("run_id") if isinstance(value, dict) else None
            self._seen[mark] = run_id if isinstance(run_id, str) else ""
        return self._seen[mark]

    def _offer(self, state: _State, checkpoint: str) -> None:
        """Shelve the run that a state is in, if it has not ended."""
        if state.ended:
            return
        try:
            start = None if state.start is None else state.start()
            run = unfinished(start, None if state.attempts is None else state.attempts())
            blob = encode(run)
        except UndecodableError as error:
            self._lose(checkpoint, str(error))
        else:
            self._shelf.add(Found(self._at(checkpoint), run, digest(blob)), size=len(blob))

    def _close(self) -> None:
        """The end of a namespace: what nobody continued, nobody ended."""
        for checkpoint, tip in self._tips.items():
            self._offer(tip.state, checkpoint)
        self._tips.clear()

    def _at(self, checkpoint: str) -> str:
        return f"{self._place}{self._namespace and ' ' + self._namespace} checkpoint {checkpoint}"

    def _lose(self, checkpoint: str, reason: str) -> None:
        self.lost.append(LostEntry(self._at(checkpoint), Flaw("unreadable", reason)))
