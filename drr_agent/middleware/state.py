"""What an agent remembers of a run between two model calls: private channels, plain values and messages."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired

from langchain.agents.middleware.types import AgentState, PrivateStateAttr
from langchain_core.messages import BaseMessage
from langgraph.managed.is_last_step import RemainingStepsManager
from typing_extensions import TypedDict

from drr_agent.state import NO_USAGE, Attempt, Draft, Run, RunStart, Usage, add_usage

Phase = Literal["ended", "open", "again"]
"""Of the run in `drr_start`: it is over, goes on, or goes on with a try that has not begun."""


class Said(TypedDict):
    """What the model node gave for one attempt, to be given again if that attempt is chosen.

    The messages are inside a record, since LangGraph streams those that stand in a channel by themselves.
    """

    messages: list[BaseMessage]
    structured: Any


class Steps(TypedDict):
    """What a try that asked for tools has cost so far, before its answer."""

    usage: Usage
    seconds: float
    after: str | None
    """Id of the last message of the thread when the try began, where feedback belongs."""


class DRRAgentState(AgentState[Any]):
    """The agent's state with the run. None of it is input or output of the agent; checkpoints hold it."""

    drr_start: NotRequired[Annotated[RunStart, PrivateStateAttr]]
    drr_attempts: NotRequired[Annotated[list[Attempt], PrivateStateAttr]]
    drr_said: NotRequired[Annotated[list[Said | None], PrivateStateAttr]]
    drr_steps: NotRequired[Annotated[Steps | None, PrivateStateAttr]]
    drr_phase: NotRequired[Annotated[Phase, PrivateStateAttr]]
    drr: NotRequired[Annotated[Run, PrivateStateAttr]]
    drr_remaining_steps: NotRequired[Annotated[int, PrivateStateAttr, RemainingStepsManager]]


@dataclass
class OpenRun:
    """A run within one node of the agent: what the state says of it, and what the node changes of that."""

    start: RunStart
    attempts: list[Attempt] = field(default_factory=list)
    said: list[Said | None] = field(default_factory=list)
    steps: Steps | None = None
    ended: Run | None = None
    is_new: bool = False

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "OpenRun | None":
        """The run that is going on in a state, if one is."""
        if state.get("drr_phase", "ended") == "ended":
            return None
        return cls(
            start=state["drr_start"],
            attempts=list(state["drr_attempts"]),
            said=list(state["drr_said"]),
            steps=state.get("drr_steps"),
        )

    @property
    def has_answer(self) -> bool:
        """Whether there is something to lose."""
        return any(attempt["answer"] is not None for attempt in self.attempts)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the run began."""
        return max(0.0, time.time() - self.start["clock"])

    @property
    def usage(self) -> Usage:
        """Of the attempts, and of the try that has not come to an answer."""
        under_way = NO_USAGE if self.steps is None else self.steps["usage"]
        return add_usage([under_way, *(attempt["usage"] for attempt in self.attempts)])

    @property
    def chosen(self) -> Said | None:
        """What stands: the reply the policy chose, or the newest where no reply has an answer."""
        if self.ended is not None and self.ended["choice"] is not None:
            return self.said[self.ended["choice"]]
        return next((said for said in reversed(self.said) if said is not None), None)

    def add_step(self, usage: Usage, seconds: float, *, before: Sequence[BaseMessage]) -> None:
        """The try has asked for tools, after these messages of the thread if it has only begun."""
        after = before[-1].id if before else None
        steps: Steps = self.steps or {"usage": NO_USAGE, "seconds": 0.0, "after": after}
        spent = round(steps["seconds"] + seconds, 4)
        self.steps = {"usage": add_usage([steps["usage"], usage]), "seconds": spent, "after": steps["after"]}

    def with_steps(self, draft: Draft) -> Draft:
        """A draft that has cost what its try has, requests for tools included."""
        if self.steps is None:
            return draft
        usage = add_usage([self.steps["usage"], draft["usage"]])
        return {**draft, "usage": usage, "seconds": round(self.steps["seconds"] + draft["seconds"], 4)}

    def update(self, phase: Phase) -> dict[str, Any]:
        """The private channels as they are now. Once a run is over, its replies are in the thread or unwanted."""
        changed: dict[str, Any] = {
            "drr_attempts": self.attempts,
            "drr_said": [] if self.ended is not None else self.said,
            "drr_steps": self.steps,
            "drr_phase": phase,
        }
        if self.is_new:
            changed["drr_start"] = self.start
        if self.ended is not None:
            changed["drr"] = self.ended
        return changed
