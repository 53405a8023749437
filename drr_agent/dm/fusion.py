"""Fusion: one logit from what the text classifier says and what the signals say.

A logistic regression, stored as plain numbers. It is fitted to single attempts, for the probability, and to pairs of
a right and a wrong attempt at one question, for their order, which is what the loop lives on.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat

from drr_agent.dm.folds import Floats, two_classes
from drr_agent.dm.regression import fit_regression
from drr_agent.dm.terms import Input, Term, read_input
from drr_agent.errors import DataError

Inputs = Literal["text", "signals", "both"]
"""What a DM reads."""

_TEXT = "logit"
"""The name of the classifier's part."""
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
    inputs: Inputs,
    signals: Sequence[str] | None = None,
    signs: Mapping[str, int] | None = None,
    pair_weight: float = 1.0,
    like: Fusion | None = None,
    seed: int = 0,
) -> Fusion:
    """Fit the weights; the penalty, and whether lines bend, are chosen by log loss on questions held out.

    Args:
        rows: what is known of each attempt; logits must come from a classifier that was not trained on these rows.
        labels: whether each attempt is right.
        groups: each attempt's question.
        inputs: which of the evidence to use. Inputs that never vary are left out.
        signals: names of the signals to use; by default all that occur.
        signs: of signals that only speak for an attempt (1) or against it (-1), where sense says so; the text only
            speaks for it. An input that comes out the other way round is left out.
        pair_weight: weight of the mean loss over pairs, beside the mean loss over attempts.
        like: a fusion of rows like these, whose choices to take.
        seed: of the folds.

    Raises:
        DataError: one class only, a row without the logit that is asked for, or no input that varies.
    """
    names = () if inputs == "text" else _signal_names(rows) if signals is None else signals
    columns = {name: _column([row.signals.get(name) for row in rows]) for name in names}
    text = None if inputs == "signals" else _text_column(rows)

    def fit(*, bends: bool) -> Fitted:
        penalty = None if like is None else like.regularization
        return fit_columns(
            columns,
            labels,
            groups,
            text=text,
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
    text: Floats | None = None,
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
        text: the classifier's logits, shape (n,), where there is one.
        bends: whether the lines of signals may bend, those with a sign aside.
        pair_weight: weight of the mean loss over pairs, beside the mean loss over rows.
        row_weights: what each row counts, above 0; shape (n,). By default all count alike.
        signs: as for `fit_fusion`.
        regularization: that of a `Fusion` of rows like these; by default chosen by log loss on questions held out.
        seed: of the folds.

    Raises:
        DataError: one class only, or no input that varies.
    """
    right = two_classes(labels, groups, what="the fusion")
    wanted = {_TEXT: 1, **(signs or {})}
    logit = None if text is None else read_input(_TEXT, text, bends=False)
    described = (read_input(name, column, bends=bends and name not in wanted) for name, column in columns.items())
    used = [one for one in (logit, *described) if one is not None]
    if not used:
        raise DataError(
            f"expected an input that varies over the {len(right)} rows, got none for the signals {list(columns)!r} "
            f"{'and no text' if text is None else 'and the text'}; log more signals, or train on the text"
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
    terms = _terms(used, np.split(np.array(model.weights), ends))
    fusion = Fusion(
        text=None if logit is None else terms[0],
        signals=tuple(terms if logit is None else terms[1:]),
        intercept=model.intercept,
        regularization=model.regularization,
    )
    return Fitted(fusion, model.loss)


def _terms(inputs: Sequence[Input], weights: Sequence[Floats]) -> list[Term]:
    return [one.term(block.tolist()) for one, block in zip(inputs, weights, strict=True)]


def _text_column(rows: Sequence[Evidence]) -> Floats:
    unknown = sum(row.logit is None or not math.isfinite(row.logit) for row in rows)
    if unknown:
        raise DataError(
            f"expected a finite classifier logit in every row, got {unknown} of {len(rows)} without; "
            "leave those rows out, or fuse signals alone"
        )
    return _column([row.logit for row in rows])


def _column(values: Sequence[float | None]) -> Floats:
    """The values with NaN for what is missing."""
    return np.array(values, dtype=np.float64)


def _signal_names(rows: Sequence[Evidence]) -> list[str]:
    """Every signal's name, in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.signals))
