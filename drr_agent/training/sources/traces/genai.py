"""What the attributes and events of an OpenTelemetry span say of a model call or an agent.

| convention | request, response |
|---|---|
| GenAI, current | `gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions` |
| GenAI, before 1.37 | events `gen_ai.user.message` …, `gen_ai.choice`; `gen_ai.content.prompt`, `….completion` |
| OpenLLMetry | `gen_ai.prompt.0.content` …, `gen_ai.completion.0.content`; `traceloop.entity.input`, `.output` |
| LangSmith | `gen_ai.prompt`, `gen_ai.completion` |
| OpenInference | `llm.input_messages.0.message.content` …, `llm.output_messages.…`; `input.value`, `output.value` |
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages.ai import UsageMetadata

from drr_agent.parsing import clean_text
from drr_agent.training.sources.traces.chat_messages import first_text, read_tokens
from drr_agent.training.sources.traces.soft_json import decoded, read_object
from drr_agent.training.sources.traces.span_tree import SpanKind, read_turn
from drr_agent.training.sources.traces.verdicts import EVALUATOR, Judgment, make_judgment, read_verdict

Event = Mapping[str, Any]
"""An event of a span, or a log record that names one: `name`, `attributes`, `body`, `at`."""

_OPERATIONS: dict[str, SpanKind] = {
    **dict.fromkeys(("chat", "text_completion", "completion", "generate_content"), "call"),
    **dict.fromkeys(("invoke_agent", "invoke_workflow", "chain"), "agent"),
    **dict.fromkeys(("execute_tool", "execute_task", "embeddings", "create_agent", "retrieval"), "other"),
}
_KINDS: tuple[tuple[str, dict[str, SpanKind]], ...] = (
    ("openinference.span.kind", {"llm": "call", "agent": "agent", "chain": "agent"}),
    ("langsmith.span.kind", {"llm": "call", "chain": "agent"}),
    ("traceloop.span.kind", {"workflow": "agent", "agent": "agent"}),
    ("llm.request.type", {"chat": "call", "completion": "call"}),
)
_THREADS = (
    *("gen_ai.conversation.id", "session.id", "langfuse.session.id"),
    *("traceloop.association.properties.thread_id", "traceloop.association.properties.session_id"),
    *("langsmith.metadata.thread_id", "langsmith.metadata.session_id", "langsmith.metadata.conversation_id"),
)
_TURNS = ("langsmith.metadata.drr_turn", "traceloop.association.properties.drr_turn")
_MODELS = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "llm.request.model")
_INPUT_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT_TOKENS = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_MESSAGE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CONTENT_EVENTS = {
    "gen_ai.content.prompt",
    "gen_ai.content.completion",
    "gen_ai.client.inference.operation.details",
}
"""Events whose attributes could as well be the span's."""
_JSON_START = re.compile(r'\s*[\[{]\s*["\[{]')
_MOST_ERROR_CHARS = 1_000


def with_contents(attributes: Mapping[str, Any], events: list[Event]) -> dict[str, Any]:
    """The attributes of a span with those of events that only hold its contents."""
    held = [event["attributes"] for event in events if event["name"] in _CONTENT_EVENTS]
    return {name: value for holder in (*held, attributes) for name, value in holder.items()}


def read_kind(attributes: Mapping[str, Any], events: list[Event]) -> SpanKind:
    """What kind of a span it is, by its operation, else by its tracer's own word, else by what it holds."""
    kinds = ((kinds, attributes.get(name)) for name, kinds in _KINDS)
    said = next(((kinds, value) for kinds, value in kinds if isinstance(value, str)), None)
    operation = attributes.get("gen_ai.operation.name")
    if isinstance(operation, str) and operation in _OPERATIONS:
        return _OPERATIONS[operation]
    if said is not None:
        return said[0].get(said[1].lower(), "other")
    is_asked = read_request(attributes, events) is not None or read_response(attributes, events) is not None
    return "call" if is_asked else "other"


def read_request(attributes: Mapping[str, Any], events: list[Event]) -> Any:
    """What was sent, as it was recorded; `None` when it was not."""
    return _first(
        lambda: attributes.get("gen_ai.input.messages"),
        lambda: _unflattened(attributes, "gen_ai.prompt."),
        lambda: attributes.get("gen_ai.prompt"),
        lambda: [_message(event) for event in events if event["name"] in _MESSAGE_EVENTS],
        lambda: _unflattened(attributes, "llm.input_messages."),
        lambda: attributes.get("traceloop.entity.input"),
        lambda: attributes.get("input.value"),
    )


def read_response(attributes: Mapping[str, Any], events: list[Event]) -> Any:
    """What came back, as it was recorded; `None` when it was not."""
    return _first(
        lambda: attributes.get("gen_ai.output.messages"),
        lambda: _unflattened(attributes, "gen_ai.completion."),
        lambda: attributes.get("gen_ai.completion"),
        lambda: [*_choices(events)],
        lambda: _unflattened(attributes, "llm.output_messages."),
        lambda: attributes.get("traceloop.entity.output"),
        lambda: attributes.get("output.value"),
    )


