"""The loop inside an agent: each try of its model that ends in an answer is an attempt.

Score and decide are the graph's own nodes. What differs is where an attempt comes from: a model call through the
agent's other middleware, and a try may ask for tools before it answers.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain.agents.middleware import ExtendedModelResponse, ModelRequest, ModelResponse
from langchain_core.messages import BaseMessage, RemoveMessage
from langchain_core.runnables import Runnable
from langgraph.config import get_stream_writer
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from drr_agent.budget import Budget
from drr_agent.conversation import last_human
from drr_agent.drafts import failed_draft, read_draft
from drr_agent.metadata import read_usage
from drr_agent.middleware.asking import Asking, without_drafts
from drr_agent.middleware.effects import Effects, ModelCall, Step
from drr_agent.middleware.replies import asks_for_tools, give, keep, read_reply, reply_of
from drr_agent.middleware.state import OpenRun, Phase, Said
from drr_agent.nodes import Begin
from drr_agent.parsing import Parser
from drr_agent.state import Draft, RunIdentity

Drafts = Literal["hidden", "visible"]

_STEPS_TO_SPARE = 50
"""Where the caller's `recursion_limit` leaves fewer, tries that are seen are made without steps of the graph, too."""
_STEPS_OF_A_ROUND = 8
"""Tools, model, and as many nodes of middleware as agents usually have: with fewer left, no further try gets tools."""


