import asyncio
import dataclasses
import datetime
import enum
import json
import logging
import math
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fakes import FunctionChatModel, ScriptedChatModel
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.tracers import BaseTracer
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel, Field, SecretStr
from traces import QUESTION, as_flat, drr_graph, find_run, read_lines, traced

from drr_agent.tracing import TRACE_SCHEMA, TraceLog

KEY = "sk-abcdefghijklmnop"
FIELDS = {
    *("id", "name", "run_type", "start_time", "end_time", "extra", "error", "inputs", "outputs", "parent_run_id"),
    *("trace_id", "dotted_order", "tags", "child_runs"),
}


@dataclasses.dataclass
class Note:
    text: str
    password: str = "hunter2hunter2"


class Settings(BaseModel):
    name: str = "n"
    api_key: SecretStr = SecretStr(KEY)
    plain_api_key: str = KEY
    internal: str = Field(default="hidden", exclude=True)


class Shade(enum.Enum):
    DARK = "dark"


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


def echo(value):
    return RunnableLambda(lambda _: {"value": value}, name="echo")


def written(value, path):
    """What a log holds of a value that an agent returns."""
    return read_lines(traced(echo(value), {"question": "q"}, path))[0]["outputs"]["value"]


def a_circle():
    circle = {"name": "c"}
    circle["self"] = circle
    return circle


def test_a_line_is_a_whole_tree_in_the_fields_of_langsmith(tmp_path):
    path = traced(drr_graph("Answer: 3", "Answer: 4"), QUESTION, tmp_path / "deep" / "traces.jsonl")
    (line,) = read_lines(path)
    assert line.keys() == FIELDS | {"drr_trace"}
    assert line["drr_trace"] == TRACE_SCHEMA
    assert (line["name"], line["run_type"], line["parent_run_id"]) == ("drr", "chain", None)
    assert [child["name"] for child in line["child_runs"]] == [
        *("begin", "think", "score", "decide"),
        *("think", "score", "decide"),
    ]
    rows = as_flat(path)
    assert {row["trace_id"] for row in rows} == {line["id"]}
    assert all(row.keys() == FIELDS - {"child_runs"} for row in rows)
    assert [row["run_type"] for row in rows].count("llm") == 2
    orders = [row["dotted_order"] for row in rows]
    assert orders == sorted(orders)


def test_ids_are_those_that_other_tracers_see(tmp_path):
    seen = []

    class Other(BaseTracer):
        def _persist_run(self, run):
            seen.append(str(run.id))

    log = TraceLog(path=tmp_path / "t.jsonl")
    echo(1).invoke({}, config={"callbacks": [log, Other()]})
    assert [line["id"] for line in read_lines(log.path)] == seen


def test_messages_are_written_whole(tmp_path):
    reply = AIMessage(
        "four",
        id="m1",
        additional_kwargs={"reasoning_content": "two and two"},
        response_metadata={"logprobs": {"content": [{"token": "four", "logprob": -0.25}]}, "finish_reason": "stop"},
        usage_metadata={"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
    )
    path = traced(ScriptedChatModel(replies=[reply]), [SystemMessage("be brief"), HumanMessage("2+2?")], tmp_path / "t")
    (line,) = read_lines(path)
    asked = line["inputs"]["messages"][0]
    assert [message["kwargs"]["content"] for message in asked] == ["be brief", "2+2?"]
    kwargs = line["outputs"]["generations"][0][0]["message"]["kwargs"]
    for name in ("content", "id", "additional_kwargs", "usage_metadata"):
        assert kwargs[name] == getattr(reply, name)
    assert kwargs["response_metadata"]["logprobs"] == reply.response_metadata["logprobs"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(("a", 1), ["a", 1], id="tuple"),
        pytest.param({"a"}, ["a"], id="set"),
        pytest.param({1: "a", ("b", 2): None}, {"1": "a", "['b', 2]": None}, id="keys-that-are-no-text"),
        pytest.param(Note("hi"), {"text": "hi", "password": "[redacted]"}, id="dataclass"),
        pytest.param(Shade.DARK, "dark", id="enum"),
        pytest.param(np.float32(0.5), 0.5, id="numpy-float"),
        pytest.param(np.int64(3), 3, id="numpy-int"),
        pytest.param(-math.inf, "-Infinity", id="impossible-logprob"),
        pytest.param(math.nan, "NaN", id="nan"),
        pytest.param(True, True, id="bool"),
        pytest.param(2**70, hex(2**70), id="more-than-64-bits"),
        pytest.param(10**5000, hex(10**5000), id="more-digits-than-python-prints"),
        pytest.param(b"ab", "YWI=", id="bytes"),
        pytest.param("\ud83d half", "? half", id="half-a-character"),
        pytest.param(datetime.date(2026, 1, 2), "2026-01-02", id="date"),
        pytest.param(uuid.UUID(int=1), str(uuid.UUID(int=1)), id="uuid"),
        pytest.param(Path("a/b"), "a/b", id="path"),
        pytest.param(Unprintable(), "<Unprintable>", id="failing-repr"),
        pytest.param(a_circle(), {"name": "c", "self": "<dict>"}, id="circle"),
        pytest.param(ScriptedChatModel(replies=[KEY]), "<ScriptedChatModel>", id="a-model-handed-around"),
        pytest.param(ValueError("no"), "ValueError('no')", id="exception"),
    ],
)
def test_any_value_is_written_as_json(value, expected, tmp_path):
    assert written(value, tmp_path / "t.jsonl") == expected


