"""Traces for tests: agents that are run under a trace log, what LangSmith would export of them, and runs by hand."""

import json
from pathlib import Path

from fakes import ScriptedChatModel, TableDM

from drr_agent import create_drr_graph
from drr_agent.grading import get_grader
from drr_agent.policy import ThresholdPolicy
from drr_agent.tracing import TraceLog
from drr_agent.training.labels import Labeler
from drr_agent.training.sources.attempts import RunSource
from drr_agent.training.sources.protocol import LoggedRun, LostEntry

QUESTION = {"messages": [("user", "What is 2 + 2?")]}
LABELER = Labeler(grader=get_grader("auto"))


def drr_graph(*replies, scores=None, **settings):
    """A drr graph that accepts from 0.5 up."""
    table = {"3": 0.2, "4": 0.9} if scores is None else scores
    return create_drr_graph(
        ScriptedChatModel(replies=list(replies)), TableDM(table), policy=ThresholdPolicy(threshold=0.5), **settings
    )


def traced(runnable, given, path: Path, *, times=1, **config):
    """The trace log of an agent that was invoked so many times."""
    agent = runnable.with_config(callbacks=[TraceLog(path=path)])
    for _ in range(times):
        agent.invoke(given, config=config)
    return path


def read_lines(path: Path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write_lines(path: Path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_nested(path: Path):
    """A trace log as an export of LangSmith with children inside."""
    return [{name: value for name, value in line.items() if name != "drr_trace"} for line in read_lines(path)]


def as_flat(path: Path):
    """The same, one run a row."""
    rows, waiting = [], as_nested(path)
    while waiting:
        run = waiting.pop(0)
        waiting = [*run.pop("child_runs"), *waiting]
        rows.append(run)
    return rows


def find_run(rows, name):
    """The first run of a name, wherever it is nested."""
    waiting = [*rows]
    while waiting:
        run = waiting.pop(0)
        if run["name"] == name:
            return run
        waiting += run.get("child_runs", ())
    raise AssertionError(f"no run {name!r}")


def make_row(run_id="r1", **changes):
    """A root chain with a question and an answer, in the names of LangSmith."""
    row = {
        "id": run_id,
        "name": "agent",
        "run_type": "chain",
        "start_time": "2026-01-01T00:00:00.000000",
        "end_time": "2026-01-01T00:00:01.500000",
        "extra": {"metadata": {}},
        "error": None,
        "inputs": {"messages": [{"role": "user", "content": "What is 2 + 2?"}]},
        "outputs": {"messages": [{"type": "human", "content": "What is 2 + 2?"}, {"type": "ai", "content": "4"}]},
        "parent_run_id": None,
        "trace_id": run_id,
        "dotted_order": f"20260101T000000000000Z{run_id}",
    }
    return {**row, **changes}


def make_call(run_id="c1", parent="r1", **changes):
    """A chat-model call below a root."""
    row = {
        "name": "model",
        "run_type": "llm",
        "extra": {"metadata": {"ls_model_name": "small-1"}},
        "inputs": {"messages": [[_constructor("HumanMessage", "What is 2 + 2?")]]},
        "outputs": {"generations": [[{"text": "4", "message": _constructor("AIMessage", "4")}]]},
        "parent_run_id": parent,
        "trace_id": parent,
        "dotted_order": f"20260101T000000000000Z{parent}.20260101T000000100000Z{run_id}",
    }
    return make_row(run_id, **{**row, **changes})


def _constructor(name, content):
    path = ["langchain", "schema", "messages", name]
    return {"lc": 1, "type": "constructor", "id": path, "kwargs": {"content": content}}


def runs_of(reader):
    """The runs that a reader gives; a lost entry fails the test."""
    entries = list(reader.entries())
    assert [entry for entry in entries if isinstance(entry, LostEntry)] == []
    return [entry.run for entry in entries]


def lost_of(reader):
    return [(entry.place, *entry.flaw) for entry in reader.entries() if isinstance(entry, LostEntry)]


def kept_of(reader):
    return [entry for entry in reader.entries() if isinstance(entry, LoggedRun)]


def behaviors_of(reader):
    """What a harvest makes of a reader's runs, flaws included."""
    found = [outcome.content for outcome in RunSource(reader=reader, labeler=LABELER).outcomes()]
    return sorted(found, key=repr)
