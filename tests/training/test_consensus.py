"""Consensus weights from simulated logs, where the truth is known."""

import pytest
from fakes import make_attempt
from simulated import simulate

from drr_agent.errors import DataError
from drr_agent.evaluation.metrics import ece
from drr_agent.policy import ConsensusPolicy, ConsensusWeights, MajorityPolicy
from drr_agent.training.consensus import fit_consensus
from drr_agent.training.logged import LabelledQuestion


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


def test_constant_scores_leave_only_agreement():
    questions = [
        LabelledQuestion([{**attempt, "score": 0.5} for attempt in question.attempts], question.labels)
        for question in simulate(100, seed=6)
    ]
    policy = ConsensusPolicy(threshold=1.0)
    for question in questions:
        voted = MajorityPolicy().decide(question.attempts)
        assert policy.decide(question.attempts).choice == voted.choice


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: fit_consensus([]), id="fit"),
        pytest.param(lambda: fit_consensus([LabelledQuestion([make_attempt("a", 0.5)], [None])]), id="no labels"),
    ],
)
def test_nothing_to_learn_from_is_an_error(call):
    with pytest.raises(DataError, match="expected"):
        call()