ODD = st.sampled_from([Note("n"), Settings(), Shade.DARK, HumanMessage("q"), object(), a_circle(), "\ud83d"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes() | ODD,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=60)
@given(value=VALUES)
def test_no_value_costs_a_line(value, tmp_path_factory):
    path = traced(echo(value), {"question": "q"}, tmp_path_factory.mktemp("any") / "t")
    (line,) = map(json.loads, path.read_bytes().splitlines())  # of bytes: texts have ends of lines that JSON has not
    assert line["inputs"] == {"question": "q"}
    assert line["outputs"].keys() == {"value"}
    assert (line["outputs"]["value"] is None) == (value is None)


def test_settings_are_written_without_their_keys(tmp_path):
    assert written(Settings(), tmp_path / "t") == {
        "name": "n",
        "api_key": "[redacted]",
        "plain_api_key": "[redacted]",
    }


HIDDEN = "[redacted]"
NAMES = [
    *("api_key", "apiKey", "x-api-key", "OPENAI_API_KEY", "api_keys", "api key", "password", "passwords", "passphrase"),
    *("pwd", "db_pwd", "credential", "credentials", "client_secret", "secrets", "Authorization", "private_keys"),
    *("accessToken", "refresh_tokens", "id-token", "aws_access_key_id"),
]
OTHERS = ["question", "max_tokens", "token_count", "input_tokens", "keyboard", "author", "cpwd", "compass"]


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_under_the_name_of_a_secret_is_hidden(name, tmp_path):
    assert written({name: "hunter2"}, tmp_path / "t") == {name: HIDDEN}


@pytest.mark.parametrize("name", OTHERS)
def test_what_stands_under_another_name_is_not(name, tmp_path):
    assert written({name: ["hunter2"]}, tmp_path / "t") == {name: ["hunter2"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(value, value) for value in (None, True, False, 0, 7, 0.5)],
        (np.int64(3), 3),
        *[(value, HIDDEN) for value in ("hunter2", "", b"hunter2", ["hunter2"], ("hunter2",), [], {"hunter2"})],
        *[(value, HIDDEN) for value in ({"user": "bob", "value": "hunter2"}, [{"value": 1}], SecretStr("hunter2"))],
        *[(value, HIDDEN) for value in (Note("hunter2"), Shade.DARK, Path("hunter2"), object(), Unprintable())],
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_but_a_number_is_hidden(value, expected, tmp_path):
    assert written({"credentials": value}, tmp_path / "t") == {"credentials": expected}


ARGUMENTS = {
    "a text": ({"api_key": "hunter2", "user": "bob"}, {"api_key": HIDDEN, "user": "bob"}),
    "a list": ({"passwords": ["hunter2"], "n": 1}, {"passwords": HIDDEN, "n": 1}),
    "deeper": ([{"login": {"password": "hunter2"}}], [{"login": {"password": HIDDEN}}]),
    "in arguments": ({"arguments": '{"pwd": "hunter2"}'}, {"arguments": json.dumps({"pwd": HIDDEN})}),
    "not in ASCII": ({"api_key": "hunter2", "user": "Zoë"}, {"api_key": HIDDEN, "user": "Zoë"}),
}


@pytest.mark.parametrize("name", ["arguments", "args", "partial_json"])
@pytest.mark.parametrize(("given", "expected"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_the_json_of_arguments_is_searched_the_same_way(given, expected, name, tmp_path):
    shown = written({"function": {name: json.dumps(given)}}, tmp_path / "t")
    assert json.loads(shown["function"][name]) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{ "user" : "bob" }', id="without-secrets"),
        pytest.param('{ "max_tokens": 5,  "password": null }', id="a-secret-that-is-none"),
        pytest.param('"the password"', id="a-text"),
        pytest.param("my password?", id="no-json"),
    ],
)
def test_other_arguments_are_written_as_they_are(text, tmp_path):
    assert written({"arguments": text}, tmp_path / "t") == {"arguments": text}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"user": "bob", "api_key": "hunter2hunter2"', id="torn"),
        pytest.param('{"password": "hunter2hunter2", "n": ' + "9" * 5_000 + "}", id="more-digits-than-python-reads"),
        pytest.param('{"password": "hunter2hunter2", "n": ' + "[" * 99_999, id="too-deep"),
    ],
)
def test_arguments_that_are_no_json_are_searched_for_keys(text, tmp_path):
    shown = written({"arguments": text}, tmp_path / "t")["arguments"]
    assert HIDDEN in shown
    assert "hunter2" not in shown


