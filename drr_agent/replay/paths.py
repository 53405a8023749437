"""Where a family ends each reading at a setting, and what that comes to."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.replay.families import OUTCOMES, Walk
from drr_agent.replay.readings import Ints, Readings
from drr_agent.replay.standing import NOTHING

_POINTS = 50
"""Settings of a family that names none."""
_DECIMALS = 4


class Ends(NamedTuple):
    """How each reading ends, each of shape (readings,)."""

    turns: Ints
    """How many of its attempts were asked for."""
    choice: Ints
    """The attempt that stands; `NOTHING` for an abstention."""
    outcome: Ints
    """Place in `OUTCOMES`; `continue` where turns ended."""
    right: Bools

    def ended(self, outcome: str) -> Bools:
        """The readings that ended so."""
        found: Bools = self.outcome == OUTCOMES.index(outcome)
        return found


def end(walk: Walk, setting: float, readings: Readings) -> Ends:
    """Where the readings end: at the first turn whose value reaches the setting, else at their last."""
    rows = np.arange(len(readings))
    within = np.arange(walk.value.shape[1]) < readings.turns[:, None]
    reached = (walk.value >= setting) & within
    ends = reached.any(axis=1)
    turn = np.where(ends, reached.argmax(axis=1), readings.turns - 1)
    choice = np.where(ends, walk.choice[rows, turn], walk.settled[rows, turn])
    right = (choice != NOTHING) & readings.right[rows, choice]
    outcome = np.where(ends, walk.outcome[rows, turn], OUTCOMES.index("continue"))
    return Ends(turn + 1, choice, outcome, right)


def suggest_settings(walk: Walk, readings: Readings, *, default: float | None = None) -> Sequence[float]:
    """Settings at which a family differs: quantiles of its values, and one that few reach.

    Args:
        walk: a family's, whose values are probabilities.
        readings: those it walked.
        default: a setting to have among them.
    """
    within = np.arange(walk.value.shape[1]) < readings.turns[:, None]
    values = walk.value[within & np.isfinite(walk.value)]
    if not values.size:
        return (1.0,) if default is None else (default,)
    quantiles = np.quantile(values, np.linspace(0.0, 1.0, _POINTS - 1), method="lower")
    scale = 10.0**_DECIMALS
    found = {*(np.floor(quantiles * scale) / scale).tolist(), 1.0}  # rounded up, a value would not reach its own
    return tuple(sorted(found if default is None else {*found, default}))


def spent(cumulative: Floats, ends: Ends) -> Floats:
    """What the turns asked for cost, shape (readings,); NaN where nobody knows."""
    costs: Floats = cumulative[np.arange(len(ends.turns)), ends.turns - 1]
    return costs
