"""StoppingPolicy: thinks again while that is worth its price."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from drr_agent.errors import ConfigError
from drr_agent.grading import AUTO, Grader
from drr_agent.policy import Decision, Exhausted, require_probabilities
from drr_agent.state import Attempt
from drr_agent.stopping.beliefs import AnswerModel, Belief
from drr_agent.stopping.values import TurnValues


class StoppingModel(BaseModel):
    """What logs taught about when to stop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: AnswerModel
    values: TurnValues

    @property
    def digest(self) -> str:
        """Twelve hex digits over all of it."""
        unknown = None if self.values.shorter else {"values": {"shorter"}}  # an older model keeps its digest
        return sha256(self.model_dump_json(exclude=unknown).encode()).hexdigest()[:12]

    def within(self, max_turns: int) -> Self:
        """What it says of runs of at most so many turns; itself, where it knows of no fewer, or of no more."""
        values = self.values.within(max_turns)
        return self if values is self.values else self.model_copy(update={"values": values})

    def __repr__(self) -> str:
        return f"StoppingModel({self.digest!r})"


@dataclass(frozen=True, kw_only=True)
class StoppingPolicy:
    """Ends a run when one more turn is worth less than it costs, by backward induction over logged runs.

    What is still to come depends on how many turns are left, so what it has learned is for runs of some number of
    turns: as many as the logs show, and after the last of them it always ends. `create_drr_graph` has it go by its
    `max_turns`, where that is fewer; elsewhere, `within` does.

    The answer that is most probably right stands: accepted from `accept_at` on, sent to review below `review_below`,
    and in between the run stops with it, not accepted. Where turns or budget end before it does, the same cut-offs
    hold; in between, the run ends with what ended it.
    """

    model: StoppingModel
    worth: float = 50.0
    """What a right answer is worth, in Reasoner calls."""
    accept_at: float = 0.5
    review_below: float = 0.0
    grader: Grader = AUTO
    abstain_below: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        require_probabilities(
            accept_at=self.accept_at, review_below=self.review_below, abstain_below=self.abstain_below
        )
        if not self.worth > 0:
            raise ConfigError(f"`worth` must be above 0, in Reasoner calls, got {self.worth!r}")
        if self.review_below > self.accept_at:
            raise ConfigError(
                f"`review_below` must be at most `accept_at`, got {self.review_below!r} and {self.accept_at!r}"
            )

    def within(self, max_turns: int) -> Self:
        """The policy for runs of at most so many turns; see `StoppingModel.within`."""
        return replace(self, model=self.model.within(max_turns))

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """Think again while the price of a turn is below the break-even price."""
        belief = self.model.answers.believe(attempts, self.grader)
        break_even = self.model.values.break_even(len(attempts), belief)
        return self.conclude(belief, goes_on=1 / self.worth < break_even)

    def conclude(self, belief: Belief, *, goes_on: bool) -> Decision:
        """The decision, once it is known whether another turn pays."""
        confidence = None if belief.choice is None else belief.best
        end = self._end(confidence)
        exhausted: Exhausted = "continue" if end == "stop" else end
        return Decision("continue" if goes_on else end, belief.choice, confidence, exhausted)

    def _end(self, confidence: float | None) -> Literal["accept", "review", "stop"]:
        if confidence is not None and confidence >= self.accept_at:
            return "accept"
        return "review" if (confidence or 0.0) < self.review_below else "stop"
