"""Signals as a table; missing is missing."""

import math

import pytest
from fakes import make_attempt
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.signals import DEFAULT_SIGNALS, SignalInput, compute_signals
from drr_agent.signals.choices import read_options
from drr_agent.signals.numbers import read_answer

FIRST = (
    *("logprob_mean", "logprob_min", "logprob_sum", "log_length", "truncated", "answer_found", "arithmetic_errors"),
)
"""The signals that DMs of earlier versions read."""
MARBLES = "Ava has 1,200 marbles and buys three bags of 12 at 20 % off. How many are there?"


def signals_of(question="q", **changes):
    return compute_signals(DEFAULT_SIGNALS, SignalInput(question=question, draft=make_attempt(**changes)))


def close(value):
    return None if value is None else pytest.approx(value)


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        pytest.param({"logprobs": [-1.0, -3.0]}, "logprob_mean", -2.0, id="mean"),
        pytest.param({"logprobs": [-1.0, -3.0]}, "logprob_min", -3.0, id="min"),
        pytest.param({"logprobs": [-1.0, -3.0]}, "logprob_sum", -4.0, id="sum"),
        pytest.param({"logprobs": None}, "logprob_mean", None, id="no logprobs"),
        pytest.param({"logprobs": [-math.inf, -1.0]}, "logprob_min", None, id="an impossible token is no number"),
        pytest.param({"logprobs": [-float(n) for n in range(20)]}, "logprob_worst_decile", -18.5, id="worst tenth"),
        pytest.param({"logprobs": [-2.0]}, "logprob_worst_decile", -2.0, id="one token is its tenth"),
        pytest.param({"logprobs": [-0.6, -0.7, -9.0, 0.0]}, "logprob_unlikely_share", 0.5, id="under one half"),
        pytest.param({"logprobs": [-8.0] * 6 + [-1.0, -3.0]}, "logprob_last_quarter", -2.0, id="last quarter"),
        pytest.param({"logprobs": [-1.0, -3.0]}, "logprob_last_quarter", -3.0, id="a quarter of two tokens"),
        pytest.param({"logprobs": [-8.0] * 9 + [-1.0] * 5}, "logprob_end", -1.0, id="the last five"),
        pytest.param({"logprobs": []}, "logprob_end", None, id="no tokens"),
        pytest.param({"entropy": 0.25}, "token_entropy", 0.25, id="entropy"),
        pytest.param({}, "token_entropy", None, id="no entropy"),
        pytest.param({"truncated": True}, "truncated", 1.0, id="cut off"),
        pytest.param({"truncated": None}, "truncated", None, id="nobody says"),
        pytest.param({"answer": None}, "answer_found", 0.0, id="no answer"),
        pytest.param({"rationale": "3 + 4 = 8\n1 + 1 = 2"}, "arithmetic_errors", 1.0, id="a slip"),
        pytest.param({"rationale": "because"}, "arithmetic_errors", None, id="no calculation"),
        pytest.param({"rationale": ""}, "log_length", 0.0, id="nothing written"),
    ],
)
def test_signal(changes, name, value):
    assert signals_of(**changes)[name] == close(value)


