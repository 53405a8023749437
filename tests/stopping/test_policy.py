"""StoppingPolicy: what it decides, what it refuses, how it is logged, and how it runs in the graph."""

import json
from hashlib import sha256

import pytest
from fakes import ScriptedChatModel, TableDM, make_attempt
from graphs.ways import WAYS
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import ValidationError
from stopping.models import BY_VOTES, believed, doubting, logit_of, stopping_model, turn_values

from drr_agent import Budget, NoProgress, create_drr_graph
from drr_agent.dm.protocol import Score
from drr_agent.errors import ConfigError
from drr_agent.policy import ENDS, Decision, Policy, ThresholdPolicy, play, settle, within
from drr_agent.replay.families import OUTCOMES
from drr_agent.replay.paths import end
from drr_agent.replay.readings import Readings
from drr_agent.replay.standing import NOTHING
from drr_agent.replay.stopping_form import StoppingFamily
from drr_agent.stopping import StoppingModel, StoppingPolicy
from drr_agent.stopping.values import TurnValues
from drr_agent.training.logged import LabelledQuestion

MODEL = stopping_model()


def policy(**changes):
    """One more turn is worth 0.2 of the doubt; at a worth of 20 calls it pays below P = 0.75."""
    return StoppingPolicy(**{"model": MODEL, "worth": 20.0, **changes})


@pytest.mark.parametrize(
    ("given_attempts", "changes", "decision"),
    [
        pytest.param(believed(0.9), {}, Decision("accept", 0, 0.9, "accept"), id="sure"),
        pytest.param(
            believed(0.7), {}, Decision("continue", 0, 0.7, "accept"), id="in doubt, and accepted where turns end"
        ),
        pytest.param(believed(0.4), {}, Decision("continue", 0, 0.4), id="in doubt"),
        pytest.param(believed(0.7), {"worth": 10.0}, Decision("accept", 0, 0.7, "accept"), id="worth too little"),
        pytest.param(believed(0.9), {"worth": 100.0}, Decision("continue", 0, 0.9, "accept"), id="worth more"),
        pytest.param(believed(0.9), {"accept_at": 0.95}, Decision("stop", 0, 0.9), id="stopped, not accepted"),
        pytest.param(
            believed(0.5), {"worth": 5.0, "accept_at": 0.5}, Decision("accept", 0, 0.5, "accept"), id="inclusive"
        ),
        pytest.param(
            believed(0.8),
            {"accept_at": 0.95, "review_below": 0.85},
            Decision("review", 0, 0.8, "review"),
            id="to review",
        ),
        pytest.param(
            believed(0.9), {"accept_at": 0.95, "review_below": 0.85}, Decision("stop", 0, 0.9), id="in between"
        ),
        pytest.param(
            believed(0.2), {"review_below": 0.3}, Decision("continue", 0, 0.2, "review"), id="unsure, and goes on"
        ),
        pytest.param(believed(0.2) * 4, {}, Decision("stop", 0, 0.2), id="after the last turn that is known"),
        pytest.param([make_attempt(None)], {}, Decision("continue", None, None), id="no answer yet"),
        pytest.param([make_attempt("4")], {}, Decision("continue", None, None), id="no score yet"),
        pytest.param([make_attempt(None)] * 4, {}, Decision("stop", None, None), id="never an answer"),
        pytest.param(
            [make_attempt(None)] * 4, {"review_below": 0.1}, Decision("review", None, None, "review"), id="none to find"
        ),
    ],
)
def test_decisions(given_attempts, changes, decision):
    found = policy(**changes).decide(given_attempts)
    assert found._replace(confidence=None) == decision._replace(confidence=None)
    assert found.confidence == (None if decision.confidence is None else pytest.approx(decision.confidence))


ATTEMPTS = st.lists(
    st.tuples(st.sampled_from([None, "a", "b"]), st.none() | st.floats(0.02, 0.98)), min_size=1, max_size=5
).map(lambda rows: [make_attempt(a, p, logit=None if p is None else logit_of(p)) for a, p in rows])
BUMPY = turn_values(((0.4, -0.5), (0.1, 0.3), (-0.2, 0.1)), ((0.1, -0.2), (0.2, -0.1), (0.3, -0.6)))


