"""The run log as a store: a line that cannot be read costs itself, and says so."""

import gzip
import json
from pathlib import Path

import pytest
from fakes import make_attempt, make_run

from drr_agent import lines
from drr_agent.training.sources.protocol import LostEntry
from drr_agent.training.sources.run_log import RunLogReader, is_run_log

ONE, TWO = (json.dumps(make_run(name, [make_attempt(), make_attempt()])).encode() + b"\n" for name in ("one", "two"))


def told(path: Path):
    entries = RunLogReader(path=path).entries()
    return [entry.place if isinstance(entry, LostEntry) else entry.run["run_id"] for entry in entries]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(ONE + b"\n" + TWO, ["one", "two"], id="runs"),
        pytest.param(ONE[:99] + b"\n" + TWO, ["line 1", "two"], id="a torn line"),
        pytest.param(ONE + TWO[:99], ["one", "line 2"], id="a torn end"),
        pytest.param(ONE + b'{"schema": 9}\n' + TWO, ["one", "line 2", "two"], id="another schema"),
        pytest.param(ONE + b"[" * 10_000 + b"\n" + TWO, ["one", "line 2", "two"], id="a bottomless list"),
        pytest.param(ONE + b"x" * 50_000 + b"\n" + TWO, ["one", "line 2", "two"], id="a line that is too long"),
        pytest.param(TWO.strip() + b" " * 50_000 + b"\n" + ONE, ["line 1", "one"], id="a run and too much more"),
        pytest.param(ONE + b'{"run_id": "\xff"}\n' + TWO, ["one", "line 2", "two"], id="not UTF-8"),
    ],
)
def test_every_line_is_a_run_or_a_loss(tmp_path, monkeypatch, content, found, pack):
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 20_000)
    path = tmp_path / "runs"
    path.write_bytes(pack(content))
    assert told(path) == found


def test_the_runs_before_the_damage_of_a_gzip_are_given(tmp_path):
    path = tmp_path / "runs.gz"
    path.write_bytes(gzip.compress(ONE + TWO)[:-8])
    assert told(path) == ["one", "two", "end of file"]


@pytest.mark.parametrize(
    ("content", "attempts"),
    [
        pytest.param(b"", None, id="empty"),
        pytest.param(ONE * 10, 20, id="runs"),
        pytest.param(b"noise\n" * 10, None, id="no run"),
        pytest.param(gzip.compress(ONE), None, id="gzip"),
        pytest.param(gzip.compress(ONE)[:-8], None, id="gzip that is cut"),
    ],
)
def test_attempts_are_estimated_by_the_first_runs(tmp_path, content, attempts):
    path = tmp_path / "runs"
    path.write_bytes(content)
    assert RunLogReader(path=path).expected() == attempts


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        pytest.param(ONE, True, id="a run"),
        pytest.param(ONE[:50] + b"\n" + TWO, True, id="after a torn line"),
        pytest.param(b"\0" * 8192 + ONE + TWO, True, id="after a hole"),
        pytest.param(b"\xff\xfe\xfd\n" + TWO, True, id="after what is no text"),
        pytest.param(json.dumps({**json.loads(ONE), "schema": 99}).encode(), True, id="another schema"),
        pytest.param(b'{"run_id": "1"}\n' + ONE, False, id="something else first"),
        pytest.param(b"[1]\n" + ONE, False, id="a list first"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_a_log_is_known_by_its_first_whole_line(tmp_path, content, is_one):
    path = tmp_path / "runs"
    path.write_bytes(content)
    assert is_run_log(path) is is_one
