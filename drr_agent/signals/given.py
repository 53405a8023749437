"""What a signal is, and what it may look at."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from drr_agent.state import Attempt, Draft


class SignalInput(NamedTuple):
    """What a signal may look at."""

    question: str
    draft: Draft
    attempts: Sequence[Attempt] = ()
    """The attempts of the run before this draft."""


Signal = Callable[[SignalInput], float | None]
