"""The policies that ship, as families: over all readings at once, by array."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from drr_agent.evaluation.metrics import Floats
from drr_agent.policy import (
    BestScorePolicy,
    ConsensusPolicy,
    Decision,
    MajorityPolicy,
    Outcome,
    Policy,
    ThresholdPolicy,
)
from drr_agent.replay.families import OUTCOMES, Labelled, Walk, blank_walk
from drr_agent.replay.readings import Ints, Readings
from drr_agent.replay.standing import NOTHING, Support, best_scored, leads
from drr_agent.state import Attempt


@dataclass(frozen=True, kw_only=True)
class ThresholdFamily(Labelled):
    """`ThresholdPolicy` over its threshold."""

    name: str = "threshold"
    policy: ThresholdPolicy = field(default_factory=ThresholdPolicy)
    settings: Sequence[float] = ()

    def at(self, setting: float) -> Policy:
        """The policy at a threshold."""
        return replace(self.policy, threshold=setting)

    def walk(self, readings: Readings) -> Walk:
        """The newest score is the value; the best one stands at the end."""
        value = np.where(np.isnan(readings.score), -np.inf, readings.score)
        newest = np.broadcast_to(np.arange(value.shape[1]), value.shape)
        settled, confidence = best_scored(readings)
        return Walk(value, newest, _withheld(settled, confidence, self.policy), _all(value, "accept"))


@dataclass(frozen=True, kw_only=True)
class ConsensusFamily(Labelled):
    """`ConsensusPolicy` over its threshold. Its grader is that of the readings."""

    name: str = "consensus"
    policy: ConsensusPolicy = field(default_factory=ConsensusPolicy)
    settings: Sequence[float] = ()

    def at(self, setting: float) -> Policy:
        """The policy at a threshold."""
        return replace(self.policy, threshold=setting)

    def walk(self, readings: Readings) -> Walk:
        """The probability of the best-supported answer is the value, and that answer stands."""
        support, walk = Support.blank(readings), blank_walk(readings)
        for turn in range(readings.first.shape[1]):
            support.add(readings, turn)
            choice, confidence = support.judge(self.policy)
            walk.value[:, turn] = np.nan_to_num(confidence, nan=-np.inf, neginf=-np.inf)
            walk.choice[:, turn] = choice
            walk.settled[:, turn] = _withheld(choice, confidence, self.policy)
        return walk


@dataclass(frozen=True, kw_only=True)
class AdaptiveFamily(Labelled):
    """Adaptive self-consistency over its confidence. Its grader is that of the readings."""

    name: str = "adaptive"
    policy: MajorityPolicy = field(default_factory=MajorityPolicy)
    settings: Sequence[float] = ()

    def at(self, setting: float) -> Policy:
        """The policy at a confidence."""
        return replace(self.policy, confidence=setting)

    def walk(self, readings: Readings) -> Walk:
        """The lead's probability is the value; the most frequent answer stands."""
        choice, lead = leads(readings)
        value = np.nan_to_num(lead, nan=-np.inf, neginf=-np.inf)
        return Walk(value, choice, _withheld(choice, lead, self.policy), _all(value, "accept"))


@dataclass(frozen=True, kw_only=True)
class Capped:
    """A policy that stops after some turns, as a smaller `max_turns` would have it."""

    policy: Policy
    turns: int

    @property
    def abstain_below(self) -> float:
        """The policy's."""
        return self.policy.abstain_below

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """The policy's decision, or to stop where turns end."""
        decision = self.policy.decide(attempts)
        ends = decision.outcome == "continue" and len(attempts) >= self.turns
        return decision._replace(outcome="stop") if ends else decision


@dataclass(frozen=True, kw_only=True)
class CountFamily:
    """A policy that never ends by itself, `MajorityPolicy` or `BestScorePolicy`, over the number of turns."""

    name: str
    policy: MajorityPolicy | BestScorePolicy
    settings: Sequence[float] = ()

    def label(self, setting: float) -> str:
        """Its name with the number of turns, where there are several to choose from."""
        return self.name if len(self.settings) == 1 else f"{self.name} k={setting:g}"

    def at(self, setting: float) -> Policy:
        """The policy, stopped after so many turns."""
        return Capped(policy=self.policy, turns=int(setting))

    def walk(self, readings: Readings) -> Walk:
        """The number of turns is the value."""
        voting = isinstance(self.policy, MajorityPolicy)
        choice, confidence = leads(readings) if voting else best_scored(readings)
        settled = _withheld(choice, confidence, self.policy)
        value = np.broadcast_to(np.arange(1.0, choice.shape[1] + 1), choice.shape)
        return Walk(value, settled, settled, _all(value, "stop"))


def _withheld(choice: Ints, confidence: Floats, policy: Policy) -> Ints:
    """The choice once nothing more may be tried; see `policy.settle`."""
    sure = confidence >= policy.abstain_below  # never of NaN
    return np.where(sure | (policy.abstain_below <= 0), choice, NOTHING)


def _all(value: Floats, outcome: Outcome) -> Ints:
    return np.full(value.shape, OUTCOMES.index(outcome))
