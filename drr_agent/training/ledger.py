"""What a log already holds of a distillation: what is done, what failed, what was cut off in its middle."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from drr_agent.errors import ConfigError, DataError
from drr_agent.lines import hold
from drr_agent.runs import JournalEntry, Reject, RunLog, read_journal, read_runs
from drr_agent.state import Attempt, Run, Sample
from drr_agent.training.oracle import OraclePolicy


class Setup(NamedTuple):
    """What must be equal for one distillation to go on where another stopped."""

    reasoner: str
    prompts: str
    """Digest of the wording."""
    dm: str | None
    """Digest of the oracle, which covers grader, feedback and turns; `None` for single draws."""
    asked: str = ""
    """Digest of the Reasoner's sampling settings and of the parser; empty where all are what they are by default."""

    @classmethod
    def of(cls, run: Run) -> "Setup":
        """What made a logged run."""
        return cls(run["reasoner"], run["prompts"], run["dm"], OraclePolicy.asked_in(run["policy"]))

    def made(self, entry: JournalEntry) -> bool:
        """Whether an attempt in the journal is of this distillation."""
        held = entry["assignment"].get("setup", [])
        return held == list(self) or (held == list(self[:3]) and not self.asked)


class Job(NamedTuple):
    """One run to make."""

    sample: Sample
    draw: int
    prior: Sequence[Attempt]
    """Attempts that are made and paid for already."""


@dataclass(kw_only=True)
class Ledger:
    """The state of a distillation, as its log and its journal tell it."""

    done: set[tuple[str, int]] = field(default_factory=set)
    """Sample id and draw of each finished run."""
    failed: set[tuple[str, int]] = field(default_factory=set)
    """Those of logged runs without one usable reply; they are made anew."""
    prior: dict[tuple[str, int], list[Attempt]] = field(default_factory=dict)
    """Attempts of unfinished runs, in the order of their turns."""
    rejects: list[Reject] = field(default_factory=list)
    """Lines of the log that cannot be read."""

    def jobs(self, samples: Sequence[Sample], draws: int) -> Iterator[Job]:
        """What is left to do; every sample's first draw comes before any sample's second."""
        for draw in range(draws):
            for sample in samples:
                place = sample["id"], draw
                if place not in self.done:
                    yield Job(sample, draw, self.prior.get(place, ()))


def read_ledger(log: Path, samples: Sequence[Sample], setup: Setup) -> Ledger:
    """Read what a log holds of the distillation `setup` over `samples`; runs of others are left alone.

    Raises:
        DataError: the log holds another question or target under the id of one of the samples.
    """
    ledger = Ledger()
    known = {sample["id"]: sample for sample in samples}
    logged = set()
    for run in read_runs(log, on_reject=ledger.rejects.append) if log.exists() else ():
        logged.add(run["run_id"])
        if run["origin"] == "distilled" and run["sample_id"] in known and run["draw"] is not None:
            _check_sample(log, run, known[run["sample_id"]])
            if Setup.of(run) == setup:
                places = ledger.failed if run["stop_reason"] == "error" else ledger.done
                places.add((run["sample_id"], run["draw"]))
    ledger.prior = _open_runs((entry for entry in read_journal(log) if entry["run_id"] not in logged), setup)
    return ledger


def clear_journal(log: Path, setup: Setup) -> None:
    """Remove the journal of a distillation that is complete, unless another one's runs are in it."""
    if all(setup.made(entry) for entry in read_journal(log)):
        RunLog(path=log).journal_path.unlink(missing_ok=True)


@contextmanager
def hold_log(log: Path) -> Iterator[None]:
    """Hold the log against other distillations; the system lets go of it when the process dies.

    Raises:
        ConfigError: the log is to be compressed, which cannot be appended to.
        DataError: another distillation holds it.
    """
    if log.suffix == ".gz":
        raise ConfigError(f"`log` must be a plain file to append to, got {str(log)!r}; name one without .gz")
    with hold(log, by="another distillation"):
        yield


def _check_sample(log: Path, run: Run, sample: Sample) -> None:
    for name, held, given in (
        ("question", run["question"], sample["question"]),
        ("target", run["target"], sample["target"]),
    ):
        if held != given:
            raise DataError(
                f"expected sample {sample['id']!r} of {str(log)!r} to have the {name} {held!r}, got {given!r}; "
                "these are other samples: name another log"
            )


def _open_runs(entries: Iterator[JournalEntry], setup: Setup) -> dict[tuple[str, int], list[Attempt]]:
    """The journaled attempts by sample and draw. A run that was cut off twice has its turns under two run ids."""
    turns: defaultdict[tuple[str, int], dict[int, Attempt]] = defaultdict(dict)
    for entry in entries:
        assignment = entry["assignment"]
        if setup.made(entry) and "sample_id" in assignment and "draw" in assignment:
            place = assignment["sample_id"], assignment["draw"]
            turns[place][entry["attempt"]["turn"]] = entry["attempt"]
    return {place: [by_turn[turn] for turn in sorted(by_turn)] for place, by_turn in turns.items()}
