import pytest
from fakes import graded_run
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.errors import DataError
from drr_agent.evaluation.comparison import Arm, Point, calls_to_match, compare, equal_cost_mix, verdict
from drr_agent.evaluation.report import Comparison
from drr_agent.grading import get_grader

NUMBER = get_grader("number")
POINTS = st.lists(st.builds(Point, st.floats(1, 10), st.floats(0, 1)), min_size=1, max_size=6)


def arm(name, right, *, calls=1, first=0):
    """An arm that is right on the questions marked 1, each at that many calls."""
    usage = {"calls": calls, "unmetered_calls": 0, "input_tokens": 0, "output_tokens": 0}
    runs = [graded_run("1" if hit else "2", sample=f"q{i:03}", usage=usage) for i, hit in enumerate(right, start=first)]
    return Arm(name, "", runs)


@pytest.mark.parametrize(
    ("points", "calls", "mix"),
    [
        pytest.param([Point(1, 0.5)], 3, {0: 1.0}, id="one baseline as it is"),
        pytest.param([Point(1, 0.5), Point(5, 0.9)], 2, {0: 0.75, 1: 0.25}, id="between two"),
        pytest.param([Point(1, 0.5), Point(3, 0.9)], 3, {1: 1.0}, id="the dearer one at its own cost"),
        pytest.param([Point(1, 0.5), Point(3, 0.4)], 3, {0: 1.0}, id="paying more for less is no rival"),
        pytest.param([Point(1, 0.5), Point(2, 0.5), Point(4, 0.9)], 3, {0: 1 / 3, 2: 2 / 3}, id="over a dent"),
        pytest.param([Point(4, 0.8), Point(5, 0.9)], 3, {0: 1.0}, id="all dearer: the cheapest"),
    ],
)
def test_equal_cost_mix(points, calls, mix):
    assert equal_cost_mix(points, calls) == pytest.approx(mix)


@given(POINTS, st.floats(1, 10))
def test_a_mix_costs_no_more_and_beats_every_baseline_it_can_afford(points, calls):
    mix = equal_cost_mix(points, calls)
    cost = sum(share * points[i].calls for i, share in mix.items())
    accuracy = sum(share * points[i].accuracy for i, share in mix.items())
    affordable = [point for point in points if point.calls <= calls]
    assert sum(mix.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in mix.values())
    if affordable:
        assert cost <= calls * (1 + 1e-9)
        assert accuracy >= max(point.accuracy for point in affordable) - 1e-9
    else:
        assert cost == min(point.calls for point in points)


@pytest.mark.parametrize(
    ("points", "accuracy", "calls"),
    [
        pytest.param([Point(1, 0.5), Point(5, 0.9)], 0.7, 3.0, id="between two"),
        pytest.param([Point(1, 0.5), Point(5, 0.9)], 0.4, 1.0, id="the cheapest is better already"),
        pytest.param([Point(1, 0.5), Point(5, 0.9)], 0.95, None, id="out of reach"),
    ],
)
def test_calls_to_match(points, accuracy, calls):
    found = calls_to_match(points, accuracy)
    assert found == (None if calls is None else pytest.approx(calls))


def test_compare_pairs_by_question_and_leaves_out_the_unshared():
    ours = arm("drr", [1, 1, 1, 0], calls=2)
    theirs = arm("single_pass", [1, 0, 0], first=1)
    theirs.runs.reverse()
    found = compare(ours, [theirs], NUMBER, against="single_pass", seed=0)
    assert (found.n, found.left_out) == (3, 1)
    assert (found.accuracy, found.baseline_accuracy) == pytest.approx((2 / 3, 1 / 3))
    assert found.difference == pytest.approx(1 / 3)
    assert (found.calls, found.baseline_calls) == (2.0, 1.0)
    assert found.baseline == "single pass"


def test_compare_mixes_voting_to_equal_cost():
    cheap, dear = arm("single_pass", [1, 0] * 10), arm("self_consistency", [1] * 20, calls=5)
    found = compare(arm("drr", [1] * 18 + [0, 0], calls=3), [cheap, dear], NUMBER, against="voting", seed=0)
    assert found.baseline == "50 % single pass, 50 % self consistency"
    assert (found.baseline_calls, found.baseline_accuracy) == pytest.approx((3.0, 0.75))
    assert found.difference == pytest.approx(0.15)
    assert found.calls_to_match == pytest.approx(4.2)


def test_an_abstention_is_not_right_and_an_ungraded_run_is_not_compared():
    runs = [graded_run("1", sample="a", answer=None, choice=None), graded_run("1", sample="b", target=None)]
    found = compare(
        Arm("drr", "", runs),
        [arm("s", [1])._replace(runs=[graded_run("1", sample="a")])],
        NUMBER,
        against="single_pass",
        seed=0,
    )
    assert (found.n, found.accuracy, found.difference) == (1, 0.0, -1.0)


