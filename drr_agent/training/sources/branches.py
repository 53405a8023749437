"""Of all that a store tells of a run, what to give: each branch of it at its fullest, once.

A store tells of the same run many times: after every turn, in a subgraph and in its host, before and after somebody
labelled it, and in as many branches as were forked from it.
"""

import base64
import hashlib
import json
import marshal
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from drr_agent.state import Run
from drr_agent.training.sources.protocol import LoggedRun
from drr_agent.training.spool import Spool

_KEPT_BYTES = 4 * 2**20
"""How much a shelf holds in memory."""


def digest(blob: bytes) -> bytes:
    """What tells values apart."""
    return hashlib.sha256(blob).digest()[:16]


class Found(NamedTuple):
    """A run, or a state of one, and where it stands."""

    place: str
    run: Run
    digest: bytes


def chain(run: Run) -> list[bytes]:
    """For no attempt, the first, the first two and so on: what tells them from those of another branch."""
    said = hashlib.sha256(run["run_id"].encode())
    marks = [said.digest()[:16]]
    for attempt in run["attempts"]:
        said.update(json.dumps([attempt["turn"], attempt["rationale"], attempt["answer"]]).encode())
        marks.append(said.digest()[:16])
    return marks


def branches(states: list[Found]) -> list[Found]:
    """Of all that was found of one run, each branch at its fullest, once; and whatever else somebody labelled."""
    if len(states) == 1:
        return states
    fullest: dict[bytes, Found] = {}
    inner: set[bytes] = set()
    for found in states:
        *before, end = chain(found.run)
        inner.update(before)
        fullest[end] = max(fullest.get(end, found), found, key=_fullness)
    return [found for end, found in fullest.items() if end not in inner or found.run.get("labels")]


def _fullness(found: Found) -> tuple[bool, int, int]:
    run = found.run
    judged = sum(attempt["verdict"] is not None for attempt in run["attempts"])
    return run["stop_reason"] != "interrupted", len(run.get("labels", ())), judged


class Shelf:
    """Gathers what is found of each run; what does not fit in memory waits in a spool."""

    def __init__(self, *, kept_bytes: int = _KEPT_BYTES) -> None:
        self._left = kept_bytes
        self._near: dict[str, list[Found]] = {}
        self._spool: Spool | None = None

    def add(self, found: Found, *, size: int, group: str = "") -> None:
        """Take a run or a state of one.

        Args:
            found: the run; of two that are alike the earlier is given.
            size: of the run, in bytes.
            group: its thread, where the shelf holds those of several.
        """
        key = f"{group}\n{found.run['started_at']} {found.run['run_id']}"
        if self._left > 0:
            self._left -= size
            self._near.setdefault(key, []).append(found)
        else:
            self._spill(key, [found])

    def give(self, given: set[bytes]) -> Iterator[LoggedRun]:
        """Every branch of every run, by thread and start, but for those given before."""
        if self._spool is None:
            groups: Iterable[list[Found]] = (self._near[key] for key in sorted(self._near))
        else:
            groups = ([Found(*_unpack(record)) for record in records] for _, records in self._spool.groups())
        for states in groups:
            for found in branches(states):
                if found.digest not in given:
                    given.add(found.digest)
                    yield LoggedRun(found.place, found.run)

    def close(self) -> None:
        """Drop everything."""
        if self._spool is not None:
            self._spool.close()

    def _spill(self, key: str, states: list[Found]) -> None:
        if self._spool is None:
            self._spool = Spool()
            for earlier, near in self._near.items():
                self._spill(earlier, near)
            self._near.clear()
        for found in states:
            # whatever was decoded can be marshalled, be it nested deeper or keyed otherwise than JSON and msgpack allow
            record: Any = tuple(found)
            self._spool.add(key, "", base64.b64encode(marshal.dumps(record)).decode())


def _unpack(record: str) -> Any:
    return marshal.loads(base64.b64decode(record))
