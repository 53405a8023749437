"""The runs of drr graphs in a trace, in whatever store it was found.

A run that ended is shown by its graph, its host and its last node, and by whatever judged it later: its labels are
those of all that show it, of each source the latest. A run that did not end is pieced together from what its nodes were
given and gave back: what `begin` fixed, and the attempts so far.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from drr_agent.runs import check_run
from drr_agent.state import Run, RunLabel
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.stored import UndecodableError, unfinished
from drr_agent.training.sources.traces.opinions import Opinions
from drr_agent.training.sources.traces.soft_json import decoded_softly, read_text
from drr_agent.training.sources.traces.span_tree import Span, plant
from drr_agent.training.sources.traces.tree_view import Exchanges
from drr_agent.training.sources.traces.verdicts import Judgment, to_labels
from drr_agent.training.times import to_utc

_MARKS = {"run_id", "question", "attempts"}
_GIVEN_IN = ("inputs", "input")
_TOLD_IN = ("output", "outputs", "update")
"""Where in the record of a node its update may stand: a tracer's own wrapping, and the `Command` that it returned."""
_DEEPEST = 3

_Sighting = tuple[Span, dict[str, Any]]
"""A span, and the run that it shows."""


class DrrRun(NamedTuple):
    """A run of a drr graph in a trace."""

    place: str
    record: Any
    """What should be a `Run`; or why there is none."""
    holders: set[str]
    """Ids of the spans that show it, or in which its nodes ran."""


def find_runs(spans: Iterable[Span]) -> dict[str, DrrRun]:
    """The runs in a trace, by their ids: whole where they ended, else as far as they came."""
    spans = list(spans)
    whole, partial = _whole_runs(spans), _partial_runs(spans)
    for run_id in whole.keys() & partial.keys():
        whole[run_id].holders.update(partial[run_id].holders)
    return {**partial, **whole}


def judged_runs(
    found: Mapping[str, DrrRun], opinions: Opinions, exchanges: Exchanges
) -> Iterator[LoggedRun | LostEntry]:
    """The runs with what was said of them, and those that cannot be read.

    It was said of a span that shows the run, of one around it that is around no other, of the call that an attempt was
    made by, or of one that gave the same answer.
    """
    about: dict[str, list[Span]] = defaultdict(list)
    for span in opinions.judged:
        owners = _owners(span, found, opinions, exchanges)
        if len(owners) == 1:
            about[owners[0]].append(span)
    for run_id, (place, record, _) in found.items():
        said = [(span.turn, judgment) for span in about[run_id] for judgment in opinions.take(span)]
        target = opinions.take_target(about[run_id])
        reason = record if isinstance(record, str) else check_run(record)
        if reason is None:
            yield LoggedRun(place, _judged(record, said, target))
        else:
            yield LostEntry(place, Flaw("unreadable", reason))


def _whole_runs(spans: Sequence[Span]) -> dict[str, DrrRun]:
    """Runs that ended: of several sightings the first that is sound, with the labels of all; else the first."""
    shown: dict[str, list[_Sighting]] = defaultdict(list)
    for span in spans:
        for layer in _layers(span.response, _TOLD_IN):
            record = layer.get("drr")
            if isinstance(record, dict) and record.keys() >= _MARKS and (run_id := read_text(record["run_id"])):
                shown[run_id].append((span, record))
    found = {}
    for run_id, sightings in shown.items():
        sound = ((span, record) for span, record in sightings if check_run(record) is None)
        span, record = next(sound, sightings[0])
        labels = _joined_labels(sightings, spans)
        record = {**record, "labels": labels} if labels else record
        found[run_id] = DrrRun(span.place, record, {span.id for span, _ in sightings})
    return found


def _joined_labels(sightings: Sequence[_Sighting], spans: Sequence[Span]) -> list[RunLabel]:
    """The labels of all sound sightings: of each source its latest, and of equal times what the later sighting says."""
    judged = [(span, record) for span, record in sightings if record.get("labels") and check_run(record) is None]
    if not judged:
        return []
    ended = {span.id: place for place, span in enumerate(chain.from_iterable(tree.ended() for tree in plant(spans)))}
    held: dict[tuple[int | None, str], list[RunLabel]] = {}
    for _, record in sorted(judged, key=lambda sighting: ended[sighting[0].id]):
        by_source: dict[tuple[int | None, str], list[RunLabel]] = defaultdict(list)
        for label in record["labels"]:
            by_source[label["turn"], label["source"]].append(label)
        held |= {key: labels for key, labels in by_source.items() if _latest(labels) >= _latest(held.get(key, ()))}
    return [*chain.from_iterable(held.values())]


