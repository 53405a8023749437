"""Stacking: how much a text classifier's logit counts beside what the signals say, and they beside it.

The signals need no classifier, so a fusion of theirs learns from every attempt; what is left to learn where the
classifier's logits are honest, on attempts that it was not trained on, is two weights (Wolpert 1992).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drr_agent.dm.folds import two_classes
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.regression import fit_regression
from drr_agent.dm.terms import Term, read_input

_TEXT = "logit"
"""The name of the classifier's part."""


class Stack(NamedTuple):
    """Two weights over log odds."""

    text: Term | None
    """The classifier's part; `None` where it says the same of every attempt."""
    weight: float
    """Of the signals' log odds, 0 or more."""
    intercept: float
    regularization: float

    def stack(self, logit: float | None, signals: float) -> float:
        """The log odds that an attempt is right, from the classifier's logit and the signals' log odds."""
        text = 0.0 if self.text is None else self.text.part(logit)
        return self.intercept + text + self.weight * signals

    def over(self, fusion: Fusion) -> Fusion:
        """The fusion that says the same, from one of signals alone."""
        return Fusion(
            text=self.text,
            signals=tuple(term.times(self.weight) for term in fusion.signals),
            intercept=self.intercept + self.weight * fusion.intercept,
            regularization=fusion.regularization,
        )


def fit_stack(
    logits: Sequence[float | None],
    signals: Sequence[float],
    labels: Sequence[bool],
    groups: Sequence[str],
    *,
    pair_weight: float = 1.0,
    like: Stack | None = None,
    seed: int = 0,
) -> Stack:
    """Fit the weights. Text and signals only speak for an attempt: one that comes out the other way is not heard.

    Args:
        logits: the classifier's, of attempts that it was not trained on; a missing one says nothing.
        signals: log odds of the same attempts, by fusions that were fitted without their questions.
        labels: whether each attempt is right.
        groups: each attempt's question.
        pair_weight: weight of the mean loss over pairs, beside the mean loss over attempts.
        like: a stack of attempts like these, whose penalty to take.
        seed: of the folds that choose the penalty.

    Raises:
        DataError: one class only.
    """
    right = two_classes(labels, groups, what="the fusion of text and signals")
    text = read_input(_TEXT, np.array(logits, dtype=np.float64), bends=False)
    columns = [] if text is None else [next(text.columns())]
    model = fit_regression(
        np.column_stack([*columns, np.array(signals, dtype=np.float64)]),
        right,
        groups,
        pair_weight=pair_weight,
        signs=[1] * (len(columns) + 1),
        regularization=None if like is None else like.regularization,
        seed=seed,
    )
    *heard, weight = model.weights
    term = None if text is None else text.term(heard)
    return Stack(term, weight, model.intercept, model.regularization)
