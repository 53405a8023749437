"""Tables: whatever the format, the same rows; whatever the damage, the other rows."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drr_agent import lines, parquet, tables
from drr_agent.errors import DamagedError, DataError
from drr_agent.tables import plain_name, read_table, table_columns, table_format

ROWS = [{"q": "2 + 2?", "n": "4"}, {"q": 'a "quoted", two-line\n\ntext', "n": "é"}, {"q": "x", "n": None}]


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows, delimiter=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def read_all(path):
    rejects = []
    rows = [row.cells for row in read_table(path, on_reject=rejects.append)]
    return rows, [(reject.line, reject.reason.split(" (")[0]) for reject in rejects]


@pytest.mark.parametrize("compress", [pytest.param(bytes, id="plain"), pytest.param(gzip.compress, id="gzip")])
@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        pytest.param("rows.jsonl", as_jsonl(ROWS), "jsonl", id="json-lines"),
        pytest.param("rows.dat", as_jsonl(ROWS), "jsonl", id="json-lines-by-content"),
        pytest.param("rows.jsonl", b"\xef\xbb\xbf\n" + as_jsonl(ROWS), "jsonl", id="byte-order-mark-and-blank-line"),
        pytest.param("rows.csv", as_csv(ROWS), "csv", id="csv"),
        pytest.param("rows.csv", b"\xef\xbb\xbf" + as_csv(ROWS), "csv", id="csv-of-a-spreadsheet"),
        pytest.param("rows.tsv", as_csv(ROWS, "\t"), "tsv", id="tsv"),
        pytest.param("rows.parquet", as_parquet(ROWS), "parquet", id="parquet"),
        pytest.param("rows.bin", as_parquet(ROWS), "parquet", id="parquet-by-content"),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path, name, content, kind, compress):
    path = tmp_path / (name if compress is bytes else f"{name}.gz")
    path.write_bytes(compress(content))
    assert table_format(path) == kind
    assert read_all(path) == (ROWS, [])


@pytest.mark.parametrize(
    ("name", "content", "rows", "rejects"),
    [
        pytest.param(
            "t.jsonl", b'{"a": 1}\n{"a"\n[1]\n{"a": 2}', [{"a": 1}, {"a": 2}], [2, 3], id="torn-and-no-object"
        ),
        pytest.param("t.jsonl", b'{"a": "\xff"}\n{"a": 2}\n', [{"a": 2}], [1], id="json-not-utf8"),
        pytest.param("t.jsonl", b'{"a": ' + b"9" * 5000 + b'}\n{"a": 2}\n', [{"a": 2}], [1], id="endless-number"),
        pytest.param("t.jsonl", b'{"a": ' + b"[" * 99_999 + b'\n{"a": 2}\n', [{"a": 2}], [1], id="bottomless-list"),
        pytest.param(
            "t.csv", b"a,b\n1,2\n1\n1,2,3\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}], [3, 4], id="ragged"
        ),
        pytest.param("t.csv", b"a,b\n1,\xff\n3,4\n", [{"a": "3", "b": "4"}], [2], id="csv-not-utf8"),
        pytest.param("t.csv", b'a,b\n"1" x,2\n3,4\n', [{"a": "3", "b": "4"}], [2], id="text-after-quote"),
        pytest.param("t.csv", b'a,b\n3,4\n1,"2', [{"a": "3", "b": "4"}], [3], id="quote-never-closed"),
    ],
)
def test_damage_costs_its_own_row(tmp_path, name, content, rows, rejects):
    path = tmp_path / name
    path.write_bytes(content)
    found, named = read_all(path)
    assert found == rows
    assert [line for line, _ in named] == rejects


@pytest.mark.parametrize("name", [pytest.param("t.jsonl.gz", id="json-lines"), pytest.param("t.csv.gz", id="csv")])
def test_a_gzip_cut_short_keeps_what_came_before(tmp_path, name):
    rows = [{"a": str(number), "b": str(number * 7919 % 1009)} for number in range(3000)]
    whole = gzip.compress(as_jsonl(rows) if "jsonl" in name else as_csv(rows))
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) // 2])
    found, named = read_all(path)
    assert 0 < len(found) < 3000
    assert found == rows[: len(found)]
    assert len(named) == 1
    assert "gzip" in named[0][1]


def test_without_a_listener_damage_is_an_error(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a"\n')
    with pytest.raises(DataError, match=r"line 2.*torn or invalid JSON"):
        list(read_table(path))


@pytest.mark.parametrize(
    ("name", "write"), [pytest.param("t.csv", as_csv, id="csv"), pytest.param("t.jsonl", as_jsonl, id="json-lines")]
)
def test_cells_may_be_long(tmp_path, name, write):
    path = tmp_path / name
    path.write_bytes(write([{"a": "x" * 10_000_000, "b": "1"}]))
    before = csv.field_size_limit()
    rows = read_table(path)
    assert len(next(rows).cells["a"]) == 10_000_000
    assert csv.field_size_limit() == before, "other readers of this process keep theirs"


@pytest.mark.parametrize(
    ("name", "content", "rows", "rejects"),
    [
        pytest.param("t.jsonl", b'{"a": 1}\n{"a": "%s"}\n{"a": 2}\n', [{"a": 1}, {"a": 2}], [2], id="json-lines"),
        pytest.param("t.jsonl", b'{"a": "%s"}\n{"a": 2}\n', [{"a": 2}], [1], id="first-of-json-lines"),
        pytest.param("t.jsonl", b'{"a": 1}%s\n{"a": 2}', [{"a": 2}], [1], id="json-and-more"),
        pytest.param("t.csv", b"a\n1\n%s\n3\n", [{"a": "1"}, {"a": "3"}], [3], id="csv"),
        pytest.param("t.csv", b'a\n"1\n2%s\n3\n4\n', [{"a": "3"}, {"a": "4"}], [3], id="in-a-quote"),
        pytest.param("t.tsv", b"a\tb\n%s\t1\n2\t3", [{"a": "2", "b": "3"}], [2], id="tsv"),
    ],
)
@pytest.mark.parametrize("compress", [pytest.param(bytes, id="plain"), pytest.param(gzip.compress, id="gzip")])
def test_a_line_that_is_too_long_costs_its_own_row(tmp_path, monkeypatch, name, content, rows, rejects, compress):
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 1000)
    path = tmp_path / name
    path.write_bytes(compress(content % (b"x" * 5000)))
    found, named = read_all(path)
    assert found == rows
    assert [line for line, _ in named] == rejects
    rejected = []
    list(read_table(path, on_reject=rejected.append))
    assert "a line of more than 1000 bytes" in rejected[0].reason


def test_a_quote_that_is_never_closed_is_not_held_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_MOST_CELL_CHARS", 1000)
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\n1,"2\n' + b"3,4\n" * 1000)
    found, named = read_all(path)
    assert [reason for _, reason in named] == ["broken CSV"]
    assert found == [{"a": "3", "b": "4"}] * (1002 - named[0][0])
    assert 200 < named[0][0] < 300


def grouped(damage: Callable[[bytearray, list[int]], None], **options) -> bytes:
    """Forty rows in four row groups, damaged; `damage` is told where the pages of each group's texts begin."""
    sink = io.BytesIO()
    rows = [{"q": f"question {number}", "n": number} for number in range(40)]
    written = {"row_group_size": 10, "compression": "none", "use_dictionary": False, **options}
    pq.write_table(pa.Table.from_pylist(rows), sink, **written)
    metadata = pq.ParquetFile(sink).metadata
    changed = bytearray(sink.getvalue())
    damage(changed, [metadata.row_group(group).column(0).data_page_offset for group in range(4)])
    return bytes(changed)


