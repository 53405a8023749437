"""Calibration: from a logit to a probability that means what it says.

Three kinds, simplest first: `temperature` (Guo et al. 2017, arXiv 1706.04599) divides the logit; `platt` (Platt 1999)
also shifts it, as another base rate asks; `isotonic` (Zadrozny and Elkan 2002) follows any rising curve. All three
are plain numbers, rise with the logit, and never reach 0 or 1 for a lack of counterexamples.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from drr_agent.dm.folds import Floats, grouped_folds, two_classes
from drr_agent.errors import DataError

_STANDARD_ERRORS = 1.0
"""By which a more flexible kind must gain (Breiman et al. 1984): an isotonic curve is flat in places, where ranking is
lost, and steep in others, where a handful of rows decides."""
_SLOPES = (1e-3, 1e3)
"""Allowed slopes, per standard deviation of the logits; positive, so that ranks survive."""


class SigmoidCalibration(BaseModel):
    """P = sigmoid(slope · logit + intercept)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["temperature", "platt"]
    slope: Annotated[FiniteFloat, Field(gt=0)]
    intercept: FiniteFloat

    def probability(self, logit: float) -> float:
        """P(right)."""
        return _sigmoid(self.slope * logit + self.intercept)


class IsotonicCalibration(BaseModel):
    """A rising curve through points, straight between them and level beyond them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["isotonic"] = "isotonic"
    logits: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]
    probabilities: tuple[Annotated[float, Field(gt=0, lt=1)], ...]

    @model_validator(mode="after")
    def _check_rising(self) -> Self:
        if len(self.logits) != len(self.probabilities):
            raise ValueError(f"{len(self.logits)} logits, but {len(self.probabilities)} probabilities")
        if list(self.probabilities) != sorted(self.probabilities) or list(self.logits) != sorted(set(self.logits)):
            raise ValueError("the points do not rise")
        return self

    def probability(self, logit: float) -> float:
        """P(right)."""
        place = bisect_right(self.logits, logit)
        if place in {0, len(self.logits)}:
            return self.probabilities[min(place, len(self.logits) - 1)]
        (x0, x1), (y0, y1) = self.logits[place - 1 : place + 1], self.probabilities[place - 1 : place + 1]
        # Rounding may overstep the end of a short step, and the curve must not fall.
        return min(y1, y0 + (y1 - y0) * (logit - x0) / (x1 - x0))


Calibration = SigmoidCalibration | IsotonicCalibration
Kind = Literal["temperature", "platt", "isotonic"]


class CalibrationFit(NamedTuple):
    """A calibration with what it says of rows it was not fitted on."""

    calibration: Calibration
    held_out: Floats | None
    """Probability per row from the folds that left its question out, shape (n,); `None` with too few questions."""


def fit_calibration(
    logits: Sequence[float],
    labels: Sequence[bool],
    groups: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> CalibrationFit:
    """Fit each kind, and keep the simplest that is as good as any by log loss on questions held out, but for luck.

    With too few questions to hold any out, `platt` is kept.

    Args:
        logits: finite; shape (n,).
        labels: whether each row is right.
        groups: each row's question, by its key.
        weights: what each row counts, above 0; shape (n,). By default all count alike. The fits see as many rows as
            would say as much if they counted alike (Kish 1965), so that a few heavy ones make nothing certain.
        seed: of the folds.

    Raises:
        DataError: one class only, a logit that is not finite, or a weight that is not finite and above 0.
    """
    right = two_classes(labels, groups, what="the calibration")
    x = np.asarray(logits, dtype=np.float64)
    if len(x) != len(right) or not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).sum())
        raise DataError(
            f"expected {len(right)} finite logits, got {len(x)} with {bad} not finite; leave those rows out"
        )
    counts = _counts(weights, len(x))
    folds = grouped_folds(right, groups, seed=seed)
    if sum(len(fold.held_out) for fold in folds) < len(x):
        return CalibrationFit(_fit_platt(x, right, counts), None)
    held_out = {kind: np.empty_like(x) for kind in _FITTERS}
    for rows, left in folds:
        for kind, fit in _FITTERS.items():
            held_out[kind][left] = apply_calibration(fit(x[rows], right[rows], counts[rows]), x[left])
    losses = {kind: counts * log_losses(probabilities, right) for kind, probabilities in held_out.items()}
    best = min(losses.values(), key=np.sum)
    kind = next(kind for kind in _FITTERS if not gains_surely(losses[kind] - best, groups))
    return CalibrationFit(_FITTERS[kind](x, right, counts), held_out[kind])


def gains_surely(gains: Floats, groups: Sequence[str] | npt.NDArray[np.intp]) -> bool:
    """Whether what rows gain adds up to more than its standard error; the rows of a group go together.

    Args:
        gains: weighted log losses saved, shape (n,).
        groups: each row's question.
    """
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(places, gains)
    return bool(sums.sum() > _STANDARD_ERRORS * np.sqrt((sums**2).sum()))


def _counts(weights: Sequence[float] | None, rows: int) -> Floats:
    """The weights on a scale on which they add up to the effective number of rows."""
    given = np.ones(rows) if weights is None else np.asarray(weights, dtype=np.float64)
    bad = int((~np.isfinite(given) | (given <= 0)).sum())
    if len(given) != rows or bad:
        raise DataError(
            f"expected {rows} finite weights above 0, got {len(given)} with {bad} that are none; leave those rows out"
        )
    given = given / given.max()
    scaled: Floats = given * (given.sum() / (given**2).sum())
    return scaled


def apply_calibration(calibration: Calibration, logits: Sequence[float] | Floats) -> Floats:
    """P(right) per logit, shape (n,)."""
    x = np.asarray(logits, dtype=np.float64)
    if isinstance(calibration, IsotonicCalibration):
        ends, levels = np.array(calibration.logits), np.array(calibration.probabilities)
        place = np.searchsorted(ends, x, side="right")
        # rounding in np.interp may overstep the end of a short step, and the curve must not fall
        read: Floats = np.minimum(np.interp(x, ends, levels), levels[np.minimum(place, len(ends) - 1)])
        return read
    with np.errstate(over="ignore"):  # what is beyond any number is beyond the clip
        z = calibration.slope * x + calibration.intercept
    return 1 / (1 + np.exp(-np.clip(z, -700, 700)))


def log_loss(probabilities: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Mean of `log_losses`, weighted where asked."""
    counts = None if weights is None else np.asarray(weights, dtype=np.float64)
    return float(np.average(log_losses(probabilities, labels), weights=counts))


