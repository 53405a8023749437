"""Values of checkpointers: read as plain data, without building or running what they name, or refused with a reason."""

import math
import pickle
from contextlib import suppress
from datetime import UTC, datetime
from signal import Signals

import ormsgpack
import pytest
from fakes import make_attempt, make_run
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from ormsgpack import Ext

from drr_agent.training.sources.stored import OBJECT, UndecodableError, as_run, decode, encode, unfinished

SERDE = JsonPlusSerializer()
STORED = {
    "a message": ("msgpack", ormsgpack.packb({"q": Ext(5, b"any")}), {"q": OBJECT}),
    "a date": ("msgpack", SERDE.dumps_typed(datetime(2026, 1, 2, tzinfo=UTC))[1], "2026-01-02T00:00:00+00:00"),
    "an enum": ("msgpack", SERDE.dumps_typed(Signals.SIGINT)[1], 2),
    "an object in an object": (
        "msgpack",
        ormsgpack.packb(Ext(0, ormsgpack.packb(["m", "n", [Ext(0, b"")]]))),
        [OBJECT],
    ),
    "an extension of somebody else": ("msgpack", ormsgpack.packb([Ext(0, b"\xc1"), Ext(99, b"")]), [OBJECT, OBJECT]),
    "numbers as keys": ("msgpack", b"\x81\x01\x02", {1: 2}),
    "nothing": ("null", None, None),
    "json": ("json", b'{"a": [1.5]}', {"a": [1.5]}),
    "half a character": ("json", b'"\\ud800"', "?"),
    "bytes of half a character": ("json", b'"\xed\xa0\x80"', "?"),
    "ten megabytes": ("msgpack", ormsgpack.packb("x" * 10**7), "x" * 10**7),
}


@pytest.mark.parametrize(("kind", "blob", "value"), STORED.values(), ids=STORED)
def test_a_stored_value_is_plain_data(kind, blob, value):
    assert decode(kind, blob) == value


UNREADABLE = {
    "a pickle": ("pickle", pickle.dumps({}), "stored as 'pickle', which is not opened"),
    "encrypted": ("msgpack+aes", b"x", "stored as 'msgpack"),
    "of no kind": (None, b"x", "stored as None"),
    "of a long kind": ("x" * 10**6, b"x", "stored as 'xxx"),
    "no bytes": ("msgpack", None, "NoneType where the bytes"),
    "text": ("json", "{}", "str where the bytes"),
    "torn": ("msgpack", ormsgpack.packb({"a": "long enough"})[:-3], "torn or invalid msgpack"),
    "empty": ("msgpack", b"", "torn or invalid msgpack"),
    "too deep": ("msgpack", b"\x91" * 10**6, "torn or invalid msgpack"),
    "of a false length": ("msgpack", b"\xdd\xff\xff\xff\xff", "torn or invalid msgpack"),
    "not UTF-8": ("msgpack", b"\xa1\xff", "torn or invalid msgpack"),
    "torn JSON": ("json", b'{"a": ', "torn or invalid json"),
    "JSON that is not UTF-8": ("json", b'"\xff"', "torn or invalid json"),
    "JSON too deep": ("json", b"[" * 10**6, "torn or invalid json"),
    "JSON with a number too long": ("json", b"9" * 10_000, "torn or invalid json"),
}