def no_utf8(content, starts):
    content[content.index(b"question 13")] = 0xFF
    content[content.index(b"question 27") + 9] = 0xC3


def no_page(content, starts):
    content[starts[2] : starts[2] + 60] = b"\xff" * 60


def no_pages(content, starts):
    for start in (starts[0], starts[3]):
        content[start : start + 8] = b"\xff" * 8


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("damage", "lost", "rejects"),
    [
        pytest.param(lambda *_: None, [], [], id="none"),
        pytest.param(no_utf8, [13, 27], [(14, "can't decode byte 0xff"), (28, "can't decode byte 0xc3")], id="cells"),
        pytest.param(no_page, range(20, 30), [(21, "damage in row group 3, which costs 10 rows")], id="a row group"),
        pytest.param(
            no_pages,
            [*range(10), *range(30, 40)],
            [(1, "damage in row group 1, which costs 10 rows"), (31, "damage in row group 4, which costs 10 rows")],
            id="two row groups",
        ),
    ],
)
def test_damage_in_parquet_costs_its_rows(tmp_path, damage, lost, rejects, pack):
    path = tmp_path / "t.parquet"
    path.write_bytes(pack(grouped(damage)))
    found = []
    rows = list(read_table(path, on_reject=found.append))
    assert [row.cells["n"] for row in rows] == [number for number in range(40) if number not in lost]
    assert all(row.line == row.cells["n"] + 1 for row in rows), "what is lost leaves its numbers empty"
    assert [reject.line for reject in found] == [line for line, _ in rejects]
    for reject, (_, said) in zip(found, rejects, strict=True):
        assert said in reject.reason


