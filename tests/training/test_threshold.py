"""The threshold by replay: what it costs, and what it gains."""

import pytest
from fakes import make_attempt
from simulated import simulate

from drr_agent.errors import DataError
from drr_agent.policy import ConsensusPolicy, ConsensusWeights, MajorityPolicy, ThresholdPolicy
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


@pytest.mark.parametrize(
    ("mean_calls", "chosen"),
    [pytest.param(None, (0.95, 0.809375, 3.3875), id="default"), pytest.param(2.0, (0.56, 0.74375, 1.76875), id="2")],
)
def test_equal_weights_choose_what_no_weights_chose(mean_calls, chosen):
    """The figures of the version before weights, to the last digit."""
    questions, weights = simulate(80, seed=9), fit_consensus(simulate(80, seed=9))
    assert weights == ConsensusWeights(score=0.9665, agreement=0.5222, none=-0.2936, none_per_attempt=0.0)
    found = choose_threshold(questions, ConsensusPolicy(weights=weights), max_turns=4, mean_calls=mean_calls)
    assert (found.policy.threshold, found.accuracy, found.mean_calls, found.effective_questions) == (*chosen, 80)


@pytest.mark.parametrize(
    ("policy", "replayed"),
    [
        pytest.param(ThresholdPolicy(threshold=0.7), (0.771875, 2.4375), id="threshold"),
        pytest.param(MajorityPolicy(confidence=0.95), (0.703125, 4.0), id="voting"),
    ],
)
def test_equal_weights_replay_as_no_weights_did(policy, replayed):
    """As above."""
    assert replay(simulate(80, seed=9), policy, max_turns=4, seed=5) == replayed


def in_order(questions):
    """Each question as one draw, which is never shuffled."""
    return [question._replace(draws=[0] * len(question.attempts)) for question in questions]


def operate(questions):
    return choose_threshold(questions, ConsensusPolicy(), max_turns=4, mean_calls=3.0)


POLICY = ThresholdPolicy(threshold=0.9)


def wrong_first(question):
    return question.labels[0] == "incorrect"


def test_weights_are_copies():
    """A question of weight 3 is three questions of weight 1."""
    questions = in_order(simulate(60, seed=8))
    weighted = [question._replace(weight=3.0 if wrong_first(question) else 1.0) for question in questions]
    copied = [copy for question in questions for copy in [question] * (3 if wrong_first(question) else 1)]
    plain, by_weight, by_copies = (replay(given, POLICY, max_turns=4) for given in (questions, weighted, copied))
    assert by_weight == pytest.approx(by_copies)
    assert by_weight[0] < plain[0] - 0.02
    one, other = operate(weighted), operate(copied)
    assert (one.accuracy, one.mean_calls) == pytest.approx((other.accuracy, other.mean_calls), abs=0.02)
    assert one.effective_questions < 60 < other.effective_questions


def test_a_question_that_was_asked_often_counts_once():
    """Ten runs of a question, a tenth each, are as good as one run, and no more is known for it."""
    questions = in_order(simulate(60, seed=6))
    asked = [
        question._replace(weight=0.1, key=(str(number),))
        for number, question in enumerate(questions)
        for _ in range(10)
    ]
    assert replay(asked, POLICY, max_turns=4) == pytest.approx(replay(questions, POLICY, max_turns=4))
    once, often = operate(questions), operate(asked)
    assert often[0] == once[0]
    assert often[1:4] == pytest.approx(once[1:4])
    independent = operate([question._replace(key=None) for question in asked])
    assert independent.effective_questions == pytest.approx(600)
    assert independent.policy.threshold > once.policy.threshold, "as if they were independent, less difference is luck"


def unlabelled(question):
    return question._replace(labels=[None, *question.labels[1:]])


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(unlabelled, id="an answer that nobody judged"),
        pytest.param(lambda question: question._replace(weight=0.0), id="no weight"),
    ],
)
def test_questions_that_tell_nothing_change_nothing(spoil):
    questions, others = simulate(40, seed=8), simulate(20, seed=9)
    given = [*map(spoil, others), *questions]
    assert replay(given, POLICY, max_turns=4) == replay(questions, POLICY, max_turns=4)
    assert operate(given) == operate(questions)


def test_an_attempt_without_an_answer_needs_no_label():
    question = LabelledQuestion([make_attempt(None), make_attempt("b", 0.9)], [None, "correct"], draws=[0, 0])
    assert replay([question], POLICY, max_turns=2) == (1.0, 2.0)


@pytest.mark.parametrize(
    "call", [lambda given: replay(given, POLICY, max_turns=2), operate], ids=["replay", "choose_threshold"]
)
def test_nothing_judged_is_an_error(call):
    with pytest.raises(DataError, match=r"expected .*, got 5 with an answer that nobody judged; label more attempts"):
        call([unlabelled(question) for question in simulate(5, seed=1)])
