"""Agreement of attempts as a weak label."""

import pytest
from training.synthetic import make_behavior

from drr_agent.errors import ConfigError
from drr_agent.training.labels.agreement import share_of_weak, weak_labels

Q = "How many apples?"


def draws(*answers, question=Q, feedback="first", **changes):
    return [
        make_behavior(question, id=f"{place}", answer=answer, draw=place, feedback=feedback, **changes)
        for place, answer in enumerate(answers)
    ]


def values(rows, **options):
    """A sign an attempt: right, wrong, taken back, or nothing said."""
    signs = {"correct": "+", "incorrect": "-", None: "0"}
    found = {row_id: signs[label["value"]] for row_id, label in weak_labels(rows, **options)}
    return "".join(found.get(row["id"], ".") for row in rows)


@pytest.mark.parametrize(
    ("answers", "options", "expected"),
    [
        pytest.param("444", {}, "+++", id="of one mind"),
        pytest.param("44", {}, "..", id="too few"),
        pytest.param("44", {"min_votes": 2}, "++", id="few are enough"),
        pytest.param("4445", {}, "+++-", id="a majority"),
        pytest.param("4455", {}, "....", id="divided"),
        pytest.param("44556", {"min_share": 0.51}, ".....", id="no majority"),
        pytest.param("4444444555", {}, "+++++++---", id="a share of exactly 0.7"),
        pytest.param("4445", {"min_share": 0.8}, "....", id="too small a share"),
    ],
)
def test_votes(answers, options, expected):
    assert values(draws(*answers), **options) == expected


def test_answers_that_say_the_same_are_one():
    assert values(draws("4", "4.0", "4 apples", "5")) == "+++-"


def test_answers_that_a_redaction_made_equal_do_not_vote():
    assert values(draws(*["the key is [redacted]"] * 3)) == "..."


def test_a_reply_without_an_answer_neither_votes_nor_gets_a_label():
    assert values(draws("4", None, "4", None)) == "...."
    assert values(draws("4", None, "4", None, "4")) == "+.+.+"


def test_those_who_were_told_of_a_rejection_do_not_vote_but_are_labelled():
    first = draws("4", "4", "4")
    told = [make_behavior(Q, id=f"t{n}", answer="5", turn=2, feedback="history") for n in range(5)]
    assert values([*first, *told]) == "+++-----"
    assert values([*first[:2], *told]) == "......."


@pytest.mark.parametrize("field", ["reasoner", "context"])
def test_reasoners_and_conversations_vote_apart(field):
    here, there = draws("4", "4", "4", **{field: "a"}), draws("5", "5", "5", **{field: "b"})
    rows = [{**row, "id": f"{place}"} for place, row in enumerate([*here, *there])]
    assert values(rows) == "++++++"


def test_questions_vote_apart_and_are_read_one_by_one():
    def endless():
        number = 0
        while True:
            number += 1
            yield from draws("4", "4", "4", question=f"question {number}")

    labels = weak_labels(endless())
    assert [next(labels)[1]["value"] for _ in range(10)] == ["correct"] * 10


def test_time_and_source():
    rows = [
        {**row, "started_at": at}
        for row, at in zip(draws("4", "4", "4"), ("2026-01-02", None, "2026-01-01"), strict=True)
    ]
    assert {(label["source"], label["at"]) for _, label in weak_labels(rows)} == {("agreement", "2026-01-02")}
    assert {label["at"] for _, label in weak_labels(draws(*"444"))} == {None}
    assert {label["at"] for _, label in weak_labels(rows, at="2027-01-01")} == {"2027-01-01"}


def test_what_is_no_longer_clear_is_taken_back():
    held = [{"value": "correct", "source": "agreement", "at": None}]
    rows = draws("4", "5", "4", "5", labels=held)
    rows[3]["labels"] = []
    assert values(rows) == "000."


@pytest.mark.parametrize(
    "options", [{"min_votes": 1}, {"min_votes": True}, {"min_share": 0.5}, {"min_share": 1.1}], ids=str
)
def test_settings_that_cannot_be(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        weak_labels([], **options)


@pytest.mark.parametrize(
    ("sources", "share"),
    [
        pytest.param({"agreement": 1, "grader:auto": 3, "none": 9}, 0.25, id="some"),
        pytest.param({"human:ann": 3}, 0.0, id="none of them"),
        pytest.param({"none": 3}, None, id="no labels"),
        pytest.param({}, None, id="no rows"),
    ],
)
def test_the_share_of_weak_labels(sources, share):
    assert share_of_weak(sources) == share
