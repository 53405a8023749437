"""A look into a dataset."""

import pytest
from training.synthetic import make_behavior

from drr_agent.training.dataset.survey import take_survey
from drr_agent.training.dataset.writer import write_dataset

LABELS = ["correct", "incorrect", None]


def rows():
    return [
        make_behavior(
            f"What is {number // 3} + 1?",
            id=f"r{number}",
            run_id=f"r{number}",
            rationale=str(number),
            turn=1 + number % 2,
            reasoner="b" if number % 5 else "a",
            label=LABELS[number % 3],
        )
        for number in range(60)
    ]


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(rows(), tmp_path / "data")


def test_counts_by_reasoner_and_turn(dataset):
    survey = take_survey(dataset)
    for name, counts in survey.reasoners.items():
        mine = [row for row in rows() if row["reasoner"] == name]
        assert counts.rows == len(mine) == dataset.manifest.reasoners[name]
        assert counts.questions == len({row["question_key"] for row in mine})
        assert [counts.correct, counts.incorrect, counts.unlabeled] == [
            sum(row["label"] == label for row in mine) for label in LABELS
        ]
        for turn, part in survey.turns[name].items():
            assert part.rows == sum(row["turn"] == turn for row in mine)
    assert list(survey.reasoners) == list(survey.turns) == ["a", "b"]
    assert list(survey.turns["b"]) == [1, 2]


@pytest.mark.parametrize(("count", "given"), [(0, 0), (1, 1), (3, 3), (1000, 20)])
def test_examples_of_each_kind(dataset, count, given):
    examples = take_survey(dataset, examples=count).examples
    assert [row["label"] for row in examples] == [label for label in LABELS for _ in range(given)]
    assert len({row["id"] for row in examples}) == len(examples)


def test_examples_of_one_split(dataset):
    keys = {row["question_key"] for row in dataset.rows("validation")}
    examples = take_survey(dataset, examples=1, splits=["validation"]).examples
    assert [row["label"] for row in examples] == LABELS
    assert {row["question_key"] for row in examples} <= keys


def test_they_are_always_the_same_and_not_merely_the_first(dataset, tmp_path):
    again = write_dataset(reversed(rows()), tmp_path / "again")
    examples = take_survey(dataset, examples=2).examples
    assert take_survey(again, examples=2).examples == examples
    first = [next(row for row in dataset.iter_rows() if row["label"] == label)["id"] for label in LABELS]
    assert not {row["id"] for row in examples} <= set(first)
