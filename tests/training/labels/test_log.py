"""The label log: what a line may be, that a torn one costs itself alone, and that any program may append."""

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drr_agent.errors import DataError
from drr_agent.training.labels.log import LabelLine, append_label, read_labels

PLAIN = {"id": "a:1", "value": "correct", "source": "human:ann", "at": "2026-01-01T00:00:00Z"}
AT = "2026-01-01T00:00:00.000+00:00"


def line_of(**changes):
    return LabelLine(**{**PLAIN, **changes})


def without(name, **changes):
    return {key: value for key, value in PLAIN.items() if key != name} | changes


@pytest.mark.parametrize(
    ("fields", "record"),
    [
        pytest.param(PLAIN, {"value": "correct", "source": "human:ann", "at": AT}, id="by id"),
        pytest.param(
            without("id", run_id="r1", turn=2, source="environment:ci", value="incorrect"),
            {"value": "incorrect", "source": "environment:ci", "at": AT},
            id="by run and turn",
        ),
        pytest.param(PLAIN | {"value": None}, {"value": None, "source": "human:ann", "at": AT}, id="a skip"),
        pytest.param(PLAIN | {"at": "2026-01-01T02:00:00+02:00"}, {**PLAIN, "at": AT}, id="another time zone"),
        pytest.param(PLAIN | {"at": 1767225600}, {**PLAIN, "at": AT}, id="seconds since 1970"),
        pytest.param(PLAIN | {"note": "n" * 10_000_000}, {**PLAIN, "at": AT}, id="a long note"),
    ],
)
def test_lines(tmp_path, fields, record):
    log = tmp_path / "deep" / "labels.jsonl"
    append_label(log, LabelLine(**fields))
    (line,) = read_labels(log)
    assert line.record == {key: record[key] for key in ("value", "source", "at")}
    assert (line.id, line.run_id, line.turn) == tuple(fields.get(name) for name in ("id", "run_id", "turn"))


def test_a_line_holds_what_is_there_and_its_value_always(tmp_path):
    append_label(tmp_path / "l", line_of(value=None))
    assert json.loads((tmp_path / "l").read_text()) == PLAIN | {"value": None, "at": AT}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param(without("id"), "expected either `id` or `run_id`", id="no address"),
        pytest.param(PLAIN | {"run_id": "r"}, "expected either `id` or `run_id`", id="two addresses"),
        pytest.param(PLAIN | {"turn": 1}, "`turn` goes with `run_id`", id="a turn of no run"),
        pytest.param(without("id", run_id="r", turn=0), "a wrong turn", id="turn 0"),
        pytest.param(without("id", run_id="r", turn=True), "a wrong turn", id="a truth value for a turn"),
        pytest.param(PLAIN | {"id": ""}, "a wrong id", id="an empty id"),
        pytest.param(PLAIN | {"id": 7}, "a wrong id", id="a number for an id"),
        pytest.param(without("value"), "no value", id="no value"),
        pytest.param(PLAIN | {"value": "yes"}, "a wrong value", id="another value"),
        pytest.param(PLAIN | {"value": True}, "a wrong value", id="a truth value"),
        pytest.param(without("source"), "no source", id="no source"),
        pytest.param(PLAIN | {"source": "cat"}, "a label's source is one of human", id="an unknown source"),
        pytest.param(without("at"), "no at", id="no time"),
        pytest.param(PLAIN | {"at": "yesterday"}, "a wrong at", id="no such time"),
        pytest.param(PLAIN | {"at": None}, "a wrong at", id="an empty time"),
        pytest.param(PLAIN | {"more": 1}, "a wrong more", id="a field too many"),
    ],
)
def test_what_is_no_label(tmp_path, fields, reason):
    log, rejects = tmp_path / "labels.jsonl", []
    log.write_text(json.dumps(fields) + "\n" + json.dumps(PLAIN) + "\n")
    assert len(list(read_labels(log, on_reject=rejects.append))) == 1
    ((path, number, said),) = rejects
    assert (path, number) == (log, 1)
    assert reason in said
    with pytest.raises(DataError, match=r"expected a label in .* line 1, got"):
        list(read_labels(log))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"id": "a"', id="torn"),
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        pytest.param(b'"text"', id="no object"),
        pytest.param(json.dumps(PLAIN).encode("utf-16"), id="another encoding"),
        pytest.param(json.dumps(PLAIN | {"at": 1}).replace("1}", "9" * 5_000 + "}").encode(), id="a huge number"),
        pytest.param(json.dumps(PLAIN).replace("a:1", "\\ud800").encode(), id="half a character"),
        pytest.param(json.dumps(PLAIN).encode()[:-2] + b"\xff" + b'"}', id="no UTF-8"),
        pytest.param(b"\x00" * 4096, id="zeros of a crashed disk"),
    ],
)
def test_a_damaged_line_costs_itself_alone(tmp_path, raw):
    log, rejects = tmp_path / "labels.jsonl", []
    append_label(log, line_of())
    with log.open("ab") as stream:
        stream.write(raw)
    append_label(log, line_of(id="b"))
    assert [line.id for line in read_labels(log, on_reject=rejects.append)] == ["a:1", "b"]
    assert rejects


@given(st.binary(max_size=200).filter(lambda raw: not raw.startswith(b"\x1f\x8b")))  # what a gzip begins with
def test_no_bytes_break_the_reader(tmp_path_factory, raw):
    log = tmp_path_factory.mktemp("log") / "labels.jsonl"
    log.write_bytes(raw)
    append_label(log, line_of())
    assert list(read_labels(log, on_reject=lambda _: None))[-1] == line_of()


def test_another_program_may_write_blank_lines_and_a_mark(tmp_path):
    log = tmp_path / "labels.jsonl"
    log.write_bytes(b"\xef\xbb\xbf" + json.dumps(PLAIN).encode() + b"\r\n\r\n   \n" + json.dumps(PLAIN).encode())
    assert list(read_labels(log)) == [line_of()] * 2


def test_many_writers_share_a_log(tmp_path):
    log = tmp_path / "labels.jsonl"
    lines = [line_of(id=str(number), note="x" * number * 50) for number in range(120)]
    writers = [
        threading.Thread(target=lambda part=part: [append_label(log, line) for line in lines[part::4]])
        for part in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(read_labels(log), key=lambda line: int(line.id)) == lines


@pytest.mark.parametrize("field", ["id", "source", "note"])
def test_what_no_file_can_hold_is_refused_at_once(field):
    with pytest.raises(ValidationError, match=r"half a character|as a unicode string"):
        line_of(**{field: "human:\udcff"})


def test_a_missing_log(tmp_path):
    with pytest.raises(DataError, match="found nothing"):
        list(read_labels(tmp_path / "none.jsonl"))
