"""Held-out folds in which no question, nor one that is nearly the same, stands on both sides."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from drr_agent.errors import DataError
from drr_agent.questions import unit_of

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_MOST = 5


class Fold(NamedTuple):
    """Row numbers to fit on, and row numbers to judge the fit on."""

    fit: Indices
    held_out: Indices


def grouped_folds(labels: Floats, groups: Sequence[str], *, seed: int) -> list[Fold]:
    """Up to five folds with both classes on the fitting side; none where there are too few questions.

    Args:
        labels: 1 for right, 0 for wrong; shape (n,).
        groups: each row's question by its key; those alike go together (`questions.unit_of`).
        seed: of the questions' shuffle.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.array([unit_of(group) for group in groups])
    count = min(_MOST, len(set(names[labels == 1])), len(set(names[labels == 0])))
    if count < 2:
        return []
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    folds = (Fold(fit, held_out) for fit, held_out in splitter.split(names, labels, names))
    return [fold for fold in folds if len(set(labels[fold.fit])) == 2]


def two_classes(labels: Sequence[bool] | Sequence[int], groups: Sequence[str], *, what: str) -> Floats:
    """The labels as an array of zeros and ones.

    Raises:
        DataError: they are all of one class, or not one for each row.
    """
    array = np.asarray(labels, dtype=np.float64)
    right = int(array.sum())
    if len(groups) != len(array):
        raise DataError(f"expected a question for each of {len(array)} labels of {what}, got {len(groups)}")
    if right in {0, len(array)}:
        raise DataError(
            f"expected right and wrong rows to fit {what}, got {right} right and {len(array) - right} wrong; "
            "harvest attempts at more questions"
        )
    return array
