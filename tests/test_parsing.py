"""Replies to drafts, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from drr_agent.errors import ConfigError
from drr_agent.parsing import (
    AnswerLine,
    ReasonedAnswer,
    StructuredOutput,
    WholeMessage,
    get_parser,
    read_logprobs,
    read_truncated,
    read_usage,
)


@pytest.mark.parametrize(
    ("parser", "text", "answer", "rationale"),
    [
        pytest.param("answer", "2 + 2 = 4\nAnswer: 4", "4", "2 + 2 = 4", id="the plain form"),
        pytest.param("answer", "so\n**Answer:** 4", "4", "so", id="bold label"),
        pytest.param("answer", "so\n**Final Answer: 4**", "4", "so", id="bold line"),
        pytest.param("answer", "so\nThe answer is 4", "4", "so", id="a sentence"),
        pytest.param("answer", "Answer: 3\nno wait\nAnswer: 4", "4", "Answer: 3\nno wait", id="the last line counts"),
        pytest.param("answer", "so\nAnswer:\n\n**4**", "4", "so", id="on its own below the label"),
        pytest.param("answer", "Answer:\nwell\n4", None, "", id="more than an answer below the label"),
        pytest.param("answer", "I do not know", None, "I do not know", id="no line, no answer, no guess"),
        pytest.param("answer", "Answer:", None, "", id="an empty answer is none"),
        pytest.param("answer", "", None, "", id="an empty message"),
        pytest.param("answer", "<think>2+2</think>\nAnswer: 4", "4", "2+2", id="think tags are rationale"),
        pytest.param("answer", "<think>Answer: 3", None, "Answer: 3", id="an unfinished thought is no answer"),
        pytest.param("number", "Answer: 1,250 apples", "1,250", "", id="the number as written"),
        pytest.param("number", "Answer: 3 or 4", None, "", id="two numbers are none"),
        pytest.param("choice", "Because.\nAnswer: (c) the last", "C", "Because.", id="the letter"),
        pytest.param("choice", "Answer: water", None, "", id="a word is no letter"),
        pytest.param("message", "Paris", "Paris", "", id="the whole message"),
        pytest.param("message", "", None, "", id="nothing is no answer"),
    ],
)
def test_parse(parser, text, answer, rationale):
    reply = get_parser(parser).parse(AIMessage(text))
    assert (reply.answer, reply.rationale) == (answer, rationale)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(AIMessage("Answer: 4", additional_kwargs={"reasoning_content": "hm"}), id="reasoning_content"),
        pytest.param(
            AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Answer: 4"}]), id="blocks"
        ),
        pytest.param(AIMessage("<think>hm</think>Answer: 4"), id="think tags"),
    ],
)
def test_reasoning_becomes_the_rationale(message):
    reply = AnswerLine().parse(message)
    assert (reply.rationale, reply.answer) == ("hm", "4")


def test_structured_output_keeps_the_raw_message_id():
    raw = AIMessage("", id="m1", tool_calls=[{"name": "ReasonedAnswer", "args": {}, "id": "t1"}])
    reply = StructuredOutput().parse({"raw": raw, "parsed": ReasonedAnswer(rationale="2+2", answer="4")})
    assert (reply.rationale, reply.answer, reply.message.id) == ("2+2", "4", "m1")
    assert not reply.message.tool_calls, "a dangling tool call would break the host's next request"


def test_structured_output_that_does_not_fit_has_no_answer():
    reply = StructuredOutput().parse({"raw": AIMessage("four"), "parsed": None})
    assert (reply.rationale, reply.answer) == ("four", None)


def test_a_schema_needs_an_answer_field():
    class Verdict(BaseModel):
        value: int

    with pytest.raises(ConfigError, match="must have an `answer` field, Verdict has value"):
        StructuredOutput(schema=Verdict)


def test_unknown_parser_is_named():
    with pytest.raises(ConfigError, match="got 'regex'"):
        get_parser("regex")


@pytest.mark.parametrize(
    ("metadata", "truncated"),
    [
        pytest.param({"finish_reason": "length"}, True, id="openai, cut off"),
        pytest.param({"finish_reason": "stop"}, False, id="openai, done"),
        pytest.param({"stop_reason": "max_tokens"}, True, id="anthropic, cut off"),
        pytest.param({"finish_reason": "MAX_TOKENS"}, True, id="google, cut off"),
        pytest.param({}, None, id="unknown is not False"),
    ],
)
def test_truncated(metadata, truncated):
    assert read_truncated(AIMessage("x", response_metadata=metadata)) is truncated


def test_logprobs_and_usage():
    message = AIMessage(
        "x",
        response_metadata={"logprobs": {"content": [{"token": "x", "logprob": -0.25}]}},
        usage_metadata={"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
    )
    assert read_logprobs(message) == [-0.25]
    assert read_usage(message) == {"calls": 1, "unmetered_calls": 0, "input_tokens": 3, "output_tokens": 1}
    assert read_logprobs(AIMessage("x")) is None
    assert read_usage(AIMessage("x"))["unmetered_calls"] == 1


@given(st.text())
def test_any_text_is_read(text):
    for parser in (AnswerLine(), WholeMessage()):
        reply = parser.parse(AIMessage(text))
        assert reply.answer != ""
        (reply.rationale + str(reply.answer)).encode("utf-8")
