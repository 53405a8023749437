"""Cheap facts about an attempt, as named numbers.

A signal is a function from a draft and the run so far to a number, or to `None` where it cannot be known. Missing is
missing, never zero: the fusion learns what a missing value means. Add your own by passing
`{**DEFAULT_SIGNALS, "my_signal": my_function}` to `create_drr_graph`, and train with the same names.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from drr_agent.arithmetic import count_errors
from drr_agent.state import Attempt, Draft


class SignalInput(NamedTuple):
    """What a signal may look at."""

    question: str
    draft: Draft
    attempts: Sequence[Attempt] = ()
    """The attempts of the run before this draft."""


Signal = Callable[[SignalInput], float | None]


def logprob_mean(given: SignalInput) -> float | None:
    """Mean token log probability, in nats."""
    logprobs = given.draft["logprobs"]
    return sum(logprobs) / len(logprobs) if logprobs else None


def logprob_min(given: SignalInput) -> float | None:
    """Log probability of the least likely token, in nats: a slip is often one token wide."""
    logprobs = given.draft["logprobs"]
    return min(logprobs) if logprobs else None


def logprob_sum(given: SignalInput) -> float | None:
    """Log probability of the whole reply, in nats."""
    logprobs = given.draft["logprobs"]
    return sum(logprobs) if logprobs else None


def log_length(given: SignalInput) -> float:
    """Natural log of one plus the rationale's characters."""
    return math.log1p(len(given.draft["rationale"]))


def truncated(given: SignalInput) -> float | None:
    """1 when the reply was cut off at its token limit."""
    cut = given.draft["truncated"]
    return None if cut is None else float(cut)


def answer_found(given: SignalInput) -> float:
    """1 when the reply holds an answer."""
    return float(given.draft["answer"] is not None)


def arithmetic_errors(given: SignalInput) -> float | None:
    """How many of the calculations in the rationale do not add up; missing where there is none."""
    errors = count_errors(given.draft["rationale"])
    return None if errors is None else float(errors)


DEFAULT_SIGNALS: Mapping[str, Signal] = {
    "logprob_mean": logprob_mean,
    "logprob_min": logprob_min,
    "logprob_sum": logprob_sum,
    "log_length": log_length,
    "truncated": truncated,
    "answer_found": answer_found,
    "arithmetic_errors": arithmetic_errors,
}


def compute_signals(signals: Mapping[str, Signal], given: SignalInput) -> dict[str, float | None]:
    """Every signal's value. A value that is not finite is missing: NaN means nobody knows."""
    values = {name: signal(given) for name, signal in signals.items()}
    return {name: float(v) if v is not None and math.isfinite(v) else None for name, v in values.items()}
