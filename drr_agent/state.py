"""The words of a run, as plain JSON values.

Everything here is a `TypedDict`: it survives any checkpointer, any log and any process. One question through the
graph is a `Run`; each think call in it is an `Attempt`. The same `Run` is what the graph returns under `drr`, what the
run log stores a line of, and what the training reads, so there is one shape to know.

Unknown is `None`, and never zero: a reply without an answer has `answer: None`, a failed DM has `score: None`, a
Reasoner that reports no tokens counts as an unmetered call.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, NotRequired

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict  # pydantic, which checks logged runs, asks for this one before Python 3.12

RUN_SCHEMA = 1
"""Version of the `Run` shape, written into every logged run."""

StopReason = Literal[
    "accepted", "stopped", "max_turns", "budget", "no_progress", "review", "error", "interrupted", "shadow"
]
"""Why a run ended. `stopped`: the policy ended it with an answer that it does not accept, as thinking on is not worth
its price. `no_progress`: it went in circles; in logs of older versions, stopped as well. `error`: not one think call
gave a usable reply. `interrupted`: it has not ended, or never did; only readers of checkpoints and traces say so.
`shadow`: the first attempt stands, whatever the policy says; `would` has that."""

BudgetLimit = Literal["calls", "tokens", "usd", "seconds", "recursion"]
"""What ran out: a limit of a `Budget`, or the caller's `recursion_limit`."""
BudgetScope = Literal["run", "thread"]

Verdict = Literal["accept", "reject", "stop", "review", "shadow"]
AppliedMode = Literal["enforce", "shadow"]
ReviewVerdict = Literal["accept", "reject"]
Reviewer = Literal["human", "judge", "escalation"]
Label = Literal["correct", "incorrect"]
FeedbackKind = Literal["first", "fresh", "history", "contrast", "no_answer"]
Origin = Literal["live", "distilled", "traced"]
"""Whose run it is: a graph's in use, a distillation's, or an agent's that never used this package."""


class Usage(TypedDict):
    """What the Reasoner was asked and paid for."""

    calls: int
    """Reasoner calls, failed ones included."""
    unmetered_calls: int
    """Calls that reported no token counts; their tokens are unknown and not in the sums."""
    input_tokens: int
    output_tokens: int


class Spent(TypedDict):
    """What several runs came to."""

    usage: Usage
    seconds: float


class Draft(TypedDict):
    """One parsed reply of the Reasoner, not yet scored."""

    rationale: str
    answer: str | None
    """As the Reasoner wrote it; `None` when no answer was found."""
    truncated: bool | None
    """Whether the reply was cut off at its token limit; `None` when the Reasoner does not say."""
    logprobs: list[float] | None
    """Natural-log probability of each generated token, where the Reasoner gives them."""
    spans: NotRequired[list[int | None]]
    """For each of `logprobs` where its token begins in `rationale`, `None` for one outside of it. Absent where nobody
    knows."""
    entropy: NotRequired[float | None]
    """Mean entropy of the tokens' distributions in nats, over the alternatives that the Reasoner lists: a lower bound.
    `None` where it lists none, absent in older logs."""
    feedback: FeedbackKind
    """How the Reasoner was asked for this draft."""
    error: str | None
    """Why there is no reply: the exception's type and message. A failed call, not a wrong answer."""
    usage: Usage
    seconds: float
    """Wall-clock seconds of the think call."""


class Attempt(Draft):
    """A scored draft."""

    turn: int
    """Position among the run's think calls, from 1."""
    signals: dict[str, float | None]
    logit: float | None
    """The DM's log odds before calibration, text and signals together; `None` for a DM without such."""
    text_logit: NotRequired[float | None]
    """The text classifier's part of it; absent for a DM without one."""
    score: float | None
    """Calibrated P(correct); `None` when there is nothing to score or the DM failed."""
    score_error: str | None
    verdict: Verdict | None
    """`accept`, `stop` or `review` on the attempt at which the policy ended the run; `reject` on those it thought on
    after, and on the last one where turns, budget or errors ended the run without an accept; `None` on those made after
    the policy had ended it, to explore, and on an escalation's. Older logs have no `stop` and no `review`.
    `shadow` where the policy would have thought on, and the run was in shadow: it is cut off there."""
    reasoner: NotRequired[str]
    """Who made it, where that is not the run's Reasoner: the one to whom a review escalated."""


class Sample(TypedDict):
    """A benchmark question and its gold answer."""

    id: str
    question: str
    target: str


class Assignment(TypedDict, total=False):
    """What a caller that works through samples tells the graph about a run."""

    sample_id: str
    target: str
    draw: int
    """Which independent run over the same sample this is, from 0."""
    origin: Origin
    prior: list[Attempt]
    """Attempts already made and paid for: they are judged first, and the run goes on after them."""
    setup: list[str | None]
    """What made the attempts; a caller that resumes a run compares it."""


class RunLabel(TypedDict):
    """What somebody said of a run: a human in the graph, the environment, a store's feedback."""

    turn: int | None
    """The attempt that is meant; `None` is the chosen one."""
    value: Label | None
    """`None`: asked, and nothing came of it (skipped, expired)."""
    source: str
    """Its kind, and after a colon whatever tells two of a kind apart: `human:ann`, `feedback:thumbs`."""
    at: str | None
    """ISO 8601; `None` where nobody knows."""


