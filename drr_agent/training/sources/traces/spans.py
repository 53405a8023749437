"""What of a trace is an attempt, in whatever store it was found.

By default the outermost agent that has a question and an answer is one attempt, and where there is none, each model
call is. A finished `drr` run in a span's output is that run, and stands for all that is in the span; then nothing
around it is an attempt but, where calls are asked for, other calls.

No attempts by design: tools, retrievers and other spans that are no agent and no model call; what is inside of an
attempt; a model call that asks for tools alone, unless nothing else came of its trace.

A judgment goes with the answer it judges. That of a span that is no attempt counts for the attempts of its tree that
gave the same answer, and that of an agent or a trace without an answer for its only attempt.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, cast

from langchain_core.messages import AIMessage

from drr_agent.parsing import Parser, clean_text, read_usage
from drr_agent.runs import check_run
from drr_agent.state import Run, RunLabel, Usage, add_usage
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.traces.calls import Call, group_calls, read_call
from drr_agent.training.sources.traces.chat_messages import complete_reply, decoded
from drr_agent.training.sources.traces.exchanges import Exchange, asks_tools_alone, read_exchange
from drr_agent.training.sources.traces.span_tree import Span, SpanTree, plant
from drr_agent.training.spool import Spool

_AGENTS = ("agent", "trace")
_RUN_MARKS = {"run_id", "question", "attempts"}


def group_entries(found: Iterable[Call | LoggedRun | LostEntry]) -> Iterator[LoggedRun | LostEntry]:
    """What was found in a store as its runs; those that are made of single calls come last."""
    calls = Spool()
    try:
        for entry in found:
            if isinstance(entry, LoggedRun | LostEntry):
                yield entry
            else:
                calls.add(entry["id"], "", entry)
        yield from group_calls(call for _, same in calls.groups() for call in same)
    finally:
        calls.close()


def trace_entries(
    trace: str, spans: Sequence[Span], *, unit: Unit, parser: Parser
) -> Iterator[Call | LoggedRun | LostEntry]:
    """The attempts of one trace, and what in it should be one but cannot be.

    Args:
        trace: its id.
        spans: in the order of their times; parents may be missing.
        unit: what is an attempt.
        parser: how the answer is read out of a reply.
    """
    for tree in plant(spans):
        yield from _TreeReader(trace, tree, unit, parser).entries()


class _TreeReader:
    """Reads one tree; what went into a span and came out is read once."""

    def __init__(self, trace: str, tree: SpanTree, unit: Unit, parser: Parser) -> None:
        self._trace, self._tree, self._unit, self._parser = trace, tree, unit, parser
        self._exchanges: dict[str, Exchange] = {}
        self._thread = next((span.thread for span in tree.walk() if span.thread is not None), trace)
        self._target = next((span.target for span in tree.walk() if span.target is not None), None)
        self._tops = {span.id for span in tree.tops() if span.kind != "other"}
        self._labelled = [span for span in tree.walk() if span.labels and span.kind != "other"]

    def entries(self) -> Iterator[Call | LoggedRun | LostEntry]:
        runs = {span.id: run for span in self._tree.walk() if (run := find_run(span.response)) is not None}
        held = list(self._tree.outermost(lambda span: span.id in runs))
        for span in held:
            yield self._logged(span, runs[span.id], alone=len(held) == 1)
        if held and self._unit != "call":
            return
        chosen = [span for span in self._chosen() if span.id not in runs]
        answers = [span for span in chosen if not all(map(asks_tools_alone, self._exchange(span).replies or [_SILENT]))]
        for span in answers:
            yield from self._attempts(span, answers)
        if not held and not answers:
            yield from self._without_attempts()

    def _chosen(self) -> Iterator[Span]:
        if self._unit == "call":
            return self._tree.outermost(lambda span: find_run(span.response) is not None or self._is_call(span))
        if self._unit == "root":
            return self._tree.outermost(
                lambda span: self._is_answer(span) or (span.id in self._tops and self._is_call(span))
            )
        return self._tree.outermost(lambda span: self._is_answer(span) or self._is_call(span))

    def _is_call(self, span: Span) -> bool:
        """Whether this is a model call: one that two tracers saw counts once, where its messages are."""
        if span.kind != "call":
            return False
        return self._exchange(span).question is not None or not any(self._calls_in(span))

    def _is_answer(self, span: Span) -> bool:
        """Whether this is an agent with a question and an answer, and not some function deep in a trace."""
        if span.kind not in _AGENTS or span.error is not None:
            return False
        exchange = self._exchange(span)
        if exchange.question is None or exchange.answer is None:
            return False
        return span.id in self._tops or any(self._calls_in(span))

    def _calls_in(self, span: Span) -> Iterator[Span]:
        return self._tree.outermost(lambda inner: inner.kind == "call", below=span)

    def _without_attempts(self) -> Iterator[Call | LostEntry]:
        """A tree that should have an attempt and has none: a failed one if there is one, else why not."""
        spans = [span for span in self._tree.walk() if span.kind != "other"]
        if self._unit == "call" and spans and all(span.kind != "call" for span in spans):
            yield LostEntry(spans[0].place, Flaw("no reply", "no model call in it"))
            return
        tops = [span for span in spans if span.id in self._tops]
        found = [next(self._attempts(span, [span])) for span in tops]
        yield from [entry for entry in found if not isinstance(entry, LostEntry)][:1] or found[:1]

    def _exchange(self, span: Span) -> Exchange:
        if span.id not in self._exchanges:
            read = read_exchange(
                span.request, span.response, instructions=span.instructions, is_call=span.kind == "call"
            )
            self._exchanges[span.id] = read if span.damage is None else Exchange([], [], damage=span.damage)
        return self._exchanges[span.id]

    def _attempts(self, span: Span, among: Sequence[Span]) -> Iterator[Call | LostEntry]:
        exchange = self._exchange(span)
        replies: Sequence[AIMessage | None] = exchange.replies or [None]
        for number, reply in enumerate(replies):
            if exchange.damage is not None:
                yield LostEntry(span.place, Flaw("unreadable", exchange.damage))
            elif reply is not None and asks_tools_alone(reply):
                yield LostEntry(span.place, Flaw("no reply", "it asks for tools alone"))
            else:
                yield self._attempt(span, reply, number, among)

    def _attempt(self, span: Span, reply: AIMessage | None, number: int, among: Sequence[Span]) -> Call | LostEntry:
        exchange = self._exchange(span)
        if reply is not None and number == 0:
            reply = complete_reply(reply, usage=span.usage, finish=span.finish)
        found = read_call(exchange.messages, reply, parser=self._parser, error=span.error, seconds=span.seconds)
        if isinstance(found, Flaw):
            return LostEntry(span.place, Flaw(found.reason, found.detail or _why(span, found)))
        question, context, draft = found
        if span.kind in _AGENTS and any(self._calls_in(span)):
            draft = {**draft, "usage": add_usage(self._usage(call) for call in self._calls_in(span))}
        own = self._trace if span.kind == "trace" else f"{self._trace}:{span.id}"
        return {
            "id": clean_text(own if number == 0 else f"{own}:{number + 1}"),
            "place": span.place,
            "thread": clean_text(span.thread or self._thread),
            "started_at": span.started_at,
            "question": question,
            "context": context,
            "draft": draft,
            "reasoner": self._reasoner(span),
            "target": self._target if len(among) == 1 or exchange.question == self._first_question else None,
            "labels": [*self._labels(span, among)],
            "dataset": None,
        }

    @cached_property
    def _first_question(self) -> str | None:
        """The question of the tree, whose target it is."""
        asked = (self._exchange(span).question for span in self._tree.walk())
        return next((question for question in asked if question is not None), None)

    def _reasoner(self, span: Span) -> str:
        if span.model is not None:
            return clean_text(span.model)
        models = {call.model for call in self._calls_in(span)} - {None}
        return clean_text(str(models.pop())) if len(models) == 1 else clean_text(span.name) or "unknown"

    def _usage(self, call: Span) -> Usage:
        reply = next(iter(self._exchange(call).replies), AIMessage(""))
        return read_usage(complete_reply(reply, usage=call.usage, finish=None))

    def _labels(self, span: Span, among: Sequence[Span]) -> Iterator[RunLabel]:
        """What was said of a span's answer; of several answers nobody knows which is meant."""
        answer = self._exchange(span).answer
        if answer is None:
            return
        yield from span.labels
        for other in self._labelled:
            said = self._exchange(other).answer
            is_whole = said is None and other.kind in _AGENTS and len(among) == 1
            if other not in among and (said == answer or is_whole):
                yield from other.labels

    def _logged(self, span: Span, run: Run | str, *, alone: bool) -> LoggedRun | LostEntry:
        """The run with what was said of it, or, of the only one, of the trace it is in."""
        if isinstance(run, str):
            return LostEntry(span.place, Flaw("unreadable", run))
        around = [other for other in self._labelled if other.kind in _AGENTS] if alone else [span]
        labels = [*run.get("labels", ()), *(label for other in around for label in other.labels)]
        target = self._target if run["target"] is None and alone else run["target"]
        return LoggedRun(span.place, {**run, "labels": labels, "target": target})


_SILENT = AIMessage("")


def find_run(response: Any) -> Run | str | None:
    """The `drr` run in a graph's output, or what is wrong with it; `None` where there is none."""
    if isinstance(response, str) and '"drr"' not in response:
        return None
    try:
        output = decoded(response)
    except RecursionError:
        return None
    record = output.get("drr") if isinstance(output, dict) else None
    if not isinstance(record, dict) or not record.keys() >= _RUN_MARKS:
        return None
    reason = check_run(record)
    return cast("Run", record) if reason is None else reason


def _why(span: Span, flaw: Flaw) -> str:
    held = span.request if flaw.reason == "no question" else span.response
    return "nothing of it was recorded" if held in (None, "") else "it is of no known form"