def test_pages_that_have_a_checksum_are_held_to_it(tmp_path):
    def another_digit(content, starts):
        content[content.index(b"question 17") + 10] ^= 1

    path = tmp_path / "t.parquet"
    path.write_bytes(grouped(another_digit, write_page_checksum=True))
    rows, rejects = read_all(path)
    assert [row["n"] for row in rows] == [*range(10), *range(20, 40)]
    assert rejects == [(11, "damage in row group 2, which costs 10 rows")]


def test_without_a_listener_a_damaged_row_group_is_an_error(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(grouped(no_page))
    with pytest.raises(DataError, match=r"line 21.*row group 3"):
        list(read_table(path))


@settings(max_examples=200)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 10**4),
    options=st.sampled_from([{}, {"compression": "snappy"}, {"use_dictionary": True}]),
)
def test_no_damage_to_parquet_loses_a_row_silently(tmp_path_factory, changes, cut, options):
    content = bytearray(grouped(lambda *_: None, **options))
    for at, byte in changes:
        content[4 + at % (len(content) - 4)] = byte
    path = tmp_path_factory.mktemp("tables") / "t.parquet"
    path.write_bytes(bytes(content[:cut]) if cut is None or cut > 8 else bytes(content))
    rejects = []
    try:
        rows = list(read_table(path, on_reject=rejects.append))
    except DamagedError:
        return
    assert rejects or len(rows) >= 40


def test_gzipped_parquet_is_not_unpacked_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_MOST_GZIPPED", 600)
    path = tmp_path / "t.parquet"
    path.write_bytes(gzip.compress(as_parquet(ROWS)))
    with pytest.raises(DataError, match=r"at most 600 bytes.*unpack it"):
        list(read_table(path))


