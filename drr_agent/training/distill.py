"""Distill: a Reasoner answers samples with known targets, and its own attempts become a run log.

Nobody labels steps: the target is the only teacher. The log is the state. What stands in it is not asked again, a run
that was cut off in its middle goes on from its journal, and a run that failed is made anew at the next start.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.runnables import Runnable

from drr_agent.budget import Budget
from drr_agent.errors import ConfigError
from drr_agent.evaluation.samples import check_samples
from drr_agent.feedback import Feedback, Fresh, get_feedback
from drr_agent.grading import Grader, get_grader
from drr_agent.graphs.drr import create_drr_graph
from drr_agent.parsing import Parser, Reply, get_parser
from drr_agent.prompts import Prompts
from drr_agent.reasoners.failures import costs_its_call, transient_failures
from drr_agent.reasoners.resolve import describe_reasoner
from drr_agent.runs import Reject, RunLog
from drr_agent.state import Sample, Usage
from drr_agent.training.crew import Crew
from drr_agent.training.ledger import Setup, clear_journal, hold_log, read_ledger
from drr_agent.training.oracle import Oracle, OraclePolicy

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST_WAIT = 60.0
"""Seconds between two tries at most."""
_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "max_new_tokens",
    "max_completion_tokens",
    "stop",
    "stop_sequences",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
)
"""Settings of chat models, of whatever provider, that make other draws of them."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, kw_only=True)
class DistillResult:
    """What one call of `distill` did, and what the log holds now."""

    log: Path
    wanted: int
    """Runs that the samples and attempts ask for."""
    found: int
    """Runs that the log held already."""
    resumed: int
    """Runs that went on from attempts in the journal."""
    retried: int
    """Runs that failed in an earlier call and were made anew."""
    made: int
    """Runs that this call finished and logged."""
    failed: int
    """Runs that this call logged without one usable reply; the next call makes them anew."""
    usage: Usage
    """What this call paid for."""
    seconds: float
    rejects: list[Reject]
    """Lines of the log that cannot be read; their runs were made anew."""

    @property
    def complete(self) -> bool:
        """Whether the log holds every run that was wanted."""
        return self.found + self.made == self.wanted


@dataclass(frozen=True, kw_only=True)
class RetryingParser:
    """A parser whose Reasoner tries again after rate limits, time-outs and server errors, waiting longer each time."""

    parser: Parser
    retries: int

    def prepare(self, reasoner: BaseChatModel) -> Runnable[LanguageModelInput, Any]:
        """The prepared Reasoner, patient."""
        return self.parser.prepare(reasoner).with_retry(
            retry_if_exception_type=transient_failures(),
            stop_after_attempt=self.retries + 1,
            exponential_jitter_params={"initial": 1.0, "max": _LONGEST_WAIT},
        )

    def parse(self, output: Any) -> Reply:
        """Read a reply."""
        return self.parser.parse(output)


