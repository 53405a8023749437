"""Datasets out of datasets: nothing is lost in a merge, nothing is made up by a filter, and the records stay true."""

import json
import tracemalloc
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training.synthetic import make_behavior

from drr_agent.errors import ConfigError, DataError
from drr_agent.lines import hold
from drr_agent.training.dataset import load_dataset
from drr_agent.training.dataset.edit import filter_dataset, merge_datasets
from drr_agent.training.dataset.manifest import hash_file
from drr_agent.training.dataset.rejects import read_rejects
from drr_agent.training.dataset.writer import add_labels, write_dataset
from drr_agent.training.drops import Drop
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.redaction import Redaction

AT = "2026-01-01T00:00:00.000+00:00"


def said(value, source="grader:auto", at=AT):
    return {"value": value, "source": source, "at": at}


def row(number, **changes):
    record = {
        "id": f"r{number}:1",
        "run_id": f"r{number}",
        "rationale": f"é {number}",
        "turn": 1 + number % 2,
        "reasoner": "b" if number % 3 else "a",
        "labels": [] if number % 4 == 3 else [said("correct" if number % 4 else "incorrect")],
    }
    return make_behavior(f"What is {number // 4} + 1?", **{**record, **changes})


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def ids(dataset):
    return sorted(one["id"] for one in dataset.iter_rows())


def named(dataset):
    return sorted(
        (line["source"], line["place"], line["reason"]) for line in read_rejects(dataset.path / "rejects.jsonl")
    )


@pytest.fixture
def write(tmp_path):
    """A dataset of some rows."""

    def make(name, *rows, **settings):
        return write_dataset(rows, tmp_path / name, **settings).path

    return make


@pytest.fixture
def table(tmp_path):
    """A table with some rows and some torn lines."""

    def make(name, numbers, torn=0):
        path = tmp_path / name
        rows = [{"question": f"{n // 2} + 1?", "rationale": f"{n}", "answer": "1", "gold": str(n % 2)} for n in numbers]
        path.write_text("\n".join([*map(json.dumps, rows), *["{"] * torn]) + "\n")
        return path

    return make


def filter_first(paths, out):
    return filter_dataset(paths[0], out, where=["turn>0"])


WAYS = pytest.mark.parametrize(
    "make", [pytest.param(merge_datasets, id="merge"), pytest.param(filter_first, id="filter")]
)


# merge


def test_a_merge_is_what_one_harvest_of_all_would_be(write, tmp_path):
    rows = [row(number) for number in range(40)]
    whole = write("whole", *rows)
    merged = merge_datasets([write("a", *rows[:25]), write("b", *rows[20:])], tmp_path / "merged")
    merged.verify()
    assert merged.manifest.count == 40
    assert contents(merged.path) == contents(whole)


@pytest.mark.parametrize("way", range(6))
def test_the_order_makes_no_difference(write, tmp_path, way):
    a = write("a", row(1, score=0.25), row(2))
    b = write("b", row(1, dm="d", labels=[said("correct", "human:ann")]), row(3))
    c = write("c", row(1, score=0.75), row(4))
    order = list(permutations([a, b, c]))[way]
    merged = merge_datasets(order, tmp_path / "merged")
    merged.verify()
    assert contents(merged.path) == contents(merge_datasets([a, b, c], tmp_path / "reference").path)


def test_a_row_that_two_have_knows_what_either_knows(write, tmp_path):
    a = write("a", row(1, score=0.25, labels=[said("correct")]))
    b = write("b", row(1, dm="d", labels=[said("incorrect", "human:ann")]))
    [found] = merge_datasets([a, b], tmp_path / "merged").iter_rows()
    assert (found["score"], found["dm"], found["label"], len(found["labels"])) == (0.25, "d", "incorrect", 2)


def test_conflicts_and_copies_are_counted_anew(write, tmp_path):
    a = write("a", row(1, labels=[said("correct")]), row(0, rationale="same"))
    b = write("b", row(1, labels=[said("incorrect", "human:ann")]), row(0, id="other", rationale="same"))
    manifest = merge_datasets([a, b], tmp_path / "merged").manifest
    assert (manifest.conflicts, manifest.copies) == (1, 2)


