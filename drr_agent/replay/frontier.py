"""What a family comes to at each of its settings, and what lies between: its frontier of accuracy over calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.replay.families import Family, Walk
from drr_agent.replay.paths import Ends, end, spent
from drr_agent.replay.readings import Readings
from drr_agent.replay.standing import NOTHING
from drr_agent.training.operating import choose_setting

MEASURES = (
    "accuracy",
    "calls",
    "tokens",
    "usd",
    "accepted",
    "abstained",
    "reviewed",
    "accuracy_unreviewed",
    "wrong_of_accepted",
)
"""Means over questions; tokens and USD over those whose every attempt is metered or priced, the same at any setting.
Accuracy counts the answer that stands, also where it goes to review; `accuracy_unreviewed` is over the others, and
`wrong_of_accepted` over the questions that end in an accept."""
Means = dict[str, float | None]


class Sums(NamedTuple):
    """What a policy in a setting comes to, unit by unit."""

    values: Floats
    """Weighted sums, shape (measures, units)."""
    weights: Floats
    """What they count, same shape."""

    def of(self, measure: str) -> tuple[Floats, Floats]:
        """The sums and the weights of one measure, each of shape (units,)."""
        place = MEASURES.index(measure)
        return self.values[place], self.weights[place]

    def means(self) -> Means:
        """The mean of each measure; `None` where nothing tells it."""
        totals = zip(MEASURES, self.values.sum(axis=1), self.weights.sum(axis=1), strict=True)
        return {name: float(value / weight) if weight else None for name, value, weight in totals}


def measure(ends: Ends, readings: Readings, where: Bools | None = None) -> Sums:
    """Add up how readings ended.

    Args:
        ends: of a family in a setting.
        readings: those that ended so.
        where: the readings that count; by default all, shape (readings,).
    """
    accepted, reviewed = ends.ended("accept"), ends.ended("review")
    columns = np.stack(
        [
            ends.right,
            ends.turns,
            spent(readings.tokens, ends),
            spent(readings.usd, ends),
            accepted,
            ends.choice == NOTHING,
            reviewed,
            np.where(reviewed, np.nan, ends.right),
            np.where(accepted, ~ends.right, np.nan),
        ]
    )
    weights = readings.weights if where is None else readings.weights * where
    counted = np.where(np.isnan(columns), 0.0, weights)
    sums = [readings.units.sums(np.nan_to_num(values) * part) for values, part in zip(columns, counted, strict=True)]
    return Sums(np.stack(sums), np.stack([readings.units.sums(part) for part in counted]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Frontier:
    """A family over its settings, on some readings."""

    family: Family
    walk: Walk
    settings: Sequence[float]
    means: Sequence[Means]
    """One a setting."""
    right: Floats
    """Weighted sums in each unit, shape (settings, units)."""
    calls: Floats
    """Likewise."""
    weights: Floats
    """Of the units, shape (units,)."""

    @property
    def points(self) -> Floats:
        """Calls and accuracy at each setting, shape (settings, 2)."""
        totals: Floats = np.stack([self.calls.sum(axis=1), self.right.sum(axis=1)], axis=1)
        return totals / float(self.weights.sum())


def trace(family: Family, readings: Readings, settings: Sequence[float]) -> Frontier:
    """Replay a family at each of its settings."""
    walk = family.walk(readings)
    tried = [measure(end(walk, setting, readings), readings) for setting in settings]
    return Frontier(
        family=family,
        walk=walk,
        settings=tuple(settings),
        means=[sums.means() for sums in tried],
        right=np.stack([sums.of("accuracy")[0] for sums in tried]),
        calls=np.stack([sums.of("calls")[0] for sums in tried]),
        weights=readings.units.weights,
    )


def choose(frontier: Frontier, *, mean_calls: float) -> int:
    """The place of the setting that `drr_agent.training.operating.choose_setting` takes.

    Args:
        frontier: on questions other than those the choice is reported on.
        mean_calls: the most calls a question; where no setting is that cheap, the cheapest is taken.
    """
    return choose_setting(frontier.points[:, 0], frontier.right, frontier.weights, mean_calls=mean_calls)


class Hull:
    """The best that mixes of two settings can do: one answers some of the questions, the other the rest."""

    def __init__(self, points: Floats) -> None:
        """The hull of calls and accuracy, shape (points, 2); paying more for less is never part of it."""
        kept: list[tuple[float, float]] = []
        for calls, accuracy in sorted(map(tuple, points.tolist()), key=lambda point: (point[0], -point[1])):
            if kept and accuracy <= kept[-1][1]:
                continue
            while len(kept) > 1 and _slope(kept[-2], kept[-1]) <= _slope(kept[-1], (calls, accuracy)):
                kept.pop()
            kept.append((calls, accuracy))
        self._calls, self._accuracy = np.array(kept).T
        self._points = points

    def mix_at(self, calls: float) -> dict[int, float]:
        """The best mix of at most so many calls: the share of the questions that each point answers, by its place."""
        high = int(np.searchsorted(self._calls, calls))
        if high == 0 or high == len(self._calls):
            return {self._place(max(0, high - 1)): 1.0}
        share = float((calls - self._calls[high - 1]) / (self._calls[high] - self._calls[high - 1]))
        mix = {self._place(high - 1): 1.0 - share, self._place(high): share}
        return {place: part for place, part in mix.items() if part > 0}

    def _place(self, kept: int) -> int:
        corner = np.array([self._calls[kept], self._accuracy[kept]])
        return int(np.flatnonzero((self._points == corner).all(axis=1))[0])

    def accuracy_at(self, calls: float) -> float:
        """The best accuracy for at most so many calls; that of the cheapest point where it costs more."""
        return float(np.interp(calls, self._calls, self._accuracy))

    def calls_at(self, accuracy: float) -> float:
        """The fewest calls that reach an accuracy; infinity where none do."""
        if accuracy > self._accuracy[-1] + 1e-12:
            return np.inf
        return float(np.interp(accuracy, self._accuracy, self._calls))


def _slope(one: tuple[float, float], other: tuple[float, float]) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])
