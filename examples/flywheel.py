"""The whole flywheel: a week of logs → labels → a dataset → a DM → what it would have saved → a better DM in the loop.

Week one runs with a rule as its judge, which sees sums that do not add up. What it misses, calculations that end too
soon, the log shows once answers are labelled, and a DM learns it from the log. The Reasoner is scripted, and so are its
two kinds of error; take your own log in place of it.
"""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from langchain_core.messages import BaseMessage
from scripted import Scripted

from drr_agent import Run, RunLog, Score, ScoreRequest, ThresholdPolicy, create_drr_graph, load_dm
from drr_agent.graphs.drr import DRRGraph
from drr_agent.reasoners.word_problems import Problem, generate_problems
from drr_agent.replay.config import ReplayConfig
from drr_agent.replay.replayer import replay
from drr_agent.training.behaviors import Split
from drr_agent.training.calibrate import calibrate_on
from drr_agent.training.config import TrainConfig
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.train import train_on
from drr_agent.training.worth import calibrate_stopping

DAYS = 7
FRESH = 100
"""Questions of the week after, to compare on."""
SPLITS: dict[Split, float] = {"train": 0.4, "validation": 0.15, "calibration": 0.2, "test": 0.25}


class Rule:
    """The judge of week one: right unless a calculation does not add up."""

    digest = "rule-1"

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        return [Score(0.1 if request.signals.get("arithmetic_errors") else 0.8) for request in requests]


class Outcome(NamedTuple):
    verdict: str
    before: float
    after: float
    """Share of right answers at questions of the week after."""


def careless(problems: Sequence[Problem], *, seed: int) -> Scripted:
    """A Reasoner that gets a last sum wrong in a quarter of its attempts, and ends too soon in another quarter."""
    known, chance = {problem.question: problem for problem in problems}, random.Random(seed)

    def reply(messages: list[BaseMessage]) -> str:
        steps = next(known[question] for question in known if question in messages[-1].text).steps
        lines, error = [str(step) for step in steps], chance.random()
        if error < 0.25:
            lines[-1] = f"{lines[-1].rpartition('=')[0]}= {steps[-1].result + chance.randint(1, 9)}"
        elif error < 0.5:
            lines = lines[:-1]
        return "\n".join([*lines, f"Answer: {lines[-1].rpartition('= ')[2]}"])

    return Scripted(reply=reply)


def serve(graph: DRRGraph, problems: Sequence[Problem]) -> list[Run]:
    return [graph.invoke({"messages": [("user", problem.question)]})["drr"] for problem in problems]


def right_share(runs: Sequence[Run], problems: Sequence[Problem]) -> float:
    pairs = zip(runs, problems, strict=True)
    return sum(run["answer"] == str(problem.target) for run, problem in pairs) / len(runs)


def learn(log: Path, problems: Sequence[Problem], folder: Path) -> str:
    """Harvest the log, train and calibrate a DM at `folder`, and say what it would have saved."""
    targets = {problem.question: str(problem.target) for problem in problems}

    def tickets(run: Run) -> dict[int, bool]:
        """What the world says of each attempt: here known answers, for you reopened tickets or failed tests."""
        return {a["turn"]: a["answer"] == targets[run["question"]] for a in run["attempts"]}

    dataset, _ = harvest_dataset([log], folder / "data", fractions=SPLITS, environment=tickets, progress=False)
    dm = train_on(dataset, config=TrainConfig(inputs="signals", progress=False), out=folder / "dm")
    calibrate_on(dm, dataset, progress=False)
    calibrate_stopping(dm, dataset.rows("calibration"), max_turns=4)
    config = ReplayConfig(max_turns=4, resamples=200)
    report = replay(dataset.rows("test"), load_dm(dm), choose_on=dataset.rows("calibration"), config=config)
    return str(report.verdict)


def main(folder: Path | None = None, *, per_day: int = 40) -> Outcome:
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="flywheel"))
    week = generate_problems(DAYS * per_day, seed=1)
    fresh = generate_problems(FRESH, seed=2)
    reasoner, log = careless([*week, *fresh], seed=0), folder / "runs.jsonl"

    rule = ThresholdPolicy(threshold=0.5)
    # half of the runs think on after an accept, so that the log shows what an accept cuts off
    live = create_drr_graph(reasoner, Rule(), policy=rule, run_log=RunLog(path=log), explore=0.5)
    for day in range(DAYS):
        serve(live, week[day * per_day : (day + 1) * per_day])
    print(f"a week of logs: {len(week)} runs in {log}")

    verdict = learn(log, week, folder)
    print(f"on logged attempts: {verdict}")

    before = right_share(serve(create_drr_graph(reasoner, Rule(), policy=rule), fresh), fresh)
    after = right_share(serve(create_drr_graph(reasoner, load_dm(folder / "dm")), fresh), fresh)
    print(f"the week after, {FRESH} questions: {before:.0%} right with the rule, {after:.0%} with the DM")
    return Outcome(verdict, before, after)


if __name__ == "__main__":
    main()
