"""Who hears a draft while the Reasoner writes it: by LangGraph's `messages` stream, by events of ours, or nobody."""

import json
from collections.abc import Callable
from typing import Any, Literal, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.constants import TAG_NOSTREAM

from drr_agent.events import DraftEvent

Drafts = Literal["hidden", "live", "channel"]
"""`hidden`: nobody, and the chosen answer comes as one message. `live`: whoever streams messages. `channel`: whoever
streams custom events."""

T = TypeVar("T")


def with_audience(config: RunnableConfig, drafts: Drafts, turn: int) -> RunnableConfig:
    """The config of a think call whose drafts are for this audience alone.

    A tag by itself would not do: a model that is listened to streams, tagged or not, and some servers then report no
    tokens; and a Reasoner that is a graph gives its messages away when its nodes end. So the listeners are left out.
    """
    if drafts == "live":
        return config
    callbacks = _without_listeners(config.get("callbacks"))
    if drafts == "channel":
        callbacks = _with(callbacks, _DraftTeller(turn))
    return {**config, "callbacks": callbacks, "tags": [*(config.get("tags") or []), TAG_NOSTREAM]}


def _listens(handler: BaseCallbackHandler) -> bool:
    """Whether a handler hears each token, by the mark at which chat models know that they are to stream."""
    return hasattr(handler, "tap_output_iter")


def _without_listeners(callbacks: list[BaseCallbackHandler] | BaseCallbackManager | None) -> Any:
    if not isinstance(callbacks, BaseCallbackManager):
        return [handler for handler in callbacks or [] if not _listens(handler)]
    quiet = callbacks.copy()
    for handler in [*quiet.handlers]:
        if _listens(handler):
            quiet.remove_handler(handler)
    return quiet


def _with(callbacks: Any, handler: BaseCallbackHandler) -> Any:
    if not isinstance(callbacks, BaseCallbackManager):
        return [*callbacks, handler]
    callbacks.add_handler(handler)
    return callbacks


class _DraftTeller(BaseCallbackHandler):
    """Tells each piece of a draft as an event, and a whole one where the model does not stream."""

    run_inline = True  # in the order of the tokens

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.write: Callable[[Any], None] = get_stream_writer()
        self.streamed: set[UUID] = set()

    def tap_output_iter(self, run_id: UUID, output: T) -> T:  # noqa: ARG002
        """By having it, chat models know that they are to stream."""
        return output

    def tap_output_aiter(self, run_id: UUID, output: T) -> T:  # noqa: ARG002
        """As `tap_output_iter`."""
        return output

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **_: Any) -> None:
        """A piece of a draft."""
        self.streamed.add(run_id)
        self._tell(_text(chunk.message) if isinstance(chunk, ChatGenerationChunk) else str(token))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """A draft of a model that gave no pieces."""
        if run_id in self.streamed or not response.generations or not response.generations[0]:
            return
        first = response.generations[0][0]
        self._tell(_text(first.message) if isinstance(first, ChatGeneration) else first.text)

    def _tell(self, text: str) -> None:
        if text:
            event: DraftEvent = {"type": "drr.draft", "turn": self.turn, "text": text}
            self.write(event)


def _text(message: BaseMessage) -> str:
    """What a message, or a piece of one, says; a structured answer may stand in the arguments of a tool call."""
    if isinstance(message, AIMessageChunk):
        return message.text + "".join(call["args"] or "" for call in message.tool_call_chunks)
    calls = getattr(message, "tool_calls", ())
    return message.text + "".join(json.dumps(call["args"], ensure_ascii=False) for call in calls)
