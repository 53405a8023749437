"""Answer equality, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.errors import ConfigError
from drr_agent.grading import AUTO, GRADERS, get_grader, normalize_text, parse_choice, parse_number


@pytest.mark.parametrize(
    ("grader", "answer", "target", "label"),
    [
        pytest.param("exact", "The Cat.", "cat", "correct", id="articles, case and stops do not count"),
        pytest.param("exact", "Campbell-Bannerman", "campbell bannerman", "correct", id="a hyphen separates words"),
        pytest.param("exact", "-5", "5", "incorrect", id="a sign counts"),
        pytest.param("exact", "x+1", "x-1", "incorrect", id="an operator counts"),
        pytest.param("exact", "?", "!", "incorrect", id="nothing but punctuation is compared as it is"),
        pytest.param("number", "1,234", "1234", "correct", id="thousands"),
        pytest.param("number", "$41.00", "41", "correct", id="money"),
        pytest.param("number", "3/4", "0.75", "correct", id="fraction"),
        pytest.param("number", "1e3", "1000", "correct", id="exponent"),
        pytest.param("number", "41 or 42", "41", "incorrect", id="two numbers are no answer"),
        pytest.param("number", "1/0", "1", "incorrect", id="division by zero is no number"),
        pytest.param("number", "forty", "40", "incorrect", id="words are not numbers"),
        pytest.param("choice", "(b)", "B", "correct", id="letter in parentheses"),
        pytest.param("choice", "B) because", "B", "correct", id="letter and reason"),
        pytest.param("choice", "Because", "B", "incorrect", id="a word is not a letter"),
        pytest.param("auto", "41 apples", "41", "correct", id="a number with its unit"),
        pytest.param("auto", "-5", "5", "incorrect", id="auto sees the sign"),
        pytest.param("auto", "5 km", "5 m", "incorrect", id="units differ"),
        pytest.param("auto", "5km", "5 km", "correct", id="a unit close by"),
        pytest.param("auto", "12 May", "12 June", "incorrect", id="months differ"),
        pytest.param("auto", "1 apple", "1 apples", "correct", id="a plural is the same unit"),
        pytest.param("auto", "41%", "41", "correct", id="a percent sign is a unit"),
        pytest.param("auto", "$41.00", "41 dollars", "correct", id="a currency sign is no word"),
        pytest.param("auto", "H2O", "CO2", "incorrect", id="a formula is text"),
        pytest.param("auto", "GPT-4", "Claude-4", "incorrect", id="a name is text"),
        pytest.param("auto", "B2", "b2", "correct", id="equal names"),
        pytest.param("auto", "9" * 5_000, "3", "incorrect", id="what Python cannot read is no number"),
        pytest.param("auto", "9" * 5_000, "9" * 5_000, "correct", id="but equal as text"),
        pytest.param("number", "1/" + "9" * 5_000, "3", "incorrect", id="a denominator without end"),
        pytest.param("auto", "1" + "0" * 200, "1e200", "correct", id="hundreds of digits are a number"),
        pytest.param("math", "9" * 5_000, "3", "incorrect", id="math takes any length"),
        pytest.param("auto", "The Nile", "nile", "correct", id="auto falls back to text"),
        pytest.param("math", r"\frac{1}{2}", "0.5", "correct", id="expressions"),
        pytest.param("math", "x + 1", "1 + x", "correct", id="commuted"),
        pytest.param("math", "x + 1", "x - 1", "incorrect", id="other expression"),
        pytest.param("auto", None, "5", None, id="no answer is no label"),
        pytest.param("auto", "5", None, None, id="no target is no label"),
    ],
)
def test_grade(grader, answer, target, label):
    assert get_grader(grader).grade(answer, target) == label


def test_group_keeps_the_order_of_first_appearance():
    assert AUTO.group(["4", None, "5", "4.0", "five"]) == [0, None, 1, 0, 2]


def test_a_callable_is_a_grader():
    grader = get_grader(lambda answer, target: answer[0] == target[0])
    assert grader.grade("yes", "y") == "correct"


def test_an_unknown_grader_is_named():
    with pytest.raises(ConfigError, match=r"must be one of auto, exact, number, choice, math or .*, got 'fuzzy'"):
        get_grader("fuzzy")


@given(st.text())
@pytest.mark.parametrize("name", ["auto", "exact"])
def test_equality_is_reflexive(name, text):
    assert GRADERS[name].same(text, text)


@given(st.text(), st.text())
def test_auto_is_symmetric(left, right):
    assert AUTO.same(left, right) == AUTO.same(right, left)


@given(st.text())
def test_parsers_take_any_text(text):
    parse_number(text)
    parse_choice(text)
    assert normalize_text(normalize_text(text)) == normalize_text(text)


@given(st.integers(-(10**9), 10**9))
def test_numbers_survive_their_usual_spellings(number):
    for spelling in (str(number), f"{number:,}", f"{number}.0", f" {number} apples"):
        assert parse_number(spelling) == number


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["auto", "exact", "number", "choice"])
@pytest.mark.parametrize(
    "text", ["1" + " " * 500_000 + "/", "answer" + " " * 500_000 + "!", "1," * 300_000, "a-" * 300_000]
)
def test_a_text_of_any_length_is_compared_in_linear_time(name, text):
    GRADERS[name].same(text, "3")