@given(attempts=ATTEMPTS, worths=st.tuples(st.floats(1, 500), st.floats(1, 500)), votes=st.booleans())
def test_a_higher_worth_never_stops_earlier(attempts, worths, votes):
    model = stopping_model(BY_VOTES, BUMPY) if votes else stopping_model(values=BUMPY)
    cheap, dear = (StoppingPolicy(model=model, worth=worth) for worth in sorted(worths))
    assert play(cheap, attempts, max_turns=5).turns <= play(dear, attempts, max_turns=5).turns


@given(attempts=ATTEMPTS, low=st.floats(0, 1), high=st.floats(0, 1))
def test_where_to_accept_changes_no_turn(attempts, low, high):
    review_below, accept_at = sorted((low, high))
    plain, cut = play(policy(), attempts, max_turns=5), policy(accept_at=accept_at, review_below=review_below)
    decision, turns = play(cut, attempts, max_turns=5)
    assert (turns, decision.choice) == (plain.turns, plain.decision.choice)
    confidence = decision.confidence or 0.0
    expected = {
        "accept": decision.choice is not None and confidence >= accept_at,
        "review": confidence < review_below,
        "stop": confidence >= review_below,
        "continue": confidence >= review_below,
    }
    known = decision.choice is not None
    assert (decision.outcome == "accept") == (known and confidence >= accept_at), "however the run ended"
    assert expected[decision.outcome]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"worth": 0.0}, "`worth` must be above 0", id="worthless"),
        pytest.param({"worth": -5.0}, "`worth` must be above 0", id="worse than nothing"),
        pytest.param({"worth": float("nan")}, "`worth` must be above 0", id="no number"),
        pytest.param({"accept_at": 1.5}, r"`accept_at` must be in \[0, 1\], got 1.5", id="accept"),
        pytest.param({"review_below": -0.1}, "`review_below` must be in", id="review"),
        pytest.param({"abstain_below": 2}, "`abstain_below` must be in", id="abstain"),
        pytest.param({"accept_at": 0.4, "review_below": 0.6}, "at most `accept_at`, got 0.6 and 0.4", id="crossed"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        policy(**changes)


def test_it_is_logged_by_a_digest_that_follows_the_numbers():
    text = repr(policy())
    assert MODEL.digest in text
    assert "weights" not in text
    assert len(text) < 250
    changed = MODEL.model_copy(update={"values": doubting(turns=2)})
    assert changed.digest != MODEL.digest, "the digest is that of the copy"
    assert StoppingModel.model_validate_json(MODEL.model_dump_json()).digest == MODEL.digest
    assert repr(policy(worth=21.0)) != text


def test_a_model_of_an_older_version_keeps_its_digest():
    """Certificates name it."""
    older = MODEL.model_dump(exclude={"values": {"shorter"}})
    assert StoppingModel.model_validate(older).digest == MODEL.digest
    assert MODEL.digest == sha256(json.dumps(older, separators=(",", ":")).encode()).hexdigest()[:12]


FORESEEING = stopping_model(
    values=doubting(3).model_copy(update={"shorter": (turn_values(((-1.0, 0.0),) * 3).weights, doubting(2).weights)})
)
"""One more turn is worth 0.2 of the doubt, and nothing in a run of two."""


@pytest.mark.parametrize(
    ("rule", "max_turns", "asked", "stop_reason"),
    [
        pytest.param(policy(model=FORESEEING), 2, 1, "stopped", id="two turns"),
        pytest.param(policy(model=FORESEEING), 3, 3, "stopped", id="three turns"),
        pytest.param(NoProgress(policy=policy(model=FORESEEING)), 2, 1, "stopped", id="two turns, wrapped"),
        pytest.param(policy(), 2, 2, "max_turns", id="an older model"),
    ],
)
def test_the_graph_goes_by_its_own_turns(rule, max_turns, asked, stop_reason):
    reasoner = ScriptedChatModel(replies=[AIMessage(f"by {n}\nAnswer: {n}") for n in (3, 5, 3)])
    run = create_drr_graph(reasoner, DM, policy=rule, max_turns=max_turns).invoke(QUESTION)["drr"]
    assert (len(reasoner.asked), run["stop_reason"]) == (asked, stop_reason)
    assert run["policy"] == repr(within(rule, max_turns)), "what is logged is what decided"


def test_policies_that_do_not_look_ahead_are_the_same_within_any_turns():
    assert within(ThresholdPolicy(), 2) == ThresholdPolicy()
    assert within(policy(), 4) == policy()


def test_json_keeps_every_decision_and_refuses_more():
    again = StoppingModel.model_validate_json(MODEL.model_dump_json())
    for probability in (0.1, 0.5, 0.74, 0.76, 0.9):
        attempts = believed(probability)
        assert policy(model=again).decide(attempts) == policy().decide(attempts)
    with pytest.raises(ValidationError, match="surprise"):
        StoppingModel.model_validate({**MODEL.model_dump(), "surprise": 1})


def test_it_is_a_policy():
    assert isinstance(policy(), Policy)
    assert isinstance(policy().model.values, TurnValues)
    assert hash(policy()) == hash(policy())


@pytest.mark.parametrize(
    ("changes", "outcome", "choice"),
    [
        pytest.param({}, "continue", 0, id="nothing more"),
        pytest.param({"accept_at": 0.25}, "accept", 0, id="accepted after all"),
        pytest.param({"accept_at": 0.25, "abstain_below": 0.5}, "accept", 0, id="accepted, so not withheld"),
        pytest.param({"review_below": 0.5}, "review", 0, id="to review"),
        pytest.param({"abstain_below": 0.5}, "continue", None, id="withheld"),
        pytest.param({"review_below": 0.5, "abstain_below": 0.5}, "review", None, id="to review, withheld"),
    ],
)
def test_where_nothing_more_may_be_tried(changes, outcome, choice):
    decision = policy(**changes).decide(believed(0.3))
    assert settle(policy(**changes), decision)[:2] == (outcome, choice)


class LogitDM(TableDM):
    """Says a logit with its score."""

    def score(self, requests):
        return [Score(self.table[r.answer], logit_of(self.table[r.answer])) for r in requests]


QUESTION = {"messages": [HumanMessage("What is 2 + 2?", id="q")]}
DM = LogitDM({"3": 0.1, "4": 0.9, "5": 0.3})
UNSURE = {"review_below": 0.4}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def invoke(request):
    return request.param


@pytest.mark.parametrize(
    ("replies", "rule", "settings", "answer", "stop_reason"),
    [
        pytest.param(["4"], policy(), {}, "4", "accepted", id="accepted at once"),
        pytest.param(["5", "4"], policy(), {}, "4", "accepted", id="thought again"),
        pytest.param(["5"], policy(worth=6.0), {}, "5", "stopped", id="not worth it"),
        pytest.param(["5"], policy(worth=6.0, **UNSURE), {}, "5", "review", id="reviewed"),
        pytest.param(["5", "3"], policy(), {"max_turns": 2}, "5", "max_turns", id="turns end"),
        pytest.param(["5", "3"], policy(**UNSURE), {"max_turns": 2}, "5", "review", id="turns end, reviewed"),
        pytest.param(["5"], policy(**UNSURE), {"budget": Budget(max_calls=1)}, "5", "review", id="budget, reviewed"),
        pytest.param(["5"], policy(), {"budget": Budget(max_calls=1)}, "5", "budget", id="budget ends"),
        pytest.param(["5", "3", "5", "3"], policy(), {}, "5", "stopped", id="after what the log showed"),
        pytest.param(["5", "3"], policy(accept_at=0.2), {"max_turns": 2}, "5", "accepted", id="turns end, accepted"),
        pytest.param(
            ["5"], policy(accept_at=0.2), {"budget": Budget(max_calls=1)}, "5", "accepted", id="budget, accepted"
        ),
        pytest.param(
            ["5", "5"], NoProgress(policy=policy(), same_answer=2), {}, "5", "no_progress", id="going in circles"
        ),
        pytest.param(
            ["5", "5"],
            NoProgress(policy=policy(accept_at=0.2), same_answer=2),
            {},
            "5",
            "accepted",
            id="going in circles, accepted",
        ),
        pytest.param(["4"], NoProgress(policy=policy()), {}, "4", "accepted", id="accepted within NoProgress"),
        pytest.param(["5"], NoProgress(policy=policy(worth=6.0)), {}, "5", "stopped", id="stopped within NoProgress"),
        pytest.param(
            ["5"], NoProgress(policy=policy(**UNSURE)), {"max_turns": 1}, "5", "review", id="reviewed within NoProgress"
        ),
    ],
)
def test_in_the_graph(invoke, replies, rule, settings, answer, stop_reason):
    reasoner = ScriptedChatModel(replies=[AIMessage(f"{n} times\nAnswer: {text}") for n, text in enumerate(replies)])
    graph = create_drr_graph(reasoner, DM, policy=rule, **{"max_turns": 6, **settings})
    run = invoke(graph, QUESTION)["drr"]
    assert (run["answer"], run["stop_reason"], len(reasoner.asked)) == (answer, stop_reason, len(replies))
    assert run["accepted"] == (stop_reason == "accepted")
    *before, last = (attempt["verdict"] for attempt in run["attempts"])
    assert before == ["reject"] * (len(replies) - 1)
    by_limits = settings.keys() & {"max_turns", "budget"} and not run["accepted"]
    assert last == ("reject" if by_limits else ENDS.get(stop_reason, "reject"))
    assert MODEL.digest in run["policy"]


def test_a_reasoner_that_never_answers_is_an_error_before_a_review(invoke):
    reasoner = ScriptedChatModel(replies=[TimeoutError("slow")] * 2)
    graph = create_drr_graph(reasoner, DM, policy=policy(**UNSURE), max_turns=2)
    assert invoke(graph, QUESTION)["drr"]["stop_reason"] == "error"


ANSWERS = {"3": 0.1, "4": 0.9, "5": 0.3, "6": 0.6}
STOP_REASONS = {"accept": "accepted", "stop": "stopped", "review": "review", "continue": "max_turns"}


@pytest.mark.parametrize("max_turns", [1, 2, 3, 6], ids=str)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="as it is"),
        pytest.param({"accept_at": 0.3, "review_below": 0.2}, id="accepts early"),
        pytest.param({"accept_at": 0.65, "review_below": 0.4, "abstain_below": 0.5}, id="reviews, withholds"),
        pytest.param({"worth": 6.0, "accept_at": 0.7}, id="stops"),
        pytest.param({"worth": 500.0, "accept_at": 0.85}, id="worth much"),
    ],
)
@pytest.mark.parametrize("replies", ["3453", "5366", "6644", "3335"])
def test_a_run_of_the_graph_is_what_play_and_replay_make_of_its_attempts(replies, settings, max_turns):
    rule = policy(**settings)
    reasoner = ScriptedChatModel(replies=[AIMessage(f"by {n}\nAnswer: {text}") for n, text in enumerate(replies)])
    run = create_drr_graph(reasoner, LogitDM(ANSWERS), policy=rule, max_turns=max_turns).invoke(QUESTION)["drr"]
    logged = [
        make_attempt(text, ANSWERS[text], logit=logit_of(ANSWERS[text]), turn=turn)
        for turn, text in enumerate(replies[:max_turns], 1)
    ]
    decision, turns = play(rule, logged, max_turns=max_turns)
    assert (run["stop_reason"], run["choice"], len(run["attempts"])) == (
        STOP_REASONS[decision.outcome],
        decision.choice,
        turns,
    )
    family = StoppingFamily(policy=rule)
    readings = Readings.of([LabelledQuestion(logged, ["incorrect"] * len(logged))], max_turns=max_turns)
    ends = end(family.walk(readings), family.read_setting(rule.worth), readings)
    assert (OUTCOMES[ends.outcome[0]], ends.turns[0]) == (decision.outcome, turns)
    assert ends.choice[0] == (NOTHING if decision.choice is None else decision.choice)
