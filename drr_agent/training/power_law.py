"""How a measure grows with the number of questions learned from: a power law, and what it says of twice as many."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Floats = npt.NDArray[np.float64]

_EXPONENTS = (0.05, 1.0)
"""Bounds of `c`. Measured learning curves have 0.07 to 0.35 (Hestness et al. 2017, arXiv 1712.00409), and a model with
the right form, whose excess loss falls as one over its rows, has 1."""
_FEWEST_SIZES = 3
_RESAMPLES = 500


class PowerLaw(BaseModel):
    """`a - b n^-c`, which rises toward `a` where `b` is above 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    a: FiniteFloat
    b: FiniteFloat
    c: FiniteFloat = Field(gt=0)

    def at(self, n: float) -> float:
        """The measure after `n` questions."""
        return float(self.a - self.b * n**-self.c)

    def gain(self, n: float) -> float:
        """What twice `n` questions add to the measure; never more than there is up to 1."""
        return min(self.at(2 * n), max(1.0, self.at(n))) - self.at(n)


class Ranks(NamedTuple):
    """How a DM ranks the attempts at each of some questions."""

    wins: Floats
    """Right/wrong pairs in order, ties as halves; shape (trainings, questions)."""
    pairs: Floats
    """Right/wrong pairs there are; shape (questions,), none of them 0."""

    def within(self, counts: Floats) -> Floats:
        """Within-question AUROC of each training, question `i` taken `counts[i]` times; shape (trainings,)."""
        values: Floats = self.wins @ counts / (self.pairs @ counts)
        return values


def fit_power_law(sizes: Sequence[float], values: Sequence[float]) -> PowerLaw | None:
    """The least-squares fit; `None` for fewer than three different sizes.

    For a given `c` the best `a` and `b` are those of a linear regression, so `c` alone is searched (variable
    projection, Golub and Pereyra 1973).

    Args:
        sizes: questions learned from, above 0; length n.
        values: the measure after them; length n.
    """
    from scipy.optimize import minimize_scalar

    if len(set(sizes)) < _FEWEST_SIZES:
        return None
    n, y = np.asarray(sizes, dtype=np.float64) / max(sizes), np.asarray(values, dtype=np.float64)

    def linear(c: float) -> tuple[Floats, float]:
        matrix = np.column_stack([np.ones_like(n), -(n**-c)])
        solution = np.asarray(np.linalg.lstsq(matrix, y, rcond=None)[0], dtype=np.float64)
        return solution, float(np.sum((matrix @ solution - y) ** 2))

    c = float(minimize_scalar(lambda c: linear(c)[1], bounds=_EXPONENTS, method="bounded").x)
    (a, b), _ = linear(c)
    return PowerLaw(a=float(a), b=float(b) * max(sizes) ** c, c=c)


def gain_interval(sizes: Sequence[int], ranks: Sequence[Ranks], *, seed: int) -> tuple[float, float]:
    """The 95 % percentile-bootstrap interval of what twice the largest size adds to the within-question AUROC.

    Each of 500 replicates draws questions with replacement, the same ones for every size since all were judged on the
    same, draws among the trainings of a size, and fits a power law anew. The gain may be below 0.

    Args:
        sizes: questions learned from, at least three different numbers; length n.
        ranks: of the trainings of each size; length n.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    count = len(ranks[0].pairs)
    gains = []
    for _ in range(_RESAMPLES):
        counts = np.bincount(random.integers(count, size=count), minlength=count).astype(np.float64)
        values = [random.choice(rank.within(counts), size=len(rank.wins)).mean() for rank in ranks]
        law = fit_power_law(sizes, values)
        gains += [] if law is None else [law.gain(max(sizes))]
    low, high = np.quantile(gains, [0.025, 0.975])
    return float(low), float(high)
