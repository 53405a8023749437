"""Runs as a source of attempts: whatever store they come from, here they become behaviors, the same way."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from drr_agent.columns import CellError, valid_text
from drr_agent.errors import DataError
from drr_agent.policy import ENDS, first_ended
from drr_agent.questions import question_key
from drr_agent.signals import DEFAULT_SIGNALS, SignalInput, compute_signals
from drr_agent.state import Attempt, Run, RunLabel
from drr_agent.training.behaviors import Behavior, BehaviorOrigin, judged
from drr_agent.training.drops import Flaw
from drr_agent.training.filters import RowFilter
from drr_agent.training.labels import Labeler, LabelRecord, is_source, merge_labels
from drr_agent.training.redaction import DEFAULT_REDACTION, Redaction
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Outcome, RunReader
from drr_agent.training.times import to_utc

_LARGEST = 2**63
"""Whole numbers are stored in 64 bits, sign included."""


@dataclass(frozen=True, kw_only=True)
class RunSource:
    """The attempts of a store of runs. Filters see the fields of the run and, over them, those of the attempt."""

    reader: RunReader
    labeler: Labeler
    filters: tuple[RowFilter, ...] = ()
    redaction: Redaction = DEFAULT_REDACTION
    mapping: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the filters."""
        fields = Run.__annotations__.keys() | Attempt.__annotations__.keys()
        for row_filter in self.filters:
            if row_filter.column not in fields:
                raise DataError(
                    f"expected a filter on a field of a logged run or attempt in {self.location!r}, "
                    f"got {row_filter.column!r}; the fields are {', '.join(sorted(fields))}"
                )

    @property
    def location(self) -> str:
        """The reader's."""
        return self.reader.location

    @property
    def kind(self) -> str:
        """The reader's."""
        return self.reader.kind

    def expected(self) -> int | None:
        """The reader's."""
        return self.reader.expected()

    def outcomes(self) -> Iterator[Outcome]:
        """Every attempt of every run."""
        for entry in self.reader.entries():
            if isinstance(entry, LostEntry):
                yield Outcome(entry.place, entry.flaw)
            elif not entry.run["attempts"]:
                yield Outcome(entry.place, Flaw("empty run", entry.run["stop_reason"]))
            else:
                yield from self._attempts(entry)

    def _attempts(self, entry: LoggedRun) -> Iterator[Outcome]:
        run = _with_end(self._judged(entry.run))
        entry = entry._replace(run=run)
        ids = attempt_ids(run, self.redaction) if entry.ids is None else entry.ids
        ended = first_ended(run["attempts"])
        times = [run["started_at"] or None] * len(ids) if entry.times is None else entry.times
        attempts = [
            _Logged(entry, attempt, index, row_id, at, ended is not None and index > ended)
            for index, (attempt, row_id, at) in enumerate(zip(run["attempts"], ids, times, strict=True))
        ]
        for logged in attempts:
            yield Outcome(f"{entry.place} turn {logged.attempt['turn']}", self._content(logged))
        yield from self._unplaced(attempts)

    def _judged(self, run: Run) -> Run:
        """The run with what is known of it from elsewhere: its question's target, the environment's word."""
        target = self.labeler.target(run["sample_id"], run["question"], run["target"])
        said = self.labeler.by_environment(run)
        return {**run, "target": target, "labels": [*run.get("labels", ()), *said]}

    def _content(self, logged: "_Logged") -> Behavior | Flaw | None:
        run, attempt = logged.entry.run, logged.attempt
        row: Mapping[str, object] = {**run, **attempt}
        if not all(row_filter.matches(row) for row_filter in self.filters):
            return None
        if attempt["error"] is not None:
            return Flaw("failed call", attempt["error"])
        if not run["question"].strip():
            return Flaw("no question", "")
        try:
            _check_storable(logged)
        except CellError as error:
            return Flaw("bad value", str(error))
        return self._behavior(logged)

    def _behavior(self, logged: "_Logged") -> Behavior:
        entry, attempt, run = logged.entry, logged.attempt, logged.entry.run
        usage = attempt["usage"]
        metered = usage["unmetered_calls"] == 0
        question, write = self.redaction.question(run["question"]), self.redaction.optional
        explored = logged.explored and "reasoner" not in attempt  # an escalation's is no exploring of this Reasoner
        origin: BehaviorOrigin = "explored" if explored else run["origin"]
        rationale = self.redaction.text(attempt["rationale"])
        return {
            "id": logged.row_id,
            "run_id": run["run_id"],
            "question_key": question_key(self.redaction.clean(run["question"])),
            "question": question,
            "context": self.redaction.text(run["context"]),
            "rationale": rationale,
            "answer": write(attempt["answer"]),
            "target": write(run["target"]),
            **judged(self._labels(logged)),
            "turn": attempt["turn"],
            "draw": run["draw"],
            "copies": 1,
            "feedback": attempt["feedback"],
            "truncated": attempt["truncated"],
            "signals": _all_signals(run["question"], attempt),
            "logprobs": attempt["logprobs"],
            "spans": _known_spans(attempt, rationale),
            "input_tokens": usage["input_tokens"] if metered else None,
            "output_tokens": usage["output_tokens"] if metered else None,
            "reasoner": attempt.get("reasoner", run["reasoner"]),
            "prompts": run["prompts"] or None,
            "dm": run["dm"],
            "score": attempt["score"],
            "verdict": attempt["verdict"],
            "origin": origin,
            "propensity": _propensity(run, explored=explored),
            "dataset": entry.dataset,
            "started_at": logged.started_at,
        }

    def _labels(self, logged: "_Logged") -> list[LabelRecord]:
        """What the grader and the store say of an attempt; nobody can judge one without an answer."""
        run, answer = logged.entry.run, logged.attempt["answer"]
        if answer is None:
            return []
        said = [
            LabelRecord(value=label["value"], source=label["source"], at=to_utc(label["at"]))
            for label in run.get("labels", ())
            if logged.is_meant(label) and self.labeler.heeds(label["source"]) and is_source(label["source"])
        ]
        graded = self.labeler.by_target(answer, run["target"], at=to_utc(logged.started_at))
        return merge_labels(graded, said)

    def _unplaced(self, attempts: Sequence["_Logged"]) -> Iterator[Outcome]:
        """Judgments that no attempt takes: of a turn that is not there, or by nobody that is known."""
        run, place = attempts[0].entry.run, attempts[0].entry.place
        for label in run.get("labels", ()):
            if not is_source(label["source"]):
                yield Outcome(place, Flaw("bad value", f"a label by {label['source']!r}, which is no known source"))
            elif not any(logged.is_meant(label) for logged in attempts):
                turn = "the chosen attempt" if label["turn"] is None else f"turn {label['turn']}"
                yield Outcome(place, Flaw("bad value", f"a label by {label['source']!r} of {turn}, which is not there"))


