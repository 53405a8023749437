"""How long a replay of many attempts takes, from a table to the record, with what is kept and what is not.

    python -m benchmarks.replay --attempts 100000

Every part of it counts: reading, scoring, policies over their settings, what signals are worth, and the record.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from drr_agent.dm.folder import load_dm
from drr_agent.replay import ReplayConfig, replay
from drr_agent.training.behaviors import Split
from drr_agent.training.config import TrainConfig
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.train import train_on

DRAWS = 5
FRACTIONS: Mapping[Split, float] = {"train": 0.06, "validation": 0.02, "calibration": 0.02, "test": 0.9}
"""Of the questions; those under `test` are replayed."""


def main() -> None:
    """Make a log, train a DM of signals on a part of it, and replay the rest twice: the second time scores are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=100_000, help="to replay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        table = folder / "table.jsonl"
        questions = round(given.attempts / DRAWS / FRACTIONS["test"])
        table.write_text("".join(json.dumps(row) + "\n" for row in make_rows(questions)), encoding="utf-8")
        dataset, _ = harvest_dataset([table], folder / "data", fractions=FRACTIONS, progress=False)
        train_on(dataset, config=TrainConfig(inputs="signals", progress=False), out=folder / "dm")
        print("| | attempts | settings of the subject | wall seconds | CPU seconds | of these, by part |")
        print("|---|---|---|---|---|---|")
        for name in ("first", "scores kept"):
            clock, cpu = time.monotonic(), time.process_time()
            report = replay(
                dataset.rows("test"),
                load_dm(folder / "dm"),
                choose_on=dataset.rows("calibration"),
                config=ReplayConfig(cache=folder / "scores.sqlite", progress=False),
            )
            seconds, used = time.monotonic() - clock, time.process_time() - cpu
            parts = ", ".join(f"{part} {value:.1f}" for part, value in report.timings.items())
            settings = len(report.policies[0].frontier)
            print(f"| {name} | {given.attempts:,} | {settings} | {seconds:.0f} | {used:.0f} | {parts} |", flush=True)
    print(f"\n{os.cpu_count()} cores")


def make_rows(questions: int) -> Iterator[dict[str, object]]:
    """Draws at sums of several difficulties; a wrong one slips in a calculation, or forgets a number."""
    generator = random.Random(0)
    for number in range(questions):
        first, second, third = (generator.randint(2, 99) for _ in range(3))
        skill = generator.choice([0.25, 0.55, 0.85])
        question = f"Box {number} holds {first} pens, {second} pencils and {third} rulers. How many things are that?"
        for draw in range(DRAWS):
            right = generator.random() < skill
            slip = 0 if right else generator.randint(1, 6)
            total = first + second + third + slip
            seen = generator.random() < 0.5 or right
            steps = f"{first} + {second} = {first + second}. " if seen else ""
            yield {
                "question": question,
                "target": str(first + second + third),
                "answer": str(total),
                "rationale": f"{steps}{first + second} + {third} = {total}.",
                "is_correct": right,
                "draw": draw,
                "model": "openai:gpt-4o-mini",
            }


if __name__ == "__main__":
    main()
