"""Policies by a string, or as they are."""

import re
from dataclasses import dataclass, replace

import pytest
from replay.logs import SignalDM

from drr_agent.errors import ConfigError
from drr_agent.grading import get_grader
from drr_agent.no_progress import NoProgress
from drr_agent.policy import BestScorePolicy, ConsensusPolicy, ConsensusWeights, MajorityPolicy, ThresholdPolicy
from drr_agent.replay.forms import Capped
from drr_agent.replay.specs import FORMS, Frame, spell

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
        pytest.param("threshold:threshold=.7", 0.7, ThresholdPolicy(threshold=0.7), id="a setting by its name"),
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


@dataclass(frozen=True)
class Ahead(BestScorePolicy):
    """Knows how many turns a run may have."""

    turns: int = 99

    def within(self, max_turns):
        return replace(self, turns=min(self.turns, max_turns))


def test_a_policy_that_looks_ahead_sees_the_turns_of_the_replay():
    family, setting = FRAME.candidate(Ahead())
    assert family.at(setting) == Ahead(turns=4)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param("adaptve", r"got 'adaptve'; did you mean `adaptive`\?", id="a policy misspelled"),
        pytest.param("magic", r"one of drr, .*, got 'magic'; see", id="no such policy"),
        pytest.param(
            "threshold:accpt_at=.9", "it is `threshold`, a probability.*write `threshold:0.7`", id="no such setting"
        ),
        pytest.param("adaptive:confidnce=.9", r"did you mean `confidence`\?$", id="a setting misspelled"),
        pytest.param("threshold:high", "got 'threshold:high': .* from 0 to 1", id="no number"),
        pytest.param("consensus:95", "got 'consensus:95': .* from 0 to 1", id="no probability"),
        pytest.param("best_of_n:2.5", "expected 1 to 4 turns", id="half a turn"),
        pytest.param("single:3", "got 'single:3'; give fewer", id="single has one"),
    ],
)
def test_what_is_no_policy_says_what_is(spec, said):
    with pytest.raises(ConfigError, match=said):
        FRAME.candidate(spec)


def test_without_a_dm_an_error_names_what_needs_none():
    with pytest.raises(ConfigError, match=re.escape("name one with `--dm`, or replay what needs none: adaptive,")):
        Frame(dm=None, grader=EXACT, max_turns=4).candidate("threshold:0.7")


@pytest.mark.parametrize(
    ("spec", "spelled"),
    [
        pytest.param("majority:1", "single", id="a vote of one"),
        pytest.param("single", "single", id="single"),
        pytest.param("majority", "self_consistency", id="another name"),
        pytest.param(" threshold:.70 ", "threshold:0.7", id="another number"),
        pytest.param("threshold:threshold=0.7", "threshold:0.7", id="a setting by its name"),
        pytest.param("adaptive", "adaptive", id="no setting"),
    ],
)
def test_strings_that_mean_the_same_are_spelled_alike(spec, spelled):
    assert spell(spec) == spelled
