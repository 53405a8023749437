"""Who hears a draft: by stream, by mode, by the kind of Reasoner, at the top and within a host."""

import asyncio
import json
import re

import pytest
from fakes import ScriptedChatModel, TableDM
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

from drr_agent import ConfigError, ThresholdPolicy, create_drr_graph
from drr_agent.nodes.audience import with_audience

QUESTION = {"messages": [("user", "What is 2 + 2?")]}
USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
REJECTED, ACCEPTED = "I guess\nAnswer: 3", "so\nAnswer: 4"
PIECES = ["I ", "guess\n", "Answer: ", "3", "so\n", "Answer: ", "4"]


class TalkingModel(ScriptedChatModel):
    """Streams word by word, and then reports no tokens, as servers with a `base_url` of their own do."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        message = self._generate(messages).generations[0].message
        for word in re.findall(r"\S+\s*", message.text):
            yield self._heard(AIMessageChunk(word), run_manager)
        for index, call in enumerate(message.tool_calls):
            arguments = json.dumps(call["args"])
            for start in range(0, len(arguments), 20):
                piece = {"name": call["name"] if start == 0 else None, "args": arguments[start : start + 20]}
                piece |= {"id": call["id"] if start == 0 else None, "index": index}
                yield self._heard(AIMessageChunk("", tool_call_chunks=[piece]), run_manager)

    def _heard(self, message, run_manager):
        chunk = ChatGenerationChunk(message=message)
        if run_manager is not None:
            run_manager.on_llm_new_token(message.text, chunk=chunk)
        return chunk

    def bind_tools(self, tools, **settings):
        return self


def as_model(model):
    return model


def as_function(model):
    return RunnableLambda(lambda messages: model.invoke(messages), lambda messages: model.ainvoke(messages))


def as_agent(model):
    agent = create_agent(model, [])
    return RunnableLambda(lambda messages: {"messages": messages}) | agent | (lambda state: state["messages"][-1])


REASONERS = {"chat model": as_model, "function": as_function, "agent": as_agent}


def make_graph(drafts, reasoner=as_model, replies=(REJECTED, ACCEPTED), model=TalkingModel, **settings):
    script = [AIMessage(text, usage_metadata=USAGE) if isinstance(text, str) else text for text in replies]
    policy = ThresholdPolicy(threshold=0.8)
    dm = TableDM({"3": 0.1, "4": 0.9})
    return create_drr_graph(reasoner(model(replies=script)), dm, policy=policy, drafts=drafts, **settings)


def in_host(graph):
    host = StateGraph(MessagesState)
    host.add_node("answer", graph)
    host.add_edge(START, "answer")
    return host.compile()


def in_wrapper(graph):
    host = StateGraph(MessagesState)

    def answer(state):
        return {"messages": graph.invoke({"messages": state["messages"]})["messages"][-1:]}

    async def aanswer(state):
        return {"messages": (await graph.ainvoke({"messages": state["messages"]}))["messages"][-1:]}

    host.add_node("answer", RunnableLambda(answer, aanswer))
    host.add_edge(START, "answer")
    return host.compile()


PLACES = {"top": as_model, "subgraph": in_host, "wrapped": in_wrapper}


def streamed(graph, **options):
    return list(graph.stream(QUESTION, **options))


def streamed_on_loop(graph, **options):
    async def collect():
        return [item async for item in graph.astream(QUESTION, **options)]

    return asyncio.run(collect())


@pytest.fixture(params=[streamed, streamed_on_loop], ids=["sync", "async"])
def stream(request):
    return request.param


@pytest.fixture(autouse=True)
def _named(monkeypatch):
    """A Runnable has no name for the log yet."""
    monkeypatch.setattr("drr_agent.graphs.drr.describe_reasoner", lambda reasoner: "reasoner")


@pytest.mark.parametrize("reasoner", REASONERS.values(), ids=REASONERS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("drafts", ["hidden", "channel"])
def test_the_answer_comes_as_one_message_once(stream, drafts, place, reasoner):
    first = stream(place(make_graph(drafts, reasoner)), stream_mode="messages", subgraphs=True)
    assert [message.text for _, (message, _) in first] == [ACCEPTED]
    second = stream(place(make_graph(drafts, reasoner)), stream_mode="messages", subgraphs=True, version="v2")
    assert [part["data"][0].text for part in second] == [ACCEPTED]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_live_drafts_come_as_they_are_written(stream, place):
    items = stream(place(make_graph("live")), stream_mode="messages", subgraphs=True)
    assert [message.text for _, (message, _) in items if message.text] == PIECES


@pytest.mark.parametrize("reasoner", REASONERS.values(), ids=REASONERS)
@pytest.mark.parametrize(
    ("drafts", "heard"), [("hidden", []), ("live", []), ("channel", PIECES)], ids=["hidden", "live", "channel"]
)
def test_the_channel_has_the_drafts(stream, drafts, heard, reasoner):
    events = stream(make_graph(drafts, reasoner), stream_mode="custom")
    told = [event for event in events if event["type"] == "drr.draft"]
    assert [event["text"] for event in told] == heard
    assert [event["turn"] for event in told] == [1, 1, 1, 1, 2, 2, 2][: len(heard)]


def test_a_reasoner_that_does_not_stream_is_heard_whole(stream):
    events = stream(make_graph("channel", model=ScriptedChatModel), stream_mode="custom")
    assert [event["text"] for event in events if event["type"] == "drr.draft"] == [REJECTED, ACCEPTED]


def structured(answer):
    call = {"name": "ReasonedAnswer", "args": {"rationale": "adding", "answer": answer}, "id": f"c{answer}"}
    return AIMessage("", tool_calls=[call])


def test_structured_answers_are_hidden_and_heard_alike(stream):
    replies = [structured("3"), structured("4")]
    items = stream(make_graph("hidden", replies=replies, parser="structured"), stream_mode="messages")
    assert [message.text for message, _ in items] == ["4"]
    events = stream(make_graph("channel", replies=replies, parser="structured"), stream_mode="custom")
    heard = "".join(event["text"] for event in events if event["type"] == "drr.draft")
    assert heard == "".join(json.dumps({"rationale": "adding", "answer": answer}) for answer in "34")


@pytest.mark.parametrize("drafts", ["hidden", "channel"])
def test_a_draft_with_a_tool_call_is_no_message(stream, drafts):
    call = {"name": "lookup", "args": {"what": "sum"}, "id": "c1"}
    replies = [AIMessage(REJECTED, tool_calls=[call]), AIMessage(ACCEPTED, tool_calls=[call])]
    items = stream(make_graph(drafts, replies=replies), stream_mode="messages")
    assert [(message.text, message.tool_calls) for message, _ in items] == [(ACCEPTED, [])]


@pytest.mark.parametrize("best", [1, 2], ids=["the first draft", "the last draft"])
def test_where_turns_end_the_best_draft_comes_once(stream, best):
    replies = ["Answer: 4", "Answer: 3"] if best == 1 else ["Answer: 3", "Answer: 4"]
    policy = ThresholdPolicy(threshold=1.0)
    model = TalkingModel(replies=replies)
    graph = create_drr_graph(model, TableDM({"3": 0.1, "4": 0.9}), policy=policy, max_turns=2)
    assert [message.text for message, _ in stream(graph, stream_mode="messages")] == ["Answer: 4"]


@pytest.mark.parametrize(
    ("drafts", "unmetered"), [("hidden", 0), ("live", 2), ("channel", 2)], ids=["hidden", "live", "channel"]
)
def test_who_listens_may_cost_the_count_of_tokens(stream, drafts, unmetered):
    *_, (mode, state) = stream(make_graph(drafts), stream_mode=["messages", "values"])
    assert mode == "values"
    assert state["drr"]["usage"]["unmetered_calls"] == unmetered


@pytest.mark.parametrize("drafts", ["hidden", "channel"])
def test_event_streams_have_no_tokens_either(drafts):
    async def tokens():
        events = make_graph(drafts).astream_events(QUESTION, version="v2")
        return [event async for event in events if event["event"] == "on_chat_model_stream"]

    assert asyncio.run(tokens()) == []


class Tracer(BaseCallbackHandler):
    """Hears of calls, not of tokens."""

    run_inline = True

    def __init__(self):
        self.calls = 0

    def on_chat_model_start(self, *arguments, **settings):
        self.calls += 1


@pytest.mark.parametrize("drafts", ["hidden", "live", "channel"])
def test_tracers_see_every_call(drafts):
    tracer = Tracer()
    make_graph(drafts).invoke(QUESTION, {"callbacks": [tracer]})
    assert tracer.calls == 2


def test_callbacks_may_be_a_list_or_none():
    tracer = Tracer()
    assert with_audience({"callbacks": [tracer]}, "hidden", 1)["callbacks"] == [tracer]
    assert with_audience({}, "hidden", 1) == {"callbacks": [], "tags": ["nostream"]}


def test_a_mode_that_is_none():
    with pytest.raises(ConfigError, match="`drafts` must be one of hidden, live, channel, got 'loud'"):
        make_graph("loud")
