"""Calculations in texts as a table: the errors counted, or none found to count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.arithmetic import Numbers, Verdicts, count_errors, judge_calculations, read_calculations, read_numbers


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        pytest.param("3 + 4 = 7", 0, id="right"),
        pytest.param("3 + 4 = 8", 1, id="wrong"),
        pytest.param("6 * 7 = 42\n42 - 5 = 36\n36 / 6 = 6", 1, id="one of three"),
        pytest.param("2 + 3 * 4 = 14", 0, id="precedence"),
        pytest.param("(2 + 3) * 4 = 20", 0, id="parentheses"),
        pytest.param("( 2 + 3 ) * 4 = 14", 1, id="parentheses with spaces"),
        pytest.param("She pays 3 × $12 = $36 in all.", 0, id="money"),
        pytest.param("3 x 12 = 35", 1, id="the letter x"),
        pytest.param("$3 \\times 12 = 36$", 0, id="LaTeX"),
        pytest.param("1,200 + 34 = 1,234", 0, id="thousands"),
        pytest.param("20% * 50 = 10", 0, id="percent"),
        pytest.param("10 / 3 = 3.33", 0, id="rounded"),
        pytest.param("10 / 3 = 3.35", 1, id="rounded wrongly"),
        pytest.param("0.1 + 0.2 = 0.3", 0, id="decimals are exact"),
        pytest.param("5 - 8 = -3", 0, id="below zero"),
        pytest.param("12 - 5 = 7 + 3 = 10", 0, id="a chain"),
        pytest.param("x = 3 - 2 = 1", 0, id="after an equals sign"),
        pytest.param("- 5 + 3 = 8\n2. 5 + 3 = 9", 1, id="bullets"),
        pytest.param("so (3 + 4) * 5 = 36", 1, id="a bracket after a word"),
        pytest.param("$(3 + 4) \\times 5 = 36$", 1, id="a bracket in LaTeX"),
        pytest.param("is $-5 + 3 = -1$", 1, id="a sign in LaTeX"),
        pytest.param("the sum of 3 + 4 = 8", 1, id="after of"),
        pytest.param("Total:5 + 3 = 9", 1, id="after a colon"),
        pytest.param("5:30 + 20 = 5:50", None, id="times of day"),
        pytest.param("5 + 20 = 5:50", None, id="a time as result"),
        pytest.param("1 1/2 + 1/2 = 2", None, id="a mixed number"),
        pytest.param("20% of 50 + 5 = 15", None, id="a share of a number"),
        pytest.param("half of 50 + 5 = 30", None, id="half of a number"),
        pytest.param("f (3 + 4) = 9", None, id="a function"),
        pytest.param("2 (3 + 4) = 9", None, id="a product without a sign"),
        pytest.param("x + 2 + 3 = 7", None, id="an unknown before"),
        pytest.param("2x + 3 = 7", None, id="an unknown within"),
        pytest.param("2^3 + 1 = 9", None, id="a power"),
        pytest.param("1/2 + 1/3 = 5/6", None, id="a fraction as result"),
        pytest.param("5 / 0 = 0", None, id="division by zero"),
        pytest.param("((3 + 4 = 7", None, id="unbalanced"),
        pytest.param("The answer is 7.", None, id="no calculation"),
        pytest.param("1 + " * 200 + "1 = 3", None, id="too long"),
        pytest.param("1 + 1 = " + "9" * 5_000, None, id="a result too long"),
        pytest.param("9" * 5_000 + " + 1 = 3", None, id="a number too long"),
        pytest.param("3  +\t4  =  8", 1, id="many blanks"),
        pytest.param("", None, id="empty"),
    ],
)
def test_count_errors(text, errors):
    assert count_errors(text) == errors


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        pytest.param("6 * 7 = 42\n42 - 5 = 36\n36 / 6 = 6", Verdicts(2, 1), id="one of three"),
        pytest.param("x + 1 = 2", Verdicts(0, 0), id="an unknown"),
    ],
)
def test_judge_calculations(text, verdicts):
    assert judge_calculations(text) == verdicts


@pytest.mark.parametrize(
    ("text", "digits", "spelled", "last"),
    [
        pytest.param("2 of 1,200 and .5 or 3.25.", {2, 1200, 0.5, 3.25}, set(), 3.25, id="digits"),
        pytest.param("1{,}200 from -7", {1200, 7}, set(), 7, id="LaTeX's comma, and a sign"),
        pytest.param("\\frac{3}{4} or 1 / 2.", {3, 4, 1, 2}, set(), 0.5, id="fractions"),
        pytest.param("3/0", {3, 0}, set(), 3, id="divided by zero"),
        pytest.param("1,2345", {1, 2345}, set(), 2345, id="no thousands"),
        pytest.param("1. two\n  2) three\n**Step 3:** 8", {8}, {2, 3}, 8, id="steps"),
        pytest.param("Twenty-five, thirty or ſix of one; tenth", set(), {25, 30, 6}, None, id="words"),
        pytest.param("9" * 31, set(), set(), None, id="too long"),
        pytest.param("٣ of them", {3}, set(), 3, id="other digits"),
        pytest.param("none", set(), set(), None, id="no number"),
    ],
)
def test_read_numbers(text, digits, spelled, last):
    numbers = read_numbers(text)
    assert (numbers.digits, numbers.spelled, numbers.last) == (digits, spelled, last)


def test_a_fraction_has_a_value_of_its_own():
    assert read_numbers("3/4 and 1/0").quotients == {0.75, 1.0}
    assert read_numbers("3 4") == Numbers(frozenset({3.0, 4.0}), frozenset(), frozenset(), 4.0)


@given(st.text() | st.text(alphabet="0123456789,./\\frac{} thirty-one", max_size=60))
def test_any_text_has_numbers_that_are_finite(text):
    numbers = read_numbers(text)
    assert all(0 <= value < 1e31 for value in numbers.digits | numbers.spelled | numbers.quotients)
    assert (numbers.last is None) == (not numbers.digits)


@given(st.integers(0, 10**6), st.sampled_from("+-*"), st.integers(0, 10**6), st.integers(-3, 3))
def test_any_whole_calculation_is_judged(left, sign, right, off):
    value = {"+": left + right, "-": left - right, "*": left * right}[sign]
    assert count_errors(f"so {left} {sign} {right} = {value + off}.") == int(off != 0)


@given(st.text(alphabet="0123456789+-*/=().,$% x\n", max_size=200))
def test_no_text_breaks_it(text):
    count = count_errors(text)
    assert count is None or count >= 0


@pytest.mark.timeout(20)
@pytest.mark.parametrize("filling", [" ", "1 ", "(", "-", "1+", "1,111", ")", "x "])
def test_a_text_of_any_length_is_read_in_linear_time(filling):
    count_errors("a" + filling * 300_000 + "b")
    read_numbers("a" + filling * 300_000 + "b")
    count_errors("1" + filling * 300_000 + "b")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        pytest.param("So 3 × (4 + 5) = 27 apples.", [((3, 4, 5), 27)], id="in brackets"),
        pytest.param("$1,200 - 20% = 960, and 2 x 3 = 6", [((1200, 20), 960), ((2, 3), 6)], id="two"),
        pytest.param("2 + 3 = 5 * 4 = 20", [((5, 4), 20)], id="one that goes on"),
        pytest.param(r"\frac{9,300 \text{ miles}}{240 \text{ days}} = 38.75", [((9300, 240), 38.75)], id="LaTeX"),
        pytest.param(r"\(\left(\dfrac{15}{30}\right) \times 100 = 50\)", [((15, 30, 100), 50)], id="LaTeX in brackets"),
        pytest.param(r"8 \text{ large} + 1 \text{ small} = 9 \text{ rooms}", [((8, 1), 9)], id="units"),
        pytest.param("5 = 5, and x + 2 = 7", [], id="none"),
        pytest.param("+".join("1" * 200) + " = 200", [], id="longer than anybody writes"),
    ],
)
def test_read_calculations(text, read):
    assert [(each.operands, each.result) for each in read_calculations(text)] == read
