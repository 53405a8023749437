"""Operating points: the setting of a policy, chosen by replay of logged attempts at a price in calls."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from drr_agent.training.logged import ORDERS, LabelledQuestion, unit_numbers

_ROUNDING = 1e-9
"""Of mean calls."""


class Walks(NamedTuple):
    """What a policy makes of each turn of each reading, whatever its cutoff; `ORDERS` readings a question in a row."""

    value: np.ndarray
    """It ends at the first turn whose value reaches the cutoff; shape (readings, turns)."""
    right: np.ndarray
    """Whether it would end right there; same shape."""
    ends: np.ndarray
    """Index of each reading's last turn, shape (readings,)."""


class Counts(NamedTuple):
    """What the questions given count, some of which may be runs of one question, or of questions nearly the same."""

    weights: np.ndarray
    """Shape (questions given,)."""
    places: np.ndarray
    """Number of the independent unit (`unit_numbers`), same shape."""

    @classmethod
    def of(cls, questions: Sequence[LabelledQuestion]) -> Self:
        """Those of some questions."""
        return cls(np.array([question.weight for question in questions]), np.array(unit_numbers(questions)))

    @property
    def totals(self) -> np.ndarray:
        """Of each unit, shape (units,)."""
        return np.bincount(self.places, self.weights)

    @property
    def effective(self) -> float:
        """As many questions that count alike as would say as much (Kish 1965)."""
        return float(self.totals.sum() ** 2 / (self.totals**2).sum())

    def mean(self, values: np.ndarray) -> float:
        """The weighted mean of a value a question."""
        return float((self.weights * values).sum() / self.weights.sum())

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The weighted sum of a value a question in each unit, shape (units,)."""
        return np.bincount(self.places, self.weights * values)


class Trial(NamedTuple):
    """A cutoff on the questions it may be chosen on."""

    cutoff: float
    right: np.ndarray
    """Share of a question's readings that end right, shape (questions given,)."""
    accuracy: float
    calls: float
    """Mean Reasoner calls."""


def choose_cutoff(walks: Walks, counts: Counts, cutoffs: Sequence[float], *, mean_calls: float) -> Trial:
    """Try some cutoffs, and take the one of `choose_setting`. Weights are those of `drr_agent.training.weights`."""
    tried = [try_cutoff(walks, counts, cutoff) for cutoff in cutoffs]
    calls, right = np.array([trial.calls for trial in tried]), np.stack([counts.sums(trial.right) for trial in tried])
    return tried[choose_setting(calls, right, counts.totals, mean_calls=mean_calls)]


def choose_setting(calls: np.ndarray, right: np.ndarray, weights: np.ndarray, *, mean_calls: float) -> int:
    """The place of the cheapest setting that is as accurate as the best within a mean number of Reasoner calls.

    As accurate: at most one standard error of the paired difference over units below. The plain maximum would be mostly
    luck. Where neighbors do the same, the middle one is taken, which is furthest from doing otherwise.

    Args:
        calls: mean Reasoner calls, shape (settings,).
        right: weighted sums of right answers in each unit, shape (settings, units).
        weights: of the units, shape (units,).
        mean_calls: the most calls a question; where no setting is that cheap, the cheapest is taken.
    """
    affordable = np.flatnonzero(calls <= mean_calls + _ROUNDING)
    if not affordable.size:
        return int(calls.argmin())
    best = affordable[right[affordable].sum(axis=1).argmax()]
    good = [place for place in affordable if _as_good(right[best] - right[place], weights)]
    plateau = [place for place in good if calls[place] <= calls[good].min() + _ROUNDING]
    return int(plateau[len(plateau) // 2])


def standard_error(sums: np.ndarray, weights: np.ndarray) -> float:
    """Of a weighted mean, by linearization: units are independent, runs of one are not.

    Args:
        sums: weighted sums of a value in each unit, shape (units,).
        weights: of the units, same shape.
    """
    deviations = sums - weights * (sums.sum() / weights.sum())
    return float(np.sqrt((deviations**2).sum()) / weights.sum())


def try_cutoff(walks: Walks, counts: Counts, cutoff: float) -> Trial:
    """What a cutoff comes to."""
    stops = walks.value >= cutoff
    stop = np.minimum(np.where(stops.any(axis=1), stops.argmax(axis=1), walks.ends), walks.ends)
    right = walks.right[np.arange(len(stop)), stop].reshape(-1, ORDERS).mean(axis=1)
    calls = counts.mean(stop.reshape(-1, ORDERS).mean(axis=1)) + 1
    return Trial(cutoff, right, counts.mean(right), calls)


def _as_good(deficit: np.ndarray, weights: np.ndarray) -> bool:
    return bool(deficit.sum() / weights.sum() <= standard_error(deficit, weights) + 1e-12)
