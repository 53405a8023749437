"""The run log: append-only JSON lines, one `Run` a line.

A line is written by one `write` and synced to the disk before the graph returns. A crash leaves at most one torn line,
which readers report and skip, and which the next append never extends. Processes may share a log.

Attempts of a run that is still going can be journaled beside the log, in `<log>.open`: with them, a killed `distill`
goes on without paying twice. Once its run is in the log, a journaled attempt is history.
"""

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # as in `state.py`

from drr_agent.errors import DataError
from drr_agent.lines import LongLine, append_line, numbered_lines
from drr_agent.state import RUN_SCHEMA, Assignment, Attempt, Run

_logger = logging.getLogger(__name__)
_LARGEST = 2**63
"""Whole numbers are stored in 64 bits, sign included."""
_counts = itemgetter("calls", "unmetered_calls", "input_tokens", "output_tokens")


class Reject(NamedTuple):
    """A line that could not be read, and why."""

    path: Path
    line: int
    """From 1."""
    reason: str


def pass_over(reject: Reject) -> None:
    """An `on_reject` for those who only look into a log: rejects are told of when it is read in earnest."""


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
    """Whether a line that cannot be written, or be JSON, ends the run. By default it is an error in the logger
    `drr_agent.runs`: an agent should not lose a paid answer to a full disk."""

    @property
    def journal_path(self) -> Path:
        """Where the attempts of unfinished runs are kept."""
        return self.path.with_name(self.path.name + ".open")

    def append(self, run: Run) -> None:
        """Write one run, durably.

        Raises:
            OSError: the disk is full or the file cannot be written, and the log is `required`.
            ValueError, TypeError: the run holds what JSON cannot, such as NaN of a policy of your own, and the log is
                `required`.
        """
        self._write(self.path, run)

    def journal_attempt(self, entry: JournalEntry) -> None:
        """Write one attempt of an unfinished run, durably; nothing without `journal`."""
        if self.journal:
            self._write(self.journal_path, entry)

    def _write(self, path: Path, record: Run | JournalEntry) -> None:
        try:
            append_line(path, record)
        except (OSError, ValueError, TypeError, RecursionError):
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
    """The attempts journaled beside the log `path`; a torn last line was never acknowledged and is left out.

    So is any other line that is not an entry: its attempt is made anew.
    """
    journal = RunLog(path=path).journal_path
    if not journal.exists():
        return []
    entries = []
    for _, line in numbered_lines(journal):
        with suppress(ValueError, RecursionError):
            entries.append(_entry_type().validate_python(_load(line), strict=True))
    return entries


def check_run(record: object) -> str | None:
    """What is wrong with a record as a run of this schema, held to what a line of a log is held to.

    For records of other stores, whose numbers may be what JSON cannot hold.

    Returns:
        `None` when nothing is, and then `record` is a `Run`.
    """
    reason = _shape_error(record)
    return _number_error(cast("Run", record)) if reason is None else reason


def _parse(line: bytes) -> tuple[str | None, dict[str, Any]]:
    """What is wrong with a line, if anything, and its record."""
    if isinstance(line, LongLine):
        return line.decode(), {}
    try:
        record = _load(line)
    except UnicodeDecodeError as error:
        return f"bytes that are not UTF-8 ({error.reason})", {}
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        return f"torn or invalid JSON ({error})", {}
    reason = _shape_error(record)
    return reason, record if reason is None else {}


def _shape_error(record: object) -> str | None:
    if not isinstance(record, dict) or not {"run_id", "question", "attempts"} <= record.keys():
        return "JSON that is not a run"
    schema = record.get("schema")
    if type(schema) is not int or schema != RUN_SCHEMA:
        found = repr(schema) if isinstance(schema, str | int | None) else type(schema).__name__
        return f"a run of schema {found}, not {RUN_SCHEMA}"
    try:
        _run_type().validate_python(record, strict=True)
    except ValidationError as error:
        return _first_error(error)
    return None


def _number_error(run: Run) -> str | None:
    for number in (number for number in _numbers(run) if number is not None and not -_LARGEST <= number < _LARGEST):
        if isinstance(number, int):
            return "a whole number of more than 64 bits"
        if not math.isfinite(number):
            return f"{number} is no number"
    return None


def _numbers(run: Run) -> Iterator[float | None]:
    """Every number of a run of the right shape; the hot path of every store that is not JSON."""
    groups: list[Iterable[float | None]] = [
        (run["score"], run["seconds"], run["choice"], run["draw"]),
        (run.get("explore"), run.get("max_turns"), run.get("usd")),
        _counts(run["usage"]),
        [label["turn"] for label in run.get("labels", ())],
    ]
    for attempt in run["attempts"]:
        groups.append((attempt["seconds"], attempt["turn"], attempt["logit"], attempt["score"]))
        groups.append((attempt.get("text_logit"), attempt.get("entropy"), *(attempt.get("spans") or ())))
        groups += (_counts(attempt["usage"]), attempt["signals"].values(), attempt["logprobs"] or ())
    return chain.from_iterable(groups)


def _load(line: bytes) -> Any:
    record = json.loads(line, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_bounded)
    if b"\\u" in line or not _is_utf8(line):  # half of a surrogate pair may be in it, which no store takes
        record = json.loads(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))
    return record


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _bounded(text: str) -> int:
    value = int(text)
    if abs(value) >= _LARGEST:
        raise ValueError(f"{text[:20]} is too large")
    return value


@cache
def _run_type() -> TypeAdapter[Run]:
    return TypeAdapter(Run)


@cache
def _entry_type() -> TypeAdapter[JournalEntry]:
    return TypeAdapter(JournalEntry)


def _first_error(error: ValidationError) -> str:
    """Which field of a run is missing or wrong, in a few words."""
    first = error.errors(include_url=False, include_input=False)[0]
    *parents, name = (str(part) for part in first["loc"])
    what = "an attempt" if "attempts" in parents else "a run"
    place = ".".join([*parents, name])
    return f"{what} without {name}" if first["type"] == "missing" else f"{what} with a wrong {place} ({first['msg']})"
