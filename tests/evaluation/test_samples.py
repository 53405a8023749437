"""Samples: read from any common shape, refused when they cannot be told apart or graded."""

import json

import pytest

from drr_agent.errors import ConfigError, DataError
from drr_agent.evaluation.samples import check_samples, read_samples


def write_rows(tmp_path, *rows):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


CHOICES = "Which?\n(A) cat\n(B) 7"


@pytest.mark.parametrize(
    ("row", "mapping", "sample"),
    [
        pytest.param(
            {"id": "a", "question": "2 + 2?", "target": 4},
            None,
            {"id": "a", "question": "2 + 2?", "target": "4"},
            id="plain",
        ),
        pytest.param(
            {"question_id": 7, "question": "2 + 2?", "gold": "4", "answer": "5"},
            None,
            {"id": "7", "question": "2 + 2?", "target": "4"},
            id="gold-before-answer",
        ),
        pytest.param(
            {"id": "a", "question": "2 + 2?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"},
            None,
            {"id": "a", "question": "2 + 2?", "target": "4"},
            id="gsm8k",
        ),
        pytest.param(
            {"id": "a", "q": "2 + 2?", "answer": "no", "right": "4"},
            {"question": "q", "target": "right"},
            {"id": "a", "question": "2 + 2?", "target": "4"},
            id="mapped",
        ),
        pytest.param(
            {"id": "a", "question": "Which?", "target": "A", "choices": {"A": "cat", "B": 7}},
            None,
            {"id": "a", "question": CHOICES, "target": "A"},
            id="choices-by-letter",
        ),
        pytest.param(
            {"id": "a", "question": "Which?", "target": "A", "options": ["cat", 7]},
            None,
            {"id": "a", "question": CHOICES, "target": "A"},
            id="choices-in-order",
        ),
        pytest.param(
            {"id": "a", "question": "Which?", "target": "A", "choices": {"label": ["A", "B"], "text": ["cat", "7"]}},
            None,
            {"id": "a", "question": CHOICES, "target": "A"},
            id="choices-of-the-hub",
        ),
        pytest.param(
            {"id": "a", "question": "Which?", "target": "A", "choices": ["cat"]},
            {"choices": ""},
            {"id": "a", "question": "Which?", "target": "A"},
            id="choices-left-out",
        ),
    ],
)
def test_a_row_becomes_a_sample(tmp_path, row, mapping, sample):
    assert read_samples(write_rows(tmp_path, row), mapping=mapping) == [sample]


def test_an_id_that_is_not_given_follows_the_question(tmp_path):
    one, other = {"question": "2 + 2?", "target": "4"}, {"question": "3 + 3?", "target": "6"}
    ids = [sample["id"] for sample in read_samples(write_rows(tmp_path, one, other))]
    assert [sample["id"] for sample in read_samples(write_rows(tmp_path, other, one))] == ids[::-1]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("rows", "mapping", "error", "message"),
    [
        pytest.param(
            [{"question": "q", "target": "t", "id": "a"}] * 2, None, DataError, "two samples have the id 'a'", id="twin"
        ),
        pytest.param([{"question": "q", "target": " "}], None, DataError, "line 1, got no target", id="no-target"),
        pytest.param([{"question": None, "target": "t"}], None, DataError, "line 1, got no question", id="no-question"),
        pytest.param(
            [{"question": "q", "target": "#### "}], None, DataError, "empty target", id="nothing-after-the-mark"
        ),
        pytest.param([{"question": ["q"], "target": "t"}], None, DataError, "list where text", id="question-no-text"),
        pytest.param(
            [{"question": "q", "target": "t", "choices": 3}], None, DataError, "neither a list", id="choices-no-list"
        ),
        pytest.param([{"question": "q"}], None, DataError, "a column for `target`", id="no-target-column"),
        pytest.param([{"question": "q", "target": "t"}], {"gold": "t"}, ConfigError, "got 'gold'", id="no-such-role"),
        pytest.param([], None, DataError, "expected JSON lines|a column", id="empty-file"),
    ],
)
def test_unusable_samples_are_refused(tmp_path, rows, mapping, error, message):
    with pytest.raises(error, match=message):
        read_samples(write_rows(tmp_path, *rows), mapping=mapping)


def test_flaws_are_shown_in_part_and_counted_in_full():
    samples = [{"id": str(number), "question": "", "target": "t"} for number in range(10)]
    with pytest.raises(DataError, match=r"sample '0'.*sample '2'.*and 7 more"):
        check_samples(samples)


def test_no_samples_are_refused():
    with pytest.raises(DataError, match="at least one sample"):
        check_samples([])
