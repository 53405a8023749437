"""create_drr_graph: begin, then think → score → decide until the policy or a limit ends it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from drr_agent.batching import Batcher
from drr_agent.budget import Budget, Limits
from drr_agent.dm.certificate import Certificate, OnUncertified, Setup, check_certificates
from drr_agent.dm.protocol import DiscriminativeModel, Score, ScoreRequest
from drr_agent.errors import ConfigError
from drr_agent.feedback import FEEDBACK, Feedback, get_feedback
from drr_agent.nodes import Begin, Decide, ReviewNode, ScoreNode, Think
from drr_agent.nodes.audience import Drafts
from drr_agent.nodes.review import create_review
from drr_agent.nodes.reviewers import ReviewState
from drr_agent.nodes.rollout import Mode, Rollout
from drr_agent.nodes.score import scorer
from drr_agent.nodes.spending import DecideState
from drr_agent.parsing import Parser, get_parser
from drr_agent.policy import ConsensusPolicy, Policy, within
from drr_agent.prompts import Prompts
from drr_agent.reasoners.failures import is_transient
from drr_agent.reasoners.resolve import describe_reasoner
from drr_agent.review import Human, Review
from drr_agent.runs import RunLog
from drr_agent.signals import DEFAULT_SIGNALS, Signal
from drr_agent.state import DRRInput, DRROutput, DRRState, RunIdentity

DRRGraph = CompiledStateGraph[DRRState, None, DRRInput, DRROutput]

_MAX_TURNS = 4
_DM_FAILURES: tuple[type[Exception], ...] = (Exception,)
"""How a DM breaks: in any way, on purpose. It is foreign code, and no mistake of the judge is worth paid attempts."""


def create_drr_graph(
    reasoner: BaseChatModel,
    dm: DiscriminativeModel | None,
    *,
    policy: Policy | None = None,
    max_turns: int | None = None,
    budget: Budget | None = None,
    thread_budget: Budget | None = None,
    drafts: Drafts = "hidden",
    feedback: str | Feedback = "fresh",
    parser: str | Parser = "answer",
    prompts: Prompts | None = None,
    signals: Mapping[str, Signal] = DEFAULT_SIGNALS,
    run_log: RunLog | None = None,
    checkpointer: BaseCheckpointSaver[Any] | bool | None = None,
    on_dm_failure: Literal["continue", "raise"] = "continue",
    reasoner_failures: tuple[type[Exception], ...] | Callable[[Exception], bool] | None = None,
    review: Review | None = None,
    max_batch: int = 64,
    explore: float = 0.0,
    mode: Mode = "enforce",
    share: float = 0.1,
    on_uncertified: OnUncertified = "warn",
    name: str = "drr",
) -> DRRGraph:
    """Build the loop as a compiled graph, to run alone or as a node of another graph.

    Input is `{"messages": […]}`: the last human message is the question, what stands before it its context. Output is
    `{"messages", "drr"}`: the chosen reply alone added to the messages, and the whole `Run`.

    Args:
        reasoner: any chat model; called once a turn.
        dm: judges each attempt; `None` leaves attempts unscored, for policies that need no scores.
        policy: when to accept and which answer stands; the default is what was learned with the DM: a `StoppingPolicy`
            where its log could teach one, else a `ConsensusPolicy`.
        max_turns: the most think calls a run makes. By default 4; with the default policy of a DM that holds a
            certificate, as many as that is about, since with any other number runs are uncertified.
        budget: further limits of a run; the default `Budget()` is on and generous.
        thread_budget: limits of all runs of a thread together, as far as a checkpointer remembers them; none by
            default. A run that begins with nothing left asks nobody, and has no answer.
        drafts: who hears a draft while it is written. `hidden`: nobody, and in `stream_mode="messages"` the chosen
            answer comes as one message. `live`: that stream has the tokens of every draft, rejected ones included.
            `channel`: custom events `drr.draft` have them, and messages are as for `hidden`.
        feedback: what the Reasoner is told after a rejection: `fresh`, `history`, `contrast`, or your own.
        parser: how the answer is read: `answer`, `number`, `choice`, `message`, `structured`, or your own.
        prompts: the wording of every turn.
        signals: named functions of an attempt; must be those the DM was trained with.
        run_log: where each run is written.
        checkpointer: as for `StateGraph.compile`.
        on_dm_failure: `continue` leaves the attempt unscored and lets the policy decide; `raise` ends the run.
        reasoner_failures: errors that cost a turn and stand in its attempt, or a function that knows them; others end
            the run. The default, `is_transient`, is time-outs, connection errors, rate limits and server errors.
        review: who decides where the policy ends a run for review: `Escalate(reasoner=…)`, `Judge(model=…)`, or
            `Human()`, which needs a checkpointer, this graph's or its host's. By default nobody: the run just says so.
        max_batch: the most attempts of concurrent runs that share one DM batch.
        explore: the probability with which a run thinks on after the policy has ended it (accept, stop, review), to
            the end of its turns or budget. What stood at that end stands; the further attempts are for the log, which
            else never shows what would have come after an early end. They cost what they cost, count in the run's
            usage, and stop short of the caller's `recursion_limit`.
        mode: `shadow`: one Reasoner call, whose reply is returned as it is; the DM scores it, and the run says what the
            policy would have done. `canary`: enforces a `share` of the threads (of the runs, without threads), and
            shadows the rest. A run may say otherwise, by `drr_mode` in its `configurable` or context.
        share: of the threads that a canary enforces, by a stable hash of their ids.
        on_uncertified: where the DM holds a certificate and it is about another setup (DM, policy, prompts, Reasoner,
            feedback, `max_turns`): `warn` says what differs in an `UncertifiedWarning`; `raise` builds no graph, and
            none for a DM without a certificate either. Each run says whether it was `certified`.
        name: the graph's name in traces.

    Raises:
        ConfigError: a setting that cannot work.
    """
    certificates: Sequence[Certificate] = getattr(getattr(dm, "manifest", None), "certificates", ())
    if max_turns is None:
        max_turns = _default_turns(certificates if policy is None else ())
    if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
        raise ConfigError(f"`max_turns` must be a whole number of at least 1, got {max_turns!r}")
    if isinstance(explore, bool) or not isinstance(explore, int | float) or not 0.0 <= explore <= 1.0:
        raise ConfigError(f"`explore` must be a probability in [0, 1], got {explore!r}")
    if drafts not in get_args(Drafts):
        raise ConfigError(f"`drafts` must be one of {', '.join(get_args(Drafts))}, got {drafts!r}")
    if dm is not None and not isinstance(dm, DiscriminativeModel):
        raise ConfigError(f"`dm` must have `digest` and `score`, got {type(dm).__name__}; load a folder with `load_dm`")
    _require_signals(dm, signals)
    _require_resumable(review, checkpointer)
    prompts = Prompts() if prompts is None else prompts
    budget = Budget() if budget is None else budget
    chosen = default_policy(dm) if policy is None else policy
    policy = within(chosen, max_turns)
    identity: RunIdentity = {
        "reasoner": describe_reasoner(reasoner),
        "dm": None if dm is None else dm.digest,
        "prompts": prompts.digest,
        "policy": repr(policy),
    }
    strategy = get_feedback(feedback)
    setup = Setup(
        identity=identity,
        feedback=_feedback_kind(strategy),
        max_turns=max_turns,
        policy_within=lambda turns: repr(within(chosen, turns)),
    )
    certified = check_certificates(certificates, setup, on_uncertified=on_uncertified)
    think = Think(
        reasoner=reasoner,
        parser=get_parser(parser),
        feedback=strategy,
        prompts=prompts,
        is_failure=_as_predicate(reasoner_failures),
        max_seconds=budget.max_seconds,
        drafts=drafts,
    )
    batcher: Batcher[ScoreRequest, Score] | None = None if dm is None else Batcher(scorer(dm), max_batch=max_batch)
    score = ScoreNode(
        batcher=batcher,
        signals=signals,
        failures=_DM_FAILURES if on_dm_failure == "continue" else (),
        run_log=run_log,
    )
    limits = Limits.of(identity["reasoner"], budget, thread_budget)
    decide = Decide(
        policy=policy,
        max_turns=max_turns,
        limits=limits,
        identity=identity,
        run_log=run_log,
        explore=float(explore),
        certified=certified,
        reviews=review is not None,
    )
    reviewer = None if review is None else create_review(review, think, score, policy=policy, limits=limits)
    begin = Begin(identity=identity, rollout=Rollout(mode=mode, share=share))
    return _compile(begin, think, score, decide, reviewer, checkpointer=checkpointer, name=name)


def _require_resumable(review: Review | None, checkpointer: object) -> None:
    """What can be known here: a graph without a saver of its own may have that of its host."""
    if isinstance(review, Human) and checkpointer is False:
        raise ConfigError(
            "`review=Human()` needs a checkpointer to be resumed, got `checkpointer=False`; pass a saver, or leave it "
            "out for that of the host"
        )
    if review is not None and not isinstance(review, Review):
        raise ConfigError(f"`review` must be Escalate(…), Judge(…), Human() or None, got {review!r:.100}")


def _default_turns(certificates: Sequence[Certificate]) -> int:
    """As many as the DM's certificate is about: of several, the latest."""
    return certificates[-1].max_turns if certificates else _MAX_TURNS


