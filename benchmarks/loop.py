"""The loop against what one would use instead, with the Reasoner that ships, over several seeds.

Each seed distills, trains, calibrates and compares anew, on questions of its own. Adaptive self-consistency stands at
each of its settings, on the same draws. Ratios below one favor DRR.

    python -m benchmarks.loop --seeds 3
"""

import argparse
import os
from pathlib import Path

from drr_agent.demo import DemoConfig, run_demo
from drr_agent.evaluation.report import Report, StrategyResult


def main() -> None:
    """Run the seeds and print a row for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/loop"))
    given = parser.parse_args()
    reports = {}
    for seed in range(DemoConfig.seed, DemoConfig.seed + 1000 * given.seeds, 1000):
        reports[seed] = run_demo(given.out / str(seed), config=DemoConfig(seed=seed))
    print("\n| seed | strategy | accuracy | calls | calls of DRR ÷ its calls | accuracy of DRR − its accuracy |")
    print("|---|---|---|---|---|---|")
    for seed, report in reports.items():
        print_rows(seed, report)
    print("\n| seed | AUROC | within-question AUROC | text | signals | log probabilities | ECE | Brier |")
    print("|---|---|---|---|---|---|---|---|")
    for seed, report in reports.items():
        print_dm(seed, report)
    print(f"\n{os.cpu_count()} cores; {DemoConfig.fresh} fresh questions a seed")


def print_rows(seed: int, report: Report) -> None:
    """DRR, then every other strategy beside it."""
    drr = report.results[0]
    for result in report.results:
        ratio = "" if result is drr else f"{drr.mean_calls / result.mean_calls:.2f}"
        gain = "" if result is drr else f"{100 * (accuracy(drr) - accuracy(result)):+.1f} points"
        print(f"| {seed} | {result.label} | {accuracy(result):.3f} | {result.mean_calls:.2f} | {ratio} | {gain} |")


def print_dm(seed: int, report: Report) -> None:
    """The DM's own figures, agreement left out."""
    dm = report.dm
    if dm is None:
        raise RuntimeError("the demo always trains a DM")
    parts = dm.within_question_auroc_of
    values = (dm.auroc, dm.within_question_auroc, *parts.values(), dm.ece, dm.brier)
    shown = " | ".join("–" if value is None else f"{value:.3f}" for value in values)
    print(f"| {seed} | {shown} |")


def accuracy(result: StrategyResult) -> float:
    """Of a strategy whose questions all have targets."""
    if result.accuracy is None:
        raise RuntimeError(f"{result.label} has no graded run")
    return result.accuracy


if __name__ == "__main__":
    main()