class _Logged(NamedTuple):
    """An attempt where it stands in its run."""

    entry: LoggedRun
    attempt: Attempt
    place: int
    row_id: str
    started_at: str | None
    explored: bool
    """Made after the policy had ended the run."""

    def is_meant(self, label: RunLabel) -> bool:
        """Whether a judgment is of this attempt."""
        run = self.entry.run
        return label["turn"] == self.attempt["turn"] or (label["turn"] is None and self.place == run["choice"])


def _with_end(run: Run) -> Run:
    """The run with its end told by an attempt that becomes a row: a failed call is none, so the one before it tells.

    Older logs, in which runs do not say their `max_turns`, told stops and reviews by the `stop_reason` alone.
    """
    attempts, end = run["attempts"], first_ended(run["attempts"])
    verdict = None if end is None else attempts[end]["verdict"]
    if end is None and "max_turns" not in run and attempts[-1]["verdict"] == "reject":
        end, verdict = len(attempts) - 1, ENDS.get(run["stop_reason"])
    if end is None or verdict is None:
        return run
    told = next((place for place in range(end, -1, -1) if attempts[place]["error"] is None), end)
    return {**run, "attempts": [*attempts[:told], {**attempts[told], "verdict": verdict}, *attempts[told + 1 :]]}


def _all_signals(question: str, attempt: Attempt) -> dict[str, float | None]:
    """The signals as recorded, and those that an older log lacks as far as its texts tell, read as they were live."""
    absent = {name: signal for name, signal in DEFAULT_SIGNALS.items() if name not in attempt["signals"]}
    return {**attempt["signals"], **compute_signals(absent, SignalInput(question=question, draft=attempt))}


def _known_spans(attempt: Attempt, written: str) -> list[int | None] | None:
    """Where the tokens stand in the rationale as it is written; where some of it was redacted, nobody knows."""
    spans = attempt.get("spans")
    if spans is None or written != attempt["rationale"] or len(spans) != len(attempt["logprobs"] or ()):
        return None
    return spans if all(span is None or 0 <= span < len(written) for span in spans) else None


def _propensity(run: Run, *, explored: bool) -> float | None:
    """Nobody knows when an agent of others goes on."""
    if run["origin"] == "traced":
        return None
    return (run.get("explore") or None) if explored else 1.0


def _check_storable(logged: _Logged) -> None:
    """Refuse what no file can hold, wherever it stands: one bad attempt must not cost a harvest.

    Raises:
        CellError: half a character in a text, or a number of more than 64 bits.
    """
    entry, attempt, run = logged.entry, logged.attempt, logged.entry.run
    texts = [logged.row_id, logged.started_at, entry.dataset, *run.values(), *attempt.values(), *attempt["signals"]]
    texts += [text for label in run.get("labels", ()) for text in label.values()]
    valid_text("\n".join(text for text in texts if isinstance(text, str)))
    if attempt["turn"] < 1:
        raise CellError(f"turn {attempt['turn']}, where turns begin at 1")
    for number in (attempt["turn"], run["draw"], *attempt["usage"].values()):
        if isinstance(number, int) and not -_LARGEST <= number < _LARGEST:
            raise CellError("a number of more than 64 bits")


def attempt_ids(run: Run, redaction: Redaction) -> Sequence[str]:
    """A stable id for each attempt: run, turn, and a hash of what was asked and said up to it, as it is written.

    Branches of a forked run share its id: what they have in common has the same ids, and what they do not has others.
    """
    asked = (redaction.text(run["question"]), redaction.text(run["context"]))
    said = hashlib.sha256(json.dumps(asked).encode())
    ids = []
    for attempt in run["attempts"]:
        texts = (redaction.text(attempt["rationale"]), redaction.optional(attempt["answer"]))
        said.update(json.dumps([attempt["turn"], *texts]).encode())
        ids.append(f"{run['run_id']}:{attempt['turn']}:{said.hexdigest()[:8]}")
    return ids
