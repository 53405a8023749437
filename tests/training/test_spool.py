"""Records that may not fit in memory, grouped and in order."""

import os
import random
import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.errors import DataError
from drr_agent.training import spool as spools
from drr_agent.training.dataset.staging import Staging
from drr_agent.training.drops import Drop
from drr_agent.training.sources.traces.trace_shelf import TraceShelf
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


# --- no room ---------------------------------------------------------------------------------------------------------

BLOB = "x" * 10_000
NO_ROOM = r"expected room for temporary files in .*free some space there, or name another .* SQLITE_TMPDIR"


@pytest.fixture
def small_files(monkeypatch):
    """No file of this process may grow beyond 100 kB, and SQLite keeps nearly nothing in memory."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(spools, "_CACHE_KIB", 16)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill_spool():
    with closing(Spool()) as spool:
        for number in range(50):
            spool.add(str(number), "", BLOB)


def fill_staging():
    with closing(Staging()) as staging:
        for _ in range(50):
            staging.drop(Drop("source", "place", "no reply", BLOB))


def fill_trace_shelf():
    with closing(TraceShelf()) as shelf:
        for number in range(50):
            shelf.add_feedback(str(number), None, {"name": BLOB})


@pytest.mark.parametrize("fill", [fill_spool, fill_staging, fill_trace_shelf])
@pytest.mark.usefixtures("small_files")
def test_whatever_waits_on_a_disk_says_that_it_is_full(fill):
    with pytest.raises(DataError, match=NO_ROOM):
        fill()


STEPS = {
    "writing": lambda scratch: scratch.execute("insert into t select x || x from t"),
    "a script": lambda scratch: scratch.executescript("create table other as select x || x from t"),
    "one row": lambda scratch: scratch.execute("select x from t order by x || x").fetchone(),
    "all rows": lambda scratch: scratch.execute("select x from t order by x || x").fetchall(),
    "each row": lambda scratch: list(scratch.execute("select x from t order by x || x")),
}


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_every_step_may_need_room(monkeypatch, step):
    import resource

    monkeypatch.setattr(spools, "_CACHE_KIB", 16)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(open_scratch()) as scratch:
        scratch.execute("create table t (x text)")
        for number in range(400):
            scratch.execute("insert into t values (?)", (f"{number * 7919 % 400}{BLOB}",))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(DataError, match=NO_ROOM):
                step(scratch)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_by_what_sqlite_calls_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    with closing(open_scratch()) as scratch:
        scratch.execute("pragma max_page_count = 5")
        scratch.execute("create table t (x text)")
        with pytest.raises(DataError, match=f"in '{tmp_path}', got an error .database or disk is full."):
            scratch.execute("insert into t values (?)", ("x" * 100_000,))


def test_other_errors_are_left_as_they_are():
    with closing(open_scratch()) as scratch, pytest.raises(sqlite3.OperationalError, match="no such table"):
        scratch.execute("select * from missing")


@pytest.mark.skipif(sys.platform == "win32", reason="looks elsewhere")
@pytest.mark.parametrize(
    ("variables", "found"),
    [
        pytest.param({"SQLITE_TMPDIR": "one", "TMPDIR": "two"}, "one", id="SQLite's own first"),
        pytest.param({"SQLITE_TMPDIR": "none", "TMPDIR": "two"}, "two", id="one that is there"),
        pytest.param({"TMPDIR": "two"}, "two", id="everybody's"),
        pytest.param({}, "/var/tmp", id="the system's"),
    ],
)
def test_the_folder_that_is_named_is_the_one_that_sqlite_uses(tmp_path, variables, found):
    """In a process of its own: SQLite reads its variables once."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    told, *used = subprocess.run(
        [sys.executable, "-c", USE],
        env={"PATH": os.environ["PATH"], **{name: str(tmp_path / folder) for name, folder in variables.items()}},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert told == str(tmp_path / found)
    assert used == [told] or sys.platform != "linux"


USE = """
from pathlib import Path
from drr_agent.training import spool
spool._CACHE_KIB = 16
scratch = spool.open_scratch()
scratch.execute("create table t as select zeroblob(1000000)")
print(spool._folder())
files = [link.readlink() for link in Path("/proc/self/fd").glob("*") if link.is_symlink()]
print(*(file.parent for file in files if file.name.startswith("etilqs")))
"""
