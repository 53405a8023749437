"""Review: a run that its policy ended for review gets its verdict, and ends here."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.errors import GraphBubbleUp

from drr_agent.budget import Limits
from drr_agent.events import tell_review
from drr_agent.feedback import Fresh
from drr_agent.nodes.decide import as_judged, chosen_message, with_known_confidence
from drr_agent.nodes.reviewers import (
    Asks,
    AsksHuman,
    AsksJudge,
    AsksReasoner,
    Found,
    ReviewState,
    chosen_attempt,
    not_asked,
    pending_run,
)
from drr_agent.nodes.score import ScoreNode
from drr_agent.nodes.spending import count
from drr_agent.nodes.think import Think
from drr_agent.policy import Policy, first_ended, settle
from drr_agent.prices import Price, find_prices
from drr_agent.reasoners.resolve import describe_reasoner
from drr_agent.review import Escalate, Human, Judge, Review
from drr_agent.runs import RunLog
from drr_agent.state import Attempt, Kept, Label, Reviewer, ReviewVerdict, Run, RunLabel, Usage, add_usage

_BY: dict[type[Review], Reviewer] = {Human: "human", Judge: "judge", Escalate: "escalation"}
_VALUES: dict[ReviewVerdict | None, Label | None] = {"accept": "correct", "reject": "incorrect", None: None}


class ReviewUpdate(TypedDict):
    """What `review` writes."""

    drr_pending: None
    drr_attempts: list[Attempt]
    drr_replies: list[Kept | None]
    drr: Run
    messages: list[AIMessage]


@dataclass(frozen=True, kw_only=True)
class ReviewNode:
    """Asks the reviewer, and ends the run with what it said."""

    by: Reviewer
    asks: Asks
    policy: Policy
    limits: Limits
    price: Price | None
    """Of the reviewer's tokens; `None` where nobody knows it, or nobody asks."""
    run_log: RunLog | None

    def as_node(self) -> Runnable[ReviewState, ReviewUpdate]:
        """The node, for `invoke` and `ainvoke` alike."""

        def review(state: ReviewState, config: RunnableConfig) -> ReviewUpdate:
            update = self._end(state, self._unasked(state) or self.asks.ask(state, config))
            if self.run_log is not None:
                self.run_log.append(update["drr"])
            return update

        async def areview(state: ReviewState, config: RunnableConfig) -> ReviewUpdate:
            update = self._end(state, self._unasked(state) or await self.asks.aask(state, config))
            if self.run_log is not None:
                await asyncio.to_thread(self.run_log.append, update["drr"])
            return update

        return RunnableLambda(review, areview, name="review")

    def _unasked(self, state: ReviewState) -> Found | None:
        """A model is not asked where a limit is reached; a human costs nothing that is counted."""
        if self.by == "human":
            return None
        reached = [meter for meter in count(state, self.limits).meters if meter.is_reached]
        return not_asked(self.by, f"the {reached[0].scope}'s limit is reached: {reached[0].limit}") if reached else None

    def _end(self, state: ReviewState, found: Found) -> ReviewUpdate:
        """The run as it ends."""
        before, replies = pending_run(state), state["drr_replies"]
        run = _judged(before, found) if found.attempt is None else self._escalated(before, found, found.attempt)
        run = self._counted({**run, "reviewed": found.reviewed}, before, found)
        if run["accepted"] and "certified" in run:
            run["certified"] = False  # what was certified is the policy's accepts
        if found.attempt is not None:
            replies = [*replies, found.reply]
        tell_review(len(run["attempts"]), found.reviewed)
        return {
            "drr_pending": None,
            "drr_attempts": run["attempts"],
            "drr_replies": replies,
            "drr": run,
            "messages": _message(run, replies),
        }

    def _escalated(self, run: Run, found: Found, attempt: Attempt) -> Run:
        """The run with one more attempt; where it stands, the policy judges it with those that it had ended at."""
        attempts = run["attempts"]
        longer: Run = {**run, "attempts": [*attempts, attempt]}
        if found.reviewed["verdict"] != "accept":
            return longer
        ended = first_ended(attempts)
        seen = as_judged(attempts if ended is None else attempts[: ended + 1], ended)
        decision = settle(self.policy, with_known_confidence(self.policy.decide([*seen, attempt])))
        best = decision.choice == len(seen)
        longer.update({"choice": len(attempts), "answer": attempt["answer"]})
        longer["score"] = decision.confidence if best else attempt["score"]
        longer["accepted"] = best and decision.outcome == "accept"
        return longer

    def _counted(self, run: Run, before: Run, found: Found) -> Run:
        """The run with what the review cost."""
        asked: list[Usage] = [] if found.attempt is None else [found.attempt["usage"]]
        asked += [found.reviewed["usage"]] if "usage" in found.reviewed else []
        run["usage"] = add_usage([before["usage"], *asked])
        run["seconds"] = round(before["seconds"] + found.seconds, 4)
        if "usd" in before and asked:
            extra = None if self.price is None else self.price.of(add_usage(asked))
            known = before["usd"] is not None and extra is not None
            run["usd"] = (before["usd"] or 0.0) + (extra or 0.0) if known else None
        return run


def create_review(review: Review, think: Think, score: ScoreNode, *, policy: Policy, limits: Limits) -> ReviewNode:
    """The node for what the user wired; an escalation thinks and scores as the loop does, and no error ends it."""
    asks: Asks = AsksHuman()
    model: BaseChatModel | None = None
    if isinstance(review, Judge):
        asks, model = AsksJudge(judge=review), review.model
    if isinstance(review, Escalate):
        model = review.reasoner
        stronger = replace(think, reasoner=model, feedback=Fresh(), is_failure=_is_error)
        scoring = replace(score, failures=(Exception,), run_log=None)
        asks = AsksReasoner(escalate=review, think=stronger.as_node(), score=scoring.as_node())
    name = None if model is None else describe_reasoner(model)
    price = find_prices([name]).by_reasoner[name] if name is not None and limits.ask_for_usd else None
    by = _BY[type(review)]
    return ReviewNode(by=by, asks=asks, policy=policy, limits=limits, price=price, run_log=score.run_log)


def _is_error(error: Exception) -> bool:
    """Whether it is one, and no interrupt of a Reasoner that is a graph."""
    return not isinstance(error, GraphBubbleUp)


def _judged(run: Run, found: Found) -> Run:
    """The run with a verdict on its answer, or another answer; a rejected one is withheld."""
    verdict, given = found.reviewed["verdict"], found.reviewed.get("answer")
    judged: Run = {**run, "accepted": verdict == "accept" or given is not None}
    if verdict == "reject" or given is not None:
        kept = run["choice"] if verdict == "accept" else None
        judged.update({"answer": given, "choice": kept, "score": None})
    attempt = chosen_attempt(run)
    if found.source is not None and attempt is not None:
        judged["labels"] = [*run.get("labels", []), _label(attempt, verdict, found.source)]
    return judged


def _label(attempt: Attempt, verdict: ReviewVerdict | None, source: str) -> RunLabel:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"turn": attempt["turn"], "value": _VALUES[verdict], "source": source, "at": now}


def _message(run: Run, replies: list[Kept | None]) -> list[AIMessage]:
    """A human's answer as a message, or the chosen reply."""
    reviewed: Any = run.get("reviewed", {})
    if reviewed["by"] == "human" and "answer" in reviewed:
        return [AIMessage(reviewed["answer"])]
    return chosen_message(replies, run)
