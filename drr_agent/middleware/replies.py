"""What a model call of an agent gave: a request for tools, or an answer to score."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from langchain.agents.middleware import ModelResponse
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic_core import to_jsonable_python

from drr_agent.middleware.state import Said
from drr_agent.parsing import Parser, Reply, clean_text, split_reasoning


def reply_of(response: ModelResponse[Any]) -> AIMessage | None:
    """The model's own message in a response; beside it there may be the tool message of a structured answer."""
    replies = (message for message in reversed(response.result) if isinstance(message, AIMessage))
    return next(replies, None)


def asks_for_tools(response: ModelResponse[Any], reply: AIMessage) -> bool:
    """Whether the agent goes on by itself: tools are to be called, or a structured answer did not fit its schema."""
    answered = {message.tool_call_id for message in response.result if isinstance(message, ToolMessage)}
    waits = any(call["id"] not in answered for call in reply.tool_calls)
    return waits or (bool(reply.tool_calls) and response.structured_response is None)


def keep(response: ModelResponse[Any]) -> Said:
    """A response, to be given again; every message has an id, by which the thread knows it."""
    for message in response.result:
        if message.id is None:
            message.id = str(uuid.uuid4())
    return {"messages": list(response.result), "structured": response.structured_response}


def give(said: Said, *before: BaseMessage) -> ModelResponse[Any]:
    """What was kept as a response, after other messages."""
    return ModelResponse(result=[*before, *said["messages"]], structured_response=said["structured"])


def read_reply(response: ModelResponse[Any], message: AIMessage, parser: Parser, *, is_structured: bool) -> Reply:
    """A final answer in parts.

    Args:
        response: what the model call gave.
        message: the model's message in it.
        parser: reads an answer in words.
        is_structured: whether the agent asked for a structured answer; words are none then.
    """
    if not is_structured:
        return parser.parse(message)
    reasoning, text = split_reasoning(message)
    if response.structured_response is None:
        return Reply(_lines(reasoning, text), None, message)
    fields = to_jsonable_python(response.structured_response, fallback=str)
    answer, rationale = _split(fields)
    beside = text if message.tool_calls else ""  # else the text is the answer's JSON
    return Reply(_lines(reasoning, beside, rationale), clean_text(answer).strip() or None, message)


def _split(fields: Any) -> tuple[str, str]:
    """The `answer` and the `rationale` of a schema that has them, as the `structured` parser reads them; else all."""
    if not isinstance(fields, Mapping) or fields.get("answer") is None:
        return _as_text(fields), ""
    return _as_text(fields["answer"]), _as_text(fields.get("rationale") or "")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines(*parts: str) -> str:
    return clean_text("\n".join(part.strip() for part in parts if part.strip()))
