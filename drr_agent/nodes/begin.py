"""Begin: find the question, and clear what the thread remembers of the one before it."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypedDict, cast

from langchain_core.messages import AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from drr_agent.conversation import last_human, render
from drr_agent.errors import ConfigError
from drr_agent.nodes.rollout import Rollout
from drr_agent.parsing import clean_text
from drr_agent.state import (
    NO_USAGE,
    NOT_SPENT,
    Assignment,
    Attempt,
    Draft,
    DRRState,
    Kept,
    Run,
    RunIdentity,
    RunStart,
    Spent,
    add_usage,
)


class BeginUpdate(TypedDict):
    """What `begin` writes: every working channel, since all of them survive on a thread."""

    drr_start: RunStart
    drr_assignment: None
    drr_draft: Draft | None
    drr_attempts: list[Attempt]
    drr_replies: list[Kept | None]
    drr_told: list[str]
    drr_thread: Spent


@dataclass(frozen=True, kw_only=True)
class Begin:
    """Starts a run on the last human message; what stands before it is its context."""

    identity: RunIdentity
    """Recorded at once, so that the record of a run that never ends tells as much."""
    rollout: Rollout = field(default_factory=Rollout)

    def as_node(self) -> Runnable[DRRState, BeginUpdate]:
        """The node, for `invoke` and `ainvoke` alike; too quick for a thread of its own."""

        async def abegin(state: DRRState, config: RunnableConfig) -> BeginUpdate:
            return self.begin(state, config)

        return RunnableLambda(self.begin, abegin, name="begin")

    def begin(self, state: DRRState, config: RunnableConfig | None = None) -> BeginUpdate:
        """Reset the working channels.

        Raises:
            ConfigError: there is no human message to answer, or no such `drr_mode`.
        """
        messages = [_clean_message(message) for message in state["messages"]]
        place = last_human(messages)
        if place is None:
            found = ", ".join(message.type for message in messages) or "none"
            raise ConfigError(f"`messages` must hold a human message, the question; got {found}")
        assignment: Assignment = state.get("drr_assignment") or {}
        prior = [_unended(attempt) for attempt in assignment.get("prior", [])]
        now = time.time()
        start: RunStart = {
            "run_id": uuid.uuid4().hex,
            "started_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
            "clock": now,
            "question": str(messages[place].text),
            "context": render(messages[:place]),
            "question_message": messages[place],
            "context_messages": list(messages[:place]),
            "assignment": assignment,
            "identity": self.identity,
        }
        mode = self.rollout.apply(start["run_id"], config)
        if mode is not None:
            start["mode"] = mode
        return {
            "drr_start": start,
            "drr_assignment": None,
            "drr_draft": None,
            "drr_attempts": prior,
            "drr_replies": [None] * len(prior),
            "drr_told": [],
            "drr_thread": _spent_before(cast("Mapping[str, Any]", state)),
        }


def _spent_before(thread: Mapping[str, Any]) -> Spent:
    """What the thread's runs came to so far: its last one, from its attempts, is added to those before. Maybe none."""
    before: Spent = thread.get("drr_thread", NOT_SPENT)
    start: RunStart | None = thread.get("drr_start")
    if start is None:
        return before
    made: list[Draft] = thread["drr_attempts"][len(start["assignment"].get("prior", [])) :]
    drafts = [*made, *([] if thread["drr_draft"] is None else [thread["drr_draft"]])]
    ended: Run | None = thread.get("drr")
    judge = NO_USAGE
    if ended is not None and ended["run_id"] == start["run_id"]:
        seconds, judge = ended["seconds"], ended.get("reviewed", {}).get("usage", NO_USAGE)
    else:
        seconds = sum(draft["seconds"] for draft in drafts)
    return {
        "usage": add_usage([before["usage"], *(draft["usage"] for draft in drafts), judge]),
        "seconds": round(before["seconds"] + seconds, 4),
    }


def _unended(attempt: Attempt) -> Attempt:
    """A prior attempt for this run's policy to judge, whatever another one said of it."""
    return attempt if attempt["verdict"] == "reject" else {**attempt, "verdict": None}


def _clean_message(message: AnyMessage) -> AnyMessage:
    """The message without lone surrogates, which no provider and no tokenizer takes either."""
    content = _clean(message.content)
    return message if content == message.content else message.model_copy(update={"content": content})


def _clean(content: Any) -> Any:
    """Every text in a message's content."""
    if isinstance(content, str):
        return clean_text(content)
    if isinstance(content, list):
        return [_clean(part) for part in content]
    return {key: _clean(value) for key, value in content.items()} if isinstance(content, dict) else content