def test_records_and_rejects_of_all_sources_stay(table, tmp_path):
    one, two = table("one.jsonl", range(8), torn=2), table("two.jsonl", range(8, 20), torn=1)
    a = harvest_dataset([one], tmp_path / "a", progress=False)[0]
    b = harvest_dataset([one, two], tmp_path / "b", progress=False)[0]
    merged = merge_datasets([a.path, b.path], tmp_path / "merged")
    merged.verify()
    assert merged.manifest.sources == b.manifest.sources
    assert named(merged) == named(b)
    assert [len(named(dataset)) for dataset in (a, b)] == [2, 3]


def test_two_harvests_of_one_place_are_two_records(table, tmp_path):
    log = table("log.jsonl", range(8), torn=2)
    a = harvest_dataset([log], tmp_path / "a", progress=False)[0]
    table("log.jsonl", range(4, 20), torn=3)
    b = harvest_dataset([log], tmp_path / "b", progress=False)[0]
    merged = merge_datasets([b.path, a.path], tmp_path / "merged")
    merged.verify()
    assert [record.key for record in merged.manifest.sources] == [a.manifest.sources[0].key] * 2
    assert sorted(record.read for record in merged.manifest.sources) == [10, 19]
    assert len(named(merged)) == 5
    again = merge_datasets([merged.path, a.path], tmp_path / "again")
    assert contents(again.path) == contents(merged.path), "merged again it is the same"
    renewed = harvest_dataset([log], merged.path, progress=False)[0]
    renewed.verify()
    assert [record.read for record in renewed.manifest.sources] == [19], "a later harvest takes the place of both"


def test_of_two_tellings_of_one_harvest_one_stays_with_its_rejects(table, tmp_path):
    one, two = table("one.jsonl", range(8)), table("two.jsonl", range(8), torn=1)
    alone = harvest_dataset([two], tmp_path / "alone", progress=False)[0]
    after = harvest_dataset([one, two], tmp_path / "after", progress=False)[0]
    assert alone.manifest.sources[0].dropped != after.manifest.sources[1].dropped, (
        "beside the other its rows are copies"
    )
    merged = merge_datasets([alone.path, after.path], tmp_path / "merged")
    merged.verify()
    assert len(merged.manifest.sources) == 2
    other_way = merge_datasets([after.path, alone.path], tmp_path / "other way")
    assert contents(other_way.path) == contents(merged.path)


def test_labels_that_were_added_are_merged(write, tmp_path):
    a, b = write("a", row(3)), write("b", row(3))
    add_labels(a, [("r3:1", said("correct", "human:ann"))])
    add_labels(b, [("r3:1", said("incorrect", "human:ann", "2026-01-02T00:00:00.000+00:00"))])
    [found] = merge_datasets([a, b], tmp_path / "merged").iter_rows()
    assert [(label["source"], label["value"]) for label in found["labels"]] == [("human:ann", "incorrect")]


def test_one_dataset_named_twice_is_one(write, tmp_path):
    a = write("a", row(1), row(2), drops=[Drop("mine", "row 7", "bad value", "")])
    assert contents(merge_datasets([a, a, a / ".." / "a"], tmp_path / "merged").path) == contents(a)


def test_inputs_are_left_as_they_are(write, tmp_path):
    a, b = write("a", row(1)), write("b", row(2))
    before = contents(a), contents(b)
    merge_datasets([a, b], tmp_path / "merged")
    filter_dataset(a, tmp_path / "part", where=["turn=2"])
    assert (contents(a), contents(b)) == before


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        pytest.param({"fractions": {"train": 1.0}}, "fractions", id="split otherwise"),
        pytest.param({"redaction": Redaction()}, "redaction", id="redacted otherwise"),
        pytest.param({"redaction": Redaction(secrets=False, capture="digest")}, "capture", id="captured otherwise"),
    ],
)
def test_only_what_is_alike_is_merged(write, tmp_path, settings, name):
    a, b = write("a", row(1)), write("b", row(2), **settings)
    with pytest.raises(DataError, match=f"expected datasets with the same {name}, got .* harvest one of them anew"):
        merge_datasets([a, b], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_how_it_was_split_redacted_and_captured_is_kept(write, tmp_path):
    how = {"fractions": {"train": 0.5, "test": 0.5}, "redaction": Redaction(patterns=("x+",), capture="digest")}
    a, b = write("a", row(1), **how), write("b", row(2), **how)
    for made in (merge_datasets([a, b], tmp_path / "c"), filter_dataset(a, tmp_path / "d", where=["turn=2"])):
        given = load_dataset(a).manifest
        for name in ("fractions", "redaction", "capture"):
            assert getattr(made.manifest, name) == getattr(given, name)


@WAYS
@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        pytest.param("a", ConfigError, "expected another folder to write", id="the input"),
        pytest.param("b/../a", ConfigError, "expected another folder to write", id="the input by another name"),
        pytest.param("held", DataError, "expected a new or empty folder at .* found a dataset", id="a dataset"),
        pytest.param("other", DataError, "found other files", id="other files"),
        pytest.param("none/deep", None, "", id="a new folder"),
        pytest.param("empty", None, "", id="an empty folder"),
    ],
)
def test_where_it_is_written(write, tmp_path, make, out, error, message):
    a, b = write("a", row(1)), write("b", row(2))
    held = contents(write("held", row(3)))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    if error is None:
        make([a, b], tmp_path / out).verify()
    else:
        with pytest.raises(error, match=message):
            make([a, b], tmp_path / out)
    assert contents(tmp_path / "held") == held
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_nothing_to_merge_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected datasets to merge, got none"):
        merge_datasets([], tmp_path / "merged")


