"""Lines: each with its number, none too long to be held, and what a gzip holds before its damage."""

import gzip
import json
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drr_agent import lines
from drr_agent.errors import DataError
from drr_agent.lines import GzipDamageError, LongLine, estimate_lines, numbered_lines, open_bytes

REMARK = b"a line of more than 10 bytes"


@pytest.fixture
def ten_bytes(monkeypatch):
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 10)
    monkeypatch.setattr(lines, "_PIECE_BYTES", 3)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\n\nb", [b"a\n", b"\n", b"b"], id="lines"),
        pytest.param(b"a\r\nb\rc\n", [b"a\r\n", b"b\rc\n"], id="other line endings"),
        pytest.param(b"123456789\n1234567890\na", [b"123456789\n", REMARK, b"a"], id="one byte too long"),
        pytest.param(b"1234567890", [b"1234567890"], id="as long as it may be, at the end"),
        pytest.param(b"x" * 99 + b"\na\n" + b"y" * 100, [REMARK, b"a\n", REMARK], id="far too long"),
        pytest.param(b"x" * 12 + b"\n\n" + b"y" * 11 + b"\n", [REMARK, b"\n", REMARK], id="before a blank line"),
    ],
)
@pytest.mark.usefixtures("ten_bytes")
def test_every_line_has_its_number(tmp_path, content, found, pack):
    path = tmp_path / "lines"
    path.write_bytes(pack(content))
    read = list(numbered_lines(path))
    assert read == list(enumerate(found, start=1))
    assert [isinstance(line, LongLine) for _, line in read] == [line == REMARK for line in found]


def test_what_stands_for_a_long_line_is_neither_json_nor_blank(tmp_path, ten_bytes):
    path = tmp_path / "lines"
    path.write_bytes(b'{"a": 1}' + b" " * 20)
    [(_, line)] = numbered_lines(path)
    assert line.strip()
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(line)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=25).filter(lambda line: b"\n" not in line)))
def test_no_line_is_lost_and_none_that_fits_is_changed(tmp_path, ten_bytes, given_lines):
    path = tmp_path / "lines"
    path.write_bytes(b"".join(line + b"\n" for line in (b"plain", *given_lines)))
    _, *read = (line for _, line in numbered_lines(path))
    assert read == [line + b"\n" if len(line) < 10 else REMARK for line in given_lines]


def test_a_line_that_a_small_gzip_unpacks_to_is_never_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 2**20)
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b"first\n")
        for _ in range(256):
            stream.write(b"x" * 2**20)
        stream.write(b"\nlast\n")
    assert path.stat().st_size < 2_000_000
    tracemalloc.start()
    read = [bytes(line) for _, line in numbered_lines(path)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == [b"first\n", b"a line of more than 1048576 bytes", b"last\n"]
    assert peak < 6_000_000


def test_ten_megabytes_pass(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"x" * 10_000_000 + b"\n")
    assert [len(line) for _, line in numbered_lines(path)] == [10_000_001]


@pytest.mark.parametrize(
    "cut", [pytest.param(lambda whole: whole[:-8], id="cut"), pytest.param(lambda whole: whole + b"x", id="grown")]
)
def test_lines_before_the_damage_of_a_gzip_are_given(tmp_path, cut):
    path = tmp_path / "lines.gz"
    path.write_bytes(cut(gzip.compress(b"a\nb\n")))
    read = numbered_lines(path)
    assert [next(read), next(read)] == [(1, b"a\n"), (2, b"b\n")]
    with pytest.raises(GzipDamageError, match=r"expected a whole gzip file.*make it anew"):
        next(read)


@pytest.mark.parametrize(("make", "found"), [(lambda path: None, "nothing"), (lambda path: path.mkdir(), "a folder")])
def test_what_is_no_file_is_refused(tmp_path, make, found):
    make(tmp_path / "f")
    with pytest.raises(DataError, match=f"found {found}; check the path"), open_bytes(tmp_path / "f"):
        pass


@pytest.mark.parametrize(
    ("content", "count"),
    [
        pytest.param(b"", 0, id="empty"),
        pytest.param(b"a\nb\nc\n", 3, id="all of it"),
        pytest.param(b"x" * 99, 1, id="one line"),
        pytest.param(b"abc\n" * 50, 50, id="by its first lines"),
        pytest.param(b"x" * 5000, 250, id="a line that never ends"),
        pytest.param(gzip.compress(b"a\n"), None, id="gzip"),
    ],
)
def test_lines_are_estimated_by_the_first_bytes(tmp_path, monkeypatch, content, count):
    monkeypatch.setattr(lines, "_LOOKED_AT", 20 if len(content) > 99 else 2**24)
    path = tmp_path / "lines"
    path.write_bytes(content)
    assert estimate_lines(path) == count
