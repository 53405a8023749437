"""Calls of agents that never used this package: what was asked and what came back, as runs of one or more turns.

A reader of traces gives each call, or each whole run of an agent, as a `Call`. Calls that ask one Reasoner the same
question in the same thread are turns of one run, in the order of their times; every other call is a run of one turn.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from typing_extensions import TypedDict  # as in `state.py`

from drr_agent.conversation import last_human, render
from drr_agent.drafts import failed_draft, read_draft
from drr_agent.parsing import Parser, clean_text
from drr_agent.questions import question_key
from drr_agent.signals import DEFAULT_SIGNALS, SignalInput, compute_signals
from drr_agent.state import RUN_SCHEMA, Attempt, Draft, FeedbackKind, Run, RunLabel, add_usage
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.spool import Spool

_FEWEST_WORDS = 3
"""Of a question that means the same when it is asked again."""


class Call(TypedDict):
    """One question and what came back; plain JSON."""

    id: str
    """Of the call, or of the agent's run, in its store: the same in every export."""
    place: str
    """Where in the source, for messages."""
    thread: str | None
    """Conversation or session; calls without one are runs of their own."""
    started_at: str | None
    """As `to_utc` gives it."""
    question: str
    context: str
    """The conversation before the question was first asked."""
    draft: Draft
    reasoner: str
    target: str | None
    labels: list[RunLabel]
    """Their `turn` is set here."""
    dataset: str | None


def read_call(
    messages: Sequence[BaseMessage], reply: AIMessage | None, *, parser: Parser, error: str | None, seconds: float
) -> tuple[str, str, Draft] | Flaw:
    """Question, context and draft of a call; or why it is none.

    Args:
        messages: what the Reasoner was asked; the last human message is the question.
        reply: what came back; `None` when nothing did.
        parser: how the answer is read out of the reply. A structured parser needs a Reasoner at hand, so it cannot be.
        error: why nothing came back, where the store says so.
        seconds: how long it took.
    """
    place = last_human(messages)
    if place is None or not str(messages[place].text).strip():
        return Flaw("no question", "")
    first = _first_asked(messages, place)
    question, context = clean_text(str(messages[place].text)), clean_text(render(messages[:first]))
    feedback: FeedbackKind = "first" if first == place else "history"
    if reply is not None and error is None:
        return question, context, read_draft(parser.parse(reply), reply, feedback=feedback, seconds=seconds)
    if error is None:
        return Flaw("no reply", "")
    return question, context, failed_draft(error, feedback=feedback, seconds=seconds)


def _first_asked(messages: Sequence[BaseMessage], place: int) -> int:
    """Where a question that is asked again, right after its answer, was first asked.

    A few words, such as "yes" or "go on", are another question each time.
    """
    question = str(messages[place].text)
    if len(question.split()) < _FEWEST_WORDS:
        return place
    while (before := last_human(messages[:place])) is not None and place - before > 1:
        if question_key(str(messages[before].text)) != question_key(question):
            break
        place = before
    return place


def group_calls(found: Iterable[Call | LostEntry]) -> Iterator[LoggedRun | LostEntry]:
    """Calls as runs. Nothing is kept in memory but one run at a time.

    A call that comes again is named as a duplicate; its labels and its target count all the same.
    """
    spool = Spool()
    try:
        for entry in found:
            if isinstance(entry, LostEntry):
                yield entry
            else:
                spool.add(_run_id(entry), f"{entry['started_at'] or ''} {entry['id']}", entry)
        for run_id, calls in spool.groups():
            once: dict[str, Call] = {}
            for call in calls:
                if call["id"] in once:
                    yield LostEntry(call["place"], Flaw("duplicate", f"id {call['id']} came before"))
                once[call["id"]] = _with_known(call, once.get(call["id"]))
            yield _as_run(run_id, list(once.values()))
    finally:
        spool.close()


def _run_id(call: Call) -> str:
    """Of thread, Reasoner, context and question, so that a grown export gives the same; of a call without a thread."""
    asked = f"{call['thread']}\n{call['reasoner']}\n{question_key(call['question'])}\n{call['context']}"
    identity = call["id"] if call["thread"] is None else asked
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:32]


def _with_known(call: Call, before: Call | None) -> Call:
    """A call with what an earlier sighting of it knew besides."""
    if before is None:
        return call
    target = before["target"] if call["target"] is None else call["target"]
    return {**call, "labels": [*before["labels"], *call["labels"]], "target": target}


def _as_run(run_id: str, calls: list[Call]) -> LoggedRun:
    attempts: list[Attempt] = []
    for call in calls:
        attempts.append(_as_attempt(call, attempts))
    last, answered = calls[-1], [index for index, call in enumerate(calls) if call["draft"]["answer"] is not None]
    labels: list[RunLabel] = [{**label, "turn": n} for n, call in enumerate(calls, 1) for label in call["labels"]]
    run: Run = {
        "schema": RUN_SCHEMA,
        "run_id": run_id,
        "started_at": calls[0]["started_at"] or "",
        "question": last["question"],
        "context": calls[0]["context"],
        "answer": attempts[answered[-1]]["answer"] if answered else None,
        "score": None,
        "accepted": False,
        "stop_reason": "max_turns",
        "choice": answered[-1] if answered else None,
        "attempts": attempts,
        "usage": add_usage(attempt["usage"] for attempt in attempts),
        "seconds": sum(attempt["seconds"] for attempt in attempts),
        "reasoner": last["reasoner"],
        "dm": None,
        "prompts": "",
        "policy": "",
        "origin": "traced",
        "sample_id": None,
        "target": next((call["target"] for call in calls if call["target"] is not None), None),
        "draw": None,
        "labels": labels,
    }
    dataset = next((call["dataset"] for call in calls if call["dataset"] is not None), None)
    return LoggedRun(
        calls[0]["place"],
        run,
        ids=[call["id"] for call in calls],
        times=[call["started_at"] for call in calls],
        dataset=dataset,
    )


def _as_attempt(call: Call, before: list[Attempt]) -> Attempt:
    draft = call["draft"]
    given = SignalInput(question=call["question"], draft=draft, attempts=before)
    attempt: dict[str, Any] = {
        **draft,
        "feedback": "fresh" if before and draft["feedback"] == "first" else draft["feedback"],
        "turn": len(before) + 1,
        "signals": compute_signals(DEFAULT_SIGNALS, given),
        "logit": None,
        "score": None,
        "score_error": None,
        "verdict": None,
    }
    return attempt  # type: ignore[return-value]
