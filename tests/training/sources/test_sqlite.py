"""A checkpointer's SQLite database: read whatever state it is in, and never written to."""

import io
import itertools
import json
import os
import pickle
import random
import re
import shutil
import sqlite3
import struct
import sys
import tempfile
import warnings
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import ormsgpack
import pytest
from fakes import FunctionChatModel, make_attempt, make_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.sqlite import SqliteSaver

from drr_agent import create_drr_graph
from drr_agent.errors import DataError
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.sqlite import SqliteReader, _first_torn_frame, _sums, is_sqlite

RUNS = 60
PLAIN = ormsgpack.packb(make_run("plain"))


def write(path, rows=(), checkpoints=(), *, threads=0):
    """A checkpointer's database: of runs of the graph, and of rows made by hand."""
    with SqliteSaver.from_conn_string(str(path)) as saver:
        saver.setup()
        graph = create_drr_graph(FunctionChatModel(function=lambda _: "because\nAnswer: 4"), None, checkpointer=saver)
        for thread in range(threads):
            graph.invoke({"messages": [("user", "2 + 2?")]}, {"configurable": {"thread_id": f"t{thread}"}})
        for number, row in enumerate(rows):
            thread, namespace, checkpoint, channel, kind, value = row
            saver.conn.execute(
                "insert into writes values (?, ?, ?, 'task', '', ?, ?, ?, ?)",
                (thread, namespace, checkpoint, number, channel, kind, value),
            )
        for row in checkpoints:
            saver.conn.execute("insert into checkpoints values (?, ?, ?, ?, ?, ?, ?)", row)
        saver.conn.commit()
    return path


def ended(kind="msgpack", value=PLAIN, thread="a", checkpoint="1"):
    """The last write of a run."""
    return thread, "", checkpoint, "drr", kind, value


def state(
    kind="msgpack", thread="a", checkpoint="1", parent=None, metadata=b'{"source": "loop", "step": 7}', **channels
):
    """A checkpoint."""
    held = {"channel_values": channels} if channels else {}
    value = json.dumps(held).encode() if kind == "json" else ormsgpack.packb(held)
    return thread, "", checkpoint, parent, kind, value, metadata


def read(path):
    return list(SqliteReader(path=path).entries())


def runs(path):
    found = read(path)
    assert all(isinstance(entry, LoggedRun) for entry in found), found
    return [entry.run for entry in found]


def losses(path):
    return [(entry.place, *entry.flaw) for entry in read(path) if isinstance(entry, LostEntry)]


