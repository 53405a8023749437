"""How figures are written."""

import pytest

from drr_agent.replay.report import Comparison, Estimate, SignalValue, Spread
from drr_agent.replay.wording import matched, most_valuable


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        pytest.param(0.71, "as accurate with 0.71 of its calls", id="fewer"),
        pytest.param(0.994, "as accurate with 0.99 of its calls", id="a little fewer"),
        pytest.param(0.999, "as accurate with no fewer calls", id="hardly fewer"),
        pytest.param(1.0, "as accurate with no fewer calls", id="as many"),
        pytest.param(1.34, "as accurate with 1.34 times its calls", id="more"),
        pytest.param(None, "it is as accurate at no setting", id="never"),
    ],
)
def test_what_it_takes_to_be_as_accurate(ratio, said):
    found = comparison(None if ratio is None else estimate(ratio))
    assert matched(found, "calibration") == said + (", in a mix of its settings chosen on calibration" if ratio else "")


def estimate(mean, low=None, high=None):
    return Estimate(mean=mean, low=low, high=high)


def comparison(ratio, **changes):
    names = ("accuracy", "calls", "accuracy_at_calls")
    known = {"p": 0.5, "tokens": None, "usd": None, "calls_to_match": ratio, "calls_ratio": ratio, **changes}
    return Comparison(against="single", **dict.fromkeys(names, estimate(0.0)), **known)


@pytest.mark.parametrize(
    ("chosen_on", "said"),
    [
        pytest.param("calibration", "chosen on calibration", id="elsewhere"),
        pytest.param("in sample", "chosen on these very questions", id="in sample"),
    ],
)
def test_a_match_says_how_accurate_it_is_here_and_where_it_was_chosen(chosen_on, said):
    found = comparison(estimate(0.71), matched_accuracy=estimate(-0.012, -0.03, 0.006))
    assert matched(found, chosen_on) == (
        f"as accurate with 0.71 of its calls (−1.2 points on these questions, −3.0 to +0.6), "
        f"in a mix of its settings {said}"
    )


def value(name, auroc, log_loss=0.0):
    spread = {
        key: Spread(mean=lost, low=lost - 0.1, high=lost)
        for key, lost in (("auroc", auroc), ("log_loss", log_loss))
        if lost is not None
    }
    return SignalValue(name=name, members=[name], known=1.0, **{"auroc": None, **spread})


@pytest.mark.parametrize(
    ("values", "names"),
    [
        pytest.param([("a", 0.0, 0.9), ("b", 0.014, 0.1), ("c", 0.2, 0.0)], "cba", id="by the order that is lost"),
        pytest.param([("a", 0.0001, 0.1), ("b", 0.0, 0.9)], "ba", id="what is written alike is alike"),
        pytest.param([("a", None, 0.1), ("b", None, 0.3)], "ba", id="by log loss, where no question is mixed"),
        pytest.param([("a", -0.1, 0.5), ("b", 0.0, 0.0)], "ba", id="a gain stands last"),
    ],
)
def test_signals_stand_by_what_is_lost_without_them(values, names):
    assert "".join(found.name for found in most_valuable(value(*one) for one in values)) == names
