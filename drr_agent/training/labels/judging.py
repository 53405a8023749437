"""A judge at work: many attempts, so many at a time, each judgment in the label log as soon as it is made."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from tqdm import tqdm

from drr_agent.errors import ConfigError, ReasonerError
from drr_agent.lines import hold
from drr_agent.metadata import read_usage
from drr_agent.redaction import redact
from drr_agent.runs import Reject
from drr_agent.state import NO_USAGE, Usage, add_usage
from drr_agent.training.behaviors import Behavior
from drr_agent.training.labels.judge import Judge, Opinion, read_judgment
from drr_agent.training.labels.log import LabelLine, append_label, read_labels

_LONGEST_NOTE = 500
"""Characters of a judge's grounds that are kept."""
_LONGEST_WAIT = 60.0
"""Seconds between two tries at most."""


@dataclass(frozen=True, kw_only=True)
class JudgeResult:
    """What one call of `judge_rows` did."""

    found: int
    """Attempts that the log held a judgment of by this judge."""
    opinions: dict[Opinion, int]
    """Replies that came, by what they said."""
    failed: int
    """Attempts whose calls failed; they are left for another time."""
    usage: Usage
    """What this call paid for."""
    rejects: tuple[Reject, ...]
    """Lines of the log that cannot be read."""


def judge_rows(
    rows: Iterable[Behavior],
    judge: Judge,
    *,
    log: Path,
    limit: int | None = None,
    concurrency: int = 16,
    progress: bool = True,
) -> JudgeResult:
    """`ajudge_rows` for callers without an event loop."""
    return asyncio.run(ajudge_rows(rows, judge, log=log, limit=limit, concurrency=concurrency, progress=progress))


async def ajudge_rows(
    rows: Iterable[Behavior],
    judge: Judge,
    *,
    log: Path,
    limit: int | None = None,
    concurrency: int = 16,
    progress: bool = True,
) -> JudgeResult:
    """Have attempts judged; each judgment is in the label log before the next call of its worker.

    Killed or interrupted, the same call goes on: what the log holds of this judge is not asked again, be it that the
    judge was unsure.

    Args:
        rows: attempts; those without an answer are passed over. They are read as they are needed.
        judge: who judges.
        log: the label log.
        limit: the most attempts to ask about this time.
        concurrency: calls under way at once.
        progress: show a bar where there is a terminal.

    Raises:
        ConfigError: `concurrency` is no whole number of at least 1.
        DataError: another judge writes the log.
        ReasonerError: too many attempts in a row had to be left; what is logged stays.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigError(f"`concurrency` must be a whole number of at least 1, got {concurrency!r}")
    with hold(log, by="another judge"):
        bench = _Bench(judge=judge, log=log)
        bench.recall()
        with tqdm(desc="judge", unit=" attempts", disable=None if progress else True) as bar:
            waiting = islice(bench.waiting(rows), limit)
            await _all(bench.serve(waiting, bar) for _ in range(concurrency))
    return JudgeResult(
        found=bench.found,
        opinions=dict(bench.opinions),
        failed=bench.failed,
        usage=bench.usage,
        rejects=tuple(bench.rejects),
    )


@dataclass(kw_only=True)
class _Bench:
    """The calls of one judge, counted."""

    judge: Judge
    log: Path
    known: set[str] = field(default_factory=set)
    """Ids of attempts that the log holds a judgment of by this judge."""
    found: int = 0
    opinions: Counter[Opinion] = field(default_factory=Counter)
    failed: int = 0
    failed_in_a_row: int = 0
    usage: Usage = field(default_factory=NO_USAGE.copy)
    rejects: list[Reject] = field(default_factory=list)

    def recall(self) -> None:
        """Learn what the log holds."""
        lines = read_labels(self.log, on_reject=self.rejects.append) if self.log.exists() else ()
        self.known = {line.id for line in lines if line.source == self.judge.source and line.id is not None}

    def waiting(self, rows: Iterable[Behavior]) -> Iterator[Behavior]:
        """Attempts that are to be judged."""
        for row in rows:
            if row["answer"] is not None and row["id"] in self.known:
                self.found += 1
            elif row["answer"] is not None:
                yield row

    async def serve(self, waiting: Iterator[Behavior], bar: "tqdm[Any]") -> None:
        """Work through what waits, beside others who do."""
        for row in waiting:
            reply = await self._call(self.judge.ask(row))
            if reply is not None:
                self._keep(row, reply)
            bar.set_postfix(failed=self.failed, refresh=False)
            bar.update()

    async def _call(self, message: HumanMessage) -> AIMessage | None:
        for tries in range(self.judge.retries + 1):
            try:
                reply: AIMessage = await self.judge.model.ainvoke([message])
            except Exception as error:  # raised again unless it may pass
                if not self.judge.is_failure(error):
                    raise
                last = error
            else:
                self.failed_in_a_row = 0
                return reply
            if tries < self.judge.retries:
                await asyncio.sleep(min(2.0**tries, _LONGEST_WAIT))
        self._leave(last)
        return None

    def _leave(self, error: Exception) -> None:
        self.failed += 1
        self.failed_in_a_row += 1
        if self.failed_in_a_row >= self.judge.max_failures:
            said = redact(f"{type(error).__name__}: {error}")
            raise ReasonerError(
                f"expected judgments of {self.judge.source}, got {self.failed_in_a_row} failed calls in a row, the "
                f"last with {said}; what is logged stays: start again once it answers"
            )

    def _keep(self, row: Behavior, reply: AIMessage) -> None:
        judgment = read_judgment(reply)
        self.usage = add_usage([self.usage, read_usage(reply)])
        self.opinions[judgment.opinion] += 1
        line = LabelLine(
            id=row["id"],
            value=judgment.value,
            source=self.judge.source,
            at=datetime.now(UTC).isoformat(),
            note=f"{judgment.opinion}: {judgment.grounds[:_LONGEST_NOTE]}".strip(),
        )
        append_label(self.log, line)


async def _all(workers: Iterable[Any]) -> None:
    """Run workers together; the first error ends the others too."""
    tasks = [asyncio.create_task(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
