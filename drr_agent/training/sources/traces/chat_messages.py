"""Messages in the plain JSON forms of other people's traces, as LangChain messages.

Roles are looked up in a fixed table, also where LangChain wrote the name of a class: nothing that data names is ever
imported. What is kept of a message is its text, its reasoning, whether it asks for tools and, of a reply, what it cost
and why it ended.

| form | looks like |
|---|---|
| chat | `{"role": "user", "content": "…"}`, or content in parts with `text`, `thinking`, `tool_use` … |
| GenAI conventions, Gemini | `{"role": "user", "parts": [{"type": "text", "content": "…"}]}` |
| LangChain | `{"type": "human", "content": "…"}`, `{"type": "human", "data": {…}}`, `["user", "…"]` |
| LangChain, serialized | `{"lc": 1, "type": "constructor", "id": […, "HumanMessage"], "kwargs": {…}}` |
| OpenInference | `{"message": {…}}` around any |
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata

from drr_agent.columns import CellError, to_int
from drr_agent.parsing import clean_text

_ROLES = {
    **dict.fromkeys(("user", "human"), "human"),
    **dict.fromkeys(("assistant", "ai", "model"), "ai"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function"), "tool"),
}
_PLAIN: dict[str, type[HumanMessage | SystemMessage]] = {"human": HumanMessage, "system": SystemMessage}
_TEXT_PARTS = {"text", "input_text", "output_text"}
_REASONING_PARTS = {"thinking", "reasoning", "reasoning_content"}
_TOOL_PARTS = {"tool_call", "tool_use", "function_call", "tool_call_chunk", "server_tool_use", "server_tool_call"}
_RESULT_PARTS = {"tool_call_response", "tool_result", "function_call_output"}
_RAW_CALLS = ("tool_calls", "function_call")
_INPUT_TOKENS = (
    *("input_tokens", "prompt_tokens", "input", "prompt", "inputTokens", "promptTokens"),
    *("promptTokenCount", "prompt_token_count", "inputUsage", "input_usage"),
)
_OUTPUT_TOKENS = (
    *("output_tokens", "completion_tokens", "output", "completion", "outputTokens", "completionTokens"),
    *("candidatesTokenCount", "candidates_token_count", "outputUsage", "output_usage"),
)
FINISH_KEYS = ("finish_reason", "stop_reason", "finishReason", "stopReason", "done_reason")


def read_message(value: Any) -> BaseMessage | None:
    """One message; `None` for what has no form in the table above."""
    if isinstance(value, list | tuple):
        pair = len(value) == 2 and all(isinstance(item, str) for item in value)
        return _message(_known_role(value[0]), {"content": value[1]}) if pair else None
    if not isinstance(value, Mapping):
        return None
    name, kwargs, data = value.get("id"), value.get("kwargs"), value.get("data")
    if value.get("type") == "constructor" and isinstance(name, list) and name and isinstance(kwargs, Mapping):
        is_message = isinstance(name[-1], str) and name[-1].removesuffix("Chunk").endswith("Message")
        return _message(_known_role(name[-1]) or _role(kwargs.get("role")), kwargs) if is_message else None
    if isinstance(data, Mapping) and "content" in data:
        return _message(_known_role(value.get("type")) or _role(data.get("role")), data)
    if "role" not in value and isinstance(value.get("message"), Mapping):
        return read_message(value["message"])
    by_type = _known_role(value.get("type")) if "content" in value else None  # plenty else has a type
    return _message(_role(value.get("role")) or by_type, value)


def read_sequence(values: Any) -> list[BaseMessage] | None:
    """A conversation; `None` for what is none. Items of other types between messages, such as calls, are left out."""
    if not isinstance(values, list | tuple) or not values:
        return None
    alone = read_message(values)
    if alone is not None:
        return [alone]
    if len(values) == 1 and isinstance(values[0], list) and read_message(values[0]) is None:
        return read_sequence(values[0])  # a batch of one
    messages: list[BaseMessage] = []
    for value in values:
        message = HumanMessage(clean_text(value)) if isinstance(value, str) else read_message(value)
        if message is not None:
            messages.append(message)
        elif not isinstance(value, Mapping) or "role" in value or not isinstance(value.get("type"), str):
            return None
    return messages or None


def make_reply(text: str, *, fields: Mapping[str, Any] | None = None) -> AIMessage:
    """A reply of this text, with what its record says of it."""
    return _reply(clean_text(text), "", {} if fields is None else fields)


def complete_reply(reply: AIMessage, *, usage: UsageMetadata | None, finish: Any, logprobs: Any = None) -> AIMessage:
    """The reply with what is known of it from elsewhere, where it does not say so itself."""
    said = reply.response_metadata
    known = {"finish_reason": finish if isinstance(finish, str) and finish else None, "logprobs": logprobs}
    added = {key: value for key, value in known.items() if value is not None and not said.get(key)}
    return reply.model_copy(
        update={"response_metadata": {**said, **added}, "usage_metadata": reply.usage_metadata or usage}
    )


def read_tokens(value: Any) -> UsageMetadata | None:
    """Token counts by any of their usual names; `None` unless both are there."""
    if not isinstance(value, Mapping):
        return None
    given, made = _count(value, _INPUT_TOKENS), _count(value, _OUTPUT_TOKENS)
    if given is None or made is None:
        return None
    return UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)


def first_text(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of these fields that holds text."""
    found = (fields.get(name) for name in names)
    return next((clean_text(value) for value in found if isinstance(value, str) and value.strip()), None)


