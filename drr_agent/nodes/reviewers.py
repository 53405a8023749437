"""How each kind of reviewer is asked. Before a human's interrupt nothing is called: its node runs anew on resume."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple, NotRequired, Protocol, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphBubbleUp
from langgraph.types import interrupt

from drr_agent.grading import AUTO
from drr_agent.metadata import read_usage
from drr_agent.nodes.audience import with_audience
from drr_agent.nodes.score import ScoreUpdate
from drr_agent.nodes.spending import DecideState
from drr_agent.nodes.think import ThinkUpdate
from drr_agent.parsing import clean_text
from drr_agent.reasoners.resolve import describe_reasoner
from drr_agent.redaction import redact
from drr_agent.review import Escalate, Judge, read_reply, read_verdict, review_request
from drr_agent.state import Attempt, DRRState, Kept, Reviewed, Reviewer, ReviewVerdict, Run, Usage

_FAILED_CALL: Usage = {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0}


class ReviewState(DecideState):
    """What `review` reads: the graph's channels, and the run that waits for it."""

    drr_pending: NotRequired[Run | None]


class Found(NamedTuple):
    """What came of a review."""

    reviewed: Reviewed
    source: str | None = None
    """Of the label on the answer that stood before; `None` gives none."""
    seconds: float = 0.0
    """That a model took. A human's time is no cost of the run."""
    attempt: Attempt | None = None
    reply: Kept | None = None


class Asks(Protocol):
    """Asks one kind of reviewer."""

    def ask(self, state: ReviewState, config: RunnableConfig) -> Found:
        """Ask, and wait."""
        ...

    async def aask(self, state: ReviewState, config: RunnableConfig) -> Found:
        """The same without a thread."""
        ...


@dataclass(frozen=True, kw_only=True)
class AsksHuman:
    """By an interrupt; a reply that cannot be read asks once more, and says why."""

    def ask(self, state: ReviewState, config: RunnableConfig) -> Found:  # noqa: ARG002
        """Wait for a reply that can be read."""
        run = pending_run(state)
        reply = read_reply(interrupt(review_request(run)), answer=run["answer"])
        while isinstance(reply, str):
            reply = read_reply(interrupt(review_request(run, reply)), answer=run["answer"])
        if reply.answer is None:
            return Found({"by": "human", "verdict": reply.verdict}, "human")
        same = AUTO.grade(run["answer"], reply.answer)
        verdict: ReviewVerdict | None = None if same is None else "accept" if same == "correct" else "reject"
        return Found({"by": "human", "verdict": verdict, "answer": reply.answer}, "human")

    async def aask(self, state: ReviewState, config: RunnableConfig) -> Found:
        """As `ask`: an interrupt does not block."""
        return self.ask(state, config)


@dataclass(frozen=True, kw_only=True)
class AsksJudge:
    """By one call, whose tokens nobody hears. No error of it is worth the run's answer."""

    judge: Judge

    def ask(self, state: ReviewState, config: RunnableConfig) -> Found:
        """Call the model, if there is an answer to judge."""
        run, clock = pending_run(state), time.monotonic()
        attempt = chosen_attempt(run)
        if attempt is None:
            return not_asked("judge", "there is no answer to judge")
        heard = with_audience(config, "hidden", attempt["turn"])
        try:
            return self._found(self.judge.model.invoke([self.judge.ask(run, attempt)], heard), clock)
        except GraphBubbleUp:
            raise
        except Exception as error:  # foreign code
            return self._failed(error, clock)

    async def aask(self, state: ReviewState, config: RunnableConfig) -> Found:
        """As `ask`."""
        run, clock = pending_run(state), time.monotonic()
        attempt = chosen_attempt(run)
        if attempt is None:
            return not_asked("judge", "there is no answer to judge")
        heard = with_audience(config, "hidden", attempt["turn"])
        try:
            return self._found(await self.judge.model.ainvoke([self.judge.ask(run, attempt)], heard), clock)
        except GraphBubbleUp:
            raise
        except Exception as error:  # foreign code
            return self._failed(error, clock)

    def _found(self, reply: AIMessage, clock: float) -> Found:
        verdict = read_verdict(reply)
        reviewed: Reviewed = {"by": "judge", "verdict": verdict, "usage": read_usage(reply)}
        if verdict is None:
            reviewed["error"] = "the reply begins with neither yes nor no"
        return Found(reviewed, self.judge.source, time.monotonic() - clock)

    def _failed(self, error: Exception, clock: float) -> Found:
        said = clean_text(redact(f"{type(error).__name__}: {error}"))
        reviewed: Reviewed = {"by": "judge", "verdict": None, "error": said, "usage": _FAILED_CALL}
        return Found(reviewed, self.judge.source, time.monotonic() - clock)