def test_a_tool_and_who_calls_it_show_no_secret(tmp_path):
    @tool
    def login(api_key: str, user: str) -> str:
        """Log in."""
        return f"hello {user}"

    call = {"name": "login", "args": {"api_key": "hunter2", "user": "bob"}, "id": "1"}
    text = json.dumps(call["args"])
    reply = AIMessage(
        "",
        tool_calls=[call],
        invalid_tool_calls=[{"name": "login", "args": text, "id": "2", "error": "why"}],
        additional_kwargs={"tool_calls": [{"id": "1", "function": {"name": "login", "arguments": text}}]},
    )
    model = ScriptedChatModel(replies=[reply])
    agent = RunnableLambda(lambda asked: {"reply": model.invoke(asked["question"]), "said": login.invoke(call["args"])})
    path = traced(agent, {"question": "log in", "passwords": ["hunter2"]}, tmp_path / "t")
    assert "hunter2" not in path.read_text()
    assert "hello bob" in path.read_text()


def test_depth_ends_where_no_agent_goes(tmp_path):
    deep = "bottom"
    for _ in range(5_000):
        deep = [deep]
    assert "<list>" in json.dumps(written(deep, tmp_path / "t"))


def test_keys_never_reach_the_file(tmp_path):
    class Keyed(ScriptedChatModel):
        @property
        def _identifying_params(self):
            return {"openai_api_key": KEY, "model": "m", "default_headers": {"Authorization": f"Bearer {KEY}"}}

    failing = Keyed(replies=[RuntimeError(f"Incorrect API key provided: {KEY}")])
    log = TraceLog(path=tmp_path / "t.jsonl")
    with pytest.raises(RuntimeError):
        failing.invoke("q", config={"callbacks": [log], "metadata": {"openai_api_key": KEY, "thread_id": "t1"}})
    (line,) = read_lines(log.path)
    assert KEY not in log.path.read_text()
    assert line["extra"]["invocation_params"]["model"] == "m"
    assert line["extra"]["metadata"]["thread_id"] == "t1"
    assert line["error"].startswith("RuntimeError('Incorrect API key provided: [redacted]")
    assert not any("serialized" in row for row in as_flat(log.path))


def test_content_is_written_as_it_is_unless_told_otherwise(tmp_path):
    def hide(text):
        if "broken" in text:
            raise LookupError(text)
        return text.replace("Ann", "[name]")

    model = FunctionChatModel(function=lambda _: "hello Ann")
    model.invoke("Ann here", config={"callbacks": [TraceLog(path=tmp_path / "plain")]})
    model.invoke("Ann here, broken", config={"callbacks": [TraceLog(path=tmp_path / "hidden", redact=hide)]})
    assert "Ann here" in (tmp_path / "plain").read_text()
    hidden = (tmp_path / "hidden").read_text()
    assert "Ann" not in hidden
    assert "hello [name]" in hidden
    assert read_lines(tmp_path / "hidden")[0]["inputs"]["messages"][0][0]["kwargs"]["content"] == "[redacted]"


