"""Fusion: one logit from what the signals say, and the text classifier where there is one.

A logistic regression, stored as plain numbers. It is fitted to single attempts, for the probability, and to pairs of
a right and a wrong attempt at one question, for their order, which is what the loop lives on. The classifier's part is
added by `drr_agent.dm.stacking`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat

from drr_agent.dm.folds import Floats, two_classes
from drr_agent.dm.regression import fit_regression
from drr_agent.dm.terms import Term, read_input
from drr_agent.errors import DataError

Inputs = Literal["text", "signals", "both"]
"""What a DM reads."""

_WORTHWHILE = 0.002
"""Of the log loss, to be saved by lines that bend; less than that is noise."""


class Evidence(NamedTuple):
    """What is known of one attempt."""

    logit: float | None
    """The text classifier's; `None` without one."""
    signals: Mapping[str, float | None]


class Fusion(BaseModel):
    """A sum of terms: the log odds that an attempt is right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Term | None
    """The classifier's logit; `None` where signals alone decide."""
    signals: tuple[Term, ...]
    intercept: FiniteFloat
    regularization: FiniteFloat
    """scikit-learn's `C`, the inverse of the L2 penalty."""

    @property
    def bent(self) -> bool:
        """Whether a line of it bends."""
        return any(term.bends for term in self.signals)

    def fuse(self, evidence: Evidence) -> float:
        """The fused logit. A signal the fusion was not fitted with is ignored."""
        text = 0.0 if self.text is None else self.text.part(evidence.logit)
        return self.intercept + text + sum(term.part(evidence.signals.get(term.name)) for term in self.signals)

    def fuse_columns(self, columns: Mapping[str, Floats]) -> Floats:
        """`fuse` of many rows without a text, from a column of values a signal; NaN is missing, and so is no column."""
        count = len(next(iter(columns.values())))
        absent = np.full(count, np.nan)
        parts = [term.column(columns.get(term.name, absent)) for term in self.signals]
        total: Floats = np.sum([np.full(count, self.intercept), *parts], axis=0)
        return total


def fit_fusion(
    rows: Sequence[Evidence],
    labels: Sequence[bool],
    groups: Sequence[str],
    *,
    signals: Sequence[str] | None = None,
    signs: Mapping[str, int] | None = None,
    pair_weight: float = 1.0,
    like: Fusion | None = None,
    seed: int = 0,
) -> Fusion:
    """Fit the weights of signals; the penalty, and whether lines bend, are chosen by log loss on questions held out.

    Args:
        rows: what is known of each attempt; the classifier's logits are not looked at.
        labels: whether each attempt is right.
        groups: each attempt's question.
        signals: names of the signals to use; by default all that occur. Those that never vary are left out.
        signs: of signals that only speak for an attempt (1) or against it (-1), where sense says so. One that comes
            out the other way round is left out.
        pair_weight: weight of the mean loss over pairs, beside the mean loss over attempts.
        like: a fusion of rows like these, whose choices to take.
        seed: of the folds.

    Raises:
        DataError: one class only, or no signal that varies.
    """
    names = _signal_names(rows) if signals is None else signals
    columns = {name: _column([row.signals.get(name) for row in rows]) for name in names}

    def fit(*, bends: bool) -> Fitted:
        penalty = None if like is None else like.regularization
        return fit_columns(
            columns,
            labels,
            groups,
            bends=bends,
            signs=signs,
            pair_weight=pair_weight,
            regularization=penalty,
            seed=seed,
        )

    if like is not None:
        return fit(bends=like.bent).fusion
    straight, bent = fit(bends=False), fit(bends=True)
    return bent.fusion if bent.loss < straight.loss * (1 - _WORTHWHILE) else straight.fusion


class Fitted(NamedTuple):
    """A fusion and how it did."""

    fusion: Fusion
    loss: float
    """Sum of the log losses of rows whose questions were held out; 0 where no choice had to be made."""


def fit_columns(
    columns: Mapping[str, Floats],
    labels: Sequence[bool],
    groups: Sequence[str],
    *,
    bends: bool = False,
    pair_weight: float = 1.0,
    row_weights: Floats | None = None,
    signs: Mapping[str, int] | None = None,
    regularization: float | None = None,
    seed: int = 0,
) -> Fitted:
    """`fit_fusion` from a column of values a signal, NaN for what is missing.

    Args:
        columns: by the signal's name; each of shape (n,).
        labels: as for `fit_fusion`, and so `groups`, `pair_weight` and `seed`.
        groups: each row's question.
        bends: whether lines may bend, those of signals with a sign aside.
        pair_weight: weight of the mean loss over pairs, beside the mean loss over rows.
        row_weights: what each row counts, above 0; shape (n,). By default all count alike.
        signs: as for `fit_fusion`.
        regularization: that of a `Fusion` of rows like these; by default chosen by log loss on questions held out.
        seed: of the folds.

    Raises:
        DataError: one class only, or no signal that varies.
    """
    right = two_classes(labels, groups, what="the fusion")
    wanted = signs or {}
    described = (read_input(name, column, bends=bends and name not in wanted) for name, column in columns.items())
    used = [one for one in described if one is not None]
    if not used:
        raise DataError(
            f"expected a signal that varies over the {len(right)} rows, got none of {list(columns)!r}; "
            "log more signals, or train on the text alone"
        )
    blocks = [np.column_stack(list(one.columns())) for one in used]
    model = fit_regression(
        np.column_stack(blocks),
        right,
        groups,
        pair_weight=pair_weight,
        row_weights=row_weights,
        signs=[
            sign
            for one, block in zip(used, blocks, strict=True)
            for sign in (wanted.get(one.name, 0), *[0] * (block.shape[1] - 1))
        ],
        regularization=regularization,
        seed=seed,
    )
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    weights = np.split(np.array(model.weights), ends)
    fusion = Fusion(
        text=None,
        signals=tuple(one.term(block.tolist()) for one, block in zip(used, weights, strict=True)),
        intercept=model.intercept,
        regularization=model.regularization,
    )
    return Fitted(fusion, model.loss)


def _column(values: Sequence[float | None]) -> Floats:
    """The values with NaN for what is missing."""
    return np.array(values, dtype=np.float64)


def _signal_names(rows: Sequence[Evidence]) -> list[str]:
    """Every signal's name, in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.signals))