@dataclass(frozen=True, kw_only=True)
class AsksReasoner:
    """By the nodes of the loop, made for the stronger Reasoner."""

    escalate: Escalate
    think: Runnable[DRRState, ThinkUpdate]
    score: Runnable[DRRState, ScoreUpdate]

    def ask(self, state: ReviewState, config: RunnableConfig) -> Found:
        """Think and score once more."""
        theirs, clock = self._as_theirs(state), time.monotonic()
        thought = self.think.invoke(_unread(theirs), config)
        scored = self.score.invoke(_with_draft(theirs, thought), config)
        return self._found(state, thought, scored, time.monotonic() - clock)

    async def aask(self, state: ReviewState, config: RunnableConfig) -> Found:
        """As `ask`."""
        theirs, clock = self._as_theirs(state), time.monotonic()
        thought = await self.think.ainvoke(_unread(theirs), config)
        scored = await self.score.ainvoke(_with_draft(theirs, thought), config)
        return self._found(state, thought, scored, time.monotonic() - clock)

    def _as_theirs(self, state: ReviewState) -> DRRState:
        """The state with the stronger Reasoner as the run's, so that the DM is told who speaks."""
        start = state["drr_start"]
        identity: Any = {**start.get("identity", {}), "reasoner": describe_reasoner(self.escalate.reasoner)}
        return cast("DRRState", {**state, "drr_start": {**start, "identity": identity}})

    def _found(self, state: ReviewState, thought: ThinkUpdate, scored: ScoreUpdate, seconds: float) -> Found:
        attempt: Attempt = {**scored["drr_attempts"][-1], "reasoner": describe_reasoner(self.escalate.reasoner)}
        stands = self.escalate.stands(attempt, chosen_attempt(pending_run(state)))
        reviewed: Reviewed = {"by": "escalation", "verdict": "accept" if stands else "reject"}
        if stands:
            reviewed["answer"] = str(attempt["answer"])
        if attempt["error"] is not None:
            reviewed = {"by": "escalation", "verdict": None, "error": attempt["error"]}
        return Found(reviewed, None, seconds, attempt, thought["drr_replies"][-1])


def pending_run(state: ReviewState) -> Run:
    """The run that waits for its review."""
    run = state.get("drr_pending")
    if run is None:
        raise RuntimeError("`review` ran without a run to review: the graph's edges were changed")
    return run


def chosen_attempt(run: Run) -> Attempt | None:
    """The attempt whose answer stands."""
    return None if run["choice"] is None else run["attempts"][run["choice"]]


def not_asked(by: Reviewer, why: str) -> Found:
    """Nobody reviewed."""
    return Found({"by": by, "verdict": None, "error": why})


def _unread(state: DRRState) -> DRRState:
    """The state without what other attempts say, so that the question is asked afresh, never as a nudge."""
    return {**state, "drr_attempts": [{**attempt, "rationale": ""} for attempt in state["drr_attempts"]]}


def _with_draft(state: DRRState, thought: ThinkUpdate) -> DRRState:
    return {**state, "drr_draft": thought["drr_draft"]}