def test_inputs_are_kept_as_they_came(tmp_path):
    def agent(state):
        state["messages"].append({"role": "assistant", "content": "4"})
        return {"messages": state["messages"]}

    path = traced(RunnableLambda(agent), {"messages": [{"role": "user", "content": "q"}]}, tmp_path / "t")
    (line,) = read_lines(path)
    assert (len(line["inputs"]["messages"]), len(line["outputs"]["messages"])) == (1, 2)


def test_a_failing_agent_is_a_line_with_its_error(tmp_path):
    def fail(_):
        raise KeyError("nothing here")

    agent = RunnableLambda(fail).with_config(callbacks=[TraceLog(path=tmp_path / "t")])
    with pytest.raises(KeyError):
        agent.invoke("q")
    (line,) = read_lines(tmp_path / "t")
    assert line["error"].startswith("KeyError('nothing here')")
    assert line["inputs"] == {"input": "q"}
    assert line["end_time"] is not None


def test_a_log_that_cannot_be_written_costs_a_line_and_no_answer(tmp_path, caplog):
    log = TraceLog(path=tmp_path)
    with caplog.at_level(logging.ERROR, logger="drr_agent.tracing"):
        assert echo(1).invoke("q", config={"callbacks": [log]}) == {"value": 1}
    assert "is not in the log" in caplog.text


def test_nothing_is_remembered_once_a_root_has_ended(tmp_path):
    log = TraceLog(path=tmp_path / "t")
    agent = drr_graph("Answer: 4").with_config(callbacks=[log])
    agent.invoke(QUESTION)
    assert (log.run_map, log.order_map) == ({}, {})


def test_attached_inside_a_host_it_sees_that_part_alone(tmp_path):
    inner = drr_graph("Answer: 4").with_config(callbacks=[TraceLog(path=tmp_path / "t")])
    host = StateGraph(MessagesState)
    host.add_node("answer", inner)
    host.add_edge(START, "answer")
    host.add_edge("answer", END)
    host.compile().invoke(QUESTION)
    (line,) = read_lines(tmp_path / "t")
    assert (line["name"], line["parent_run_id"], line["trace_id"]) == ("drr", None, line["id"])


async def test_async_concurrent_runs_are_lines_of_their_own(tmp_path):
    log = TraceLog(path=tmp_path / "t")
    model = FunctionChatModel(function=lambda messages: f"echo {messages[-1].text}")
    agent = (RunnableLambda(lambda text: text) | model).with_config(callbacks=[log])
    await asyncio.gather(*(agent.ainvoke(f"q{n}") for n in range(20)))
    lines = read_lines(log.path)
    pairs = {(line["inputs"]["input"], line["outputs"]["output"]["content"]) for line in lines}
    assert pairs == {(f"q{n}", f"echo q{n}") for n in range(20)}
    assert all([child["run_type"] for child in line["child_runs"]] == ["chain", "llm"] for line in lines)
    assert log.run_map == {}


def test_threads_share_a_log(tmp_path):
    log, together = TraceLog(path=tmp_path / "t"), threading.Barrier(4)
    agent = RunnableLambda(lambda text: (together.wait(5), text)[1]).with_config(callbacks=[log])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(agent.invoke, map(str, range(16))))
    assert sorted(int(line["outputs"]["output"]) for line in read_lines(log.path)) == list(range(16))


async def test_streaming_writes_the_whole_reply(tmp_path):
    log = TraceLog(path=tmp_path / "t")
    graph = drr_graph("Answer: 4").with_config(callbacks=[log])
    async for _ in graph.astream(QUESTION, stream_mode="messages"):
        pass
    (line,) = read_lines(log.path)
    assert line["outputs"]["drr"]["answer"] == "4"
    assert find_run([line], "ScriptedChatModel")["outputs"]["generations"][0][0]["text"] == "Answer: 4"


def test_ten_megabytes_pass(tmp_path):
    long = "four " * 2_000_000
    path = traced(ScriptedChatModel(replies=[long]), "q", tmp_path / "t")
    assert read_lines(path)[0]["outputs"]["generations"][0][0]["text"] == long


def test_it_does_not_need_the_offline_path():
    code = "import sys, drr_agent.tracing; sys.exit(any(name.startswith('drr_agent.training') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
