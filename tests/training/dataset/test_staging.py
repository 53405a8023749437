"""Rows on their way into a dataset: whichever way they come, the same rows come out."""

import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training.synthetic import make_behavior

from drr_agent.training.behaviors import join_behaviors, with_labels
from drr_agent.training.dataset.staging import Staging
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.drops import Drop

AT = "2026-01-01T00:00:00.000+00:00"
LATER = "2026-01-02T00:00:00.000+00:00"


def said(value, source="human:ann", at=AT):
    return {"value": value, "source": source, "at": at}


def row(number=1, **changes):
    record = {"id": f"r{number}:1", "run_id": f"r{number}", "labels": [], "signals": {"a": 0.5}}
    return make_behavior(f"What is {number // 2} + 1?", **{**record, **changes})


@pytest.fixture
def staging():
    made = Staging()
    yield made
    made.close()


def test_rows_come_out_as_they_went_in(staging):
    rows = [row(number, rationale=f"{number}\n\u2028🙂", logprobs=[-0.5]) for number in (3, 1, 2)]
    assert [staging.add(one) for one in rows] == [True, True, True]
    assert list(staging.arrivals()) == rows


def test_the_order_is_that_of_question_run_and_turn(staging):
    rows = [row(1, id=f"{run}:{turn}", run_id=run, turn=turn) for run in "ba" for turn in (10, 2, 1)]
    for one in rows:
        staging.add(one)
    assert [one["id"] for one in staging.ordered()] == ["a:1", "a:2", "a:10", "b:1", "b:2", "b:10"]


def test_a_second_sighting_is_no_new_row(staging):
    assert staging.add(row(1)) is True
    assert staging.add(row(1)) is False
    assert len(list(staging.ordered())) == 1


@pytest.mark.parametrize(
    ("held", "new", "name", "expected"),
    [
        pytest.param({"score": 0.25}, {"score": None}, "score", 0.25, id="what it does not know stays"),
        pytest.param({"score": 0.75}, {"score": 0.25}, "score", 0.25, id="what it knows counts"),
        pytest.param({"score": None}, {"score": 0.25}, "score", 0.25, id="a gap is filled"),
        pytest.param({"signals": {"a": 1.0}}, {"signals": {"b": 2.0}}, "signals", {"a": 1.0, "b": 2.0}, id="signals"),
        pytest.param({"signals": {"a": 1.0}}, {"signals": {"a": None}}, "signals", {"a": 1.0}, id="no signal"),
        pytest.param({"signals": {"a": None}}, {"signals": {"a": 2.0}}, "signals", {"a": 2.0}, id="a signal at last"),
        pytest.param({"labels": [said("correct")]}, {"labels": []}, "label", "correct", id="a label stays"),
        pytest.param(
            {"labels": [said("correct", "grader:auto")]},
            {"labels": [said("incorrect", "grader:exact")]},
            "labels",
            [said("incorrect", "grader:exact")],
            id="another grader's word replaces the grader's",
        ),
        pytest.param(
            {"labels": [said("correct"), said("correct", "grader:auto")]},
            {"labels": [said("incorrect", "grader:auto")]},
            "labels",
            [said("incorrect", "grader:auto"), said("correct")],
            id="and no human's",
        ),
        pytest.param(
            {"labels": [said("correct", at=LATER)]}, {"labels": [said("incorrect")]}, "label", "correct", id="the later"
        ),
        pytest.param(
            {"labels": [said("incorrect", "column:gold")]},
            {"labels": [said("correct", "column:is_right")]},
            "labels",
            [said("correct", "column:is_right")],
            id="another column's word replaces the column's",
        ),
        pytest.param(
            {"labels": [said("incorrect", "feedback:stars")]},
            {"labels": [said("correct", "feedback:stars")]},
            "label",
            "correct",
            id="a store that was read wrong is read again",
        ),
        pytest.param(
            {"labels": [said("incorrect", "feedback:stars")]},
            {"labels": [said("correct", "feedback:thumb")]},
            "labels",
            [said("incorrect", "feedback:stars"), said("correct", "feedback:thumb")],
            id="and another key of it stays",
        ),
        pytest.param({"signals": {"a": 2.0}}, {"signals": {"a": 1.0}}, "signals", {"a": 1.0}, id="a signal renewed"),
    ],
)
def test_a_later_harvest_renews_what_a_dataset_holds(held, new, name, expected):
    staging = Staging([row(1, **held)])
    assert staging.add(row(1, **new)) is True, "the first sighting in this harvest"
    assert staging.add(row(1, **new)) is False
    [found] = staging.ordered()
    staging.close()
    assert found[name] == expected


