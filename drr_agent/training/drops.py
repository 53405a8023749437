"""What is not harvested, and why."""

from typing import Literal, NamedTuple

DropReason = Literal["unreadable", "empty run", "failed call", "no question", "no reply", "bad value", "duplicate"]


class Flaw(NamedTuple):
    """Why an attempt is not harvested."""

    reason: DropReason
    detail: str


class Drop(NamedTuple):
    """A logged attempt that is not harvested, by its place."""

    source: str
    place: str
    reason: DropReason
    detail: str
