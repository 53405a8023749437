"""What a right answer is taken to be worth, and how the answers are brought to the live base rate."""

import numpy as np
import pytest
from simulated import simulate
from training.synthetic import make_behaviors

from drr_agent.dm import read_manifest
from drr_agent.dm.calibration import SigmoidCalibration, fit_calibration, log_loss
from drr_agent.dm.folder import load_dm, update_manifest
from drr_agent.errors import ConfigError, DataError, DMError
from drr_agent.evaluation.metrics import ece
from drr_agent.grading import AUTO
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.calibrate import calibrate_dm
from drr_agent.training.config import TrainConfig
from drr_agent.training.logged import label_questions
from drr_agent.training.paths import follow, tabulate
from drr_agent.training.stopping import fit_answers
from drr_agent.training.threshold import adaptive_calls, replay
from drr_agent.training.train import train_dm
from drr_agent.training.worth import WORTHS, calibrate_stopping, recalibrate

SIGNALS = TrainConfig(inputs="signals", progress=False)


def graded(rows):
    """Right attempts agree, and wrong ones do not."""
    return [row if row["label"] == "incorrect" else {**row, "answer": "right"} for row in rows]


LIVE = graded(make_behaviors(80, attempts=5, seed=3, signal=1.5))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    train, validation = (graded(make_behaviors(60, attempts=5, seed=seed, signal=1.5)) for seed in (1, 2))
    path = train_dm(train, validation, config=SIGNALS, out=tmp_path_factory.mktemp("worth") / "dm")
    calibrate_dm(path, LIVE, progress=False)
    return path


@pytest.fixture
def path(trained):
    yield trained
    update_manifest(trained, stopping={**read_manifest(trained).stopping.model_dump(), "worth": None})


@pytest.mark.parametrize("mean_calls", [1.2, 2.0, 3.0, 5.0], ids=str)
def test_the_highest_worth_within_the_calls_is_stored(path, mean_calls):
    point = calibrate_stopping(path, LIVE, mean_calls=mean_calls)
    assert point.worth in WORTHS
    assert point.mean_calls <= mean_calls or point.worth == WORTHS[0]
    policy = load_dm(path).stopping
    assert policy.worth == point.worth
    accuracy, calls = replay(label_questions(LIVE, load_dm(path)).questions, policy, max_turns=8)
    assert calls == pytest.approx(point.mean_calls, abs=0.1), "as the policy does in earnest, but for the shuffles"
    assert accuracy == pytest.approx(point.accuracy, abs=0.05)


def test_more_calls_allow_a_higher_worth(path):
    points = [calibrate_stopping(path, LIVE, mean_calls=calls) for calls in (1.0, 1.5, 2.0, 9.0)]
    assert [p.worth for p in points] == sorted(p.worth for p in points)
    assert points[-1].worth == WORTHS[-1]
    assert points[0].worth < points[-1].worth


@pytest.mark.parametrize("worth", [7.3, 50.0, 1e-5, 12_345.6], ids=str)
def test_a_worth_that_the_user_knows_is_kept_as_it_is(path, worth):
    point = calibrate_stopping(path, LIVE, worth=worth, mean_calls=1.0)
    assert point.worth == worth == load_dm(path).stopping.worth == read_manifest(path).stopping.worth


def test_by_default_it_is_the_policys_as_far_as_voting_is_no_cheaper(path):
    point = calibrate_stopping(path, LIVE)
    allowed = adaptive_calls(label_questions(LIVE, load_dm(path)).questions, AUTO, 8)
    assert point.worth == StoppingPolicy.worth or point.mean_calls <= allowed < StoppingPolicy.worth
    assert point.worth <= StoppingPolicy.worth


def test_a_new_worth_ends_an_old_promise(path):
    stored = read_manifest(path).stopping.model_dump()
    update_manifest(path, stopping={**stored, "accept_at": 0.9})
    calibrate_stopping(path, LIVE, worth=9.0)
    assert read_manifest(path).stopping.accept_at is None


def test_turns_are_limited(path):
    assert calibrate_stopping(path, LIVE, worth=1500.0, max_turns=2).mean_calls <= 2.0


