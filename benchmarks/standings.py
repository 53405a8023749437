"""Policies against adaptive self-consistency: as accurate, for how many calls, and as dear, how much more accurate."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.resplits import questions_of
from drr_agent.dm.protocol import Score
from drr_agent.evaluation.comparison import Mix, Point, calls_to_match, equal_cost_mix
from drr_agent.evaluation.metrics import Floats
from drr_agent.policy import MajorityPolicy, ThresholdPolicy
from drr_agent.replay.families import Family
from drr_agent.replay.forms import AdaptiveFamily, ThresholdFamily
from drr_agent.replay.frontier import Frontier, Hull, trace
from drr_agent.replay.paths import suggest_settings
from drr_agent.replay.readings import Orders, Readings
from drr_agent.replay.resampling import Resampler
from drr_agent.replay.stopping_form import StoppingFamily
from drr_agent.stopping import StoppingModel, StoppingPolicy
from drr_agent.training.behaviors import Behavior

CALLS = np.arange(1.0, 8.001, 0.005)
"""At which frontiers are averaged."""


class Tried(NamedTuple):
    """A policy over its settings, on the questions that settings are chosen on and on those that figures are of."""

    tuned: Frontier
    tested: Frontier


def frontiers(
    parts: Mapping[str, Sequence[Behavior]],
    scores: Mapping[str, Score],
    model: StoppingModel | None,
    *,
    orders: Orders,
    max_turns: int,
) -> dict[str, Tried]:
    """Each policy over its settings: adaptive self-consistency, the paper's rule, ours.

    Settings are tuned on `calibration` alone: on what it was fitted to, a policy looks better than it is.
    """
    tuned, tested = (
        Readings.of(questions_of(rows, scores), max_turns=max_turns, orders=orders)
        for rows in (parts["calibration"], parts["test"])
    )
    families: list[Family] = [AdaptiveFamily(policy=MajorityPolicy(confidence=0.95))]
    if scores:
        families.append(ThresholdFamily(policy=ThresholdPolicy()))
    if model is not None:
        families.append(StoppingFamily(policy=StoppingPolicy(model=model)))
    return {family.name: _try(family, tuned, tested) for family in families}


def _try(family: Family, tuned: Readings, tested: Readings) -> Tried:
    if family.name == "adaptive":  # the lead takes few values, and each of them is a setting
        values = family.walk(tuned).value
        settings: Sequence[float] = sorted(set((values[np.isfinite(values)] - 1e-9).tolist()))
    else:
        settings = family.settings or suggest_settings(family.walk(tuned), tuned)
    return Tried(trace(family, tuned, settings), trace(family, tested, settings))


class Standing(NamedTuple):
    """A policy against adaptive self-consistency at its best setting, on the questions tested.

    Settings are chosen on other questions; `curve` alone is what the best of them would have come to.
    """

    rival: Point
    as_accurate: Point
    """Of the mix of two settings that is as accurate as the rival, and costs least."""
    as_dear: Point
    """Of the mix that costs what the rival does, and is most accurate."""
    gain: Floats
    """Right answers more of the latter, a value a question."""
    curve: Floats
    """Accuracy of the best mix at each of `CALLS`, in hindsight."""


def stand(ours: Tried, rival: Tried) -> Standing:
    """Set a policy against a rival at its best setting."""
    place = best_setting(rival.tuned)
    calls, accuracy = rival.tuned.points[place]
    points = [Point(*point) for point in ours.tuned.points]
    enough = calls_to_match(points, accuracy)
    as_accurate = equal_cost_mix(points, max(p.calls for p in points) if enough is None else enough)
    as_dear = equal_cost_mix(points, calls)
    hull = Hull(ours.tested.points)
    return Standing(
        rival=Point(*rival.tested.points[place]),
        as_accurate=_mix(ours.tested, as_accurate),
        as_dear=_mix(ours.tested, as_dear),
        gain=sum(share * ours.tested.right[index] for index, share in as_dear.items()) - rival.tested.right[place],
        curve=np.array([hull.accuracy_at(each) for each in CALLS]),
    )


def _mix(frontier: Frontier, mix: Mix) -> Point:
    calls, accuracy = sum(share * frontier.points[index] for index, share in mix.items())
    return Point(float(calls), float(accuracy))


def best_setting(frontier: Frontier) -> int:
    """The most accurate setting, the cheapest of those within 0.05 points."""
    calls, accuracy = frontier.points.T
    return int(min(np.flatnonzero(accuracy >= accuracy.max() - 0.0005), key=lambda place: calls[place]))


class Summary(NamedTuple):
    """The mean of some resplits."""

    rival: Point
    calls_ratio: float
    """Calls of a setting chosen to be as accurate as the rival, over the rival's."""
    accuracy_there: float
    """Accuracy of that setting, less the rival's."""
    hindsight_ratio: float
    """Calls at which the mean curve reaches the rival's mean accuracy, over its calls; infinity where it does not."""
    gain: tuple[float, float, float]
    """Accuracy at the rival's calls less the rival's, with its interval over questions."""
    cost_there: float
    """Calls of that setting over the rival's."""


def summarize(standings: Sequence[Standing]) -> Summary:
    """Average some resplits; curves are averaged first, since one resplit decides nothing where both are flat."""
    rival, accurate, dear = (
        np.mean([getattr(standing, name) for standing in standings], axis=0)
        for name in ("rival", "as_accurate", "as_dear")
    )
    reached = np.flatnonzero(np.mean([standing.curve for standing in standings], axis=0) >= rival[1])
    found = [Resampler(units=len(each.gain)).ratio(each.gain, np.ones(len(each.gain))) for each in standings]
    mean, low, high = np.mean([(each.mean, each.low, each.high) for each in found], axis=0)
    return Summary(
        rival=Point(*rival),
        calls_ratio=float(accurate[0] / rival[0]),
        accuracy_there=float(accurate[1] - rival[1]),
        hindsight_ratio=float(CALLS[reached[0]] / rival[0]) if len(reached) else np.inf,
        gain=(float(mean), float(low), float(high)),
        cost_there=float(dear[0] / rival[0]),
    )
