"""Frontiers: the arrays say what the slow replay says, and mixes are those of an evaluation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import simulate

from drr_agent.evaluation.comparison import Point, calls_to_match, equal_cost_mix
from drr_agent.policy import BestScorePolicy, ConsensusPolicy, ConsensusWeights, MajorityPolicy, ThresholdPolicy
from drr_agent.replay.forms import AdaptiveFamily, ConsensusFamily, CountFamily, ThresholdFamily
from drr_agent.replay.frontier import Hull, choose, measure, trace
from drr_agent.replay.paths import end
from drr_agent.replay.readings import Readings
from drr_agent.training.threshold import replay

POINTS = st.lists(
    st.tuples(st.integers(2, 20).map(lambda n: n / 2), st.integers(0, 10).map(lambda n: n / 10)), min_size=1, max_size=7
)


@given(points=POINTS, calls=st.floats(1, 11), accuracy=st.integers(0, 100).map(lambda n: n / 100))
def test_the_hull_is_the_best_mix(points, calls, accuracy):
    hull, rivals = Hull(np.array(points)), [Point(*point) for point in points]
    cheapest = min(point.calls for point in rivals)
    if calls >= cheapest:
        mix = equal_cost_mix(rivals, calls)
        best = sum(share * rivals[place].accuracy for place, share in mix.items())
        assert hull.accuracy_at(calls) == pytest.approx(best)
    known = calls_to_match(rivals, accuracy)
    assert hull.calls_at(accuracy) == (np.inf if known is None else pytest.approx(known))


WEIGHTS = ConsensusWeights(score=0.9, agreement=0.4, none=-0.2)
FAMILIES = [
    pytest.param(ThresholdFamily(), 0.8, ThresholdPolicy(threshold=0.8), id="threshold"),
    pytest.param(
        ConsensusFamily(policy=ConsensusPolicy(weights=WEIGHTS)),
        0.85,
        ConsensusPolicy(weights=WEIGHTS, threshold=0.85),
        id="consensus",
    ),
    pytest.param(AdaptiveFamily(), 0.9, MajorityPolicy(confidence=0.9), id="adaptive"),
    pytest.param(CountFamily(name="vote", policy=MajorityPolicy()), 6.0, MajorityPolicy(), id="self-consistency"),
    pytest.param(CountFamily(name="best", policy=BestScorePolicy()), 6.0, BestScorePolicy(), id="best of n"),
]


@pytest.mark.parametrize(("family", "setting", "policy"), FAMILIES)
def test_means_are_those_of_the_slow_replay(family, setting, policy):
    log = [question._replace(weight=1.0 + place % 3) for place, question in enumerate(simulate(60, seed=2))]
    readings = Readings.of(log, max_turns=6, seed=3)
    means = measure(end(family.walk(readings), setting, readings), readings).means()
    assert (means["accuracy"], means["calls"]) == pytest.approx(replay(log, policy, max_turns=6, seed=3))
    assert means["tokens"] == pytest.approx(15 * means["calls"]), "each attempt has 15"
    assert means["usd"] is None, "nobody gave prices"


def test_every_setting_of_a_frontier_is_a_replay():
    readings = Readings.of(simulate(40, seed=2), max_turns=5)
    frontier = trace(ThresholdFamily(), readings, (0.2, 0.6, 0.95))
    calls, accuracy = frontier.points.T
    assert list(calls) == sorted(calls)
    for place, setting in enumerate(frontier.settings):
        means = measure(end(frontier.walk, setting, readings), readings).means()
        assert frontier.means[place] == means
        assert (calls[place], accuracy[place]) == pytest.approx((means["calls"], means["accuracy"]))


@pytest.mark.parametrize("budget", [1.5, 3.0, 8.0])
def test_the_choice_keeps_to_its_calls_and_is_the_cheapest_of_the_best(budget):
    readings = Readings.of(simulate(200, seed=4), max_turns=8)
    frontier = trace(ConsensusFamily(), readings, tuple(np.linspace(0.1, 0.98, 45)))
    chosen = choose(frontier, mean_calls=budget)
    calls, accuracy = frontier.points.T
    affordable = accuracy[calls <= budget]
    assert calls[chosen] <= budget
    assert accuracy[chosen] >= affordable.max() - 0.05
    assert calls[chosen] <= calls[accuracy == affordable.max()].min() + 1e-9


def test_where_nothing_is_cheap_enough_the_cheapest_is_chosen():
    readings = Readings.of(simulate(30, seed=4), max_turns=8)
    votes = CountFamily(name="vote", policy=MajorityPolicy())
    assert choose(trace(votes, readings, (4.0, 3.0, 5.0)), mean_calls=1.0) == 1
