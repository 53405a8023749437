"""Intervals and tests over questions: the unit that is drawn anew, with all its runs, Reasoners and orders."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from drr_agent.evaluation.metrics import Floats, Interval

_CELLS = 4_000_000
"""Most resampled counts held at once."""
_KEPT = 50_000_000
"""Most counts that are kept, in 100 MB; more of them are drawn anew each time."""
_FLIPS = 2_000


@dataclass(frozen=True, kw_only=True)
class Resampler:
    """The bootstrap over units (Efron 1979). The same units are drawn for whatever is asked, so that all is paired."""

    units: int
    seed: int = 0
    resamples: int = 1_000

    def sums(self, columns: Floats) -> Floats:
        """Sums of values over the units of each resample.

        Args:
            columns: shape (columns, units).

        Returns:
            Shape (resamples, columns).
        """
        if self.resamples * self.units > _KEPT:
            return np.concatenate([counts @ columns.T for counts in self._counts()])
        chunk = max(1, _CELLS // self.units)
        starts = range(0, self.resamples, chunk)
        return np.concatenate([self._kept[start : start + chunk] @ columns.T for start in starts])

    def ratios(self, values: Floats, weights: Floats) -> list[Interval | None]:
        """Weighted means with their 95 % percentile intervals; `None` where nothing has a weight.

        Args:
            values: weighted sums in each unit, shape (means, units).
            weights: what they count, same shape.
        """
        sums, weighed = np.split(self.sums(np.concatenate([values, weights])), 2, axis=1)
        known = weights.sum(axis=1) > 0
        means = values.sum(axis=1) / np.where(known, weights.sum(axis=1), 1.0)
        resampled = sums / np.where(weighed > 0, weighed, np.nan)
        return [interval(means[place], resampled[:, place]) if known[place] else None for place in range(len(values))]

    def ratio(self, values: Floats, weights: Floats) -> Interval:
        """The same of one mean; something must have a weight. Both of shape (units,)."""
        (found,) = self.ratios(values[None], weights[None])
        assert found is not None
        return found

    @cached_property
    def _kept(self) -> npt.NDArray[np.uint16]:
        """All counts, shape (resamples, units)."""
        return np.concatenate([counts.astype(np.uint16) for counts in self._counts()])

    def _counts(self) -> Iterator[Floats]:
        """How often each resample draws each unit, some resamples at a time."""
        random, chunk = np.random.default_rng(self.seed), max(1, _CELLS // self.units)
        for start in range(0, self.resamples, chunk):
            counts = np.empty((min(chunk, self.resamples - start), self.units))
            for row in counts:  # one by one: draws that fit the cache are many times faster
                row[:] = np.bincount(random.integers(self.units, size=self.units), minlength=self.units)
            yield counts


def interval(mean: float, resampled: Floats) -> Interval:
    """A figure with its 95 % percentile interval; resamples in which it cannot be told are NaN and left out."""
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Interval(float(mean), float(low), float(high))


def sign_flip(differences: Floats, *, seed: int) -> float:
    """Two-sided p value of a paired permutation test: a difference that means nothing may as well have the other sign.

    The sum over units under 2,000 random flips, the observed one counted among them (Phipson and Smyth 2010).

    Args:
        differences: of the weighted sums in each unit, shape (units,).
        seed: of the flips.
    """
    told = differences[np.abs(differences) > 1e-12]
    if not told.size:
        return 1.0
    random, chunk = np.random.default_rng(seed), max(1, _CELLS // told.size)
    observed, extreme = abs(told.sum()) - 1e-9, 1
    for start in range(0, _FLIPS, chunk):
        signs = random.integers(2, size=(min(chunk, _FLIPS - start), told.size)) * 2.0 - 1.0
        extreme += int((np.abs(signs @ told) >= observed).sum())
    return extreme / (_FLIPS + 1)
