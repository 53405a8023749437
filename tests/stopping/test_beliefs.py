"""P(right) of each answer: the run-time path and the one over whole logs say the same."""

import numpy as np
import pytest
from fakes import make_attempt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stopping.models import BY_SCORE, BY_VOTES, RICH, answer_model, believed, logit_of, term

from drr_agent.dm.calibration import IsotonicCalibration, SigmoidCalibration
from drr_agent.grading import AUTO
from drr_agent.stopping.beliefs import AnswerModel
from drr_agent.training.logged import IDENTICAL, LabelledQuestion
from drr_agent.training.paths import follow, tabulate_in_order

HALVED = SigmoidCalibration(kind="platt", slope=0.5, intercept=-1.0)
CURVE = IsotonicCalibration(logits=(-1.0, 0.0, 2.0), probabilities=(0.1, 0.4, 0.9))
MODELS = {
    "by score": BY_SCORE,
    "by votes": BY_VOTES,
    "rich": RICH,
    "recalibrated": RICH.model_copy(update={"calibration": HALVED}),
    "by a curve": RICH.model_copy(update={"calibration": CURVE}),
}
SIGNALS = st.fixed_dictionaries({}, optional={"length": st.none() | st.floats(0, 1e3)})
ATTEMPTS = st.builds(
    lambda answer, logit, signals: make_attempt(answer, None, logit=logit, signals=signals),
    st.sampled_from([None, "a", "b", "c"]),
    st.none() | st.integers(-8, 8).map(lambda n: n / 2),
    SIGNALS,
)
READINGS = st.lists(st.lists(ATTEMPTS, min_size=1, max_size=6), min_size=1, max_size=4)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@given(readings=READINGS)
def test_a_run_is_believed_as_its_log_is(model, readings):
    labelled = [
        LabelledQuestion(attempts, ["correct" if a["answer"] == "a" else "incorrect" for a in attempts])
        for attempts in readings
    ]
    paths = follow(tabulate_in_order(labelled), model)
    for reading, attempts in enumerate(readings):
        for turn in range(len(attempts)):
            belief = model.believe(attempts[: turn + 1], IDENTICAL)
            assert paths.best[reading, turn] == pytest.approx(belief.best)
            assert paths.second[reading, turn] == pytest.approx(belief.second)
            assert paths.choice[reading, turn] == (-1 if belief.choice is None else belief.choice)
            right = belief.choice is not None and attempts[belief.choice]["answer"] == "a"
            assert paths.right[reading, turn] == right
        assert not paths.best[reading, len(attempts) :].any(), "nothing is believed after the end"


@given(attempts=st.lists(ATTEMPTS, max_size=6))
def test_a_belief_is_a_pair_of_probabilities_in_order(attempts):
    for model in MODELS.values():
        choice, best, second = model.believe(attempts, AUTO)
        assert 0.0 <= second <= best <= 1.0
        assert (choice is None) == (best == 0.0)
        assert choice is None or attempts[choice]["answer"] is not None


@pytest.mark.parametrize(
    ("model", "rows", "choice", "best", "second"),
    [
        pytest.param(BY_SCORE, [("a", 0.8)], 0, 0.8, 0.0, id="one answer"),
        pytest.param(BY_SCORE, [("a", 0.6), ("b", 0.8)], 1, 0.8, 0.6, id="two answers"),
        pytest.param(BY_SCORE, [("a", 0.6), ("b", 0.6)], 0, 0.6, 0.6, id="the earlier of equals"),
        pytest.param(BY_SCORE, [("a", 0.3), ("a", 0.7), ("a", 0.5)], 1, 0.7, 0.0, id="the best stands for its answer"),
        pytest.param(BY_SCORE, [("a", None)], None, 0.0, 0.0, id="no score, no belief"),
        pytest.param(BY_SCORE, [("a", None), ("b", 0.2)], 1, 0.2, 0.0, id="the scored one alone"),
        pytest.param(BY_SCORE, [(None, None)], None, 0.0, 0.0, id="no answer"),
        pytest.param(BY_SCORE, [], None, 0.0, 0.0, id="no attempt"),
        pytest.param(answer_model(term("rank", 0.0)), [("a", None)], 0, 0.5, 0.0, id="votes need no score"),
    ],
)
def test_beliefs(model, rows, choice, best, second):
    attempts = [make_attempt(a, None, logit=None if p is None else logit_of(p)) for a, p in rows]
    assert model.believe(attempts, AUTO) == (choice, pytest.approx(best), pytest.approx(second))


def test_equal_answers_are_one_however_they_are_spelled():
    attempts = [*believed(0.6, answer="41"), *believed(0.7, answer="41.0"), *believed(0.4, answer="42")]
    assert BY_SCORE.believe(attempts, AUTO) == (1, pytest.approx(0.7), pytest.approx(0.4))


def test_a_signal_is_that_of_the_attempt_that_stands():
    model = answer_model(term("best.length", 1.0, missing=-2.0))
    one = [make_attempt("a", None, logit=value, signals={"length": value}) for value in (1.0, 3.0, 2.0)]
    assert model.believe(one, AUTO).best == pytest.approx(1 / (1 + np.exp(-np.arcsinh(3.0))))
    assert model.believe([make_attempt("a", 0.5)], AUTO).best == pytest.approx(1 / (1 + np.exp(2.0)))


def test_a_calibration_comes_last():
    model = BY_SCORE.model_copy(update={"calibration": HALVED})
    assert model.believe(believed(0.8), AUTO).best == pytest.approx(1 / (1 + np.exp(1.0 - 0.5 * np.log(4.0))))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_json_keeps_every_probability(model):
    again = AnswerModel.model_validate_json(model.model_dump_json())
    columns = {name: np.array([-3.7, 0.1, np.nan, 5.0]) for name in model.names}
    assert again == model
    assert again.probabilities(columns).tolist() == model.probabilities(columns).tolist()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"surprise": 1}, id="another field"),
        pytest.param({"calibration": {"kind": "magic"}}, id="another calibration"),
        pytest.param({"fusion": None}, id="no fusion"),
    ],
)
def test_what_was_not_written_is_not_read(change):
    with pytest.raises(ValidationError):
        AnswerModel.model_validate({**BY_SCORE.model_dump(), **change})
