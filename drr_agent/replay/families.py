"""Families: a policy over its settings, as what it makes of each prefix of a reading, whatever the setting.

All but the settings is worked out once. At a setting, a family ends at the first turn whose value reaches it, and at
the last turn otherwise; so a setting is one look at the arrays. `Family.at` is the policy in earnest, and to play it
attempt by attempt gives the same, which the tests hold all families to.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, get_args

import numpy as np

from drr_agent.evaluation.metrics import Floats
from drr_agent.policy import (
    Outcome,
    Policy,
    play,
)
from drr_agent.replay.readings import Ints, Readings
from drr_agent.replay.standing import NOTHING
from drr_agent.state import Attempt

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class View(NamedTuple):
    """What a family makes of one prefix, whatever the setting."""

    value: float
    """It ends here at every setting up to this; minus infinity: at none."""
    choice: int | None
    """The attempt that stands where it ends by its rule; `None` for an abstention."""
    settled: int | None
    """The attempt that stands where turns end."""
    outcome: Outcome = "accept"
    """What it is to end here by the rule."""


class Walk(NamedTuple):
    """The views of all prefixes, each of shape (readings, turns); past a reading's end, anything."""

    value: Floats
    choice: Ints
    settled: Ints
    outcome: Ints
    """Place in `OUTCOMES`."""


class Family(Protocol):
    """A policy over its settings; a higher one never ends earlier. Settings that are no probabilities are named."""

    @property
    def name(self) -> str:
        """How it is called in reports."""
        ...

    @property
    def settings(self) -> Sequence[float]:
        """Those to try, ascending; none: what its values on some readings suggest."""
        ...

    def label(self, setting: float) -> str:
        """How it is called in a setting."""
        ...

    def at(self, setting: float) -> Policy:
        """The policy at a setting."""
        ...

    def walk(self, readings: Readings) -> Walk:
        """What it makes of every prefix."""
        ...


class Labelled:
    """Says its setting after its name."""

    name: str

    def label(self, setting: float) -> str:
        """How it is called in a setting."""
        return f"{self.name} at {setting:.4g}"

    def read_setting(self, number: float) -> float:
        """The setting that a user's number means."""
        return number


@dataclass(frozen=True, kw_only=True)
class IndexFamily(Labelled, ABC):
    """A family by what it makes of one reading. Enough to replay it; override `walk` to do it for all at once."""

    name: str
    settings: Sequence[float] = ()

    @abstractmethod
    def at(self, setting: float) -> Policy:
        """The policy at a setting."""

    @abstractmethod
    def views(self, attempts: Sequence[Attempt]) -> list[View]:
        """What it makes of each prefix of a reading, the shortest first."""

    def walk(self, readings: Readings) -> Walk:
        """The views of every reading."""
        walk = blank_walk(readings)
        for reading in range(len(readings)):
            for turn, view in enumerate(self.views(readings.attempts(reading))):
                walk.value[reading, turn] = view.value
                walk.choice[reading, turn] = NOTHING if view.choice is None else view.choice
                walk.settled[reading, turn] = NOTHING if view.settled is None else view.settled
                walk.outcome[reading, turn] = OUTCOMES.index(view.outcome)
        return walk


@dataclass(frozen=True, kw_only=True)
class OnePolicy:
    """Any policy, as a family of its one setting; it is asked about every prefix, which takes its time."""

    name: str
    policy: Policy
    max_turns: int
    settings: Sequence[float] = (0.0,)

    def label(self, setting: float) -> str:  # noqa: ARG002 - it has but one
        """Its name."""
        return self.name

    def at(self, setting: float) -> Policy:  # noqa: ARG002 - as above
        """The policy."""
        return self.policy

    def walk(self, readings: Readings) -> Walk:
        """What it does with every reading, as a walk that ends there."""
        walk = blank_walk(readings)
        for reading in range(len(readings)):
            played = play(self.policy, readings.attempts(reading), max_turns=self.max_turns)
            end, choice = played.turns - 1, played.decision.choice
            walk.value[reading, end] = np.inf
            walk.choice[reading, end] = NOTHING if choice is None else choice
            walk.outcome[reading, end] = OUTCOMES.index(played.decision.outcome)
        return walk


def blank_walk(readings: Readings) -> Walk:
    """Ends nowhere, and nothing stands."""
    shape = readings.first.shape
    nothing = np.full(shape, NOTHING)
    return Walk(np.full(shape, -np.inf), nothing, nothing.copy(), np.full(shape, OUTCOMES.index("accept")))
