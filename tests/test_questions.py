"""Questions that are the same, that are alike, and that are neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.questions import question_key, unit_of

SAME = [
    ("What is 2+2?", "what  is 2+2 ?"),
    ("What's it?", "What’s it?"),
    ("“Emma”, who?", '"emma", who'),
    ("1990–2000", "1990-2000"),
    ("cafe\u0301?", "café?"),
    ("Who wrote Faust", "Who wrote Faust?"),
    ("...", " ... "),
]
ALIKE = [
    ("What is 2+3?", "What is 2 + 3?"),
    ("(2 + 3) * 4", "2 + (3 * 4)"),
    ("What is 5!", "What is 5?"),
    ("What is C#?", "What is C?"),
    ("Yes—really", "Yes - really"),
    ("¿Quién es?", "Quién es?"),
    ("是谁。", "是谁"),
    ("red/blue", "red / blue"),
    ("5 %", "5%"),
    ("**Who** is it?", "Who is it?"),
    ("don't", "dont"),
    ("What is 2³?", "What is 23?"),
    ("ＡＢＣ？", "abc?"),
]
OTHER = [
    ("vitamin A", "vitamin"),
    ("a cat", "the cat"),
    ("12 + 3", "1 + 23 + 0"),
    ("Was ist größer?", "Was ist größe?"),
    ("?", "!"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_question(one, other):
    assert question_key(one) == question_key(other)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_near_duplicates_are_one_unit_and_two_questions(one, other):
    assert unit_of(question_key(one)) == unit_of(question_key(other))
    assert question_key(one) != question_key(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_questions(one, other):
    assert unit_of(question_key(one)) != unit_of(question_key(other))


@given(st.text())
def test_a_key_is_of_the_question_as_it_is_read(text):
    key = question_key(text)
    assert len(key) == 16
    assert question_key(f"  {text}\n") == key
    assert unit_of(question_key(f'*"{text}"*!')) == unit_of(key) or not any(sign.isalnum() for sign in text)


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        pytest.param("0123456789abcdef", "01234567", id="a key"),
        pytest.param("q", "q", id="short"),
        pytest.param("", "", id="empty"),
        pytest.param("a question with a long id", "a question with a long id", id="no digits"),
        pytest.param("0123456789ABCDEF", "0123456789ABCDEF", id="in capitals"),
        pytest.param("0123456789abcdef\n", "0123456789abcdef\n", id="with a line's end"),
        pytest.param("0123456789abcdef0", "0123456789abcdef0", id="longer"),
    ],
)
def test_what_is_no_key_is_a_unit_of_its_own(key, unit):
    assert unit_of(key) == unit
