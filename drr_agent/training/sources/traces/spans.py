"""What of a trace is an attempt, in whatever store it was found.

A `drr` run in it is that run, whole or as far as it came (`drr_runs`); then nothing around it is an attempt but, where
calls are asked for, calls that are not in it.

Else the outermost agent that was asked and answered is one attempt, and where there is none, each model call is. An
agent that failed is a failed attempt where nothing is around it. A reply of several choices is several attempts.

No attempts by design: tools, retrievers and other spans that are no agent and no model call; what is inside of an
attempt; functions in which no model is called, unless they are the whole trace; a model call that asks for tools alone,
unless nothing else came of its trace.

A judgment goes with the answer it judges. That of a span that is no attempt counts for the attempts of its tree that
gave the same answer, and that of a span without an answer for the only attempt in it. What is left is told of as lost
(`opinions`); so are raters who disagree: together they say nothing (`verdicts`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from drr_agent.parsing import Parser
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.traces.calls import Call, group_calls
from drr_agent.training.sources.traces.drr_runs import DrrRun, find_runs, judged_runs
from drr_agent.training.sources.traces.opinions import Attempts, Opinions
from drr_agent.training.sources.traces.span_calls import CallMaker
from drr_agent.training.sources.traces.span_tree import Span, SpanTree, plant
from drr_agent.training.sources.traces.tree_view import Exchanges, TreeView
from drr_agent.training.spool import Spool


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
    held = {span.id: span for span in spans}
    runs, opinions, exchanges = find_runs(held.values()), Opinions(held), Exchanges()
    entries: list[Call | LoggedRun | LostEntry] = [*judged_runs(runs, opinions, exchanges)]
    for tree in plant(held.values()):
        thread = next((span.thread for span in tree.walk() if span.thread is not None), trace)
        view = TreeView(tree, exchanges)
        maker = CallMaker(trace=trace, thread=thread, view=view, opinions=opinions, parser=parser)
        entries += _TreeReader(view, maker, unit, runs).entries()
    yield from entries
    # what was said of a trace that is lost as a whole is lost with it
    if not entries or any(not isinstance(entry, LostEntry) for entry in entries):
        yield from opinions.unheard()


class _TreeReader:
    """Reads the attempts of one tree that are in no drr run."""

    def __init__(self, view: TreeView, maker: CallMaker, unit: Unit, runs: Mapping[str, DrrRun]) -> None:
        self._view, self._maker, self._unit = view, maker, unit
        self._holders = set(chain.from_iterable(run.holders for run in runs.values()))

    def entries(self) -> Iterator[Call | LostEntry]:
        shows_run = self._shows_run(self._view.tree)
        if self._view.tree.root.parent in self._holders or (shows_run and self._unit != "call"):
            return
        chosen = [span for span in self._chosen() if span.id not in self._holders]
        answers = Attempts([span for span in chosen if self._view.has_answer(span)], self._maker.opinions)
        for span in answers.spans:
            yield from self._maker.calls(span, answers)
        if not answers.spans and not shows_run:
            yield from self._without_attempts()

    def _shows_run(self, tree: SpanTree) -> bool:
        return any(span.id in self._holders for span in tree.walk())

    def _chosen(self) -> Iterator[Span]:
        view = self._view
        if self._unit == "call":
            return view.tree.outermost(lambda span: span.id in self._holders or view.is_call(span))
        if self._unit == "root":
            return view.tree.outermost(lambda span: view.is_agent(span) or (view.is_top(span) and view.is_call(span)))
        return view.tree.outermost(lambda span: view.is_agent(span) or view.is_call(span))

    def _without_attempts(self) -> Iterator[Call | LostEntry]:
        """A tree that should have an attempt and has none: a failed one if there is one, else why not."""
        spans = [span for span in self._view.tree.walk() if span.kind != "other"]
        is_call_wanted = self._unit == "call" or self._view.is_torn
        if is_call_wanted and spans and all(span.kind != "call" for span in spans):
            yield LostEntry(spans[0].place, Flaw("no reply", "no model call in it"))
            return
        alone = (Attempts([span], self._maker.opinions) for span in self._view.tops)
        found = [next(self._maker.calls(only.spans[0], only)) for only in alone]
        yield from [entry for entry in found if not isinstance(entry, LostEntry)][:1] or found[:1]
