"""Calculations in texts as a table: the errors counted, or none found to count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.arithmetic import count_errors


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
    count_errors("1" + filling * 300_000 + "b")
