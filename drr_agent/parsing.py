"""A reply of the Reasoner, read: what it reasoned, what it answered, what it cost.

A reply without an answer is `answer=None`: a failed draft, never a guess and never the whole text. Reasoning that a
provider keeps apart (content blocks, `reasoning_content`, `<think>` tags) goes to the rationale.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel, Field

from drr_agent.errors import ConfigError
from drr_agent.grading import NUMBER, parse_choice
from drr_agent.prompts import ANSWER_LINE, split_answer, split_confidence

_EMPHASIS = " \t*_`"
_THINK_TAGS = re.compile(r"<think(?:ing)?>(.*?)(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_RAW_TOOL_CALLS = {"tool_calls", "function_call"}
_TOOL_CALL_BLOCKS = {"tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call"}


class Reply(NamedTuple):
    """A reply in parts."""

    rationale: str
    answer: str | None
    message: AIMessage
    """What the graph returns when this reply is chosen; it keeps the Reasoner's message id."""


class Parser(Protocol):
    """How the Reasoner is called and how its output is read."""

    def prepare(self, reasoner: BaseChatModel) -> Runnable[LanguageModelInput, Any]:
        """The Reasoner as this parser calls it."""
        ...

    def parse(self, output: Any) -> Reply:
        """Read what the prepared Reasoner returned."""
        ...


@dataclass(frozen=True, kw_only=True)
class AnswerLine:
    """Takes the last line of the form `Answer: …`; what stands before it is the rationale."""

    kind: Literal["text", "number", "choice"] = "text"
    """`number` keeps the one number on the line, `choice` its letter; a line without one is no answer."""

    def prepare(self, reasoner: BaseChatModel) -> Runnable[LanguageModelInput, Any]:
        """The Reasoner itself."""
        return reasoner

    def parse(self, output: AIMessage) -> Reply:
        """Split a message at its answer line."""
        reasoning, text = split_reasoning(output)
        match = None
        for match in ANSWER_LINE.finditer(text):  # noqa: B007 - the last match counts
            pass
        if match is None:
            return Reply(_join(reasoning, text), None, output)
        rest, confidence = split_confidence(text[match.end() :])
        answer, beside = split_answer(match.group(1))
        answer = answer.strip(_EMPHASIS) or _only_line(rest)
        return Reply(_join(reasoning, text[: match.start()], beside, confidence), self._read(answer), output)

    def _read(self, answer: str) -> str | None:
        if self.kind == "choice":
            return parse_choice(answer)
        if self.kind == "number":
            numbers = NUMBER.findall(answer)
            return numbers[0] if len(numbers) == 1 else None
        return answer or None


@dataclass(frozen=True, kw_only=True)
class WholeMessage:
    """The whole visible message is the answer; reasoning kept apart by the provider is the rationale."""

    def prepare(self, reasoner: BaseChatModel) -> Runnable[LanguageModelInput, Any]:
        """The Reasoner itself."""
        return reasoner

    def parse(self, output: AIMessage) -> Reply:
        """Take the text as it is, but for a confidence at its end."""
        reasoning, text = split_reasoning(output)
        answer, confidence = split_answer(text)
        return Reply(_join(reasoning, confidence), answer or None, output)


class ReasonedAnswer(BaseModel):
    """The default schema of structured output."""

    rationale: str = Field(description="The reasoning, step by step")
    answer: str = Field(description="The final answer alone")


