"""Evaluate: strategies over the same questions and the same draws, to a report."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from tqdm import tqdm

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.errors import DataError
from drr_agent.evaluation.certification import Certification, Measured, certification
from drr_agent.evaluation.comparison import Arm, compare, verdict
from drr_agent.evaluation.dm_scores import measure_dm
from drr_agent.evaluation.draws import SharedDraws
from drr_agent.evaluation.report import Comparison, Report
from drr_agent.evaluation.strategies import VOTING, Strategy, greedy_reasoner, standard_strategies, with_grader
from drr_agent.evaluation.summary import describe_environment, pick_examples, summarize_runs
from drr_agent.evaluation.verdict import judge_comparisons
from drr_agent.grading import Grader, get_grader
from drr_agent.graphs.drr import DRRGraph, default_policy
from drr_agent.lines import hold
from drr_agent.policy import Policy, within
from drr_agent.prompts import Prompts
from drr_agent.questions import question_key, unit_of
from drr_agent.reasoners.resolve import describe_reasoner
from drr_agent.state import DRRInput, Run, Sample


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """How strategies are measured."""

    max_turns: int = 8
    policy: Policy | None = None
    """DRR's policy; by default what calibration stored in the DM."""
    threshold: float | None = None
    """Of the paper's rule; by default the policy's own."""
    greedy: bool = True
    """Whether to also try one attempt at temperature 0; not for Reasoners that refuse a temperature."""
    grader: str | Grader = "auto"
    prompts: Prompts | None = None
    """How every strategy words its turns; by default as graphs do."""
    concurrency: int = 256
    seed: int = 0
    """Of the bootstrap."""
    title: str = "DRR against what you would use instead"
    dataset: str | None = None
    """What the DM was trained on, for the record."""
    progress: bool = True


def evaluate(
    reasoner: BaseChatModel,
    dm: DiscriminativeModel | None,
    samples: Sequence[Sample],
    out: Path,
    *,
    config: EvaluateConfig | None = None,
    parts: Mapping[str, DiscriminativeModel] | None = None,
    extra: Sequence[Strategy] = (),
) -> Report:
    """Run every strategy on the samples and write what it came to.

    Args:
        reasoner: thinks, for all strategies.
        dm: scores; without one only the baselines run.
        samples: fresh questions with targets, not those the DM was trained or calibrated on.
        out: a folder; draws are kept in `draws.jsonl`, so that a second call goes on where the first one stopped.
        config: the settings.
        parts: other DMs whose scores of the same attempts stand beside the DM's, such as `signals alone`.
        extra: strategies to run beside the standard ones.

    Returns:
        The report; `write_report` puts it into files.

    Raises:
        DataError: there are no samples, or none that the DM has not seen, or another evaluation writes to `out`.
    """
    config = EvaluateConfig() if config is None else config
    fresh = _fresh(samples, dm)
    grader = get_grader(config.grader)
    standard = standard_strategies(
        dm,
        max_turns=config.max_turns,
        policy=config.policy,
        threshold=config.threshold,
        greedy=config.greedy,
        grader=grader,
        prompts=config.prompts,
    )
    with hold(out / "draws.jsonl", by="another evaluation"):
        arms, timings = asyncio.run(_run_all([*standard, *extra], reasoner, dm, fresh, out / "draws.jsonl", config))
    comparisons = _comparisons(arms, grader, config.seed)
    subject = arms[0]
    return Report(
        title=config.title,
        seen=len(samples) - len(fresh),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=_conclude(comparisons),
        certification=_certification(reasoner, dm, config, grader),
        results=[summarize_runs(arm.strategy, arm.setting, arm.runs, grader, seed=config.seed) for arm in arms],
        comparisons=comparisons,
        dm=None if dm is None else measure_dm(_all_draws(arms), dm, parts or {}, grader),
        examples=pick_examples(subject.label, subject.runs, grader) if comparisons else [],
        environment=describe_environment(
            reasoner=describe_reasoner(reasoner),
            dm=None if dm is None else dm.digest,
            dataset=config.dataset,
            seeds={"bootstrap": config.seed},
        ),
        timings=timings,
    )


