"""Policies as tables: attempts in, decision out."""

import math

import pytest
from fakes import make_attempt
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.errors import ConfigError
from drr_agent.odds import beta_lead
from drr_agent.policy import (
    BestScorePolicy,
    ConsensusPolicy,
    ConsensusWeights,
    Decision,
    MajorityPolicy,
    Policy,
    Support,
    ThresholdPolicy,
    consensus_probabilities,
    play,
    settle,
)

POLICIES: list[Policy] = [
    ThresholdPolicy(),
    BestScorePolicy(),
    MajorityPolicy(),
    MajorityPolicy(confidence=0.9),
    ConsensusPolicy(),
]


def attempts(*rows: tuple[str | None, float | None]):
    return [make_attempt(answer, score, turn=turn) for turn, (answer, score) in enumerate(rows, start=1)]


@pytest.mark.parametrize(
    ("policy", "rows", "outcome", "choice"),
    [
        pytest.param(ThresholdPolicy(threshold=0.7), [("4", 0.7)], "accept", 0, id="threshold is inclusive"),
        pytest.param(ThresholdPolicy(threshold=0.7), [("4", 0.69)], "continue", 0, id="just below goes on"),
        pytest.param(ThresholdPolicy(threshold=0.7), [("4", 0.6), ("5", 0.2)], "continue", 0, id="best, not last"),
        pytest.param(ThresholdPolicy(threshold=0.7), [("4", 0.6), ("5", 0.9)], "accept", 1, id="newest accepted"),
        pytest.param(ThresholdPolicy(), [("4", None)], "continue", 0, id="no score is never accepted"),
        pytest.param(ThresholdPolicy(), [(None, None)], "continue", None, id="no answer, no choice"),
        pytest.param(ThresholdPolicy(), [("4", 0.0), ("5", 0.0)], "continue", 0, id="the earliest of equal scores"),
        pytest.param(BestScorePolicy(), [("4", 0.99), ("5", 0.5)], "continue", 0, id="best-of-n never stops early"),
        pytest.param(MajorityPolicy(), [("4", None), ("5", None), ("5.0", None)], "continue", 1, id="5 and 5.0 agree"),
        pytest.param(MajorityPolicy(), [("4", None), ("5", None)], "continue", 0, id="earliest of equal counts"),
        pytest.param(MajorityPolicy(confidence=0.9), [("4", None)] * 3, "accept", 0, id="three of three are safe"),
        pytest.param(MajorityPolicy(confidence=0.95), [("4", None)] * 3, "continue", 0, id="but not at 95 %"),
        pytest.param(MajorityPolicy(), [(None, None)], "continue", None, id="no votes"),
        pytest.param(ConsensusPolicy(threshold=0.8), [("4", 0.8)], "accept", 0, id="one attempt keeps its own score"),
        pytest.param(ConsensusPolicy(threshold=0.8), [("4", 0.6), ("4", 0.6)], "accept", 0, id="agreement adds up"),
        pytest.param(ConsensusPolicy(threshold=0.8), [("4", 0.7), ("5", 0.7)], "continue", 0, id="conflict does not"),
        pytest.param(ConsensusPolicy(), [("4", 0.2), ("4.0", 0.6), ("7", 0.3)], "continue", 1, id="best of the group"),
        pytest.param(ConsensusPolicy(), [("4", 0.4)] * 7 + [("9", 0.4)], "accept", 0, id="votes never count against"),
        pytest.param(ConsensusPolicy(threshold=0.0), [("4", None)], "continue", 0, id="consensus needs a score"),
        pytest.param(ConsensusPolicy(threshold=0.0), [("4", None), ("5", 0.1)], "accept", 1, id="a known score leads"),
        pytest.param(
            ConsensusPolicy(), [("4", None), ("5", None), ("5", None)], "continue", 1, id="votes without scores"
        ),
        pytest.param(ConsensusPolicy(threshold=0.7), [("4", None), ("4", 0.6)], "accept", 1, id="unscored ones agree"),
        pytest.param(ConsensusPolicy(), [(None, None), ("4", 0.9)], "accept", 1, id="a failed draft does not weigh"),
    ],
)
def test_decision(policy, rows, outcome, choice):
    decision = policy.decide(attempts(*rows))
    assert (decision.outcome, decision.choice) == (outcome, choice)


@pytest.mark.parametrize(
    ("abstain_below", "rows", "choice"),
    [
        pytest.param(0.0, [("4", 0.01)], 0, id="off by default"),
        pytest.param(0.5, [("4", 0.4)], None, id="too unsure"),
        pytest.param(0.5, [("4", 0.5)], 0, id="inclusive"),
        pytest.param(0.5, [("4", None)], None, id="an unknown confidence is not enough"),
    ],
)
def test_settle_abstains(abstain_below, rows, choice):
    policy = ThresholdPolicy(threshold=0.9, abstain_below=abstain_below)
    assert settle(policy, policy.decide(attempts(*rows))).choice == choice