class Reviewed(TypedDict):
    """How a review ended."""

    by: Reviewer
    verdict: ReviewVerdict | None
    """On the answer that stood before; of an escalation, whether its own stands. `None` where none was given."""
    answer: NotRequired[str]
    """The answer that a human gave in place of it, or that of an escalation which stands."""
    error: NotRequired[str]
    """Why nobody reviewed: a limit of the budget, or an error of the model."""
    usage: NotRequired[Usage]
    """What a judge was asked and paid for, beside the attempts."""


class Would(TypedDict):
    """What the policy would have made of a run in shadow after its first attempt."""

    outcome: Literal["continue", "accept", "stop", "review"]
    stop_reason: StopReason | None
    """`None` where it would have thought again."""
    confidence: float | None
    """The policy's P(its best answer is right)."""


class RunIdentity(TypedDict):
    """What produces a run."""

    reasoner: str
    dm: str | None
    """Digest of the DM that scores, `None` for a run without one."""
    prompts: str
    """Digest of the prompts the Reasoner is asked with."""
    policy: str


class Run(RunIdentity):
    """One question through the graph: the graph's `drr` output and one line of the run log."""

    schema: int
    run_id: str
    started_at: str
    """ISO 8601, UTC."""
    question: str
    context: str
    """The conversation before the question, as text; empty when there is none."""
    answer: str | None
    """The chosen answer; `None` when the run abstained or failed."""
    score: float | None
    """The policy's P(the chosen answer is right)."""
    accepted: bool
    stop_reason: StopReason
    choice: int | None
    """Index in `attempts` of the chosen one."""
    attempts: list[Attempt]
    usage: Usage
    seconds: float
    origin: Origin
    sample_id: str | None
    target: str | None
    draw: int | None
    explore: NotRequired[float]
    """The probability with which runs like this think on after the policy has ended them; attempts after that end are
    there for that reason alone. Absent is 0."""
    max_turns: NotRequired[int]
    """The most think calls that runs like this may make; absent in older logs, and where nobody knows."""
    certified: NotRequired[bool]
    """Whether the setup is the one that the DM's certificate is about, which promises something of accepted answers;
    absent where the DM has none."""
    limit: NotRequired[BudgetLimit]
    """Which limit left no further turn, where one ended the run; absent where the policy or `max_turns` did."""
    limit_scope: NotRequired[BudgetScope]
    """Whether that was a limit of this run or of its thread."""
    usd: NotRequired[float | None]
    """What the run cost, where a budget asks for it; `None` where a price or what a call cost is unknown."""
    mode: NotRequired[AppliedMode]
    """Whether the policy's word counted, in a graph or a run with a `mode` of its own; absent is `enforce`."""
    would: NotRequired[Would]
    """What it would have done, of a run in shadow."""
    labels: NotRequired[list[RunLabel]]
    reviewed: NotRequired[Reviewed]
    """How the review ended, of a run that ended for one in a graph that has one wired."""


class RunStart(TypedDict):
    """What `begin` fixes for the rest of the run."""

    run_id: str
    started_at: str
    clock: float
    """`time.time()` at the start, for the budget in seconds."""
    question: str
    context: str
    question_message: AnyMessage
    context_messages: list[AnyMessage]
    assignment: Assignment
    identity: NotRequired[RunIdentity]
    """Absent on threads of an older version."""
    mode: NotRequired[AppliedMode]
    """As in the run."""


class Kept(TypedDict):
    """A reply to be given again, in a record: LangGraph streams messages that stand in a channel by themselves."""

    message: AIMessage


class DRRInput(TypedDict):
    """What the graph reads: the last human message is the question, those before it are its context."""

    messages: Annotated[list[AnyMessage], add_messages]
    drr_assignment: NotRequired[Assignment | None]


class DRROutput(TypedDict):
    """What the graph gives: the chosen reply added to the messages, and the whole run."""

    messages: Annotated[list[AnyMessage], add_messages]
    drr: Run


class DRRState(DRRInput, DRROutput):
    """The graph's channels. All but `messages` are replaced, never appended to, and `begin` writes them anew."""

    drr_start: RunStart
    drr_draft: Draft | None
    drr_attempts: list[Attempt]
    drr_replies: list[Kept | None]
    """The Reasoner's own messages, one per attempt, so that the chosen one is returned with its id."""
    drr_told: NotRequired[list[str]]
    """The limits of which an event has told in this run."""
    drr_thread: NotRequired[Spent]
    """What the runs of this thread before this one came to. Written by `begin` alone, from the attempts that the thread
    holds: no reply counts twice, however often a checkpoint is resumed or replayed."""


NO_USAGE: Usage = {"calls": 0, "unmetered_calls": 0, "input_tokens": 0, "output_tokens": 0}
NOT_SPENT: Spent = {"usage": NO_USAGE, "seconds": 0.0}


def add_usage(usages: Iterable[Usage]) -> Usage:
    """Sum usages; unmetered calls stay visible beside the known tokens."""
    rows = list(usages)
    return {
        "calls": sum(row["calls"] for row in rows),
        "unmetered_calls": sum(row["unmetered_calls"] for row in rows),
        "input_tokens": sum(row["input_tokens"] for row in rows),
        "output_tokens": sum(row["output_tokens"] for row in rows),
    }
