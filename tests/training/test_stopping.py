"""Learning when to stop, on logs whose truth is known."""

import random

import numpy as np
import pytest
from fakes import make_attempt
from simulated import simulate

from drr_agent.dm.calibration import log_loss
from drr_agent.errors import DataError
from drr_agent.evaluation.metrics import ece
from drr_agent.policy import MajorityPolicy, play
from drr_agent.stopping import StoppingModel, StoppingPolicy
from drr_agent.stopping.beliefs import Belief
from drr_agent.training import stopping
from drr_agent.training.logged import LabelledQuestion
from drr_agent.training.operating import Counts, try_cutoff
from drr_agent.training.paths import Paths, best_two, follow, tabulate
from drr_agent.training.stopping import PRICES, fit_answers, fit_stopping, fit_values
from drr_agent.training.threshold import replay
from drr_agent.training.worth import WORTHS, walk


def unscored(questions):
    return [q._replace(attempts=[{**a, "score": None} for a in q.attempts]) for q in questions]


@pytest.fixture(scope="module")
def model():
    return fit_stopping(simulate(200, seed=1, draws=6))


@pytest.fixture(scope="module")
def fresh():
    return simulate(200, seed=2, draws=6)


@pytest.fixture(scope="module")
def paths(model, fresh):
    return follow(tabulate(fresh), model.answers)


@pytest.mark.parametrize("turn", [0, 2, 5], ids=["after one", "after three", "at the end"])
def test_answers_are_as_often_right_as_is_believed(paths, turn):
    assert ece(paths.best[:, turn], paths.right[:, turn], bins=8) < 0.06


def frontier(model, questions):
    """Accuracy and calls at each worth."""
    walks, counts = walk(model, tabulate(questions)), Counts.of(questions)
    return [try_cutoff(walks, counts, -1 / worth) for worth in WORTHS]


def accuracy_within(points, calls):
    return max(point.accuracy for point in points if point.calls <= calls)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95], ids=str)
def test_scores_are_worth_more_than_votes_at_equal_calls(model, fresh, confidence):
    accuracy, calls = replay(fresh, MajorityPolicy(confidence=confidence), max_turns=6)
    assert accuracy_within(frontier(model, fresh), calls) > accuracy + 0.05


def test_votes_alone_teach_when_to_stop(fresh):
    model, questions = fit_stopping(unscored(simulate(150, seed=1, draws=6))), unscored(fresh)
    assert not model.answers.needs_scores
    points = frontier(model, questions)
    accuracy, calls = replay(questions, MajorityPolicy(confidence=0.95), max_turns=6)
    assert accuracy_within(points, calls) > accuracy - 0.02
    assert min(point.calls for point in points) < 2 < max(point.calls for point in points)


def test_scores_that_tell_nothing_do_no_harm():
    model, questions = (
        fit_stopping(simulate(120, seed=1, draws=5, informative=False)),
        simulate(120, seed=2, draws=5, informative=False),
    )
    accuracy, calls = replay(questions, MajorityPolicy(confidence=0.95), max_turns=6)
    assert accuracy_within(frontier(model, questions), calls) > accuracy - 0.03


def test_a_higher_worth_buys_more_turns_and_more_right_answers(model, fresh):
    points = frontier(model, fresh)
    calls = [point.calls for point in points]
    assert calls == sorted(calls)
    assert points[-1].accuracy > points[0].accuracy + 0.2


SKILLS = {"hopeless": 0.03, "split": 0.5, "easy": 0.97}


def kinds(count, *, seed, only=None):
    """Questions that nothing helps, that thinking again settles, and that are right at once."""
    generator, questions = random.Random(seed), []
    for _ in range(count):
        kind = only or generator.choice(list(SKILLS))
        attempts, labels = [], []
        for turn in range(1, 9):
            right = generator.random() < SKILLS[kind]
            answer = "right" if right else "near" if kind == "split" else f"wrong {generator.randrange(50)}"
            logit = generator.gauss({"hopeless": -4.0, "split": 0.0, "easy": 4.0}[kind] + (0.8 if right else -0.8), 1)
            attempts.append(make_attempt(answer, 0.5, logit=logit, turn=turn))
            labels.append("correct" if right else "incorrect")
        questions.append(LabelledQuestion(attempts, labels))
    return questions


@pytest.fixture(scope="module")
def sorting():
    return fit_stopping(kinds(150, seed=1))


def turns_of(policy, questions):
    return float(np.mean([play(policy, question.attempts, max_turns=8).turns for question in questions]))


def test_what_is_hopeless_is_given_up_and_what_is_split_is_pursued(sorting):
    policy = StoppingPolicy(model=sorting, worth=30.0)
    turns = {kind: turns_of(policy, kinds(40, seed=2, only=kind)) for kind in SKILLS}
    assert turns["hopeless"] < 3.2
    assert turns["split"] > turns["easy"] + 1
    assert turns["split"] > turns["hopeless"] + 0.4


