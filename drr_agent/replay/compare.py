"""Policies against each other over the same questions: in their chosen settings, at equal calls, at equal accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from drr_agent.evaluation import comparison
from drr_agent.evaluation.metrics import Floats, Interval
from drr_agent.replay.frontier import MEASURES, Frontier, Hull, Sums
from drr_agent.replay.report import Comparison, EqualCost, Estimate
from drr_agent.replay.resampling import Resampler, sign_flip


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """A policy over its settings, and in the one it is judged in."""

    label: str
    setting: float
    sums: Sums
    """In that setting."""
    frontier: Frontier
    resampler: Resampler
    learned: Frontier | None = None
    """The same settings on other questions, where mixes of them are chosen; `None` where there are no others."""

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

    @property
    def guide(self) -> Frontier:
        """What mixes of its settings are chosen by: other questions, and only without such these very ones."""
        return self.frontier if self.learned is None else self.learned

    def estimates(self) -> dict[str, Estimate]:
        """Each figure in its setting; one that nothing tells is not there."""
        return _estimates(self.resampler, *self.sums)


def compare(subject: Side, other: Side) -> Comparison:
    """Set a policy against another."""
    differences = _estimates(subject.resampler, subject.sums.values - other.sums.values, subject.sums.weights)
    own, others = subject.sums.of("accuracy")[0], other.sums.of("accuracy")[0]
    matched = match(subject, other)
    return Comparison(
        against=other.label,
        accuracy=differences["accuracy"],
        p=sign_flip(own - others, seed=subject.resampler.seed),
        calls=differences["calls"],
        tokens=differences.get("tokens"),
        usd=differences.get("usd"),
        calls_to_match=None if matched is None else matched.calls,
        calls_ratio=None if matched is None else matched.ratio,
        accuracy_at_calls=gain_at_calls(subject, other),
        matched_accuracy=None if matched is None else matched.accuracy,
        calls_ratio_in_hindsight=ratio_in_hindsight(subject, other),
    )


class Matched(NamedTuple):
    """A mix of a policy's settings, chosen on other questions to be as accurate there as another policy."""

    calls: Estimate
    ratio: Estimate
    """The calls over the other's."""
    accuracy: Estimate
    """Less the other's: by how much the match is missed here, since it was made elsewhere."""


def match(subject: Side, other: Side) -> Matched | None:
    """The subject where it is as accurate as another policy; `None` where it is so at no setting.

    Which settings these are is said by other questions, where there are some; that choice is taken as it is, so the
    intervals are of these questions alone.
    """
    hull = Hull(subject.guide.points)
    calls = hull.calls_at(_point_of(other)[1])
    if not np.isfinite(calls):
        return None
    right, spent = _mixed(subject, hull.mix_at(calls))
    (others_right, weights), (others_calls, _) = other.sums.of("accuracy"), other.sums.of("calls")
    ratio = subject.resampler.ratio
    return Matched(
        as_estimate(ratio(spent, weights)),
        as_estimate(ratio(spent, others_calls)),
        as_estimate(ratio(right - others_right, weights)),
    )


def gain_at_calls(subject: Side, other: Side) -> Estimate:
    """The subject's accuracy, less the other's, in the mix that costs as many calls on other questions; see `match`."""
    right, _ = _mixed(subject, Hull(subject.guide.points).mix_at(_point_of(other)[0]))
    others_right, weights = other.sums.of("accuracy")
    return as_estimate(subject.resampler.ratio(right - others_right, weights))


def ratio_in_hindsight(subject: Side, other: Side) -> Estimate | None:
    """The least calls at which any mix of the subject's settings is as accurate, over the other's calls.

    In hindsight: the mix is picked on the very questions that it is reported on, in each resample anew, which flatters
    the subject. `None` where it is as accurate at no setting.
    """
    (right, weights), (calls, _) = other.sums.of("accuracy"), other.sums.of("calls")
    resampled = subject.resampler.sums(np.stack([calls, right, weights]))
    theirs = np.concatenate([[[calls.sum(), right.sum()]] / weights.sum(), resampled[:, :2] / resampled[:, 2:]])
    hulls = [Hull(subject.frontier.points), *subject.hulls]
    ratios = np.array([hull.calls_at(hit) / each for hull, (each, hit) in zip(hulls, theirs, strict=True)])
    return as_estimate(_ordered(ratios)) if np.isfinite(ratios[0]) else None


def _point_of(side: Side) -> tuple[float, float]:
    """Calls and accuracy of a policy in its setting, on the questions that mixes are chosen on."""
    calls, accuracy = side.guide.points[side.guide.settings.index(side.setting)].tolist()
    return calls, accuracy


def _mixed(side: Side, mix: dict[int, float]) -> tuple[Floats, Floats]:
    """Weighted sums of right answers and of calls in each unit, in a mix of settings."""
    right = np.sum([share * side.frontier.right[place] for place, share in mix.items()], axis=0)
    return right, np.sum([share * side.frontier.calls[place] for place, share in mix.items()], axis=0)


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


def _ordered(values: Floats) -> Interval:
    """The first value with the interval of the rest, some of which may be infinite."""
    low, high = np.quantile(values[1:], [0.025, 0.975], method="inverted_cdf")
    return Interval(float(values[0]), float(low), float(high))
