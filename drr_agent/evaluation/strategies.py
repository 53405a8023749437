"""What an evaluation runs side by side: DRR in its settings, and what one would use instead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_core.language_models import BaseChatModel

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.errors import ConfigError
from drr_agent.evaluation.certification import certificates_of
from drr_agent.grading import AUTO, Grader
from drr_agent.graphs import create_baseline, create_drr_graph
from drr_agent.graphs.drr import DRRGraph, default_policy
from drr_agent.policy import ConsensusPolicy, Policy, ThresholdPolicy
from drr_agent.prompts import Prompts
from drr_agent.stopping import StoppingPolicy

VOTING = ("self_consistency", "adaptive_consistency")
"""The baselines that vote, which DRR has to beat at equal Reasoner calls."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One way of answering, in one setting."""

    name: str
    setting: str
    create: Callable[[BaseChatModel, DiscriminativeModel | None], DRRGraph]
    greedy: bool = False
    """Whether the Reasoner is asked at temperature 0."""

    @property
    def label(self) -> str:
        """How it is called in progress and timings."""
        return f"{self.name} {self.setting}".strip()


def greedy_reasoner(reasoner: BaseChatModel) -> BaseChatModel:
    """The same Reasoner at temperature 0.

    Raises:
        ConfigError: it has no temperature to set.
    """
    if "temperature" not in type(reasoner).model_fields:
        raise ConfigError(
            f"expected a Reasoner with a `temperature`, got {type(reasoner).__name__}; set `greedy=False` (--no-greedy)"
        )
    return reasoner.model_copy(update={"temperature": 0.0})


def baseline(name: str, setting: str, **options: Any) -> Strategy:
    """A baseline in a setting; `options` are those of its factory."""
    return Strategy(name=name, setting=setting, create=partial(create_baseline, name, **options))


def drr(name: str, setting: str, policy: Policy, **options: Any) -> Strategy:
    """DRR under a policy; `options` are those of `create_drr_graph`."""
    return Strategy(
        name=name, setting=setting, create=partial(create_drr_graph, policy=policy, on_uncertified="ignore", **options)
    )


def standard_strategies(
    dm: DiscriminativeModel | None,
    *,
    max_turns: int,
    policy: Policy | None = None,
    threshold: float | None = None,
    greedy: bool = True,
    grader: Grader = AUTO,
    prompts: Prompts | None = None,
) -> list[Strategy]:
    """DRR with its policy first, the paper's threshold rule fresh and with history, then every baseline.

    Args:
        dm: the DM; without one the strategies that need scores are left out.
        max_turns: the most think calls of any strategy; voting is also run with fewer.
        policy: DRR's policy; by default what calibration stored in the DM.
        threshold: of the paper's rule; by default the policy's own, or 0.5.
        grader: which answers agree, for whatever votes.
        greedy: whether to also try one attempt at temperature 0, the strongest thing one call can buy.
        prompts: the wording of every turn, for all of them.
    """
    several: dict[str, Any] = {"max_turns": max_turns, "prompts": prompts}
    fewer = sorted({k for k in (2, 3, 5) if k < max_turns} | {max_turns})
    voting = [baseline("self_consistency", f"k={k}", **{**several, "max_turns": k}, grader=grader) for k in fewer]
    voting += [
        baseline("adaptive_consistency", f"confidence={c:g}", confidence=c, grader=grader, **several)
        for c in (0.8, 0.9, 0.95)
    ]
    single = [baseline("single_pass", "", prompts=prompts)]
    if greedy:
        single.append(replace(single[0], setting="at temperature 0", greedy=True))
    others = [*single, *voting, baseline("self_critique", "history", **several)]
    if dm is None:
        return others
    chosen = default_policy(dm) if policy is None else policy
    stored: ConsensusPolicy | None = getattr(dm, "consensus", None)
    beside = [stored] if stored is not None and isinstance(chosen, StoppingPolicy) else []
    judged = [with_grader(policy, grader) for policy in (chosen, *beside)]
    return [*_with_dm(judged, threshold, several, certified=bool(certificates_of(dm))), *others]


def with_grader(policy: Policy, grader: Grader) -> Policy:
    """A policy with a grader, where it compares answers."""
    return replace(policy, grader=grader) if isinstance(policy, ConsensusPolicy | StoppingPolicy) else policy


def _with_dm(
    policies: Sequence[Policy], threshold: float | None, several: dict[str, Any], *, certified: bool
) -> list[Strategy]:
    known = [p.threshold for p in policies if isinstance(p, ConsensusPolicy | ThresholdPolicy)]
    paper = ThresholdPolicy(threshold=[*known, 0.5][0] if threshold is None else threshold)
    setting = f"at {paper.threshold:g}"
    return [
        *(drr(*_called(policy, certified=certified), policy, **several) for policy in policies),
        drr("drr_threshold", f"{setting}, fresh", paper, **several),
        drr("drr_threshold", f"{setting}, history", paper, feedback="history", **several),
        baseline("best_of_n", f"n={several['max_turns']}", **several),
    ]


def _called(policy: Policy, *, certified: bool) -> tuple[str, str]:
    """A policy's strategy and setting; a certificate is of where it accepts."""
    kind = type(policy).__name__.removesuffix("Policy").lower()
    if isinstance(policy, StoppingPolicy):
        accepts = f", accept_at {policy.accept_at:g}" if certified else ""
        return f"drr_{kind}", f"worth {policy.worth:g} calls{accepts}"
    return f"drr_{kind}", f"at {policy.threshold:g}" if isinstance(policy, ConsensusPolicy | ThresholdPolicy) else ""
