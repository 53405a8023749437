"""Records of trace exports, in whatever layout they were written."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drr_agent.errors import DataError
from drr_agent.training.sources.protocol import LostEntry
from drr_agent.training.sources.traces import records
from drr_agent.training.sources.traces.records import Record, first_records, read_records

ROWS = [{"id": "a", "text": "é\n☃"}, {"id": "b", "inner": {"n": [1, 2]}}, {"id": "c"}]


def places(path: Path) -> list[tuple[str, str]]:
    """Where every record is, and its id or why it is lost."""
    return [
        (entry.place, entry.flaw.reason if isinstance(entry, LostEntry) else entry.fields["id"])
        for entry in read_records(path)
    ]


def lines(rows: list[Any], indent: int | None = None) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, indent=indent) + "\n" for row in rows)


LAYOUTS = {
    "lines": lines(ROWS),
    "lines with blank ones": lines(ROWS).replace("\n", "\n\n"),
    "lines after a mark": "\ufeff" + lines(ROWS),
    "indented": lines(ROWS, indent=4),
    "array": json.dumps(ROWS, ensure_ascii=False),
    "indented array": json.dumps(ROWS, ensure_ascii=False, indent=2),
    "array after a mark": "\ufeff \n" + json.dumps(ROWS),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_gives_the_same_records(tmp_path: Path, text: str, compressed: bool):
    path = tmp_path / "export.json"
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    assert [record.fields for record in read_records(path)] == ROWS


def test_tables_are_read_too(tmp_path: Path):
    (tmp_path / "a.csv").write_text("id,text\na,x\nb,y\n")
    pq.write_table(pa.Table.from_pylist([{"id": "a", "text": "x"}, {"id": "b", "text": "y"}]), tmp_path / "a.parquet")
    expected = [Record("line 2", {"id": "a", "text": "x"}), Record("line 3", {"id": "b", "text": "y"})]
    assert list(read_records(tmp_path / "a.csv")) == expected
    assert [record.fields for record in read_records(tmp_path / "a.parquet")] == [row.fields for row in expected]


DAMAGED = {
    "torn line": ('{"id": "a"}\n{"id": \n{"id": "c"}\n', [("line 1", "a"), ("line 2", "unreadable"), ("line 3", "c")]),
    "no object": ('{"id": "a"}\n[1]\n', [("line 1", "a"), ("line 2", "unreadable")]),
    "a number without end": ('{"id": "a", "n": ' + "9" * 5_000 + "}\n", [("line 1", "unreadable")]),
    "too deep": ('{"id": "a"}\n' + "[" * 99_999 + "\n", [("line 1", "a"), ("line 2", "unreadable")]),
    "cut off": ('{"id": "a"}\n{"id": "b', [("line 1", "a"), ("line 2", "unreadable")]),
    "damaged object of several lines": (
        '{\n "id": "a"\n}\n{\n "id": \n}\n{\n "id": "c"\n}\n',
        [("line 1", "a"), ("line 4", "unreadable"), ("line 7", "c")],
    ),
    "object of several lines without end": (
        '{\n "id": "a"\n{\n "id": "b"\n}\n',
        [("line 1", "unreadable"), ("line 3", "b")],
    ),
    "first line torn at its brace": ('{\n{"id": "b"}\n', [("line 1", "unreadable"), ("line 2", "b")]),
    "open object of several lines": ('{\n "id": "a"\n}\n{\n "id": "b"', [("line 1", "a"), ("line 4", "unreadable")]),
    "damaged array": ('[{"id": "a"}, {"id": oops}, {"id": "c"}]', [("item 1", "a"), ("item 2", "unreadable")]),
    "open array": ('[{"id": "a"}, {"id": "b"}', [("item 1", "a"), ("item 2", "b"), ("item 3", "unreadable")]),
    "no object in an array": (
        '[{"id": "a"}, 7, {"id": "c"}]',
        [("item 1", "a"), ("item 2", "unreadable"), ("item 3", "c")],
    ),
    "empty array": ("[]", []),
}


@pytest.mark.parametrize(("text", "expected"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_costs_what_is_damaged(tmp_path: Path, text: str, expected: list[tuple[str, str]]):
    path = tmp_path / "export.json"
    path.write_text(text)
    assert places(path) == expected


@pytest.mark.parametrize("text", [b'{"id": "\xff"}\n{"id": "b"}\n', b'[{"id": "\xff"}, {"id": "b"}]'])
def test_bytes_that_are_no_text_cost_their_record(tmp_path: Path, text: bytes):
    path = tmp_path / "export.json"
    path.write_bytes(text)
    assert [what for _, what in places(path)] == ["unreadable", "b"]


def test_the_cut_end_of_a_gzip_is_lost_and_said(tmp_path: Path):
    path = tmp_path / "export.jsonl.gz"
    whole = gzip.compress(lines([{"id": str(number), "text": "x" * number} for number in range(2_000)]).encode())
    path.write_bytes(whole[: len(whole) // 2])
    found = places(path)
    assert len(found) > 2
    assert found[-1] == ("end of file", "unreadable")


def test_long_items_of_an_array_pass_and_endless_ones_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "export.json"
    rows = [{"id": "a", "text": "x" * 11_000_000}, {"id": "b"}]
    path.write_text(json.dumps(rows))
    assert [record.fields for record in read_records(path)] == rows
    monkeypatch.setattr(records, "_MOST_ITEM_CHARS", 2**20)
    assert places(path) == [("item 1", "unreadable")]


def test_an_item_may_be_as_long_as_the_limit_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert records._MOST_ITEM_CHARS == 2**28  # many messages of 10 MB pass, and the machine's memory is not filled
    monkeypatch.setattr(records, "_CHUNK_CHARS", 10)
    path = tmp_path / "export.json"
    path.write_text(f'[{{"id": "{"x" * 70}"}}]')
    longest = len(path.read_text()) - 2
    for limit, reason in ((longest, "x" * 70), (longest // 4, "unreadable")):
        monkeypatch.setattr(records, "_MOST_ITEM_CHARS", limit)
        assert places(path) == [("item 1", reason)]


@pytest.mark.parametrize(("written", "looked_at"), [(3, 3), (20, 20), (50, 20)])
def test_few_records_tell_what_a_file_is(tmp_path: Path, written: int, looked_at: int):
    rows = [{"id": str(number)} for number in range(written)]
    (tmp_path / "a.jsonl").write_text(lines(rows))
    assert first_records(tmp_path / "a.jsonl") == rows[:looked_at]


def test_first_records_of_what_is_no_export(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    assert first_records(tmp_path / "notes.txt") == []
    assert first_records(tmp_path) == []
    assert first_records(tmp_path / "nothing") == []
    with pytest.raises(DataError, match="expected a file"):
        list(read_records(tmp_path / "nothing"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=20) | st.integers(), max_size=3), max_size=8))
def test_arrays_are_read_in_windows_of_any_size(tmp_path: Path, rows: list[dict[str, Any]]):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8", errors="replace")
    for chunk in (1, 7, 2**20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(records, "_CHUNK_CHARS", chunk)
            assert [record.fields for record in read_records(path)] == json.loads(path.read_text(encoding="utf-8"))
