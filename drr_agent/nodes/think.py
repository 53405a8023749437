"""Think: ask the Reasoner, read its reply into a draft."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.config import get_stream_writer

from drr_agent.feedback import Feedback, next_ask
from drr_agent.parsing import Parser, read_logprobs, read_seconds, read_truncated, read_usage
from drr_agent.prompts import Prompts
from drr_agent.state import Draft, DRRState, FeedbackKind


class ThinkUpdate(TypedDict):
    """What `think` writes."""

    drr_draft: Draft
    drr_replies: list[AIMessage | None]


class _Call(NamedTuple):
    """One think call, about to be made."""

    messages: list[AnyMessage]
    kind: FeedbackKind
    config: RunnableConfig
    replies: list[AIMessage | None]
    clock: float


@dataclass(frozen=True, kw_only=True)
class Think:
    """Makes one Reasoner call. The sync and the async form differ only in how they wait."""

    reasoner: BaseChatModel
    parser: Parser
    feedback: Feedback
    prompts: Prompts
    failures: tuple[type[Exception], ...]
    """Errors of the Reasoner that cost a turn instead of ending the run."""

    def as_node(self) -> Runnable[DRRState, ThinkUpdate]:
        """The node, for `invoke` and `ainvoke` alike."""
        caller = self.parser.prepare(self.reasoner)

        def think(state: DRRState, config: RunnableConfig) -> ThinkUpdate:
            call = self._prepare(state, config)
            try:
                output = caller.invoke(call.messages, call.config)
            except self.failures as error:
                return self._failed(call, error)
            return self._read(call, output)

        async def athink(state: DRRState, config: RunnableConfig) -> ThinkUpdate:
            call = self._prepare(state, config)
            try:
                output = await caller.ainvoke(call.messages, call.config)
            except self.failures as error:
                return self._failed(call, error)
            return self._read(call, output)

        return RunnableLambda(think, athink, name="think")

    def _prepare(self, state: DRRState, config: RunnableConfig) -> _Call:
        start, attempts = state["drr_start"], state["drr_attempts"]
        ask = next_ask(self.feedback, self.prompts, start["question_message"], attempts)
        turn = len(attempts) + 1
        get_stream_writer()({"type": "drr.think", "turn": turn, "feedback": ask.kind})
        labelled: RunnableConfig = {**config, "metadata": {**config.get("metadata", {}), "drr_turn": turn}}
        messages = [*start["context_messages"], *ask.messages]
        return _Call(messages, ask.kind, labelled, state["drr_replies"], time.monotonic())

    def _read(self, call: _Call, output: Any) -> ThinkUpdate:
        reply = self.parser.parse(output)
        raw: AIMessage = output["raw"] if isinstance(output, dict) else output
        draft: Draft = {
            "rationale": reply.rationale,
            "answer": reply.answer,
            "truncated": read_truncated(raw),
            "logprobs": read_logprobs(raw),
            "feedback": call.kind,
            "error": None,
            "usage": read_usage(raw),
            "seconds": round(time.monotonic() - call.clock, 4) if (first := read_seconds(raw)) is None else first,
        }
        return {"drr_draft": draft, "drr_replies": [*call.replies, reply.message]}

    def _failed(self, call: _Call, error: Exception) -> ThinkUpdate:
        draft: Draft = {
            "rationale": "",
            "answer": None,
            "truncated": None,
            "logprobs": None,
            "feedback": call.kind,
            "error": f"{type(error).__name__}: {error}",
            "usage": {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0},
            "seconds": round(time.monotonic() - call.clock, 4),
        }
        return {"drr_draft": draft, "drr_replies": [*call.replies, None]}