@WAYS
def test_a_damaged_dataset_leaves_nothing(write, tmp_path, make):
    a = write("a", *[row(number) for number in range(40)])
    file = next(a.glob("train-*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="got other content"):
        make([a, write("b", row(50))], tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")} <= {"a", "b"}


def test_a_folder_that_another_writes_is_left_alone(write, tmp_path):
    a = write("a", row(1))
    with hold(tmp_path / "out", by="the test"), pytest.raises(DataError, match="another harvest holds it"):
        merge_datasets([a], tmp_path / "out")


def test_a_merge_is_never_all_in_memory(write, tmp_path, monkeypatch):
    monkeypatch.setattr("drr_agent.training.dataset.parquet._ROWS_PER_GROUP", 20)
    halves = [
        write(f"half{half}", *[row(n, rationale=f"{n} " + "x" * 50_000) for n in range(200 * half, 200 * half + 200)])
        for half in (0, 1)
    ]
    tracemalloc.start()
    merge_datasets(halves, tmp_path / "merged")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000, "the rows are 20 MB"


# filter


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        pytest.param(["turn=1"], lambda one: one["turn"] == 1, id="a number"),
        pytest.param(["turn>1", "reasoner=a"], lambda one: one["turn"] > 1 and one["reasoner"] == "a", id="all hold"),
        pytest.param(["label=correct"], lambda one: one["label"] == "correct", id="a text"),
        pytest.param(["label!="], lambda one: one["label"] is not None, id="labelled"),
        pytest.param(["label="], lambda one: one["label"] is None, id="not labelled"),
        pytest.param(["truncated=false"], lambda one: True, id="a truth"),
        pytest.param(["logprobs="], lambda one: True, id="a missing list"),
        pytest.param(["id=r7:1"], lambda one: one["id"] == "r7:1", id="one row"),
    ],
)
def test_the_rows_that_are_chosen(write, tmp_path, where, matches):
    rows = [row(number) for number in range(40)]
    whole = load_dataset(write("whole", *rows))
    part = filter_dataset(whole.path, tmp_path / "part", where=where)
    part.verify()
    assert ids(part) == sorted(one["id"] for one in rows if matches(one))
    for split in part.manifest.files:
        assert {one["id"] for one in part.rows(split)} <= {one["id"] for one in whole.rows(split)}, "each in its split"


def test_the_record_of_a_part_is_true(table, tmp_path):
    whole = harvest_dataset([table("t.jsonl", range(12), torn=2)], tmp_path / "whole", progress=False)[0]
    add_labels(whole.path, [])
    whole = load_dataset(whole.path)
    part = filter_dataset(whole.path, tmp_path / "part", where=["label=correct"], drop_copies=True)
    part.verify()
    [record] = part.manifest.sources
    assert record.location == str(whole.path)
    assert record.sha256 == hash_file(whole.path / "manifest.json")
    assert (record.kind, record.where) == ("dataset", ("label=correct", "drop copies"))
    assert (record.read, record.filtered, record.kept) == (12, 12 - part.manifest.count, part.manifest.count)
    assert (record.dropped, record.unlabeled) == ({}, {})
    assert record.sources == whole.manifest.sources, "where its rows come from, in full"
    assert named(part) == [], "what harvests left out is named there"


def test_kept_rows_without_a_label_are_counted(write, tmp_path):
    whole = write("whole", row(3), row(7, answer=None), row(1))
    [record] = filter_dataset(whole, tmp_path / "part", where=["turn>0"]).manifest.sources
    assert (record.kept, record.unlabeled) == (3, {"no label": 1, "no answer": 1})


def copy(number, **changes):
    return row(1, id=f"c{number}", run_id=f"c{number}", rationale="same", **{"labels": [], **changes})


@pytest.mark.parametrize(
    ("rows", "where", "kept"),
    [
        pytest.param([copy(1), copy(2), copy(3)], [], ["c1"], id="the first stays"),
        pytest.param([copy(1), copy(2, labels=[said("correct")])], [], ["c2"], id="the labelled one stays"),
        pytest.param(
            [copy(1, labels=[said("correct", "agreement")]), copy(2, labels=[said("incorrect", "human:ann")])],
            [],
            ["c2"],
            id="the one whose label counts more",
        ),
        pytest.param(
            [copy(1, labels=[said("correct", "human:a")]), copy(2, labels=[said("incorrect", "human:b")])],
            [],
            ["c1"],
            id="of equal labels the first",
        ),
        pytest.param([copy(1), copy(2, answer="3"), copy(3, reasoner="z")], [], ["c1", "c2", "c3"], id="no copies"),
        pytest.param([copy(1, turn=1), copy(2, turn=2)], ["turn=2"], ["c2"], id="of those that the filters leave"),
        pytest.param([copy(1), row(9, rationale="same", answer="two")], [], ["c1", "r9:1"], id="another question"),
    ],
)
def test_of_copies_one_stays(write, tmp_path, rows, where, kept):
    part = filter_dataset(write("whole", *rows), tmp_path / "part", where=where, drop_copies=True)
    part.verify()
    assert ids(part) == kept
    assert part.manifest.copies == 0


def test_without_being_told_copies_stay(write, tmp_path):
    whole = write("whole", copy(1, draw=1), copy(2, draw=2), copy(3, draw=2))
    part = filter_dataset(whole, tmp_path / "part", where=["draw=2"])
    assert [(one["id"], one["copies"]) for one in part.iter_rows()] == [("c2", 2), ("c3", 2)]


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        pytest.param([], ConfigError, "expected filters such as turn=1", id="nothing to filter by"),
        pytest.param(["turn"], ConfigError, "expected a filter such as", id="no filter"),
        pytest.param(["model=a"], ConfigError, "got 'model'; the fields are id, run_id, question_key", id="no field"),
        pytest.param(["turn=1", "Label=x"], ConfigError, "got 'Label'", id="case counts"),
        pytest.param(["turn=77"], DataError, "with turn=77, got none of 2; loosen the filters", id="no rows"),
    ],
)
def test_filters_that_cannot_be(write, tmp_path, where, error, message):
    whole = write("whole", row(1), row(2))
    with pytest.raises(error, match=message):
        filter_dataset(whole, tmp_path / "part", where=where)
    assert not (tmp_path / "part").exists()


