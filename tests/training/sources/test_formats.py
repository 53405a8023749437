"""Which reader a file is for: told by its beginning, however long it is, and by nothing else."""

import gzip
import io
import json
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import make_attempt, make_run
from langgraph.checkpoint.sqlite import SqliteSaver

from drr_agent.errors import DataError
from drr_agent.grading import get_grader
from drr_agent.training.labels import Labeler
from drr_agent.training.sources import formats
from drr_agent.training.sources.formats import open_sources
from drr_agent.training.sources.protocol import Reading

READING = Reading(labeler=Labeler(grader=get_grader("auto")))
RUN = json.dumps(make_run(attempts=[make_attempt()])).encode()
ROW = b'{"question": "2 + 2?", "answer": "4"}'
LANGSMITH = b'{"id": "1", "run_type": "chain", "inputs": {}, "outputs": {}, "parent_run_id": null, "trace_id": "1"}'
SPAN = b'{"traceId": "1", "spanId": "2", "name": "n", "startTimeUnixNano": "1", "attributes": []}'
LINE = b'{"rows": "of no use"}\n'


def kind(path):
    [source] = open_sources(path, READING)
    return source.kind


def parquet():
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"question": "2 + 2?", "answer": "4"}]), sink)
    return sink.getvalue()


def database(folder):
    with SqliteSaver.from_conn_string(str(folder / "made")) as saver:
        saver.setup()
    return (folder / "made").read_bytes()


KINDS = {
    "runs": ("f", RUN + b"\n", "runs"),
    "runs after a torn line": ("f.jsonl", RUN[:50] + b"\n" + RUN, "runs"),
    "nothing yet": ("f.txt", b"", "runs"),
    "langsmith": ("f", LANGSMITH, "langsmith"),
    "spans": ("f", SPAN, "otel"),
    "an array of spans": ("f.json", b"[" + SPAN + b"," + SPAN + b"]", "otel"),
    "rows": ("f", ROW, "jsonl"),
    "csv": ("f.csv", b"question,answer\n1,2\n", "csv"),
    "parquet": ("f", parquet(), "parquet"),
}


