"""What a log source gives the harvest: each attempt as a behavior, or why it is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from drr_agent.runs import Reject
from drr_agent.training.behaviors import Behavior

DropReason = Literal["unreadable", "empty run", "failed call", "no question", "bad value", "duplicate"]


class Flaw(NamedTuple):
    """Why an attempt is not harvested."""

    reason: DropReason
    detail: str


class Outcome(NamedTuple):
    """What became of one logged attempt. An unreadable line counts as one."""

    place: str
    """Where in the source, such as `line 17` or `run 3f2a turn 2`."""
    content: Behavior | Flaw | None
    """`None` when the caller's filters leave the attempt out."""


class Source(Protocol):
    """A store of logged attempts."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def kind(self) -> str:
        """What it is: `runs`, `jsonl`, `csv`, `tsv`, `parquet`."""
        ...

    @property
    def mapping(self) -> dict[str, str]:
        """Role to column, for a source that has columns of its own."""
        ...

    def outcomes(self) -> Iterator[Outcome]:
        """Every attempt, in the source's order; anew at each call."""
        ...


def unreadable(rejects: list[Reject]) -> Iterator[Outcome]:
    """The lines a reader has rejected since the last call; empties the list."""
    for reject in rejects:
        yield Outcome(f"line {reject.line}", Flaw("unreadable", reject.reason))
    rejects.clear()
