"""What the user sees of it, and the steps of the graph."""

import asyncio

import pytest
from fakes import TableDM
from langchain.agents.middleware import (
    AgentMiddleware,
)
from middleware.agents import (
    BOTH_DRAFTS,
    QUESTION,
    THREAD,
    StreamingModel,
    answers,
    ask,
    make_agent,
    run_of,
    texts,
)


def messages_streamed(agent):
    return list(agent.stream(QUESTION, THREAD, stream_mode="messages"))


def messages_streamed_on_loop(agent):
    async def collect():
        return [item async for item in agent.astream(QUESTION, THREAD, stream_mode="messages")]

    return asyncio.run(collect())


BOTH_STREAMS = pytest.mark.parametrize("stream", [messages_streamed, messages_streamed_on_loop], ids=["sync", "async"])


class AnotherModel(AgentMiddleware):
    """Puts another model in the place of the agent's, further in."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def wrap_model_call(self, request, handler):
        return handler(request.override(model=self.model))

    async def awrap_model_call(self, request, handler):
        return await handler(request.override(model=self.model))


@BOTH_STREAMS
@pytest.mark.parametrize("place", ["the agent's", "inner"])
def test_hidden_drafts_are_not_streamed_and_the_answer_comes_once(stream, place):
    script = ["a wrong 3", ask(), "another wrong 3", "the right 4"]
    table = {"a wrong 3": 0.1, "another wrong 3": 0.2, "the right 4": 0.9}
    inner = [AnotherModel(StreamingModel(replies=script))] if place == "inner" else []
    agent, _ = make_agent(*([] if inner else script), dm=TableDM(table), model=StreamingModel, inner=inner)
    streamed = [message for message, _ in stream(agent)]
    assert [message.text for message in streamed] == ["", "it is even", "the right 4"]
    assert streamed[-1].id == agent.get_state(THREAD).values["messages"][-1].id


@BOTH_STREAMS
def test_visible_drafts_are_streamed_by_the_token(stream):
    agent, _ = make_agent("5", "3", model=StreamingModel, drafts="visible", feedback="history", max_turns=2)
    streamed = [message.text for message, _ in stream(agent) if message.text]
    assert streamed == ["5", "That answer is wrong. Think again from the start.", "3"]


@BOTH_DRAFTS
def test_events_are_the_graph_s(drafts):
    agent, _ = make_agent("3", ask(), "4", drafts=drafts)
    events = list(agent.stream(QUESTION, THREAD, stream_mode="custom"))
    assert [(event["type"], event["turn"]) for event in events] == [
        *(("drr.think", 1), ("drr.score", 1), ("drr.decide", 1)),
        *(("drr.think", 2), ("drr.score", 2), ("drr.decide", 2)),
    ]
    assert [event["feedback"] for event in events if event["type"] == "drr.think"] == ["first", "fresh"]
    assert [event["stop_reason"] for event in events if event["type"] == "drr.decide"] == [None, "accepted"]


@pytest.mark.parametrize(
    ("drafts", "nodes"),
    [
        ("hidden", ["DRRMiddleware.before_agent", "model", "DRRMiddleware.after_agent"]),
        (
            "visible",
            [
                "DRRMiddleware.before_agent",
                *("model", "DRRMiddleware.after_model", "model", "DRRMiddleware.after_model"),
                "DRRMiddleware.after_agent",
            ],
        ),
    ],
    ids=["hidden", "visible"],
)
def test_the_steps_of_the_agent_s_graph(drafts, nodes):
    agent, _ = make_agent("3", "4", drafts=drafts)
    assert [node for update in agent.stream(QUESTION, THREAD, stream_mode="updates") for node in update] == nodes


def test_visible_drafts_resume_where_they_stood():
    """A process that dies between two tries has paid for none of them twice."""
    agent, model = make_agent("3", "5", "4", drafts="visible")
    stream = agent.stream(QUESTION, THREAD, stream_mode="updates", durability="sync")
    seen = 0
    for update in stream:
        seen += "DRRMiddleware.after_model" in update
        if seen == 2:
            break
    stream.close()
    assert len(model.asked) == 2
    assert texts(agent.invoke(None, THREAD))[-1] == "4"
    assert answers(run_of(agent)) == ["3", "5", "4"]
    assert len(model.asked) == 3
