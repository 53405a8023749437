"""Traces of agents that never used this package: the root's question and final answer, or each chat-model call."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage

from drr_agent.conversation import last_human
from drr_agent.parsing import Parser, read_usage
from drr_agent.state import Usage, add_usage
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LostEntry, Unit
from drr_agent.training.sources.traces.calls import Call, read_call
from drr_agent.training.sources.traces.chat_messages import read_sequence
from drr_agent.training.sources.traces.exchanges import Exchange, asks_tools_alone, read_exchange
from drr_agent.training.sources.traces.trace_feedback import Feedback, find_correction, to_labels
from drr_agent.training.sources.traces.trace_tree import TraceRun, Tree

_CHAT_LINE = re.compile(r"^(Human|AI|System|Tool|Function): ", re.MULTILINE)
_UNMETERED: Usage = {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0}
_BROKEN = (TypeError, ValueError, LookupError, AttributeError, RecursionError)
"""How the reading of a reply fails whose parts are not what they are called; a parser may be anybody's."""


class _Attempt(NamedTuple):
    """What was asked and what came back, of the whole agent or of one call."""

    id: str
    run: TraceRun
    exchange: Exchange
    reply: AIMessage | None
    calls: Sequence[AIMessage | None]
    """The replies of the chat-model calls behind it, `None` for one that failed; they are what it cost."""
    model: str | None
    feedback: Sequence[Feedback]


def read_calls(tree: Tree, *, parser: Parser, unit: Unit) -> Iterator[Call | LostEntry]:
    """What a trace tells of an agent's attempts.

    The root stands for the trace where it has a question and an answer, or an error; else each chat-model call does.
    Feedback on the root is about its answer, and so about the one chat-model call of a trace that has but one.
    """
    root, attempts = tree.root, list(_attempts(tree, unit))
    if not attempts:
        yield LostEntry(tree.place, Flaw("no question", "neither its root nor a chat-model call has one"))
        return
    for attempt in attempts:
        yield _to_call(attempt, f"{tree.place} run {attempt.id}", parser)
    if root is not None and root["feedback"] and not any(attempt.feedback for attempt in attempts):
        yield LostEntry(tree.place, Flaw("bad value", f"feedback on the root of {len(attempts)} chat-model calls"))


def _attempts(tree: Tree, unit: Unit) -> Iterator[_Attempt]:
    calls = [attempt for run in tree.runs if run["is_llm"] for attempt in _of_model(run)]
    root = tree.root
    if unit != "call" and root is not None and not root["is_llm"]:
        whole = _of_root(root, calls)
        ended = whole.reply is not None or root["error"] is not None
        if unit == "root" or (ended and whole.exchange.question is not None):
            yield whole
            return
    told_by_root = [] if root is None or root["is_llm"] or len(calls) != 1 else root["feedback"]
    yield from (call._replace(feedback=[*call.feedback, *told_by_root]) for call in calls)


def _of_root(root: TraceRun, calls: Sequence[_Attempt]) -> _Attempt:
    exchange = read_exchange(root["inputs"], root["outputs"], instructions=None, is_call=False)
    reply = exchange.replies[-1] if exchange.replies else None
    if reply is not None and (asks_tools_alone(reply) or _asks_last(root["outputs"])):
        reply = None
    feedback, last = [*root["feedback"]], calls[-1] if calls else None
    if reply is not None and last is not None and last.reply is not None and _same(reply, last.reply):
        reply = last.reply  # it says what it cost, which a bare text does not
        feedback += last.feedback
    made = [call.reply for call in calls]
    return _Attempt(root["id"], root, exchange, reply, made, None if last is None else last.model, feedback)


def _of_model(run: TraceRun) -> Iterator[_Attempt]:
    """A chat-model call; of one that was asked for several replies, each is an attempt."""
    exchange = read_exchange(_with_chat(run["inputs"]), run["outputs"], instructions=None, is_call=True)
    for place, reply in enumerate(exchange.replies or [None]):
        run_id = run["id"] if place == 0 else f"{run['id']}:{place + 1}"
        yield _Attempt(run_id, run, exchange, reply, (), run["model"], run["feedback"])


def _with_chat(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a call; older tracers wrote a chat down as one text, with who says what before each message."""
    prompts = inputs.get("prompts")
    text = prompts[0] if isinstance(prompts, list) and prompts else None
    if not isinstance(text, str) or not _CHAT_LINE.match(text):
        return inputs
    parts = _CHAT_LINE.split(text)[1:]
    return {"messages": [[role, said.strip()] for role, said in zip(parts[::2], parts[1::2], strict=True)]}


def _to_call(attempt: _Attempt, place: str, parser: Parser) -> Call | LostEntry:
    run, reply, exchange = attempt.run, attempt.reply, attempt.exchange
    if exchange.damage is not None:
        return LostEntry(place, Flaw("bad value", exchange.damage))
    if reply is not None and run["error"] is None and asks_tools_alone(reply):
        return LostEntry(place, Flaw("no reply", "it asks for tools alone"))
    try:
        found = read_call(exchange.messages, reply, parser=parser, error=run["error"], seconds=run["seconds"])
    except _BROKEN as error:
        return LostEntry(place, Flaw("bad value", f"{type(error).__name__}: {error}"))
    if isinstance(found, Flaw):
        return LostEntry(place, found)
    question, context, draft = found
    if attempt.calls:
        draft = {**draft, "usage": add_usage(read_usage(call) if call else _UNMETERED for call in attempt.calls)}
    return {
        "id": attempt.id,
        "place": place,
        "thread": run["thread"],
        "started_at": run["started_at"],
        "question": question,
        "context": context,
        "draft": draft,
        "reasoner": attempt.model or "unknown",
        "target": find_correction(attempt.feedback),
        "labels": to_labels(attempt.feedback),
        "dataset": None,
    }


def _same(one: AIMessage, other: AIMessage) -> bool:
    return str(one.text).strip() == str(other.text).strip()


def _asks_last(outputs: dict[str, Any]) -> bool:
    """Whether a conversation ends with a question, so that whatever else stands beside it is no answer."""
    messages = read_sequence(outputs.get("messages")) or []
    return bool(messages) and last_human(messages) == len(messages) - 1
