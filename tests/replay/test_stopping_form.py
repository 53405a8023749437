"""StoppingPolicy over what a right answer is worth: all at once equals attempt by attempt."""

import math

import numpy as np
import pytest
from fakes import make_attempt
from hypothesis import assume, given
from hypothesis import strategies as st
from replay.logs import SignalDM
from stopping.models import BY_SCORE, BY_VOTES, RICH, doubting, stopping_model, turn_values

from drr_agent.errors import ConfigError
from drr_agent.grading import get_grader
from drr_agent.policy import play
from drr_agent.replay.families import OUTCOMES
from drr_agent.replay.paths import end
from drr_agent.replay.readings import Readings
from drr_agent.replay.specs import Frame
from drr_agent.replay.standing import NOTHING
from drr_agent.replay.stopping_form import StoppingFamily
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.logged import LabelledQuestion
from drr_agent.training.worth import WORTHS

MAX_TURNS = 5


def foreseeing():
    """The fewer turns a run has, the less one is worth."""
    return doubting(3).model_copy(
        update={"shorter": (turn_values(((0.1, -0.2), (0.0, -0.2), (-0.2, -0.2))).weights, doubting(2).weights)}
    )


ANSWERS = st.sampled_from([None, "41", "41.0", "$42", "42", "a", "b"])
ATTEMPTS = st.lists(st.tuples(ANSWERS, st.none() | st.integers(-8, 8)), min_size=1, max_size=6)
LOGS = st.lists(ATTEMPTS, min_size=1, max_size=4)
VALUES = {
    "doubting": doubting(),
    "short-sighted": doubting(turns=1),
    "foreseeing": foreseeing().within(3),
    "bumpy": turn_values(((0.4, -0.5), (0.1, 0.3), (-0.2, 0.1)), ((0.1, -0.2), (0.2, -0.1), (0.3, -0.6))),
}
ANSWER_MODELS = {"by score": BY_SCORE, "by votes": BY_VOTES, "rich": RICH}
CUTS = st.sampled_from([(0.5, 0.0, 0.0), (0.7, 0.45, 0.0), (0.0, 0.0, 0.6), (0.9, 0.6, 0.3), (1.0, 1.0, 0.0)])


def question(rows):
    attempts = [
        make_attempt(answer, None, logit=None if n is None else n / 2, turn=turn, signals={"length": 3.0 * turn})
        for turn, (answer, n) in enumerate(rows, 1)
    ]
    return LabelledQuestion(attempts, ["correct" if answer == "41" else "incorrect" for answer, _ in rows])


def at_once(family, setting, readings):
    ends = end(family.walk(readings), setting, readings)
    choices = [None if choice == NOTHING else int(choice) for choice in ends.choice]
    return list(zip(ends.turns.tolist(), choices, [OUTCOMES[o] for o in ends.outcome], strict=True))


def one_by_one(family, setting, readings):
    policy = family.at(setting)
    played = [play(policy, readings.attempts(reading), max_turns=MAX_TURNS) for reading in range(len(readings))]
    return [(p.turns, p.decision.choice, p.decision.outcome) for p in played]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("answers", ANSWER_MODELS.values(), ids=ANSWER_MODELS)
@given(log=LOGS, worth=st.sampled_from([1.5, 4.0, 11.0, 40.0, 900.0]), cuts=CUTS)
def test_all_at_once_is_one_by_one(answers, values, log, worth, cuts):
    accept_at, review_below, abstain_below = cuts
    policy = StoppingPolicy(
        model=stopping_model(answers, values),
        accept_at=accept_at,
        review_below=review_below,
        abstain_below=abstain_below,
    )
    family, readings = StoppingFamily(policy=policy), Readings.of([question(rows) for rows in log], max_turns=MAX_TURNS)
    setting = family.read_setting(worth)
    walk = family.walk(readings)
    assume(not (np.abs(walk.value - setting) < 1e-9).any())  # one sum or many may differ in the last digit
    confidences = [
        policy.decide(readings.attempts(reading)[:turn]).confidence or 0.0
        for reading in range(len(readings))
        for turn in range(1, int(readings.turns[reading]) + 1)
    ]
    assume(not any(0 < abs(c - cut) < 1e-9 for c in confidences for cut in cuts))
    assert at_once(family, setting, readings) == one_by_one(family, setting, readings)


@given(log=LOGS, settings=st.tuples(st.sampled_from(WORTHS), st.sampled_from(WORTHS)))
def test_a_higher_setting_never_ends_earlier(log, settings):
    family = StoppingFamily(policy=StoppingPolicy(model=stopping_model(RICH, VALUES["bumpy"]), review_below=0.3))
    readings = Readings.of([question(rows) for rows in log], max_turns=MAX_TURNS)
    walk = family.walk(readings)
    low, high = (end(walk, family.read_setting(worth), readings).turns for worth in sorted(settings))
    assert (low <= high).all()


def test_settings_are_worths():
    family = StoppingFamily(policy=StoppingPolicy(model=stopping_model()))
    assert list(family.settings) == sorted(family.settings)
    assert [round(-1 / setting, 2) for setting in family.settings] == [round(worth, 2) for worth in WORTHS]
    assert family.at(family.read_setting(40.0)).worth == pytest.approx(40.0)
    assert family.at(family.read_setting(math.inf)).worth == math.inf, "turns are free"
    assert family.label(family.read_setting(math.inf)) == "stopping worth inf calls"
    assert family.label(family.read_setting(40.0)) == "stopping worth 40 calls"


POLICY = StoppingPolicy(model=stopping_model(), worth=33.0)
EXACT = get_grader("exact")


class StoppingDM(SignalDM):
    stopping = POLICY
    consensus = None


def frame(dm):
    return Frame(dm=dm, grader=EXACT, max_turns=4)


@pytest.mark.parametrize(
    ("spec", "name", "worth"),
    [
        pytest.param("stopping", "stopping", None, id="over its settings"),
        pytest.param("stopping:50", "stopping", 50.0, id="at a worth"),
        pytest.param("stopping:7.5", "stopping", 7.5, id="at a small worth"),
        pytest.param("drr", "drr", 33.0, id="the DM's default"),
        pytest.param("drr:80", "drr", 80.0, id="the DM's default at a worth"),
        pytest.param(POLICY, "stopping", 33.0, id="a policy"),
    ],
)
def test_by_a_string(spec, name, worth):
    family, setting = frame(StoppingDM()).candidate(spec)
    assert isinstance(family, StoppingFamily)
    assert family.name == name
    assert family.policy.grader is EXACT
    assert setting is None if worth is None else -1 / setting == pytest.approx(worth)
    if setting is not None:
        assert math.isclose(family.at(setting).worth, worth)


@pytest.mark.parametrize(
    ("dm", "spec", "message"),
    [
        pytest.param(StoppingDM(), "stopping:0", "'stopping'", id="worth nothing"),
        pytest.param(StoppingDM(), "stopping:-3", "'stopping'", id="worth less"),
        pytest.param(StoppingDM(), "stopping:lots", "'stopping'", id="no number"),
        pytest.param(StoppingDM(), "stopping:nan", "'stopping'", id="not a number"),
        pytest.param(SignalDM(), "stopping", "needs a DM that has learned when to stop", id="never learned"),
        pytest.param(None, "stopping", "needs scores, got no DM", id="no DM"),
    ],
)
def test_what_cannot_be_is_refused(dm, spec, message):
    with pytest.raises(ConfigError, match=message):
        frame(dm).candidate(spec)
