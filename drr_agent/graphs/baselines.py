"""What one would use instead of DRR, as graphs of the same shape, so that a comparison compares one thing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage

from drr_agent.dm.protocol import DiscriminativeModel, Score, ScoreRequest
from drr_agent.errors import ConfigError
from drr_agent.grading import AUTO, Grader
from drr_agent.graphs.drr import DRRGraph, create_drr_graph
from drr_agent.metadata import read_usage
from drr_agent.parsing import split_reasoning
from drr_agent.policy import BestScorePolicy, MajorityPolicy, ThresholdPolicy
from drr_agent.prompts import Prompts


@dataclass(frozen=True, kw_only=True)
class SelfCritic:
    """The Reasoner as its own judge: asked whether its answer is right, `yes` scores 1 and anything else 0."""

    reasoner: BaseChatModel
    prompts: Prompts

    @property
    def digest(self) -> str:
        """The prompts decide, beside the Reasoner that the run already names."""
        return self.prompts.digest

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Ask about each attempt, one call each; what the calls cost comes back in the scores."""
        replies = self.reasoner.batch([self._messages(request) for request in requests])
        return [_verdict(reply) for reply in replies]

    def _messages(self, request: ScoreRequest) -> list[Any]:
        attempt = f"{request.rationale}\nAnswer: {request.answer}".lstrip()
        question = f"{request.context}\n\n{request.question}" if request.context else request.question
        asked = self.prompts.ask(HumanMessage(question))
        return [asked, AIMessage(attempt), HumanMessage(self.prompts.critique)]


def _verdict(reply: AIMessage) -> Score:
    _, text = split_reasoning(reply)
    return Score(float(text.strip().lower().startswith("yes")), usage=read_usage(reply))


def single_pass(reasoner: BaseChatModel, dm: DiscriminativeModel | None, **options: Any) -> DRRGraph:  # noqa: ARG001
    """One chain of thought."""
    return create_drr_graph(reasoner, None, policy=MajorityPolicy(), name="single_pass", **{**options, "max_turns": 1})


def self_consistency(
    reasoner: BaseChatModel,
    dm: DiscriminativeModel | None,  # noqa: ARG001
    *,
    grader: Grader = AUTO,
    **options: Any,
) -> DRRGraph:
    """Majority of `max_turns` independent draws (Wang et al. 2022, arXiv 2203.11171)."""
    policy = MajorityPolicy(grader=grader)
    return create_drr_graph(reasoner, None, policy=policy, name="self_consistency", **options)


def adaptive_consistency(
    reasoner: BaseChatModel,
    dm: DiscriminativeModel | None,  # noqa: ARG001
    *,
    confidence: float = 0.95,
    grader: Grader = AUTO,
    **options: Any,
) -> DRRGraph:
    """Self-consistency that stops once the lead is safe by the Beta rule."""
    policy = MajorityPolicy(confidence=confidence, grader=grader)
    return create_drr_graph(reasoner, None, policy=policy, name="adaptive_consistency", **options)


def best_of_n(reasoner: BaseChatModel, dm: DiscriminativeModel | None, **options: Any) -> DRRGraph:
    """The draw with the highest score of the DM."""
    if dm is None:
        raise ConfigError("`best_of_n` needs a DM to choose by, got None")
    return create_drr_graph(reasoner, dm, policy=BestScorePolicy(), name="best_of_n", **options)


def self_critique(reasoner: BaseChatModel, dm: DiscriminativeModel | None, **options: Any) -> DRRGraph:  # noqa: ARG001
    """The Reasoner judges its own attempt, and thinks again with the history of what it rejected."""
    critic = SelfCritic(reasoner=reasoner, prompts=options.get("prompts") or Prompts())
    settings = {"feedback": "history", **options}
    return create_drr_graph(reasoner, critic, policy=ThresholdPolicy(), name="self_critique", **settings)


BASELINES: dict[str, Callable[..., DRRGraph]] = {
    factory.__name__: factory
    for factory in (single_pass, self_consistency, adaptive_consistency, best_of_n, self_critique)
}


def create_baseline(name: str, reasoner: BaseChatModel, dm: DiscriminativeModel | None, **options: Any) -> DRRGraph:
    """A baseline by name; `options` are those of `create_drr_graph`.

    Raises:
        ConfigError: no baseline has that name.
    """
    if name not in BASELINES:
        raise ConfigError(f"the baseline must be one of {', '.join(BASELINES)}, got {name!r}")
    return BASELINES[name](reasoner, dm, **options)
