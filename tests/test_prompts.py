"""The line that asks for a confidence, and the lines that answer it, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from drr_agent.prompts import CONFIDENCE, Prompts, read_confidence, split_answer, split_confidence


def test_the_digest_of_the_default_wording_is_what_every_dm_was_trained_with():
    assert Prompts().digest == "1143f91beb29"
    assert Prompts(wrong="").digest == "819d2b50d4c7"


def test_a_confidence_is_asked_for_after_the_instruction_and_is_in_the_digest():
    prompts = Prompts(confidence=CONFIDENCE)
    assert prompts.ask(HumanMessage("2 + 2?"), "hint").text.splitlines()[-3:] == [
        "hint",
        prompts.instruction,
        prompts.confidence,
    ]
    assert len({Prompts().digest, prompts.digest, Prompts(confidence="Confidence: ?").digest}) == 3


@pytest.mark.parametrize(
    ("text", "share"),
    [
        pytest.param("Confidence: 85 %", 0.85, id="as asked"),
        pytest.param("so\n**Confidence:** 85%", 0.85, id="bold"),
        pytest.param("- my confidence level = 85 \\%", 0.85, id="in its own words"),
        pytest.param("Confidence: 85", 0.85, id="without the sign"),
        pytest.param("Confidence: 0.85", 0.85, id="a share"),
        pytest.param("Confidence: ~85%", 0.85, id="about"),
        pytest.param("Confidence: 8.5/10", 0.85, id="of ten"),
        pytest.param("Confidence: 85/100", 0.85, id="of a hundred"),
        pytest.param("Confidence: 20 %\nno\nConfidence: 90 %", 0.9, id="the last counts"),
        pytest.param("Confidence: 0 %", 0.0, id="none at all"),
        pytest.param("Confidence: 1.0", 1.0, id="all of it"),
        pytest.param("Confidence: 1 %", 0.01, id="one percent"),
        pytest.param("Confidence: 1", None, id="one percent or all"),
        pytest.param("Confidence: 120 %", None, id="over a hundred"),
        pytest.param("Confidence: 1000 %", None, id="no part of a number"),
        pytest.param("Confidence: high", None, id="a word"),
        pytest.param("the 95% confidence interval is 3 to 4", None, id="statistics"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_read_confidence(text, share):
    assert read_confidence(text) == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        pytest.param("4\nConfidence: 80 %", ("4", "Confidence: 80 %"), id="below"),
        pytest.param("4 (Confidence: 80 %)", ("4", "Confidence: 80 %)"), id="behind"),
        pytest.param("4\nConfidence: high", ("4", "Confidence: high"), id="a word"),
        pytest.param("Confidence: 80 %", ("", "Confidence: 80 %"), id="alone"),
        pytest.param("4.", ("4.", ""), id="none"),
        pytest.param("at 95% confidence: from 3 to 4", ("at 95% confidence: from 3 to 4", ""), id="part of an answer"),
        pytest.param("Confidence: the key to success", ("Confidence: the key to success", ""), id="the word as answer"),
    ],
)
def test_split_answer(answer, parts):
    assert split_answer(answer) == parts


@given(st.text(alphabet="confidence:= 0123456789.%/()*\n", max_size=60) | st.text())
def test_any_text_is_read(text):
    share = read_confidence("Confidence: " + text)
    assert share is None or 0.0 <= share <= 1.0
    without, said = split_confidence(text)
    assert len(without) + len(said) <= len(text)
    answer, said = split_answer(text)
    assert text.startswith(answer)
    assert said in text