@dataclass(frozen=True, kw_only=True)
class Deciders:
    """`decide` for a run of this identity."""

    on: Runnable[Any, Any]
    """Goes on while the policy and the limits let it."""
    last: Runnable[Any, Any]
    """Ends the run with what there is."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Written once for threads and event loops: it yields what it waits for."""

    drafts: Drafts
    rounds: bool
    """Whether somebody leads the agent's graph back to the model."""
    asking: Asking
    parser: Parser
    budget: Budget
    score: Runnable[Any, Any]
    identify: Callable[[Any], RunIdentity]
    """Of a chat model."""
    deciders: Callable[[RunIdentity], Deciders]

    def call_model(self, request: ModelRequest[Any], handler: Any) -> Effects[Any]:
        """The model node: one try or, where drafts are hidden, as many as it takes."""
        run = self._begin_or_resume(request)
        if run is None:
            return (yield ModelCall(request, handler, hidden=False, seconds_left=None))
        thread: list[BaseMessage] = []
        while run.ended is None:
            if self._is_spent(run):
                yield from self._end(run, "the budget ended it before it gave an answer")
                break
            response = yield from self._try(run, request, handler)
            if response is not None:
                return _respond(run, response, "open", before=thread)
            thread += self._shown(run)
            if self._goes_round(request, thread) and run.ended is None:
                return _respond(run, ModelResponse(result=list(thread)), "again")
        return self._conclude(run, request, thread)

    def finish(self, state: Mapping[str, Any]) -> Effects[list[Command[Any]] | None]:
        """The end of the agent, whoever brought it about: a limit's message is never the answer where there is one."""
        run = OpenRun.of(state)
        if run is None or not run.has_answer:
            return None
        yield from self._end(run, "the agent ended before it gave an answer")
        chosen = run.chosen
        if chosen is None:
            return [Command(update=run.update("ended"))]
        said = {"messages": chosen["messages"]}
        structured = {} if chosen["structured"] is None else {"structured_response": chosen["structured"]}
        removed = _removals(chosen, state["messages"])
        return [Command(update={**run.update("ended"), "messages": removed}), Command(update={**said, **structured})]

    def _begin_or_resume(self, request: ModelRequest[Any]) -> OpenRun | None:
        """The run that is going on, else a new one; none where nobody asked anything."""
        run = OpenRun.of(request.state)
        messages = request.state["messages"]
        if run is not None or last_human(messages) is None:
            return run
        begun = Begin(identity=self.identify(request.model)).begin({"messages": messages})  # type: ignore[typeddict-item]
        return OpenRun(start=begun["drr_start"], is_new=True)

    def _is_spent(self, run: OpenRun) -> bool:
        """Whether the budget ends a try that is between two calls; the agent's first try is its own affair."""
        return run.has_answer and self.budget.exhausted(run.usage, run.seconds)

    def _goes_round(self, request: ModelRequest[Any], thread: list[BaseMessage]) -> bool:
        """Whether the next try is a round of the agent's own graph, for all to see and to checkpoint."""
        return self.rounds and bool(thread) and _steps_left(request) >= _STEPS_TO_SPARE

    def _try(self, run: OpenRun, request: ModelRequest[Any], handler: Any) -> Effects[ModelResponse[Any] | None]:
        """One model call. An answer or a failure is judged; a request for tools is given back."""
        kind, began = self.asking.kind(run), time.monotonic()
        if run.steps is None:
            get_stream_writer()({"type": "drr.think", "turn": len(run.attempts) + 1, "feedback": kind})
        seconds = self.budget.max_seconds
        left = max(0.0, seconds - run.seconds) if run.has_answer and seconds is not None else None
        asked = self.asking.request(run, request)
        try:
            response = yield ModelCall(asked, handler, hidden=self.drafts == "hidden", seconds_left=left)
        except GraphBubbleUp:  # an interrupt of somebody further in
            raise
        except Exception as error:
            if not run.has_answer:  # as without us: the agent's retries, fallbacks and caller know what to do
                raise
            spent = time.monotonic() - began  # no further try is worth the answer that is there
            failed = failed_draft(f"{type(error).__name__}: {error}", feedback=kind, seconds=spent)
            yield from self._judge(run, failed, None)
            return None
        return (yield from self._take(run, request, response, time.monotonic() - began))

    def _take(
        self, run: OpenRun, request: ModelRequest[Any], response: ModelResponse[Any], seconds: float
    ) -> Effects[ModelResponse[Any] | None]:
        """A response: judged if it is an answer, given back if it is not."""
        message = reply_of(response)
        if message is None:
            return response
        if asks_for_tools(response, message):
            run.add_step(read_usage(message), seconds, before=without_drafts(run, request.messages))
            if not run.has_answer or _steps_left(request) >= _STEPS_OF_A_ROUND:
                return response
            yield from self._end(run, "the caller's `recursion_limit` left no steps for its tools")
            return None
        reply = read_reply(response, message, self.parser, is_structured=request.response_format is not None)
        draft = read_draft(reply, message, feedback=self.asking.kind(run), seconds=seconds)
        yield from self._judge(run, draft, keep(response))
        return None

    def _judge(self, run: OpenRun, draft: Draft, said: Said | None, *, last: bool = False) -> Effects[None]:
        """Score and decide: the draft is an attempt, and perhaps the run has ended."""
        state = {"drr_start": run.start, "drr_draft": run.with_steps(draft), "drr_attempts": run.attempts}
        scored = yield Step(self.score, state)
        run.attempts, run.steps = scored["drr_attempts"], None
        run.said = [*run.said, said]
        yield from self._decide(run, last=last)

    def _decide(self, run: OpenRun, *, last: bool) -> Effects[None]:
        identity = run.start.get("identity")
        if identity is None:
            raise RuntimeError("a run began without an identity: the agent's state was changed")
        deciders = self.deciders(identity)
        replies = [None] * len(run.attempts)  # the messages that the agent gets are ours to choose
        state = {"drr_start": run.start, "drr_attempts": run.attempts, "drr_replies": replies}
        command = yield Step(deciders.last if last else deciders.on, state)
        run.attempts = command.update["drr_attempts"]
        run.ended = command.update.get("drr")

    def _end(self, run: OpenRun, why: str) -> Effects[None]:
        """The run with what there is; a try that was paid for and gave no answer is a failed attempt."""
        if run.steps is None:
            yield from self._decide(run, last=True)
            return
        draft = failed_draft(why, feedback=self.asking.kind(run), seconds=0.0)
        draft["usage"] = {**draft["usage"], "calls": 0, "unmetered_calls": 0}  # no call was under way
        yield from self._judge(run, draft, None, last=True)

    def _shown(self, run: OpenRun) -> list[BaseMessage]:
        """What the newest attempt adds to the thread, where drafts are seen."""
        newest = run.said[-1]
        if self.drafts == "hidden" or newest is None:
            return []
        note = self.asking.note(run) if run.ended is None else []
        return [*newest["messages"], *note]

    def _conclude(
        self, run: OpenRun, request: ModelRequest[Any], thread: list[BaseMessage]
    ) -> ExtendedModelResponse[Any]:
        """The chosen reply at the end of the thread, as the model gave it."""
        chosen = run.chosen
        if chosen is None:
            raise RuntimeError("a run ended without a reply: a try that fails first is the agent's own")
        ids = {message.id for message in chosen["messages"]}
        before = [message for message in thread if message.id not in ids]
        removed = _removals(chosen, request.state["messages"])
        if not removed:
            return _respond(run, give(chosen), "ended", before=before)
        response = ModelResponse(result=[*removed, *before], structured_response=chosen["structured"])
        return _respond(run, response, "ended", messages=chosen["messages"])


def _respond(
    run: OpenRun,
    response: ModelResponse[Any],
    phase: Phase,
    *,
    before: list[BaseMessage] | None = None,
    messages: list[BaseMessage] | None = None,
) -> ExtendedModelResponse[Any]:
    """A response of the model node with what it changes of the run; `messages` are added once `response` is."""
    if before:
        response = ModelResponse(result=[*before, *response.result], structured_response=response.structured_response)
    update = run.update(phase)
    if messages:
        update["messages"] = messages
    return ExtendedModelResponse(model_response=response, command=Command(update=update))


def _steps_left(request: ModelRequest[Any]) -> int:
    """Of the caller's `recursion_limit`."""
    steps: Any = request.state.get("drr_remaining_steps", _STEPS_TO_SPARE)
    return int(steps)


def _removals(said: Said, thread: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What takes a reply out of a thread that it is in; it is put at the end again, and keeps its id."""
    there = {message.id for message in thread}
    return [RemoveMessage(id=str(message.id)) for message in said["messages"] if message.id in there]
