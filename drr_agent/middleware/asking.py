"""How an agent is asked again. Its own prompt and messages stand; feedback follows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents.middleware import ModelRequest
from langchain_core.messages import BaseMessage, HumanMessage

from drr_agent.errors import ConfigError
from drr_agent.feedback import Contrast, Feedback, Fresh, History, get_feedback
from drr_agent.middleware.state import OpenRun
from drr_agent.prompts import Prompts
from drr_agent.state import FeedbackKind

AGENT_PROMPTS = Prompts(
    instruction="",
    wrong="That answer is wrong. Think again from the start.",
    contrast="These answers were tried and rejected: {answers}. Take a different line of thought.",
    no_answer="",
)
"""The wording of feedback. Only `wrong` and `contrast` are used: the question is never changed."""

_KINDS: dict[type[Feedback], FeedbackKind] = {Fresh: "fresh", History: "history", Contrast: "contrast"}


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Builds the request of each try."""

    feedback: Feedback
    prompts: Prompts

    @classmethod
    def of(cls, feedback: str | Feedback, prompts: Prompts) -> "Asking":
        """By the name of a strategy, or with settings of one.

        Raises:
            ConfigError: a strategy that writes the question anew, which an agent's middleware does not.
        """
        strategy = get_feedback(feedback)
        if type(strategy) not in _KINDS:
            raise ConfigError(
                f"`feedback` must be fresh, history or contrast, got {type(strategy).__name__}; "
                "for a strategy of your own use `create_drr_graph`"
            )
        return cls(feedback=strategy, prompts=prompts)

    def kind(self, run: OpenRun) -> FeedbackKind:
        """How the try that is under way was asked for."""
        if not run.attempts:
            return "first"
        return _KINDS[type(self.feedback)] if run.has_answer else "fresh"

    def request(self, run: OpenRun, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """The agent's request without this run's drafts, and with feedback where the strategy gives some."""
        if not run.attempts:
            return request
        messages, feedback = without_drafts(run, request.messages), self._feedback(run)
        place = len(messages) if run.steps is None else _after(messages, run.steps["after"])
        asked: list[Any] = [*messages[:place], *feedback, *messages[place:]]
        return request.override(messages=asked)

    def note(self, run: OpenRun) -> list[BaseMessage]:
        """What a thread with visible drafts shows between the newest of them and the next."""
        feedback = self._feedback(run)
        return [feedback[-1].model_copy(update={"id": _note_id(run, len(run.attempts))})] if feedback else []

    def _feedback(self, run: OpenRun) -> list[BaseMessage]:
        pairs = zip(run.attempts, run.said, strict=True)
        rejected = [(attempt, said) for attempt, said in pairs if said is not None and attempt["answer"] is not None]
        if not rejected or isinstance(self.feedback, Fresh):
            return []
        if isinstance(self.feedback, History):
            shown = rejected[-self.feedback.last :]
            return [message for _, said in shown for message in (*said["messages"], _told(self.prompts.wrong))]
        answers = ", ".join(dict.fromkeys(str(attempt["answer"]) for attempt, _ in rejected))
        return [_told(self.prompts.contrast.format(answers=answers))]


def without_drafts(run: OpenRun, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages of a thread but for this run's drafts and what was said of them."""
    ours = {message.id for said in run.said if said for message in said["messages"]}
    ours |= {_note_id(run, turn) for turn in range(1, len(run.attempts) + 1)}
    return [message for message in messages if message.id not in ours]


def _told(text: str) -> HumanMessage:
    return HumanMessage(text, name="drr")


def _note_id(run: OpenRun, turn: int) -> str:
    return f"drr-{run.start['run_id']}-{turn}"


def _after(messages: Sequence[BaseMessage], name: str | None) -> int:
    """The place after a message; the end where somebody has taken it out."""
    places = (place for place, message in enumerate(messages, start=1) if name is not None and message.id == name)
    return next(places, len(messages))