def _latest(labels: Iterable[RunLabel]) -> str:
    """When something was last said; of no time where nobody knows."""
    return max((to_utc(label["at"]) or "" for label in labels), default="")


@dataclass(kw_only=True)
class _Partial:
    """What the nodes of one run have told of it so far."""

    place: str
    start: dict[str, Any]
    attempts: list[Any] = field(default_factory=list)
    graphs: set[str] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)

    def hear(self, span: Span, layers: Iterable[dict[str, Any]]) -> None:
        """Take what a node tells: its attempts, unless it was told of more before."""
        self.graphs.add(_graph_of(span))
        self.nodes.add(span.id)
        for layer in layers:
            made = layer.get("drr_attempts")
            if isinstance(made, list) and len(made) >= len(self.attempts):
                self.attempts = made

    def as_run(self) -> DrrRun:
        """The run as far as it came. What runs in a node is given the state too, which makes no graph of the node."""
        try:
            record: Run | str = unfinished(self.start, self.attempts)
        except UndecodableError as error:
            record = str(error)
        return DrrRun(self.place, record, self.graphs - self.nodes or self.graphs)


def _partial_runs(spans: Sequence[Span]) -> dict[str, DrrRun]:
    """Runs as far as their nodes tell of them."""
    found: dict[str, _Partial] = {}
    begun_in: dict[str, str] = {}
    for span in spans:
        layers = _told(span)
        start: Any = next((layer["drr_start"] for layer in layers if isinstance(layer.get("drr_start"), dict)), {})
        # a node whose inputs are hidden belongs to the run that its graph began
        run_id = read_text(start.get("run_id")) or begun_in.get(_graph_of(span))
        if run_id is not None:
            begun_in[_graph_of(span)] = run_id
            found.setdefault(run_id, _Partial(place=span.place, start=start)).hear(span, layers)
    return {run_id: partial.as_run() for run_id, partial in found.items()}


def _graph_of(span: Span) -> str:
    """The graph that a node is in; one without a parent stands for it."""
    return span.id if span.parent is None else span.parent


def _told(span: Span) -> list[dict[str, Any]]:
    """What a node tells of its run. What `begin` is given tells of the run before, which the thread remembers."""
    said = [*_layers(span.response, _TOLD_IN)]
    begins = any("drr_start" in layer for layer in said)
    return said if begins else [*_layers(span.request, _GIVEN_IN), *said]


def _layers(value: Any, wrappers: Sequence[str], depth: int = _DEEPEST) -> Iterator[dict[str, Any]]:
    """An object, given as one or as its JSON text, and those that are wrapped in it."""
    if isinstance(value, str) and '"drr' not in value:
        return
    found = decoded_softly(value)
    if isinstance(found, dict):
        yield found
        for name in wrappers if depth > 1 else ():
            yield from _layers(found.get(name), wrappers, depth - 1)


def _owners(span: Span, found: Mapping[str, DrrRun], opinions: Opinions, exchanges: Exchanges) -> list[str]:
    """The runs that a judged span may be about."""
    shown = [run_id for run_id, run in found.items() if span.id in run.holders]
    below = [run_id for run_id, run in found.items() if any(span in opinions.around(holder) for holder in run.holders)]
    if shown or below:
        return shown or below
    holding = (
        [run_id for run_id, run in found.items() if other.id in run.holders] for other in opinions.around(span.id)
    )
    inside = next(filter(None, holding), [])
    if span.turn is not None:
        return inside
    said = exchanges.answer(span)
    return [run_id for run_id in inside or found if said is not None and _answer(found[run_id]) == said]


def _answer(run: DrrRun) -> Any:
    return run.record.get("answer") if isinstance(run.record, dict) else None


def _judged(run: Run, said: Sequence[tuple[int | None, Judgment]], target: str | None) -> Run:
    turns = sorted({turn for turn, _ in said}, key=lambda turn: turn or 0)
    labels = [label for turn in turns for label in to_labels((item for at, item in said if at == turn), turn=turn)]
    known = run["target"] if target is None or run["target"] is not None else target
    return {**run, "target": known, "labels": [*run.get("labels", ()), *labels]} if labels or target else run
