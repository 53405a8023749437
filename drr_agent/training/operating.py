"""Operating points: the setting of a policy, chosen by replay of logged attempts at a price in calls."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from drr_agent.training.logged import ORDERS, LabelledQuestion


class Walks(NamedTuple):
    """What a policy makes of each turn of each reading, whatever its cutoff; `ORDERS` readings a question in a row."""

    value: np.ndarray
    """It ends at the first turn whose value reaches the cutoff; shape (readings, turns)."""
    right: np.ndarray
    """Whether it would end right there; same shape."""
    ends: np.ndarray
    """Index of each reading's last turn, shape (readings,)."""


class Counts(NamedTuple):
    """What the questions given count, some of which may be runs of one question."""

    weights: np.ndarray
    """Shape (questions given,)."""
    places: np.ndarray
    """Number of the distinct question, same shape."""

    @classmethod
    def of(cls, questions: Sequence[LabelledQuestion]) -> Self:
        """Those of some questions."""
        numbers: dict[object, int] = {}
        keys = [place if question.key is None else question.key for place, question in enumerate(questions)]
        places = [numbers.setdefault(key, len(numbers)) for key in keys]
        return cls(np.array([question.weight for question in questions]), np.array(places))

    @property
    def effective(self) -> float:
        """As many questions that count alike as would say as much (Kish 1965)."""
        totals = np.bincount(self.places, self.weights)
        return float(totals.sum() ** 2 / (totals**2).sum())

    def mean(self, values: np.ndarray) -> float:
        """The weighted mean of a value a question."""
        return float((self.weights * values).sum() / self.weights.sum())

    def standard_error(self, values: np.ndarray) -> float:
        """Of the mean, by linearization: distinct questions are independent, runs of one are not."""
        deviations = np.bincount(self.places, self.weights * (values - self.mean(values)))
        return float(np.sqrt((deviations**2).sum()) / self.weights.sum())


class Trial(NamedTuple):
    """A cutoff on the questions it may be chosen on."""

    cutoff: float
    right: np.ndarray
    """Share of a question's readings that end right, shape (questions given,)."""
    accuracy: float
    calls: float
    """Mean Reasoner calls."""


def choose_cutoff(walks: Walks, counts: Counts, cutoffs: Sequence[float], *, mean_calls: float) -> Trial:
    """The cheapest cutoff that is as accurate as the best within a mean number of Reasoner calls.

    As accurate: at most one standard error of the paired difference over questions below. The plain maximum would be
    mostly luck. Where neighbors do the same, the middle one is taken, which is furthest from doing otherwise. Means and
    errors are weighted; see `drr_agent.training.weights`. Where no cutoff is affordable, the first is taken.
    """
    tried = [try_cutoff(walks, counts, cutoff) for cutoff in cutoffs]
    affordable = [trial for trial in tried if trial.calls <= mean_calls] or tried[:1]
    best = max(affordable, key=lambda trial: trial.accuracy)
    good = [trial for trial in affordable if _as_good(trial, best, counts)]
    calls = min(trial.calls for trial in good)
    plateau = [trial for trial in good if trial.calls == calls]
    return plateau[len(plateau) // 2]


def try_cutoff(walks: Walks, counts: Counts, cutoff: float) -> Trial:
    """What a cutoff comes to."""
    stops = walks.value >= cutoff
    stop = np.minimum(np.where(stops.any(axis=1), stops.argmax(axis=1), walks.ends), walks.ends)
    right = walks.right[np.arange(len(stop)), stop].reshape(-1, ORDERS).mean(axis=1)
    calls = counts.mean(stop.reshape(-1, ORDERS).mean(axis=1)) + 1
    return Trial(cutoff, right, counts.mean(right), calls)


def _as_good(trial: Trial, best: Trial, counts: Counts) -> bool:
    deficit = best.right - trial.right
    return counts.mean(deficit) <= counts.standard_error(deficit) + 1e-12
