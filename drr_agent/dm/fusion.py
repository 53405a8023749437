"""Fusion: one logit from what the text classifier says and what the signals say.

A logistic regression, stored as plain numbers. It is fitted to single attempts, for the probability, and to pairs of
a right and a wrong attempt at one question, for their order, which is what the loop lives on.

A value is squashed to `asinh(value / unit)`, linear below a typical small value and logarithmic above it: log
probabilities, counts and lengths span orders of magnitude, and one extreme value must not outvote the rest. Squashed
values are centered and scaled. A missing value enters as the center, which adds nothing, and as a flag of its own, so
the model learns what its absence means.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from drr_agent.dm.folds import Floats, two_classes
from drr_agent.dm.regression import fit_regression
from drr_agent.errors import DataError

Inputs = Literal["text", "signals", "both"]
"""What a DM reads."""

_NORMAL_QUARTILES = 1.349
"""Distance of a normal distribution's quartiles, in standard deviations."""
_FLAT = 1e-9
"""A spread below this share of the values' size is rounding, not information."""


class Evidence(NamedTuple):
    """What is known of one attempt."""

    logit: float | None
    """The text classifier's; `None` without one."""
    signals: Mapping[str, float | None]


class Term(BaseModel):
    """One input's part of the sum."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    unit: Annotated[FiniteFloat, Field(gt=0)]
    center: FiniteFloat
    """Of the squashed values."""
    scale: Annotated[FiniteFloat, Field(gt=0)]
    weight: FiniteFloat
    missing: FiniteFloat = 0.0
    """Log odds that a missing value adds."""

    def part(self, value: float | None) -> float:
        """Log odds that a value adds; a value that is not finite is missing."""
        if value is None or not math.isfinite(value):
            return self.missing
        return self.weight * (math.asinh(value / self.unit) - self.center) / self.scale

    def column(self, values: Floats) -> Floats:
        """`part` of many values, NaN for what is missing; any shape."""
        known = np.isfinite(values)
        squashed = np.arcsinh(np.where(known, values, 0.0) / self.unit)
        added: Floats = np.where(known, self.weight * (squashed - self.center) / self.scale, self.missing)
        return added


class Fusion(BaseModel):
    """A sum of terms: the log odds that an attempt is right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Term | None
    """The classifier's logit; `None` where signals alone decide."""
    signals: tuple[Term, ...]
    intercept: FiniteFloat
    regularization: FiniteFloat
    """scikit-learn's `C`, the inverse of the L2 penalty."""

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


class _Input(NamedTuple):
    """An input with its squashed values over all rows; NaN is missing."""

    name: str
    squashed: Floats
    unit: float
    center: float
    scale: float

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        return np.isnan(self.squashed)

    @property
    def column(self) -> Floats:
        column: Floats = np.where(self.missing, 0.0, (self.squashed - self.center) / self.scale)
        return column

    def term(self, weight: float, missing: float) -> Term:
        return Term(
            name=self.name, unit=self.unit, center=self.center, scale=self.scale, weight=weight, missing=missing
        )


def fit_fusion(
    rows: Sequence[Evidence],
    labels: Sequence[bool],
    groups: Sequence[str],
    *,
    inputs: Inputs,
    signals: Sequence[str] | None = None,
    pair_weight: float = 0.5,
    regularization: float | None = None,
    seed: int = 0,
) -> Fusion:
    """Fit the weights; where none is given, the penalty is chosen by log loss on questions held out.

    Args:
        rows: what is known of each attempt; logits must come from a classifier that was not trained on these rows.
        labels: whether each attempt is right.
        groups: each attempt's question.
        inputs: which of the evidence to use. Inputs that never vary are left out.
        signals: names of the signals to use; by default all that occur.
        pair_weight: weight of the mean loss over pairs, beside the mean loss over attempts.
        regularization: that of a `Fusion` of rows like these.
        seed: of the folds.

    Raises:
        DataError: one class only, a row without the logit that is asked for, or no input that varies.
    """
    names = () if inputs == "text" else _signal_names(rows) if signals is None else signals
    columns = {name: _column([row.signals.get(name) for row in rows]) for name in names}
    text = None if inputs == "signals" else _text_column(rows)
    return fit_columns(
        columns, labels, groups, text=text, pair_weight=pair_weight, regularization=regularization, seed=seed
    )


