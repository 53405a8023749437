"""Our own run log: JSON lines, one run a line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from drr_agent.lines import GzipDamageError, estimate_lines, numbered_lines
from drr_agent.runs import Reject, pass_over, read_runs
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, unreadable

_LOOKED_AT = 50
"""Runs that tell how many attempts a run makes."""
_MARKS = {"schema", "run_id", "question", "attempts"}


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
class RunLogReader:
    """A run log, plain or gzipped."""

    path: Path
    kind: str = "runs"

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def expected(self) -> int | None:
        """By the first runs."""
        lines = estimate_lines(self.path)
        if lines is None:
            return None
        runs = list(islice(read_runs(self.path, on_reject=pass_over), _LOOKED_AT))
        return round(lines * sum(len(run["attempts"]) for run in runs) / len(runs)) if runs else None

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """Every run; a damaged line or the cut end of a gzip costs what stood there."""
        rejects: list[Reject] = []
        try:
            for run in read_runs(self.path, on_reject=rejects.append):
                yield from unreadable(rejects)
                yield LoggedRun(f"run {run['run_id']}", run)
        except GzipDamageError as damage:
            yield LostEntry("end of file", Flaw("unreadable", str(damage)))
        yield from unreadable(rejects)