@pytest.mark.parametrize(
    ("decision", "outcome", "choice"),
    [
        pytest.param(Decision("continue", 0, 0.3), "continue", None, id="withheld"),
        pytest.param(Decision("continue", 0, 0.3, "review"), "review", None, id="to review, withheld"),
        pytest.param(Decision("continue", 0, 0.3, "accept"), "accept", 0, id="accepted, so not withheld"),
        pytest.param(Decision("stop", 0, 0.3, "accept"), "stop", None, id="what stops is not accepted after all"),
    ],
)
def test_what_becomes_of_it_where_turns_end(decision, outcome, choice):
    assert settle(ThresholdPolicy(abstain_below=0.5), decision)[:2] == (outcome, choice)


@given(rows=st.lists(st.tuples(st.sampled_from(["1", None]), st.none() | st.floats(0, 1)), min_size=1, max_size=4))
@pytest.mark.parametrize("policy", [ThresholdPolicy(), ConsensusPolicy()], ids=["threshold", "consensus"])
def test_a_threshold_that_no_turn_reached_accepts_nothing_at_the_end(policy, rows):
    decision = policy.decide(attempts(*rows))
    assert (settle(policy, decision).outcome == "accept") == (decision.outcome == "accept")


@pytest.mark.parametrize("threshold", [1.5, -0.1, math.nan])
def test_threshold_must_be_a_probability(threshold):
    with pytest.raises(ConfigError, match=r"`threshold` must be in \[0, 1\], got"):
        ThresholdPolicy(threshold=threshold)


@pytest.mark.parametrize(("votes", "rival", "expected"), [(1, 0, 0.75), (3, 0, 0.9375), (1, 1, 0.5), (4, 1, 0.890625)])
def test_beta_lead_has_the_known_values(votes, rival, expected):
    assert beta_lead(votes, rival) == pytest.approx(expected)


rows_strategy = st.lists(
    st.tuples(st.sampled_from(["1", "2", "3", None]), st.none() | st.floats(0, 1)), min_size=1, max_size=8
)


@given(rows_strategy)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_any_policy_chooses_an_answer_when_there_is_one(policy, rows):
    made = attempts(*[(answer, score if answer is not None else None) for answer, score in rows])
    decision = policy.decide(made)
    assert (decision.choice is None) == all(attempt["answer"] is None for attempt in made)
    assert decision.choice is None or made[decision.choice]["answer"] is not None
    assert decision.confidence is None or 0.0 <= decision.confidence <= 1.0
    assert decision == policy.decide(made), "the same attempts, the same decision"


@given(
    st.lists(st.builds(Support, st.floats(-14, 14), st.integers(1, 4)), min_size=1, max_size=4),
    st.builds(ConsensusWeights, score=st.floats(0, 2), agreement=st.floats(0, 3), none=st.floats(-3, 3)),
)
def test_consensus_is_a_distribution_with_room_for_none_of_them(supports, weights):
    probabilities = consensus_probabilities(supports, weights)
    assert all(0.0 <= p <= 1.0 for p in probabilities)
    assert sum(probabilities) <= 1.0 + 1e-9


@given(st.floats(0.01, 0.99))
def test_a_lone_attempt_keeps_its_score(score):
    decision = ConsensusPolicy().decide(attempts(("4", score)))
    assert decision.confidence == pytest.approx(score)


@pytest.mark.parametrize(
    ("policy", "max_turns", "turns", "choice"),
    [
        pytest.param(ThresholdPolicy(threshold=0.8), 8, 2, 1, id="stops at the accept"),
        pytest.param(ThresholdPolicy(threshold=0.99), 8, 3, 1, id="ends with the log, best stands"),
        pytest.param(ThresholdPolicy(threshold=0.99), 1, 1, 0, id="ends with the turns"),
        pytest.param(ThresholdPolicy(threshold=0.99, abstain_below=0.95), 8, 3, None, id="abstains at the end"),
    ],
)
def test_play(policy, max_turns, turns, choice):
    played = play(policy, attempts(("4", 0.2), ("5", 0.9), ("6", 0.5)), max_turns=max_turns)
    assert (played.turns, played.decision.choice) == (turns, choice)


class Stops:
    """Says `stop` at the second attempt."""

    abstain_below = 0.0

    def decide(self, attempts):
        return Decision("stop" if len(attempts) == 2 else "continue", 0, 0.5)


def test_play_ends_where_a_policy_stops():
    assert play(Stops(), attempts(("4", 0.2), ("5", 0.9), ("6", 0.5)), max_turns=8).turns == 2


def test_an_accepted_answer_is_never_withheld():
    policy = ThresholdPolicy(threshold=0.3, abstain_below=0.8)
    assert settle(policy, policy.decide(attempts(("4", 0.4)))).choice == 0


def test_the_confidence_of_a_majority_is_inclusive():
    policy = MajorityPolicy(confidence=beta_lead(2, 0))
    assert policy.decide(attempts(("4", None), ("4", None))).outcome == "accept"


def test_the_confidence_of_a_majority_is_a_probability():
    with pytest.raises(ConfigError, match=r"`confidence` must be in \[0, 1\], got 2"):
        MajorityPolicy(confidence=2)


def test_play_needs_attempts():
    with pytest.raises(ConfigError, match="at least one attempt"):
        play(ThresholdPolicy(), [], max_turns=4)
