"""One set of runs through every store: what is harvested is equal, row for row, to what our own log gives."""

import json
import re
from contextlib import contextmanager
from operator import itemgetter

import pytest
from fakes import FunctionChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from postgres_server import postgres_server

from drr_agent import RunLog, ThresholdPolicy, create_drr_graph
from drr_agent.dm import Score
from drr_agent.tracing import TraceLog
from drr_agent.training.harvest import harvest

ASKED = re.compile(r"What comes after (\d+)")
QUESTIONS = 300
PER_THREAD = 3


class ParityDM:
    """Believes even numbers."""

    digest = "parity000000"

    def score(self, requests):
        return [Score(0.25 if int(request.answer) % 2 else 0.75, logit=1.5) for request in requests]


def think(messages):
    """An answer by the question's number and the turn, which the messages after the question tell; at times none."""
    place, number = max((i, int(m[1])) for i, text in enumerate(messages) if (m := ASKED.match(str(text.text))))
    turn = (len(messages) - place + 1) // 2
    text = f"I think of {number} 🙂\nAnswer: {number + turn}" if (number + turn) % 7 else "I cannot tell."
    usage = {"input_tokens": 10 + number, "output_tokens": 5, "total_tokens": 15 + number}
    logprobs = {"content": [{"token": "a", "logprob": -0.25}, {"token": "b", "logprob": -0.5}]}
    return AIMessage(text, usage_metadata=usage, response_metadata={"logprobs": logprobs, "finish_reason": "stop"})


def make_graph(log, checkpointer=None):
    return create_drr_graph(
        FunctionChatModel(function=think),
        ParityDM(),
        policy=ThresholdPolicy(threshold=0.7),
        max_turns=3,
        feedback="history",
        run_log=RunLog(path=log),
        checkpointer=checkpointer,
        explore=0.2,
    )


def make_host(log, checkpointer):
    builder = StateGraph(MessagesState)
    builder.add_node("answer", make_graph(log))
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=checkpointer)


def run_all(graph, *, durability=None, callbacks=()):
    """Several questions on each thread, each with its target."""
    for number in range(QUESTIONS):
        config = {"configurable": {"thread_id": str(number // PER_THREAD)}, "callbacks": list(callbacks)}
        given = {
            "messages": [("user", f"What comes after {number}")],
            "drr_assignment": {"target": str(number + 1), "sample_id": str(number)},
        }
        graph.invoke(given, config, **({} if durability is None else {"durability": durability}))


def by_id(rows):
    return sorted(rows, key=itemgetter("id"))


def assert_same_rows(store, log, *, but=()):
    result = harvest([store], progress=False)
    rows, reference = by_id(result.behaviors), by_id(harvest([log], progress=False).behaviors)
    assert len({row["run_id"] for row in reference}) == QUESTIONS
    assert {"live", "explored"} <= {row["origin"] for row in reference}
    assert [row["id"] for row in rows] == [row["id"] for row in reference]
    for row, wanted in zip(rows, reference, strict=True):
        assert {k: v for k, v in row.items() if k not in but} == {k: v for k, v in wanted.items() if k not in but}
    assert result.drops == []


@contextmanager
def sqlite(tmp_path, _request):
    path = tmp_path / "checkpoints.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        saver.conn.execute("pragma synchronous = off")  # the disk's patience is not what is tested
        yield saver, path


@pytest.fixture(scope="module")
def server():
    with postgres_server() as address:
        yield address


@contextmanager
def postgresql(_tmp_path, request):
    from langgraph.checkpoint.postgres import PostgresSaver

    location = request.getfixturevalue("server")
    with PostgresSaver.from_conn_string(location) as saver:
        saver.setup()
        saver.conn.execute("truncate checkpoints, checkpoint_blobs, checkpoint_writes")
        yield saver, location


@contextmanager
def memory(_tmp_path, _request):
    saver = InMemorySaver()
    yield saver, saver


SAVERS = {"sqlite": sqlite, "postgresql": postgresql, "memory": memory}
KEPT = [*((store, how) for store in ("sqlite", "postgresql") for how in (None, "sync", "exit")), ("memory", None)]


@pytest.mark.parametrize(("store", "durability"), KEPT, ids=str)
def test_checkpointers(tmp_path, request, store, durability):
    with SAVERS[store](tmp_path, request) as (saver, location):
        run_all(make_graph(tmp_path / "runs.jsonl", saver), durability=durability)
        assert_same_rows(location, tmp_path / "runs.jsonl")


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_embedded_in_a_host_that_knows_nothing_of_it(tmp_path, request, store):
    with SAVERS[store](tmp_path, request) as (saver, location):
        run_all(make_host(tmp_path / "runs.jsonl", saver))
        assert_same_rows(location, tmp_path / "runs.jsonl")


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A run log, and the trace log of the same runs in a host."""
    folder = tmp_path_factory.mktemp("traced")
    run_all(make_host(folder / "runs.jsonl", InMemorySaver()), callbacks=[TraceLog(path=folder / "traces.jsonl")])
    return folder / "runs.jsonl", folder / "traces.jsonl"


def test_trace_logs(traced):
    log, traces = traced
    assert_same_rows(traces, log)


def flattened(run):
    children = run.pop("child_runs", [])
    return [run, *(row for child in children for row in flattened(child))]


@pytest.mark.parametrize("form", ["nested", "flat"])
def test_langsmith_exports(tmp_path, traced, form):
    log, traces = traced
    trees = [json.loads(line) for line in traces.read_text().splitlines()]
    rows = [row for tree in trees for row in ([tree] if form == "nested" else flattened(tree))]
    for row in rows:
        row.pop("drr_trace", None)
    export = tmp_path / "export.jsonl"
    export.write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    assert_same_rows(export, log)
