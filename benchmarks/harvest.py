"""Harvesting real logs, and very many: counts that add up, rows a second, memory.

    python -m benchmarks.harvest ../shared/data        # every file of a folder of real logs
    python -m benchmarks.harvest --turns 1000000       # a made run log of so many turns

Real logs are harvested twice and in two orders: nothing may be new the second time, and the order may not matter.
"""

import argparse
import gzip
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drr_agent.lines import open_bytes
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.labels.targets import read_targets

_QUESTIONS = "questions_obqa_arc_csqa.jsonl.gz"
"""Holds questions and their answers, and no attempts: a file of targets."""
_SECOND_TURNS = {"retry_after_wrong.jsonl.gz": {"turn": "=2", "feedback": "hint"}}
"""What the file itself does not say."""
_PAD = "So we add the apples, take away what was eaten, and count what is left over in the boxes. "


@dataclass(frozen=True, kw_only=True)
class RealLog:
    """A file of attempts, and what its columns do not say."""

    path: Path
    mapping: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Its lines, counted apart from any reader."""
        with open_bytes(self.path) as stream:
            return sum(bool(line.strip()) for line in stream)


def main() -> None:
    """Harvest what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--turns", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.folder is not None:
            harvest_real(given.folder, Path(scratch))
        if given.turns is not None:
            harvest_many(given.turns, Path(scratch))
    print(f"\n{os.cpu_count()} cores")


def harvest_real(folder: Path, scratch: Path) -> None:
    """Print a line a file, then what a second harvest and another order give."""
    logs = [
        RealLog(path=path, mapping=_SECOND_TURNS.get(path.name, {"turn": "=1"}))
        for path in sorted(folder.glob("*.jsonl.gz"))
        if path.name != _QUESTIONS
    ]
    print("| file | lines | read | kept | right | wrong | dropped | rows/s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for log in logs:
        print(_harvest_alone(log, scratch / "alone" / log.path.name), flush=True)
    one = [harvest_dataset([log.path], scratch / "one", mapping=log.mapping, progress=False)[0] for log in logs]
    two = [harvest_dataset([log.path], scratch / "two", mapping=log.mapping, progress=False)[0] for log in logs[::-1]]
    again = [harvest_dataset([log.path], scratch / "one", mapping=log.mapping, progress=False)[0] for log in logs]
    same = [file.sha256 for file in one[-1].manifest.files.values()] == [
        file.sha256 for file in two[-1].manifest.files.values()
    ]
    again[-1].verify()
    print(f"\nall files in one dataset: {one[-1].manifest.count} rows, digest {one[-1].digest}, verified;")
    print(f"in the other order: {'the same files, byte for byte' if same else 'OTHER FILES'};")
    print(f"harvested again: {sum(dataset.added for dataset in again)} rows added")
    _join_targets(folder / _QUESTIONS)


def _harvest_alone(log: RealLog, out: Path) -> str:
    begun = time.perf_counter()
    dataset, (record,) = harvest_dataset([log.path], out, mapping=log.mapping, progress=False)
    seconds = time.perf_counter() - begun
    dropped = ", ".join(f"{count} {reason}" for reason, count in record.dropped.items()) or "none"
    lines = log.rows
    if not lines == record.read == record.kept + record.filtered + sum(record.dropped.values()):
        raise SystemExit(f"{log.path.name}: {lines} lines, but {record}")
    labels = dataset.manifest.splits.values()
    right, wrong = sum(split.correct for split in labels), sum(split.incorrect for split in labels)
    cells = (log.path.name, lines, record.read, record.kept, right, wrong, dropped, f"{record.read / seconds:,.0f}")
    return f"| {' | '.join(map(str, cells))} |"


def _join_targets(path: Path) -> None:
    if path.is_file():
        targets = read_targets(path)
        print(
            f"{path.name}: {RealLog(path=path).rows} lines, no attempts; targets of {len(targets.by_question)} "
            f"questions, {len(targets.ambiguous)} ambiguous, {len(targets.unusable)} unusable"
        )


def harvest_many(turns: int, scratch: Path) -> None:
    """Print the time and the memory of a harvest of a made run log."""
    log = scratch / "runs.jsonl.gz"
    with gzip.open(log, "wb", compresslevel=1) as stream:
        stream.writelines(_made_runs(turns))
    before = _resident()
    begun = time.perf_counter()
    dataset, _ = harvest_dataset([log], scratch / "many")
    seconds = time.perf_counter() - begun
    print(f"{dataset.manifest.count:,} turns in {seconds:.0f} s, {dataset.manifest.count / seconds:,.0f} a second;")
    print(f"most memory resident {_resident():.0f} MB, of which {before:.0f} MB before it began")


def _made_runs(turns: int) -> Iterator[bytes]:
    """Runs of two turns, with texts of some 500 characters."""
    usage = {"calls": 1, "unmetered_calls": 0, "input_tokens": 90, "output_tokens": 120}
    for number in range(turns // 2):
        attempts = [
            {
                "rationale": f"{number}.{turn}: {_PAD * 5}",
                "answer": str(number % (6 + turn)),
                "truncated": False,
                "logprobs": None,
                "feedback": "fresh",
                "error": None,
                "usage": usage,
                "seconds": 0.5,
                "turn": turn,
                "signals": {"logprob_mean": -0.25, "log_length": 4.5},
                "logit": 0.1,
                "score": 0.6,
                "score_error": None,
                "verdict": "accept" if turn == 2 else "reject",
            }
            for turn in (1, 2)
        ]
        run = {
            "schema": 1,
            "run_id": f"{number:032x}",
            "started_at": "2026-01-01T00:00:00.000+00:00",
            "question": f"How many apples are left in case {number // 4}?",
            "context": "",
            "answer": attempts[1]["answer"],
            "score": 0.6,
            "accepted": True,
            "stop_reason": "accepted",
            "choice": 1,
            "attempts": attempts,
            "usage": {**usage, "calls": 2},
            "seconds": 1.0,
            "reasoner": "made",
            "dm": None,
            "prompts": "p",
            "policy": "p",
            "origin": "live",
            "sample_id": None,
            "target": str(number % 7),
            "draw": number % 4,
        }
        yield json.dumps(run).encode() + b"\n"


def _resident() -> float:
    """The most memory that this process has had resident, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
