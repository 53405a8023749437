"""Policies against each other: mixes are chosen on other questions, and what was picked in hindsight says so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import simulate

from drr_agent.policy import MajorityPolicy
from drr_agent.replay.compare import Side, compare, gain_at_calls, match, ratio_in_hindsight
from drr_agent.replay.forms import AdaptiveFamily, ConsensusFamily
from drr_agent.replay.frontier import Hull, measure, trace
from drr_agent.replay.paths import end
from drr_agent.replay.readings import Readings
from drr_agent.replay.resampling import Resampler

SETTINGS = tuple(np.linspace(0.1, 0.98, 23))
ADAPTIVE = AdaptiveFamily(policy=MajorityPolicy(confidence=0.9))


def read(count, seed):
    return Readings.of(simulate(count, seed=seed), max_turns=6, seed=seed)


def side(family, setting, show, learn=None, *, settings=None):
    settings = (setting,) if settings is None else settings
    shown = trace(family, show, settings)
    return Side(
        label=family.label(setting),
        setting=setting,
        sums=measure(end(shown.walk, setting, show), show),
        frontier=shown,
        resampler=Resampler(units=len(show.units.weights), resamples=200),
        learned=None if learn is None else trace(family, learn, settings),
    )


SHOWN, ELSEWHERE = read(150, 1), read(150, 2)


def pair(learn):
    subject = side(ConsensusFamily(), SETTINGS[11], SHOWN, learn, settings=SETTINGS)
    return subject, side(ADAPTIVE, 0.9, SHOWN, learn)


def test_a_match_is_chosen_elsewhere_and_reported_here():
    subject, other = pair(ELSEWHERE)
    found = match(subject, other)
    hull = Hull(subject.learned.points)
    wanted = other.learned.points[0, 1]
    mix = hull.mix_at(hull.calls_at(wanted))
    assert sum(share * subject.learned.points[place, 1] for place, share in mix.items()) == pytest.approx(wanted)
    calls, right = sum(share * subject.frontier.points[place] for place, share in mix.items())
    theirs = other.frontier.points[0]
    assert found.calls.mean == pytest.approx(calls)
    assert found.ratio.mean == pytest.approx(calls / theirs[0])
    assert found.accuracy.mean == pytest.approx(right - theirs[1])
    assert found.ratio.low < found.ratio.mean < found.ratio.high
    assert found.accuracy.low < found.accuracy.mean < found.accuracy.high


def test_the_record_has_the_match_and_not_what_hindsight_finds():
    subject, other = pair(ELSEWHERE)
    row, found = compare(subject, other), match(subject, other)
    assert (row.calls_to_match, row.calls_ratio) == (found.calls, found.ratio)
    assert row.accuracy_at_calls == gain_at_calls(subject, other)
    assert row.matched_accuracy == found.accuracy
    assert row.calls_ratio != ratio_in_hindsight(subject, other) == row.calls_ratio_in_hindsight


def test_without_other_questions_it_is_chosen_in_hindsight():
    subject, other = pair(None)
    found = match(subject, other)
    assert found.ratio.mean == pytest.approx(ratio_in_hindsight(subject, other).mean)
    assert found.accuracy.mean == pytest.approx(0.0, abs=1e-9)


def test_hindsight_flatters():
    """Over many halves, a mix that is picked where it is reported needs fewer calls than one that was picked before."""
    ratios = []
    for seed in range(8):
        show, learn = read(40, 10 + seed), read(40, 30 + seed)
        subject = side(ConsensusFamily(), SETTINGS[11], show, learn, settings=SETTINGS)
        other = side(ADAPTIVE, 0.9, show, learn)
        honest, picked = match(subject, other), ratio_in_hindsight(subject, other)
        if honest is not None and picked is not None and honest.accuracy.mean >= 0:
            ratios.append((honest.ratio.mean, picked.mean))
    assert len(ratios) > 2
    assert all(honest >= picked - 1e-9 for honest, picked in ratios), "at no less accuracy, none needs fewer"


def test_what_is_never_as_accurate_has_no_match():
    worse = side(ConsensusFamily(), 0.0, SHOWN, ELSEWHERE)
    better = side(ADAPTIVE, 0.95, SHOWN, ELSEWHERE)
    assert worse.learned.points[0, 1] < better.learned.points[0, 1]
    assert match(worse, better) is None
    row = compare(worse, better)
    assert (row.calls_to_match, row.calls_ratio, row.matched_accuracy) == (None, None, None)
    assert row.accuracy_at_calls.mean < 0


POINTS = st.lists(
    st.tuples(st.integers(2, 20).map(lambda n: n / 2), st.integers(0, 10).map(lambda n: n / 10)), min_size=1, max_size=7
)


@given(points=POINTS, calls=st.floats(0.5, 11))
def test_a_mix_is_the_point_of_the_hull(points, calls):
    table = np.array(points)
    hull, cheapest = Hull(table), min(point[0] for point in points)
    mix = hull.mix_at(calls)
    assert sum(mix.values()) == pytest.approx(1.0)
    assert 1 <= len(mix) <= 2
    spent, right = (sum(share * table[place, column] for place, share in mix.items()) for column in (0, 1))
    assert spent <= max(calls, cheapest) + 1e-9
    assert right == pytest.approx(hull.accuracy_at(calls))
