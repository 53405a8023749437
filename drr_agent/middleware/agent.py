"""`DRRMiddleware`: an agent's final answers are scored, and rejected ones thought again."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, hook_config
from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime

from drr_agent.batching import Batcher
from drr_agent.budget import Budget, Limits
from drr_agent.dm.certificate import Certificate, OnUncertified, Setup, check_certificates
from drr_agent.dm.protocol import DiscriminativeModel, Score, ScoreRequest
from drr_agent.errors import ConfigError
from drr_agent.feedback import Feedback
from drr_agent.graphs.drr import _DM_FAILURES, _default_turns, _feedback_kind, _require_signals, default_policy
from drr_agent.middleware.asking import AGENT_PROMPTS, Asking
from drr_agent.middleware.effects import adrive, drive
from drr_agent.middleware.loop import Deciders, Drafts, Loop
from drr_agent.middleware.state import DRRAgentState
from drr_agent.nodes import Decide, ScoreNode
from drr_agent.nodes.score import scorer
from drr_agent.parsing import Parser, StructuredOutput, get_parser
from drr_agent.policy import Policy, within
from drr_agent.prompts import Prompts
from drr_agent.reasoners.resolve import describe_reasoner
from drr_agent.runs import RunLog
from drr_agent.signals import DEFAULT_SIGNALS, Signal
from drr_agent.state import RunIdentity


class DRRMiddleware(AgentMiddleware[DRRAgentState, Any, Any]):
    """Has the DM score the agent's final answers; what the policy rejects is thought again.

    Put it first in the list. Tool calls pass through, also those of a second try. When the policy, the turns or the
    budget end the run, the best-supported answer stands at the end of the thread, as the model gave it. The whole `Run`
    is under the private state key `drr`. An agent takes one of these.

    Args:
        dm: judges each answer; `None` leaves answers unscored, for policies that need no scores.
        policy: when to accept and which answer stands; the default is what was learned with the DM. It may not
            abstain, since an agent has to end with an answer.
        max_turns: the most tries a run makes; by default 4, or what the DM's certificate is about. A try is all model
            calls up to a final answer.
        budget: further limits, of a run's model calls. The first try is never cut off; limit it as any agent.
        drafts: `hidden` keeps rejected answers out of the thread, and every token but the chosen answer's out of
            `stream_mode="messages"`; all tries are one step of the agent's graph. `visible` leaves rejected answers
            and feedback in both; each try is a step, with its checkpoint.
        feedback: what a further try is told: `fresh` nothing, `history` the rejected answers and that they are wrong,
            `contrast` their names; or one of these with settings of its own.
        parser: how an answer is read: `message` takes the visible text, `answer`, `number` and `choice` the line that
            the agent's own prompt has to ask for; or your own. A structured response is read by itself.
        prompts: the wording of feedback; only `wrong` and `contrast` are used.
        signals: named functions of an attempt; must be those the DM was trained with.
        run_log: where each run is written.
        reasoner: the name that runs are logged with; by default the model's. Neither it nor the digest of `prompts`
            changes with the agent's own prompt and tools: name what you change.
        on_dm_failure: `continue` leaves the attempt unscored and lets the policy decide; `raise` ends the agent.
        max_batch: the most answers of concurrent runs that share one DM batch.
        on_uncertified: as for `create_drr_graph`; checked when the model is first seen, or at once with `reasoner`.

    Raises:
        ConfigError: a setting that cannot work.
    """

    state_schema = DRRAgentState

    def __new__(cls, *, drafts: Drafts = "hidden", **settings: Any) -> "DRRMiddleware":  # noqa: ARG004
        """With visible drafts one that has a node after the model; without, the agent's graph is spared it."""
        return super().__new__(_WithVisibleDrafts if drafts == "visible" and cls is DRRMiddleware else cls)

    def __init__(
        self,
        *,
        dm: DiscriminativeModel | None,
        policy: Policy | None = None,
        max_turns: int | None = None,
        budget: Budget | None = None,
        drafts: Drafts = "hidden",
        feedback: str | Feedback = "fresh",
        parser: str | Parser = "message",
        prompts: Prompts = AGENT_PROMPTS,
        signals: Mapping[str, Signal] = DEFAULT_SIGNALS,
        run_log: RunLog | None = None,
        reasoner: str | None = None,
        on_dm_failure: Literal["continue", "raise"] = "continue",
        max_batch: int = 64,
        on_uncertified: OnUncertified = "warn",
    ) -> None:
        super().__init__()
        certificates: Sequence[Certificate] = getattr(getattr(dm, "manifest", None), "certificates", ())
        if max_turns is None:
            max_turns = _default_turns(certificates if policy is None else ())
        chosen = default_policy(dm) if policy is None else policy
        _check(dm, chosen, max_turns, drafts, signals)
        self._dm, self._policy, self._max_turns = dm, chosen, max_turns
        self._budget = Budget() if budget is None else budget
        self._prompts, self._run_log, self._reasoner = prompts, run_log, reasoner
        self._certificates, self._on_uncertified = certificates, on_uncertified
        self._known: dict[str, Deciders] = {}
        asking = Asking.of(feedback, prompts)
        self._feedback = _feedback_kind(asking.feedback)
        batcher: Batcher[ScoreRequest, Score] | None = None if dm is None else Batcher(scorer(dm), max_batch=max_batch)
        failures = _DM_FAILURES if on_dm_failure == "continue" else ()
        score = ScoreNode(batcher=batcher, signals=signals, failures=failures, run_log=run_log)
        self._loop = Loop(
            drafts=drafts,
            rounds=isinstance(self, _WithVisibleDrafts),
            asking=asking,
            parser=_get_parser(parser),
            budget=self._budget,
            score=score.as_node(),
            identify=self._identify,
            deciders=self._deciders,
        )
        if reasoner is not None:
            self._deciders(self._identity(reasoner))

    @property
    def name(self) -> str:
        """One name for both forms, since their runs would share their state."""
        return "DRRMiddleware"

    def before_agent(self, state: DRRAgentState, runtime: Runtime[Any]) -> dict[str, Any]:  # noqa: ARG002
        """What the thread remembers of a question before this one is over."""
        return {"drr_phase": "ended"}

    async def abefore_agent(self, state: DRRAgentState, runtime: Runtime[Any]) -> dict[str, Any]:
        """As `before_agent`."""
        return self.before_agent(state, runtime)

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Any]) -> Any:
        """Call the model, score its answer and, where drafts are hidden, call it again until one stands."""
        return drive(self._loop.call_model(request, handler))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> Any:
        """As `wrap_model_call`."""
        return await adrive(self._loop.call_model(request, handler))

    def after_agent(self, state: DRRAgentState, runtime: Runtime[Any]) -> Any:  # noqa: ARG002
        """The best answer, where the agent was ended in the middle of a further try."""
        return drive(self._loop.finish(state))

    async def aafter_agent(self, state: DRRAgentState, runtime: Runtime[Any]) -> Any:  # noqa: ARG002
        """As `after_agent`."""
        return await adrive(self._loop.finish(state))

    def _identify(self, model: Any) -> RunIdentity:
        if self._reasoner is not None:
            return self._identity(self._reasoner)
        return self._identity(describe_reasoner(model) if isinstance(model, BaseChatModel) else type(model).__name__)

    def _identity(self, reasoner: str) -> RunIdentity:
        return {
            "reasoner": reasoner,
            "dm": None if self._dm is None else self._dm.digest,
            "prompts": self._prompts.digest,
            "policy": repr(within(self._policy, self._max_turns)),
        }

    def _deciders(self, identity: RunIdentity) -> Deciders:
        """Those of a Reasoner, made when it is first seen: an agent may change its model from call to call."""
        if identity["reasoner"] not in self._known:
            self._known[identity["reasoner"]] = self._decide(identity)
        return self._known[identity["reasoner"]]

    def _decide(self, identity: RunIdentity) -> Deciders:
        setup = Setup(
            identity=identity,
            feedback=self._feedback,
            max_turns=self._max_turns,
            policy_within=lambda turns: repr(within(self._policy, turns)),
        )
        certified = check_certificates(self._certificates, setup, on_uncertified=self._on_uncertified)
        on, last = (
            Decide(
                policy=within(self._policy, self._max_turns),
                max_turns=self._max_turns,
                limits=Limits.of(identity["reasoner"], self._budget),
                identity=identity,
                run_log=self._run_log,
                certified=certified,
                is_last=is_last,
            )
            for is_last in (False, True)
        )
        return Deciders(on=on.as_node(), last=last.as_node())