@pytest.mark.parametrize(("kind", "blob", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_value_that_cannot_be_read_says_why(kind, blob, reason):
    with pytest.raises(UndecodableError, match=reason) as caught:
        decode(kind, blob)
    assert len(str(caught.value)) < 300


START = {"run_id": "r", "started_at": "2026", "question": "q?", "context": "c", "clock": 1.0, "assignment": {}}
IDENTITY = {"reasoner": "m", "dm": "d", "prompts": "p", "policy": "ThresholdPolicy()"}
SPENT = {"calls": 1, "unmetered_calls": 0, "input_tokens": 10, "output_tokens": 5}


def test_a_run_that_never_ended_is_told_as_far_as_it_came():
    assignment = {"sample_id": "s", "target": "1", "draw": 2, "origin": "distilled"}
    attempts = [make_attempt("1", usage=SPENT, seconds=0.5), make_attempt("2", usage=SPENT, seconds=1.5)]
    run = unfinished({**START, "assignment": assignment, "identity": IDENTITY}, attempts)
    assert run == {
        **{name: START[name] for name in ("run_id", "started_at", "question", "context")},
        "schema": 1,
        "answer": None,
        "score": None,
        "accepted": False,
        "stop_reason": "interrupted",
        "choice": None,
        "attempts": attempts,
        "seconds": 2.0,
        **IDENTITY,
        **assignment,
        "usage": {"calls": 2, "unmetered_calls": 0, "input_tokens": 20, "output_tokens": 10},
    }


def test_a_start_of_an_older_version_names_nobody():
    run = unfinished(START, None)
    assert {name: run[name] for name in IDENTITY} == {"reasoner": "unknown", "dm": None, "prompts": "", "policy": ""}
    assert (run["attempts"], run["origin"], run["target"]) == ([], "live", None)


@pytest.mark.parametrize(
    ("start", "attempts", "reason"),
    [
        pytest.param(None, [], "no record", id="no start"),
        pytest.param("x", [], "no record", id="a start of another kind"),
        pytest.param({**START, "assignment": [1]}, [], "no record", id="an assignment of another kind"),
        pytest.param({**START, "question": None}, [], "a run with a wrong question", id="no question"),
        pytest.param({**START, "run_id": 1}, [], "a run with a wrong run_id", id="an id of another kind"),
        pytest.param({**START, "assignment": {"origin": "x"}}, [], "a run with a wrong origin", id="a foreign origin"),
        pytest.param(START, {"a": 1}, "a run with a wrong attempts", id="attempts of another kind"),
        pytest.param(START, [{}], "an attempt without rationale", id="an attempt without fields"),
        pytest.param(START, [make_attempt(score=math.nan)], "nan is no number", id="a score that is no number"),
        pytest.param(START, [make_attempt(seconds=2**63)], "more than 64 bits", id="a number too large"),
    ],
)
def test_what_is_no_run_says_why(start, attempts, reason):
    with pytest.raises(UndecodableError, match=reason):
        unfinished(start, attempts)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        pytest.param(0.5, "not a run", id="a channel of somebody else"),
        pytest.param({"answer": "4"}, "not a run", id="a record of somebody else"),
        pytest.param(make_run(schema=2), "a run of schema 2, not 1", id="another schema"),
        pytest.param(make_run(score=math.inf), "inf is no number", id="the score"),
        pytest.param(OBJECT, "not a run", id="an object"),
        pytest.param(make_run(answer=OBJECT), "a run with a wrong answer", id="an object in a field"),
        pytest.param(make_run(draw=2**63), "more than 64 bits", id="a number too large"),
        pytest.param(make_run(draw=-(2**64)), "more than 64 bits", id="a number too small"),
        pytest.param(make_run(attempts=[make_attempt(logprobs=[-1.0, math.nan])]), "nan is no number", id="logprobs"),
        pytest.param(make_run(attempts=[make_attempt(signals={"a": -math.inf})]), "-inf is no number", id="signals"),
        pytest.param(make_run(usage={**SPENT, "calls": 2**64}), "more than 64 bits", id="usage"),
        pytest.param(
            make_run(labels=[{"turn": 2**63, "value": None, "source": "a", "at": None}]), "64 bits", id="label"
        ),
        pytest.param({**make_run(), "attempts": [{}]}, "an attempt without rationale", id="missing"),
    ],
)
def test_a_record_is_held_to_what_a_line_of_the_log_is(run, reason):
    with pytest.raises(UndecodableError, match=reason):
        as_run(run)


@pytest.mark.parametrize("changes", [{"score": 1e300}, {"draw": 2**63 - 1}, {"draw": -(2**63)}, {"more": {1: b"2"}}])
def test_a_record_may_hold_what_a_log_may(changes):
    assert as_run(make_run(**changes)) == make_run(**changes)


FIELDS = st.sampled_from([*make_run(), *START])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=20,
)


@given(value=VALUES, changes=st.dictionaries(FIELDS, VALUES, max_size=2), blob=st.binary(max_size=30))
def test_whatever_is_stored_is_a_run_or_says_why_not(value, changes, blob):
    for read in (
        lambda: encode(as_run(value)),
        lambda: encode(as_run({**make_run(), **changes})),
        lambda: encode(unfinished({**START, **changes}, value)),
        lambda: decode("msgpack", blob),
        lambda: decode("json", blob),
    ):
        with suppress(UndecodableError):
            read()
