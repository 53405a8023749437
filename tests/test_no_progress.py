"""Runs that go in circles, as tables; and that nothing else is ended."""

import pytest
from fakes import ScriptedChatModel, TableDM, make_attempt
from hypothesis import given
from hypothesis import strategies as st

from drr_agent import NoProgress, create_drr_graph
from drr_agent.errors import ConfigError
from drr_agent.policy import BestScorePolicy, Decision, Policy, ThresholdPolicy, play

NEVER = {"same_answer": None, "same_rationale": None, "returns": None, "plateau": None}


def attempts(*answers, scores=None, rationales=None):
    """Attempts whose rationales have nothing in common, unless given."""
    scores = [0.1] * len(answers) if scores is None else scores
    rationales = [f"w{n}a w{n}b w{n}c w{n}d" for n in range(len(answers))] if rationales is None else rationales
    return [
        make_attempt(answer, score, rationale=rationale, turn=turn)
        for turn, (answer, score, rationale) in enumerate(zip(answers, scores, rationales, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("rule", "answers", "ends_at"),
    [
        pytest.param({"same_answer": 3}, ["4", "4", "4"], 3, id="three times the same"),
        pytest.param({"same_answer": 3}, ["4", "4.0", "4 apples"], 3, id="however it is spelled"),
        pytest.param({"same_answer": 2}, ["4", "5", "5"], 3, id="two in a row"),
        pytest.param({"same_answer": 2}, ["4", "5", "4", "6", "4"], None, id="not in a row"),
        pytest.param({"same_answer": 2}, ["4", None, "4"], None, id="no answer between"),
        pytest.param({"same_answer": 2}, [None, None, None], None, id="no answer is not the same"),
        pytest.param({"returns": 1}, ["4", "5", "4"], 3, id="there and back"),
        pytest.param({"returns": 2}, ["4", "5", "4"], None, id="once is not twice"),
        pytest.param({"returns": 2}, ["4", "5", "4", "5", "4"], 5, id="twice"),
        pytest.param({"returns": 1}, ["4", "4", "4"], None, id="never away"),
        pytest.param({"returns": 2}, ["4", "5", "4", "6", "4"], None, id="to another each time"),
        pytest.param({"returns": 1}, [None, "5", None], None, id="nowhere and back"),
    ],
)
def test_answers(rule, answers, ends_at):
    policy = NoProgress(policy=BestScorePolicy(), **{**NEVER, **rule})
    decision, turns = play(policy, attempts(*answers), max_turns=9)
    assert (turns if decision.outcome == "stop" else None) == ends_at


@pytest.mark.parametrize(
    ("rationales", "ends_at"),
    [
        pytest.param(["two and two is four", "Two, and two, is FOUR!"], 2, id="word by word"),
        pytest.param(["two and two is four", "three and one", "two and two is four"], 3, id="an earlier one"),
        pytest.param(["two and two is four", "two and two is five"], None, id="two of four triples"),
        pytest.param(["", "", ""], None, id="nothing said"),
        pytest.param(["yes", "yes"], 2, id="one word"),
    ],
)
def test_rationales(rationales, ends_at):
    policy = NoProgress(policy=BestScorePolicy(), **{**NEVER, "same_rationale": 0.6})
    given_attempts = attempts(*map(str, range(len(rationales))), rationales=rationales)
    decision, turns = play(policy, given_attempts, max_turns=9)
    assert (turns if decision.outcome == "stop" else None) == ends_at


@pytest.mark.parametrize(
    ("scores", "ends_at"),
    [
        pytest.param([0.3, 0.3, 0.3], 3, id="flat"),
        pytest.param([0.3, 0.2, 0.1], 3, id="falling"),
        pytest.param([0.3, 0.31, 0.32, 0.33], None, id="rising by just enough"),
        pytest.param([0.3, 0.2, 0.4, 0.4, 0.405], 5, id="risen once"),
        pytest.param([None, None, None], 3, id="nobody knows"),
    ],
)
def test_a_plateau(scores, ends_at):
    policy = NoProgress(policy=BestScorePolicy(), **{**NEVER, "plateau": 2})
    given_attempts = attempts(*map(str, range(len(scores))), scores=scores)
    decision, turns = play(policy, given_attempts, max_turns=9)
    assert (turns if decision.outcome == "stop" else None) == ends_at


class Always:
    """A policy of one outcome."""

    abstain_below = 0.25

    def __init__(self, outcome):
        self.outcome = outcome

    def decide(self, attempts):
        return Decision(self.outcome, len(attempts) - 1, 0.5)


@pytest.mark.parametrize("outcome", ["accept", "stop", "review"])
def test_what_the_policy_ends_stays_as_it_is(outcome):
    policy = NoProgress(policy=Always(outcome))
    assert policy.decide(attempts("4", "4", "4")) == Decision(outcome, 2, 0.5)
    assert (policy.abstain_below, isinstance(policy, Policy)) == (0.25, True)


@pytest.mark.parametrize(
    ("exhausted", "expected"),
    [
        pytest.param("continue", ("stop", "no_progress"), id="nothing more: stopped"),
        pytest.param("accept", ("accept", None), id="accepted after all"),
        pytest.param("review", ("review", None), id="to review"),
    ],
)
def test_circles_end_as_turns_do(exhausted, expected):
    class Onward(Always):
        def decide(self, attempts):
            return super().decide(attempts)._replace(exhausted=exhausted)

    policy = NoProgress(policy=Onward("continue"), same_answer=2)
    decision = policy.decide(attempts("4", "4"))
    assert (decision.outcome, decision.reason) == expected
    assert policy.decide(attempts("4"))[::3] == ("continue", exhausted), "passed on while it thinks on"


@given(st.lists(st.tuples(st.sampled_from(["4", "5", None]), st.none() | st.floats(0, 1)), min_size=1, max_size=7))
def test_the_answer_is_the_policys(rows):
    given_attempts = attempts(*[answer for answer, _ in rows], scores=[score for _, score in rows])
    inner, outer = ThresholdPolicy(threshold=0.9), NoProgress(policy=ThresholdPolicy(threshold=0.9), plateau=2)
    one, other = inner.decide(given_attempts), outer.decide(given_attempts)
    assert one._replace(outcome="", reason=None) == other._replace(outcome="", reason=None)
    assert other.reason == (None if one.outcome == other.outcome else "no_progress")
    assert (one.outcome, other.outcome) in {(o, o) for o in ("accept", "continue")} | {("continue", "stop")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"same_answer": 1}, "`same_answer` must be a whole number of at least 2"),
        ({"same_answer": True}, "`same_answer` must be"),
        ({"returns": 0}, "`returns` must be a whole number of at least 1"),
        ({"plateau": 1.5}, "`plateau` must be"),
        ({"same_rationale": 0.0}, "`same_rationale` must be over 0 and at most 1"),
        ({"min_gain": 2.0}, "`min_gain` must be"),
    ],
    ids=str,
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ConfigError, match=message):
        NoProgress(policy=BestScorePolicy(), **settings)


def test_a_graph_ends_a_run_that_goes_in_circles():
    replies = ["one way\nAnswer: 4", "quite another way\nAnswer: 5", "one way\nAnswer: 4"]
    policy = NoProgress(policy=ThresholdPolicy(threshold=0.9))
    graph = create_drr_graph(
        ScriptedChatModel(replies=replies), TableDM({"4": 0.3, "5": 0.4}), policy=policy, max_turns=8
    )
    run = graph.invoke({"messages": [("user", "2 + 2?")]})["drr"]
    assert (run["stop_reason"], run["answer"], run["accepted"], len(run["attempts"])) == ("no_progress", "5", False, 3)