def test_a_part_of_a_part_and_what_it_merges_to(write, tmp_path):
    rows = [row(number) for number in range(24)]
    whole = write("whole", *rows)
    odd, even = (filter_dataset(whole, tmp_path / f"turn{n}", where=[f"turn={n}"]) for n in (1, 2))
    part = filter_dataset(odd.path, tmp_path / "part", where=["reasoner=a"])
    assert part.manifest.sources[0].sources == odd.manifest.sources
    merged = merge_datasets([odd.path, even.path, part.path], tmp_path / "merged")
    merged.verify()
    assert merged.digest == load_dataset(whole).digest
    assert len(merged.manifest.sources) == 3


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=10), min_size=1, max_size=3), st.randoms())
def test_any_datasets_merge_to_their_union(tmp_path_factory, parts, random):
    root = tmp_path_factory.mktemp("edit")
    paths = [write_dataset(map(row, part), root / str(place)).path for place, part in enumerate(parts)]
    shuffled = random.sample(paths, len(paths))
    merged = merge_datasets(shuffled, root / "merged")
    merged.verify()
    assert ids(merged) == sorted({row(number)["id"] for part in parts for number in part})
    stepwise = paths[0]
    for place, path in enumerate(paths[1:]):
        stepwise = merge_datasets([stepwise, path], root / f"step{place}").path
    assert contents(stepwise) == contents(merged.path) or len(paths) == 1
