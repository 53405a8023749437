"""Files of attempts made elsewhere as a source: JSON lines, CSV, TSV or Parquet, with a mapping of their columns."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from langchain_core.messages import AIMessage

from drr_agent.columns import CellError, Synonyms, is_missing, resolve_columns, to_floats, to_int, to_text
from drr_agent.errors import DataError
from drr_agent.lines import estimate_lines
from drr_agent.parsing import Parser
from drr_agent.questions import question_key
from drr_agent.runs import Reject
from drr_agent.signals import DEFAULT_SIGNALS, SignalInput, compute_signals
from drr_agent.state import NO_USAGE, Draft, FeedbackKind
from drr_agent.tables import TableRow, read_table, table_columns, table_format
from drr_agent.training.behaviors import Behavior, judged
from drr_agent.training.drops import Flaw
from drr_agent.training.filters import RowFilter
from drr_agent.training.labels import Labeler, LabelRecord, merge_labels
from drr_agent.training.redaction import DEFAULT_REDACTION, Redaction
from drr_agent.training.sources.hf_dataset import DatasetRow, hf_columns, read_hf_dataset
from drr_agent.training.sources.protocol import Outcome, unreadable
from drr_agent.training.times import to_utc

ATTEMPT_COLUMNS: Synonyms = {
    "question": ("question", "problem", "query", "prompt", "input"),
    "answer": ("answer", "prediction", "predicted_answer", "pred", "final_answer", "extracted_answer"),
    "target": ("target", "gold", "gold_answer", "ground_truth", "reference", "reference_answer", "correct_answer"),
    "label": ("label", "is_correct", "correct"),
    "rationale": ("rationale", "reasoning", "response", "completion", "generation", "output", "solution"),
    "reasoner": ("reasoner", "model", "model_name", "model_id"),
    "draw": ("draw", "sample_index", "sample_idx", "attempt_index"),
    "turn": ("turn",),
    "run_id": ("run_id",),
    "question_id": ("question_id", "sample_id", "task_id", "problem_id", "qid"),
    "dataset": ("dataset", "benchmark", "task"),
    "prompts": ("prompts", "prompt_id", "config"),
    "context": ("context",),
    "feedback": ("feedback",),
    "logprobs": ("logprobs", "token_logprobs"),
    "entropy": ("token_entropy", "mean_token_entropy"),
    "truncated": ("truncated",),
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "started_at": ("started_at", "created_at", "timestamp"),
}
"""What an imported row can say of an attempt, with the usual names of its column."""

_IDENTITY = ("run_id", "question_id", "reasoner", "dataset", "prompts", "context")
"""Beside the question and the draw: what says which run a row belongs to."""

_PROSE = ("answer", "target", "rationale", "context", "prompts")
"""What may hold a secret."""
"""Rows looked at for the columns of a JSON-lines file, whose rows may differ."""


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """A table of attempts, one a row.

    The id of a row is a hash of what identifies the draw (question, Reasoner, draw and so on, whichever have a column)
    and of its text, never of its file, place or label. Rows without a draw column that agree in all of that are told
    apart by counting them: within a file they are draws of their own, and in a copy of the file they are the same.
    """

    path: Path
    labeler: Labeler
    filters: tuple[RowFilter, ...] = ()
    wanted: Mapping[str, str] | None = None
    """Role to column as the caller says; other roles are found by the usual names. A column that begins with `=` is no
    column but the value of every row: `{"turn": "=2"}`."""
    redaction: Redaction = DEFAULT_REDACTION
    parser: Parser | None = None
    """Reads the answer out of the rationale, in a table without a column of answers."""

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    @cached_property
    def kind(self) -> str:
        """The file's format."""
        return "datasets" if self.path.is_dir() else table_format(self.path)

    @cached_property
    def mapping(self) -> dict[str, str]:
        """Role to column.

        Raises:
            ConfigError: the caller maps a role that does not exist.
            DataError: a column that was asked for, or is needed, is not there.
        """
        columns = hf_columns(self.path) if self.path.is_dir() else table_columns(self.path)
        for row_filter in self.filters:
            if row_filter.column not in columns:
                raise DataError(
                    f"expected a filter on a column of {str(self.path)!r}, got {row_filter.column!r}; "
                    f"the columns are {', '.join(columns)}"
                )
        said = "answer" if self.parser is None else "rationale"
        constants = {role: column for role, column in (self.wanted or {}).items() if column.startswith("=")}
        return resolve_columns(
            [*columns, *constants.values()],
            self.wanted,
            synonyms=ATTEMPT_COLUMNS,
            required=("question", said),
            source=str(self.path),
        )

    def expected(self) -> int | None:
        """By the length of the first lines."""
        return None if self.kind in ("datasets", "parquet") else estimate_lines(self.path)

    def outcomes(self) -> Iterator[Outcome]:
        """Every row, in order."""
        rejects: list[Reject] = []
        copies: Counter[str] = Counter()
        for row in self._rows(rejects.append):
            yield from (Outcome(*lost) for lost in unreadable(rejects))
            yield Outcome(row.place, self._content(row, copies))
        yield from (Outcome(*lost) for lost in unreadable(rejects))

    def _rows(self, on_reject: Callable[[Reject], None]) -> Iterator[TableRow | DatasetRow]:
        return read_hf_dataset(self.path) if self.path.is_dir() else read_table(self.path, on_reject=on_reject)

    def _content(self, row: TableRow | DatasetRow, copies: Counter[str]) -> Behavior | Flaw | None:
        cells = {
            role: column[1:] if column.startswith("=") else row.cells.get(column)
            for role, column in self.mapping.items()
        }
        try:
            if not all(row_filter.matches(row.cells) for row_filter in self.filters):
                return None
            question = to_text(cells["question"])
            return Flaw("no question", "") if question is None else self._behavior(question, cells, copies)
        except CellError as error:
            return Flaw("bad value", str(error))
        except RecursionError:
            return Flaw("bad value", "a cell that is nested too deeply")

    def _behavior(self, question: str, cells: Mapping[str, Any], copies: Counter[str]) -> Behavior:
        raw = {role: to_text(cells.get(role)) for role in ("answer", "target", "rationale", *_IDENTITY)}
        raw["target"] = self.labeler.target(raw["question_id"], question, raw["target"])
        if self.parser is not None and "answer" not in self.mapping:
            raw["rationale"], raw["answer"], _ = self.parser.parse(AIMessage(raw["rationale"] or ""))
        texts = {role: self.redaction.optional(text) if role in _PROSE else text for role, text in raw.items()}
        key, question = question_key(self.redaction.clean(question)), self.redaction.question(question)
        numbers = {role: to_int(cells.get(role)) for role in ("turn", "draw", "input_tokens", "output_tokens")}
        turn = 1 if numbers["turn"] is None else numbers["turn"]
        identity = [key, numbers["draw"], *(texts[role] for role in _IDENTITY)]
        said = [*identity, turn, texts["rationale"], texts["answer"]]
        row_id = self._row_id(said, copies, is_numbered=numbers["draw"] is not None)
        draft = _draft(cells, rationale=_or_empty(raw["rationale"]), answer=raw["answer"])
        started_at = to_text(cells.get("started_at"))
        labels = self._labels(raw["answer"], raw["target"], cells, at=to_utc(started_at))
        feedback = to_text(cells.get("feedback"))
        if feedback not in (None, *get_args(FeedbackKind)):
            feedback = self.redaction.optional(feedback)
        return {
            "id": row_id,
            "run_id": row_id if numbers["turn"] is None else _digest(identity),
            "question_key": key,
            "question": question,
            "context": _or_empty(texts["context"]),
            "rationale": _or_empty(texts["rationale"]),
            "answer": texts["answer"],
            "target": texts["target"],
            **judged(labels),
            "turn": turn,
            "draw": numbers["draw"],
            "copies": 1,
            "feedback": feedback if feedback is not None else "first" if turn == 1 else "unknown",
            "truncated": draft["truncated"],
            "signals": compute_signals(DEFAULT_SIGNALS, SignalInput(question=question, draft=draft)),
            "logprobs": draft["logprobs"],
            "spans": None,
            "input_tokens": numbers["input_tokens"],
            "output_tokens": numbers["output_tokens"],
            "reasoner": "unknown" if texts["reasoner"] is None else texts["reasoner"],
            "prompts": texts["prompts"],
            "dm": None,
            "score": None,
            "verdict": None,
            "origin": "imported",
            "propensity": None,
            "dataset": texts["dataset"],
            "started_at": started_at,
        }

    def _row_id(self, identity: list[str | int | None], copies: Counter[str], *, is_numbered: bool) -> str:
        """A hash of what tells one draw from another; draws that nobody numbered are counted."""
        row_id = _digest(identity)
        if is_numbered:
            return row_id
        copies[row_id] += 1
        return row_id if copies[row_id] == 1 else f"{row_id}-{copies[row_id]}"

    def _labels(
        self, answer: str | None, target: str | None, cells: Mapping[str, Any], *, at: str | None
    ) -> list[LabelRecord]:
        graded = self.labeler.by_target(answer, target, at=at)
        if "label" not in self.mapping:
            return graded
        return merge_labels(self.labeler.by_column(answer, cells["label"], self.mapping["label"], at=at), graded)


def _draft(cells: Mapping[str, Any], *, rationale: str, answer: str | None) -> Draft:
    truncated = to_text(cells.get("truncated"))
    return {
        "rationale": rationale,
        "answer": answer,
        "truncated": None if truncated is None else truncated.lower() in ("true", "1", "1.0", "yes"),
        "logprobs": to_floats(cells.get("logprobs")),
        "feedback": "first",
        "error": None,
        "usage": NO_USAGE,
        "seconds": 0.0,
        "entropy": _entropy(cells.get("entropy")),
    }


def _entropy(value: Any) -> float | None:
    """A mean in nats; of a list, one value a token, its mean.

    Raises:
        CellError: it is something else, or below zero.
    """
    listed = isinstance(value, list | tuple) or (isinstance(value, str) and value.lstrip().startswith("["))
    values = to_floats(value if listed or is_missing(value) else [value])
    if values and min(values) < 0:
        raise CellError(f"an entropy below zero: {min(values):g}")
    return fmean(values) if values else None


def _or_empty(text: str | None) -> str:
    return "" if text is None else text


def _digest(parts: list[str | int | None]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
