"""Known answers from a file, joined by id or by question."""

import json

import pytest

from drr_agent.errors import ConfigError, DataError
from drr_agent.questions import question_key
from drr_agent.training.labels.targets import read_targets


@pytest.fixture
def targets_of(tmp_path):
    """Targets of some rows, or lines, of a file."""

    def read(*rows, name="targets.jsonl", **options):
        path = tmp_path / name
        path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
        return read_targets(path, **options)

    return read


def target(targets, sample_id, question):
    return targets.target_for(sample_id, question_key(question))


ADD = {"id": "q1", "question": "2 + 2?", "target": "4"}


@pytest.mark.parametrize(
    ("rows", "sample_id", "question", "expected"),
    [
        pytest.param([ADD], "q1", "2 + 2?", "4", id="by id and text"),
        pytest.param([ADD], None, " 2 + 2 ? ", "4", id="by text, but for space"),
        pytest.param([ADD], "other", "2 + 2?", "4", id="by text under an unknown id"),
        pytest.param([ADD], "q1", "3 + 3?", None, id="the id of another question"),
        pytest.param([{"id": "q1", "target": "4"}], "q1", "3 + 3?", "4", id="a file of ids alone"),
        pytest.param([{"question": "2 + 2?", "answer": "so 4 #### 4"}], None, "2 + 2?", "4", id="as GSM8K writes it"),
        pytest.param([{"id": 7, "target": 4}], "7", "", "4", id="numbers"),
        pytest.param([ADD, ADD | {"id": "q2"}], "q2", "2 + 2?", "4", id="the same question twice"),
        pytest.param([ADD, ADD | {"id": "q2", "target": "5"}], "q1", "2 + 2?", None, id="a question with two targets"),
        pytest.param([ADD, ADD | {"target": "5"}], "q1", "2 + 2?", None, id="an id and a question with two targets"),
        pytest.param(
            [ADD, {"id": "q1", "question": "3 + 3?", "target": "6"}], "q1", "3 + 3?", "6", id="an id of two questions"
        ),
        pytest.param([{"id": "q1", "target": "4"}, {"id": "q1", "target": "5"}], "q1", "", None, id="an id, two"),
        pytest.param([{"answer": "4", "question": "2 + 2?"}, ADD], "q1", "2 + 2?", "4", id="rows of other columns"),
    ],
)
def test_joins(targets_of, rows, sample_id, question, expected):
    assert target(targets_of(*rows), sample_id, question) == expected


def test_what_is_ambiguous_is_named(targets_of):
    long = {"question": "w\nhy?" * 100}
    found = targets_of(ADD, ADD | {"target": "5"}, long | {"target": "a"}, long | {"target": "b"})
    assert found.ambiguous == ("2 + 2?", "q1", ("w hy?" * 100)[:80])


def test_what_is_unusable_is_named(targets_of):
    found = targets_of(ADD, {"id": "q2"}, {"target": "4"}, "torn {", {"id": ["a"], "target": "4"}, {"target": " "})
    assert [reject.line for reject in found.unusable] == [2, 3, 4, 5, 6]
    assert [reject.reason[:15] for reject in found.unusable] == [
        "no target",
        "no id and no qu",
        "torn or invalid",
        "list where text",
        "no target",
    ]


def test_the_text_is_left_out_where_the_user_says_so(targets_of):
    found = targets_of(ADD, mapping={"question": ""})
    assert target(found, "q1", "another wording") == "4"


def test_columns_of_other_names(targets_of):
    found = targets_of(
        "no,frage,loesung", "1,2 + 2?,4", name="t.csv", mapping={"question": "frage", "target": "loesung"}
    )
    assert target(found, None, "2 + 2?") == "4"


@pytest.mark.parametrize(
    ("rows", "mapping", "error", "message"),
    [
        pytest.param([{"id": "q1"}], None, DataError, "expected a column for `target`", id="no target column"),
        pytest.param(
            [{"target": "4"}], None, DataError, "got none, the first of 1 rows for no id", id="nothing to join"
        ),
        pytest.param([ADD], {"gold": "x"}, ConfigError, "can be mapped to id, question, target", id="an unknown role"),
        pytest.param([ADD], {"target": "x"}, DataError, "expected a column 'x' for `target`", id="an unknown column"),
    ],
)
def test_files_without_targets(targets_of, rows, mapping, error, message):
    with pytest.raises(error, match=message):
        targets_of(*rows, mapping=mapping)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="found nothing"):
        read_targets(tmp_path / "none.jsonl")