@pytest.mark.parametrize(
    ("rationale", "name", "value"),
    [
        pytest.param("3 + 4 = 8\n1 + 1 = 2", "arithmetic_right_share", 0.5, id="half add up"),
        pytest.param("because", "arithmetic_right_share", None, id="nothing to add up"),
        pytest.param("3 + 4 = 8\nx = 2", "calculations", 1.0, id="one could be checked"),
        pytest.param("3 + 4 = 8\nx = 2", "equals_signs", 2.0, id="equals signs"),
        pytest.param("because", "rationale_numbers", 0.0, id="no numbers"),
        pytest.param("1. First 3 * 12\n2. then 3 * 12 = 36", "rationale_numbers", 3.0, id="steps are not counted"),
        pytest.param("because", "unused_numbers", 4.0, id="none used"),
        pytest.param("1200 + 3 * 12 at 20%", "unused_numbers", 0.0, id="all used"),
        pytest.param("1,200 and three times twelve at 0.2", "unused_numbers", 0.0, id="in other words"),
        pytest.param("1200 + 12", "unused_number_share", 0.5, id="half used"),
        pytest.param("3 * 12 = 36, 36 + 1200 = 1236", "new_numbers", 2.0, id="new numbers"),
        pytest.param("a.\n\nb? c! v1.5", "sentences", 3.0, id="sentences"),
        pytest.param("a\n\n b \nc", "lines", 3.0, id="lines"),
        pytest.param("It's so, it’s so", "words", 4.0, id="words"),
        pytest.param("It's so, it’s so", "distinct_word_share", 0.5, id="two words twice"),
        pytest.param("1 + 1", "distinct_word_share", None, id="no words"),
        pytest.param("a\nb\n a\na", "repeated_line_share", 0.5, id="two lines again"),
        pytest.param("$\\frac{1}{2}\\cdot 3$", "backslashes", 2.0, id="LaTeX"),
        pytest.param("<step>a</step> <Step>b <c> </d>", "unclosed_tags", 2.0, id="two left open"),
        pytest.param("3 < 4 > 2", "unclosed_tags", 0.0, id="no tags"),
        pytest.param("Answer: 3\nno\n$\\boxed{4}$\n#### 4", "answer_markers", 3.0, id="three markers"),
        pytest.param("Answer: $\\boxed{4}$", "answer_markers", 1.0, id="one marked twice"),
        pytest.param("so", "format_valid", 1.0, id="valid"),
        pytest.param("Answer: 3\nAnswer: 4", "format_valid", 0.0, id="answered twice"),
        pytest.param("<think> so", "format_valid", 0.0, id="left open"),
        pytest.param("Maybe 3, I think; however, not sure.", "hedges", 4.0, id="hedges"),
        pytest.param("Could-be? unlikely", "hedges", 1.0, id="whole words alone"),
        pytest.param("Wait, let me check again.", "second_thoughts", 2.0, id="second thoughts"),
        pytest.param("17 is not listed, so the closest is B.", "mismatches", 2.0, id="no option fits"),
        pytest.param("It isn't so, and cannot be. Nothing!", "negations", 3.0, id="negations"),
        pytest.param("I’m sorry, I cannot say.", "refusal", 1.0, id="refusal"),
        pytest.param("so", "refusal", 0.0, id="no refusal"),
        pytest.param("so\nConfidence: 85 %", "stated_confidence", 0.85, id="confident"),
        pytest.param("so", "stated_confidence", None, id="nobody asked"),
    ],
)
def test_signal_of_a_rationale(rationale, name, value):
    assert signals_of(MARBLES, rationale=rationale)[name] == close(value)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        pytest.param("41", 41.0, id="whole"),
        pytest.param("-$1,200.50", -1200.5, id="money"),
        pytest.param("41 apples", 41.0, id="with a unit"),
        pytest.param("x = 5", 5.0, id="with its name"),
        pytest.param("3/4", 0.75, id="a fraction"),
        pytest.param("$-\\frac{3}{4}$", -0.75, id="LaTeX"),
        pytest.param("$1\\frac{1}{2}$", None, id="a mixed number"),
        pytest.param("\\boxed{1{,}200}", 1200.0, id="boxed"),
        pytest.param("20\\%", 20.0, id="percent"),
        pytest.param("30^\\circ", 30.0, id="degrees"),
        pytest.param("x^2", None, id="a power"),
        pytest.param("2\\sqrt{3}", None, id="a root"),
        pytest.param("\\sqrt{3}", None, id="a root alone"),
        pytest.param("2\\pi", None, id="a multiple"),
        pytest.param("H2O", None, id="a name"),
        pytest.param("3 or 4", None, id="two numbers"),
        pytest.param("1/0", None, id="no number"),
        pytest.param("1e999", None, id="too great"),
        pytest.param("9" * 5_000, None, id="too long"),
        pytest.param("Paris", None, id="a word"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_numeric_answer_is_read(answer, value):
    signals = signals_of(answer=answer)
    assert read_answer(answer) == close(value)
    assert signals["answer_numeric"] == (None if answer is None else float(value is not None))
    assert signals["answer_magnitude"] == (None if value is None else pytest.approx(math.log1p(abs(value))))
    assert signals["answer_whole"] == (None if value is None else float(value == int(value)))
    assert signals["answer_negative"] == (None if value is None else float(value < 0))


@pytest.mark.parametrize(
    ("answer", "rationale", "name", "value"),
    [
        pytest.param("1200", "so", "answer_in_question", 1.0, id="in the question"),
        pytest.param("3", "so", "answer_in_question", 1.0, id="in the question in words"),
        pytest.param("36", "so", "answer_in_question", 0.0, id="not in the question"),
        pytest.param("-36", "is -36 then", "answer_in_rationale", 1.0, id="in the rationale"),
        pytest.param("6", "is 36 then", "answer_in_rationale", 0.0, id="part of a number"),
        pytest.param("3/4", "is \\frac{3}{4}", "answer_in_rationale", 1.0, id="a fraction in the rationale"),
        pytest.param("36", "", "answer_in_rationale", None, id="no rationale"),
        pytest.param("Ava", "is 36", "answer_in_rationale", None, id="no number"),
        pytest.param("36", "3 * 12 = 36", "answer_is_last_number", 1.0, id="last"),
        pytest.param("3/4", "that is 3/4.", "answer_is_last_number", 1.0, id="a fraction is last"),
        pytest.param("12", "3 * 12 = 36", "answer_is_last_number", 0.0, id="not last"),
        pytest.param("36", "is 36\nConfidence: 85 %", "answer_is_last_number", 1.0, id="a confidence is no number"),
        pytest.param("36", "because", "answer_is_last_number", None, id="none is last"),
        pytest.param("3.50", "so", "answer_decimals", 2.0, id="decimals"),
        pytest.param("3", "so", "answer_decimals", 0.0, id="no decimals"),
        pytest.param("Ava", "so", "answer_decimals", None, id="decimals of a word"),
        pytest.param("(b)", "so", "answer_choice", 1.0, id="a letter"),
        pytest.param("but", "so", "answer_choice", 0.0, id="a word"),
        pytest.param(None, "so", "answer_choice", None, id="no answer"),
        pytest.param("**Yes**", "so", "answer_yes_no", 1.0, id="yes"),
        pytest.param("yesterday", "so", "answer_yes_no", 0.0, id="yesterday"),
        pytest.param("abc", "so", "log_answer_length", math.log(4), id="length"),
        pytest.param("yes", "It is not.\nSo it can. ", "conclusion_agrees", 1.0, id="affirmed"),
        pytest.param("no", "So it can.", "conclusion_agrees", 0.0, id="affirmed, and denied"),
        pytest.param("no", "Yes, they do. But this one doesn't", "conclusion_agrees", 1.0, id="denied"),
        pytest.param("Yes.", "It is not unlikely.", "conclusion_agrees", 1.0, id="denied twice"),
        pytest.param("True", "it isn't\nSo no.\nConfidence: 80 %", "conclusion_agrees", 0.0, id="no"),
        pytest.param("yes", "", "conclusion_agrees", None, id="no conclusion"),
        pytest.param("36", "So no.", "conclusion_agrees", None, id="neither yes nor no"),
        pytest.param("I do not know", "", "refusal", 1.0, id="refusal in the answer"),
    ],
)
def test_signal_of_an_answer(answer, rationale, name, value):
    assert signals_of(MARBLES, answer=answer, rationale=rationale)[name] == close(value)


SHOP = "Tom buys 3 pens at 4 dollars and two books at 15 dollars. What does he pay?"
SUMS = "3 * 4 = 12\n2 * 15 = 30\n12 + 30 = 42"


@pytest.mark.parametrize(
    ("rationale", "answer", "name", "value"),
    [
        pytest.param(SUMS, "42", "ungrounded_operands", 0.0, id="all from the question or a result"),
        pytest.param("3 * 4 = 12\n13 + 30 = 43", "43", "ungrounded_operands", 2.0, id="from nowhere"),
        pytest.param("3 * 4 = 12\n13 + 30 = 43", "43", "ungrounded_share", 0.5, id="half from nowhere"),
        pytest.param("15 * 60 = 900", "900", "ungrounded_operands", 0.0, id="an hour has 60 minutes"),
        pytest.param("30 + 4 = 34\n2 * 15 = 30", "34", "ungrounded_operands", 1.0, id="used before it is found"),
        pytest.param("3 + 3 + 3 = 9", "9", "repeated_operands", 2.0, id="the same again"),
        pytest.param(SUMS, "42", "unused_results", 0.0, id="every result is used"),
        pytest.param("3 * 4 = 12\n2 * 15 = 30", "30", "unused_results", 1.0, id="12 is forgotten"),
        pytest.param("3 * 4 = 12\n2 * 15 = 30", "30", "unused_result_share", 0.5, id="half is forgotten"),
        pytest.param(SUMS, "42 dollars", "answer_is_result", 1.0, id="the answer was calculated"),
        pytest.param(SUMS, "41", "answer_is_result", 0.0, id="the answer was not"),
        pytest.param(SUMS, "many", "answer_is_result", None, id="no number"),
        pytest.param(SUMS, "30", "answer_is_last_result", 0.0, id="stopped too soon"),
        pytest.param(SUMS, "-42", "answer_is_last_result", 1.0, id="whatever its sign"),
        pytest.param(SUMS + "\nThe answer is 6 * 7 = 42", "42", "answer_is_last_result", 1.0, id="stated again"),
        pytest.param("3 * 4 = 12 for 3 pens at 4", "12", "uncalculated_numbers", 2.0, id="books left out"),
        pytest.param("3 * 4 = 12 for 3 pens at 4", "12", "uncalculated_share", 0.5, id="half left out"),
        pytest.param(SUMS, "42", "spare_calculations", -1.0, id="one fewer than numbers"),
        pytest.param("3 - 15 = -12\n12 + 30 = 42", "42", "unused_results", 0.0, id="used without its sign"),
        pytest.param("3 - 15 = -12", "-12", "unused_results", 0.0, id="the answer has a sign"),
        pytest.param("3 - 30 = -27\n27 * 4 = 108", "108", "ungrounded_operands", 1.0, id="30 is from nowhere, 27 not"),
        pytest.param("It is 42.", "42", "unused_results", None, id="nothing calculated"),
        pytest.param("", "42", "log_length_ratio", None, id="nothing written"),
        pytest.param("x" * len(SHOP), "42", "log_length_ratio", 0.0, id="as long as the question"),
    ],
)
def test_signal_of_the_flow_of_numbers(rationale, answer, name, value):
    assert signals_of(SHOP, rationale=rationale, answer=answer)[name] == close(value)


PRICE = "At what price?\n\nOptions:\nA)1,879\nB)1,875\nC)Rs. 1,800\nD)unknown"


@pytest.mark.parametrize(
    ("answer", "rationale", "name", "value"),
    [
        pytest.param("C", "So 1440 / 0.8 = 1800.", "option_in_working", 1.0, id="says what it came to"),
        pytest.param("B", "It is 1800; the closest is B.", "option_in_working", 0.0, id="says something else"),
        pytest.param("(B)", "It is 1875.", "option_in_working", 1.0, id="a letter in brackets"),
        pytest.param("D", "It is 1800.", "option_in_working", None, id="an option without a number"),
        pytest.param("E", "It is 1800.", "option_in_working", None, id="no such option"),
        pytest.param("1800", "It is 1800.", "option_in_working", None, id="no letter"),
        pytest.param("C", "", "option_in_working", None, id="nothing written"),
        pytest.param("C", "1800 at 20 % off", "option_is_last_number", 0.0, id="not the last number"),
        pytest.param("C", "20 % off 2250 is 1800", "option_is_last_number", 1.0, id="the last number"),
        pytest.param("B", "1800, so 1875", "rival_options_in_working", 1.0, id="another option, too"),
        pytest.param("C", "1800", "rival_options_in_working", 0.0, id="no other option"),
    ],
)
def test_signal_of_an_option(answer, rationale, name, value):
    assert signals_of(PRICE, answer=answer, rationale=rationale)[name] == close(value)


@pytest.mark.parametrize(
    ("question", "options"),
    [
        pytest.param("Which?\nA) one\nB) two", {"A": "one", "B": "two"}, id="lines"),
        pytest.param("Answer Choices: (A) reduced (B) full", {"A": "reduced", "B": "full"}, id="one line"),
        pytest.param("Which?\nA.3\nB.4", {"A": "3", "B": "4"}, id="without a space"),
        pytest.param("By A. Smith? A) yes B) no", {"A": "yes", "B": "no"}, id="after an initial"),
        pytest.param("Which? A) 3 B) 4 Reply with A. or B.", {"A": "3", "B": "4 Reply with A. or B."}, id="told how"),
        pytest.param("(A) x (B) y. Say (A) or (B)", {"A": "x", "B": "y. Say (A) or (B)"}, id="told how, alike"),
        pytest.param("(A) C: 1 (B) A: 2, B: 3 (C) z", {"A": "C: 1", "B": "A: 2, B: 3", "C": "z"}, id="letters within"),
        pytest.param("A) 1 B) 2\nSo A.\nA) 3 B) 4", {"A": "3", "B": "4"}, id="after an example"),
        pytest.param("A) B) C)", {}, id="empty"),
        pytest.param("By A. Smith?", {}, id="an initial alone"),
        pytest.param("B) one A) two", {}, id="out of order"),
        pytest.param("", {}, id="nothing"),
    ],
)
def test_options_are_read(question, options):
    assert read_options(question) == options


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        pytest.param("Ava has 3 of 20 %", {"question_numbers": 2.0, "question_percent": 1.0}, id="percent"),
        pytest.param("Half of them?", {"question_fraction": 1.0, "question_numbers": 0.0}, id="half"),
        pytest.param("Is $\\frac{1}{2} < 1$?", {"question_fraction": 1.0, "question_choices": 0.0}, id="LaTeX"),
        pytest.param("Which?\nA) one\nB) two", {"question_choices": 1.0, "question_fraction": 0.0}, id="choices"),
        pytest.param("By A. Smith?", {"question_choices": 0.0, "question_percent": 0.0}, id="an initial"),
        pytest.param("abc", {"log_question_length": math.log(4), "unused_numbers": None}, id="length"),
    ],
)
def test_signal_of_a_question(question, expected):
    signals = signals_of(question)
    assert {name: signals[name] for name in expected} == {name: close(value) for name, value in expected.items()}