async def adistill(
    reasoner: BaseChatModel,
    samples: Sequence[Sample],
    *,
    log: Path,
    attempts: int = 8,
    feedback: str | Feedback = "fresh",
    max_turns: int | None = None,
    concurrency: int = 64,
    grader: str | Grader | Callable[[str, str], bool] = "auto",
    parser: str | Parser = "answer",
    prompts: Prompts | None = None,
    retries: int = 6,
    max_failures: int = 20,
    progress: bool = True,
) -> DistillResult:
    """Let a Reasoner answer every sample several times, and log each run as it ends.

    With one turn a run is one independent draw. With more, the target judges each attempt, and a run thinks on under
    `feedback` until its answer is right or its turns are spent.

    Killed or interrupted, it is started again with the same arguments, and pays again for no attempt that was logged or
    journaled. One log takes one distillation at a time; several Reasoners or settings may use it one after the other:
    another temperature, token limit or parser makes other runs.

    Args:
        reasoner: any chat model; for draws that differ it must sample.
        samples: questions with targets, ids unique.
        log: the run log, created or gone on with.
        attempts: runs a sample.
        feedback: what the Reasoner is told after a wrong answer: `fresh`, `history`, `contrast`, or your own.
        max_turns: the most think calls a run; by default 1 for `fresh` and 4 otherwise.
        concurrency: runs under way at once.
        grader: answer equality, for runs of several turns.
        parser: how an answer is read.
        prompts: the wording of every turn.
        retries: further tries of a call after a rate limit, a time-out or a server error, with growing waits.
        max_failures: so many failed runs in a row end the distillation: the Reasoner is away.
        progress: show a bar where there is a terminal.

    Raises:
        ConfigError: a setting that cannot work.
        DataError: samples that cannot be told apart or graded, a log of other samples, or one in use.
        ReasonerError: `max_failures` runs in a row failed; what is logged stays.
    """
    check_samples(samples)
    turns = _turns(feedback, max_turns)
    _require_whole(1, attempts=attempts, concurrency=concurrency, max_failures=max_failures)
    _require_whole(0, retries=retries)
    prompts = Prompts() if prompts is None else prompts
    setting = f"{_describe(get_feedback(feedback))} {turns}"
    oracle = Oracle(samples, grader=get_grader(grader), setting=setting) if turns > 1 else None
    asked = _asked(reasoner, get_parser(parser))
    setup = Setup(describe_reasoner(reasoner), prompts.digest, None if oracle is None else oracle.digest, asked)
    run_log = RunLog(path=Path(log), journal=turns > 1, required=True)
    graph = create_drr_graph(
        reasoner,
        oracle,
        policy=OraclePolicy(asked=asked),
        max_turns=turns,
        budget=Budget(max_calls=None, max_tokens=None, max_seconds=None),
        feedback=feedback,
        parser=RetryingParser(parser=get_parser(parser), retries=retries),
        prompts=prompts,
        run_log=run_log,
        reasoner_failures=costs_its_call,
        name="distill",
    )
    crew = Crew(graph=graph, setup=setup, max_failures=max_failures)
    wanted, clock = len(samples) * attempts, time.monotonic()
    with hold_log(run_log.path):
        ledger = read_ledger(run_log.path, samples, setup)
        jobs = list(ledger.jobs(samples, attempts))
        await crew.work(jobs, total=wanted, concurrency=concurrency, progress=progress)
        if crew.made == len(jobs):
            clear_journal(run_log.path, setup)
    return DistillResult(
        log=run_log.path,
        wanted=wanted,
        found=wanted - len(jobs),
        resumed=sum(bool(job.prior) for job in jobs),
        retried=sum((job.sample["id"], job.draw) in ledger.failed for job in jobs),
        made=crew.made,
        failed=crew.failed,
        usage=crew.usage,
        seconds=time.monotonic() - clock,
        rejects=ledger.rejects,
    )


def _blocking(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """The same function for callers without an event loop."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return asyncio.run(function(*args, **kwargs))

    call.__name__ = call.__qualname__ = function.__name__.removeprefix("a")
    return call


distill = _blocking(adistill)


def _describe(part: Feedback | Parser) -> str:
    """The same text in every process: what has no value of its own is told by its type."""
    return _ADDRESS.sub("", repr(part)) if is_dataclass(part) else type(part).__qualname__


def _asked(reasoner: BaseChatModel, parser: Parser) -> str:
    """Eight hex digits over how replies are sampled and read; none where nothing is set."""
    fields = type(reasoner).model_fields
    given = {name: getattr(reasoner, name) for name in _SAMPLING if name in reasoner.model_fields_set}
    settings = [f"{name}={value!r}" for name, value in given.items() if value != fields[name].default]
    settings += [] if parser == get_parser("answer") else [_describe(parser)]
    return hashlib.sha256("\n".join(settings).encode()).hexdigest()[:8] if settings else ""


def _turns(feedback: str | Feedback, max_turns: int | None) -> int:
    fresh = isinstance(get_feedback(feedback), Fresh)
    turns = (1 if fresh else 4) if max_turns is None else max_turns
    if not fresh and turns == 1:
        raise ConfigError("`max_turns` must be at least 2 for feedback after a wrong answer, got 1")
    _require_whole(1, max_turns=turns)
    return turns


def _require_whole(least: int, **settings: int) -> None:
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"`{name}` must be a whole number of at least {least}, got {value!r}")
