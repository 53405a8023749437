"""`StoppingPolicy` over what a right answer is worth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from drr_agent.evaluation.metrics import Floats
from drr_agent.policy import Policy
from drr_agent.replay.families import OUTCOMES, Labelled, Walk, blank_walk
from drr_agent.replay.readings import Ints, Readings
from drr_agent.replay.standing import NOTHING
from drr_agent.state import Attempt
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.logged import LabelledQuestion
from drr_agent.training.paths import break_even_prices, follow, tabulate_in_order
from drr_agent.training.worth import WORTHS


@dataclass(frozen=True, kw_only=True)
class StoppingFamily(Labelled):
    """Over minus the price of a turn: a higher setting is a cheaper turn, and never ends earlier.

    Its grader is that of the readings.
    """

    policy: StoppingPolicy
    name: str = "stopping"
    settings: Sequence[float] = tuple(-1 / worth for worth in WORTHS)

    def label(self, setting: float) -> str:
        """Its name with what a right answer is worth."""
        return f"{self.name} worth {_worth(setting):.4g} calls"

    def read_setting(self, number: float) -> float:
        """The setting of a worth in Reasoner calls.

        Raises:
            ConfigError: it is not above 0.
        """
        return -1 / replace(self.policy, worth=number).worth

    def at(self, setting: float) -> Policy:
        """The policy at minus a price."""
        return replace(self.policy, worth=_worth(setting))

    def walk(self, readings: Readings) -> Walk:
        """Minus the break-even price is the value, and the most probable answer stands.

        Where turns end, a sure answer is accepted and an unsure one goes to review, at every setting.
        """
        walk, model = blank_walk(readings), self.policy.model
        table = tabulate_in_order([_ordered(readings, place) for place in range(len(readings))])
        paths = follow(table, model.answers)
        turns = paths.best.shape[1]
        outcome = self._outcomes(paths.best, paths.choice)
        withheld = (outcome != OUTCOMES.index("accept")) & (paths.best < self.policy.abstain_below)
        concluded = outcome != OUTCOMES.index("stop")
        last = np.arange(turns) == readings.turns[:, None] - 1
        walk.value[:, :turns] = np.where(last & concluded, np.inf, -break_even_prices(paths, model.values))
        walk.choice[:, :turns] = walk.settled[:, :turns] = np.where(withheld, NOTHING, paths.choice)
        walk.outcome[:, :turns] = outcome
        return walk

    def _outcomes(self, best: Floats, choice: Ints) -> Ints:
        """What it is to end with each confidence; see `StoppingPolicy.conclude`."""
        accept, stop, review = (OUTCOMES.index(name) for name in ("accept", "stop", "review"))
        unsure = np.where(best < self.policy.review_below, review, stop)
        return np.where((choice != NOTHING) & (best >= self.policy.accept_at), accept, unsure)


def _worth(setting: float) -> float:
    return -1 / setting if setting else inf


def _ordered(readings: Readings, place: int) -> LabelledQuestion:
    """A reading with equal answers spelled alike."""
    spelled = [None if first < 0 else str(first) for first in readings.first[place, : readings.turns[place]]]
    attempts: list[Attempt] = [
        {**attempt, "answer": answer} for attempt, answer in zip(readings.attempts(place), spelled, strict=True)
    ]
    return LabelledQuestion(attempts, [None] * len(attempts))