def _fresh(samples: Sequence[Sample], dm: DiscriminativeModel | None) -> list[Sample]:
    """The samples whose questions the DM has not learned from, as far as it knows."""
    if not samples:
        raise DataError("expected samples to evaluate on, got none; give questions with targets")
    seen = {unit_of(key) for key in getattr(dm, "seen", frozenset())}
    fresh = [sample for sample in samples if unit_of(question_key(sample["question"])) not in seen]
    if not fresh:
        raise DataError(
            f"expected questions that the DM was not trained or calibrated on, got {len(samples)} that it was; "
            "give fresh ones, such as the test split's"
        )
    return fresh


async def _run_all(
    strategies: Sequence[Strategy],
    reasoner: BaseChatModel,
    dm: DiscriminativeModel | None,
    samples: Sequence[Sample],
    draws: Path,
    config: EvaluateConfig,
) -> tuple[list[Arm], dict[str, float]]:
    """Every strategy's runs, and the seconds it took with the draws that were already there.

    All in one event loop, since the connections of an API Reasoner belong to the loop they were opened in.
    """
    shared = {False: SharedDraws(reasoner=reasoner, path=draws)}
    if any(strategy.greedy for strategy in strategies):
        shared[True] = SharedDraws(reasoner=greedy_reasoner(reasoner), path=draws)
    arms, timings = {}, {}
    # greedy strategies first: a Reasoner that refuses a temperature does so before anything is paid
    for strategy in sorted(strategies, key=lambda strategy: not strategy.greedy):
        clock = time.monotonic()
        graph = strategy.create(shared[strategy.greedy], dm)
        runs = await run_samples(
            graph, samples, concurrency=config.concurrency, label=strategy.label, progress=config.progress
        )
        arms[strategy.label] = Arm(strategy.name, strategy.setting, runs)
        timings[strategy.label] = round(time.monotonic() - clock, 2)
    return [arms[strategy.label] for strategy in strategies], timings


async def run_samples(
    graph: DRRGraph, samples: Sequence[Sample], *, concurrency: int, label: str = "runs", progress: bool = True
) -> list[Run]:
    """One run a sample, in the samples' order, at most `concurrency` at a time."""
    slots = asyncio.Semaphore(concurrency)
    with tqdm(total=len(samples), desc=label, unit=" questions", disable=None if progress else True) as bar:

        async def one(sample: Sample) -> Run:
            given: DRRInput = {
                "messages": [HumanMessage(sample["question"])],
                "drr_assignment": {"sample_id": sample["id"], "target": sample["target"]},
            }
            async with slots:
                out = await graph.ainvoke(given)
            bar.update()
            run: Run = out["drr"]
            return run

        return await asyncio.gather(*(one(sample) for sample in samples))


def _comparisons(arms: Sequence[Arm], grader: Grader, seed: int) -> list[Comparison]:
    """Each form of DRR against one attempt and against voting at its own cost; the verdict is about the first."""
    single = [arm for arm in arms if arm.strategy == "single_pass"]
    voting = [*single, *(arm for arm in arms if arm.strategy in VOTING)]
    return [
        comparison
        for arm in arms
        if arm.strategy.startswith("drr")
        for comparison in (
            compare(arm, single, grader, against="single_pass", seed=seed),
            compare(arm, voting, grader, against="voting", seed=seed),
        )
    ]


def _conclude(comparisons: Sequence[Comparison]) -> str:
    """What was found, in a sentence, and what to do."""
    if not comparisons:
        return "No verdict: without a DM only the baselines ran."
    found = judge_comparisons(comparisons)
    told = verdict(comparisons)
    return told if found is None or found.unknown else f"{told} So: {found.word}."


def _certification(
    reasoner: BaseChatModel, dm: DiscriminativeModel | None, config: EvaluateConfig, grader: Grader
) -> Certification | None:
    """What the DM's certificate says of its loop as it is run here."""
    if dm is None:
        return None
    policy = with_grader(default_policy(dm) if config.policy is None else config.policy, grader)
    measured = Measured(
        policy=within(policy, config.max_turns),
        max_turns=config.max_turns,
        reasoners=[describe_reasoner(reasoner)],
        prompts=[(Prompts() if config.prompts is None else config.prompts).digest],
        feedback=["fresh"],
    )
    return certification(dm, measured)


def _all_draws(arms: Sequence[Arm]) -> Sequence[Run]:
    """Best-of-n scores every draw, whatever the policy would have skipped."""
    return next(arm.runs for arm in arms if arm.strategy == "best_of_n")