def listing(folder):
    """Everything about the files of a folder that a reader might change."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


def test_a_run_has_a_place(tmp_path):
    [entry] = read(write(tmp_path / "c.sqlite", [ended()], [state()]))
    assert entry == LoggedRun("thread a checkpoint 1", make_run("plain"))


def test_threads_come_in_order_and_their_runs_by_start(tmp_path):
    order = [("b", "2026-01-02", "r1"), ("a", "2026-01-04", "r3"), ("a", "2026-01-03", "r9"), ("a", "2026-01-04", "r2")]
    rows = [
        ended(value=ormsgpack.packb(make_run(name, started_at=at)), thread=thread, checkpoint=str(number))
        for number, (thread, at, name) in enumerate(order)
    ]
    path = write(tmp_path / "c.sqlite", rows)
    assert [run["run_id"] for run in runs(path)] == ["r9", "r2", "r3", "r1"]
    assert read(path) == read(path)


def test_a_copied_thread_gives_its_runs_once(tmp_path):
    path = write(tmp_path / "c.sqlite", [ended(thread=thread) for thread in "abc"])
    assert [entry.place for entry in read(path)] == ["thread a checkpoint 1"]


@pytest.mark.parametrize(
    ("content", "is_one"),
    [(b"SQLite format 3\0" + b"x" * 100, True), (b"SQLite format 3", False), (b"", False), (b'{"run_id"', False)],
)
def test_a_database_is_known_by_its_first_bytes(tmp_path, content, is_one):
    path = tmp_path / "f"
    path.write_bytes(content)
    assert is_sqlite(path) is is_one


# --- files -----------------------------------------------------------------------------------------------------------


def live(folder):
    """A database with a log that has not been merged into it, and its writer."""
    write(folder / "c.sqlite", threads=1)
    writer = sqlite3.connect(folder / "c.sqlite")
    writer.execute("pragma journal_mode = wal")
    writer.execute("insert into writes values ('live', '', '1', 'task', '', 0, 'drr', 'msgpack', ?)", (PLAIN,))
    writer.commit()
    return writer


def copied(folder, *, index):
    """What a killed writer leaves, with or without the index of its log."""
    source = folder / "source"
    source.mkdir()
    with closing(live(source)):
        for ending in ("", "-wal", *(["-shm"] if index else [])):
            shutil.copy(source / f"c.sqlite{ending}", folder / f"c.sqlite{ending}")
    shutil.rmtree(source)


FILES = {
    "its writer is gone": lambda folder: write(folder / "c.sqlite", [ended()], threads=1),
    "its writer was killed": lambda folder: copied(folder, index=True),
    "its writer was killed, and its index is lost": lambda folder: copied(folder, index=False),
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_nothing_is_written_beside_or_into_a_database(tmp_path, make):
    make(tmp_path)
    before = listing(tmp_path)
    assert len(runs(tmp_path / "c.sqlite")) == 2
    after = listing(tmp_path)
    before.pop("c.sqlite-shm", None), after.pop("c.sqlite-shm", None)  # SQLite keeps its readers there
    assert after == before


def test_a_live_writer_goes_on_and_its_reader_sees_one_state(tmp_path):
    path = tmp_path / "c.sqlite"
    with closing(live(tmp_path)) as writer:
        entries = SqliteReader(path=path).entries()
        first = next(entries)
        writer.execute("insert into writes values ('u', '', '1', 'task', '', 0, 'drr', 'msgpack', ?)", (PLAIN,))
        writer.commit()
        assert [first.place, *(entry.place for entry in entries)] == [entry.place for entry in read(path)][:2]
        before = path.read_bytes()
        assert len(read(path)) == 2
        assert path.read_bytes() == before


def as_nobody(function):
    """What a function gives to a user who may write nothing here; root may write everywhere."""
    if os.getuid() != 0:
        return function()
    answer, question = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads; the child only reads
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
            os.write(question, pickle.dumps(function()))
        finally:
            os._exit(0)
    os.close(question)
    said = b"".join(iter(partial(os.read, answer, 65536), b""))
    os.close(answer)
    os.waitpid(child, 0)
    return pickle.loads(said)


@pytest.mark.skipif(sys.platform == "win32", reason="folders there have no such rights")
@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_a_folder_may_be_read_only(make):
    folder = Path(tempfile.mkdtemp())
    try:
        make(folder)
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        assert len(as_nobody(lambda: runs(folder / "c.sqlite"))) == 2
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_name_may_hold_anything(tmp_path):
    folder = tmp_path / "50% ?mode=rwc #1"
    folder.mkdir()
    assert len(runs(write(folder / "c d.sqlite", [ended()]))) == 1
    (tmp_path / "link").symlink_to(folder / "c d.sqlite")
    assert len(runs(tmp_path / "link")) == 1


def test_a_database_of_another_mode_is_read(tmp_path):
    path = write(tmp_path / "c.sqlite", [ended()])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = delete")
    before = listing(tmp_path)
    assert len(runs(path)) == 1
    assert listing(tmp_path) == before


def test_who_writes_meanwhile_is_noticed(tmp_path):
    path = write(tmp_path / "c.sqlite", [ended()])
    entries = SqliteReader(path=path).entries()
    next(entries)
    os.utime(path, (1, 1))
    assert list(entries) == [
        LostEntry("end of file", Flaw("unreadable", "somebody wrote to it meanwhile; harvest it again"))
    ]


def not_a_database(path):
    path.write_bytes(b"SQLite format 3\0" + random.Random(1).randbytes(5000))


def of_somebody_else(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table people (name text)")


def of_views(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "create view checkpoints as with recursive n as (select 1 union all select 1 from n) select * from n"
        )
        connection.execute("create view writes as select 1")


def of_other_columns(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table checkpoints (thread_id text)")
        connection.execute("create table writes (thread_id text)")
        connection.execute("insert into checkpoints values ('a')")
        connection.commit()


def without_pages(path):
    write(path, threads=20)
    os.truncate(path, 4096 * 2)


USELESS = {
    "nothing": (lambda path: None, "found nothing; check the path"),
    "a folder": (Path.mkdir, "found a folder; check the path"),
    "an empty file": (Path.touch, "tables `checkpoints` and `writes`.*found none"),
    "noise": (not_a_database, "cannot be read"),
    "somebody else's": (of_somebody_else, "found people; name the database"),
    "views": (of_views, "found none; name the database"),
    "a beginning": (without_pages, "cannot be read"),
}


@pytest.mark.parametrize(("make", "reason"), USELESS.values(), ids=USELESS)
def test_a_file_that_is_of_no_use_says_why(tmp_path, make, reason):
    make(tmp_path / "c.sqlite")
    with pytest.raises(DataError, match=reason):
        read(tmp_path / "c.sqlite")


def test_tables_of_the_same_name_cost_their_threads(tmp_path):
    of_other_columns(tmp_path / "c.sqlite")
    [(place, reason, detail)] = losses(tmp_path / "c.sqlite")
    assert (place, reason) == ("thread a", "unreadable")
    assert "no such column" in detail


# --- rows ------------------------------------------------------------------------------------------------------------


def test_an_empty_database_has_no_runs(tmp_path):
    assert read(write(tmp_path / "c.sqlite")) == []


def test_a_cleared_channel_is_no_loss(tmp_path):
    assert read(write(tmp_path / "c.sqlite", [ended("null", None)], [state(drr=None)])) == []


DAMAGED = {
    "torn": (ended(value=PLAIN[:-5]), "torn or invalid msgpack"),
    "a pickle": (ended("pickle", pickle.dumps(make_run())), "stored as 'pickle'"),
    "encrypted": (ended("msgpack+aes", PLAIN), "only msgpack and JSON are"),
    "of no kind": (ended(None, PLAIN), "stored as 'None'"),
    "text": (ended(value="text"), "not a run"),
    "empty": (ended(value=None), "NoneType where"),
    "of somebody else": (ended(value=ormsgpack.packb(0.5)), "not a run"),
    "of another schema": (ended(value=ormsgpack.packb(make_run(schema=9))), "a run of schema 9"),
    "no number": (ended(value=ormsgpack.packb(make_run(score=float("nan")))), "nan is no number"),
}


@pytest.mark.parametrize(("row", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_row_costs_itself(tmp_path, row, reason):
    path = write(tmp_path / "c.sqlite", [row, ended(thread="b", checkpoint="2")])
    [lost, kept] = read(path)
    assert (lost.place, lost.flaw.reason) == ("thread a checkpoint 1", "unreadable")
    assert reason in lost.flaw.detail
    assert kept.run == make_run("plain")


@pytest.mark.parametrize(
    ("start", "answers", "told"),
    [
        pytest.param("plain", ["4"], ["accepted"], id="what became of the start"),
        pytest.param("plain", ["9"], ["accepted", "interrupted"], id="attempts that were changed since"),
        pytest.param("other", ["9"], ["accepted", "interrupted"], id="a run after it"),
        pytest.param("other", [], ["accepted", "interrupted"], id="a run after it without attempts"),
    ],
)
def test_a_last_state_is_enough(tmp_path, start, answers, told):
    run = make_run("plain", [make_attempt("4", 0.9)])
    begun = {name: run[name] for name in ("started_at", "question", "context")} | {"run_id": start}
    attempts = [make_attempt(answer, 0.9) for answer in answers]
    path = write(tmp_path / "c.sqlite", [], [state(drr_start=begun, drr_attempts=attempts, drr=run, other=1)])
    assert sorted(found["stop_reason"] for found in runs(path)) == told


def test_what_a_host_and_its_subgraph_hold_is_lost_once(tmp_path):
    bad = ended(value=ormsgpack.packb(make_run(schema=9)))
    states = [state(thread="c", checkpoint=name, drr={"more": 1}) for name in "12"]
    path = write(tmp_path / "c.sqlite", [bad, ("a", "answer:1", *bad[2:]), ended(*bad[4:], thread="b")], states)
    assert sorted(place for place, *_ in losses(path)) == [f"thread {thread} checkpoint 1" for thread in "abc"]


def test_a_run_as_json_is_read(tmp_path):
    rows = [ended("json", json.dumps(make_run("old")).encode())]
    states = [state("json", thread="b", drr=make_run("older"))]
    assert {run["run_id"] for run in runs(write(tmp_path / "c.sqlite", rows, states))} == {"old", "older"}


def test_ten_megabytes_pass(tmp_path):
    run = make_run(attempts=[make_attempt(rationale="x" * 10**7)])
    assert runs(write(tmp_path / "c.sqlite", [ended(value=ormsgpack.packb(run))])) == [run]


def hostile(folder):
    """Values that would write a file if anybody imported, built or unpickled what they name."""
    (folder / "hostile_module.py").write_text(f"open({str(folder / 'harm')!r}, 'w').close()\nclass Run(dict): pass\n")
    named = ["hostile_module", "Run", {}]
    extensions = [
        ormsgpack.Ext(code, ormsgpack.packb([*named, *more]))
        for code, more in ((0, []), (1, []), (2, []), (3, ["fromkeys"]), (4, []), (5, []))
    ]

    class Harm:
        def __reduce__(self):
            return Path.touch, (folder / "harm",)

    revived = json.dumps({"lc": 2, "type": "constructor", "id": named[:2], "kwargs": {}}).encode()
    return [
        *(("msgpack", ormsgpack.packb({**make_run(f"r{n}"), "more": harm})) for n, harm in enumerate(extensions)),
        *(("msgpack", ormsgpack.packb(extension)) for extension in extensions),
        ("json", revived),
        ("pickle", pickle.dumps(Harm())),
    ]


def test_nothing_that_data_names_is_imported_or_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    cells = hostile(tmp_path)
    rows = [ended(*cell, thread=f"d{number}") for number, cell in enumerate(cells)]
    rows += [(f"s{number}", "", "1", "drr_start", *cell) for number, cell in enumerate(cells)]
    states = [
        (
            f"c{number}",
            "",
            "1",
            None,
            "msgpack",
            b"\x81\xaechannel_values\x82\xa3drr" + blob + b"\xa5other" + blob,
            b"{}",
        )
        for number, (kind, blob) in enumerate(cells)
        if kind == "msgpack"
    ]
    found = read(write(tmp_path / "c.sqlite", rows, states))
    assert len(found) == len(rows) + len(states)
    assert not (tmp_path / "harm").exists()
    assert "hostile_module" not in sys.modules
    with SqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        list(saver.list(None))
    assert (tmp_path / "harm").exists(), "the trap must be one"
    del sys.modules["hostile_module"]


def test_channels_of_others_are_not_looked_at(tmp_path):
    row = ("a", "", "1", "mine", "pickle", b"not even a pickle")
    unread = ("b", "", "1", None, "msgpack", b"\xc1 no msgpack", b"{}")
    assert read(write(tmp_path / "c.sqlite", [row], [state(), unread])) == []


def test_writes_of_others_may_come_before_the_first_checkpoint(tmp_path):
    assert read(write(tmp_path / "c.sqlite", [("a", "", "1", "messages", "msgpack", b"\x90")])) == []


def test_an_encrypted_store_is_not_silently_empty(tmp_path):
    [lost] = read(write(tmp_path / "c.sqlite", [], [("a", "", "1", None, "msgpack+aes", b"secret", b"{}")]))
    assert "msgpack+aes" in lost.flaw.detail


METADATA = [b"", None, b"[]", b"{", b"[" * 10**5, b'{"step": "7", "source": 7}', "text", 5]


@pytest.mark.parametrize("metadata", METADATA, ids=map(str, range(len(METADATA))))
def test_metadata_may_say_anything(tmp_path, metadata):
    rows = [state(checkpoint="1", drr=make_run("r1"), metadata=metadata)]
    rows += [state(checkpoint="2", parent="1", drr=make_run("r2"), metadata=metadata)]
    assert {run["run_id"] for run in runs(write(tmp_path / "c.sqlite", [], rows))} == {"r1", "r2"}


# --- damage ----------------------------------------------------------------------------------------------------------

PAGE = 4096


def root(path, name):
    """Where the first page of a table or an index begins."""
    with closing(sqlite3.connect(path)) as connection:
        [(page,)] = connection.execute("select rootpage from sqlite_master where name = ?", (name,))
    return (page - 1) * PAGE


def emptied(path, name):
    """A first page that says of itself that nothing is on it."""
    content = bytearray(path.read_bytes())
    at = root(path, name)
    content[at + 3 : at + 5] = bytes(2)
    path.write_bytes(content)


SILENT = ["sqlite_autoindex_checkpoints_1", "sqlite_autoindex_writes_1", "checkpoints", "writes"]


@pytest.mark.parametrize("name", SILENT)
def test_rows_that_are_lost_without_an_error_are_told_of(tmp_path, name):
    path = write(tmp_path / "c.sqlite", [ended(thread=thread) for thread in "ab"], [state()])
    assert losses(path) == []
    emptied(path, name)
    *_, (place, reason, detail) = losses(path)
    assert (place, reason) == ("the whole file", "unreadable")
    assert re.match(r"damaged, so that more may be lost \(.+\)", detail)


def test_damage_is_told_of_beside_what_can_be_read(tmp_path):
    rows = [ended(thread=f"t{n}", value=ormsgpack.packb(make_run(f"r{n}", question="?" * 2000))) for n in range(50)]
    path = write(tmp_path / "c.sqlite", rows)
    content = bytearray(path.read_bytes())
    middle = content.index(b"r25") // PAGE * PAGE
    content[middle : middle + PAGE] = bytes(PAGE)
    path.write_bytes(content)
    assert len([entry for entry in read(path) if isinstance(entry, LoggedRun)]) >= 40
    assert losses(path)[-1][0] == "the whole file"


@pytest.mark.parametrize("statement", ["create virtual table notes using fts5(text)", "create table notes (text)"])
def test_tables_of_others_are_not_looked_at(tmp_path, statement):
    path = write(tmp_path / "c.sqlite", [ended()])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.execute("insert into notes values ('x')")
        connection.commit()
    assert losses(path) == []


def killed(folder, *, index, runs=8, restarted=0):
    """What a killed writer leaves of runs it committed one by one; of a log that it had begun anew, with old frames."""
    (folder / "source").mkdir()
    path = write(folder / "source" / "c.sqlite")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("pragma journal_mode = wal")
        for number in range(runs):
            if number == restarted:
                writer.execute("pragma wal_checkpoint(restart)")
            value = ormsgpack.packb(make_run(f"r{number}"))
            writer.execute(
                "insert into writes values (?, '', '1', 'task', '', 0, 'drr', 'msgpack', ?)", (str(number), value)
            )
            writer.commit()
        for ending in ("", "-wal", *(["-shm"] if index else [])):
            shutil.copy(f"{path}{ending}", folder / f"c.sqlite{ending}")
    shutil.rmtree(folder / "source")
    return folder / "c.sqlite"


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "without its index"])
def test_a_torn_log_is_told_of(tmp_path, index):
    path = killed(tmp_path, index=index)
    log, kept = tmp_path / "c.sqlite-wal", listing(tmp_path)
    assert (len(runs(path)), losses(path)) == (8, [])
    whole = kept["c.sqlite-wal"][0]
    frame = 24 + PAGE
    last = len(whole) // frame
    for number, at in itertools.product(range(last), (0, 5, 9, 17, 24, 3000)):
        place = 32 + number * frame + at
        log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if index:
            (tmp_path / "c.sqlite-shm").write_bytes(kept["c.sqlite-shm"][0])
        if number < last - 1:
            assert [detail for _, _, detail in losses(path)] == [
                f"damaged, so that more may be lost (its write-ahead log breaks off at frame {number + 1}, "
                "and more was committed)"
            ]
        else:
            assert len(runs(path)) == 7, "what a power cut tore was never acknowledged"


@pytest.mark.parametrize("at", [0, 3, 9, 17, 30])
def test_a_log_whose_beginning_is_damaged_is_told_of(tmp_path, at):
    path = killed(tmp_path, index=False)
    log = tmp_path / "c.sqlite-wal"
    content = bytearray(log.read_bytes())
    content[at] ^= 1
    log.write_bytes(content)
    *_, (_, _, detail) = losses(path)
    assert "its write-ahead log begins with damage" in detail


@pytest.mark.parametrize("content", [b"\x37\x7f\x06\x82" + bytes(60), bytes(64), b"x" * 5000])
def test_what_is_no_log_is_damage(tmp_path, content):
    """A header of zeros has the right sums."""
    path = killed(tmp_path, index=False)
    (tmp_path / "c.sqlite-wal").write_bytes(content)
    *_, (_, _, detail) = losses(path)
    assert "its write-ahead log begins with damage" in detail


@pytest.mark.parametrize("size", [0, 10, 32, 40, 24 + PAGE + 40, -PAGE // 2])
def test_a_log_that_ends_early_is_one_whose_writer_was_killed(tmp_path, size):
    path = killed(tmp_path, index=False)
    log = tmp_path / "c.sqlite-wal"
    log.write_bytes(log.read_bytes()[:size])
    assert losses(path) == []


@given(page=st.sampled_from([512, 1024]), big=st.booleans(), frames=st.binary(max_size=3000))
def test_any_frames_are_a_log(page, big, frames):
    header = struct.pack(">6I", 0x377F0682 + big, 3007000, page, 0, 1, 2)
    sums = struct.pack(">2I", *_sums(">%dI" if big else "<%dI", header, (0, 0)))
    assert _first_torn_frame(io.BytesIO(header + sums + frames)) is None or frames


def test_a_frame_that_is_being_written_is_no_damage(tmp_path, monkeypatch):
    path = killed(tmp_path, index=False)
    seen = iter(["its write-ahead log breaks off", None])
    monkeypatch.setattr("drr_agent.training.sources.sqlite._first_torn_frame", lambda _: next(seen))
    assert losses(path) == []


def test_frames_of_an_older_log_are_no_damage(tmp_path):
    path = killed(tmp_path, index=False, runs=12, restarted=9)
    content = (tmp_path / "c.sqlite-wal").read_bytes()
    frames = [content[place : place + 24] for place in range(32, len(content), 24 + PAGE)]
    assert len({frame[8:16] for frame in frames}) == 2, "there must be frames of both"
    assert (len(runs(path)), losses(path)) == (12, [])


def test_what_was_never_committed_is_no_loss(tmp_path):
    path = tmp_path / "c.sqlite"
    write(tmp_path / "c.sqlite", [ended()])
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("pragma journal_mode = wal")
        writer.execute("pragma cache_size = 1")
        for number in range(50):
            writer.execute(
                "insert into writes values ('a', '', '1', 't', '', ?, 'other', '', zeroblob(5000))", (number,)
            )
        content = Path(f"{path}-wal").read_bytes()
        shutil.copy(path, tmp_path / "killed.sqlite")
    assert len(content) > 20 * PAGE
    (tmp_path / "killed.sqlite-wal").write_bytes(content[:9000] + b"x" + content[9001:])
    assert (len(runs(tmp_path / "killed.sqlite")), losses(tmp_path / "killed.sqlite")) == (1, [])


def test_who_writes_meanwhile_is_no_damage(tmp_path, monkeypatch):
    path = write(tmp_path / "c.sqlite", [ended()])
    entries = SqliteReader(path=path).entries()
    next(entries)
    monkeypatch.setattr("drr_agent.training.sources.sqlite._damage", lambda _: "half of what somebody wrote")
    os.utime(path, (1, 1))
    assert [entry.flaw.detail for entry in entries] == ["somebody wrote to it meanwhile; harvest it again"]


def harms(page, other):
    """What may become of a page: its bytes, after something hit it."""
    for at, value in itertools.product((0, 3, 4, 8, 9, 11, 100, 4000), (0, 1, 13)):
        yield page[:at] + bytes([value]) + page[at + 1 :]  # in a header, the cells, or their content
    first = int.from_bytes(page[3:5])
    for count in {first // 2, first - 1} - {-1}:
        yield page[:3] + count.to_bytes(2) + page[5:]
    yield bytes(PAGE)
    yield other


def test_every_run_is_given_or_a_loss_is_told(tmp_path):
    values = [ormsgpack.packb(make_run(f"r{number}")) for number in range(RUNS)]
    rows = [ended(thread=f"thread {number:030}", value=value) for number, value in enumerate(values)]
    path = write(tmp_path / "c.sqlite", rows, [state(thread=row[0]) for row in rows])
    whole = path.read_bytes()
    pages = [whole[start : start + PAGE] for start in range(0, len(whole), PAGE)]
    fewer = 0
    for number, page in enumerate(pages):
        for harmed in harms(page, pages[number - 1]):
            path.write_bytes(b"".join([*pages[:number], harmed, *pages[number + 1 :]]))
            with suppress(DataError):
                found = read(path)
                given = {entry.run["run_id"] for entry in found if isinstance(entry, LoggedRun)}
                assert len(given) >= RUNS or any(isinstance(entry, LostEntry) for entry in found)
                fewer += len(given) < RUNS
    assert fewer > 50, "the harm must be some"


PLACE = st.floats(0, 1, exclude_max=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(PLACE, st.integers(0, 255)), max_size=30), size=st.just(1.0) | PLACE)
def test_no_damage_of_a_file_does_more_than_cost_entries(tmp_path, whole, flips, size):
    content = bytearray(whole)
    for place, value in flips:
        content[int(place * len(whole))] = value
    path = tmp_path / "c.sqlite"
    path.write_bytes(content[: int(size * len(whole))])
    with suppress(DataError):
        assert all(isinstance(entry, LoggedRun | LostEntry) for entry in read(path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("whole") / "c.sqlite", threads=3)
    return path.read_bytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["msgpack", "json", "null", "pickle", ""]), blob=st.binary(max_size=60))
def test_any_value_is_a_run_or_a_loss(tmp_path, kind, blob):
    path = tmp_path / "c.sqlite"
    path.unlink(missing_ok=True)
    write(
        path,
        [ended(kind, blob), ("b", "", "1", "drr_start", kind, blob)],
        [state(), ("c", "", "1", None, kind, blob, b"{}")],
    )
    assert all(isinstance(entry, LostEntry) for entry in read(path))
