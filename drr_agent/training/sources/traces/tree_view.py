"""A tree of spans, and what was said in it: which of its spans are model calls, and which are agents that answered."""

from collections.abc import Iterator
from functools import cached_property

from drr_agent.training.sources.traces.exchanges import Exchange, asks_tools_alone, read_exchange
from drr_agent.training.sources.traces.span_tree import Span, SpanTree

AGENTS = ("agent", "trace")
"""Kinds of spans that are agents."""


class Exchanges:
    """What went into the spans of a trace and came out; each is read once."""

    def __init__(self) -> None:
        self._read: dict[str, Exchange] = {}

    def of(self, span: Span) -> Exchange:
        """What went into a span and came out."""
        if span.id not in self._read:
            self._read[span.id] = (
                Exchange([], [], damage=span.damage)
                if span.damage is not None
                else read_exchange(
                    span.request, span.response, instructions=span.instructions, is_call=span.kind == "call"
                )
            )
        return self._read[span.id]

    def answer(self, span: Span) -> str | None:
        """What an agent or a model call said; `None` of other spans."""
        return None if span.kind == "other" else self.of(span).answer


class TreeView:
    """One tree of a trace."""

    def __init__(self, tree: SpanTree, exchanges: Exchanges) -> None:
        self.tree = tree
        self.exchanges = exchanges
        self._tops = {span.id for span in tree.tops() if span.kind != "other"}

    @property
    def is_torn(self) -> bool:
        """Whether it is the part of a tree whose root is not here."""
        return self.tree.root.parent is not None

    @cached_property
    def tops(self) -> list[Span]:
        """The agents and model calls that are in no other one."""
        return [span for span in self.tree.walk() if span.id in self._tops]

    @cached_property
    def first_question(self) -> str | None:
        """The question of the tree, which its target is of."""
        asked = (self.exchanges.of(span).question for span in self.tree.walk())
        return next((question for question in asked if question is not None), None)

    def calls_in(self, span: Span) -> Iterator[Span]:
        """The model calls below a span."""
        return self.tree.outermost(lambda inner: inner.kind == "call", below=span)

    def is_top(self, span: Span) -> bool:
        """Whether a span is in no agent and no model call."""
        return span.id in self._tops

    def is_call(self, span: Span) -> bool:
        """Whether this is a model call: one that two tracers saw counts once, where its messages are."""
        if span.kind != "call":
            return False
        return self.exchanges.of(span).question is not None or not any(self.calls_in(span))

    def is_agent(self, span: Span) -> bool:
        """Whether this is an agent that was asked and answered, or failed, and not some function deep in a trace."""
        if span.kind not in AGENTS or self.exchanges.of(span).question is None:
            return False
        is_whole = self.is_top(span) and (not self.is_torn or any(self.calls_in(span)))
        if span.error is not None:
            return is_whole
        return self.exchanges.of(span).answer is not None and (is_whole or any(self.calls_in(span)))

    def has_answer(self, span: Span) -> bool:
        """Whether anything but requests for tools came of a span; also, as nobody knows, of one that says nothing."""
        replies = self.exchanges.of(span).replies
        return not replies or not all(map(asks_tools_alone, replies))