def test_values_are_learned_from_beliefs_of_models_that_left_the_question_out(monkeypatch):
    seen = []
    monkeypatch.setattr(stopping, "best_two", lambda table, said: seen.append((table, said)) or best_two(table, said))
    model = fit_stopping(kinds(60, seed=1))
    [(table, said)] = seen
    in_sample = model.answers.probabilities(table.columns)
    loss = [log_loss(probabilities, table.right) for probabilities in (said, in_sample)]
    assert loss[0] > loss[1] + 1e-4, "who was fitted to a question knows it better"


def test_one_more_turn_is_worth_most_in_doubt(sorting):
    lost, doubtful, sure = (sorting.values.break_even(2, Belief(0, best, 0.02)) for best in (0.02, 0.5, 0.99))
    assert doubtful > lost
    assert doubtful > 2 * sure


def test_values_by_hand():
    """Each run is wrong at first and right from the second turn on: that turn is worth an answer, the third nothing."""
    attempts = [make_attempt("b", 0.5), make_attempt("a", 0.5), make_attempt("a", 0.5)]
    questions = [LabelledQuestion(attempts, ["incorrect", "correct", "correct"], 1.0, None, [0, 0, 0])] * 200
    paths = follow(tabulate(questions), fit_stopping(simulate(60, seed=1, draws=3)).answers)
    right = np.array([[False, True, True]] * len(paths.best))
    values = fit_values(paths._replace(right=right), prices=(0.1, 0.4, 0.8))
    first, second = (Belief(0, paths.best[0, turn], paths.second[0, turn]) for turn in (0, 1))
    assert values.turns == 2
    assert values.break_even(1, first) == 1 - first.best, "it pays at any of the prices"
    assert values.break_even(2, second) == 0.0


def cut(paths, turns):
    """The same readings, of at most so many turns."""
    readings = paths.readings._replace(ends=np.minimum(paths.readings.ends, turns - 1))
    return Paths(*(column[:, :turns] for column in paths[:4]), readings)


@pytest.mark.parametrize("turns", [2, 3, 4, 5, 6])
def test_the_values_of_a_shorter_horizon_are_those_of_shorter_logs(paths, turns):
    whole, alone = fit_values(paths), fit_values(cut(paths, turns))
    assert whole.horizon == 6
    assert whole.within(turns) == alone
    assert alone.horizon == turns


def test_less_is_to_be_had_with_fewer_turns_left(paths):
    """The values of the whole horizon promise what a shorter run never comes to."""
    values, belief = fit_values(paths), Belief(0, 0.5, 0.1)
    short, long = (values.within(turns).break_even(4, belief) for turns in (5, 6))
    assert 0 < short < 0.8 * long
    assert values.within(4).break_even(4, belief) == 0.0, "no turn is left"
    assert values.within(99) is values


def test_of_long_logs_only_the_short_horizons_are_kept_apart():
    paths = follow(tabulate(simulate(60, seed=1, draws=20)), fit_stopping(simulate(60, seed=1, draws=3)).answers)
    values = fit_values(paths, prices=(0.1, 0.2))
    assert (values.horizon, len(values.shorter)) == (20, 15)
    assert [values.within(turns).horizon for turns in (2, 16, 17, 20)] == [2, 16, 20, 20]


def test_it_is_reproducible_and_survives_json():
    model, again = (fit_stopping(simulate(60, seed=1, draws=3)) for _ in range(2))
    assert again == model == StoppingModel.model_validate_json(model.model_dump_json())
    assert model.values.prices == PRICES
    assert model.values.turns == 2


def test_weights_count(fresh):
    """Questions that count little hardly matter: here, those whose scores lie."""
    honest, columns = simulate(80, seed=6, draws=4), tabulate(fresh[:60]).columns
    liars = [
        q._replace(attempts=[{**a, "score": 1 - a["score"]} for a in q.attempts]) for q in simulate(80, seed=5, draws=4)
    ]

    def said(weight):
        weighted = [q._replace(weight=weight) for q in liars]
        return fit_answers(tabulate([*honest, *weighted])).probabilities(columns)

    alone = fit_answers(tabulate(honest)).probabilities(columns)
    assert np.abs(said(1e-3) - alone).mean() < 0.05
    assert np.abs(said(1.0) - alone).mean() > 0.1


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        pytest.param(simulate(49, seed=1), "at least 50 questions with several attempts.*got 49", id="too few"),
        pytest.param(simulate(80, seed=1, draws=1), "several attempts.*got 0", id="single attempts"),
        pytest.param([q._replace(key=("q", "", "m")) for q in simulate(80, seed=1)], "got 1;", id="one question"),
        pytest.param(
            [q._replace(labels=["correct"] * 8) for q in simulate(60, seed=1)], "0 wrong", id="nothing is wrong"
        ),
        pytest.param([q._replace(labels=[None] * 8) for q in simulate(60, seed=1)], "nobody judged", id="unlabelled"),
        pytest.param([], "got none", id="nothing"),
    ],
)
def test_what_cannot_teach_is_refused(questions, message):
    with pytest.raises(DataError, match=message):
        fit_stopping(questions)
