"""The record: how runs really end, what reviews hide, and which signals nobody logged."""

import pytest
from dm.test_certificate import make_certificate
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


class CertifiedDM(SignalDM):
    """With its policy, and what was proved of that."""

    def __init__(self, policy, **changes):
        super().__init__()
        self.stopping, self.consensus = policy, None
        told = {"dm": self.digest, "reasoners": ("openai:gpt-4o-mini",), "prompts": (ROWS[0]["prompts"],)}
        certificate = make_certificate(**{"policy": repr(policy), "max_turns": 5, **told, **changes})
        self.manifest = type("Manifest", (), {"certificates": (certificate,)})()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({}, "Certified: at most 5 % of the accepted answers wrong", id="what was certified"),
        pytest.param({"policies": ("drr:15",)}, "Certified: ", id="the same by a string"),
        pytest.param({"max_turns": 8}, "at most 8 turns here, and 5 turns there.", id="more turns"),
        pytest.param({"max_turns": 3}, "at most 3 turns here, and 5 turns there.", id="fewer turns"),
        pytest.param({"policies": ("drr:70",)}, "since the policy is another one.", id="another worth"),
        pytest.param({"policies": ("threshold:0.7",)}, "since the policy is another one.", id="another policy"),
        pytest.param({"policies": ("adaptive:0.9",)}, None, id="voting"),
    ],
)
def test_a_certificate_is_told_where_it_holds_and_where_not(settings, said):
    dm = CertifiedDM(stopping(ADAPTS, accept_at=0.71))
    config = {"policies": ("drr",), "against": ("single",), "max_turns": 5, "resamples": 20, "progress": False}
    report = replay(ROWS, dm, config=ReplayConfig(**{**config, **settings}))
    if said is None:
        assert report.certification is None
        return
    assert said in report.certification.told
    assert report.certification.certified == report.certification.told.startswith("Certified")
    named = [row.label for row in report.policies if row.name == "drr"]
    assert all(label.endswith("calls, accept_at 0.71") for label in named), "a certificate is of where it accepts"


def test_a_log_shorter_than_what_was_certified_is_uncertified():
    rows = [row for row in ROWS if row["draw"] < 4]
    config = ReplayConfig(policies=("drr",), against=("single",), max_turns=5, resamples=20, progress=False)
    report = replay(rows, CertifiedDM(stopping(ADAPTS)), config=config)
    assert "since the log holds at most 4 turns, and it is of 5." in report.certification.told


def test_attempts_of_another_reasoner_are_uncertified():
    rows = [{**row, "reasoner": "openai:other"} for row in ROWS]
    config = ReplayConfig(policies=("drr",), against=("single",), max_turns=5, resamples=20, progress=False)
    report = replay(rows, CertifiedDM(stopping(ADAPTS)), config=config)
    assert "the attempts are by openai:other here, and by openai:gpt-4o-mini there" in report.certification.told


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


HORIZONS = {"short horizon", "long horizon", "shortened"}


@pytest.mark.parametrize("max_turns", [5, 8], ids=["as many turns", "more than the log has"])
def test_a_horizon_as_long_as_the_log_has_no_limits(max_turns):
    assert not HORIZONS & told(run(stopping(ADAPTS), max_turns=max_turns)).keys()


FAR = stopping_model(
    values=doubting(7).model_copy(update={"shorter": tuple(doubting(turns).weights for turns in range(1, 7))})
)


@pytest.mark.parametrize(
    ("max_turns", "asked"),
    [
        pytest.param(5, None, id="as long as the log"),
        pytest.param(3, None, id="fewer turns were asked for"),
        pytest.param(7, 7, id="the log is too short"),
        pytest.param(12, 8, id="and the policy, too"),
    ],
)
def test_a_policy_that_the_log_is_too_short_for_is_told(max_turns, asked):
    limit = told(run(stopping(FAR), max_turns=max_turns)).get("shortened")
    if asked is None:
        assert limit is None
        return
    assert limit.count == asked
    assert "stopping is replayed as one for runs of 5 turns, the most that this log holds" in limit.text
    assert f"with {max_turns} turns it reckons with {asked}, and thinks on more readily" in limit.text
    assert f"`drr distill --attempts {max_turns}`" in limit.text


def test_of_the_accepted_it_is_told_how_many_are_wrong():
    chosen = run(stopping(accept_at=0.8), orders="logged").policies[0].chosen
    point, turns = chosen.point, chosen.by_turn
    assert 0 < point.accepted < 1
    wrong = sum(row.accepted * (1 - row.precision) for row in turns if row.accepted)
    assert point.wrong_of_accepted == pytest.approx(wrong / point.accepted)
    found = chosen.intervals["wrong_of_accepted"]
    assert found.low <= found.mean <= found.high
    nothing = run(stopping(accept_at=1.0)).policies[0].chosen
    assert nothing.point.wrong_of_accepted is None
    assert "wrong_of_accepted" not in nothing.intervals


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
