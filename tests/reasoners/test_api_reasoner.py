"""A real API Reasoner: `transformers serve` with the pocket model on loopback, asked through ChatOpenAI.

The server says how many tokens a reply took, and gives no log probabilities (it ignores that they are asked for).
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import pytest_asyncio
from fakes import TableDM
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

from drr_agent.graphs import create_drr_graph
from drr_agent.policy import ThresholdPolicy
from drr_agent.prompts import Prompts
from drr_agent.reasoners import create_reasoner, describe_reasoner
from drr_agent.reasoners.resolve import POCKET
from drr_agent.reasoners.word_problems import generate

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(not (POCKET / "model.safetensors").exists(), reason="make pocket has not been run"),
]

QUESTION = generate(1, seed=11)[0]["question"]
ASK = Prompts().ask(HumanMessage(QUESTION))
START_SECONDS = 90


class AnyAnswerDM(TableDM):
    """Scores low at first, high from the third attempt on, so that a run takes three turns."""

    def __init__(self):
        super().__init__({})

    def score(self, requests):
        self.table |= {request.answer: 0.9 if len(self.requests) >= 2 else 0.1 for request in requests}
        return super().score(requests)


def find_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(server, port, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the server ended with {server.returncode}:\n{log.read_text()}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"no server after {START_SECONDS} s:\n{log.read_text()}")


@pytest.fixture(scope="module")
def base_url(tmp_path_factory):
    """The address of a server that this process started and will end."""
    folder, port = tmp_path_factory.mktemp("serve"), find_free_port()
    log = folder / "log"
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(POCKET)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--default-seed", "7"]
    environment = {
        **os.environ,
        "HOME": str(folder),
        "HF_HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    with log.open("w") as sink, subprocess.Popen(command, stdout=sink, stderr=sink, env=environment) as server:
        try:
            wait_until_up(server, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(base_url):
    """Greedy. LangChain shares connections per address, which belong to one event loop: they are closed on it."""
    reasoner = create_reasoner(f"openai:{POCKET}", base_url=base_url, temperature=0.0, timeout=30, logprobs=True)
    yield reasoner
    reasoner.root_client.close()
    await reasoner.root_async_client.close()


@pytest.fixture
def graph(base_url, served):
    """Samples at the model's own temperature."""
    reasoner = create_reasoner(f"openai:{POCKET}", base_url=base_url, timeout=30)
    return create_drr_graph(reasoner, AnyAnswerDM(), policy=ThresholdPolicy(threshold=0.5), max_turns=3)


def check_reply(served, reply):
    """The server says what the local Reasoner says."""
    local = create_reasoner("pocket", temperature=0.0).invoke([ASK])
    assert isinstance(served, ChatOpenAI)
    assert describe_reasoner(served) == "openai:pocket"
    assert reply.text == local.text
    assert "Answer:" in reply.text
    assert reply.usage_metadata["input_tokens"] == local.usage_metadata["input_tokens"]
    assert reply.usage_metadata["output_tokens"] == local.usage_metadata["output_tokens"]


def check_run(output):
    """Three turns through the server, every one metered."""
    run = output["drr"]
    assert run["reasoner"] == "openai:pocket"
    assert run["usage"]["calls"] == len(run["attempts"]) == 3
    assert run["usage"]["unmetered_calls"] == 0
    assert run["usage"]["output_tokens"] > 0
    assert any(attempt["answer"] is not None for attempt in run["attempts"])
    assert all(attempt["error"] is None and attempt["logprobs"] is None for attempt in run["attempts"])
    assert output["messages"][-1].text.strip()


def test_sync_reply(served):
    check_reply(served, served.invoke([ASK]))


@pytest.mark.asyncio(loop_scope="module")
async def test_async_reply(served):
    check_reply(served, await served.ainvoke([ASK]))


def test_stream_gives_text_and_usage(served):
    chunks = list(served.stream([ASK]))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert "Answer:" in whole.text
    assert whole.usage_metadata["output_tokens"] > 5
    assert len(chunks) > 5


def test_graph_sync(graph):
    check_run(graph.invoke({"messages": [HumanMessage(QUESTION)]}))


@pytest.mark.asyncio(loop_scope="module")
async def test_graph_async(graph):
    check_run(await graph.ainvoke({"messages": [HumanMessage(QUESTION)]}))
