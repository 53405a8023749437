"""Tables of attempts: what only a table says of its tokens."""

import json

import pytest

from drr_agent.training.harvest import harvest


@pytest.fixture
def read(tmp_path):
    """A table of one attempt with some more columns; its rows, and what was dropped."""

    def call(cells, mapping=None):
        path = tmp_path / "attempts.jsonl"
        row = {"question": "What is 2 + 2?", "rationale": "2 + 2 = 4", "answer": "4", "target": "4"}
        path.write_text(json.dumps({**row, **cells}) + "\n")
        result = harvest([path], mapping=mapping, progress=False)
        return result.behaviors, [record.dropped for record in result.sources]

    return call


@pytest.mark.parametrize(
    ("cells", "mapping", "entropy"),
    [
        pytest.param({"token_entropy": 0.3}, None, 0.3, id="a mean"),
        pytest.param({"token_entropy": "0.3"}, None, 0.3, id="a mean as text"),
        pytest.param({"token_entropy": [0.0, 0.5, 1.0]}, None, 0.5, id="one a token"),
        pytest.param({"token_entropy": "[0.25, 0.75]"}, None, 0.5, id="one a token as text"),
        pytest.param({"token_entropy": None}, None, None, id="unknown"),
        pytest.param({"token_entropy": []}, None, None, id="of no token"),
        pytest.param({"h": 0.1}, {"entropy": "h"}, 0.1, id="a column that is named"),
        pytest.param({"entropy": 1.5}, None, None, id="of what, nobody says"),
        pytest.param({}, None, None, id="no column"),
    ],
)
def test_the_entropy_of_the_tokens_is_a_signal(read, cells, mapping, entropy):
    ((row,), _) = read(cells, mapping)
    assert row["signals"]["token_entropy"] == entropy


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(-0.5, id="below zero"),
        pytest.param([0.5, -0.1], id="a token below zero"),
        pytest.param("low", id="a word"),
        pytest.param({"mean": 0.5}, id="a record"),
        pytest.param([[0.5]], id="lists of lists"),
        pytest.param(float("inf"), id="infinite"),
    ],
)
def test_what_is_no_entropy_is_dropped_and_counted(read, value):
    rows, (dropped,) = read({"token_entropy": value})
    assert (rows, dropped) == ([], {"bad value": 1})
