"""How sure the Reasoner was of its tokens; missing where it does not say."""

import math
from collections.abc import Mapping

from drr_agent.signals.given import Signal, SignalInput

_UNLIKELY = math.log(0.5)
_END = 5
"""Tokens; a reply that was asked for its answer last ends with about as many that are the answer."""


def logprob_mean(given: SignalInput) -> float | None:
    """Mean token log probability, in nats."""
    return _mean(given.draft["logprobs"])


def logprob_min(given: SignalInput) -> float | None:
    """Log probability of the least likely token, in nats: a slip is often one token wide."""
    logprobs = given.draft["logprobs"]
    return min(logprobs) if logprobs else None


def logprob_sum(given: SignalInput) -> float | None:
    """Log probability of the whole reply, in nats."""
    logprobs = given.draft["logprobs"]
    return sum(logprobs) if logprobs else None


def logprob_worst_decile(given: SignalInput) -> float | None:
    """Mean log probability of the least likely tenth of the tokens, at least one, in nats."""
    logprobs = sorted(given.draft["logprobs"] or ())
    return _mean(logprobs[: _part(logprobs, 10)])


def logprob_unlikely_share(given: SignalInput) -> float | None:
    """Share of the tokens whose probability is below one half."""
    logprobs = given.draft["logprobs"]
    return sum(value < _UNLIKELY for value in logprobs) / len(logprobs) if logprobs else None


def logprob_last_quarter(given: SignalInput) -> float | None:
    """Mean log probability of the last quarter of the tokens, at least one, in nats."""
    logprobs = given.draft["logprobs"] or []
    return _mean(logprobs[-_part(logprobs, 4) :])


def logprob_end(given: SignalInput) -> float | None:
    """Mean log probability of the last five tokens, in nats; the answer's, in a reply that ends with it."""
    return _mean((given.draft["logprobs"] or [])[-_END:])


def token_entropy(given: SignalInput) -> float | None:
    """Mean entropy of the tokens' distributions in nats, over the alternatives listed: a lower bound."""
    return given.draft.get("entropy")


def _mean(values: list[float] | None) -> float | None:
    return sum(values) / len(values) if values else None


def _part(values: list[float], parts: int) -> int:
    """How many values are one of so many parts, at least one."""
    return max(1, len(values) // parts)


LOGPROB_SIGNALS: Mapping[str, Signal] = {
    "logprob_mean": logprob_mean,
    "logprob_min": logprob_min,
    "logprob_sum": logprob_sum,
    "logprob_worst_decile": logprob_worst_decile,
    "logprob_unlikely_share": logprob_unlikely_share,
    "logprob_last_quarter": logprob_last_quarter,
    "logprob_end": logprob_end,
    "token_entropy": token_entropy,
}
