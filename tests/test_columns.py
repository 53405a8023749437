"""Columns: which plays which part, and what its cells say."""

import pytest

from drr_agent.columns import CellError, resolve_columns, to_floats, to_int, to_text
from drr_agent.errors import ConfigError, DataError

BOTTOMLESS: list = []
for _ in range(10_000):
    BOTTOMLESS = [BOTTOMLESS]
SYNONYMS = {"question": ("question", "prompt"), "answer": ("answer", "prediction"), "target": ("target", "answer")}


def resolve(columns, mapping=None):
    return resolve_columns(columns, mapping, synonyms=SYNONYMS, required=("question",), source="t.csv")


@pytest.mark.parametrize(
    ("columns", "mapping", "roles"),
    [
        pytest.param(["Prompt", "x"], None, {"question": "Prompt"}, id="usual-name-in-any-case"),
        pytest.param(["prompt", "question"], None, {"question": "question"}, id="likeliest-name-first"),
        pytest.param(["prompt", "q"], {"question": "q"}, {"question": "q"}, id="the-caller-decides"),
        pytest.param(
            ["question", "answer"], None, {"question": "question", "answer": "answer"}, id="one-role-a-column"
        ),
        pytest.param(
            ["question", "prediction", "answer"],
            {"answer": "prediction"},
            {"question": "question", "answer": "prediction", "target": "answer"},
            id="a-column-set-free",
        ),
        pytest.param(
            ["question", "answer"], {"answer": "", "target": ""}, {"question": "question"}, id="roles-left-out"
        ),
    ],
)
def test_roles_find_their_columns(columns, mapping, roles):
    assert resolve(columns, mapping) == roles


@pytest.mark.parametrize(
    ("mapping", "error", "message"),
    [
        pytest.param({"grade": "x"}, ConfigError, "got 'grade'", id="no-such-role"),
        pytest.param(
            {"target": "gld"}, DataError, r"column 'gld' for `target` in 't.csv', found \['x'\]", id="no-such-column"
        ),
        pytest.param({}, DataError, "a mapping such as question=COLUMN", id="required-role"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(mapping, error, message):
    with pytest.raises(error, match=message):
        resolve(["x"], mapping)


@pytest.mark.parametrize(
    ("convert", "cell", "value"),
    [
        pytest.param(to_text, 18, "18", id="number-as-text"),
        pytest.param(to_text, True, "true", id="truth-as-text"),
        pytest.param(to_text, " \n", None, id="blank-is-missing"),
        pytest.param(to_text, float("nan"), None, id="nan-is-missing"),
        pytest.param(to_text, 0, "0", id="zero-is-not-missing"),
        pytest.param(to_int, "3", 3, id="whole-number-as-text"),
        pytest.param(to_int, 3.0, 3, id="whole-number-as-float"),
        pytest.param(to_int, -(2**63), -(2**63), id="the-least-of-64-bits"),
        pytest.param(to_int, None, None, id="no-number"),
        pytest.param(to_floats, [-0.5, 0], [-0.5, 0.0], id="list"),
        pytest.param(to_floats, "[-0.5]", [-0.5], id="list-as-json"),
        pytest.param(to_floats, [], [], id="empty-list"),
    ],
)
def test_cells_are_read(convert, cell, value):
    assert convert(cell) == value


@pytest.mark.parametrize(
    ("convert", "cell"),
    [
        pytest.param(to_text, ["a"], id="list-as-text"),
        pytest.param(to_text, "half \ud83d", id="half-a-character"),
        pytest.param(to_int, "three", id="word-as-number"),
        pytest.param(to_int, 2.5, id="fraction-as-whole-number"),
        pytest.param(to_int, float("inf"), id="infinity"),
        pytest.param(to_int, "1e30", id="more-than-64-bits-as-text"),
        pytest.param(to_int, 10**25, id="more-than-64-bits"),
        pytest.param(to_int, 2**63, id="one-too-many-for-64-bits"),
        pytest.param(to_int, 10**400, id="more-than-a-float"),
        pytest.param(to_floats, [10**400], id="more-than-a-float-in-a-list"),
        pytest.param(to_floats, "[" * 10_000, id="bottomless-text"),
        pytest.param(to_floats, BOTTOMLESS, id="bottomless-list"),
        pytest.param(to_text, BOTTOMLESS, id="bottomless-list-as-text"),
        pytest.param(to_floats, "0.5", id="number-as-list"),
        pytest.param(to_floats, [None], id="list-of-nothing"),
        pytest.param(to_floats, [float("nan")], id="list-of-nan"),
    ],
)
def test_cells_that_cannot_be_are_named(convert, cell):
    with pytest.raises(CellError):
        convert(cell)
