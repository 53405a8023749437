"""StoppingPolicy: thinks again while that is worth its price."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from pydantic import BaseModel, ConfigDict

from drr_agent.errors import ConfigError
from drr_agent.grading import AUTO, Grader
from drr_agent.policy import Decision, Exhausted, Outcome, require_probabilities
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
        return sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"StoppingModel({self.digest!r})"


@dataclass(frozen=True, kw_only=True)
class StoppingPolicy:
    """Ends a run when one more turn is worth less than it costs, by backward induction over logged runs.

    After the last turn that the logs show it always ends. The answer that is most probably right stands: accepted from
    `accept_at` on, sent to review below `review_below`, and in between the run stops with it, not accepted. Where turns
    or budget end before it does, an answer below `review_below` goes to review, too.
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

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """Think again while the price of a turn is below the break-even price."""
        belief = self.model.answers.believe(attempts, self.grader)
        break_even = self.model.values.break_even(len(attempts), belief)
        return self.conclude(belief, goes_on=1 / self.worth < break_even)

    def conclude(self, belief: Belief, *, goes_on: bool) -> Decision:
        """The decision, once it is known whether another turn pays."""
        confidence = None if belief.choice is None else belief.best
        end = self._end(confidence)
        exhausted: Exhausted = "review" if end == "review" else "continue"
        return Decision("continue" if goes_on else end, belief.choice, confidence, exhausted)

    def _end(self, confidence: float | None) -> Outcome:
        if confidence is not None and confidence >= self.accept_at:
            return "accept"
        return "review" if (confidence or 0.0) < self.review_below else "stop"