def find_damage(value: Any) -> str | None:
    """Whether what was recorded was cut off, as tracers do with long attributes."""
    cut = isinstance(value, str) and _JSON_START.match(value) is not None and isinstance(decoded(value), str)
    return "torn JSON: its recorder cut it off" if cut else None


def read_usage(attributes: Mapping[str, Any]) -> UsageMetadata | None:
    """The tokens of a call."""
    given = next((attributes[name] for name in _INPUT_TOKENS if name in attributes), None)
    made = next((attributes[name] for name in _OUTPUT_TOKENS if name in attributes), None)
    return read_tokens({"input_tokens": given, "output_tokens": made})


def read_finish(attributes: Mapping[str, Any]) -> str | None:
    """Why the reply ended."""
    reasons = decoded(attributes.get("gen_ai.response.finish_reasons", attributes.get("llm.finish_reason")))
    reason = reasons[0] if isinstance(reasons, list | tuple) and reasons else reasons
    return reason if isinstance(reason, str) else None


def read_model(attributes: Mapping[str, Any]) -> str | None:
    """The model that was asked for, else the one that answered."""
    return first_text(attributes, _MODELS)


def read_thread(attributes: Mapping[str, Any]) -> str | None:
    """The conversation or session."""
    return first_text(attributes, _THREADS)


def read_drr_turn(attributes: Mapping[str, Any]) -> int | None:
    """The turn of a drr run that a call was made for, where its tracer keeps the metadata of a call."""
    held = {"drr_turn": next((attributes[name] for name in _TURNS if name in attributes), None)}
    return read_turn(held) or read_turn(read_object(attributes.get("metadata")))


def read_judgments(events: list[Event]) -> list[Judgment]:
    """What evaluators said: the conventions do not tell models from other programs, so they count as judges."""
    judgments = []
    for event in (event for event in events if event["name"] == "gen_ai.evaluation.result"):
        said = {name.removeprefix("gen_ai.evaluation."): value for name, value in event["attributes"].items()}
        word, number = said.get("score.label"), said.get("score.value")
        value = number if read_verdict(word) is None else word
        judgments.append(make_judgment(EVALUATOR, said.get("name"), value, at=event["at"]))
    return judgments


def read_error(is_failed: bool, said: Any, attributes: Mapping[str, Any], events: list[Event]) -> str | None:  # noqa: FBT001
    """Why a span failed, without where in the code it did; `None` when it did not."""
    raised: Mapping[str, Any] = next((event["attributes"] for event in events if event["name"] == "exception"), {})
    kind = first_text({**raised, **attributes}, ("error.type", "exception.type"))
    if not is_failed and first_text(attributes, ("error.type",)) is None:
        return None
    text = said if isinstance(said, str) and said.strip() else first_text(raised, ("exception.message",)) or ""
    text = clean_text(text.partition("Traceback (most recent call last)")[0]).strip()[:_MOST_ERROR_CHARS]
    named = f"{kind}: {text}" if text and kind is not None and kind.rpartition(".")[2] not in text else text
    return named or kind or "an error without a word"


def _first(*readers: Any) -> Any:
    return next((value for read in readers if (value := read()) not in (None, "", [], {})), None)


def _message(event: Event) -> dict[str, Any]:
    return {"role": _MESSAGE_EVENTS.get(event["name"], "assistant"), **_content(event)}


def _choices(events: list[Event]) -> Iterator[dict[str, Any]]:
    for event in events:
        if event["name"] == "gen_ai.choice":
            content = _content(event)
            inner = decoded(content.get("message"))
            message = inner if isinstance(inner, Mapping) else {"content": inner} if isinstance(inner, str) else content
            yield {"role": "assistant", **message, "finish_reason": content.get("finish_reason")}


def _content(event: Event) -> dict[str, Any]:
    """What a message event holds: its body, JSON in one attribute, or its attributes."""
    for held in (event["body"], decoded(event["attributes"].get("gen_ai.event.content"))):
        if isinstance(held, Mapping):
            return dict(held)
    return dict(event["attributes"])


def _unflattened(attributes: Mapping[str, Any], prefix: str) -> Any:
    """Attributes such as `prompt.0.content` as the list of objects that they were made of."""
    tree: dict[str, Any] = {}
    for name in sorted(name for name in attributes if name.startswith(prefix)):
        *path, last = name.removeprefix(prefix).split(".")
        node = tree
        for part in path:
            inner = node.setdefault(part, {})
            node = inner if isinstance(inner, dict) else {}
        node[last] = attributes[name]
    return _with_lists(tree)


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(name.isdecimal() for name in node):
        return [_with_lists(node[name]) for name in sorted(node, key=lambda name: (len(name), name))]
    return {name: _with_lists(inner) for name, inner in node.items()}
