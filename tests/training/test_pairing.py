import pytest
from hypothesis import given
from hypothesis import strategies as st
from training.synthetic import make_behavior

from drr_agent.training.pairing import pair_attempts

RIGHT, WRONG = "correct", "incorrect"


def attempt(reasoner="one", label=RIGHT, answer="4", question="2 + 2?", **changes):
    return make_behavior(question, reasoner=reasoner, label=label, answer=answer, **changes)


def groups_of(rows, *, cross=True):
    """Which rows are compared, as sets of their numbers."""
    found = {}
    for index, pairing in enumerate(pair_attempts(rows, cross_reasoner=cross)):
        found.setdefault(pairing.group, set()).add(index)
    return sorted(map(sorted, found.values()))


@pytest.mark.parametrize(
    ("kinds", "cross", "groups", "own"),
    [
        pytest.param("a+ a- b+ b-", True, [[0, 1], [2, 3]], "yyyy", id="each-reasoner-by-itself"),
        pytest.param("a+ b-", True, [[0, 1]], "nn", id="two-that-need-each-other"),
        pytest.param("a+ b-", False, [[0], [1]], "nn", id="two-that-are-kept-apart"),
        pytest.param("a+ a- b+", True, [[0, 1, 2]], "yyn", id="one-joins-a-reasoner-with-both"),
        pytest.param("a+ a- b+", False, [[0, 1], [2]], "yyn", id="one-stays-alone"),
        pytest.param("a+ a- b+ c-", True, [[0, 1], [2, 3]], "yynn", id="the-rest-among-themselves"),
        pytest.param("a+ a- d+ d- d- b+ c+", True, [[0, 1], [2, 3, 4, 5, 6]], "yyyyynn", id="where-most-partners-are"),
        pytest.param("a+ b+", True, [[0, 1]], "nn", id="nothing-to-compare"),
    ],
)
def test_who_is_compared_with_whom(kinds, cross, groups, own):
    rows = [
        attempt(kind[0], RIGHT if kind[1] == "+" else WRONG, "4" if kind[1] == "+" else "5") for kind in kinds.split()
    ]
    assert groups_of(rows, cross=cross) == groups
    assert "".join("ny"[pairing.own] for pairing in pair_attempts(rows, cross_reasoner=cross)) == own


def test_questions_are_never_compared():
    rows = [attempt("one", RIGHT), attempt("two", WRONG, "5", question="2 + 1?")]
    assert groups_of(rows) == [[0], [1]]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("rstu"), st.booleans()), max_size=24), st.booleans())
def test_a_pair_across_reasoners_is_one_that_its_reasoner_could_not_give(given_rows, cross):
    rows = [attempt(who, RIGHT if right else WRONG, question=question) for question, who, right in given_rows]
    kinds = {}
    for row in rows:
        kinds.setdefault((row["question"], row["reasoner"]), set()).add(row["label"])
    pairings = pair_attempts(rows, cross_reasoner=cross)
    for one, first in zip(rows, pairings, strict=True):
        assert first.own == (len(kinds[one["question"], one["reasoner"]]) == 2)
        for other, second in zip(rows, pairings, strict=True):
            if first.group != second.group or (one["label"], other["label"]) != (RIGHT, WRONG):
                continue
            assert one["question"] == other["question"]
            assert one["reasoner"] == other["reasoner"] or (cross and not (first.own and second.own))


@given(st.lists(st.tuples(st.sampled_from("rst"), st.booleans()), max_size=12))
def test_every_attempt_with_a_partner_anywhere_at_its_question_has_one(given_rows):
    rows = [attempt(who, RIGHT if right else WRONG) for who, right in given_rows]
    labels = {}
    pairings = pair_attempts(rows, cross_reasoner=True)
    for row, pairing in zip(rows, pairings, strict=True):
        labels.setdefault(pairing.group, set()).add(row["label"])
    if len({row["label"] for row in rows}) == 2:
        assert all(len(found) == 2 for found in labels.values())


@pytest.mark.parametrize(
    ("said", "hard"),
    [
        pytest.param("+4 -5 -5", "yyy", id="a-wrong-majority"),
        pytest.param("+4 +4 -5", "nnn", id="a-right-majority"),
        pytest.param("+4 +4.0 -5", "nnn", id="answers-that-are-equal-vote-together"),
        pytest.param("+4 -5 -6", "nnn", id="no-two-agree"),
        pytest.param("+4 +4 -5 -5", "nnyy", id="a-tie-may-go-wrong"),
        pytest.param("+4 -5 -5 -6", "yyyn", id="a-wrong-minority-is-not-hard"),
    ],
)
def test_hard_is_what_a_vote_is_wrong_about(said, hard):
    rows = [
        attempt(label=RIGHT if text[0] == "+" else WRONG, answer=text[1:], rationale=str(number))
        for number, text in enumerate(said.split())
    ]
    assert "".join("ny"[pairing.hard] for pairing in pair_attempts(rows, cross_reasoner=True)) == hard


def test_each_reasoner_votes_for_itself():
    rows = [attempt("one", WRONG, "5"), attempt("two", WRONG, "5"), attempt("one", RIGHT, "4")]
    assert not any(pairing.hard for pairing in pair_attempts(rows, cross_reasoner=True))


def test_copies_that_are_left_out_have_voted():
    rows = [attempt(label=RIGHT, answer="4"), attempt(label=WRONG, answer="5", copies=3)]
    assert all(pairing.hard for pairing in pair_attempts(rows, cross_reasoner=True))


def test_copies_that_are_there_vote_once_each():
    right = [attempt(label=RIGHT, answer="4", copies=1, rationale=text) for text in "xyz"]
    wrong = [attempt(label=WRONG, answer="5", copies=2)] * 2
    assert not any(pairing.hard for pairing in pair_attempts([*right, *wrong], cross_reasoner=True))
