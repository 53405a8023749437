"""Which signals say much the same."""

from collections.abc import Mapping

import numpy as np

from drr_agent.evaluation.metrics import Floats

_ALIKE = 0.7
"""Mean rank correlation, whatever its sign, from which signals are alike."""


def alike(values: Mapping[str, Floats]) -> list[list[str]]:
    """Groups of signals that rank attempts alike, each of two or more, by average linkage.

    Args:
        values: of each signal, shape (attempts,); NaN is missing, and counts as a middle value.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    ranks = {name: rankdata(_filled(column)) for name, column in values.items()}
    names = [name for name, column in ranks.items() if np.ptp(column) > 0]
    if len(names) < 2:
        return []
    distance = np.clip(1 - np.abs(np.corrcoef([ranks[name] for name in names])), 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    labels = fcluster(linkage(squareform(distance, checks=False), "average"), 1 - _ALIKE, "distance")
    groups: dict[int, list[str]] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        groups.setdefault(label, []).append(name)
    return [members for members in groups.values() if len(members) > 1]


def _filled(column: Floats) -> Floats:
    known = column[~np.isnan(column)]
    return np.where(np.isnan(column), np.median(known) if len(known) else 0.0, column)