def test_threads_read_long_cells_at_once(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(as_csv([{"a": "x" * 200_000}] * 10))
    before = csv.field_size_limit()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: len(read_all(path)[0]), range(8))) == [10] * 8
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("t.xlsx", b"PK\x03\x04", r"expected JSON lines.*opens with b'PK", id="unknown-format"),
        pytest.param("t.csv", b"a,a\n1,2\n", "distinct column names", id="same-name-twice"),
        pytest.param("t.csv", b"", "distinct column names", id="empty-csv"),
        pytest.param("t.csv", b'"a"x,b\n', "broken CSV", id="broken-header"),
        pytest.param("t.csv", b"caf\xe9,b\n1,2\n", r"UTF-8 in .* line 1, got bytes b'\\xe9'", id="latin-1"),
        pytest.param("t.csv", "a,b\n1,2\n".encode("utf-16"), r"expected UTF-8 .* got UTF-16", id="utf-16"),
        pytest.param("t.csv", b"\xfe\xff" + "a,b\n1,2\n".encode("utf-16-be"), "got UTF-16", id="utf-16-be"),
        pytest.param("t.csv", "a,b\n1,2\n".encode("utf-16-le"), r"got bytes b'\\x00'", id="utf-16-without-mark"),
        pytest.param("t.jsonl", as_jsonl(ROWS).decode().encode("utf-16"), "got UTF-16", id="json-lines-in-utf-16"),
        pytest.param("t.parquet", as_parquet(ROWS)[:-20], "whole Parquet", id="cut-parquet"),
    ],
)
def test_an_unusable_file_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_table(path, on_reject=lambda reject: None))


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        pytest.param("t.csv", b"a,b\n1\n1,2,3\n", ["a", "b"], id="no-good-row-in-csv"),
        pytest.param("t.csv", b"a,b\n", ["a", "b"], id="no-row-in-csv"),
        pytest.param("t.tsv", b"a\tb\n\xff\t1\n", ["a", "b"], id="no-good-row-in-tsv"),
        pytest.param("t.parquet", grouped(no_page), ["q", "n"], id="parquet"),
        pytest.param("t.jsonl", b'{"a": 1}\n[\n{"b": 1}\n', ["a", "b"], id="json-lines"),
    ],
)
def test_columns_are_known_without_a_good_row(tmp_path, name, content, columns):
    path = tmp_path / name
    path.write_bytes(content)
    assert table_columns(path) == columns


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"\n \n\n", "expected JSON objects .*, got none", id="blank-lines"),
        pytest.param(b"{}\n", "expected JSON objects with fields .*, got none", id="no-fields"),
        pytest.param(b'\n{"a\n[1]\n', r"got torn or invalid JSON .* in line 2, and no better", id="no-good-row"),
    ],
)
def test_json_lines_without_a_good_row_have_no_columns(tmp_path, content, message):
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        table_columns(path)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Runs.jsonl", "runs.jsonl"),
        ("runs.jsonl.1", "runs.jsonl"),
        ("runs.jsonl.12.gz", "runs.jsonl"),
        ("runs.jsonl.gz.2", "runs.jsonl"),
        ("runs.jsonl-20240501.gz", "runs.jsonl"),
        ("runs.jsonl.2024-05-01", "runs.jsonl"),
        ("runs-2.csv", "runs-2.csv"),
        ("runs.jsonl.bak", "runs.jsonl.bak"),
        ("runs" + "-1" * 100 + "x", "runs" + "-1" * 100 + "x"),
    ],
)
def test_rotation_and_packing_do_not_change_what_a_file_is(name, plain):
    assert plain_name(Path("folder.1") / name) == plain


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b"\0" * 8192 + as_jsonl(ROWS), "jsonl", id="after a hole"),
        pytest.param(b'torn"}\n' + as_jsonl(ROWS), "jsonl", id="after a torn line"),
        pytest.param(b"\xff\xfe\xfd\n" + as_jsonl(ROWS), "jsonl", id="after what is no text"),
        pytest.param(b"PK\x03\x04\n{\n\x00", None, id="a brace in other bytes"),
        pytest.param(b"\n" * 2**20 + as_jsonl(ROWS), None, id="too late"),
    ],
)
def test_json_lines_are_told_past_damage(tmp_path, content, kind):
    path = tmp_path / "log"
    path.write_bytes(content)
    if kind is None:
        with pytest.raises(DataError, match="expected JSON lines"):
            table_format(path)
    else:
        assert table_format(path) == kind
        assert read_all(path)[0][-2:] == ROWS[-2:]


@pytest.mark.parametrize(
    ("place", "found"), [pytest.param("absent", "nothing", id="absent"), pytest.param(".", "a folder", id="folder")]
)
def test_a_missing_file_is_refused(tmp_path, place, found):
    with pytest.raises(DataError, match=f"found {found}"):
        table_format(tmp_path / place)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(st.lists(st.fixed_dictionaries({"a": cells, "b": st.none() | cells}), min_size=1, max_size=8))
def test_csv_and_json_lines_agree_on_any_text(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("tables")
    (folder / "t.jsonl").write_bytes(as_jsonl(rows))
    (folder / "t.csv").write_bytes(as_csv(rows))
    assert read_all(folder / "t.jsonl") == read_all(folder / "t.csv") == (rows, [])


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_rejects(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("tables") / "t.jsonl"
    path.write_bytes(b"{}\n" + content)
    rows, rejects = read_all(path)
    lines = [line for line in (b"{}\n" + content).split(b"\n") if line.strip()]
    assert len(rows) + len(rejects) == len(lines)
