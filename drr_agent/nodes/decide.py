"""Decide: ask the policy, then think again or end with the chosen answer."""

import asyncio
import hashlib
import math
import time
from dataclasses import dataclass
from typing import Literal, NotRequired

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.config import get_stream_writer
from langgraph.managed import RemainingSteps
from langgraph.types import Command

from drr_agent.budget import Budget
from drr_agent.policy import ENDS, Decision, Policy, first_ended, settle
from drr_agent.runs import RunLog
from drr_agent.state import RUN_SCHEMA, Attempt, DRRState, Run, RunIdentity, StopReason, Usage, Verdict, add_usage

Destination = Literal["think", "__end__"]
_STOP_REASONS: dict[str, StopReason] = {"accept": "accepted", "stop": "stopped", "review": "review"}

_STEPS_OF_A_TURN = 3
"""Think, score, decide."""


class DecideState(DRRState):
    """What `decide` reads: the graph's channels, and what LangGraph's `recursion_limit` leaves of the run."""

    drr_remaining_steps: NotRequired[RemainingSteps]


@dataclass(frozen=True, kw_only=True)
class Decide:
    """Applies the policy, then the limits. The answer is the best-supported one, not the last."""

    policy: Policy
    max_turns: int
    budget: Budget
    identity: RunIdentity
    run_log: RunLog | None
    explore: float = 0.0
    """P(a run thinks on after the policy has ended it), for the log alone: what stood at that end stands."""
    certified: bool | None = None
    """Whether the DM's certificate holds for this setup; `None` where it has none, and then runs do not say."""

    def as_node(self) -> Runnable[DecideState, Command[Destination]]:
        """The node, for `invoke` and `ainvoke` alike; only the write of a log leaves the event loop."""

        def decide(state: DecideState) -> Command[Destination]:
            command, run = self.decide(state)
            if run is not None and self.run_log is not None:
                self.run_log.append(run)
            return command

        async def adecide(state: DecideState) -> Command[Destination]:
            command, run = self.decide(state)
            if run is not None and self.run_log is not None:
                await asyncio.to_thread(self.run_log.append, run)
            return command

        return RunnableLambda(decide, adecide, name="decide")

    def decide(self, state: DecideState) -> tuple[Command[Destination], Run | None]:
        """Where to go, and the run if it ends here."""
        attempts = state["drr_attempts"]
        usage = add_usage(attempt["usage"] for attempt in attempts)
        seconds = max(0.0, time.time() - state["drr_start"]["clock"])
        ended = first_ended(attempts)
        decision = _with_known_confidence(self.policy.decide(_as_judged(attempts, ended)))
        reason = self._stop_reason(decision, attempts, usage, seconds)
        judged = attempts if ended is not None else _with_verdict(attempts, decision, reason)
        explores = _leaves_a_turn(state) and self._explores(state["drr_start"]["run_id"], attempts, usage, seconds)
        if decision.outcome != "continue" and explores:
            reason = None
        told = {"best": _answer(attempts, decision), "confidence": decision.confidence, "stop_reason": reason}
        get_stream_writer()({"type": "drr.decide", "turn": len(attempts), **told})
        if reason is None:
            return Command(goto="think", update={"drr_attempts": judged}), None
        run = self._run(state, judged, settle(self.policy, decision), reason, usage, seconds)
        update = {"drr_attempts": judged, "drr": run, "messages": _chosen(state, run)}
        return Command(goto="__end__", update=update), run

    def _stop_reason(
        self, decision: Decision, attempts: list[Attempt], usage: Usage, seconds: float
    ) -> StopReason | None:
        """Why the run ends here, or `None` to think again."""
        if decision.outcome != "continue":
            return decision.reason or _STOP_REASONS[decision.outcome]
        exhausted = self.budget.exhausted(usage, seconds)
        if len(attempts) < self.max_turns and not exhausted:
            return None
        if all(attempt["error"] is not None for attempt in attempts):
            return "error"
        if decision.exhausted != "continue":
            return _STOP_REASONS[decision.exhausted]
        return "budget" if exhausted and len(attempts) < self.max_turns else "max_turns"

    def _explores(self, run_id: str, attempts: list[Attempt], usage: Usage, seconds: float) -> bool:
        """Whether to think on after the policy's end; by the run's id, so that a resumed run does not draw again."""
        drawn = int(hashlib.sha256(f"explore:{run_id}".encode()).hexdigest()[:8], 16) / 2**32
        return drawn < self.explore and len(attempts) < self.max_turns and not self.budget.exhausted(usage, seconds)

    def _run(
        self,
        state: DRRState,
        attempts: list[Attempt],
        decision: Decision,
        reason: StopReason,
        usage: Usage,
        seconds: float,
    ) -> Run:
        start = state["drr_start"]
        assignment = start["assignment"]
        run: Run = {
            "schema": RUN_SCHEMA,
            "run_id": start["run_id"],
            "started_at": start["started_at"],
            "question": start["question"],
            "context": start["context"],
            "answer": _answer(attempts, decision),
            "score": decision.confidence,
            "accepted": reason == "accepted",
            "stop_reason": reason,
            "choice": decision.choice,
            "attempts": attempts,
            "usage": usage,
            "seconds": round(seconds, 4),
            "reasoner": self.identity["reasoner"],
            "dm": self.identity["dm"],
            "prompts": self.identity["prompts"],
            "policy": self.identity["policy"],
            "origin": assignment.get("origin", "live"),
            "sample_id": assignment.get("sample_id"),
            "target": assignment.get("target"),
            "draw": assignment.get("draw"),
            "explore": self.explore,
            "max_turns": self.max_turns,
        }
        return run if self.certified is None else {**run, "certified": self.certified}


def _leaves_a_turn(state: DecideState) -> bool:
    """Whether one more turn fits into the caller's `recursion_limit`: to run over it would cost the answer."""
    remaining = state.get("drr_remaining_steps")
    return remaining is None or remaining > _STEPS_OF_A_TURN


def _as_judged(attempts: list[Attempt], ended: int | None) -> list[Attempt]:
    """What the policy saw when it ended the run, to the letter, so that it says the same; before that, everything."""
    return attempts if ended is None else [*attempts[:ended], {**attempts[ended], "verdict": None}]


def _answer(attempts: list[Attempt], decision: Decision) -> str | None:
    return None if decision.choice is None else attempts[decision.choice]["answer"]


def _with_known_confidence(decision: Decision) -> Decision:
    """A confidence that is not finite is unknown: nobody can compare it, and no log can hold it."""
    confidence = decision.confidence
    known = confidence is not None and math.isfinite(confidence)
    return decision if known else decision._replace(confidence=None)


def _with_verdict(attempts: list[Attempt], decision: Decision, reason: StopReason | None) -> list[Attempt]:
    """The newest attempt with how it ended the run, if it did; a review that limits brought about hides nothing."""
    by_limits = decision.outcome == "continue" and reason != "accepted"
    verdict: Verdict = "reject" if reason is None or by_limits else ENDS[reason]
    return [*attempts[:-1], {**attempts[-1], "verdict": verdict}]


def _chosen(state: DRRState, run: Run) -> list[AIMessage]:
    """The chosen reply as the Reasoner sent it; a prior attempt's message is gone, so its text stands in."""
    if run["choice"] is None:
        return []
    reply = state["drr_replies"][run["choice"]]
    return [reply if reply is not None else AIMessage(str(run["answer"]))]