@pytest.mark.parametrize(
    "baselines",
    [
        pytest.param([], id="no baseline"),
        pytest.param([arm("single_pass", [1, 1], first=50)], id="no shared question"),
    ],
)
def test_compare_needs_something_shared(baselines):
    with pytest.raises(DataError, match=r"got none for .*'DRR'.*same samples"):
        compare(arm("drr", [1, 0]), baselines, NUMBER, against="voting", seed=0)


def comparison(against, low, high, **changes):
    middle = (low + high) / 2
    given = {
        "strategy": "drr",
        "setting": "",
        "against": against,
        "baseline": "single pass" if against == "single_pass" else "self consistency k=3",
        "n": 400,
        "left_out": 0,
        "accuracy": 0.7,
        "baseline_accuracy": 0.7 - middle,
        "calls": 3.0,
        "baseline_calls": 1.0 if against == "single_pass" else 3.0,
        "difference": middle,
        "difference_ci": (low, high),
        "calls_to_match": None,
    }
    return Comparison(**{**given, **changes})


GAIN = comparison("single_pass", 0.1, 0.2)


@pytest.mark.parametrize(
    ("comparisons", "finding"),
    [
        pytest.param([GAIN, comparison("voting", 0.01, 0.09)], "The loop helps: ", id="beats both"),
        pytest.param(
            [GAIN, comparison("voting", 0.01, 0.09, calls_to_match=5.5)],
            "needs 5.50 calls for that",
            id="price of a gain",
        ),
        pytest.param(
            [GAIN, comparison("voting", -0.02, 0.015)],
            "plain voting does as well: ",
            id="no gain worth having over voting",
        ),
        pytest.param(
            [GAIN, comparison("voting", -0.03, 0.05)],
            "no gain over voting could be shown: ",
            id="too few questions to tell",
        ),
        pytest.param(
            [GAIN, comparison("voting", -0.05, 0.05)],
            "Not yet: too few labels, and nothing speaks for it: 0.0 points",
            id="nobody can tell yet",
        ),
        pytest.param(
            [comparison("single_pass", 0.1, 0.2, n=12)], "Not yet: 12 labelled questions are too few", id="few"
        ),
        pytest.param(
            [comparison("single_pass", 0.0, 0.0, calls=1.0)], "Not yet: there is one attempt a question", id="one turn"
        ),
        pytest.param([GAIN, comparison("voting", -0.09, -0.01)], "voting does it better: ", id="loses to voting"),
        pytest.param(
            [GAIN, comparison("voting", 0.01, 0.09, baseline_calls=2.0)],
            "than voting at 2.00 calls",
            id="cheaper rival",
        ),
        pytest.param([GAIN], "voting was not tried", id="no voting"),
        pytest.param(
            [comparison("single_pass", -0.01, 0.015)], "One attempt is enough here: ", id="no gain worth having"
        ),
        pytest.param([comparison("single_pass", -0.04, 0.06)], "No gain over one attempt could be shown", id="unclear"),
        pytest.param([comparison("single_pass", -0.2, -0.1)], "Looping hurts here: ", id="harm"),
        pytest.param(
            [comparison("single_pass", -0.2, -0.1), comparison("voting", 0.1, 0.2)],
            "Looping hurts here: ",
            id="harm first",
        ),
        pytest.param([comparison("voting", 0.01, 0.09)], "No verdict: ", id="no single pass"),
        pytest.param([], "No verdict: ", id="nothing"),
        pytest.param(
            [GAIN, comparison("voting", 0.01, 0.09), comparison("voting", -0.2, -0.1, strategy="drr_threshold")],
            "The loop helps: ",
            id="about the first strategy alone",
        ),
    ],
)
def test_verdict(comparisons, finding):
    sentence = verdict(comparisons)
    assert finding in sentence
    assert sentence.endswith(".")


def test_verdict_says_the_numbers():
    assert verdict([GAIN, comparison("voting", 0.01, 0.09)]) == (
        "The loop helps: DRR is right on 70.0 % of 400 questions with 3.00 Reasoner calls each, 15.0 points more "
        "(95 % interval +10.0 to +20.0) than a single pass, and 5.0 points more (95 % interval +1.0 to +9.0) than "
        "voting at as many calls; no voting setting tried reaches that."
    )


def test_verdict_does_not_count_one_rival_twice():
    rival = {"baseline": "single pass at temperature 0", "calls_to_match": 5.0}
    said = verdict([comparison("single_pass", 0.01, 0.09, **rival), comparison("voting", 0.01, 0.09, **rival)])
    assert said.endswith(
        "than a single pass at temperature 0, and no voting at as many calls does better than that one; voting needs "
        "5.00 calls for that."
    )
