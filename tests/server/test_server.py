"""The server of examples/server, as `langgraph dev` runs it: driven over HTTP on loopback, offline, without an account.

The tests read what a run looks like and not its answer: the Reasoner that ships draws at random.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from drr_agent.reasoners.resolve import POCKET
from drr_agent.reasoners.word_problems import generate
from drr_agent.training.harvest import harvest

ROOT = Path(__file__).parents[2]
ABSENT = [name for name in ("langgraph_cli", "langgraph_api") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.loopback,
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(bool(ABSENT), reason=f"NO SERVER: {', '.join(ABSENT)} absent, install 'drr-agent[server]'"),
    pytest.mark.skipif(not (POCKET / "model.safetensors").exists(), reason="make pocket has not been run"),
]

FIRST, SECOND = (sample["question"] for sample in generate(2, seed=11))
START_SECONDS = 60


class Server:
    """A running server: its address, its folder, its log."""

    def __init__(self, port, folder):
        self.address, self.folder = f"http://127.0.0.1:{port}", folder
        self.log = folder / "log"

    def ask(self, path, body=None):
        with urllib.request.urlopen(self.request(path, body), timeout=60) as reply:
            return json.load(reply)

    def events(self, path, body):
        """What a stream sends, as (event, data)."""
        with urllib.request.urlopen(self.request(path, body), timeout=60) as reply:
            lines = [line.decode().strip() for line in reply]
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        datas = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        return list(zip(names, datas, strict=True))

    def request(self, path, body):
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(self.address + path, data, {"content-type": "application/json"})

    def thread(self):
        return self.ask("/threads", {})["thread_id"]


def body(graph, question=FIRST, **settings):
    return {"assistant_id": graph, "input": {"messages": [{"role": "user", "content": question}]}, **settings}


def find_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(process, server):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}:\n{server.log.read_text()}"
        try:
            if server.ask("/ok")["ok"]:
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"no server after {START_SECONDS} s:\n{server.log.read_text()}")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The example as it ships, in a folder of its own."""
    folder = tmp_path_factory.mktemp("served") / "app"
    shutil.copytree(ROOT / "examples" / "server", folder)
    server = Server(find_free_port(), folder)
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--host", "127.0.0.1"]
    command += ["--port", server.address.rpartition(":")[2], "--no-browser", "--no-reload"]
    settings = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "HF_HUB_OFFLINE": "1"}
    settings |= {"HOME": str(folder), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with server.log.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        wait_until_up(process, server)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def test_the_loop_answers_without_a_thread(server):
    result = server.ask("/runs/wait", body("drr"))
    assert [message["type"] for message in result["messages"]] == ["human", "ai"]
    assert result["drr"]["question"] == FIRST


def test_callers_see_what_they_may_set(server):
    [assistant] = server.ask("/assistants/search", {"graph_id": "agent"})
    schema = server.ask(f"/assistants/{assistant['assistant_id']}/schemas")["context_schema"]
    assert set(schema["properties"]) == {"threshold", "max_turns", "review_below"}


@pytest.mark.parametrize(
    ("context", "attempts", "reason"),
    [
        pytest.param({"threshold": 0.0}, 1, "accepted", id="the first is accepted"),
        pytest.param({"threshold": 1.0, "max_turns": 2}, 2, "max_turns", id="none is"),
        pytest.param({"threshold": 1.0, "max_turns": 3}, 3, "max_turns", id="none is, in more turns"),
    ],
)
def test_context_sets_one_run(server, context, attempts, reason):
    run = server.ask("/runs/wait", body("agent", context=context))["drr"]
    assert (len(run["attempts"]), run["stop_reason"]) == (attempts, reason)


def test_a_setting_that_cannot_work_is_an_error(server):
    result = server.ask("/runs/wait", body("agent", context={"max_turns": 0}))
    assert result["__error__"]["error"] == "ValidationError"
    assert "max_turns" in result["__error__"]["message"]


@pytest.mark.parametrize("graph", ["drr", "agent"])
def test_a_stream_has_events_and_one_answer(server, graph):
    context = {"context": {"threshold": 1.0, "max_turns": 2}} if graph == "agent" else {}
    modes = {"stream_mode": ["custom", "messages-tuple"], "stream_subgraphs": True}
    events = server.events("/runs/stream", body(graph, **modes, **context))
    told = [data["type"] for name, data in events if name.startswith("custom")]
    assert told[:3] == ["drr.think", "drr.score", "drr.decide"]
    said = {message["id"]: message for name, data in events if name.startswith("messages") for message in data[:1]}
    assert [message["type"] for message in said.values() if message["type"] != "human"] == ["ai"]


def test_a_new_question_on_a_thread_starts_fresh(server):
    path = f"/threads/{server.thread()}/runs/wait"
    server.ask(path, body("drr", FIRST))
    result = server.ask(path, body("drr", SECOND))
    assert [message["type"] for message in result["messages"]] == ["human", "ai", "human", "ai"]
    assert FIRST in result["drr"]["context"]
    assert result["drr"]["attempts"][0]["turn"] == 1


def test_a_review_waits_is_resumed_and_harvested(server):
    thread = server.thread()
    context = {"threshold": 1.0, "max_turns": 2, "review_below": 1.0}
    waiting = server.ask(f"/threads/{thread}/runs/wait", body("agent", context=context))
    [interrupt] = waiting["__interrupt__"]
    assert interrupt["value"]["question"] == FIRST
    resume = {"assistant_id": "agent", "command": {"resume": {"verdict": "incorrect"}}, "context": context}
    done = server.ask(f"/threads/{thread}/runs/wait", resume)
    assert [label["value"] for label in done["drr"]["labels"]] == ["incorrect"]
    assert server.ask(f"/threads/{thread}/state")["next"] == []
    rows = harvest([server.folder / "checkpoints.sqlite"]).behaviors
    mine = [row for row in rows if row["run_id"] == done["drr"]["run_id"]]
    assert sorted(row["turn"] for row in mine) == [1, 2]
    assert "human:review" in [row["label_source"] for row in mine]


def test_nothing_blocks_the_servers_loop(server):
    server.ask("/runs/wait", body("drr"))
    server.ask("/runs/wait", body("agent"))
    log = server.log.read_text()
    assert "Blocking" not in log
    assert "no such table" not in log
