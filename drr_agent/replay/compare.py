"""Policies against each other over the same questions: in their chosen settings, at equal calls, at equal accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from drr_agent.evaluation import comparison
from drr_agent.evaluation.metrics import Floats, Interval
from drr_agent.replay.frontier import MEASURES, Frontier, Hull, Sums
from drr_agent.replay.report import Comparison, EqualCost, Estimate
from drr_agent.replay.resampling import Resampler, interval, sign_flip


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """A policy over its settings, and in the one it is judged in."""

    label: str
    setting: float
    sums: Sums
    """In that setting."""
    frontier: Frontier
    resampler: Resampler

    @cached_property
    def resampled(self) -> Floats:
        """Calls and accuracy at each setting of each resample, shape (resamples, settings, 2)."""
        columns = np.concatenate([self.frontier.calls, self.frontier.right, self.frontier.weights[None]])
        sums = self.resampler.sums(columns)
        points = sums[:, :-1].reshape(len(sums), 2, -1) / sums[:, -1][:, None, None]
        return np.swapaxes(points, 1, 2)

    @cached_property
    def hulls(self) -> list[Hull]:
        """What mixes of its settings come to, in each resample."""
        return [Hull(points) for points in self.resampled]

    def estimates(self) -> dict[str, Estimate]:
        """Each figure in its setting; one that nothing tells is not there."""
        return _estimates(self.resampler, *self.sums)


def compare(subject: Side, other: Side) -> Comparison:
    """Set a policy against another."""
    differences = _estimates(subject.resampler, subject.sums.values - other.sums.values, subject.sums.weights)
    own, others = subject.sums.of("accuracy")[0], other.sums.of("accuracy")[0]
    to_match, ratio, gain = _over_settings(subject, other)
    return Comparison(
        against=other.label,
        accuracy=differences["accuracy"],
        p=sign_flip(own - others, seed=subject.resampler.seed),
        calls=differences["calls"],
        tokens=differences.get("tokens"),
        usd=differences.get("usd"),
        calls_to_match=to_match,
        calls_ratio=ratio,
        accuracy_at_calls=gain,
    )


def at_equal_cost(subject: Side, others: Sequence[Side]) -> EqualCost:
    """Set a policy against the best mix of others, over all their settings, that costs no more Reasoner calls."""
    weights, resampler = subject.frontier.weights, subject.resampler
    right = np.concatenate([side.frontier.right for side in others])
    points = np.concatenate([side.frontier.points for side in others])
    (own, _), (calls, _) = subject.sums.of("accuracy"), subject.sums.of("calls")
    mean_calls, accuracy = calls.sum() / weights.sum(), own.sum() / weights.sum()
    rivals = [comparison.Point(*point) for point in points.tolist()]
    mix = comparison.equal_cost_mix(rivals, mean_calls)
    mixed = np.sum([share * right[place] for place, share in mix.items()], axis=0)
    labels = [side.frontier.family.label(setting) for side in others for setting in side.frontier.settings]
    to_match = Hull(points).calls_at(accuracy)
    return EqualCost(
        baseline=", ".join(f"{100 * share:.0f} % {labels[place]}" for place, share in mix.items()),
        baseline_calls=sum(share * rivals[place].calls for place, share in mix.items()),
        baseline_accuracy=min(1.0, mixed.sum() / weights.sum()),
        accuracy=as_estimate(resampler.ratio(own - mixed, weights)),
        p=sign_flip(own - mixed, seed=resampler.seed),
        calls_to_match=to_match if np.isfinite(to_match) else None,
    )


def as_estimate(found: Interval) -> Estimate:
    """An interval as the record has it."""
    low, high = (bound if np.isfinite(bound) else None for bound in found[1:])
    return Estimate(mean=found.mean, low=low, high=high)


def as_interval(found: Estimate) -> Interval:
    """And back; a bound that is not there is infinite."""
    low = -np.inf if found.low is None else found.low
    return Interval(found.mean, low, np.inf if found.high is None else found.high)


def _estimates(resampler: Resampler, values: Floats, weights: Floats) -> dict[str, Estimate]:
    found = zip(MEASURES, resampler.ratios(values, weights), strict=True)
    return {name: as_estimate(estimate) for name, estimate in found if estimate is not None}


def _over_settings(subject: Side, other: Side) -> tuple[Estimate | None, Estimate | None, Estimate]:
    """Calls to be as accurate, the same over the other's calls, and the gain in accuracy at its calls."""
    (right, weights), (calls, _) = other.sums.of("accuracy"), other.sums.of("calls")
    resampled = subject.resampler.sums(np.stack([calls, right, weights]))
    theirs = np.concatenate([[[calls.sum(), right.sum()]] / weights.sum(), resampled[:, :2] / resampled[:, 2:]])
    hulls = [Hull(subject.frontier.points), *subject.hulls]
    matched = np.array([hull.calls_at(accuracy) for hull, accuracy in zip(hulls, theirs[:, 1], strict=True)])
    gains = np.array([hull.accuracy_at(each) - hit for hull, (each, hit) in zip(hulls, theirs, strict=True)])
    gain = as_estimate(interval(gains[0], gains[1:]))
    if not np.isfinite(matched[0]):
        return None, None, gain
    to_match, ratio = (as_estimate(_ordered(values)) for values in (matched, matched / theirs[:, 0]))
    return to_match, ratio, gain


def _ordered(values: Floats) -> Interval:
    """The first value with the interval of the rest, some of which may be infinite."""
    low, high = np.quantile(values[1:], [0.025, 0.975], method="inverted_cdf")
    return Interval(float(values[0]), float(low), float(high))
