"""What went into a model call or an agent and what came out, as traces hold it: any vendor's forms, or plain text.

| request | response |
|---|---|
| messages, alone or under `messages`, `contents`, `prompts` | messages, alone or under `messages`: the last reply |
| `{"system": …, "messages": …}`, `{"instructions": …, "input": …}` | OpenAI's `choices`, or its `output` items |
| `{"question": …}` and its usual synonyms, with `chat_history` | LangChain's `generations`, Gemini's `candidates` |
| `{"args": […], "kwargs": {…}}` of a traced function | `{"answer": …}` and its usual synonyms, of an agent alone |
| an object with one text in it | an object with one text in it, of an agent alone |
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import UsageMetadata

from drr_agent.conversation import last_human
from drr_agent.parsing import clean_text
from drr_agent.training.sources.traces.chat_messages import (
    FINISH_KEYS,
    complete_reply,
    first_text,
    make_reply,
    read_message,
    read_sequence,
    read_tokens,
)
from drr_agent.training.sources.traces.soft_json import decoded

_QUESTION_KEYS = (
    *("messages", "contents", "question", "query", "input", "inputs", "prompt", "prompts", "user_input"),
    *("user_message", "message", "text", "content", "request", "task", "instruction", "problem"),
)
_ANSWER_KEYS = (
    *("answer", "final_answer", "output", "outputs", "final_output", "output_text", "response", "result", "content"),
    *("text", "completion", "generated_text", "return_value"),
)
_SYSTEM_KEYS = ("system", "instructions", "system_instruction", "system_instructions")
_HISTORY_KEYS = ("chat_history", "history")


class Exchange(NamedTuple):
    """What went in and what came out."""

    messages: list[BaseMessage]
    replies: list[AIMessage]
    damage: str | None = None
    """Why it cannot be read at all."""

    @property
    def question(self) -> str | None:
        """What was asked last."""
        place = last_human(self.messages)
        return None if place is None else str(self.messages[place].text).strip() or None

    @property
    def answer(self) -> str | None:
        """What was said in reply; `None` also where there are several replies."""
        return str(self.replies[0].text).strip() or None if len(self.replies) == 1 else None


def read_exchange(request: Any, response: Any, *, instructions: Any, is_call: bool) -> Exchange:
    """A model call, or an agent, as far as it can be read.

    Args:
        request: plain JSON, or its text.
        response: as `request`.
        instructions: system instructions that stand beside the request, if any.
        is_call: whether it is a model call.
    """
    try:
        messages = [*read_instructions(instructions), *read_request(request)]
        if is_call:
            return Exchange(messages, read_replies(response))
        state = decoded(response)
        held = (read_sequence(state.get("messages")) if isinstance(state, Mapping) else None) or []
        asks_last = bool(held) and last_human(held) == len(held) - 1  # then whatever stands beside it is no answer
        answer = None if asks_last else read_answer(state)
        return Exchange(_remembered(messages, held), [] if answer is None else [answer])
    except RecursionError:
        return Exchange([], [], damage="JSON nested too deeply")


def read_request(value: Any) -> list[BaseMessage]:
    """The messages that were sent; text alone is a question. Empty for what is no request."""
    value = decoded(value)
    if isinstance(value, str):
        return [HumanMessage(clean_text(value))] if value.strip() else []
    if not isinstance(value, Mapping):
        return read_sequence(value) or []
    if value and value.keys() <= {"args", "kwargs"}:
        return _arguments(value)
    message = read_message(value)
    if message is not None:
        return [message]
    found = next((found for name in _QUESTION_KEYS if name in value and (found := read_request(value[name]))), None)
    if found is not None:
        return [*_beside(value), *found]
    text = _only_text(value)
    return [] if text is None else [HumanMessage(text)]


def read_instructions(value: Any) -> list[BaseMessage]:
    """System instructions that stand beside the messages: text, or parts of a message."""
    message = read_message({"role": "system", "content": decoded(value)}) if value else None
    return [message] if isinstance(message, SystemMessage) and str(message.text).strip() else []


def read_replies(value: Any) -> list[AIMessage]:
    """What a model call gave back: more than one where it was asked for several.

    JSON of no known form is what the model wrote.
    """
    content = decoded(value)
    if content is None or content in ("", [], {}):
        return []
    replies = [] if isinstance(content, str) else _responses(content)
    if replies:
        return replies
    return [make_reply(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))]


def read_answer(value: Any) -> AIMessage | None:
    """What an agent gave back in the end; `None` for what is no answer."""
    value = decoded(value)
    if isinstance(value, bool | int | float):
        return make_reply(json.dumps(value))
    if isinstance(value, str):
        return make_reply(value) if value.strip() else None
    replies = _responses(value)
    if replies or not isinstance(value, Mapping) or read_message(value) is not None:
        return replies[-1] if replies else None
    found = (read_answer(value[name]) for name in _ANSWER_KEYS if value.get(name) is not None)
    answer = next((reply for reply in found if reply is not None), None)
    text = _only_text(value)
    return make_reply(text) if answer is None and text is not None else answer


def asks_tools_alone(reply: AIMessage) -> bool:
    """Whether a reply is no answer but a request for tools."""
    return bool(reply.tool_calls) and not str(reply.text).strip()


def _remembered(messages: list[BaseMessage], held: list[BaseMessage]) -> list[BaseMessage]:
    """The messages up to the question, from the output of a graph that remembers those before."""
    asked, place = last_human(messages), last_human(held)
    if asked is None or place is None or place < asked or held[place].text != messages[asked].text:
        return messages
    return held[: place + 1]


def _arguments(value: Mapping[str, Any]) -> list[BaseMessage]:
    """The arguments of a traced function: the named ones, else the first."""
    arguments = value.get("args")
    found = read_request(value.get("kwargs"))
    return found or (read_request(arguments[0]) if isinstance(arguments, list) and arguments else [])


def _beside(value: Mapping[str, Any]) -> list[BaseMessage]:
    """What a request holds beside its last messages."""
    system = next((value[name] for name in _SYSTEM_KEYS if value.get(name)), None)
    history = next((value[name] for name in _HISTORY_KEYS if value.get(name)), None)
    return [*read_instructions(system), *(read_sequence(decoded(history)) or [])]


def _only_text(value: Mapping[str, Any]) -> str | None:
    texts = [item for item in value.values() if isinstance(item, str) and item.strip()]
    return clean_text(texts[0]) if len(texts) == 1 else None


def _responses(value: Any) -> list[AIMessage]:
    """The replies in a vendor's response or a graph's state; empty for what is none."""
    if isinstance(value, list | tuple):
        return _after_question(value)
    if not isinstance(value, Mapping):
        return []
    message = read_message(value)
    if message is not None:
        return [message] if isinstance(message, AIMessage) else []
    found = next((replies for read in (_choices, _generations, _candidates, _items) if (replies := read(value))), [])
    if not found:
        return _after_question(value.get("messages"))
    # tokens are counted once for all choices, so the first carries them
    first = complete_reply(found[0], usage=_usage(value), finish=first_text(value, FINISH_KEYS))
    return [first, *found[1:]]


def _after_question(values: Any) -> list[AIMessage]:
    """The last reply of a conversation, or all of what holds nothing but replies."""
    messages = read_sequence(values) or []
    replies = [message for message in messages if isinstance(message, AIMessage)]
    if len(replies) == len(messages):
        return replies
    asked = max((place for place, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)
    return [message for message in messages[asked + 1 :] if isinstance(message, AIMessage)][-1:]


def _choices(value: Mapping[str, Any]) -> list[AIMessage]:
    return [reply for choice in _mappings(value.get("choices")) for reply in _wrapped(choice, choice)]


def _generations(value: Mapping[str, Any]) -> list[AIMessage]:
    generations = value.get("generations")
    if isinstance(generations, list) and generations and isinstance(generations[0], list):
        generations = generations[0]
    return [reply for item in _mappings(generations) for reply in _wrapped(item, item.get("generation_info"))]


def _candidates(value: Mapping[str, Any]) -> list[AIMessage]:
    found = _mappings(value.get("candidates"))
    contents = [(item, item["content"]) for item in found if isinstance(item.get("content"), Mapping)]
    return [reply for item, content in contents for reply in _wrapped({"message": {"role": "model", **content}}, item)]


def _items(value: Mapping[str, Any]) -> list[AIMessage]:
    """OpenAI's response items, or Bedrock's one message."""
    output = value.get("output")
    if isinstance(output, Mapping) and isinstance(output.get("message"), Mapping):
        return _wrapped(output, value)
    return _after_question(output)[-1:]


def _wrapped(item: Mapping[str, Any], about: Any) -> list[AIMessage]:
    """The message or the text in an item, with what stands about it beside it."""
    known = about if isinstance(about, Mapping) else {}
    message = read_message(item.get("message"))
    if not isinstance(message, AIMessage):
        text = item.get("text")
        return [make_reply(text, fields=known)] if isinstance(text, str) else []
    return [complete_reply(message, usage=None, finish=first_text(known, FINISH_KEYS), logprobs=known.get("logprobs"))]


def _usage(value: Mapping[str, Any]) -> UsageMetadata | None:
    made_by = value.get("llm_output")
    held = made_by.get("token_usage") if isinstance(made_by, Mapping) else None
    costs = (value.get("usage"), value.get("usageMetadata"), value.get("usage_metadata"), held)
    return next((tokens for cost in costs if (tokens := read_tokens(cost)) is not None), None)


def _mappings(values: Any) -> list[Mapping[str, Any]]:
    return [item for item in values if isinstance(item, Mapping)] if isinstance(values, list) else []