def _require_signals(dm: DiscriminativeModel | None, signals: Mapping[str, Signal]) -> None:
    """A signal that the DM was trained with and nobody computes would count as missing, without a word."""
    known = getattr(getattr(dm, "manifest", None), "signals", ())
    absent = [name for name in known if name not in signals]
    if absent:
        raise ConfigError(
            f"`signals` must hold those the DM was trained with, got none for {', '.join(absent)}; "
            "pass {**DEFAULT_SIGNALS, ...} with yours"
        )


def _compile(
    begin: Begin,
    think: Think,
    score: ScoreNode,
    decide: Decide,
    review: ReviewNode | None,
    *,
    checkpointer: BaseCheckpointSaver[Any] | bool | None,
    name: str,
) -> DRRGraph:
    builder = StateGraph(DRRState, input_schema=DRRInput, output_schema=DRROutput)
    builder.add_node("begin", begin.as_node())
    builder.add_node("think", think.as_node())
    builder.add_node("score", score.as_node())
    ends = ("think", END) if review is None else ("think", "review", END)
    builder.add_node("decide", decide.as_node(), input_schema=DecideState, destinations=ends)
    if review is not None:
        builder.add_node("review", review.as_node(), input_schema=ReviewState)
        builder.add_edge("review", END)
    builder.add_edge(START, "begin")
    builder.add_conditional_edges("begin", decide.first, ["think", "decide"])
    builder.add_edge("think", "score")
    builder.add_edge("score", "decide")
    return builder.compile(checkpointer=checkpointer, name=name)


def default_policy(dm: DiscriminativeModel | None) -> Policy:
    """What was learned with the DM: when to stop, else a consensus with the weights and threshold of calibration."""
    stored: Policy | None = getattr(dm, "stopping", None) or getattr(dm, "consensus", None)
    return ConsensusPolicy() if stored is None else stored


def _feedback_kind(feedback: Feedback) -> str:
    """What the attempts of a log say of how they were asked for, under this strategy."""
    kinds = (kind for kind, known in FEEDBACK.items() if type(known) is type(feedback))
    return next(kinds, type(feedback).__name__)


def _as_predicate(
    failures: tuple[type[Exception], ...] | Callable[[Exception], bool] | None,
) -> Callable[[Exception], bool]:
    if failures is None:
        return is_transient
    return (lambda error: isinstance(error, failures)) if isinstance(failures, tuple) else failures
