"""Known answers, joined to attempts whose log does not hold them: by question id, or by the question's text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from drr_agent.columns import CellError, resolve_columns, to_text
from drr_agent.errors import DataError
from drr_agent.evaluation.samples import SAMPLE_COLUMNS
from drr_agent.questions import question_key
from drr_agent.runs import Reject, pass_over
from drr_agent.tables import TableRow, read_table

_COLUMNS = {role: SAMPLE_COLUMNS[role] for role in ("id", "question", "target")}
_LONGEST_NAME = 80
"""Characters of a question that names itself in a message."""


class KnownAnswer(NamedTuple):
    """The target under an id, and the key of the question that its file gives with it, if it does."""

    target: str
    question_key: str | None


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Targets by question id and by question. `None` stands where there are two different ones."""

    by_id: Mapping[str, KnownAnswer | None] = field(repr=False)
    by_question: Mapping[str, str | None] = field(repr=False)
    """By `question_key`."""
    ambiguous: tuple[str, ...] = ()
    """Questions with two different targets, and ids of two different questions or targets."""
    unusable: tuple[Reject, ...] = ()
    """Rows that cannot be read, or lack a target, or both an id and a question."""

    def target_for(self, sample_id: str | None, question_key: str) -> str | None:
        """The target of a question, by its id before its text; `None` for a question that has two.

        Ids such as `17` mean other questions in other files: where the file gives the text of an id's question, that
        must be the same. Leave its column out (`question=""`) to trust the ids alone.
        """
        if question_key in self.by_question and self.by_question[question_key] is None:
            return None
        known = None if sample_id is None else self.by_id.get(sample_id)
        if known is not None and known.question_key in (None, question_key):
            return known.target
        return self.by_question.get(question_key)


def read_targets(path: Path, *, mapping: Mapping[str, str] | None = None) -> Targets:
    """Read targets from JSON lines, CSV, TSV or Parquet, plain or gzipped.

    A target in GSM8K's form (`… #### 18`) is what follows the mark.

    Args:
        path: the file, with a target and an id, a question or both in each row.
        mapping: role (`id`, `question`, `target`) to column; roles that are not named are found by the usual names, and
            `""` leaves one out.

    Raises:
        ConfigError: `mapping` names a role that does not exist.
        DataError: the file cannot be read, lacks a column that is needed or named, or gives no target.
    """
    path, taken = Path(path), _Taken()
    rows = read_table(path, on_reject=taken.unusable.append)
    for row, cells in _cells(path, rows, mapping):
        try:
            taken.add(*(to_text(cells.get(role)) for role in _COLUMNS))
        except (CellError, RecursionError) as error:
            taken.unusable.append(Reject(path, row.line, str(error)))
    if not taken.by_id and not taken.by_question:
        first = f", the first of {len(taken.unusable)} rows for {taken.unusable[0].reason}" if taken.unusable else ""
        raise DataError(f"expected targets in {str(path)!r}, got none{first}; map its columns, or name another file")
    return Targets(
        by_id=taken.by_id,
        by_question=taken.by_question,
        ambiguous=tuple(taken.ambiguous),
        unusable=tuple(taken.unusable),
    )


@dataclass
class _Taken:
    """Targets while they are read."""

    by_id: dict[str, KnownAnswer | None] = field(default_factory=dict)
    by_question: dict[str, str | None] = field(default_factory=dict)
    ambiguous: dict[str, None] = field(default_factory=dict)
    unusable: list[Reject] = field(default_factory=list)

    def add(self, sample_id: str | None, question: str | None, target: str | None) -> None:
        """Take a row.

        Raises:
            CellError: it has no target, or nothing to join it by.
        """
        text = "" if target is None else target.rpartition("####")[2].strip()
        if not text or (sample_id is None and question is None):
            raise CellError("no id and no question" if text else "no target")
        key = None if question is None else question_key(question)
        if question is not None and key is not None and self.by_question.setdefault(key, text) != text:
            self.by_question[key] = None
            self._name(question)
        answer = KnownAnswer(text, key)
        if sample_id is not None and self.by_id.setdefault(sample_id, answer) != answer:
            self.by_id[sample_id] = None
            self._name(sample_id)

    def _name(self, text: str) -> None:
        self.ambiguous[" ".join(text.split())[:_LONGEST_NAME]] = None


def _cells(
    path: Path, rows: Iterator[TableRow], mapping: Mapping[str, str] | None
) -> Iterator[tuple[TableRow, dict[str, object]]]:
    """Every row, and its cells by role. The rows of JSON lines may differ, so all are looked at for the columns."""
    columns = dict.fromkeys(column for row in read_table(path, on_reject=pass_over) for column in row.cells)
    roles = resolve_columns(list(columns), mapping, synonyms=_COLUMNS, required=("target",), source=str(path))
    for row in rows:
        yield row, {role: row.cells.get(column) for role, column in roles.items()}
