"""Ranking, calibration and intervals, over arrays.

A metric that has nothing to measure is `None`. Rows are known values only, and NaN is refused:
`drr_agent.evaluation.outcomes` makes such arrays from runs, and counts what it leaves out.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from drr_agent.errors import ConfigError, DataError

_Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""
_RESAMPLES = 10_000
_CELLS = 5_000_000
"""Most resampled values held at once."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Interval(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


class ReliabilityBin(TypedDict):
    """What was said and what came true, in one bin of a reliability diagram."""

    mean_probability: float
    accuracy: float
    count: int


def auroc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """P(a right row scores above a wrong one), ties counting half; `None` unless both kinds are there.

    Args:
        scores: any finite numbers, higher for likelier right; shape (n,).
        labels: 0/1 or booleans; shape (n,).

    Raises:
        DataError: shapes differ, or a value is NaN, infinite or not a label.
    """
    wins, pairs = _pair_wins(*_known(scores, labels))
    return wins / pairs if pairs else None


def within_question_auroc(scores: npt.ArrayLike, labels: npt.ArrayLike, groups: Sequence[object]) -> float | None:
    """AUROC over the right/wrong pairs of the same question only: whether scores tell attempts apart, not questions.

    Every pair weighs the same, so a question with three right and three wrong attempts weighs nine times one with one
    of each. Questions all right or all wrong have no pair. `None` when no question is mixed.

    Args:
        scores: any finite numbers, higher for likelier right; shape (n,).
        labels: 0/1 or booleans; shape (n,).
        groups: the question of each row, any hashable values; length n.

    Raises:
        DataError: as for `auroc`, or `groups` has another length.
    """
    values, right = _known(scores, labels)
    if len(groups) != len(values):
        raise DataError(f"expected a group for each of {len(values)} scores, got {len(groups)}")
    rows: dict[object, list[int]] = {}
    for index, group in enumerate(groups):
        rows.setdefault(group, []).append(index)
    counts = [_pair_wins(values[index], right[index]) for index in rows.values()]
    pairs = sum(pairs for _, pairs in counts)
    return sum(wins for wins, _ in counts) / pairs if pairs else None


def reliability(probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 15) -> list[ReliabilityBin]:
    """Mean probability against accuracy in equal-width bins of [0, 1], empty ones left out.

    Bin m holds ((m - 1) / bins, m / bins], and the first also 0, as in Guo et al. 2017, "On Calibration of Modern
    Neural Networks" (arXiv 1706.04599).

    Raises:
        ConfigError: fewer than one bin.
        DataError: as for `auroc`, or a probability outside [0, 1].
    """
    if bins < 1:
        raise ConfigError(f"`bins` must be at least 1, got {bins!r}")
    values, right = _known_probabilities(probabilities, labels)
    places = np.clip(np.ceil(values * bins).astype(int) - 1, 0, bins - 1)
    members = (places == place for place in np.unique(places))
    return [
        {"mean_probability": float(values[m].mean()), "accuracy": float(right[m].mean()), "count": int(m.sum())}
        for m in members
    ]


def ece(probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 15) -> float | None:
    """Expected calibration error: the mean gap of `reliability`'s bins, weighted by count; `None` for no rows.

    Equal-width bins, Guo et al. 2017 (arXiv 1706.04599), equation 3. Raises as `reliability` does.
    """
    table = reliability(probabilities, labels, bins=bins)
    rows = sum(row["count"] for row in table)
    gaps = sum(row["count"] * abs(row["mean_probability"] - row["accuracy"]) for row in table)
    return gaps / rows if rows else None


def brier(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Mean squared difference of probability and outcome (Brier 1950); `None` for no rows.

    Raises:
        DataError: as for `auroc`, or a probability outside [0, 1].
    """
    values, right = _known_probabilities(probabilities, labels)
    return float(np.mean((values - right) ** 2)) if len(values) else None


def accuracy_ci(correct: npt.ArrayLike) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a share (Wilson 1927), for independent 0/1 outcomes; `None` for no rows.

    Raises:
        DataError: a value is not 0 or 1.
    """
    outcomes = _as_labels(correct)
    n = len(outcomes)
    if n == 0:
        return None
    share, z2 = float(outcomes.mean()), _Z95**2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n**2)) ** 0.5
    return max(0.0, center - half), min(1.0, center + half)


def bootstrap_ci(values_per_question: npt.ArrayLike, *, seed: int) -> Interval | None:
    """The mean with its 95 % percentile-bootstrap interval, questions resampled; `None` for no rows.

    Args:
        values_per_question: one value a question (average its draws first); shape (n,).
        seed: of the 10,000 resamples.

    Raises:
        DataError: a value is NaN or infinite.
    """
    values = _as_finite(values_per_question)
    if len(values) == 0:
        return None
    random = np.random.default_rng(seed)
    chunk = max(1, _CELLS // len(values))
    sizes = [min(chunk, _RESAMPLES - start) for start in range(0, _RESAMPLES, chunk)]
    means = [values[random.integers(len(values), size=(size, len(values)))].mean(axis=1) for size in sizes]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike, *, seed: int) -> Interval | None:
    """Mean of `a - b` over the same questions in the same order, with its bootstrap interval; `None` for no rows.

    Raises:
        DataError: lengths differ, or a value is NaN or infinite.
    """
    first, second = _as_finite(a), _as_finite(b)
    if len(first) != len(second):
        raise DataError(f"expected values for the same questions, got {len(first)} and {len(second)} of them")
    return bootstrap_ci(first - second, seed=seed)


def _pair_wins(scores: Floats, right: Bools) -> tuple[float, int]:
    """How many right/wrong pairs the right row wins, ties as halves, and how many pairs there are (Mann-Whitney U)."""
    wrong, above = np.sort(scores[~right]), scores[right]
    below, not_above = (np.searchsorted(wrong, above, side=side).sum() for side in ("left", "right"))
    return float(below + not_above) / 2, len(wrong) * len(above)


def _known(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Bools]:
    values, right = _as_finite(scores), _as_labels(labels)
    if len(values) != len(right):
        raise DataError(f"expected a label for each score, got {len(values)} scores and {len(right)} labels")
    return values, right


def _known_probabilities(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Bools]:
    values, right = _known(probabilities, labels)
    _refuse(values, (values < 0) | (values > 1), "probabilities in [0, 1]", "calibrate the scores first")
    return values, right


def _as_finite(values: npt.ArrayLike) -> Floats:
    array = _one_dimensional(values)
    _refuse(array, ~np.isfinite(array), "finite numbers", "leave out the rows whose value is unknown")
    return array


def _as_labels(labels: npt.ArrayLike) -> Bools:
    array = _one_dimensional(labels)
    _refuse(array, (array != 0) & (array != 1), "labels 0 or 1", "leave out the rows without a label")
    right: Bools = array == 1
    return right


def _one_dimensional(values: npt.ArrayLike) -> Floats:
    """`None` becomes NaN here, which the callers refuse with their own advice."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected a flat sequence of numbers, got {values!r:.200}; convert it first") from error
    if array.ndim != 1:
        raise DataError(f"expected a flat sequence of numbers, got an array of shape {array.shape}; flatten it first")
    return array


def _refuse(values: Floats, bad: Bools, expected: str, advice: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"expected {expected}, got {float(values[row])!r} in row {row}; {advice}")
