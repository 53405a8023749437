"""The threshold by replay: what it costs, and what it gains."""

import pytest
from fakes import make_attempt
from simulated import simulate

from drr_agent.errors import DataError
from drr_agent.policy import ConsensusPolicy, MajorityPolicy, ThresholdPolicy
from drr_agent.training.consensus import fit_consensus
from drr_agent.training.logged import LabelledQuestion
from drr_agent.training.threshold import choose_threshold, replay


def test_informative_scores_beat_voting_at_no_more_calls():
    train, held_out = simulate(200, seed=4), simulate(300, seed=5)
    chosen = choose_threshold(train, ConsensusPolicy(weights=fit_consensus(train)), max_turns=8)
    accuracy, calls = replay(held_out, chosen.policy, max_turns=8)
    voted, voted_calls = replay(held_out, MajorityPolicy(confidence=0.95), max_turns=8)
    assert calls <= voted_calls * 1.05
    assert accuracy > voted + 0.03


def test_replay_counts_calls_and_right_answers():
    question = LabelledQuestion([make_attempt("a", 0.1), make_attempt("b", 0.9)], ["incorrect", "correct"])
    accuracy, calls = replay([question] * 50, ThresholdPolicy(threshold=0.5), max_turns=2)
    assert accuracy == 1.0
    assert 1.0 < calls < 2.0, "in shuffled orders the right one sometimes comes first"


def test_the_threshold_keeps_to_the_calls_it_is_given():
    questions = simulate(100, seed=7)
    policy = ConsensusPolicy(weights=fit_consensus(questions))
    cheap, dear = (choose_threshold(questions, policy, max_turns=8, mean_calls=calls) for calls in (2.0, 6.0))
    assert cheap.mean_calls <= 2.0 < dear.mean_calls <= 6.0
    assert cheap.policy.threshold < dear.policy.threshold


def test_nothing_to_replay_is_an_error():
    with pytest.raises(DataError, match="expected questions to replay, got none"):
        replay([], MajorityPolicy(), max_turns=2)
