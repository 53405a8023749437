"""Checkpoints of LangGraph as runs: what the readers of its databases share.

A checkpoint is the state between two steps of a graph; on it hangs what the tasks of the next step wrote. Where every
step left both, the writes tell a thread's runs, and of a run that ended one row is enough: its `drr`. A checkpoint
itself is opened only where the writes do not explain it: steps that left none (`durability="exit"`, pruned threads), a
second continuation (time travel), parallel tasks.

Checkpoints are saved one after another, but writes whenever a thread gets to it (`durability="async"`): a live host,
and for good a killed one, may have saved those of a step before its checkpoint and before the writes of earlier steps.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from drr_agent.training.drops import Flaw
from drr_agent.training.sources.branches import Found, Shelf, Strays, chain, digest
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.stored import (
    Checkpoint,
    DamageError,
    State,
    Store,
    UndecodableError,
    Write,
    as_run,
    decode,
    encode,
)


def read_threads(threads: Iterable[tuple[str, Iterable[Checkpoint]]], store: Store) -> Iterator[LoggedRun | LostEntry]:
    """The runs of a store, a thread at a time.

    Args:
        threads: the name of each thread, and its checkpoints: those of a namespace together, the older before the
            newer, those that are not stored at the end. They may end in a `DamageError`, which costs the rest.
        store: where values are.
    """
    given: set[bytes] = set()
    for name, checkpoints in threads:
        shelf = Shelf()
        try:
            thread = _Thread(name, store, shelf)
            thread.read(checkpoints)
            yield from thread.lost
            yield from shelf.give(given, thread.strays)
            yield from thread.strays.entries()
        finally:
            shelf.close()


class _Tip(NamedTuple):
    """A checkpoint that nothing has continued yet, and what its writes lead to."""

    step: int | None
    tasks: int
    state: State


class _Thread:
    """Follows the checkpoints of a thread and shelves its runs."""

    def __init__(self, name: str, store: Store, shelf: Shelf) -> None:
        self._place = f"thread {name}"
        self._store = store
        self._shelf = shelf
        self._namespace = ""
        self._tips: dict[str, _Tip] = {}
        self._seen: dict[bytes, str] = {}
        self._newest: dict[str, bytes] = {}
        """The state of each run that was seen last; a host may take a label back."""
        self.lost: list[LostEntry] = []
        self.strays = Strays()

    def read(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Go through all of them; what is damaged is in `lost`."""
        try:
            for checkpoint in checkpoints:
                if checkpoint.namespace != self._namespace:
                    self._close()
                    self._namespace = checkpoint.namespace
                after = self._after(self._before(checkpoint), checkpoint)
                if checkpoint.key is not None or not after.ended or not checkpoint.stored:
                    self._tips[checkpoint.id] = _Tip(checkpoint.step, checkpoint.tasks, after)
        except DamageError as damage:
            self.lost.append(LostEntry(self._place, Flaw("unreadable", str(damage))))
        else:
            self._close()

    def _before(self, checkpoint: Checkpoint) -> State:
        """The state that the writes on a checkpoint come upon."""
        if not checkpoint.stored:
            return self._tie(checkpoint)
        inherited = self._inherit(checkpoint)
        state = self._open(checkpoint) if inherited is None else inherited
        return state._replace(asked=True) if checkpoint.source == "input" else state

    def _tie(self, checkpoint: Checkpoint) -> State:
        """The state before writes whose checkpoint is not stored: the last one before, if it is of their run."""
        tips = ((name, tip.state) for name, tip in self._tips.items() if name < checkpoint.id)
        latest, state = max(tips, key=itemgetter(0), default=("", State()))
        if self._goes_on(state, checkpoint.writes):
            return self._tips.pop(latest).state
        self._leave(latest)
        return State()

    def _goes_on(self, state: State, writes: list[Write]) -> bool:
        """Whether writes are of attempts alone, those of an open run and more."""
        if state.ended or state.asked or [write.channel for write in writes] != ["drr_attempts"]:
            return False
        try:
            after = state._replace(attempts=partial(self._said, writes[0]))
            return chain(state.run())[-1] in chain(after.run())
        except UndecodableError:
            return False

    def _inherit(self, checkpoint: Checkpoint) -> State | None:
        """What the writes before a checkpoint made of the state; `None` where they do not tell everything."""
        if checkpoint.parent is None:
            return State() if checkpoint.source == "input" and checkpoint.step == -1 else None
        tip = self._tips.get(checkpoint.parent)
        if tip is None or tip.step is None or checkpoint.step != tip.step + 1:
            return None
        if tip.tasks != 1 and checkpoint.source != "input":
            return None
        return self._tips.pop(checkpoint.parent).state

    def _open(self, checkpoint: Checkpoint) -> State:
        """The state as the checkpoint itself has it."""
        try:
            values = self._store.state(checkpoint.key)
            whole, start = values.get("drr"), values.get("drr_start")
            last = None if whole is None else self._shelve(encode(whole), whole, checkpoint.id)
        except UndecodableError as error:
            self._lose(checkpoint.id, str(error))
            return State()
        if start is None:
            return State(last=last)
        same = isinstance(start, dict) and start.get("run_id") == last
        ended = same and isinstance(whole, dict) and whole.get("attempts") == values.get("drr_attempts")
        held = partial(self._held, checkpoint.key)
        return State(partial(held, "drr_start"), partial(held, "drr_attempts"), ended=ended, last=last, before=last)

    def _held(self, key: object, channel: str) -> object:
        return self._store.state(key).get(channel)

    def _after(self, state: State, checkpoint: Checkpoint) -> State:
        """The state once the writes on a checkpoint are in it."""
        if not checkpoint.writes:
            return state
        said = {write.channel: write for write in checkpoint.writes}
        if "drr_start" in said:
            self._offer(state, checkpoint.id)
            start = partial(self._said, said["drr_start"])
            state = State(start, None, ended=False, last=state.last, before=state.last)
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
            known = self._known(cell.blob)
            value = decode(*cell) if known is None else None
        except UndecodableError as error:
            self._lose(checkpoint, str(error))
            return ""
        if value is None or not isinstance(cell.blob, bytes):
            return known
        return self._shelve(cell.blob, value, checkpoint)

    def _known(self, blob: object) -> str | None:
        """The id of a run whose last known state this is."""
        mark = digest(blob) if isinstance(blob, bytes) else b""
        known = self._seen.get(mark)
        return None if known is None or self._newest.get(known, mark) != mark else known

    def _shelve(self, blob: bytes, value: object, checkpoint: str) -> str:
        """Shelve a run that ended, each change once; a host holds what its subgraph does. Its id, or none."""
        mark = digest(blob)
        if self._known(blob) is None:
            is_new = mark not in self._seen
            run_id = value.get("run_id") if isinstance(value, dict) else None
            self._seen[mark] = run_id if isinstance(run_id, str) else ""
            try:
                self._shelf.add(Found(self._at(checkpoint), as_run(value), mark, checkpoint), size=len(blob))
                self._newest[self._seen[mark]] = mark
            except UndecodableError as error:
                if is_new:
                    self._lose(checkpoint, str(error))
        return self._seen[mark]

    def _offer(self, state: State, checkpoint: str) -> None:
        """Shelve the run that a state is in, if it has not ended."""
        if state.ended:
            return
        try:
            run = state.run()
            blob = encode(run)
        except UndecodableError as error:
            self._lose(checkpoint, str(error))
            return
        found = Found(self._at(checkpoint), run, digest(blob), checkpoint)
        if state.start is None:
            self.strays.add(found)
        else:
            self._shelf.add(found, size=len(blob))

    def _leave(self, name: str) -> None:
        """A tip that nobody goes on from."""
        tip = self._tips.pop(name, None)
        if tip is not None:
            self._offer(tip.state, name)

    def _close(self) -> None:
        """The end of a namespace: what nobody continued, nobody ended."""
        for name in list(self._tips):
            self._leave(name)

    def _at(self, checkpoint: str) -> str:
        return f"{self._place}{self._namespace and ' ' + self._namespace} checkpoint {checkpoint}"

    def _lose(self, checkpoint: str, reason: str) -> None:
        self.lost.append(LostEntry(self._at(checkpoint), Flaw("unreadable", reason)))
