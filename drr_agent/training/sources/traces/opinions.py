"""The judgments and corrections in a trace: which answer each is about, and which of them nobody can tell that of."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LostEntry
from drr_agent.training.sources.traces.span_tree import Span
from drr_agent.training.sources.traces.tree_view import TreeView
from drr_agent.training.sources.traces.verdicts import Judgment


class Opinions:
    """What was said of the spans of one trace. What is taken from it was heard; the rest is lost, and told of."""

    def __init__(self, spans: Mapping[str, Span]) -> None:
        self._spans = spans
        self.judged = [span for span in spans.values() if span.judgments or span.target is not None]
        """The spans of which something was said."""
        self._has_targets = any(span.target is not None for span in self.judged)
        self._heard: set[str] = set()
        self._aimed: set[str] = set()

    def around(self, span_id: str | None) -> Iterator[Span]:
        """A span and those that it is in, innermost first."""
        seen: set[str] = set()
        while span_id is not None and span_id in self._spans and span_id not in seen:
            seen.add(span_id)
            yield self._spans[span_id]
            span_id = self._spans[span_id].parent

    def take(self, span: Span) -> Sequence[Judgment]:
        """The judgments of a span, which are heard by that."""
        self._heard.add(span.id)
        return span.judgments

    def take_target(self, spans: Sequence[Span]) -> str | None:
        """The first target of these, which are all heard by that."""
        self._aimed |= {span.id for span in spans}
        return next((span.target for span in spans if span.target is not None), None)

    def about(self, attempt: Span, among: "Attempts", view: TreeView) -> list[Span]:
        """The judged spans whose answer is that of an attempt; of several answers nobody knows which is meant.

        Args:
            attempt: one of `among`.
            among: the attempts of the tree.
            view: the tree.
        """
        if len(view.exchanges.of(attempt).replies) > 1:
            return []
        answer, around = view.exchanges.answer(attempt), {span.id for span in self.around(attempt.id)}

        def is_meant(span: Span) -> bool:
            said = view.exchanges.answer(span)
            return said == answer if said is not None else span.id in around and among.count_in(span) == 1

        others = (span for span in self.judged if not among.has(span) and view.tree.holds(span))
        return [span for span in self.judged if span is attempt] + [span for span in others if is_meant(span)]

    def target(self, attempt: Span, about: Sequence[Span], view: TreeView) -> str | None:
        """The answer that an attempt should have given.

        What a whole trace without words of its own should have given is the target of its first question.
        """
        if not self._has_targets:
            return None
        found = self.take_target([attempt, *about])
        if found is not None or view.exchanges.of(attempt).question != view.first_question:
            return found
        around = [span for span in self.around(attempt.id) if view.exchanges.answer(span) is None]
        return self.take_target(around)

    def unheard(self) -> Iterator[LostEntry]:
        """What was said of spans that are no attempts and gave no attempt's answer."""
        for span in self.judged:
            count = 0 if span.id in self._heard else len(span.judgments)
            count += span.target is not None and span.id not in self._aimed
            if count:
                detail = f"{count} judgment{'s' * (count > 1)} that goes with no attempt's answer"
                yield LostEntry(span.place, Flaw("bad value", detail))


class Attempts:
    """The spans of one tree that are attempts."""

    def __init__(self, spans: Sequence[Span], opinions: Opinions) -> None:
        self.spans = spans
        self._ids = {span.id for span in spans}
        self._inside = Counter(outer.id for span in spans for outer in opinions.around(span.id))

    def has(self, span: Span) -> bool:
        """Whether a span is an attempt."""
        return span.id in self._ids

    def count_in(self, span: Span) -> int:
        """How many attempts there are in a span, itself included."""
        return self._inside[span.id]