def test_of_two_sightings_in_one_harvest_each_tells_what_it_knows():
    one, two = row(1, score=0.5, labels=[said("correct")]), row(1, dm="d", labels=[said("correct", "judge:x")])
    found = []
    for order in ((one, two), (two, one), (one, two, one)):
        staging = Staging()
        for sighting in order:
            staging.add(sighting)
        found += staging.ordered()
        staging.close()
    assert found[0] == found[1] == found[2]
    assert (found[0]["score"], found[0]["dm"], len(found[0]["labels"])) == (0.5, "d", 2)


@pytest.mark.parametrize(
    "sightings",
    [
        pytest.param([("a", 1), ("b", 2), ("c", 3)], id="all at once"),
        pytest.param([("c", 1), ("a", 1), ("b", 2)], id="the last alone"),
        pytest.param([("b", 1), ("c", 2), ("a", 1), ("b", 2)], id="with an overlap"),
    ],
)
@pytest.mark.parametrize("held", [0, 1, 2])
def test_turns_of_a_thread_are_those_of_all_that_is_known(sightings, held):
    def sighting(name, turn):
        feedback = "first" if turn == 1 else "fresh"
        return row(1, id=name, run_id="t", turn=turn, feedback=feedback, origin="traced", started_at=f"2026-01-0{name}")

    staging = Staging([sighting(*sightings[place]) for place in range(held)])
    for name, turn in sightings[held:]:
        staging.add(sighting(name, turn))
    found = [(one["id"], one["turn"], one["feedback"]) for one in staging.ordered()]
    staging.close()
    assert found == [("a", 1, "first"), ("b", 2, "fresh"), ("c", 3, "fresh")]


def test_turns_of_a_run_that_tells_them_stay(staging):
    for turn in (2, 4):
        staging.add(row(1, id=str(turn), run_id="r", turn=turn, origin="live"))
    assert [one["turn"] for one in staging.ordered()] == [2, 4]


def test_a_grade_of_another_target_goes():
    one = row(1, target="2", answer="3", labels=[said("incorrect", "grader:auto"), said("correct")])
    two = row(1, target="3", answer="3", labels=[said("correct", "grader:auto"), said("incorrect", "judge:x")])
    joined = join_behaviors(one, two)
    assert joined == join_behaviors(two, one)
    assert (joined["target"], [label["source"] for label in joined["labels"]]) == (
        "3",
        ["grader:auto", "human:ann", "judge:x"],
    )
    assert [label["value"] for label in joined["labels"]] == ["correct", "correct", "incorrect"]


def test_a_judgment_is_added_to_its_row_and_to_no_other(staging):
    staging.add(row(1))
    staging.add(row(2))
    assert staging.label("r1:1", said("incorrect")) is True
    assert staging.label("r9:1", said("correct")) is False
    assert [(one["label"], one["label_source"], one["labelled_at"]) for one in staging.arrivals()] == [
        ("incorrect", "human:ann", AT),
        (None, None, None),
    ]


@pytest.mark.parametrize(
    ("changes", "copies"),
    [
        pytest.param({}, 2, id="the same words"),
        pytest.param({"turn": 2, "draw": 5, "score": 0.5, "feedback": "fresh"}, 2, id="said later"),
        pytest.param({"rationale": "other"}, 1, id="another rationale"),
        pytest.param({"answer": "other"}, 1, id="another answer"),
        pytest.param({"answer": None}, 1, id="no answer"),
        pytest.param({"reasoner": "other"}, 1, id="another Reasoner"),
        pytest.param({"question_key": "0" * 16}, 1, id="another question"),
    ],
)
def test_copies_are_counted(staging, changes, copies):
    staging.add(row(1, copies=7))
    staging.add(row(1, id="other", **changes))
    assert [one["copies"] for one in staging.arrivals()] == [copies, copies]


def test_copies_are_counted_anew_when_a_row_changes(staging):
    staging.add(row(1, rationale="a"))
    staging.add(row(1, id="other", rationale="b"))
    assert [one["copies"] for one in staging.arrivals()] == [1, 1]
    staging.add(row(1, rationale="b"))
    assert [one["copies"] for one in staging.arrivals()] == [2, 2]


def test_drops_keep_their_order(staging):
    drops = [Drop("b.jsonl", f"line {n}", "unreadable", "é") for n in (2, 10, 1)]
    for drop in drops:
        staging.drop(drop)
    assert list(staging.drops()) == drops


def test_ten_megabytes_pass(staging):
    staging.add(row(1, rationale="é" * 10_000_000))
    [found] = staging.ordered()
    assert len(found["rationale"]) == 10_000_000


def test_rows_are_on_disk_and_not_in_memory(staging):
    tracemalloc.start()
    for number in range(300):
        staging.add(row(number, rationale=f"{number} " + "x" * 100_000))
    assert sum(len(one["rationale"]) for one in staging.ordered()) > 30_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


