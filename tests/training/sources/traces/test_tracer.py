"""Our own trace log, from the agent that writes it to the behaviors that are harvested from it."""

import asyncio
import gzip
import json

import pytest
from fakes import ScriptedChatModel
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from traces import (
    QUESTION,
    behaviors_of,
    drr_graph,
    kept_of,
    lost_of,
    make_row,
    read_lines,
    runs_of,
    traced,
    write_lines,
)

from drr_agent.errors import DataError
from drr_agent.parsing import get_parser
from drr_agent.runs import RunLog
from drr_agent.tracing import TraceLog
from drr_agent.training.sources.run_log import RunLogReader
from drr_agent.training.sources.traces.tracer import TracerReader, is_trace_log


class HostState(MessagesState):
    drr: dict


def in_a_host(graph, **settings):
    """The graph as a node, between others."""
    host = StateGraph(HostState)
    host.add_node("before", lambda _: {})
    host.add_node("answer", graph)
    host.add_node("after", lambda _: {})
    for one, other in ((START, "before"), ("before", "answer"), ("answer", "after"), ("after", END)):
        host.add_edge(one, other)
    return host.compile(**settings)


def in_a_function(graph, **_):
    """The graph called by somebody's function, which hands on the answer alone."""
    return RunnableLambda(lambda given: {"answer": graph.invoke(given)["drr"]["answer"]})


def alone(graph, **_):
    return graph


