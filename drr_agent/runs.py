"""The run log: append-only JSON lines, one `Run` a line.

A line is written by one `write` and synced to the disk before the graph returns. A crash leaves at most one torn line,
which readers report and skip, and which the next append never extends. Processes may share a log.

Attempts of a run that is still going can be journaled beside the log, in `<log>.open`: with them, a killed `distill`
goes on without paying twice. Once its run is in the log, a journaled attempt is history.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

from drr_agent.errors import DataError
from drr_agent.lines import append_line, numbered_lines
from drr_agent.state import RUN_SCHEMA, Assignment, Attempt, Run

_logger = logging.getLogger(__name__)


class Reject(NamedTuple):
    """A line that could not be read, and why."""

    path: Path
    line: int
    """From 1."""
    reason: str


class JournalEntry(TypedDict):
    """One attempt of a run that was still going."""

    run_id: str
    question: str
    assignment: Assignment
    attempt: Attempt


@dataclass(frozen=True, kw_only=True)
class RunLog:
    """Appends runs to a JSON-lines file."""

    path: Path
    """Created on the first append, with its folders."""
    journal: bool = False
    """Also keep the attempts of unfinished runs, in `<path>.open`."""
    required: bool = False
    """Whether a line that cannot be written ends the run. By default it is an error in the `drr_agent.runs` logger: an
    agent should not lose a paid answer to a full disk."""

    @property
    def journal_path(self) -> Path:
        """Where the attempts of unfinished runs are kept."""
        return self.path.with_name(self.path.name + ".open")

    def append(self, run: Run) -> None:
        """Write one run, durably.

        Raises:
            OSError: the disk is full or the file cannot be written, and the log is `required`.
        """
        self._write(self.path, run)

    def journal_attempt(self, entry: JournalEntry) -> None:
        """Write one attempt of an unfinished run, durably; nothing without `journal`."""
        if self.journal:
            self._write(self.journal_path, entry)

    def _write(self, path: Path, record: Run | JournalEntry) -> None:
        try:
            append_line(path, record)
        except OSError:
            if self.required:
                raise
            _logger.exception("run %s is not in the log", record["run_id"])


def read_runs(path: Path, *, on_reject: Callable[[Reject], None] | None = None) -> Iterator[Run]:
    """Read a log, plain or gzipped, line by line.

    Args:
        path: the log.
        on_reject: called with each line that is not a run of this schema; without it such a line is an error.

    Raises:
        DataError: there is no such file, or a line is damaged and nobody asked to hear of it; or, after the runs
            before the damage, its gzip is cut off.
    """
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        reason, record = _parse(line)
        if reason is None:
            yield cast("Run", record)
        elif on_reject is not None:
            on_reject(Reject(path, number, reason))
        else:
            raise DataError(f"expected a run in {path} line {number}, got {reason}; mend it or pass `on_reject`")


def read_journal(path: Path) -> list[JournalEntry]:
    """The attempts journaled beside the log `path`; a torn last line was never acknowledged and is left out."""
    journal = RunLog(path=path).journal_path
    if not journal.exists():
        return []
    entries = []
    for _, line in numbered_lines(journal):
        with suppress(ValueError):
            entries.append(cast("JournalEntry", json.loads(line)))
    return entries


def _parse(line: bytes) -> tuple[str | None, dict[str, Any]]:
    """What is wrong with a line, if anything, and its record."""
    try:
        record = json.loads(line)
    except UnicodeDecodeError as error:
        return f"bytes that are not UTF-8 ({error.reason})", {}
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        return f"torn or invalid JSON ({error})", {}
    if not isinstance(record, dict) or not {"run_id", "question", "attempts"} <= record.keys():
        return "JSON that is not a run", {}
    if record.get("schema") != RUN_SCHEMA:
        return f"a run of schema {record.get('schema')!r}, not {RUN_SCHEMA}", {}
    missing = Run.__required_keys__ - record.keys()
    if missing or not isinstance(record["attempts"], list):
        return f"a run without {', '.join(sorted(missing)) or 'a list of attempts'}", {}
    absent = {key for attempt in record["attempts"] for key in _missing_attempt_keys(attempt)}
    return (f"an attempt without {', '.join(sorted(absent))}", {}) if absent else (None, record)


def _missing_attempt_keys(attempt: object) -> frozenset[str]:
    required = Attempt.__required_keys__
    return required - attempt.keys() if isinstance(attempt, dict) else required