texts = st.sampled_from(["", "a", "b", "1", "10", "9"])
maybe_floats = st.none() | st.floats(allow_nan=False, allow_infinity=False)
labels = st.lists(
    st.builds(
        said,
        st.sampled_from([None, "correct", "incorrect"]),
        st.sampled_from(["human:ann", "human:ben", "grader:auto", "column:x", "judge:y", "agreement", "odd"]),
        st.sampled_from([None, AT, LATER]),
    ),
    max_size=4,
    unique_by=lambda label: label["source"],
)
sightings = st.fixed_dictionaries(
    {
        "rationale": texts,
        "answer": st.none() | texts,
        "score": maybe_floats,
        "draw": st.none() | st.integers(0, 20),
        "truncated": st.none() | st.booleans(),
        "logprobs": st.none() | st.lists(st.floats(-1, 0), max_size=2),
        "spans": st.none() | st.lists(st.none() | st.integers(0, 20), max_size=2),
        "verdict": st.sampled_from([None, "accept", "reject"]),
        "signals": st.dictionaries(st.sampled_from(["a", "b", "c"]), maybe_floats, max_size=3),
        "labels": labels,
    }
).map(lambda changes: row(1, **{**changes, "labels": sorted(changes["labels"], key=lambda label: label["source"])}))


def exact(behavior):
    """To the letter: `==` knows no difference between 0.0 and -0.0."""
    return json.dumps(behavior, sort_keys=True)


@settings(max_examples=300)
@given(sightings, sightings, sightings)
def test_joining_sightings_is_commutative_associative_and_idempotent(one, two, three):
    joined = join_behaviors(one, two)
    assert exact(joined) == exact(join_behaviors(two, one))
    assert exact(join_behaviors(joined, three)) == exact(join_behaviors(one, join_behaviors(two, three)))
    assert exact(join_behaviors(one, one)) == exact(one)
    assert exact(join_behaviors(joined, two)) == exact(joined)


@given(sightings, st.permutations(range(3)), st.tuples(sightings, sightings, sightings))
def test_what_a_dataset_holds_is_renewed_in_any_order_of_the_sources(held, order, news):
    found = []
    for places in (range(3), order):
        staging = Staging([held])
        assert [staging.add(news[place]) for place in places] == [True, False, False]
        found += staging.ordered()
        staging.close()
    assert exact(found[0]) == exact(found[1])


@given(sightings, sightings)
def test_joining_loses_nothing(one, two):
    joined = join_behaviors(one, two)
    assert {name for name, value in joined.items() if value is None} <= {
        name for name in one if one[name] is None and two[name] is None
    } | {"label", "label_source", "labelled_at"}
    sources = {label["source"] for label in (*one["labels"], *two["labels"])}
    assert {label["source"] for label in joined["labels"]} == sources
    assert joined == with_labels(joined, joined["labels"])


WHOLE = [
    row(
        number,
        rationale=f"said {number % 3}",
        score=number / 8,
        dm="d",
        signals={"a": float(number), "b": 1.0},
        labels=[said("correct", "grader:auto"), said("incorrect", "human:ann"), said("correct", "judge:x")],
    )
    for number in range(6)
]
"""Rows in full; a sighting tells some of it."""


@st.composite
def partial_sightings(draw):
    """Every row, in one to three sightings that together tell all of it."""
    found = []
    for whole in WHOLE:
        count = draw(st.integers(1, 3))
        tells = {name: draw(st.integers(0, count - 1)) for name in ("score", "dm", "a", "b", 0, 1, 2)}
        for place in range(count):
            known = [name for name, teller in tells.items() if teller == place]
            told = {name: whole[name] if name in known else None for name in ("score", "dm")}
            told["signals"] = {name: value for name, value in whole["signals"].items() if name in known}
            found.append(with_labels({**whole, **told}, [whole["labels"][n] for n in (0, 1, 2) if n in known]))
    return draw(st.permutations(found))


@settings(max_examples=40)
@given(partial_sightings(), st.lists(st.integers(0, 18), max_size=3))
def test_any_order_and_any_split_into_harvests_gives_the_same_rows(tmp_path_factory, found, cuts):
    root = tmp_path_factory.mktemp("staging")
    whole = write_dataset(WHOLE, root / "whole")
    places = [0, *sorted(cuts), len(found)]
    for start, end in pairwise(places):
        if found[start:end]:
            write_dataset(found[start:end], root / "grown")
    assert {file.name: file.read_bytes() for file in (root / "grown").iterdir()} == {
        file.name: file.read_bytes() for file in whole.path.iterdir()
    }
