"""Messages, requests and responses in the forms in which trace tools write them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, messages_to_dict

from drr_agent.metadata import read_logprobs, read_truncated, read_usage
from drr_agent.parsing import split_reasoning
from drr_agent.training.sources.traces.chat_messages import read_message, read_sequence
from drr_agent.training.sources.traces.exchanges import (
    asks_tools_alone,
    read_answer,
    read_exchange,
    read_replies,
    read_request,
)

USAGE = {"calls": 1, "unmetered_calls": 0, "input_tokens": 5, "output_tokens": 3}


def shown(messages: list[BaseMessage] | None) -> list[tuple[str, str]] | None:
    return None if messages is None else [(message.type, str(message.text)) for message in messages]


MESSAGES: dict[str, tuple[Any, tuple[str, str] | None]] = {
    "chat": ({"role": "user", "content": "2+2?"}, ("human", "2+2?")),
    "developer": ({"role": "developer", "content": "be terse"}, ("system", "be terse")),
    "function": ({"role": "function", "content": "4"}, ("tool", "4")),
    "unknown role": ({"role": "critic", "content": "no"}, ("chat", "no")),
    "parts with text": (
        {"role": "user", "content": [{"type": "text", "text": "2"}, {"type": "text", "text": "+2"}]},
        ("human", "2+2"),
    ),
    "parts of the responses API": (
        {"role": "user", "content": [{"type": "input_text", "text": "2+2?"}]},
        ("human", "2+2?"),
    ),
    "parts with a picture": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {}}, "what?"]},
        ("human", "what?"),
    ),
    "GenAI parts": ({"role": "user", "parts": [{"type": "text", "content": "2+2?"}]}, ("human", "2+2?")),
    "GenAI tool result": (
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": {"sum": 4}}]},
        ("tool", '{"sum": 4}'),
    ),
    "Gemini": ({"role": "model", "parts": [{"text": "4"}]}, ("ai", "4")),
    "LangChain": ({"type": "human", "content": "2+2?"}, ("human", "2+2?")),
    "LangChain chunk": ({"type": "AIMessageChunk", "content": "4"}, ("ai", "4")),
    "LangChain pair": (["user", "2+2?"], ("human", "2+2?")),
    "LangChain with data": (messages_to_dict([HumanMessage("2+2?")])[0], ("human", "2+2?")),
    "LangChain serialized": (dumpd(SystemMessage("be terse")), ("system", "be terse")),
    "OpenInference": (
        {"message": {"role": "user", "contents": [{"message_content": {"type": "text", "text": "2+2?"}}]}},
        ("human", "2+2?"),
    ),
    "content that is an object": ({"role": "user", "content": {"n": 2}}, ("human", '{"n": 2}')),
    "no content": ({"role": "assistant", "content": None, "tool_calls": [{}]}, ("ai", "")),
    "half a character": ({"role": "user", "content": "a\ud800"}, ("human", "a?")),
    "a tool's definition": ({"type": "function", "function": {"name": "add"}}, None),
    "a class that is none": (
        {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"content": "ls"}},
        None,
    ),
    "a pair of texts": (["Paris", "London"], None),
    "a text": ("2+2?", None),
    "a number": (3, None),
    "a role that is a list": ({"role": ["user"], "content": "x"}, None),
}


@pytest.mark.parametrize(("value", "expected"), MESSAGES.values(), ids=MESSAGES.keys())
def test_a_message_is_read_in_every_form(value: Any, expected: tuple[str, str] | None):
    message = read_message(value)
    assert (None if message is None else (message.type, str(message.text))) == expected


SEQUENCES: dict[str, tuple[Any, list[tuple[str, str]] | None]] = {
    "messages": (
        [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
        [("system", "s"), ("human", "q")],
    ),
    "a batch of one": ([[{"role": "user", "content": "q"}]], [("human", "q")]),
    "one pair": ([["user", "q"]], [("human", "q")]),
    "texts": (["q"], [("human", "q")]),
    "calls between them": (
        [{"role": "user", "content": "q"}, {"type": "function_call", "name": "add"}],
        [("human", "q")],
    ),
    "one that is broken": ([{"role": "user", "content": "q"}, {"content": "x"}], None),
    "none": ([], None),
    "no list": ({"role": "user"}, None),
}


@pytest.mark.parametrize(("value", "expected"), SEQUENCES.values(), ids=SEQUENCES.keys())
def test_a_conversation_is_read_whole_or_not_at_all(value: Any, expected: list[tuple[str, str]] | None):
    assert shown(read_sequence(value)) == expected


REQUESTS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "text": ("2+2?", [("human", "2+2?")]),
    "messages as text": (json.dumps([{"role": "user", "content": "q"}]), [("human", "q")]),
    "text that only looks like JSON": ("[INST] 2+2? [/INST]", [("human", "[INST] 2+2? [/INST]")]),
    "a state": ({"messages": [["user", "q"]]}, [("human", "q")]),
    "a state with one message": ({"messages": {"role": "user", "content": "q"}}, [("human", "q")]),
    "Anthropic": ({"system": "s", "messages": [{"role": "user", "content": "q"}]}, [("system", "s"), ("human", "q")]),
    "responses API": ({"instructions": "s", "input": "q", "model": "m"}, [("system", "s"), ("human", "q")]),
    "Gemini": ({"contents": [{"role": "user", "parts": [{"text": "q"}]}]}, [("human", "q")]),
    "prompts": ({"prompts": ["q"]}, [("human", "q")]),
    "a question among others": ({"language": "en", "question": "q"}, [("human", "q")]),
    "nested": ({"inputs": {"input": {"query": "q"}}}, [("human", "q")]),
    "with its history": (
        {"chat_history": [["user", "a"], ["ai", "b"]], "input": "q"},
        [("human", "a"), ("ai", "b"), ("human", "q")],
    ),
    "one argument": ({"args": ["q"], "kwargs": {}}, [("human", "q")]),
    "a named argument": ({"args": [], "kwargs": {"question": "q", "k": 3}}, [("human", "q")]),
    "one text": ({"q": "2+2?", "k": 3}, [("human", "2+2?")]),
    "two texts": ({"a": "x", "b": "y"}, []),
    "nothing": (None, []),
    "blank": ("  ", []),
}


@pytest.mark.parametrize(("value", "expected"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_is_read_in_every_form(value: Any, expected: list[tuple[str, str]]):
    assert shown(read_request(value)) == expected


def openai(*texts: str) -> dict[str, Any]:
    choices = [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"} for text in texts]
    return {"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 3}, "model": "m"}


MADE = {"text": "4", "generation_info": {"finish_reason": "stop"}, "message": dumpd(AIMessage("4"))}
METERED: dict[str, Any] = {
    "OpenAI": openai("4"),
    "OpenAI as text": json.dumps(openai("4")),
    "OpenAI, old": {
        "choices": [{"text": "4", "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    },
    "responses API": {
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "4"}]},
        ],
        "usage": {"input_tokens": 5, "output_tokens": 3},
        "stop_reason": "stop",
    },
    "Anthropic": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "add"}, {"type": "text", "text": "4"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 3},
    },
    "Bedrock": {
        "output": {"message": {"role": "assistant", "content": [{"text": "4"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 3},
    },
    "Gemini": {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"thought": True, "text": "add"}, {"text": "4"}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3},
    },
    "LangChain": {"generations": [[MADE]], "llm_output": {"token_usage": {"prompt_tokens": 5, "completion_tokens": 3}}},
    "LangChain message": dumpd(
        AIMessage(
            "4",
            usage_metadata={"input_tokens": 5, "output_tokens": 3, "total_tokens": 8},
            response_metadata={"finish_reason": "stop"},
        )
    ),
}


@pytest.mark.parametrize("value", METERED.values(), ids=METERED.keys())
def test_a_vendors_response_says_what_it_cost_and_why_it_ended(value: Any):
    (reply,) = read_replies(value)
    assert split_reasoning(reply)[1] == "4"
    assert read_usage(reply) == USAGE
    assert read_truncated(reply) is False
    assert str(read_answer(value).text) == "4"


def test_several_choices_are_several_replies_and_the_first_carries_the_tokens():
    first, second = read_replies(openai("4", "5"))
    assert [str(first.text), str(second.text)] == ["4", "5"]
    assert read_usage(first) == USAGE
    assert read_usage(second)["unmetered_calls"] == 1


def test_logprobs_and_reasoning_are_kept():
    choice = {
        "message": {"role": "assistant", "content": "4", "reasoning_content": "add"},
        "logprobs": {"content": [{"logprob": -0.5}]},
    }
    (reply,) = read_replies({"choices": [choice]})
    assert read_logprobs(reply) == [-0.5]
    assert split_reasoning(reply) == ("add", "4")


def test_a_cut_off_reply_says_so():
    (reply,) = read_replies({"role": "assistant", "content": "4", "finish_reason": "length"})
    assert read_truncated(reply) is True


REPLIES: dict[str, tuple[Any, list[str]]] = {
    "text": ("4", ["4"]),
    "choices in a list": ([{"role": "assistant", "content": "4"}, {"role": "assistant", "content": "5"}], ["4", "5"]),
    "a conversation": ([{"role": "user", "content": "q"}, {"role": "assistant", "content": "4"}], ["4"]),
    "JSON that the model wrote": ({"answer": 42}, ['{"answer": 42}']),
    "JSON that the model wrote, as text": ('{"answer":42}', ['{"answer":42}']),
    "nothing": (None, []),
    "an empty object": ({}, []),
}


@pytest.mark.parametrize(("value", "expected"), REPLIES.values(), ids=REPLIES.keys())
def test_what_a_model_gave_back(value: Any, expected: list[str]):
    assert [str(reply.text) for reply in read_replies(value)] == expected


ASKED_AND_ANSWERED = [["user", "q"], ["ai", "calling"], {"role": "tool", "content": "4"}, ["ai", "4"]]
ANSWERS: dict[str, tuple[Any, str | None]] = {
    "text": ("4", "4"),
    "a number": (4, "4"),
    "a truth": (True, "true"),
    "a state": ({"messages": ASKED_AND_ANSWERED}, "4"),
    "a state that ends with a question": ({"messages": [["user", "q"]]}, None),
    "under a name": ({"answer": 42, "sources": ["a"]}, "42"),
    "nested": ({"outputs": {"output": "4"}}, "4"),
    "one text": ({"solution": "4", "steps": 2}, "4"),
    "two texts": ({"a": "x", "b": "y"}, None),
    "documents": ([{"page_content": "x"}], None),
    "a human message": ({"role": "user", "content": "4"}, None),
    "blank": (" ", None),
    "nothing": (None, None),
}


@pytest.mark.parametrize(("value", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_an_agent_gave_back(value: Any, expected: str | None):
    reply = read_answer(value)
    assert (None if reply is None else str(reply.text)) == expected


@pytest.mark.parametrize(
    ("value", "alone"),
    [
        ({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, True),
        ({"role": "assistant", "parts": [{"type": "tool_call", "name": "add"}]}, True),
        ({"role": "assistant", "content": [{"type": "tool_use", "name": "add"}]}, True),
        (dumpd(AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "1"}])), True),
        ({"role": "assistant", "content": "I add", "tool_calls": [{"id": "1"}]}, False),
        ({"role": "assistant", "content": "", "tool_calls": []}, False),
    ],
)
def test_a_reply_may_ask_for_tools_alone(value: Any, alone: bool):
    (reply,) = read_replies(value)
    assert asks_tools_alone(reply) is alone


def test_a_graph_that_remembers_gives_the_context_that_its_input_lacks():
    state = {"messages": [["user", "a"], ["ai", "b"], ["user", "q"], ["ai", "4"]]}
    exchange = read_exchange({"messages": [["user", "q"]]}, state, instructions=None, is_call=False)
    assert shown(exchange.messages) == [("human", "a"), ("ai", "b"), ("human", "q")]
    assert (exchange.question, exchange.answer) == ("q", "4")


@pytest.mark.parametrize(
    "state",
    [
        {"messages": [["user", "a"], ["ai", "b"], ["user", "another"], ["ai", "4"]]},
        {"messages": [["user", "q"], ["ai", "4"]]},
        {"messages": []},
        "4",
    ],
    ids=["of another question", "of less", "of nothing", "none"],
)
def test_what_was_sent_counts_where_a_state_does_not_hold_more_of_it(state: Any):
    sent = [["system", "s"], ["user", "q"]]
    exchange = read_exchange({"messages": sent}, state, instructions=None, is_call=False)
    assert shown(exchange.messages) == [("system", "s"), ("human", "q")]


def test_what_is_nested_too_deeply_is_damage():
    deep = "[" * 100_000 + "]" * 100_000
    assert read_exchange(deep, "4", instructions=None, is_call=True).damage == "JSON nested too deeply"


NAMES = (
    *("role", "content", "parts", "messages", "type", "text", "choices", "message", "message_content", "kwargs", "id"),
    *("data", "generations", "usage", "output", "tool_calls", "args", "input", "response_metadata", "x"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
        | st.tuples(st.just("user"), inner).map(list)
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(JSON, JSON)
def test_any_json_is_read_as_something_or_as_nothing(request: Any, response: Any):
    for is_call in (True, False):
        exchange = read_exchange(request, response, instructions=request, is_call=is_call)
        assert exchange.damage is None
        assert all(isinstance(reply, AIMessage) for reply in exchange.replies)
        for message in [*exchange.messages, *exchange.replies]:
            str(message.text).encode()
