"""What the Reasoner is told when it thinks again.

Telling a model that it was wrong often makes it repeat or defend its answer, so feedback is a strategy to choose and to
measure, and the default says nothing: `fresh` draws anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from drr_agent.errors import ConfigError
from drr_agent.prompts import Prompts
from drr_agent.state import Attempt, FeedbackKind


class Ask(NamedTuple):
    """The messages of one think call, and how they ask."""

    messages: list[AnyMessage]
    kind: FeedbackKind


class Feedback(Protocol):
    """Builds the think call that follows rejected attempts; every one of them has an answer."""

    def ask(self, prompts: Prompts, question: AnyMessage, rejected: Sequence[Attempt]) -> Ask:
        """The messages after the question's context."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """An independent draw: the Reasoner is not told of earlier attempts."""

    def ask(self, prompts: Prompts, question: AnyMessage, rejected: Sequence[Attempt]) -> Ask:  # noqa: ARG002
        """Ask the question again."""
        return Ask([prompts.ask(question)], "fresh")


@dataclass(frozen=True, kw_only=True)
class History:
    """The paper's: every rejected rationale and answer, each followed by the word that it was wrong."""

    last: int = 3
    """How many rejected attempts are shown, the newest ones; bounds the prompt."""

    def ask(self, prompts: Prompts, question: AnyMessage, rejected: Sequence[Attempt]) -> Ask:
        """Ask the question and replay the rejections."""
        messages: list[AnyMessage] = [prompts.ask(question)]
        for attempt in rejected[-self.last :]:
            messages += [AIMessage(render_attempt(attempt)), HumanMessage(prompts.wrong)]
        return Ask(messages, "history")


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Names the rejected answers and asks for a different line of thought; their rationales stay unseen."""

    def ask(self, prompts: Prompts, question: AnyMessage, rejected: Sequence[Attempt]) -> Ask:
        """Ask the question with the rejected answers named once each."""
        answers = ", ".join(dict.fromkeys(str(attempt["answer"]) for attempt in rejected))
        return Ask([prompts.ask(question, prompts.contrast.format(answers=answers))], "contrast")


FEEDBACK: dict[str, Feedback] = {"fresh": Fresh(), "history": History(), "contrast": Contrast()}


def get_feedback(feedback: str | Feedback) -> Feedback:
    """A strategy by name, or the strategy itself.

    Raises:
        ConfigError: no strategy has that name.
    """
    if not isinstance(feedback, str):
        return feedback
    if feedback not in FEEDBACK:
        raise ConfigError(f"`feedback` must be one of {', '.join(FEEDBACK)} or a Feedback, got {feedback!r}")
    return FEEDBACK[feedback]


def next_ask(feedback: Feedback, prompts: Prompts, question: AnyMessage, attempts: Sequence[Attempt]) -> Ask:
    """The next think call of a run: a first ask, a nudge after a reply without an answer, or the strategy's feedback.

    A reply that was cut off or empty is not sent back: there is nothing in it to mend, so the question is asked anew.
    """
    if not attempts:
        return Ask([prompts.ask(question)], "first")
    newest = attempts[-1]
    if newest["answer"] is None and newest["rationale"] and not newest["truncated"]:
        messages: list[AnyMessage] = [prompts.ask(question), AIMessage(newest["rationale"])]
        messages.append(HumanMessage(prompts.no_answer))
        return Ask(messages, "no_answer")
    rejected = [attempt for attempt in attempts if attempt["answer"] is not None]
    return feedback.ask(prompts, question, rejected) if rejected else Ask([prompts.ask(question)], "fresh")


def render_attempt(attempt: Attempt) -> str:
    """An attempt as the Reasoner would have written it."""
    return f"{attempt['rationale']}\nAnswer: {attempt['answer']}".lstrip()
