"""Agents with scripted models: what the tests of the middleware share."""

import asyncio
import re
from typing import Any

import pytest
from fakes import ScriptedChatModel, TableDM
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import PrivateAttr

from drr_agent import ThresholdPolicy
from drr_agent.middleware import DRRMiddleware

QUESTION = {"messages": [HumanMessage("What is 2 + 2?", id="question")]}
THREAD = {"configurable": {"thread_id": "1"}}
TABLE = {"3": 0.2, "4": 0.9, "5": 0.3, "6": 0.1}
"""Only 4 is accepted, and 5 is the best of the rest."""


class AgentModel(ScriptedChatModel):
    """A scripted model that takes tools and remembers how it was bound."""

    _bound: list[dict[str, Any]] = PrivateAttr(default_factory=list)

    @property
    def bound(self):
        return self._bound

    def bind_tools(self, tools, **settings):
        self._bound.append({"tools": [getattr(tool, "name", tool) for tool in tools], **settings})
        return self


class StreamingModel(AgentModel):
    """Gives each word of its replies by itself."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        message = self._generate(messages).generations[0].message
        for word in re.findall(r"\S+\s*|^$", message.text):
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        for index, call in enumerate(message.tool_calls):
            piece = {"name": call["name"], "args": "{}", "id": call["id"], "index": index}
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[piece]))


def lookup() -> str:
    """Look it up."""
    return "it is even"


def ask(name="lookup", call_id="c1", **arguments):
    """A reply that asks for a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id}])


def make_agent(*replies, dm=None, tools=(lookup,), model=AgentModel, outer=(), inner=(), agent=None, **settings):
    """An agent that remembers, and its model. `outer` stands before the middleware in the list, `inner` after it."""
    scripted = model(replies=list(replies))
    settings = {"policy": ThresholdPolicy(), **settings}
    drr = DRRMiddleware(dm=TableDM(TABLE) if dm is None else dm, **settings)
    options = {"checkpointer": InMemorySaver(), **(agent or {})}
    return create_agent(scripted, list(tools), middleware=[*outer, drr, *inner], **options), scripted


def in_thread(agent, given=None, config=THREAD):
    return agent.invoke(QUESTION if given is None else given, config)


def on_loop(agent, given=None, config=THREAD):
    return asyncio.run(agent.ainvoke(QUESTION if given is None else given, config))


def texts(result):
    """What the thread says; requests for tools are empty."""
    return [message.text for message in result["messages"]]


def run_of(agent, config=THREAD):
    """The run that the thread remembers."""
    return agent.get_state(config).values.get("drr")


def answers(run):
    return [attempt["answer"] for attempt in run["attempts"]]


BOTH_WAYS = pytest.mark.parametrize("run", [in_thread, on_loop], ids=["sync", "async"])
BOTH_DRAFTS = pytest.mark.parametrize("drafts", ["hidden", "visible"])
