"""Questions that are the same, that are alike, and that are neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.questions import near_key, question_key

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
def test_near_duplicates_share_a_split_and_nothing_else(one, other):
    assert near_key(question_key(one)) == near_key(question_key(other))
    assert question_key(one) != question_key(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_questions(one, other):
    assert near_key(question_key(one)) != near_key(question_key(other))


@given(st.text())
def test_a_key_is_of_the_question_as_it_is_read(text):
    key = question_key(text)
    assert len(key) == 16
    assert question_key(f"  {text}\n") == key
    assert near_key(question_key(f'*"{text}"*!')) == near_key(key) or not any(sign.isalnum() for sign in text)
