"""The label log: append-only JSON lines, one judgment of one attempt a line.

It stands in a dataset's folder as `labels.jsonl`, and any program may append to it: that is how a ticket system or a CI
tells later what became of an answer. A line names the attempt by its id, or by its run and turn:

    {"id": "3f2a…:1:9c1e02ab", "value": "correct", "source": "human:ann", "at": "2026-03-01T10:00:00Z"}
    {"run_id": "3f2a…", "turn": 2, "value": "incorrect", "source": "environment:ci", "at": "2026-03-02T09:30:00Z"}

A later line of the same source about the same attempt takes the place of an earlier one. A line counts once it is
merged into the dataset, which `drr label` does.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from drr_agent.columns import valid_text
from drr_agent.errors import DataError
from drr_agent.lines import append_line, numbered_lines
from drr_agent.runs import Reject
from drr_agent.state import Label
from drr_agent.training.labels import LabelRecord, check_source
from drr_agent.training.times import to_utc

LABELS = "labels.jsonl"
"""Its name in a dataset's folder."""
_BOM = b"\xef\xbb\xbf"


def _check_time(value: Any) -> str:
    moment = to_utc(value)
    if moment is None:
        raise ValueError("expected a time in ISO 8601, or seconds since 1970")
    return moment


Text = Annotated[str, Field(min_length=1), AfterValidator(valid_text)]


class LabelLine(BaseModel):
    """One line: who said what of which attempt, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Text | None = None
    """A behavior's id; or else its run."""
    run_id: Text | None = None
    turn: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Which attempt of the run; `None` is the one that was accepted, or the only one."""
    value: Label | None
    """`None`: asked, and nothing came of it (skipped, unsure, expired)."""
    source: Annotated[Text, AfterValidator(check_source)]
    """Its kind, one of `LABEL_ORDER`, and after a colon what tells two of a kind apart."""
    at: Annotated[str, BeforeValidator(_check_time)]
    """When it was judged; kept in UTC, to the millisecond."""
    note: Annotated[str, AfterValidator(valid_text)] | None = None
    """For people; nothing reads it but who wrote it."""

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if (self.id is None) == (self.run_id is None):
            raise ValueError("expected either `id` or `run_id`")
        if self.turn is not None and self.run_id is None:
            raise ValueError("`turn` goes with `run_id`; an `id` names its attempt alone")
        return self

    @property
    def record(self) -> LabelRecord:
        """The judgment without its address."""
        return {"value": self.value, "source": self.source, "at": self.at}


def append_label(path: Path, line: LabelLine) -> None:
    """Append a judgment, durably and by one write.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    absent = {name for name in ("id", "run_id", "turn", "note") if getattr(line, name) is None}
    append_line(path, line.model_dump(mode="json", exclude=absent))


def read_labels(path: Path, *, on_reject: Callable[[Reject], None] | None = None) -> Iterator[LabelLine]:
    """Read a label log, plain or gzipped, line by line.

    Args:
        path: the log.
        on_reject: called with each line that is no label; without it such a line is an error.

    Raises:
        DataError: there is no such file, or a line is damaged and nobody asked to hear of it.
    """
    for number, raw in numbered_lines(path):
        if not raw.strip():
            continue
        try:
            line = LabelLine.model_validate_json(raw.removeprefix(_BOM))
        except ValidationError as error:
            reason = _first_error(error)
            if on_reject is None:
                raise DataError(
                    f"expected a label in {str(path)!r} line {number}, got {reason}; mend the line or remove it"
                ) from error
            on_reject(Reject(Path(path), number, reason))
            continue
        yield line


def _first_error(error: ValidationError) -> str:
    """What is wrong with a line, in a few words."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return f"torn or {first['msg'][0].lower()}{first['msg'][1:]}"
    message = first["msg"].removeprefix("Value error, ")
    if not place:
        return message
    return f"no {place}" if first["type"] == "missing" else f"a wrong {place} ({message})"
