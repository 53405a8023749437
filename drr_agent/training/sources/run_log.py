"""Our own run log as a source: every attempt of every run."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drr_agent.columns import CellError, valid_text
from drr_agent.errors import DataError
from drr_agent.lines import GzipDamageError, numbered_lines
from drr_agent.questions import question_key
from drr_agent.runs import Reject, read_runs
from drr_agent.state import Attempt, Run
from drr_agent.training.behaviors import Behavior
from drr_agent.training.filters import RowFilter
from drr_agent.training.labels import Labeler
from drr_agent.training.sources.protocol import Flaw, Outcome, unreadable

_MARKS = {"schema", "run_id", "question", "attempts"}
_TEXTS = ("question", "context", "rationale", "answer", "target", "reasoner")


def is_run_log(path: Path) -> bool:
    """Whether the first whole line of a file is a run, of whatever schema."""
    for _, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        return isinstance(record, dict) and record.keys() >= _MARKS
    return False


@dataclass(frozen=True, kw_only=True)
class RunLogSource:
    """A run log. Filters see the fields of the run and, over them, those of the attempt."""

    path: Path
    labeler: Labeler
    filters: tuple[RowFilter, ...] = ()
    kind: str = "runs"
    mapping: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the filters."""
        fields = Run.__required_keys__ | Attempt.__required_keys__
        for row_filter in self.filters:
            if row_filter.column not in fields:
                raise DataError(
                    f"expected a filter on a field of a logged run or attempt in {str(self.path)!r}, "
                    f"got {row_filter.column!r}; the fields are {', '.join(sorted(fields))}"
                )

    def outcomes(self) -> Iterator[Outcome]:
        """Every attempt, run by run; a damaged line or the cut end of a gzip costs what stood there."""
        rejects: list[Reject] = []
        try:
            for run in read_runs(self.path, on_reject=rejects.append):
                yield from unreadable(rejects)
                if not run["attempts"]:
                    yield Outcome(f"run {run['run_id']}", Flaw("empty run", run["stop_reason"]))
                for attempt in run["attempts"]:
                    yield Outcome(f"run {run['run_id']} turn {attempt['turn']}", self._content(run, attempt))
        except GzipDamageError as damage:
            yield Outcome("end of file", Flaw("unreadable", str(damage)))
        yield from unreadable(rejects)

    def _content(self, run: Run, attempt: Attempt) -> Behavior | Flaw | None:
        row: Mapping[str, object] = {**run, **attempt}
        if not all(row_filter.matches(row) for row_filter in self.filters):
            return None
        if attempt["error"] is not None:
            return Flaw("failed call", attempt["error"])
        if not run["question"].strip():
            return Flaw("no question", "")
        try:
            for name in _TEXTS:
                valid_text(str(row[name]))
        except CellError as error:
            return Flaw("bad value", str(error))
        return self._behavior(run, attempt)

    def _behavior(self, run: Run, attempt: Attempt) -> Behavior:
        label, label_source = self.labeler.by_target(attempt["answer"], run["target"])
        usage = attempt["usage"]
        metered = usage["unmetered_calls"] == 0
        return {
            "id": f"{run['run_id']}:{attempt['turn']}",
            "run_id": run["run_id"],
            "question_key": question_key(run["question"]),
            "question": run["question"],
            "context": run["context"],
            "rationale": attempt["rationale"],
            "answer": attempt["answer"],
            "target": run["target"],
            "label": label,
            "label_source": label_source,
            "turn": attempt["turn"],
            "draw": run["draw"],
            "feedback": attempt["feedback"],
            "truncated": attempt["truncated"],
            "signals": attempt["signals"],
            "logprobs": attempt["logprobs"],
            "input_tokens": usage["input_tokens"] if metered else None,
            "output_tokens": usage["output_tokens"] if metered else None,
            "reasoner": run["reasoner"],
            "prompts": run["prompts"],
            "origin": run["origin"],
            "dataset": None,
            "started_at": run["started_at"],
        }