def _known_role(name: Any) -> str | None:
    """What a role, a type or a class is called here."""
    if not isinstance(name, str):
        return None
    return _ROLES.get(name.strip().lower().removesuffix("chunk").removesuffix("message"))


def _role(name: Any) -> str | None:
    """As `_known_role`; one that is not known keeps its name."""
    return _known_role(name) or (name if isinstance(name, str) and name.strip() else None)


def _message(role: str | None, fields: Mapping[str, Any]) -> BaseMessage | None:
    if role is None:
        return None
    content = next((fields[name] for name in ("content", "parts", "contents") if fields.get(name) is not None), None)
    texts, reasoning, calls = [], [], 0
    for part, text in _parts(content):
        texts += [text] if part == "text" else []
        reasoning += [text] if part == "reasoning" else []
        calls += part == "tool"
    said = clean_text("".join(texts))
    if role == "ai":
        return _reply(said, clean_text("\n".join(reasoning)), fields, asks_tools=calls > 0)
    if role == "tool":
        return ToolMessage(said, tool_call_id="")
    if role in _PLAIN:
        return _PLAIN[role](said)
    return ChatMessage(content=said, role=clean_text(role))


def _parts(content: Any) -> Iterator[tuple[str, str]]:
    """The parts of a content: `text`, `reasoning` or `tool`, and what they say. Pictures and the like say nothing."""
    if isinstance(content, Mapping):
        yield "text", json.dumps(content, ensure_ascii=False, default=str)
        return
    for part in content if isinstance(content, list | tuple) else [content]:
        if isinstance(part, Mapping):
            yield from _part(part)
        elif part is not None:
            yield "text", part if isinstance(part, str) else json.dumps(part, ensure_ascii=False, default=str)


def _part(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    inner = part.get("message_content")
    if isinstance(inner, Mapping):
        part = inner
    kind = part.get("type") if isinstance(part.get("type"), str | None) else ""
    if kind in _TOOL_PARTS or "functionCall" in part or "function_call" in part:
        yield "tool", ""
    elif kind in _REASONING_PARTS or part.get("thought") is True:
        yield "reasoning", first_text(part, ("thinking", "reasoning", "content", "text")) or ""
    elif kind in _RESULT_PARTS:
        result = next((part[name] for name in ("response", "result", "content", "output") if name in part), "")
        yield "text", result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)
    elif kind in _TEXT_PARTS or kind is None:
        text = next((part[name] for name in ("text", "content") if isinstance(part.get(name), str)), "")
        yield "text", text
    elif kind == "refusal" and isinstance(part.get("refusal"), str):
        yield "text", part["refusal"]


def _reply(text: str, reasoning: str, fields: Mapping[str, Any], *, asks_tools: bool = False) -> AIMessage:
    extra, metadata = _mapping(fields, "additional_kwargs"), _mapping(fields, "response_metadata")
    reasoning = reasoning or first_text({**extra, **fields}, ("reasoning_content", "reasoning")) or ""
    asks_tools = asks_tools or any(holder.get(name) for holder in (fields, extra) for name in _RAW_CALLS)
    said: dict[str, Any] = {}
    finish = first_text({**metadata, **fields}, FINISH_KEYS)
    if finish is not None:
        said["finish_reason"] = finish
    logprobs = fields.get("logprobs") or metadata.get("logprobs")
    if isinstance(logprobs, Mapping):
        said["logprobs"] = dict(logprobs)
    costs = (fields.get("usage_metadata"), fields.get("usage"), metadata.get("token_usage"), metadata.get("usage"))
    return AIMessage(
        text,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        response_metadata=said,
        usage_metadata=next((tokens for cost in costs if (tokens := read_tokens(cost)) is not None), None),
        tool_calls=[{"name": "", "args": {}, "id": None}] if asks_tools else [],
    )


def _mapping(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, Mapping) else {}


def _count(fields: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    value = next((fields[name] for name in names if fields.get(name) is not None), None)
    try:
        count = to_int(value)
    except CellError:
        return None
    return None if count is None or count < 0 else count
