"""`StoppingPolicy` over what a right answer is worth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from drr_agent.evaluation.metrics import Floats
from drr_agent.policy import Policy
from drr_agent.replay.answer_rows import tabulate_readings
from drr_agent.replay.families import OUTCOMES, Labelled, Walk, blank_walk
from drr_agent.replay.readings import Ints, Readings
from drr_agent.replay.standing import NOTHING
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.paths import break_even_prices, follow
from drr_agent.training.worth import WORTHS

_BLOCK = 10_000
"""Readings whose answers are held at once: some hundred megabytes."""


@dataclass(frozen=True, kw_only=True)
class StoppingFamily(Labelled):
    """Over minus the price of a turn: a higher setting is a cheaper turn, and never ends earlier.

    Its grader is that of the readings.
    """

    policy: StoppingPolicy
    name: str = "stopping"
    settings: Sequence[float] = tuple(-1 / worth for worth in WORTHS)
    certified: bool = False
    """Whether a certificate says where it accepts."""
    shortened_from: int | None = None
    """The turns that it reckons with in use, where the log is too short for them."""

    def label(self, setting: float) -> str:
        """Its name with what a right answer is worth, and with where it accepts if that is certified."""
        accepts = f", accept_at {self.policy.accept_at:g}" if self.certified else ""
        return f"{self.name} worth {_worth(setting):.4g} calls{accepts}"

    def read_setting(self, number: float) -> float:
        """The setting of a worth in Reasoner calls.

        Raises:
            ConfigError: it is not above 0.
        """
        return -1 / replace(self.policy, worth=number).worth

    def at(self, setting: float) -> Policy:
        """The policy at minus a price."""
        own = setting == -1 / self.policy.worth  # whose inverse may differ in the last digit
        return self.policy if own else replace(self.policy, worth=_worth(setting))

    def walk(self, readings: Readings) -> Walk:
        """Minus the break-even price is the value, and the most probable answer stands.

        Where turns end, a sure answer is accepted and an unsure one goes to review, at every setting.
        """
        walk, every = blank_walk(readings), np.arange(len(readings))
        for start in range(0, len(every), _BLOCK):
            rows = every[start : start + _BLOCK]
            for whole, part in zip(walk, self._walk_some(readings, rows), strict=True):
                whole[rows, : part.shape[1]] = part
        return walk

    def _walk_some(self, readings: Readings, rows: Ints) -> Walk:
        """`walk` of some readings, by their places."""
        answers, values = self.policy.model.answers, self.policy.model.values
        paths = follow(tabulate_readings(readings, rows, answers.names), answers)
        outcome = self._outcomes(paths.best, paths.choice)
        withheld = (outcome != OUTCOMES.index("accept")) & (paths.best < self.policy.abstain_below)
        concluded = outcome != OUTCOMES.index("stop")
        last = np.arange(outcome.shape[1]) == readings.turns[rows, None] - 1
        choice = np.where(withheld, NOTHING, paths.choice)
        return Walk(np.where(last & concluded, np.inf, -break_even_prices(paths, values)), choice, choice, outcome)

    def _outcomes(self, best: Floats, choice: Ints) -> Ints:
        """What it is to end with each confidence; see `StoppingPolicy.conclude`."""
        accept, stop, review = (OUTCOMES.index(name) for name in ("accept", "stop", "review"))
        unsure = np.where(best < self.policy.review_below, review, stop)
        return np.where((choice != NOTHING) & (best >= self.policy.accept_at), accept, unsure)


def _worth(setting: float) -> float:
    return -1 / setting if setting else inf
