"""Replies to drafts, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel

from drr_agent.errors import ConfigError
from drr_agent.parsing import (
    AnswerLine,
    ReasonedAnswer,
    StructuredOutput,
    WholeMessage,
    get_parser,
    without_tool_calls,
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
        pytest.param("answer", "so\nAnswer: 4\nConfidence: 80 %", "4", "so\nConfidence: 80 %", id="sure"),
        pytest.param("answer", "so\nConfidence: 80 %\nAnswer: 4", "4", "so\nConfidence: 80 %", id="sure before"),
        pytest.param(
            "answer", "Answer:\n4\n**Confidence:** 80%", "4", "**Confidence:** 80%", id="sure, below the label"
        ),
        pytest.param("answer", "Answer: 4 (Confidence: 80%)", "4", "Confidence: 80%)", id="sure on the same line"),
        pytest.param("answer", "Answer:\nConfidence: 80 %", None, "Confidence: 80 %", id="sure of nothing"),
        pytest.param("number", "Answer: 4, Confidence: 80%", "4", "Confidence: 80%", id="one number and a confidence"),
        pytest.param(
            "choice", "Answer: (c)\nConfidence: 80 %", "C", "Confidence: 80 %", id="a letter and a confidence"
        ),
        pytest.param(
            "message", "Paris\nConfidence: 80 %", "Paris", "Confidence: 80 %", id="a message and a confidence"
        ),
        pytest.param("message", "Confidence: 80 %", None, "Confidence: 80 %", id="a confidence is no answer"),
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


def test_a_structured_answer_holds_no_confidence():
    parsed = ReasonedAnswer(rationale="2+2", answer="4\nConfidence: 80 %")
    reply = StructuredOutput().parse({"raw": AIMessage("", id="m1"), "parsed": parsed})
    assert (reply.rationale, reply.answer, reply.message.text) == ("2+2\nConfidence: 80 %", "4", "4")


def test_a_structured_none_is_no_answer():
    class Maybe(BaseModel):
        rationale: str | None
        answer: str | None

    reply = StructuredOutput(schema=Maybe).parse({"raw": AIMessage(""), "parsed": Maybe(rationale=None, answer=None)})
    assert (reply.rationale, reply.answer) == ("", None)


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
    "message",
    [
        pytest.param(AIMessage("Answer: 4", response_metadata={"model_provider": ["x"]}), id="a provider"),
        pytest.param(
            AIMessage(
                [{"type": "text", "text": "Answer: 4", "annotations": 3}],
                response_metadata={"model_provider": "openai"},
            ),
            id="annotations",
        ),
        pytest.param(AIMessage("Answer: 4", additional_kwargs={"reasoning_content": {"a": 1}}), id="reasoning"),
    ],
)
def test_malformed_metadata_costs_no_answer(message):
    assert AnswerLine().parse(message).answer == "4"


CALL = {"name": "search", "args": {}, "id": "t1"}


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(AIMessage("4", id="m", tool_calls=[CALL]), id="calls"),
        pytest.param(
            AIMessage("4", id="m", invalid_tool_calls=[{**CALL, "args": "{", "error": "?"}]), id="invalid calls"
        ),
        pytest.param(
            AIMessage("4", id="m", additional_kwargs={"tool_calls": [{}], "function_call": {}}), id="raw calls"
        ),
        pytest.param(
            AIMessage(
                [{"type": "text", "text": "4"}, {"type": "tool_use", "id": "t1", "name": "s", "input": {}}], id="m"
            ),
            id="blocks",
        ),
        pytest.param(
            AIMessageChunk("4", id="m", tool_call_chunks=[{"name": "s", "args": "{}", "id": "t1", "index": 0}]),
            id="chunk",
        ),
    ],
)
def test_tool_calls_are_left_out(message):
    kept = without_tool_calls(message)
    assert (kept.text, kept.id, kept.tool_calls, kept.invalid_tool_calls) == ("4", "m", [], [])
    assert "tool" not in str(kept.content) + str(kept.additional_kwargs)


def test_a_message_without_tool_calls_stays_itself():
    message = AIMessage("4", additional_kwargs={"reasoning_content": "hm"})
    assert without_tool_calls(message) is message


@given(st.text())
def test_any_text_is_read(text):
    for parser in (AnswerLine(), WholeMessage()):
        reply = parser.parse(AIMessage(text))
        assert reply.answer != ""
        (reply.rationale + str(reply.answer)).encode("utf-8")
