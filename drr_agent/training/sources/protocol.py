"""What a log source gives the harvest: each attempt as a behavior, or why it is none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from drr_agent.parsing import Parser
from drr_agent.runs import Reject
from drr_agent.state import Run
from drr_agent.training.behaviors import Behavior
from drr_agent.training.drops import Flaw
from drr_agent.training.filters import RowFilter
from drr_agent.training.labels import Labeler
from drr_agent.training.redaction import DEFAULT_REDACTION, Redaction

Unit = Literal["auto", "root", "call"]
"""What of a plain trace is an attempt: the outermost agent's question and final answer, each model call, or the agent
where it has both and the calls elsewhere."""


class Outcome(NamedTuple):
    """What became of one logged attempt. An unreadable line counts as one."""

    place: str
    """Where in the source, such as `line 17` or `run 3f2a turn 2`."""
    content: Behavior | Flaw | None
    """`None` when the caller's filters leave the attempt out."""


class LoggedRun(NamedTuple):
    """A run as a store tells of it, whole or as far as it came."""

    place: str
    """Where in the source, such as `line 17` or `thread 4 checkpoint 1f0…`."""
    run: Run
    ids: Sequence[str] | None = None
    """The store's own ids of the attempts, one each, where it has them; else they are made of run, turn and text."""
    times: Sequence[str | None] | None = None
    """When each attempt began, as `to_utc` gives it, where the store tells; else it is known of the run alone."""
    dataset: str | None = None


class LostEntry(NamedTuple):
    """Something in a store that is no run, and why."""

    place: str
    flaw: Flaw


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How all sources of a harvest are read."""

    labeler: Labeler
    filters: tuple[RowFilter, ...] = ()
    redaction: Redaction = DEFAULT_REDACTION
    mapping: Mapping[str, str] | None = None
    """Role to column, for tables."""
    parser: Parser | None = None
    """How the answer is read out of a reply, where the source does not keep it apart."""
    unit: Unit = "auto"


class RunReader(Protocol):
    """A store of runs. What is in it is given once, in an order of its own, one at a time, never all in memory."""

    @property
    def location(self) -> str:
        """Where it is, fit to be shown: without passwords."""
        ...

    @property
    def kind(self) -> str:
        """The name of its format."""
        ...

    def expected(self) -> int | None:
        """About how many attempts there are, for the progress bar; `None` where only reading tells."""
        ...

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """Every run, and every entry that cannot be one; anew at each call.

        Raises:
            DataError: the store as a whole cannot be read.
        """
        ...


class Source(Protocol):
    """A store of logged attempts."""

    @property
    def location(self) -> str:
        """Where it is, fit to be shown: without passwords."""
        ...

    @property
    def kind(self) -> str:
        """The name of its format, such as `runs`, `csv`, `sqlite` or `langsmith`."""
        ...

    @property
    def mapping(self) -> dict[str, str]:
        """Role to column, for a source that has columns of its own."""
        ...

    def expected(self) -> int | None:
        """About how many attempts there are, for the progress bar; `None` where only reading tells."""
        ...

    def outcomes(self) -> Iterator[Outcome]:
        """Every attempt, in the source's order; anew at each call."""
        ...


def unreadable(rejects: list[Reject]) -> Iterator[LostEntry]:
    """The lines a reader has rejected since the last call; empties the list."""
    for reject in rejects:
        yield LostEntry(f"line {reject.line}", Flaw("unreadable", reject.reason))
    rejects.clear()
