"""Consensus weights from simulated logs, where the truth is known."""

import math
import random

import pytest
from fakes import make_attempt

from drr_agent.errors import DataError
from drr_agent.evaluation.metrics import ece
from drr_agent.policy import ConsensusPolicy, ConsensusWeights, MajorityPolicy, ThresholdPolicy
from drr_agent.training.consensus import fit_consensus
from drr_agent.training.logged import LabelledQuestion
from drr_agent.training.threshold import choose_threshold, replay


def simulate(count, *, seed, informative=True, sharpness=1.0, draws=8):
    """Questions of three kinds of difficulty; a right attempt scores higher on average when `informative`."""
    generator = random.Random(seed)
    questions = []
    for _ in range(count):
        skill = generator.choice([0.25, 0.55, 0.85])
        attempts, labels = [], []
        for turn in range(1, draws + 1):
            right = generator.random() < skill
            answer = "right" if right else f"wrong {generator.randint(1, 6)}"
            logit = generator.gauss(1.2 if right else -1.2, 1.5) if informative else generator.gauss(0, 1.5)
            attempts.append(make_attempt(answer, 1 / (1 + math.exp(-sharpness * logit)), turn=turn))
            labels.append("correct" if right else "incorrect")
        questions.append(LabelledQuestion(attempts, labels))
    return questions


def confidences(questions, policy):
    """The policy's confidence and whether its choice is right, at every prefix."""
    pairs = []
    for question in questions:
        for turns in range(1, len(question.attempts) + 1):
            decision = policy.decide(question.attempts[:turns])
            pairs.append((decision.confidence, question.labels[decision.choice] == "correct"))
    return zip(*pairs, strict=True)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0], ids=["timid scores", "fair scores", "boastful scores"])
def test_fitted_confidence_is_calibrated_whatever_the_scores_are_like(sharpness):
    train, held_out = (simulate(150, seed=seed, sharpness=sharpness) for seed in (1, 2))
    fitted = ece(*confidences(held_out, ConsensusPolicy(weights=fit_consensus(train))))
    default = ece(*confidences(held_out, ConsensusPolicy(weights=ConsensusWeights())))
    assert fitted < 0.06
    assert fitted < default + 0.02
    assert sharpness == 1.0 or fitted < default


def test_scores_that_say_nothing_get_no_weight():
    assert fit_consensus(simulate(150, seed=3, informative=False)).score < 0.15
    assert fit_consensus(simulate(150, seed=3)).score > 0.3


def test_informative_scores_beat_voting_at_no_more_calls():
    train, held_out = simulate(200, seed=4), simulate(300, seed=5)
    chosen = choose_threshold(train, ConsensusPolicy(weights=fit_consensus(train)), max_turns=8)
    accuracy, calls = replay(held_out, chosen.policy, max_turns=8)
    voted, voted_calls = replay(held_out, MajorityPolicy(confidence=0.95), max_turns=8)
    assert calls <= voted_calls * 1.05
    assert accuracy > voted + 0.03


def test_constant_scores_leave_only_agreement():
    questions = [
        LabelledQuestion([{**attempt, "score": 0.5} for attempt in question.attempts], question.labels)
        for question in simulate(100, seed=6)
    ]
    policy = ConsensusPolicy(threshold=1.0)
    for question in questions:
        voted = MajorityPolicy().decide(question.attempts)
        assert policy.decide(question.attempts).choice == voted.choice


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


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: fit_consensus([]), id="fit"),
        pytest.param(lambda: fit_consensus([LabelledQuestion([make_attempt("a", 0.5)], [None])]), id="no labels"),
        pytest.param(lambda: replay([], MajorityPolicy(), max_turns=2), id="replay"),
    ],
)
def test_nothing_to_learn_from_is_an_error(call):
    with pytest.raises(DataError, match="expected"):
        call()
