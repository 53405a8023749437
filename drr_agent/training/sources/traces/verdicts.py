"""Scores and assessments of trace stores as labels.

A score is read as P(right): from 0.5 up it says correct, below it incorrect. One outside of 0 to 1 is on a scale that
nobody here knows, and says nothing, as do words that are no verdict: what is left then is a label without a value,
which never trains.
"""

import math
from typing import Any

from drr_agent.parsing import clean_text
from drr_agent.state import Label, RunLabel
from drr_agent.training.labels import read_label
from drr_agent.training.times import to_utc

_PASSED: dict[str, Label] = {"pass": "correct", "passed": "correct", "fail": "incorrect", "failed": "incorrect"}


def make_label(kind: str, name: Any, value: Any, *, at: Any) -> RunLabel:
    """A label of an attempt that its run is still to be found for.

    Args:
        kind: of its source, one of `drr_agent.training.labels.LABEL_ORDER`.
        name: what tells two sources of a kind apart.
        value: a truth, a number, its digits, or a word.
        at: when it was judged, as `to_utc` takes it.
    """
    named = clean_text(name).strip() if isinstance(name, str) else ""
    source = f"{kind}:{named}" if named else kind
    return {"turn": None, "value": read_verdict(value), "source": source, "at": to_utc(at)}


def read_verdict(value: Any) -> Label | None:
    """What a score says."""
    if isinstance(value, str):
        return read_label(value) or _PASSED.get(value.strip().casefold()) or _of_number(_number(value))
    return _of_number(float(value)) if isinstance(value, int | float) and -1 < value < 2 else None


def _of_number(number: float) -> Label | None:
    if not 0 <= number <= 1:
        return None
    return "correct" if number >= 0.5 else "incorrect"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
