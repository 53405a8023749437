"""Policies by a string, or as they are."""

import pytest
from replay.logs import SignalDM

from drr_agent.grading import get_grader
from drr_agent.no_progress import NoProgress
from drr_agent.policy import BestScorePolicy, ConsensusPolicy, ConsensusWeights, MajorityPolicy, ThresholdPolicy
from drr_agent.replay.forms import Capped
from drr_agent.replay.specs import FORMS, Frame

EXACT = get_grader("exact")
WEIGHTS = ConsensusWeights(agreement=0.3)


class OwnDM(SignalDM):
    consensus = ConsensusPolicy(threshold=0.62, weights=WEIGHTS)


FRAME = Frame(dm=OwnDM(), grader=EXACT, max_turns=4)


@pytest.mark.parametrize(
    ("spec", "setting", "policy"),
    [
        pytest.param("drr", 0.62, ConsensusPolicy(threshold=0.62, weights=WEIGHTS, grader=EXACT), id="the DM's own"),
        pytest.param("drr:0.9", 0.9, ConsensusPolicy(threshold=0.9, weights=WEIGHTS, grader=EXACT), id="in a setting"),
        pytest.param("consensus", None, ConsensusPolicy(threshold=0.5, weights=WEIGHTS, grader=EXACT), id="consensus"),
        pytest.param("threshold", None, ThresholdPolicy(threshold=0.5), id="threshold"),
        pytest.param("threshold:0.7", 0.7, ThresholdPolicy(threshold=0.7), id="threshold in a setting"),
        pytest.param("adaptive:0.95", 0.95, MajorityPolicy(confidence=0.95, grader=EXACT), id="adaptive"),
        pytest.param("majority:3", 3.0, Capped(policy=MajorityPolicy(grader=EXACT), turns=3), id="majority"),
        pytest.param("single", 1.0, Capped(policy=MajorityPolicy(grader=EXACT), turns=1), id="single"),
        pytest.param("best_of_n:4", 4.0, Capped(policy=BestScorePolicy(), turns=4), id="best of n"),
    ],
)
def test_a_string_is_a_policy_over_its_settings(spec, setting, policy):
    found = FRAME.candidate(spec)
    assert found.setting == setting
    assert found.family.at(0.5 if setting is None else setting) == policy


@pytest.mark.parametrize("name", [name for name in FORMS if name != "stopping"])  # see test_stopping_form
def test_every_form_has_a_name_and_a_label(name):
    family, setting = FRAME.candidate(name)
    assert family.label(0.5 if setting is None else setting).startswith(family.name)


def test_a_policy_of_ones_own_compares_answers_as_the_replay_does():
    family, setting = FRAME.candidate(NoProgress(policy=ThresholdPolicy()))
    assert family.at(setting).grader is EXACT
    assert family.label(setting) == "NoProgress"
