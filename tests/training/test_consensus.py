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


def in_order(count, *, seed, **settings):
    """Questions of one draw each, which is never shuffled."""
    return [question._replace(draws=[0] * 8) for question in simulate(count, seed=seed, **settings)]


def test_weights_are_copies():
    questions, noise = in_order(60, seed=8), in_order(60, seed=9, informative=False)
    weighted = fit_consensus([*questions, *(question._replace(weight=3.0) for question in noise)])
    copied = fit_consensus([*questions, *noise * 3])
    assert list(weighted.as_dict().values()) == pytest.approx(list(copied.as_dict().values()), abs=2e-3)
    assert weighted.score < fit_consensus([*questions, *noise]).score - 0.05


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda question: question._replace(labels=[None, *question.labels[1:]]), id="unlabelled answer"),
        pytest.param(lambda question: question._replace(weight=0.0), id="no weight"),
    ],
)
def test_questions_that_tell_nothing_change_nothing(spoil):
    questions, others = simulate(40, seed=8), simulate(20, seed=9, informative=False)
    assert fit_consensus([*map(spoil, others), *questions]) == fit_consensus(questions)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: fit_consensus([]), id="fit"),
        pytest.param(lambda: fit_consensus([LabelledQuestion([make_attempt("a", 0.5)], [None])]), id="no labels"),
        pytest.param(lambda: fit_consensus([LabelledQuestion([make_attempt(None)], [None])]), id="no answers"),
    ],
)
def test_nothing_to_learn_from_is_an_error(call):
    with pytest.raises(DataError, match="expected"):
        call()