def log_losses(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Floats:
    """Negative log likelihood of each row in nats; probabilities are kept 1e-9 away from 0 and 1."""
    p = np.asarray(probabilities, dtype=np.float64)
    losses: Floats = -np.log(np.clip(np.where(np.asarray(labels) == 1, p, 1 - p), 1e-9, 1.0))
    return losses


def _fit_temperature(logits: Floats, right: Floats, counts: Floats) -> SigmoidCalibration:
    slope, _ = _fit_sigmoid(logits, right, counts, shift=False)
    return SigmoidCalibration(kind="temperature", slope=slope, intercept=0.0)


def _fit_platt(logits: Floats, right: Floats, counts: Floats) -> SigmoidCalibration:
    slope, intercept = _fit_sigmoid(logits, right, counts, shift=True)
    return SigmoidCalibration(kind="platt", slope=slope, intercept=intercept)


def _fit_sigmoid(logits: Floats, right: Floats, counts: Floats, *, shift: bool) -> tuple[float, float]:
    """Slope and intercept by maximum likelihood, with Platt's targets, which stop short of 0 and 1."""
    from scipy.optimize import minimize

    total, count = float(counts.sum()), float(counts @ right)
    targets = np.where(right == 1, (count + 1) / (count + 2), 1 / (total - count + 2))
    spread = float(logits.std())
    spread = spread if spread > 0 else 1.0
    shares = counts / counts.mean()

    def loss(given: Floats) -> tuple[float, Floats]:
        z = given[0] * logits / spread + given[1]
        slips = 1 / (1 + np.exp(-np.clip(z, -700, 700))) - targets
        gradient = np.array([np.mean(shares * slips * logits) / spread, np.mean(shares * slips)])
        return float(np.mean(shares * (np.logaddexp(0, z) - targets * z))), gradient

    bounds = [_SLOPES, (None, None) if shift else (0.0, 0.0)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]) / spread, float(found.x[1])


def _fit_isotonic(logits: Floats, right: Floats, counts: Floats) -> IsotonicCalibration:
    """Isotonic regression over the rows and one counterexample at each end, which keeps the ends off 0 and 1."""
    from sklearn.isotonic import IsotonicRegression

    x = np.concatenate([logits, [logits.min(), logits.max()]])
    ends = np.concatenate([right, [1.0, 0.0]])
    model = IsotonicRegression().fit(x, ends, sample_weight=np.concatenate([counts, [1.0, 1.0]]))
    return IsotonicCalibration(
        logits=tuple(map(float, model.X_thresholds_)), probabilities=tuple(map(float, model.y_thresholds_))
    )


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(max(z, -700.0)) / (1 + math.exp(max(z, -700.0)))


_FITTERS: Mapping[Kind, Callable[[Floats, Floats, Floats], Calibration]] = {
    "temperature": _fit_temperature,
    "platt": _fit_platt,
    "isotonic": _fit_isotonic,
}
"""Simplest first."""
