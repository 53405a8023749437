"""Think: ask the Reasoner, read its reply into a draft."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from drr_agent.drafts import failed_draft, read_draft
from drr_agent.events import tell_think
from drr_agent.feedback import Feedback, next_ask
from drr_agent.nodes.audience import Drafts, with_audience
from drr_agent.parsing import Parser, without_tool_calls
from drr_agent.policy import first_ended
from drr_agent.prompts import Prompts
from drr_agent.state import Draft, DRRState, FeedbackKind, Kept


class ThinkUpdate(TypedDict):
    """What `think` writes."""

    drr_draft: Draft
    drr_replies: list[Kept | None]


class _Call(NamedTuple):
    """One think call, about to be made."""

    messages: list[AnyMessage]
    kind: FeedbackKind
    config: RunnableConfig
    replies: list[Kept | None]
    clock: float
    explores: bool
    """Whether the policy has ended the run, which only explores: then no error is worth its answer."""
    seconds_left: float | None
    """Of the run's budget; `None` without a limit."""


@dataclass(frozen=True, kw_only=True)
class Think:
    """Makes one Reasoner call. The sync and the async form differ only in how they wait."""

    reasoner: BaseChatModel
    parser: Parser
    feedback: Feedback
    prompts: Prompts
    is_failure: Callable[[Exception], bool]
    """Whether an error of the Reasoner costs a turn instead of ending the run."""
    max_seconds: float | None = None
    """The run's budget: the async form waits no longer. A thread that waits for a reply cannot be called back."""
    drafts: Drafts = "hidden"
    """Who hears a draft while it is written."""

    def as_node(self) -> Runnable[DRRState, ThinkUpdate]:
        """The node, for `invoke` and `ainvoke` alike."""
        caller = self.parser.prepare(self.reasoner)

        def think(state: DRRState, config: RunnableConfig) -> ThinkUpdate:
            call = self._prepare(state, config)
            try:
                return self._read(call, caller.invoke(call.messages, call.config))
            except Exception as error:  # `_failed` raises again what is not to cost a turn
                return self._failed(call, error)

        async def athink(state: DRRState, config: RunnableConfig) -> ThinkUpdate:
            call = self._prepare(state, config)
            limit = asyncio.timeout(call.seconds_left)
            try:
                async with limit:
                    output = await caller.ainvoke(call.messages, call.config)
                return self._read(call, output)
            except Exception as error:
                return self._failed(call, error, out_of_time=limit.expired())

        return RunnableLambda(think, athink, name="think")

    def _prepare(self, state: DRRState, config: RunnableConfig) -> _Call:
        start, attempts = state["drr_start"], state["drr_attempts"]
        ask = next_ask(self.feedback, self.prompts, start["question_message"], attempts)
        turn = len(attempts) + 1
        tell_think(turn, ask.kind)
        labelled: RunnableConfig = {**config, "metadata": {**config.get("metadata", {}), "drr_turn": turn}}
        heard = with_audience(labelled, self.drafts, turn)
        messages = [*start["context_messages"], *ask.messages]
        spent = time.time() - start["clock"]
        left = None if self.max_seconds is None else max(0.0, self.max_seconds - spent)
        explores = first_ended(attempts) is not None
        return _Call(messages, ask.kind, heard, state["drr_replies"], time.monotonic(), explores, left)

    def _read(self, call: _Call, output: Any) -> ThinkUpdate:
        reply = self.parser.parse(output)
        raw: AIMessage = output["raw"] if isinstance(output, dict) else output
        draft = read_draft(reply, raw, feedback=call.kind, seconds=time.monotonic() - call.clock)
        return {"drr_draft": draft, "drr_replies": [*call.replies, {"message": without_tool_calls(reply.message)}]}

    def _failed(self, call: _Call, error: Exception, *, out_of_time: bool = False) -> ThinkUpdate:
        if out_of_time:
            error = TimeoutError(f"no reply within the run's {self.max_seconds} seconds")
        elif not call.explores and not self.is_failure(error):
            raise error
        said = f"{type(error).__name__}: {error}"
        draft = failed_draft(said, feedback=call.kind, seconds=time.monotonic() - call.clock)
        return {"drr_draft": draft, "drr_replies": [*call.replies, None]}