class _WithVisibleDrafts(DRRMiddleware):
    """Each rejected answer is a round of the agent's graph."""

    @hook_config(can_jump_to=["model"])
    def after_model(self, state: DRRAgentState, runtime: Runtime[Any]) -> dict[str, Any] | None:  # noqa: ARG002
        """Back to the model after a rejected answer."""
        return {"jump_to": "model"} if state.get("drr_phase") == "again" else None

    @hook_config(can_jump_to=["model"])
    async def aafter_model(self, state: DRRAgentState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """As `after_model`."""
        return self.after_model(state, runtime)


def _check(
    dm: DiscriminativeModel | None, policy: Policy, max_turns: int, drafts: Drafts, signals: Mapping[str, Signal]
) -> None:
    if dm is not None and not isinstance(dm, DiscriminativeModel):
        raise ConfigError(f"`dm` must have `digest` and `score`, got {type(dm).__name__}; load a folder with `load_dm`")
    if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
        raise ConfigError(f"`max_turns` must be a whole number of at least 1, got {max_turns!r}")
    if drafts not in get_args(Drafts):
        raise ConfigError(f"`drafts` must be {' or '.join(get_args(Drafts))}, got {drafts!r}")
    if policy.abstain_below > 0:
        raise ConfigError(
            "`policy` must give an answer, since an agent has to end with one, got "
            f"abstain_below={policy.abstain_below}; set it to 0 and look at the run's `accepted`"
        )
    _require_signals(dm, signals)


def _get_parser(parser: str | Parser) -> Parser:
    found = get_parser(parser)
    if isinstance(found, StructuredOutput):
        raise ConfigError(
            "`parser` must read a message, got structured; give the agent a `response_format`, which is read by itself"
        )
    return found
