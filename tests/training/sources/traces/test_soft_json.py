"""JSON inside of other people's records."""

from typing import Any

import pytest

from drr_agent.training.sources.traces.soft_json import (
    decoded,
    decoded_fully,
    decoded_softly,
    read_list,
    read_object,
    read_text,
)

DEEP = "[" * 99_999


@pytest.mark.parametrize(
    ("value", "inside", "fully"),
    [
        (' {"a": 1}', {"a": 1}, {"a": 1}),
        ("[1]", [1], [1]),
        ('"a"', '"a"', "a"),
        ("7", "7", 7),
        ("null", "null", None),
        ("{torn", "{torn", "{torn"),
        ("9" * 5_000, "9" * 5_000, "9" * 5_000),
        ("", "", ""),
        (7, 7, 7),
        (None, None, None),
    ],
)
def test_text_that_is_json(value: Any, inside: Any, fully: Any):
    assert decoded(value) == decoded_softly(value) == inside
    assert decoded_fully(value) == fully


def test_what_is_nested_too_deeply_is_an_error_or_stays_text():
    for read in (decoded, decoded_fully):
        with pytest.raises(RecursionError):
            read(DEEP)
    assert decoded_softly(DEEP) == DEEP


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"a": 1}, {"a": 1}), ('{"a": 1}', {"a": 1}), ([("a", 1)], {"a": 1}), (DEEP, {}), ("x", {}), (None, {})],
    ids=["object", "text", "pairs", "too deep", "word", "nothing"],
)
def test_objects_come_in_several_forms(value: Any, expected: dict[str, Any]):
    assert read_object(value) == expected


def test_lists_come_in_several_forms():
    assert [read_list(value) for value in ([1], "[1]", "x", DEEP, None)] == [[1], [1], [], [], []]


def test_text_says_something():
    assert [read_text(value) for value in (" a ", "a\ud800", " ", 7, None)] == ["a", "a?", None, None, None]