def test_a_dm_that_has_not_learned_when_to_stop_is_left_as_it_is(tmp_path):
    rows = make_behaviors(60, attempts=1, seed=1, signal=1.5)
    path = train_dm(rows, make_behaviors(30, attempts=1, seed=2, signal=1.5), config=SIGNALS, out=tmp_path / "dm")
    before = read_manifest(path)
    assert calibrate_stopping(path, LIVE) is None
    assert read_manifest(path) == before


@pytest.mark.parametrize("worth", [0.0, -1.0, float("nan")], ids=str)
def test_a_worth_of_nothing_is_refused_and_nothing_changes(path, worth):
    before = read_manifest(path)
    with pytest.raises(ConfigError, match="`worth` must be above 0"):
        calibrate_stopping(path, LIVE, worth=worth)
    assert read_manifest(path) == before


def test_labels_and_a_dm_are_needed(path, tmp_path):
    with pytest.raises(DataError, match="nobody judged"):
        calibrate_stopping(path, [{**row, "label": None, "labels": []} for row in LIVE])
    with pytest.raises(DMError, match="no such folder"):
        calibrate_stopping(tmp_path / "none", LIVE)


def rarer(questions, share):
    """Questions at another base rate: of the attempts that are right, most become another wrong one."""
    rng = np.random.default_rng(7)
    changed = []
    for question in questions:
        lost = rng.random(len(question.labels)) > share
        rows = [
            ({**attempt, "answer": f"lost {place}"}, "incorrect") if lose and label == "correct" else (attempt, label)
            for place, (attempt, label, lose) in enumerate(zip(question.attempts, question.labels, lost, strict=True))
        ]
        changed.append(question._replace(attempts=[a for a, _ in rows], labels=[label for _, label in rows]))
    return changed


@pytest.fixture(scope="module")
def answers():
    return fit_answers(tabulate(simulate(150, seed=1, draws=5)))


def gap(model, table):
    paths = follow(table, model)
    return ece(paths.best[:, 1], paths.right[:, 1], bins=8)


def test_another_base_rate_is_learned(answers):
    given, fresh = (tabulate(rarer(simulate(150, seed=seed, draws=5), 0.3)) for seed in (2, 3))
    model = recalibrate(answers, given)
    assert model.calibration is not None
    assert model.fusion == answers.fusion
    assert gap(answers, fresh) > 0.15
    assert gap(model, fresh) < 0.1


def test_the_same_base_rate_changes_nothing(answers):
    assert recalibrate(answers, tabulate(simulate(150, seed=3, draws=5))) == answers


@pytest.mark.parametrize("seed", [2, 4, 5])
def test_what_luck_changes_does_no_harm(answers, seed):
    fresh, model = tabulate(simulate(150, seed=9, draws=5)), recalibrate(answers, tabulate(simulate(150, seed=seed)))
    before, after = (log_loss(one.probabilities(fresh.columns), fresh.right) for one in (answers, model))
    assert after < before + 0.01


def test_a_base_rate_is_that_of_the_questions_not_of_the_rows(answers):
    """A question whose attempts were logged long counts no more than one that was logged short."""
    short = [q._replace(attempts=q.attempts[:2], labels=q.labels[:2]) for q in simulate(150, seed=2)]
    weighed = []

    def fit(logits, right, groups, *, weights, seed):
        weighed.append(dict.fromkeys(groups, 0.0))
        for group, weight in zip(groups, weights, strict=True):
            weighed[-1][group] += weight
        return fit_calibration(logits, right, groups, weights=weights, seed=seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drr_agent.training.worth.fit_calibration", fit)
        recalibrate(answers, tabulate([*short, *simulate(150, seed=3)]))
    (counts,) = weighed
    assert max(counts.values()) < 5 * min(counts.values()), "rows are one an answer and turn: 3 at most, or 36"


def test_one_class_teaches_no_base_rate(answers):
    right = [q._replace(labels=["correct"] * len(q.labels)) for q in simulate(60, seed=2, draws=3)]
    assert recalibrate(answers, tabulate(right)) is answers


def test_an_old_calibration_is_replaced_where_it_does_worse(answers):
    wrong = answers.model_copy(update={"calibration": SigmoidCalibration(kind="platt", slope=0.2, intercept=-3.0)})
    fresh = tabulate(simulate(150, seed=3, draws=5))
    assert gap(recalibrate(wrong, tabulate(simulate(150, seed=2, draws=5))), fresh) < 0.07 < gap(wrong, fresh)
