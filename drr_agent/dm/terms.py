"""One input's part of a sum of log odds, stored as numbers.

A value is squashed to `asinh(value / unit)`, linear below a typical small value and logarithmic above it: log
probabilities, counts and lengths span orders of magnitude, and one extreme value must not outvote the rest. Squashed
values are centered and scaled. A missing value enters as the center, which adds nothing, and as a flag of its own, so
the model learns what its absence means. A line may bend where a fifth, a half and four fifths of the values lie below:
a rationale can be too short and too long.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from drr_agent.dm.folds import Floats

_NORMAL_QUARTILES = 1.349
"""Distance of a normal distribution's quartiles, in standard deviations."""
_FLAT = 1e-9
"""A spread below this share of the values' size is rounding, not information."""
_BENDS = (0.2, 0.5, 0.8)
"""Quantiles at which a line may bend."""
_LEAST_VALUES = 8
"""Distinct values of an input whose line may bend."""


class Bend(BaseModel):
    """A change of slope: `weight` more for each unit that a scaled value lies above `at`. It adds 0 at the center."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: FiniteFloat
    weight: FiniteFloat

    def part(self, scaled: float) -> float:
        """Log odds that a scaled value adds."""
        return self.weight * (max(0.0, scaled - self.at) - max(0.0, -self.at))


class Term(BaseModel):
    """One input's part of the sum."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    unit: Annotated[FiniteFloat, Field(gt=0)]
    center: FiniteFloat
    """Of the squashed values."""
    scale: Annotated[FiniteFloat, Field(gt=0)]
    weight: FiniteFloat
    bends: tuple[Bend, ...] = ()
    missing: FiniteFloat = 0.0
    """Log odds that a missing value adds."""

    def times(self, factor: float) -> "Term":
        """The term that adds so many times as much."""
        bends = tuple(Bend(at=bend.at, weight=factor * bend.weight) for bend in self.bends)
        return self.model_copy(
            update={"weight": factor * self.weight, "bends": bends, "missing": factor * self.missing}
        )

    def part(self, value: float | None) -> float:
        """Log odds that a value adds; a value that is not finite is missing."""
        if value is None or not math.isfinite(value):
            return self.missing
        scaled = (math.asinh(value / self.unit) - self.center) / self.scale
        return self.weight * scaled + sum(bend.part(scaled) for bend in self.bends)

    def column(self, values: Floats) -> Floats:
        """`part` of many values, NaN for what is missing; any shape."""
        known = np.isfinite(values)
        scaled = (np.arcsinh(np.where(known, values, 0.0) / self.unit) - self.center) / self.scale
        added = self.weight * scaled
        for bend in self.bends:
            added = added + bend.weight * _hinge(scaled, bend.at)
        parts: Floats = np.where(known, added, self.missing)
        return parts


class Input(NamedTuple):
    """What a term is fitted to: an input's scaled values over all rows, shape (n,); NaN is missing."""

    name: str
    scaled: Floats
    unit: float
    center: float
    scale: float
    bends: tuple[float, ...]

    def columns(self) -> Iterator[Floats]:
        """The columns that `term` wants a weight of, in its order."""
        missing = np.isnan(self.scaled)
        values = np.where(missing, 0.0, self.scaled)
        yield values
        for at in self.bends:
            yield _hinge(values, at)
        if missing.any():
            yield missing.astype(np.float64)

    def term(self, weights: Sequence[float]) -> Term:
        """The fitted term."""
        weight, *others = weights
        bends = tuple(Bend(at=at, weight=other) for at, other in zip(self.bends, others, strict=False) if other)
        missing = others[len(self.bends)] if len(others) > len(self.bends) else 0.0
        return Term(
            name=self.name,
            unit=self.unit,
            center=self.center,
            scale=self.scale,
            weight=weight,
            bends=bends,
            missing=missing,
        )


def read_input(name: str, values: Floats, *, bends: bool) -> Input | None:
    """An input with its center and scale; `None` when it is the same in every row.

    Args:
        name: of the input.
        values: shape (n,); what is not finite is missing.
        bends: whether the line may bend.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    sizes = np.abs(values[~np.isnan(values) & (values != 0)])
    unit = float(np.quantile(sizes, 0.25)) if len(sizes) else 1.0
    squashed = np.arcsinh(values / unit)
    known = squashed[~np.isnan(squashed)]
    if len(known) == 0:
        return None
    center, scale = _spread(known)
    if scale > _FLAT * (1 + abs(center)):
        scaled = (squashed - center) / scale
        return Input(name, scaled, unit, center, scale, _bends(scaled) if bends else ())
    # The known values say nothing; whether there is one may.
    return Input(name, squashed - center, unit, center, 1.0, ()) if len(known) < len(values) else None


def _hinge(scaled: Floats, at: float) -> Floats:
    """How far values lie above a bend, less how far the center does: what is missing enters as the center."""
    above: Floats = np.maximum(0.0, scaled - at) - max(0.0, -at)
    return above


def _spread(values: Floats) -> tuple[float, float]:
    """Median and standard deviation, the latter from the quartiles unless they are one."""
    low, center, high = (float(point) for point in np.quantile(values, [0.25, 0.5, 0.75]))
    scale = (high - low) / _NORMAL_QUARTILES
    return center, scale if scale > _FLAT * (1 + abs(center)) else float(values.std())


def _bends(scaled: Floats) -> tuple[float, ...]:
    """Where the line may bend, between the least and the greatest value."""
    known = scaled[~np.isnan(scaled)]
    if len(np.unique(known)) < _LEAST_VALUES:
        return ()
    inside = (at for at in np.quantile(known, _BENDS) if known.min() < at < known.max())
    return tuple(dict.fromkeys(float(at) for at in inside))
