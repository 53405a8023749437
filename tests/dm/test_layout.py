"""A manifest is JSON that people can read, and the same bytes for the same content."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.dm.folder import MANIFEST, SHIPPED, read_manifest, write_manifest
from drr_agent.dm.layout import lay_out

ROW = {"name": "x" * 90, "weight": 0.5, "other": "y" * 90}
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=40)


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        pytest.param({}, ["{}"], id="nothing"),
        pytest.param({"a": 1, "b": None}, ["{", '  "a": 1,', '  "b": null', "}"], id="the outermost is indented"),
        pytest.param([0.1, 2e-07], ["[", "  0.1,", "  2e-07", "]"], id="also a list"),
        pytest.param({"a": {"b": [1, 2]}}, ["{", '  "a": {"b": [1, 2]}', "}"], id="what fits is on a line"),
        pytest.param(
            {"a": list(range(100))},
            ["{", f'  "a": {list(range(100))!r}', "}"],
            id="numbers are on a line, however many",
        ),
        pytest.param(
            {"a": [[1.5] * 60] * 2},
            ["{", '  "a": [', f"    {[1.5] * 60!r},", f"    {[1.5] * 60!r}", "  ]", "}"],
            id="a line for each row of a table",
        ),
        pytest.param(
            {"a": [ROW, ROW]},
            ["{", '  "a": [', f"    {json.dumps(ROW)},", f"    {json.dumps(ROW)}", "  ]", "}"],
            id="a line for each thing",
        ),
        pytest.param(
            {"a": {"b": "x" * 200, "c": "é" * 50}},
            ["{", '  "a": {', f'    "b": "{"x" * 200}",', f'    "c": "{"é" * 50}"', "  }", "}"],
            id="what does not fit is indented",
        ),
    ],
)
def test_the_layout(value, lines):
    assert lay_out(value).split("\n") == lines


@given(VALUES)
def test_nothing_is_lost(value):
    text = lay_out(value)
    assert repr(json.loads(text)) == repr(value), "to the last digit, and in the same order"
    assert lay_out(json.loads(text)) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf")], ids=["nan", "inf"])
def test_what_json_lacks_is_refused(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        lay_out({"a": [number]})


def test_a_manifest_is_laid_out(tmp_path):
    shipped = (SHIPPED / MANIFEST).read_text(encoding="utf-8")
    assert shipped == lay_out(json.loads(shipped)) + "\n"
    write_manifest(tmp_path, read_manifest(SHIPPED))
    written = (tmp_path / MANIFEST).read_text(encoding="utf-8")
    assert written == lay_out(json.loads(written)) + "\n"
    assert read_manifest(tmp_path) == read_manifest(SHIPPED)
