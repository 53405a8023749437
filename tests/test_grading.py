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
