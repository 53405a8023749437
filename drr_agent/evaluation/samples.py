"""Benchmark samples: questions with their gold answers, from files of any common shape."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from drr_agent.columns import CellError, Synonyms, resolve_columns, to_text
from drr_agent.errors import DataError
from drr_agent.questions import question_key
from drr_agent.state import Sample
from drr_agent.tables import read_table

SAMPLE_COLUMNS: Synonyms = {
    "question": ("question", "problem", "query", "prompt", "input"),
    "target": ("target", "gold", "gold_answer", "ground_truth", "reference_answer", "correct_answer", "answer"),
    "id": ("id", "question_id", "sample_id", "task_id", "problem_id", "qid"),
    "choices": ("choices", "options"),
}
"""What a row says of a sample, with the usual names of its column."""

_MOST_SHOWN = 3


def read_samples(path: Path, *, mapping: Mapping[str, str] | None = None) -> list[Sample]:
    """Read samples from JSON lines, CSV, TSV or Parquet, plain or gzipped.

    Choices, a list or a record of letter and text, are added to the question as the Reasoner must see them. A target
    in GSM8K's form (`… #### 18`) is what follows the mark. Without an id column the id is the hash of the question.

    Args:
        path: the file.
        mapping: role to column, such as `{"target": "gold"}`; roles that are not named are found by the usual names,
            and `""` leaves one out.

    Raises:
        ConfigError: `mapping` names a role that does not exist.
        DataError: the file cannot be read, a row has no question or no target, or two samples share an id.
    """
    rows = list(read_table(Path(path)))
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    roles = resolve_columns(
        columns, mapping, synonyms=SAMPLE_COLUMNS, required=("question", "target"), source=str(path)
    )
    samples: list[Sample] = []
    for row in rows:
        try:
            samples.append(_sample({role: row.cells.get(column) for role, column in roles.items()}))
        except CellError as error:
            raise DataError(
                f"expected a sample in {str(path)!r} line {row.line}, got {error}; repair the row"
            ) from error
    check_samples(samples)
    return samples


def check_samples(samples: Iterable[Sample]) -> None:
    """Refuse samples that cannot be told apart or graded.

    Raises:
        DataError: there are none, one has an empty question or target, or two share an id.
    """
    seen: set[str] = set()
    flaws = []
    for sample in samples:
        empty = [
            name for name, text in (("question", sample["question"]), ("target", sample["target"])) if not text.strip()
        ]
        flaws += [f"sample {sample['id']!r} has an empty {name}" for name in empty]
        flaws += [f"two samples have the id {sample['id']!r}"] if sample["id"] in seen else []
        seen.add(sample["id"])
    if not seen:
        raise DataError("expected at least one sample, got none; check the file")
    if flaws:
        more = f"; and {len(flaws) - _MOST_SHOWN} more" if len(flaws) > _MOST_SHOWN else ""
        raise DataError(
            f"expected samples with distinct ids, questions and targets; got {'; '.join(flaws[:_MOST_SHOWN])}{more}: "
            "repair them, or map other columns"
        )


def _sample(cells: Mapping[str, Any]) -> Sample:
    question, target, given_id = to_text(cells["question"]), to_text(cells["target"]), to_text(cells.get("id"))
    if question is None or target is None:
        raise CellError(f"no {'question' if question is None else 'target'}")
    question = "\n".join([question, *_choice_lines(cells.get("choices"))])
    return {
        "id": question_key(question) if given_id is None else given_id,
        "question": question,
        "target": target.rpartition("####")[2].strip(),
    }


def _choice_lines(choices: Any) -> list[str]:
    """One `(A) text` a choice, letters as given or counted."""
    if choices is None:
        return []
    if isinstance(choices, dict) and choices.keys() == {
        "label",
        "text",
    }:  # the shape of the Hub's ARC and CommonsenseQA
        choices = dict(zip(choices["label"], choices["text"], strict=True))
    if isinstance(choices, list):
        choices = {chr(ord("A") + place): text for place, text in enumerate(choices)}
    if not isinstance(choices, dict):
        raise CellError(f"choices that are neither a list nor a record: {str(choices)[:60]!r}")
    return [f"({letter}) {to_text(text)}" for letter, text in choices.items()]