def test_what_a_log_without_rationales_cannot_tell_is_missing():
    signals = signals_of(MARBLES, rationale=" \n", answer="36")
    known = {name for name, value in signals.items() if value is not None}
    assert known == {
        *("log_question_length", "question_numbers", "question_percent", "question_fraction", "question_choices"),
        *("log_length", "log_answer_length", "truncated", "answer_found", "answer_choice", "answer_yes_no"),
        *("answer_numeric", "answer_in_question", "answer_whole", "answer_negative", "answer_magnitude"),
        *("answer_decimals", "refusal"),
    }


def test_the_first_signals_keep_their_names():
    assert set(FIRST) <= DEFAULT_SIGNALS.keys()


def test_a_user_adds_a_function():
    signals = {**DEFAULT_SIGNALS, "repeats": lambda given: float(len(given.attempts))}
    given_input = SignalInput(question="q", draft=make_attempt(), attempts=[make_attempt()])
    assert compute_signals(signals, given_input)["repeats"] == 1.0


HOSTILE = st.text() | st.text(alphabet="0123456789.,/%=+-*$\\{}()<>a thirty-one\n", max_size=80)


@given(st.lists(st.floats(max_value=0.0)), HOSTILE, HOSTILE, st.none() | HOSTILE, st.none() | st.booleans())
def test_every_value_is_finite_or_missing(logprobs, question, rationale, answer, truncated):
    values = signals_of(question, logprobs=logprobs, rationale=rationale, answer=answer, truncated=truncated)
    assert values.keys() == DEFAULT_SIGNALS.keys()
    assert all(value is None or math.isfinite(value) for value in values.values())


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "filling", ["1,111", "1 / ", "<a>", "answer ", "confidence: 1 ", "\n", ". ", "#>-", "a'", "\\"]
)
def test_texts_of_any_length_are_read_in_linear_time(filling):
    text = filling * (300_000 // len(filling))
    assert signals_of(text, rationale=text, answer=text)["log_length"] == math.log1p(len(text))
