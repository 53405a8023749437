"""What one more turn is worth: the advantage of thinking again, learned by backward induction.

A right answer is worth one, and a turn costs a price. In a state of belief, thinking again beats ending here by

    advantage = E[what the run brings from here on, with its price] - P(right now)

which a small regression over the belief predicts, for each turn and each of a grid of prices. The *break-even price* is
the highest price at which thinking again still pays; a run goes on while a turn costs less. It is what a turn is worth
there, in right answers.

What a run may still bring depends on how many turns are left, so the values are of one *horizon*, the most turns that a
run has. Those of all shorter ones are learned with them.
"""

from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from drr_agent.stopping.beliefs import Belief

Floats = npt.NDArray[np.float64]
TurnWeights = tuple[tuple[tuple[FiniteFloat, ...], ...], ...]
"""Of the basis, by turn from the first, by price."""

BASIS = ("one", "best", "best²", "second", "best·second", "second²", "log odds of best")
_STEEP = 4.0
"""Log odds are divided by this, so that they are of the size of the probabilities."""
_LOST, _SURE = -2.0, 1.5
"""Where they end, at P = 0.03 % and 99.75 %: beyond lie few readings, and what a line says there is no evidence."""


def basis(best: Floats, second: Floats) -> Floats:
    """What the regressions see of a belief; shape (n, len(BASIS)) for vectors of n."""
    odds = np.clip(best, 1e-6, 1 - 1e-6)
    logits = np.clip(np.log(odds / (1 - odds)) / _STEEP, _LOST, _SURE)
    return np.stack([np.ones_like(best), best, best**2, second, best * second, second**2, logits], axis=-1)


class TurnValues(BaseModel):
    """Break-even prices by turn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prices: Annotated[tuple[Annotated[FiniteFloat, Field(gt=0)], ...], Field(min_length=2)]
    """Of a turn, in right answers; rising."""
    weights: TurnWeights
    """For runs of as many turns as the logs show."""
    shorter: tuple[TurnWeights, ...] = ()
    """For runs of at most two turns, of at most three, and so on; none in older models."""

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if list(self.prices) != sorted(set(self.prices)):
            raise ValueError("the prices do not rise")
        turns = [turn for horizon in (self.weights, *self.shorter) for turn in horizon]
        if any(len(turn) != len(self.prices) or any(len(row) != len(BASIS) for row in turn) for turn in turns):
            raise ValueError(f"expected {len(self.prices)} rows of {len(BASIS)} weights a turn")
        lengths = [len(horizon) for horizon in self.shorter]
        if lengths != list(range(1, len(lengths) + 1)) or len(lengths) > max(0, self.turns - 1):
            raise ValueError(
                "expected `shorter` to hold the horizons from two turns up, each with a row a turn but one"
            )
        return self

    @property
    def turns(self) -> int:
        """The last turn after which another one was ever seen."""
        return len(self.weights)

    @property
    def horizon(self) -> int:
        """The most turns of the runs that these values are for."""
        return self.turns + 1

    def within(self, max_turns: int) -> Self:
        """The values for runs of at most so many turns; these, where no others are known. In one turn none counts."""
        place = max_turns - 2
        if not 0 <= place < len(self.shorter):
            return self
        return self.model_copy(update={"weights": self.shorter[place], "shorter": self.shorter[:place]})

    def break_even(self, turn: int, belief: Belief) -> float:
        """The price up to which another turn pays; 0 after the last turn that is known."""
        return float(self.break_even_prices(turn, np.array([belief.best]), np.array([belief.second]))[0])

    def break_even_prices(self, turn: int, best: Floats, second: Floats) -> Floats:
        """`break_even` of many beliefs after the same turn, shape (n,).

        Where the advantage is first gone, taken as straight between two prices; 0 where it is gone at the lowest one.
        No turn can bring more than what the best answer lacks.
        """
        found: Floats = np.zeros_like(best)
        if not 1 <= turn <= self.turns:
            return found
        prices = np.array(self.prices)
        advantages = basis(best, second) @ np.array(self.weights[turn - 1]).T
        gone = advantages <= 0
        first = np.where(gone.any(axis=1), gone.argmax(axis=1), len(prices))
        found[first == len(prices)] = 1.0
        rows = np.flatnonzero((first > 0) & (first < len(prices)))
        place = first[rows]
        high, low = advantages[rows, place - 1], advantages[rows, place]
        found[rows] = prices[place - 1] + high / (high - low) * (prices[place] - prices[place - 1])
        return np.minimum(found, 1 - best)
