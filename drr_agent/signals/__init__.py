"""Cheap facts about an attempt, as named numbers.

A signal is a function from a draft and the run so far to a number, or to `None` where it cannot be known. Missing is
missing, never zero: the fusion learns what a missing value means. Add your own by passing
`{**DEFAULT_SIGNALS, "my_signal": my_function}` to `create_drr_graph`, and train with the same names.

Those that ship look at the question and the draft alone, whatever the log does not hold is missing, and none takes more
than linear time. Datasets and DMs store their names: a name never changes its meaning.
"""

import math
from collections.abc import Mapping

from drr_agent.signals.choices import CHOICE_SIGNALS
from drr_agent.signals.flow import FLOW_SIGNALS
from drr_agent.signals.form import FORM_SIGNALS
from drr_agent.signals.given import Signal, SignalInput
from drr_agent.signals.language import LANGUAGE_SIGNALS
from drr_agent.signals.logprobs import LOGPROB_SIGNALS
from drr_agent.signals.numbers import NUMBER_SIGNALS

__all__ = ["DEFAULT_SIGNALS", "SIGNAL_SIGNS", "Signal", "SignalInput", "compute_signals"]

DEFAULT_SIGNALS: Mapping[str, Signal] = {
    **LOGPROB_SIGNALS,
    **FORM_SIGNALS,
    **NUMBER_SIGNALS,
    **FLOW_SIGNALS,
    **CHOICE_SIGNALS,
    **LANGUAGE_SIGNALS,
}

SIGNAL_SIGNS: Mapping[str, int] = {
    "truncated": -1,
    "answer_found": 1,
    "format_valid": 1,
    "unclosed_tags": -1,
    "arithmetic_errors": -1,
    "arithmetic_right_share": 1,
    "refusal": -1,
    "stated_confidence": 1,
}
"""Signals that only speak for an attempt (1) or against it (-1), whatever else is known."""


def compute_signals(signals: Mapping[str, Signal], given: SignalInput) -> dict[str, float | None]:
    """Every signal's value. A value that is not finite is missing: NaN means nobody knows."""
    values = {name: signal(given) for name, signal in signals.items()}
    return {name: float(v) if v is not None and math.isfinite(v) else None for name, v in values.items()}