def fit_columns(
    columns: Mapping[str, Floats],
    labels: Sequence[bool],
    groups: Sequence[str],
    *,
    text: Floats | None = None,
    pair_weight: float = 0.5,
    row_weights: Floats | None = None,
    signs: Mapping[str, int] | None = None,
    regularization: float | None = None,
    seed: int = 0,
) -> Fusion:
    """`fit_fusion` from a column of values a signal, NaN for what is missing.

    Args:
        columns: by the signal's name; each of shape (n,).
        labels: as for `fit_fusion`, and so `groups`, `pair_weight` and `seed`.
        groups: each row's question.
        text: the classifier's logits, shape (n,), where there is one.
        pair_weight: weight of the mean loss over pairs, beside the mean loss over rows.
        row_weights: what each row counts, above 0; shape (n,). By default all count alike.
        signs: of signals that only speak for a row (1) or against it (-1), where sense says so. One that comes out the
            other way round is left out.
        regularization: that of a `Fusion` of rows like these; by default chosen by log loss on questions held out.
        seed: of the folds.

    Raises:
        DataError: one class only, or no input that varies.
    """
    right = two_classes(labels, groups, what="the fusion")
    logit = None if text is None else _describe("logit", text)
    used = [one for one in (logit, *(_describe(name, column) for name, column in columns.items())) if one is not None]
    if not used:
        raise DataError(
            f"expected an input that varies over the {len(right)} rows, got none for the signals {list(columns)!r} "
            f"{'and no text' if text is None else 'and the text'}; log more signals, or train on the text"
        )
    flagged = [one for one in used if one.missing.any()]
    wanted = [(signs or {}).get(one.name, 0) for one in used] + [0] * len(flagged)
    model = fit_regression(
        np.column_stack([one.column for one in used] + [one.missing.astype(float) for one in flagged]),
        right,
        groups,
        pair_weight=pair_weight,
        row_weights=row_weights,
        signs=wanted,
        regularization=regularization,
        seed=seed,
    )
    flags = dict(zip((one.name for one in flagged), model.weights[len(used) :], strict=True))
    terms = [one.term(weight, flags.get(one.name, 0.0)) for one, weight in zip(used, model.weights, strict=False)]
    return Fusion(
        text=None if logit is None else terms[0],
        signals=tuple(terms if logit is None else terms[1:]),
        intercept=model.intercept,
        regularization=model.regularization,
    )


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


def _describe(name: str, values: Floats) -> _Input | None:
    """The input with its center and scale; `None` when it is the same in every row. What is not finite is missing."""
    values = np.where(np.isfinite(values), values, np.nan)
    sizes = np.abs(values[~np.isnan(values) & (values != 0)])
    unit = float(np.quantile(sizes, 0.25)) if len(sizes) else 1.0
    squashed = np.arcsinh(values / unit)
    known = squashed[~np.isnan(squashed)]
    if len(known) == 0:
        return None
    center, scale = _spread(known)
    if scale > _FLAT * (1 + abs(center)):
        return _Input(name, squashed, unit, center, scale)
    # The known values say nothing; whether there is one may.
    return _Input(name, squashed, unit, center, 1.0) if len(known) < len(values) else None


def _spread(values: Floats) -> tuple[float, float]:
    """Median and standard deviation, the latter from the quartiles unless they are one."""
    low, center, high = (float(point) for point in np.quantile(values, [0.25, 0.5, 0.75]))
    scale = (high - low) / _NORMAL_QUARTILES
    return center, scale if scale > _FLAT * (1 + abs(center)) else float(values.std())