@dataclass(frozen=True, kw_only=True)
class StructuredOutput:
    """Asks the Reasoner for a schema with an `answer` field, and a `rationale` field if it likes."""

    schema: type[BaseModel] = ReasonedAnswer
    method: Literal["json_schema", "function_calling", "json_mode"] | None = None
    """How the provider is asked; `None` leaves it to the provider's default."""

    def __post_init__(self) -> None:
        """Check the schema."""
        if "answer" not in self.schema.model_fields:
            found = ", ".join(self.schema.model_fields) or "no fields"
            raise ConfigError(f"`schema` must have an `answer` field, {self.schema.__name__} has {found}")

    def prepare(self, reasoner: BaseChatModel) -> Runnable[LanguageModelInput, Any]:
        """The Reasoner with the schema bound; the raw message is kept, since it carries usage and logprobs."""
        options = {} if self.method is None else {"method": self.method}
        return reasoner.with_structured_output(self.schema, include_raw=True, **options)

    def parse(self, output: dict[str, Any]) -> Reply:
        """Read the fields; a reply that does not fit the schema has no answer."""
        raw: AIMessage = output["raw"]
        reasoning, text = split_reasoning(raw)
        if output["parsed"] is None:
            return Reply(_join(reasoning, text), None, raw)
        fields = output["parsed"].model_dump()
        answer, confidence = split_answer("" if fields["answer"] is None else clean_text(str(fields["answer"])).strip())
        rationale = _join(clean_text(str(fields.get("rationale") or "")), confidence)
        # a dangling tool call would break the host's next request, so the answer stands alone
        return Reply(_join(reasoning, rationale), answer or None, AIMessage(answer, id=raw.id))


PARSERS: dict[str, Parser] = {
    "answer": AnswerLine(),
    "number": AnswerLine(kind="number"),
    "choice": AnswerLine(kind="choice"),
    "message": WholeMessage(),
    "structured": StructuredOutput(),
}


def get_parser(parser: str | Parser) -> Parser:
    """A parser by name, or the parser itself.

    Raises:
        ConfigError: no parser has that name.
    """
    if not isinstance(parser, str):
        return parser
    if parser not in PARSERS:
        raise ConfigError(f"`parser` must be one of {', '.join(PARSERS)} or a Parser, got {parser!r}")
    return PARSERS[parser]


def split_reasoning(message: AIMessage) -> tuple[str, str]:
    """A message's reasoning, from wherever its provider puts it, and its visible text without it."""
    blocks = "\n".join(_reasoning_blocks(message))
    text = clean_text(str(message.text))
    tagged = "\n".join(match.group(1).strip() for match in _THINK_TAGS.finditer(text))
    return _join(clean_text(blocks), tagged), _THINK_TAGS.sub("", text).strip()


def clean_text(text: str) -> str:
    """The text without lone surrogates, which no log or checkpoint can store."""
    return text.encode("utf-8", "replace").decode("utf-8")


def without_tool_calls(message: AIMessage) -> AIMessage:
    """The message without its tool calls: one that nobody answers would break the host's next request."""
    content = message.content
    kept = content if isinstance(content, str) else [block for block in content if not _is_tool_call(block)]
    extra = {key: value for key, value in message.additional_kwargs.items() if key not in _RAW_TOOL_CALLS}
    calls = [name for name in ("tool_calls", "invalid_tool_calls", "tool_call_chunks") if getattr(message, name, None)]
    if not calls and kept == content and extra == message.additional_kwargs:
        return message
    emptied: dict[str, Any] = {name: [] for name in calls}
    return message.model_copy(update={**emptied, "content": kept, "additional_kwargs": extra})


def _is_tool_call(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in _TOOL_CALL_BLOCKS


def _reasoning_blocks(message: AIMessage) -> Iterator[str]:
    kept_apart = message.additional_kwargs.get("reasoning_content")
    if isinstance(kept_apart, str) and kept_apart:
        yield kept_apart
        return
    try:
        blocks: list[Any] = list(message.content_blocks)
    except (TypeError, ValueError, LookupError, AttributeError):  # metadata that langchain cannot translate
        return
    for block in blocks:
        if block.get("type") == "reasoning" and block.get("reasoning"):
            yield str(block["reasoning"])


def _only_line(text: str) -> str:
    """The answer that stands on its own below an `Answer:` label; empty when more than it follows."""
    lines = text.strip().splitlines()
    return lines[0].strip(_EMPHASIS) if len(lines) == 1 else ""


def _join(*parts: str) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())
