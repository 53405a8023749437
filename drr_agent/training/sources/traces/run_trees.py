"""LangChain's run trees as spans, whoever kept them: our trace log, and LangSmith."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from drr_agent.parsing import Parser
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.traces.calls import Call
from drr_agent.training.sources.traces.span_tree import Span
from drr_agent.training.sources.traces.spans import group_entries, trace_entries
from drr_agent.training.sources.traces.trace_feedback import find_correction
from drr_agent.training.sources.traces.trace_tree import TraceRun, Tree

_CHAT_LINE = re.compile(r"^(Human|AI|System|Tool|Function): ", re.MULTILINE)


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


def _read_tree(tree: Tree, parser: Parser, unit: Unit) -> Iterator[Call | LoggedRun | LostEntry]:
    spans = [_as_span(run, f"{tree.place} run {run['id']}") for run in tree.runs]
    return trace_entries(_trace_of(tree), spans, unit=unit, parser=parser)


def _trace_of(tree: Tree) -> str:
    """The id of a trace, which is that of its root."""
    roots = [run["id"] for run in tree.runs if run["parent"] is None]
    return next(iter([*roots, *(run["trace"] or run["id"] for run in tree.runs)]), "")


def _as_span(run: TraceRun, place: str) -> Span:
    return Span(
        id=run["id"],
        uid=run["id"],
        parent=run["parent"],
        place=place,
        kind=run["kind"],
        name=run["name"],
        started_at=run["started_at"],
        seconds=run["seconds"],
        model=run["model"],
        thread=run["thread"],
        request=_request(run) or None,
        response=run["outputs"] or None,
        error=run["error"],
        judgments=[feedback for feedback in run["feedback"] if feedback["asked"]],
        target=find_correction(run["feedback"]),
        turn=run["turn"],
    )


def _request(run: TraceRun) -> dict[str, Any]:
    """The inputs of a run; older tracers wrote a chat down as one text, with who says what before each message."""
    prompts = run["inputs"].get("prompts") if run["kind"] == "call" else None
    text = prompts[0] if isinstance(prompts, list) and prompts else None
    if not isinstance(text, str) or not _CHAT_LINE.match(text):
        return run["inputs"]
    parts = _CHAT_LINE.split(text)[1:]
    return {"messages": [[role, said.strip()] for role, said in zip(parts[::2], parts[1::2], strict=True)]}