@pytest.mark.parametrize("most", [2**26, 2000], ids=["whole", "by its beginning"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("name", "content", "told"), KINDS.values(), ids=KINDS)
def test_a_file_is_told_by_its_content(tmp_path, monkeypatch, name, content, told, pack, most):
    monkeypatch.setattr(formats, "_HEAD_BYTES", most)
    if content.startswith(b"{"):
        content += b"\n" + LINE * 200
    path = tmp_path / (name if pack is bytes else f"{name}.gz")
    path.write_bytes(pack(content) if content else content)
    assert kind(path) == told


def test_a_database_is_told_by_its_content(tmp_path):
    database(tmp_path)
    assert kind(tmp_path / "made") == "sqlite"


FOREIGN = {
    "of no known format": b"PK\x03\x04" + bytes(range(256)),
    "packed twice": gzip.compress(gzip.compress(RUN)),
    "UTF-16": ROW.decode().encode("utf-16"),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_what_is_of_no_format_is_refused(tmp_path, content):
    path = tmp_path / "f.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"expected (JSON lines|UTF-8 at .*got UTF-16)"):
        list(open_sources(path, READING))


DAMAGED = {
    "Parquet without its end": (parquet()[:-20], "expected whole Parquet"),
    "packed Parquet without its end": (gzip.compress(parquet()[:-20]), "expected whole Parquet"),
    "Parquet in a gzip without its end": (gzip.compress(parquet())[:-8], "expected a whole gzip file"),
    "gzip that is cut at once": (gzip.compress(RUN)[:12], "expected a whole gzip file"),
}


@pytest.mark.parametrize("name", ["f", "f.bin"])
@pytest.mark.parametrize(("content", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_damaged_as_a_whole_is_one_loss(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    assert losses(path) == [(name, "the whole file", "unreadable", said)]


def losses(source):
    """The loss of each file that cannot be read: its name, its place, its reason, and what was expected."""
    return [
        (Path(found.location).name, place, flaw.reason, flaw.detail.split(" at ")[0])
        for found in open_sources(source, READING)
        if found.kind == "unreadable"
        for place, flaw in found.outcomes()
    ]


def test_a_packed_database_is_none(tmp_path):
    path = tmp_path / "c.sqlite.gz"
    path.write_bytes(gzip.compress(database(tmp_path)))
    with pytest.raises(DataError, match="opens with b'SQLite format 3"):
        kind(path)


def test_a_database_of_others_costs_a_folder_nothing_but_itself(tmp_path):
    with closing(sqlite3.connect(tmp_path / "notes.db")) as connection:
        connection.execute("create table notes (text)")
        connection.commit()
    (tmp_path / "b.jsonl").write_bytes(RUN)
    expected = "expected the tables `checkpoints` and `writes` of a checkpointer in"
    [(name, place, reason, why)] = losses(tmp_path)
    assert (name, place, reason, why[: len(expected)]) == ("notes.db", "the whole file", "unreadable", expected)


def test_a_checkpointer_in_a_folder_is_read(tmp_path):
    database(tmp_path)
    assert kind(tmp_path) == "sqlite"


NAMES = ["a.jsonl", "a.ndjson", "a.json", "a.csv", "a.tsv", "a.parquet", "a.sqlite", "a.sqlite3", "a.DB"]


@pytest.mark.parametrize("ending", ["", ".1", ".12.gz", ".gz", ".gz.3", "-20240501", ".2024-05-01"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_a_folder_that_is_named_like_a_log_is_opened_or_named(tmp_path, caplog, name, ending):
    (tmp_path / (name + ending)).write_bytes(b"PAR1 and nothing more")
    (tmp_path / "b.jsonl").write_bytes(RUN)
    assert losses(tmp_path) == [(name + ending, "the whole file", "unreadable", "expected whole Parquet")]
    assert [source.kind for source in open_sources(tmp_path, READING)] == ["unreadable", "runs"]
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["a.bin", "README.md", "a.jsonl.bak", "jsonl"])
def test_other_files_of_a_folder_are_left_out_with_a_word(tmp_path, caplog, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    (tmp_path / "b.jsonl").write_bytes(RUN)
    assert [(Path(source.location).name, source.kind) for source in open_sources(tmp_path, READING)] == [
        ("b.jsonl", "runs")
    ]
    assert f"{name!r}" in caplog.text.replace(str(tmp_path) + "/", "")


HOLES = {
    "NUL bytes": b"\0" * 8192,
    "NUL bytes and a line's end": b"\0" * 8192 + b"\n",
    "a torn line": b'xyz"}\n',
    "no text": b"\xff\xfe\xfd\n",
    "blank lines": b"\n \n",
}


@pytest.mark.parametrize("name", ["runs.jsonl.1", "runs.1", "runs", "runs.log"])
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
def test_a_log_that_begins_with_damage_is_one(tmp_path, name, hole):
    (tmp_path / name).write_bytes(hole + (RUN + b"\n") * 3)
    assert kind(tmp_path / name) == kind(tmp_path) == "runs"


@pytest.mark.parametrize(("line", "told"), [(LANGSMITH, "langsmith"), (SPAN, "otel"), (ROW, "jsonl")])
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
def test_so_is_a_file_of_others(tmp_path, line, told, hole):
    (tmp_path / "f.1").write_bytes(hole + (line + b"\n") * 3)
    assert kind(tmp_path) == told


def test_a_packed_log_with_nothing_in_it_is_a_log(tmp_path):
    (tmp_path / "runs.jsonl.2.gz").write_bytes(gzip.compress(b""))
    assert kind(tmp_path) == "runs"


def test_the_lines_before_the_end_of_a_cut_gzip_tell_its_format(tmp_path):
    path = tmp_path / "r.gz"
    path.write_bytes(gzip.compress(RUN + b"\n" + b"".join(b"%d\n" % (n**5) for n in range(5000)))[:-2000])
    assert kind(path) == "runs"


def endless(folder, start):
    """A small file that unpacks to a line of 256 MB."""
    path = folder / "endless.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(start)
        for _ in range(256):
            stream.write(b" " * 2**20)
    return path


@pytest.mark.parametrize("start", [b"{", b'["', b"{\n ", b'{"a": "'], ids=repr)
def test_an_endless_line_is_not_read_to_its_end_to_tell_its_format(tmp_path, monkeypatch, start):
    monkeypatch.setattr(formats, "_HEAD_BYTES", 2**21)
    path = endless(tmp_path, start)
    read, readline = [], gzip.GzipFile.readline
    monkeypatch.setattr(gzip.GzipFile, "readline", lambda self, *most: read.append(1) or readline(self, *most))
    tracemalloc.start()
    [source] = open_sources(path, READING)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.kind == "jsonl"
    assert len(read) <= 3
    assert peak < 30_000_000


def test_a_folder_without_space_costs_no_log(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formats, "_copy_head", no_space)
    (tmp_path / "r.gz").write_bytes(gzip.compress(RUN))
    assert kind(tmp_path / "r.gz") == "runs"
