"""The record: how runs really end, what reviews hide, and which signals nobody logged."""

import pytest
from replay.logs import SignalDM, make_log
from stopping.models import answer_model, doubting, stopping_model, term, turn_values

from drr_agent.no_progress import NoProgress
from drr_agent.policy import ThresholdPolicy
from drr_agent.replay import ReplayConfig, replay
from drr_agent.stopping import StoppingPolicy

ROWS = make_log(60, seed=1)


def stopping(model=None, **changes):
    return StoppingPolicy(**{"model": stopping_model() if model is None else model, "worth": 15.0, **changes})


def run(policy, rows=ROWS, **changes):
    config = {"policies": (policy,), "max_turns": 5, "resamples": 50, "progress": False}
    return replay(rows, SignalDM(), config=ReplayConfig(**{**config, **changes}))


def told(report):
    return {limit.kind: limit for limit in report.limits}


@pytest.fixture(scope="module")
def reviewing():
    return run(stopping(accept_at=0.9, review_below=0.6))


def test_what_goes_to_review_is_told_with_what_the_rest_comes_to(reviewing):
    point, limit = reviewing.policies[0].chosen.point, told(reviewing)["reviewed"]
    assert 0 < point.reviewed < 1
    assert limit.count == pytest.approx(60 * point.reviewed, abs=1)
    assert f"{100 * point.reviewed:.1f} % of the questions to review" in limit.text
    assert "as if nobody reviewed them" in limit.text
    others = reviewing.policies[0].chosen.intervals["accuracy_unreviewed"]
    assert f"of the others {100 * others.mean:.1f} % are right" in limit.text


def test_accuracy_is_that_of_the_reviewed_and_of_the_others(reviewing):
    point, intervals = reviewing.policies[0].chosen.point, reviewing.policies[0].chosen.intervals
    others = intervals["accuracy_unreviewed"]
    assert others.low < others.mean < others.high
    assert others.mean > point.accuracy, "those that it is unsure of are wrong more often"
    reviewed = (point.accuracy - others.mean * (1 - point.reviewed)) / point.reviewed
    assert 0 <= reviewed < others.mean


def test_where_all_go_to_review_there_are_no_others():
    report = run(stopping(accept_at=1.0, review_below=1.0))
    assert report.policies[0].chosen.point.reviewed == 1.0
    assert "accuracy_unreviewed" not in report.policies[0].chosen.intervals
    assert told(report)["reviewed"].count == 60
    assert "no others" in told(report)["reviewed"].text


def test_a_policy_without_reviews_is_not_told_of_them():
    report = run(stopping())
    chosen = report.policies[0].chosen
    assert "reviewed" not in told(report)
    assert chosen.intervals["accuracy_unreviewed"] == chosen.intervals["accuracy"]


ENDINGS = [
    pytest.param({"accept_at": 0.0}, "accepted", "accept", id="accepted"),
    pytest.param({"accept_at": 1.0}, "stopped, not accepted", None, id="stopped"),
    pytest.param({"accept_at": 1.0, "review_below": 1.0}, "sent to review", None, id="reviewed"),
]


@pytest.mark.parametrize(("changes", "ending", "verdict"), ENDINGS)
def test_an_example_ends_as_it_did(changes, ending, verdict):
    report = run(stopping(**changes))
    assert report.examples
    for example in report.examples:
        assert example.strategy == f"{report.subject} ({ending})"
        *earlier, last = (attempt.verdict for attempt in example.attempts)
        assert last == verdict
        assert set(earlier) == {"reject"}


def test_an_example_of_which_turns_ended_was_never_accepted():
    report = run(ThresholdPolicy(threshold=1.0), rows=make_log(60, seed=1, draws=2), max_turns=2)
    assert {example.strategy.rpartition(" (")[2] for example in report.examples} == {"turns ended)"}
    assert {example.attempts[-1].verdict for example in report.examples} == {None}


READS = answer_model(term("best", 1.0), term("best.length", 0.1), term("best.p", 0.1), term("best.logprob_mean", 0.1))


def test_signals_of_the_stopping_model_that_the_log_lacks_are_told():
    limit = told(run(stopping(stopping_model(READS))))["missing stopping signals"]
    assert limit.count == 2
    assert "learned from length, logprob_mean, too" in limit.text
    known = [{**row, "signals": {**row["signals"], "length": 3.0, "logprob_mean": -1.0}} for row in ROWS]
    assert "missing stopping signals" not in told(run(stopping(stopping_model(READS)), rows=known))
    assert "missing stopping signals" not in told(run("threshold"))


LONG = stopping_model(values=doubting(turns=7))
ADAPTS = stopping_model(
    values=doubting(4).model_copy(update={"shorter": tuple(doubting(turns).weights for turns in (1, 2, 3))})
)


@pytest.mark.parametrize(
    ("model", "max_turns", "kind", "count", "said"),
    [
        pytest.param(
            stopping_model(values=doubting(2)), 5, "short horizon", 3, "always ends after 3 turns", id="short"
        ),
        pytest.param(LONG, 5, "long horizon", 8, "reckons with 8 turns", id="long"),
    ],
)
def test_a_horizon_of_another_length_is_told(model, max_turns, kind, count, said):
    limit = told(run(stopping(model), max_turns=max_turns))[kind]
    assert limit.count == count
    assert said in limit.text


@pytest.mark.parametrize("max_turns", [5, 8], ids=["as many turns", "more than the log has"])
def test_a_horizon_as_long_as_the_log_has_no_limits(max_turns):
    assert not {"short horizon", "long horizon"} & told(run(stopping(ADAPTS), max_turns=max_turns)).keys()


def test_the_same_values_are_replayed_as_decided_within_fewer_turns():
    """The policy for three turns is the one that three-turn values make."""
    short = stopping(ADAPTS).within(3)
    plain = stopping(stopping_model(values=doubting(2)))
    one, other = (run(policy, max_turns=3).policies[0].chosen for policy in (short, plain))
    assert one == other


def test_a_rule_around_a_policy_accepts_what_the_policy_would_where_it_ends_the_run():
    hopeful = stopping(stopping_model(values=turn_values(*[((0.5, -0.1),) * 3] * 4)), accept_at=0.7)
    plain, circling = (run(policy).policies[0].chosen.point for policy in (hopeful, NoProgress(policy=hopeful)))
    assert circling.calls < plain.calls
    assert circling.accepted > 0.3
