"""What a run tells while it goes on: custom events of LangGraph's stream, plain JSON each.

Read them with `stream_mode="custom"`; of a subgraph with `subgraphs=True`. `type` tells them apart.
"""

from typing import Literal

from langgraph.config import get_stream_writer
from typing_extensions import TypedDict  # as in `state.py`: pydantic reads these, too

from drr_agent.state import (
    Attempt,
    BudgetLimit,
    BudgetScope,
    FeedbackKind,
    Reviewed,
    Reviewer,
    ReviewVerdict,
    StopReason,
)


class ThinkEvent(TypedDict):
    """The Reasoner is asked."""

    type: Literal["drr.think"]
    turn: int
    """Position among the run's think calls, from 1."""
    feedback: FeedbackKind
    """How it is asked."""


class DraftEvent(TypedDict):
    """A piece of a draft, with `drafts="channel"` alone."""

    type: Literal["drr.draft"]
    turn: int
    text: str
    """As the Reasoner wrote it, arguments of tool calls included; all of it for a Reasoner that does not stream."""


class ScoreEvent(TypedDict):
    """A draft was scored."""

    type: Literal["drr.score"]
    turn: int
    answer: str | None
    """`None` where the reply has none."""
    score: float | None
    """Calibrated P(correct); `None` where there is nothing to score or the DM failed."""
    error: str | None
    """Why there is no reply."""
    score_error: str | None
    """Why there is no score."""


class DecideEvent(TypedDict):
    """The policy and the limits have spoken."""

    type: Literal["drr.decide"]
    turn: int
    """Attempts so far; 0 where a limit left none."""
    best: str | None
    """The best-supported answer so far."""
    confidence: float | None
    """P(it is right), where the policy can tell."""
    stop_reason: StopReason | None
    """Why the run ends here; `None` where it thinks again."""


class BudgetEvent(TypedDict):
    """80 % of a limit is spent, or nobody can tell what is spent of one; for each limit at most once a run."""

    type: Literal["drr.budget"]
    turn: int
    scope: BudgetScope
    limit: BudgetLimit
    spent: float | None
    """At least so much: calls that report no tokens are not in it. `None` where the limit cannot be checked, as a price
    or what a call cost is unknown."""
    max: float


class ReviewEvent(TypedDict):
    """A review has ended, and the run with it."""

    type: Literal["drr.review"]
    turn: int
    """Attempts so far, an escalation's included."""
    by: Reviewer
    verdict: ReviewVerdict | None
    """`None` where none was given."""
    answer: str | None
    """A human's, or that of an escalation which stands; `None` where there is none."""
    error: str | None
    """Why nobody reviewed."""


Event = ThinkEvent | DraftEvent | ScoreEvent | DecideEvent | BudgetEvent | ReviewEvent
"""Any of them."""


def tell_think(turn: int, feedback: FeedbackKind) -> None:
    """The Reasoner is about to be asked."""
    _tell({"type": "drr.think", "turn": turn, "feedback": feedback})


def tell_score(attempt: Attempt) -> None:
    """An attempt has its score, or none."""
    event: ScoreEvent = {
        "type": "drr.score",
        "turn": attempt["turn"],
        "answer": attempt["answer"],
        "score": attempt["score"],
        "error": attempt["error"],
        "score_error": attempt["score_error"],
    }
    _tell(event)


def tell_decide(turn: int, best: str | None, confidence: float | None, stop_reason: StopReason | None) -> None:
    """What was decided after a turn."""
    event: DecideEvent = {
        "type": "drr.decide",
        "turn": turn,
        "best": best,
        "confidence": confidence,
        "stop_reason": stop_reason,
    }
    _tell(event)


def tell_budget(turn: int, scope: BudgetScope, limit: BudgetLimit, spent: float | None, most: float) -> None:
    """A limit is near, or cannot be checked."""
    _tell({"type": "drr.budget", "turn": turn, "scope": scope, "limit": limit, "spent": spent, "max": most})


def tell_review(turn: int, reviewed: Reviewed) -> None:
    """How a review ended."""
    event: ReviewEvent = {
        "type": "drr.review",
        "turn": turn,
        "by": reviewed["by"],
        "verdict": reviewed["verdict"],
        "answer": reviewed.get("answer"),
        "error": reviewed.get("error"),
    }
    _tell(event)


def _tell(event: Event) -> None:
    get_stream_writer()(event)
