"""The spans of one trace as trees, walked without recursion: a trace may be as deep as its agent was lost."""

import base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from langchain_core.messages.ai import UsageMetadata

from drr_agent.parsing import clean_text
from drr_agent.training.sources.traces.verdicts import Judgment

_BASE64_LENGTHS = (12, 24)
"""Characters of eight and of sixteen bytes."""

_MOST_TURNS = 2**31
_MOST_DIGITS = 20

SpanKind = Literal["call", "agent", "trace", "other"]
"""A model call; an agent, chain, graph or traced function; the whole trace; a tool and the like."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """One span."""

    id: str
    parent: str | None
    place: str
    """Where in the store, for messages."""
    kind: SpanKind
    name: str = ""
    started_at: str | None = None
    """As `to_utc` gives it."""
    seconds: float = 0.0
    model: str | None = None
    thread: str | None = None
    request: Any = None
    """Plain JSON, or its text."""
    instructions: Any = None
    """System instructions that stand beside the request."""
    response: Any = None
    damage: str | None = None
    """Why request and response cannot be read, where the store has mangled them."""
    usage: UsageMetadata | None = None
    finish: str | None = None
    error: str | None = None
    judgments: Sequence[Judgment] = field(default_factory=list)
    target: str | None = None
    turn: int | None = None
    """The turn of a drr run that this call was made for."""
    uid: str | None = None
    """Its id as an attempt, where the store has one that no other trace has; else it is made of trace and id."""


class SpanTree(NamedTuple):
    """A span and all that is below it."""

    root: Span
    children: Mapping[str, Sequence[Span]]
    """By the parent's id."""

    def holds(self, span: Span) -> bool:
        """Whether a span is in it."""
        return span.id in self.children

    def walk(self, start: Span | None = None) -> Iterator[Span]:
        """A span and all below it, or all spans, parents first."""
        waiting = [self.root if start is None else start]
        while waiting:
            span = waiting.pop()
            yield span
            waiting.extend(reversed(self.children.get(span.id, ())))

    def ended(self) -> Iterator[Span]:
        """All spans in the order in which they ended: what ran in a span comes before it."""
        found, waiting = [], [self.root]
        while waiting:
            found.append(waiting.pop())
            waiting.extend(self.children.get(found[-1].id, ()))
        return reversed(found)

    def outermost(self, wanted: Callable[[Span], bool], *, below: Span | None = None) -> Iterator[Span]:
        """The wanted spans that are in no other wanted one."""
        waiting = [self.root] if below is None else [*reversed(self.children.get(below.id, ()))]
        while waiting:
            span = waiting.pop()
            if wanted(span):
                yield span
            else:
                waiting.extend(reversed(self.children.get(span.id, ())))

    def tops(self) -> Iterator[Span]:
        """The spans that are in no agent and no model call: the whole, what leads to the first of these, and they."""
        waiting = [self.root]
        while waiting:
            span = waiting.pop()
            yield span
            if span.kind in ("trace", "other"):
                waiting.extend(reversed(self.children.get(span.id, ())))


def read_span_id(value: Any) -> str | None:
    """The id of a span or a trace in hexadecimal digits, however OpenTelemetry's tools wrote it."""
    text = clean_text(value).strip().removeprefix("0x") if isinstance(value, str) else ""
    if len(text) in _BASE64_LENGTHS:
        try:
            return base64.b64decode(text, validate=True).hex()
        except ValueError:
            return text
    return text or None


def read_turn(metadata: Mapping[str, Any]) -> int | None:
    """The turn of a drr run that a call was made for, which its graph says in the metadata of the call."""
    turn = metadata.get("drr_turn")
    if isinstance(turn, str) and turn.isascii() and turn.isdecimal():  # some tracers know texts alone
        turn = int(turn[:_MOST_DIGITS])
    return turn if type(turn) is int and 0 < turn < _MOST_TURNS else None


def seconds_between(started_at: str | None, ended_at: str | None) -> float:
    """How long something took, of two times as `to_utc` gives them; 0 where nobody knows."""
    if started_at is None or ended_at is None:
        return 0.0
    return max(0.0, (datetime.fromisoformat(ended_at) - datetime.fromisoformat(started_at)).total_seconds())


def plant(spans: Iterable[Span]) -> Iterator[SpanTree]:
    """The trees of a trace: one for each span whose parent is not there, and one for each circle.

    Of spans that share an id the last counts.
    """
    held = {span.id: span for span in spans}
    below: dict[str, list[Span]] = defaultdict(list)
    for span in held.values():
        if span.parent is not None:
            below[span.parent].append(span)
    roots = [span for span in held.values() if span.parent not in held]
    seen: set[str] = set()
    for root in [*roots, *held.values()]:
        if root.id not in seen:
            yield _grow(root, below, seen)


def _grow(root: Span, below: Mapping[str, list[Span]], seen: set[str]) -> SpanTree:
    children: dict[str, list[Span]] = {}
    waiting = [root]
    seen.add(root.id)
    while waiting:
        span = waiting.pop()
        new = [child for child in below.get(span.id, ()) if child.id not in seen]
        seen.update(child.id for child in new)
        children[span.id] = new
        waiting.extend(new)
    return SpanTree(root, children)
