"""Decide: ask the policy, then think again or end with the chosen answer."""

import asyncio
import hashlib
import math
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.types import Command

from drr_agent.budget import Limits
from drr_agent.events import tell_decide
from drr_agent.nodes.rollout import shadow_verdict, would
from drr_agent.nodes.spending import Count, DecideState, Shortage, count, leaves_steps, tell_spending
from drr_agent.policy import ENDS, Decision, Policy, first_ended, settle
from drr_agent.runs import RunLog
from drr_agent.state import RUN_SCHEMA, Attempt, DRRState, Kept, Run, RunIdentity, Spent, StopReason, Verdict

Destination = Literal["think", "review", "__end__"]
_STOP_REASONS: dict[str, StopReason] = {"accept": "accepted", "stop": "stopped", "review": "review"}


@dataclass(frozen=True, kw_only=True)
class Decide:
    """Applies the policy, then the limits. The answer is the best-supported one, not the last."""

    policy: Policy
    max_turns: int
    limits: Limits
    identity: RunIdentity
    run_log: RunLog | None
    explore: float = 0.0
    """P(a run thinks on after the policy has ended it), for the log alone: what stood at that end stands."""
    certified: bool | None = None
    """Whether the DM's certificate holds for this setup; `None` where it has none, and then runs do not say."""
    is_last: bool = False
    """Whether nothing more may be tried, whatever the limits say."""
    reviews: bool = False
    """Whether a review node takes the runs that end for one: then it ends and logs them."""

    def first(self, state: DecideState) -> Literal["think", "decide"]:
        """Where a run begins: attempts that were already made are judged before another one is paid for, if it may."""
        return "decide" if state["drr_attempts"] or self._count(state).out_of is not None else "think"

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
        attempts, spending = state["drr_attempts"], self._count(state)
        ended = first_ended(attempts)
        decision = self._judge(attempts, ended)
        reason = self._stop_reason(decision, attempts, spending.out_of)
        judged = attempts if ended is not None else _with_verdict(attempts, decision, reason)
        if attempts and state["drr_start"].get("mode") == "shadow":
            judged = shadow_verdict(attempts, judged, reason)
            return self._shadow(state, judged, decision, reason, spending)
        if decision.outcome != "continue" and self._explores(state, spending.out_of):
            reason = None
        told = tell_spending(state, spending.meters)
        tell_decide(len(attempts), _answer(attempts, decision), decision.confidence, reason)
        if reason is None:
            return Command(goto="think", update={"drr_attempts": judged, "drr_told": told}), None
        run = self._run(state, judged, settle(self.policy, decision), reason, spending.run)
        if decision.outcome == "continue" and len(attempts) < self.max_turns and spending.out_of is not None:
            run["limit"], run["limit_scope"] = spending.out_of
        update = {"drr_attempts": judged, "drr_told": told}
        if self.reviews and reason == "review" and leaves_steps(state, 1):
            return Command(goto="review", update={**update, "drr_pending": run}), None
        chosen = chosen_message(state["drr_replies"], run)
        return Command(goto="__end__", update={**update, "drr": run, "messages": chosen}), run

    def _shadow(
        self,
        state: DecideState,
        judged: list[Attempt],
        decision: Decision,
        reason: StopReason | None,
        spending: Count,
    ) -> tuple[Command[Destination], Run]:
        """The end of a run in shadow: its first reply stands, read or not, and the run says what would have been."""
        told = tell_spending(state, spending.meters)
        end: StopReason = "shadow" if judged[0]["error"] is None else "error"
        tell_decide(len(judged), judged[0]["answer"], decision.confidence, end)
        choice = None if judged[0]["answer"] is None else 0
        confidence = decision.confidence if choice == decision.choice else None
        run = self._run(state, judged, Decision("stop", choice, confidence), end, spending.run)
        run["explore"], run["would"] = 0.0, would(decision, reason)
        kept = state["drr_replies"][0]
        messages = chosen_message(state["drr_replies"], run) if kept is None else [kept["message"]]
        update = {"drr_attempts": judged, "drr_told": told, "drr": run, "messages": messages}
        return Command(goto="__end__", update=update), run

    def _count(self, state: DecideState) -> Count:
        return count(state, self.limits, steps_of_review=int(self.reviews))

    def _judge(self, attempts: list[Attempt], ended: int | None) -> Decision:
        """What the policy says; of no attempts, which a limit may leave, there is nothing to say."""
        if not attempts:
            return Decision("continue", None, None)
        return with_known_confidence(self.policy.decide(as_judged(attempts, ended)))

    def _stop_reason(self, decision: Decision, attempts: list[Attempt], out_of: Shortage | None) -> StopReason | None:
        """Why the run ends here, or `None` to think again."""
        if decision.outcome != "continue":
            return decision.reason or _STOP_REASONS[decision.outcome]
        if len(attempts) < self.max_turns and out_of is None and not self.is_last:
            return None
        if attempts and all(attempt["error"] is not None for attempt in attempts):
            return "error"
        if decision.exhausted != "continue":
            return _STOP_REASONS[decision.exhausted]
        return "budget" if len(attempts) < self.max_turns else "max_turns"

    def _explores(self, state: DecideState, out_of: Shortage | None) -> bool:
        """Whether to think on after the policy's end; by the run's id, so that a resumed run does not draw again."""
        if out_of is not None or len(state["drr_attempts"]) >= self.max_turns:
            return False
        drawn = hashlib.sha256(f"explore:{state['drr_start']['run_id']}".encode()).hexdigest()[:8]
        return int(drawn, 16) / 2**32 < self.explore

    def _run(
        self,
        state: DRRState,
        attempts: list[Attempt],
        decision: Decision,
        reason: StopReason,
        spent: Spent,
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
            "usage": spent["usage"],
            "seconds": round(spent["seconds"], 4),
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
        if "mode" in start:
            run["mode"] = start["mode"]
        if self.certified is not None:
            run["certified"] = self.certified
        if self.limits.ask_for_usd:
            run["usd"] = self.limits.usd(spent["usage"])
        return run


def as_judged(attempts: list[Attempt], ended: int | None) -> list[Attempt]:
    """What the policy saw when it ended the run, to the letter, so that it says the same; before that, everything."""
    return attempts if ended is None else [*attempts[:ended], {**attempts[ended], "verdict": None}]


def _answer(attempts: list[Attempt], decision: Decision) -> str | None:
    return None if decision.choice is None else attempts[decision.choice]["answer"]


def with_known_confidence(decision: Decision) -> Decision:
    """A confidence that is not finite is unknown: nobody can compare it, and no log can hold it."""
    confidence = decision.confidence
    known = confidence is not None and math.isfinite(confidence)
    return decision._replace(confidence=float(confidence) if confidence is not None and known else None)


def _with_verdict(attempts: list[Attempt], decision: Decision, reason: StopReason | None) -> list[Attempt]:
    """The newest attempt with how it ended the run, if it did; a review that limits brought about hides nothing."""
    if not attempts:
        return attempts
    by_limits = decision.outcome == "continue" and reason != "accepted"
    verdict: Verdict = "reject" if reason is None or by_limits else ENDS[reason]
    return [*attempts[:-1], {**attempts[-1], "verdict": verdict}]


def chosen_message(replies: list[Kept | None], run: Run) -> list[AIMessage]:
    """The chosen reply as the Reasoner sent it; a prior attempt's message is gone, so its text stands in."""
    if run["choice"] is None:
        return []
    kept = replies[run["choice"]]
    return [AIMessage(str(run["answer"])) if kept is None else kept["message"]]
