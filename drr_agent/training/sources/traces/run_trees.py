"""LangChain run trees as runs: the core of every reader of traces, whoever kept them.

A tree in which a drr graph ran gives its `Run`, which the graph, its host and its last node all show, or as much of it
as its nodes came to tell. Any other tree is a plain agent's.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from drr_agent.parsing import Parser
from drr_agent.runs import check_run
from drr_agent.state import Run
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.stored import UndecodableError, unfinished
from drr_agent.training.sources.traces.spans import group_entries
from drr_agent.training.sources.traces.trace_calls import read_calls
from drr_agent.training.sources.traces.trace_feedback import Feedback, find_correction, to_labels
from drr_agent.training.sources.traces.trace_tree import TraceRun, Tree, read_id

_MARKS = {"run_id", "question", "attempts"}


class _Found(NamedTuple):
    """A drr run in a tree."""

    run: Any
    holders: set[str]
    """The runs of the tree that show it."""


def read_trees(trees: Iterable[Tree | LostEntry], *, parser: Parser, unit: Unit) -> Iterator[LoggedRun | LostEntry]:
    """The runs in many trees, which are looked at one at a time; those of plain agents come last.

    Args:
        trees: each whole.
        parser: how a plain agent's answer is read out of its reply.
        unit: what of a plain agent's trace is an attempt.
    """
    return group_entries(
        entry for tree in trees for entry in ([tree] if isinstance(tree, LostEntry) else _read_tree(tree, parser, unit))
    )


def _read_tree(tree: Tree, parser: Parser, unit: Unit) -> Iterator[Any]:
    found = _whole_runs(tree)
    found = {**_partial_runs(tree), **found}
    if not found:
        yield from read_calls(tree, parser=parser, unit=unit)
        return
    said, lost = _judgments(tree, found)
    for run_id, (record, _) in found.items():
        place = f"{tree.place} run {run_id}"
        reason = record if isinstance(record, str) else check_run(record)
        if reason is None:
            yield LoggedRun(place, _judged(record, said[run_id]))
        else:
            yield LostEntry(place, Flaw("unreadable", reason))
    if lost:
        yield LostEntry(tree.place, Flaw("bad value", f"feedback on a trace of {len(found)} drr runs"))


def _whole_runs(tree: Tree) -> dict[str, _Found]:
    """Runs that ended, by id: of several sightings the first that is sound, else the first."""
    shown: dict[str, list[dict[str, Any]]] = defaultdict(list)
    holders: dict[str, set[str]] = defaultdict(set)
    for run in tree.runs:
        for layer in _layers(run["outputs"]):
            record = layer.get("drr")
            if isinstance(record, dict) and record.keys() >= _MARKS and (run_id := read_id(record["run_id"])):
                shown[run_id].append(record)
                holders[run_id].add(run["id"])
    return {
        run_id: _Found(next((record for record in records if check_run(record) is None), records[0]), holders[run_id])
        for run_id, records in shown.items()
    }


def _partial_runs(tree: Tree) -> dict[str, _Found]:
    """Runs as far as their nodes tell of them, by id."""
    starts: dict[str, dict[str, Any]] = {}
    attempts: dict[str, list[Any]] = defaultdict(list)
    graphs: dict[str, set[str]] = defaultdict(set)
    begun_in: dict[str, str] = {}
    for run in tree.runs:
        said = [*_layers(run["outputs"])]
        begins = any("drr_start" in layer for layer in said)
        layers = said if begins else [run["inputs"], *said]  # what a thread remembers is another run's
        start: Any = next((layer["drr_start"] for layer in layers if isinstance(layer.get("drr_start"), dict)), {})
        graph = run["parent"] or run["id"]
        # a node whose inputs are hidden belongs to the run that its graph began
        run_id = read_id(start.get("run_id")) or begun_in.get(graph)
        if run_id is None:
            continue
        begun_in[graph] = run_id
        graphs[run_id].add(graph)
        starts.setdefault(run_id, start)
        for layer in layers:
            made = layer.get("drr_attempts")
            if isinstance(made, list) and len(made) >= len(attempts[run_id]):
                attempts[run_id] = made
    return {
        run_id: _Found(_try_unfinished(start, attempts[run_id]), graphs[run_id]) for run_id, start in starts.items()
    }


def _try_unfinished(start: dict[str, Any], attempts: list[Any]) -> Run | str:
    try:
        return unfinished(start, attempts)
    except UndecodableError as error:
        return str(error)


def _layers(outputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Where a node's update may stand: outright, or in the `Command` that it returned."""
    output = outputs.get("output")
    inner = output.get("update") if isinstance(output, dict) else None
    yield from (layer for layer in (outputs, output, inner) if isinstance(layer, dict))


def _judgments(tree: Tree, found: Mapping[str, _Found]) -> tuple[dict[str, list[tuple[int | None, Feedback]]], bool]:
    """The feedback on each drr run, with the turn it is about; and whether some is about nobody knows which.

    It stands on a run that shows the drr run, on the root, or on the call that an attempt was made by.
    """
    said: dict[str, list[tuple[int | None, Feedback]]] = defaultdict(list)
    above, lost = {run["id"]: run["parent"] for run in tree.runs}, False
    for run in (run for run in tree.runs if run["feedback"]):
        owners = _owners(run, above, found)
        if run is tree.root and not owners:
            owners = list(found)
        if len(owners) == 1:
            said[owners[0]] += [(run["turn"], feedback) for feedback in run["feedback"]]
        lost = lost or len(owners) > 1
    return said, lost


def _owners(run: TraceRun, above: Mapping[str, str | None], found: Mapping[str, _Found]) -> list[str]:
    """The drr runs that a run shows, or that the call of an attempt belongs to."""
    place: str | None = run["id"]
    for _ in range(len(above)):
        owners = [run_id for run_id, (_, holders) in found.items() if place in holders]
        if owners or place is None or run["turn"] is None:
            return owners
        place = above.get(place)
    return []


def _judged(run: Run, said: list[tuple[int | None, Feedback]]) -> Run:
    turns = sorted({turn for turn, _ in said}, key=lambda turn: turn or 0)
    labels = [label for turn in turns for label in to_labels([item for at, item in said if at == turn], turn=turn)]
    target = find_correction(feedback for _, feedback in said) if run["target"] is None else run["target"]
    return {**run, "target": target, "labels": [*run.get("labels", ()), *labels]} if said else run
