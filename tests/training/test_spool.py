"""Records that may not fit in memory, grouped and in order."""

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.training.spool import Spool, open_scratch


@pytest.fixture
def spool():
    made = Spool()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("added", "groups"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([("k", "1", "x")], [("k", ["x"])], id="one"),
        pytest.param([("b", "", 1), ("a", "", 2), ("b", "", 3)], [("a", [2]), ("b", [1, 3])], id="by key"),
        pytest.param([("k", "2", "y"), ("k", "1", "x")], [("k", ["x", "y"])], id="in order"),
        pytest.param([("k", "10", "y"), ("k", "9", "x")], [("k", ["y", "x"])], id="in the order of text"),
        pytest.param([("k", "", n) for n in (3, 1, 2)], [("k", [3, 1, 2])], id="equal places as they came"),
        pytest.param([("k", "", "x"), ("k", "", "x")], [("k", ["x", "x"])], id="twice is twice"),
        pytest.param([("", "", None), ("K", "", 1), ("k", "", 2)], [("", [None]), ("K", [1]), ("k", [2])], id="case"),
        pytest.param([("é", "", 1), ("z", "", 2)], [("z", [2]), ("é", [1])], id="in the order of bytes"),
        pytest.param([("a\ud800", "\udfff", {"t": "\ud800"})], [("a?", [{"t": "\ud800"}])], id="half a character"),
        pytest.param([("a\x00b", "", 1), ("a", "", 2)], [("a", [2]), ("a\x00b", [1])], id="a null byte"),
    ],
)
def test_groups(spool, added, groups):
    for record in added:
        spool.add(*record)
    assert list(spool.groups()) == groups


records = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


@given(st.lists(st.tuples(keys, keys, records), max_size=20))
def test_it_is_a_stable_sort_that_loses_nothing(added):
    spool = Spool()
    for record in added:
        spool.add(*record)
    found = [(key, record) for key, group in spool.groups() for record in group]
    again = [(key, record) for key, group in spool.groups() for record in group]
    spool.close()
    by_bytes = sorted(added, key=lambda entry: (entry[0].encode(), entry[1].encode()))
    assert found == again == [(key, record) for key, _, record in by_bytes]


def test_what_comes_while_groups_are_read_needs_another_reading(spool):
    spool.add("a", "", 1)
    assert list(spool.groups()) == [("a", [1])]
    spool.add("a", "", 2)
    assert list(spool.groups()) == [("a", [1, 2])]


def test_ten_megabytes_pass(spool):
    spool.add("k", "", {"text": "é" * 10_000_000})
    [(_, [record])] = spool.groups()
    assert len(record["text"]) == 10_000_000


def test_records_are_on_disk_and_not_in_memory(spool):
    order = list(range(400))
    random.Random(0).shuffle(order)
    tracemalloc.start()
    for number in order:
        spool.add(f"{number:04d}", "", "x" * 100_000)
    assert sum(len(record) for _, [record] in spool.groups()) == 40_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_nobody_else_sees_it():
    one, two = open_scratch(), open_scratch()
    one.execute("create table t (x)")
    assert two.execute("select count(*) from sqlite_master").fetchone() == (0,)
    assert one.execute("select file from pragma_database_list").fetchone() == ("",), "no file with a name"
    one.close()
    two.close()