class TestDrrGraphs:
    @pytest.mark.parametrize("around", [alone, in_a_host, in_a_function])
    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_a_trace_tells_what_the_run_log_tells(self, around, way, tmp_path):
        replies = ["Answer: 3", TimeoutError("slow"), "no answer", "Answer: 4", "Answer: 4"]
        log = RunLog(path=tmp_path / "runs.jsonl")
        graph = drr_graph(*replies, max_turns=5, run_log=log, explore=1.0, reasoner_failures=(TimeoutError,))
        agent = around(graph).with_config(callbacks=[TraceLog(path=tmp_path / "t.jsonl")])
        given = {**QUESTION, "drr_assignment": {"sample_id": "s1", "target": "4"}}
        asyncio.run(agent.ainvoke(given)) if way == "async" else agent.invoke(given)
        theirs, ours = RunLogReader(path=log.path), TracerReader(path=tmp_path / "t.jsonl")
        assert runs_of(ours) == runs_of(theirs)
        assert behaviors_of(ours) == behaviors_of(theirs)
        assert len(behaviors_of(ours)) == 5

    def test_turns_of_a_conversation_are_runs_of_their_own(self, tmp_path):
        log = RunLog(path=tmp_path / "runs.jsonl")
        graph = drr_graph("Answer: 4", "Answer: 3", "Answer: 4", run_log=log)
        host = in_a_host(graph, checkpointer=InMemorySaver())
        path = traced(host, QUESTION, tmp_path / "t", times=2, configurable={"thread_id": "t1"})
        assert behaviors_of(TracerReader(path=path)) == behaviors_of(RunLogReader(path=log.path))

    @pytest.mark.parametrize(("at", "turns"), [("think", 1), ("score", 1), ("decide", 2)])
    def test_a_run_that_was_interrupted(self, at, turns, tmp_path):
        """The second call of a node is where it stops."""
        graph = drr_graph("Answer: 3", "Answer: 4", checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": "t"}, "callbacks": [TraceLog(path=tmp_path / "t")]}
        graph.invoke(QUESTION, config, interrupt_before=[at])
        first = runs_of(TracerReader(path=tmp_path / "t"))
        graph.invoke(None, config, interrupt_before=[at])
        second = runs_of(TracerReader(path=tmp_path / "t"))[1:]
        assert [run["stop_reason"] for run in first + second] == ["interrupted"] * 2
        assert len(second[0]["attempts"]) == turns
        graph.invoke(None, config)
        whole = runs_of(TracerReader(path=tmp_path / "t"))[-1]
        assert {run["run_id"] for run in first + second} == {whole["run_id"]}
        assert {run["reasoner"] for run in first + second} == {whole["reasoner"]}
        assert whole["stop_reason"] == "accepted"

    def test_a_run_that_failed(self, tmp_path):
        graph = drr_graph("Answer: 3", ValueError("broken"))
        with pytest.raises(ValueError, match="broken"):
            traced(graph, QUESTION, tmp_path / "t")
        (run,) = runs_of(TracerReader(path=tmp_path / "t"))
        assert (run["stop_reason"], [attempt["answer"] for attempt in run["attempts"]]) == ("interrupted", ["3"])


def reply(text):
    return AIMessage(
        text,
        usage_metadata={"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
        response_metadata={"logprobs": {"content": [{"token": "4", "logprob": -0.5}]}, "finish_reason": "stop"},
    )


def a_model(*replies):
    return ScriptedChatModel(replies=list(replies))


def a_sequence(*replies):
    prompt = ChatPromptTemplate.from_messages([("system", "be brief"), ("human", "{question}")])
    return prompt | a_model(*replies) | StrOutputParser()


def an_agent(*replies):
    return create_agent(a_model(*replies), system_prompt="be brief")


class TestPlainAgents:
    @pytest.mark.parametrize(
        ("build", "given"),
        [
            pytest.param(a_model, "What is 2 + 2?", id="model"),
            pytest.param(a_sequence, {"question": "What is 2 + 2?"}, id="sequence"),
            pytest.param(an_agent, QUESTION, id="create_agent"),
        ],
    )
    @pytest.mark.parametrize("unit", ["auto", "root", "call"])
    def test_a_retry_in_a_thread_is_a_turn(self, build, given, unit, tmp_path):
        agent = build(reply("3"), reply("4"))
        path = traced(agent, given, tmp_path / "t", times=2, metadata={"thread_id": "t1"})
        reader = TracerReader(path=path, unit=unit)
        (run,) = runs_of(reader)
        assert (run["question"], run["answer"], run["origin"]) == ("What is 2 + 2?", "4", "traced")
        assert [attempt["answer"] for attempt in run["attempts"]] == ["3", "4"]
        assert run["usage"] == {"calls": 2, "unmetered_calls": 0, "input_tokens": 14, "output_tokens": 4}
        for attempt in run["attempts"]:
            assert (attempt["logprobs"], attempt["truncated"]) == ([-0.5], False)
        if unit != "call":
            assert [row["id"] for row in behaviors_of(reader)] == sorted(line["id"] for line in read_lines(path))

    def test_without_a_thread_each_is_a_run(self, tmp_path):
        path = traced(a_model("3", "4"), "What is 2 + 2?", tmp_path / "t", times=2)
        assert sorted(run["answer"] for run in runs_of(TracerReader(path=path))) == ["3", "4"]

    def test_a_failed_call_is_told_as_one(self, tmp_path):
        with pytest.raises(TimeoutError):
            traced(a_sequence(TimeoutError("too slow")), {"question": "2 + 2?"}, tmp_path / "t")
        (run,) = runs_of(TracerReader(path=tmp_path / "t"))
        assert [attempt["error"] for attempt in run["attempts"]] == ["TimeoutError('too slow')"]

    def test_the_parser_is_the_callers(self, tmp_path):
        path = traced(a_model("2 and 2.\nAnswer: 4"), "2 + 2?", tmp_path / "t")
        (run,) = runs_of(TracerReader(path=path, parser=get_parser("answer")))
        assert (run["attempts"][0]["rationale"], run["answer"]) == ("2 and 2.", "4")


LINE = {"drr_trace": 1, **make_row(), "child_runs": []}


class TestFiles:
    def test_what_a_reader_is(self, tmp_path):
        reader = TracerReader(path=tmp_path / "t.jsonl")
        assert (reader.location, reader.kind, reader.unit) == (str(tmp_path / "t.jsonl"), "trace", "auto")

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            pytest.param(json.dumps(LINE), True, id="trace"),
            pytest.param(json.dumps({"drr_trace": 99}), True, id="of-another-schema"),
            pytest.param('{"torn\n' + json.dumps(LINE), True, id="after-a-torn-line"),
            pytest.param(json.dumps(make_row()), False, id="langsmith"),
            pytest.param('{"question": "q", "answer": "4"}', False, id="table"),
            pytest.param("[1]", False, id="list"),
            pytest.param("", False, id="empty"),
        ],
    )
    def test_what_a_trace_log_is(self, content, expected, tmp_path):
        path = tmp_path / "file.jsonl"
        path.write_text(content)
        assert is_trace_log(path) is expected

    def test_a_missing_file_is_an_error(self, tmp_path):
        with pytest.raises(DataError, match="expected a file"):
            list(TracerReader(path=tmp_path / "no.jsonl").entries())

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            pytest.param(json.dumps(LINE)[:100], "torn or invalid JSON", id="torn"),
            pytest.param("5", "JSON that is not an object but int", id="number"),
            pytest.param(json.dumps(make_row()), "no trace of this log", id="no-trace"),
            pytest.param(json.dumps({**LINE, "drr_trace": 2}), "a trace of another schema than 1", id="schema"),
            pytest.param(json.dumps({**LINE, "drr_trace": True}), "a trace of another schema than 1", id="mark"),
        ],
    )
    def test_a_line_that_is_none_costs_that_line(self, line, reason, tmp_path):
        path = tmp_path / "t.jsonl"
        path.write_text("\n".join([json.dumps(LINE), line, json.dumps({**LINE, "id": "r2"})]))
        reader = TracerReader(path=path)
        ((place, flaw, detail),) = lost_of(reader)
        assert (place, flaw) == ("line 2", "unreadable")
        assert detail.startswith(reason)
        assert sorted(entry.ids for entry in kept_of(reader)) == [["r1"], ["r2"]]

    def test_the_cut_end_of_a_gzip_costs_what_stood_there(self, tmp_path):
        path = tmp_path / "t.jsonl.gz"
        lines = "".join(json.dumps({**LINE, "id": f"r{n}"}) + "\n" for n in range(50))
        path.write_bytes(gzip.compress(lines.encode())[:-20])
        reader = TracerReader(path=path)
        assert [flaw for _, flaw, _ in lost_of(reader)] == ["unreadable"]
        assert len(kept_of(reader)) >= 40

    def test_each_call_reads_anew(self, tmp_path):
        reader = TracerReader(path=write_lines(tmp_path / "t.jsonl", [LINE]))
        assert list(reader.entries()) == list(reader.entries())
