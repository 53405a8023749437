"""The workers of a distillation: bounded concurrency, counting, and a limit to failing in vain."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable
from tqdm import tqdm

from drr_agent.errors import ReasonerError
from drr_agent.state import NO_USAGE, Assignment, Run, Usage, add_usage
from drr_agent.training.ledger import Job, Setup


@dataclass(kw_only=True)
class Crew:
    """Works through jobs, so many at a time, and counts what comes of them."""

    graph: Runnable[Any, Any]
    """A DRR graph: from messages and an assignment to a `Run` under `drr`."""
    setup: Setup
    max_failures: int
    made: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    usage: Usage = field(default_factory=NO_USAGE.copy)

    async def work(self, jobs: Sequence[Job], *, total: int, concurrency: int, progress: bool) -> None:
        """Make every run; the first error ends the others too.

        Raises:
            ReasonerError: `max_failures` runs in a row failed.
        """
        waiting = iter(jobs)
        with tqdm(total=total, initial=total - len(jobs), unit="run", disable=None if progress else True) as bar:
            workers = [asyncio.create_task(self._serve(waiting, bar)) for _ in range(min(concurrency, len(jobs)))]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _serve(self, waiting: Iterator[Job], bar: "tqdm[Any]") -> None:
        for job in waiting:
            output = await self.graph.ainvoke(
                {"messages": [HumanMessage(job.sample["question"])], "drr_assignment": self._assignment(job)}
            )
            self._count(job, output["drr"])
            bar.set_postfix(failed=self.failed, refresh=False)
            bar.update()

    def _assignment(self, job: Job) -> Assignment:
        return {
            "sample_id": job.sample["id"],
            "target": job.sample["target"],
            "draw": job.draw,
            "origin": "distilled",
            "prior": list(job.prior),
            "setup": list(self.setup),
        }

    def _count(self, job: Job, run: Run) -> None:
        paid = [attempt["usage"] for attempt in run["attempts"][len(job.prior) :]]
        self.usage = add_usage([self.usage, *paid])
        if run["stop_reason"] != "error":
            self.made += 1
            self.failed_in_a_row = 0
            return
        self.failed += 1
        self.failed_in_a_row += 1
        if self.failed_in_a_row >= self.max_failures:
            raise ReasonerError(
                f"expected replies from {self.setup.reasoner}, got {self.failed_in_a_row} failed runs in a row, "
                f"the last with {run['attempts'][-1]['error']}; what is logged stays: start again once it answers"
            )
