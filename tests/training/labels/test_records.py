"""Which word counts, which words contradict each other, and what a labeler adds to what a log says."""

from itertools import permutations

import pytest
from fakes import make_run
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.errors import ConfigError, DataError
from drr_agent.grading import AUTO
from drr_agent.questions import question_key
from drr_agent.training.labels import (
    LABEL_ORDER,
    MODEL_KINDS,
    Labeler,
    check_source,
    in_conflict,
    merge_labels,
    read_label,
    resolve_labels,
    resolve_without,
)
from drr_agent.training.labels.targets import KnownAnswer, Targets

RECORDS = st.fixed_dictionaries(
    {
        "value": st.sampled_from([None, "correct", "incorrect"]),
        "source": st.sampled_from(["human:ann", "human:ben", "grader:auto", "judge:x", "agreement", "environment:ci"]),
        "at": st.sampled_from([None, "2026-01-01", "2026-01-02"]),
    }
)


def said(value, source="human:ann", at="2026-01-01"):
    return {"value": value, "source": source, "at": at}


RIGHT, WRONG = "correct", "incorrect"


@pytest.mark.parametrize(
    ("records", "counts"),
    [
        pytest.param([], None, id="nobody"),
        pytest.param([said(None)], None, id="skipped"),
        pytest.param([said(RIGHT, "grader:auto"), said(WRONG, "human:ann")], "human:ann", id="a human over a grader"),
        pytest.param([said(None, "human:ann"), said(WRONG, "judge:x")], "judge:x", id="a skip says nothing"),
        pytest.param(
            [said(RIGHT, "environment:ci"), said(WRONG, "column:ok")], "environment:ci", id="the world over a column"
        ),
        pytest.param([said(RIGHT, "agreement"), said(WRONG, "judge:x")], "judge:x", id="agreement last"),
        pytest.param(
            [said(RIGHT, "human:ann", "2026-01-01"), said(WRONG, "human:ben", "2026-01-02")], "human:ben", id="later"
        ),
        pytest.param([said(RIGHT, "human:ann", None), said(WRONG, "human:ben", "2026-01-02")], "human:ben", id="dated"),
        pytest.param([said(RIGHT, "human:ann"), said(WRONG, "human:ben")], "human:ben", id="stricter at a tie"),
        pytest.param([said(RIGHT, "oracle"), said(WRONG, "agreement")], "agreement", id="an unknown kind last"),
    ],
)
def test_whose_word_counts(records, counts):
    for order in permutations(records):
        found = resolve_labels(order)
        assert (found and found["source"]) == counts


@pytest.mark.parametrize(
    ("records", "kept"),
    [
        pytest.param([said(RIGHT), said(WRONG, at="2026-01-02")], [WRONG], id="a mind changed"),
        pytest.param([said(RIGHT), said(None, at="2026-01-02")], [None], id="an answer taken back"),
        pytest.param([said(RIGHT), said(None)], [RIGHT], id="a value over none at the same time"),
        pytest.param([said(RIGHT, at=None), said(None, at=None)], [RIGHT], id="a value over none without times"),
        pytest.param([said(RIGHT, "human:ben"), said(WRONG, "human:ann")], [WRONG, RIGHT], id="two people, by name"),
    ],
)
def test_one_judgment_a_source(records, kept):
    for order in permutations(records):
        assert [record["value"] for record in merge_labels(order)] == kept


@given(st.lists(RECORDS, max_size=6), st.lists(RECORDS, max_size=6))
def test_merging_is_the_same_in_any_order_and_any_number_of_times(first, second):
    merged = merge_labels(first, second)
    assert merged == merge_labels(second, first) == merge_labels(merge_labels(first), merge_labels(second), merged)
    assert len({record["source"] for record in merged}) == len(merged)
    assert resolve_labels(merged) in [None, *first, *second]


@pytest.mark.parametrize(
    ("records", "conflict"),
    [
        pytest.param([said(RIGHT), said(WRONG, "grader:auto")], True, id="two sources"),
        pytest.param([said(RIGHT), said(RIGHT, "grader:auto")], False, id="of one mind"),
        pytest.param([said(RIGHT), said(None, "grader:auto")], False, id="one of them silent"),
        pytest.param([said(RIGHT), said(WRONG, "agreement")], False, id="agreement is no judgment"),
    ],
)
def test_conflicts(records, conflict):
    assert in_conflict(records) is conflict


def test_what_counts_without_the_opinions_of_models():
    records = [said(WRONG, "judge:x"), said(RIGHT, "feedback:thumbs"), said(WRONG, "agreement")]
    assert resolve_without(records, MODEL_KINDS) == said(RIGHT, "feedback:thumbs")
    assert resolve_without(records[:1], MODEL_KINDS) is None


@pytest.mark.parametrize("source", [*LABEL_ORDER, "human:ann", "judge:openai:gpt-4o-mini#1a2b3c4d"])
def test_known_sources(source):
    assert check_source(source) == source


@pytest.mark.parametrize("source", ["", "cat", "humans", "Human:ann", ":human"])
def test_unknown_sources(source):
    with pytest.raises(ConfigError, match="a label's source is one of human, environment"):
        check_source(source)


@pytest.mark.parametrize(
    ("cell", "label"),
    [(True, RIGHT), ("Yes", RIGHT), (1.0, RIGHT), ("0", WRONG), (" incorrect ", WRONG), ("maybe", None), (None, None)],
    ids=str,
)
def test_cells(cell, label):
    assert read_label(cell) == label


TARGETS = Targets(by_id={"q1": KnownAnswer("4", None)}, by_question={question_key("2 + 3?"): "5"})


@pytest.mark.parametrize(
    ("targets", "sample_id", "own", "expected"),
    [
        pytest.param(TARGETS, "q1", "7", "7", id="the log's own first"),
        pytest.param(TARGETS, "q1", None, "4", id="by id"),
        pytest.param(TARGETS, None, None, "5", id="by question"),
        pytest.param(None, "q1", None, None, id="no targets"),
    ],
)
def test_a_target_is_joined_where_the_log_has_none(targets, sample_id, own, expected):
    assert Labeler(grader=AUTO, targets=targets).target(sample_id, "2 + 3?", own) == expected


@pytest.mark.parametrize(
    ("answer", "target", "value"), [("4", "4.0", RIGHT), ("5", "4", WRONG), (None, "4", None), ("4", None, None)]
)
def test_grading(answer, target, value):
    found = Labeler(grader=AUTO).by_target(answer, target, at="2026-01-01")
    assert found == ([] if value is None else [said(value, "grader:auto")])


def test_the_environment_is_asked_only_where_there_is_one():
    assert Labeler(grader=AUTO).by_environment(make_run()) == []
    (label,) = Labeler(grader=AUTO, environment=lambda run: run["answer"] == "4").by_environment(make_run())
    assert (label["turn"], label["value"], label["source"]) == (None, RIGHT, "environment:<lambda>")


def test_an_environment_that_breaks_names_the_run():
    def broken(run):
        raise KeyError("ticket")

    with pytest.raises(DataError, match="environment 'broken' on run 'r1', got KeyError: 'ticket'"):
        Labeler(grader=AUTO, environment=broken).by_environment(make_run())
