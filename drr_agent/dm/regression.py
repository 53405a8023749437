"""Logistic regression over attempts and over pairs of them."""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from drr_agent.dm.calibration import log_loss
from drr_agent.dm.folds import Floats, Indices, grouped_folds

_PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
"""Tried inverses of the L2 penalty, scikit-learn's `C`."""
_DEFAULT_PENALTY = 1.0
"""Taken when there are too few questions to try any."""
_CONSTANT = 10.0
"""The column of the intercept; large, so that the penalty hardly touches it."""


class Regression(NamedTuple):
    """A fitted logistic regression."""

    weights: list[float]
    intercept: float
    regularization: float
    loss: float = 0.0
    """Sum of the log losses of rows held out; 0 where no penalty had to be chosen."""

    def probabilities(self, matrix: Floats) -> Floats:
        """P(right) per row, shape (n,)."""
        z = np.clip(matrix @ np.array(self.weights) + self.intercept, -700, 700)
        probabilities: Floats = 1 / (1 + np.exp(-z))
        return probabilities


def fit_regression(
    matrix: Floats,
    right: Floats,
    groups: Sequence[str],
    *,
    pair_weight: float,
    seed: int,
    row_weights: Floats | None = None,
    signs: Sequence[int] | None = None,
    regularization: float | None = None,
) -> Regression:
    """Lower the mean log loss over rows plus `pair_weight` times that over right/wrong pairs of a group.

    A pair is a row of differences, without an intercept: -log sigmoid(right - wrong), as in RankNet (Burges et al.
    2005). Where none is given, the penalty is the one with the lowest log loss over rows of groups held out.

    Args:
        matrix: columns of similar spread; shape (n, k).
        right: 1 or 0; shape (n,), both present.
        groups: each row's question.
        pair_weight: 0 or more.
        seed: of the folds.
        row_weights: what each row counts, above 0; shape (n,). By default rows count alike.
        signs: 1 where a column's weight must not be negative, -1 where not positive, 0 where anything goes; shape (k,).
        regularization: scikit-learn's `C`, for a fit like one whose penalty is known.
    """
    names = np.asarray(groups)
    weights = np.ones(len(right)) if row_weights is None else row_weights / row_weights.mean()
    folds = grouped_folds(right, groups, seed=seed) if regularization is None else []

    def fit(rows: Indices, penalty: float, columns: Indices) -> Regression:
        return _fit(
            matrix[np.ix_(rows, columns)],
            right[rows],
            names[rows].tolist(),
            weights[rows],
            pair_weight=pair_weight,
            penalty=penalty,
        )

    def loss(penalty: float) -> float:
        total = 0.0
        for fold in folds:
            said = fit(fold.fit, penalty, everything).probabilities(matrix[fold.held_out])
            total += log_loss(said, right[fold.held_out], weights[fold.held_out])
        return total

    everything = np.arange(matrix.shape[1])
    tried = {penalty: loss(penalty) for penalty in _PENALTIES} if folds else {}
    penalty = regularization or min(tried, key=tried.__getitem__, default=_DEFAULT_PENALTY)
    model = _with_signs(lambda columns: fit(np.arange(len(right)), penalty, columns), signs, everything)
    return model._replace(loss=tried.get(penalty, 0.0))


def _with_signs(fit: Callable[[Indices], Regression], signs: Sequence[int] | None, columns: Indices) -> Regression:
    """The fit without the columns whose weight comes out with the wrong sign, which leave until none is left."""
    wanted = np.zeros(len(columns)) if signs is None else np.asarray(signs)
    model = fit(columns)
    while (wrong := wanted[columns] * np.array(model.weights) < 0).any():
        columns = columns[~wrong]
        model = fit(columns)
    weights = np.zeros(len(wanted))
    weights[columns] = model.weights
    return model._replace(weights=weights.tolist())


def _fit(
    matrix: Floats,
    right: Floats,
    groups: Sequence[str],
    row_weights: Floats,
    *,
    pair_weight: float,
    penalty: float,
) -> Regression:
    from sklearn.linear_model import LogisticRegression

    rows = np.column_stack([matrix, np.full(len(matrix), _CONSTANT)])
    pairs = _differences(matrix, right, groups) if pair_weight else np.empty((0, matrix.shape[1]))
    pairs = np.column_stack([pairs, np.zeros(len(pairs))])
    share = pair_weight * len(rows) / len(pairs) if len(pairs) else 0.0
    model = LogisticRegression(C=penalty, fit_intercept=False, solver="newton-cholesky")
    with warnings.catch_warnings():  # where few rows are told apart with ease, it goes on by L-BFGS, and says so
        warnings.filterwarnings("ignore", "Line search of Newton solver")
        model.fit(
            np.concatenate([rows, pairs]),
            np.concatenate([right, np.ones(len(pairs))]),
            sample_weight=np.concatenate([row_weights, np.full(len(pairs), share)]),
        )
    *weights, constant = (float(weight) for weight in model.coef_[0])
    return Regression(weights, constant * _CONSTANT, penalty)


def _differences(matrix: Floats, right: Floats, groups: Sequence[str]) -> Floats:
    """Right row minus wrong row, for every such pair of a group; shape (pairs, k)."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    rows = [np.array(each) for each in members.values()]
    mixed = [(each[right[each] == 1], each[right[each] == 0]) for each in rows]
    first = np.concatenate([np.repeat(better, len(worse)) for better, worse in mixed])
    second = np.concatenate([np.tile(worse, len(better)) for better, worse in mixed])
    differences: Floats = matrix[first] - matrix[second]
    return differences
