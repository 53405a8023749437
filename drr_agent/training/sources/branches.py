"""Of all that a store tells of a run, what to give: each branch of it at its fullest, once.

A store tells of the same run many times: after every turn, in a subgraph and in its host, before and after somebody
labelled it, and in as many branches as were forked from it.
"""

import base64
import hashlib
import json
import marshal
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from drr_agent.state import Run, RunLabel
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.spool import Spool
from drr_agent.training.times import to_utc

_KEPT_BYTES = 4 * 2**20
"""How much a shelf holds in memory."""
_STRAY = Flaw("empty run", "an attempt of a run whose start is not stored, or not yet")


def digest(blob: bytes) -> bytes:
    """What tells values apart."""
    return hashlib.sha256(blob).digest()[:16]


class Found(NamedTuple):
    """A run, or a state of one, and where it stands."""

    place: str
    run: Run
    digest: bytes
    seen: str = ""
    """Id of the checkpoint, which sorts as they were made."""


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
    alike: dict[bytes, list[Found]] = {}
    inner: set[bytes] = set()
    for found in states:
        *before, end = chain(found.run)
        inner.update(before)
        alike.setdefault(end, []).append(found)
    given = ((end, _merged(sorted(sightings, key=attrgetter("seen")))) for end, sightings in alike.items())
    return [found for end, found in given if end not in inner or found.run.get("labels")]


def _merged(sightings: list[Found]) -> Found:
    """The fullest, and of those the latest, with the labels of all; the place is where it was first seen like this."""
    fullest = max(reversed(sightings), key=_fullness)
    labels = _latest_labels([found.run for found in sightings], _chosen(fullest.run))
    if labels == list(fullest.run.get("labels", ())):
        return next(found for found in sightings if found.digest == fullest.digest)._replace(seen=sightings[-1].seen)
    mark = digest(fullest.digest + repr(labels).encode())  # others may hold the same run with other labels
    return fullest._replace(run={**fullest.run, "labels": labels}, digest=mark, seen=sightings[-1].seen)


def _fullness(found: Found) -> tuple[bool, int]:
    run = found.run
    judged = sum(attempt["verdict"] is not None for attempt in run["attempts"])
    return run["stop_reason"] != "interrupted", judged


def _chosen(run: Run) -> int | None:
    """The turn of the chosen attempt."""
    choice = run["choice"]
    return None if choice is None or choice >= len(run["attempts"]) else run["attempts"][choice]["turn"]


def _latest_labels(states: list[Run], chosen: int | None) -> list[RunLabel]:
    """What each source said last of each attempt: by its time, and where that tells nothing, by what was seen later."""
    latest: dict[tuple[int | None, str], tuple[tuple[str, int], list[RunLabel]]] = {}
    for number, run in enumerate(states):
        for label in run.get("labels", ()):
            turn = _chosen(run) if label["turn"] is None else label["turn"]
            kept: RunLabel = label if label["turn"] is not None or turn == chosen else {**label, "turn": turn}
            when = (to_utc(label["at"]) or "", number)
            held, labels = latest.get((turn, label["source"]), (when, []))
            if when >= held:
                latest[turn, label["source"]] = (when, [*(labels if when == held else ()), kept])
    return [label for _, labels in latest.values() for label in labels]


class _Stray(NamedTuple):
    """Attempts that no run tells of yet: the checkpoint, and a place each."""

    seen: str
    places: list[str]


class Strays:
    """Attempts that no start is stored of, or not yet: nobody can tell what they answer."""

    def __init__(self) -> None:
        self._by_end: dict[bytes, list[_Stray]] = {}

    def add(self, found: Found) -> None:
        """Take the attempts of a run without a name."""
        places = [f"{found.place} turn {attempt['turn']}" for attempt in found.run["attempts"]]
        self._by_end.setdefault(chain(found.run)[-1], []).append(_Stray(found.seen, places))

    def tell(self, told: Found) -> None:
        """Forget what a run tells after all; it was there no earlier."""
        for mark in chain({**told.run, "run_id": ""}) if self._by_end else ():
            strays = self._by_end.pop(mark, [])
            if left := [stray for stray in strays if stray.seen > told.seen]:
                self._by_end[mark] = left

    def entries(self) -> Iterator[LostEntry]:
        """Those that are left, each attempt by itself."""
        for strays in self._by_end.values():
            for stray in strays:
                yield from (LostEntry(place, _STRAY) for place in stray.places)


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

    def give(self, given: set[bytes], strays: Strays | None = None) -> Iterator[LoggedRun]:
        """Every branch of every run, by thread and start, but for those given before; strays are told of them."""
        if self._spool is None:
            groups: Iterable[list[Found]] = (self._near[key] for key in sorted(self._near))
        else:
            groups = ([Found(*_unpack(record)) for record in records] for _, records in self._spool.groups())
        for states in groups:
            for found in branches(states):
                if strays is not None:
                    strays.tell(found)
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
