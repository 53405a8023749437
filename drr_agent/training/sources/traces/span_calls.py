"""An attempt in a trace as a call: its question, its reply, what it cost and what was said of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage

from drr_agent.metadata import read_usage
from drr_agent.parsing import Parser, clean_text
from drr_agent.state import Usage, add_usage
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LostEntry
from drr_agent.training.sources.traces.calls import Call, read_call
from drr_agent.training.sources.traces.chat_messages import complete_reply
from drr_agent.training.sources.traces.exchanges import asks_tools_alone
from drr_agent.training.sources.traces.opinions import Attempts, Opinions
from drr_agent.training.sources.traces.span_tree import Span
from drr_agent.training.sources.traces.tree_view import AGENTS, TreeView
from drr_agent.training.sources.traces.verdicts import to_labels

_BROKEN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""How the reading of a reply fails whose parts are not what they are called; a parser may be anybody's."""


@dataclass(frozen=True, kw_only=True)
class CallMaker:
    """Makes calls of the spans of one tree."""

    trace: str
    """Its id."""
    thread: str
    """Where a span does not tell its own."""
    view: TreeView
    opinions: Opinions
    parser: Parser

    def calls(self, span: Span, among: Attempts) -> Iterator[Call | LostEntry]:
        """A span as a call, or as several where it gave several replies; or why it is none.

        Args:
            span: one of `among`.
            among: the attempts of the tree.
        """
        exchange = self.view.exchanges.of(span)
        if exchange.damage is not None:
            yield LostEntry(span.place, Flaw("unreadable", exchange.damage))
            return
        replies: Sequence[AIMessage | None] = exchange.replies or [None]
        for number, reply in enumerate(replies):
            if reply is not None and span.error is None and asks_tools_alone(reply):
                yield LostEntry(span.place, Flaw("no reply", "it asks for tools alone"))
            else:
                yield self._call(span, self._with_cost(span, reply, number), number, among)

    def _call(self, span: Span, reply: AIMessage | None, number: int, among: Attempts) -> Call | LostEntry:
        messages = self.view.exchanges.of(span).messages
        try:
            found = read_call(messages, reply, parser=self.parser, error=span.error, seconds=span.seconds)
        except _BROKEN as error:
            return LostEntry(span.place, Flaw("bad value", f"{type(error).__name__}: {error}"))
        if isinstance(found, Flaw):
            return LostEntry(span.place, Flaw(found.reason, found.detail or _why(span, found)))
        question, context, draft = found
        if span.kind in AGENTS and any(self.view.calls_in(span)):
            draft = {**draft, "usage": add_usage(map(self._usage, self.view.calls_in(span)))}
        about = self.opinions.about(span, among, self.view)
        return {
            "id": self._id(span, number),
            "place": span.place,
            "thread": clean_text(span.thread or self.thread),
            "started_at": span.started_at,
            "question": question,
            "context": context,
            "draft": draft,
            "reasoner": self._reasoner(span),
            "target": self.opinions.target(span, about, self.view),
            "labels": to_labels(judgment for other in about for judgment in self.opinions.take(other)),
            "dataset": None,
        }

    def _id(self, span: Span, number: int) -> str:
        made = self.trace if span.kind == "trace" else f"{self.trace}:{span.id}"
        own = made if span.uid is None else span.uid
        return clean_text(own if number == 0 else f"{own}:{number + 1}")

    def _with_cost(self, span: Span, reply: AIMessage | None, number: int) -> AIMessage | None:
        """The reply with what is known of it: what came with the first stands beside the span.

        The answer of an agent is most often the reply of its last call, which says what a bare text does not.
        """
        if reply is None or number > 0:
            return reply
        last = [*self.view.calls_in(span)][-1:] if span.kind in AGENTS else []
        made = next((said for call in last for said in self._replies(call) if _text(said) == _text(reply)), reply)
        return complete_reply(made, usage=span.usage, finish=span.finish)

    def _replies(self, call: Span) -> list[AIMessage]:
        replies = self.view.exchanges.of(call).replies
        return [complete_reply(reply, usage=call.usage, finish=call.finish) for reply in replies[:1]] + replies[1:]

    def _usage(self, call: Span) -> Usage:
        """What a call cost; of one that failed nobody knows."""
        return read_usage(next(iter(self._replies(call)), complete_reply(AIMessage(""), usage=call.usage, finish=None)))

    def _reasoner(self, span: Span) -> str:
        if span.model is not None:
            return clean_text(span.model)
        models = {call.model for call in self.view.calls_in(span)} - {None}
        return clean_text(str(models.pop())) if len(models) == 1 else clean_text(span.name) or "unknown"


def _text(reply: AIMessage) -> str:
    return str(reply.text).strip()


def _why(span: Span, flaw: Flaw) -> str:
    held = span.request if flaw.reason == "no question" else span.response
    return "nothing of it was recorded" if held in (None, "") else "it is of no known form"
