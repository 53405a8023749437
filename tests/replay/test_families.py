"""Replay all at once equals playing the policy attempt by attempt, for every family and any attempts."""

import math
import random
from dataclasses import dataclass

import pytest
from fakes import make_attempt
from hypothesis import assume, given
from hypothesis import strategies as st

from drr_agent.no_progress import NoProgress
from drr_agent.policy import (
    BestScorePolicy,
    ConsensusPolicy,
    ConsensusWeights,
    Decision,
    MajorityPolicy,
    ThresholdPolicy,
    play,
)
from drr_agent.replay.families import OUTCOMES, IndexFamily, OnePolicy, View
from drr_agent.replay.forms import AdaptiveFamily, ConsensusFamily, CountFamily, ThresholdFamily
from drr_agent.replay.paths import end, suggest_settings
from drr_agent.replay.readings import Readings
from drr_agent.replay.standing import NOTHING
from drr_agent.training.logged import LabelledQuestion

SCORES = st.sampled_from([None, 0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
ANSWERS = st.sampled_from([None, "41", "41.0", "$42", "42", "a", "b"])
ATTEMPTS = st.lists(st.tuples(ANSWERS, SCORES), min_size=1, max_size=6)
LOGS = st.lists(ATTEMPTS, min_size=1, max_size=4)
UNIT = st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
MAX_TURNS = 5


@dataclass(frozen=True, kw_only=True)
class Reviewing:
    """Accepts the newest score from the cut-off on, and has low ones reviewed."""

    cutoff: float
    abstain_below: float = 0.0

    def decide(self, attempts):
        newest = attempts[-1]["score"]
        if newest is None or newest < self.cutoff:
            return Decision("continue", None, None)
        return Decision("accept" if newest >= 0.5 else "review", len(attempts) - 1, newest)


@dataclass(frozen=True, kw_only=True)
class ReviewingFamily(IndexFamily):
    """The same, reading by reading: what a user would write."""

    name: str = "reviewing"

    def at(self, setting):
        return Reviewing(cutoff=setting)

    def views(self, attempts):
        scores = [-1.0 if attempt["score"] is None else attempt["score"] for attempt in attempts]
        return [View(score, turn, None, "accept" if score >= 0.5 else "review") for turn, score in enumerate(scores)]


WEIGHTS = ConsensusWeights(score=0.8, agreement=0.6, none=-0.3, none_per_attempt=0.2)
FAMILIES = {
    "threshold": lambda abstain: ThresholdFamily(policy=ThresholdPolicy(abstain_below=abstain)),
    "consensus": lambda abstain: ConsensusFamily(policy=ConsensusPolicy(abstain_below=abstain)),
    "consensus, weighted": lambda abstain: ConsensusFamily(
        policy=ConsensusPolicy(weights=WEIGHTS, abstain_below=abstain)
    ),
    "adaptive": lambda abstain: AdaptiveFamily(policy=MajorityPolicy(confidence=0.9, abstain_below=abstain)),
    "a user's": lambda abstain: ReviewingFamily(),
    "any policy": lambda abstain: OnePolicy(
        name="circles", policy=NoProgress(policy=ConsensusPolicy(abstain_below=abstain)), max_turns=MAX_TURNS
    ),
}
COUNTS = {
    "self-consistency": lambda abstain: CountFamily(name="vote", policy=MajorityPolicy(abstain_below=abstain)),
    "best of n": lambda abstain: CountFamily(name="best", policy=BestScorePolicy(abstain_below=abstain)),
}


def question(attempts):
    given_attempts = [
        make_attempt(answer, score, turn=turn, rationale=f"r{turn}") for turn, (answer, score) in enumerate(attempts, 1)
    ]
    return LabelledQuestion(given_attempts, ["correct" if answer == "41" else "incorrect" for answer, _ in attempts])


def read(log, **changes):
    return Readings.of([question(attempts) for attempts in log], **{"max_turns": MAX_TURNS, **changes})


def at_once(family, setting, readings):
    """Turns, choice and outcome of every reading, from the arrays."""
    ends = end(family.walk(readings), setting, readings)
    choices = [None if choice == NOTHING else int(choice) for choice in ends.choice]
    return list(zip(ends.turns.tolist(), choices, [OUTCOMES[o] for o in ends.outcome], strict=True))


def one_by_one(family, setting, readings):
    """The same, by playing the policy."""
    played = [
        play(family.at(setting), readings.attempts(reading), max_turns=MAX_TURNS) for reading in range(len(readings))
    ]
    return [(p.turns, p.decision.choice, p.decision.outcome) for p in played]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
@given(log=LOGS, setting=UNIT, abstain=st.sampled_from([0.0, 0.6]))
def test_all_at_once_is_one_by_one(family, log, setting, abstain):
    readings, replayed = read(log), family(abstain)
    walk = replayed.walk(readings)
    if isinstance(replayed, ConsensusFamily):  # numpy's exp and math's may differ in the last digit
        for cutoff in (setting, abstain):
            assume(not ((abs(walk.value - cutoff) < 1e-9) & (walk.value != cutoff)).any())
            assume(not (abs(walk.value - cutoff) == 0).any())
    assert at_once(replayed, setting, readings) == one_by_one(replayed, setting, readings)


@given(log=LOGS)
def test_the_value_of_consensus_is_its_confidence(log):
    readings, policy = read(log), ConsensusPolicy(weights=WEIGHTS)
    walk = ConsensusFamily(policy=policy).walk(readings)
    for reading in range(len(readings)):
        attempts = readings.attempts(reading)
        told = [policy.decide(attempts[:turn]).confidence for turn in range(1, len(attempts) + 1)]
        expected = [-math.inf if confidence is None else confidence for confidence in told]
        assert walk.value[reading, : len(attempts)].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("family", COUNTS.values(), ids=COUNTS.keys())
@given(log=LOGS, turns=st.integers(1, MAX_TURNS), abstain=st.sampled_from([0.0, 0.6]))
def test_a_number_of_turns_is_a_setting(family, log, turns, abstain):
    readings = read(log)
    assert at_once(family(abstain), float(turns), readings) == one_by_one(family(abstain), float(turns), readings)


@given(log=LOGS)
def test_the_last_of_the_settings_is_reached_least(log):
    readings = read(log)
    family = ThresholdFamily()
    walk = family.walk(readings)
    settings = suggest_settings(walk, readings, default=0.77)
    assert list(settings) == sorted(set(settings))
    assert {0.77, 1.0} & set(settings)
    turns = [end(walk, setting, readings).turns.sum() for setting in settings]
    assert turns == sorted(turns), "a higher setting never ends earlier"


def test_questions_are_read_in_several_orders_and_runs_in_one():
    log = [question([("41", 0.1), ("42", 0.9), ("a", 0.5)])] * 20
    runs = [one._replace(draws=[0, 0, 0]) for one in log]
    assert len(Readings.of(log, max_turns=3)) == 80
    assert len(Readings.of(log, max_turns=3, orders="logged")) == 20
    assert len(Readings.of(runs, max_turns=3)) == 20
    mixed = Readings.of(log, max_turns=3)
    assert mixed.weights.sum() == pytest.approx(20)
    assert {tuple(order) for order in mixed.order.tolist()} > {(0, 1, 2)}


def test_costs_add_up_over_turns_and_an_unmetered_attempt_hides_its_reading():
    unmetered = {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0}
    known = LabelledQuestion([make_attempt("a", 0.1), make_attempt("b", 0.2)], ["correct", "incorrect"])
    hidden = LabelledQuestion([make_attempt("a", 0.1), make_attempt("b", 0.2, usage=unmetered)], ["correct"] * 2)
    readings = Readings.of(
        [known, hidden], max_turns=2, orders="logged", price=lambda q, a: 0.5 if q is known else None
    )
    assert readings.tokens.tolist()[0] == [15.0, 30.0]
    assert readings.usd.tolist()[0] == [0.5, 1.0]
    assert str(readings.tokens.tolist()[1]) == "[nan, nan]"
    assert str(readings.usd.tolist()[1]) == "[nan, nan]"


def test_several_runs_of_a_question_are_one_unit():
    log = [
        question([("41", 0.1)])._replace(key=("q1", "", reasoner), weight=weight)
        for reasoner, weight in [("m1", 1.0), ("m2", 0.5)]
    ]
    readings = Readings.of([*log, question([("a", 0.2)])], max_turns=2)
    assert readings.units.of.tolist() == [0, 0, 1]
    assert readings.units.weights.tolist() == [1.5, 1.0]


def test_shuffles_are_seeded():
    log = [question([(str(i), 0.1) for i in range(6)]) for _ in range(5)]
    random.seed(1)
    orders = [Readings.of(log, max_turns=6, seed=seed).order.tolist() for seed in (3, 3, 4)]
    assert orders[0] == orders[1] != orders[2]
