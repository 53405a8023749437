"""A conversation as the loop and its logs see it: the last human message is the question, the rest its context."""

from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage


def last_human(messages: Sequence[BaseMessage]) -> int | None:
    """The place of the question; `None` when nobody asked."""
    places = (index for index in range(len(messages) - 1, -1, -1) if isinstance(messages[index], HumanMessage))
    return next(places, None)


def render(messages: Sequence[BaseMessage]) -> str:
    """Messages as the text that a DM reads before the question."""
    return "\n".join(f"{message.type}: {message.text}" for message in messages)
