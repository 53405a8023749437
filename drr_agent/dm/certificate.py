"""The certificate: what was proved of a DM's loop, with everything that the proof depends on.

It holds for one setup. A graph that runs another one is uncertified, and says so.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from drr_agent.errors import ConfigError, UncertifiedWarning
from drr_agent.state import RunIdentity

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Probability = Annotated[FiniteFloat, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=0)]

OnUncertified = Literal["warn", "raise", "ignore"]
"""What becomes of a graph that its DM's certificate is not about."""


class Dependencies(BaseModel):
    """What a certificate is about; where one of these differs, it says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dm: str
    """The DM's digest: weights, fusion and calibration."""
    policy: str
    """The policy in full, as runs record it, its threshold included."""
    prompts: tuple[str | None, ...]
    """Digests of the prompts that the attempts were asked with; `None` stands for those that nobody recorded."""
    reasoners: tuple[str, ...]
    """Whose attempts. Several: it is about their mix, and about none of them alone."""
    feedback: tuple[str, ...]
    """What the Reasoner was told when it thought again."""
    dataset: str | None
    """Digest of the dataset; where the labels came from, not a part of the setup."""

    @property
    def is_mixed(self) -> bool:
        """Whether the labels are of several setups, or of unknown ones, so that it is about no graph."""
        parts = (self.prompts, self.reasoners, self.feedback)
        return any(len(part) != 1 or None in part or "unknown" in part for part in parts)


class Certificate(BaseModel):
    """Of the answers accepted, at most a share is wrong, with a confidence; see `drr_agent.training.certify`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    target_error: Probability
    """The largest share of wrong answers among those accepted."""
    confidence: Probability
    """Of the whole procedure, the choice of the threshold included."""
    threshold: Share
    coverage: Share
    """Share of the questions that end in an accept."""
    coverage_ci: tuple[Share, Share]
    """Clopper and Pearson's interval at that confidence, whatever unfinished runs would have come to."""
    accepted: Count
    wrong: Count
    unfinished: Count = 0
    """Runs whose log ends before the policy does; tested as if accepted and wrong, and no part of the coverage."""
    questions: Count
    """Labelled questions that it rests on, one run each."""
    left_out: Count = 0
    """Labelled questions that it does not rest on, since the DM was trained on them."""
    unjudged_share: Share = 0.0
    """Share of the runs that nobody judged: the promise is about those only as far as the judged stand for them."""
    set_aside: Count = 0
    """Judged runs that it does not rest on, since they may have been chosen by what is in them."""
    error_bound: Share
    """Clopper and Pearson's upper bound of the error at this threshold alone, the unfinished runs counted as wrong."""
    max_turns: Annotated[int, Field(ge=1)]
    judged_share: Share
    """Share of the labels that are an LLM judge's: as far as it errs, the promise is about what it says."""
    tried: Annotated[int, Field(ge=1)]
    """How many thresholds were tried; accounted for."""
    depends_on: Dependencies

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if not self.wrong <= self.accepted <= self.questions - self.unfinished:
            raise ValueError(
                f"{self.wrong} wrong of {self.accepted} accepted and {self.unfinished} unfinished of {self.questions} "
                "cannot be"
            )
        return self

    @property
    def sentence(self) -> str:
        """The promise in words."""
        low, high = (f"{100 * end:.0f}" for end in self.coverage_ci)
        return (
            f"certified: at most {percent(self.target_error)} of the accepted answers are wrong, with "
            f"{percent(self.confidence)} confidence; accepts {100 * self.coverage:.0f} % ({low} to {high}) of the "
            f"questions at threshold {self.threshold:g}{self._doubts}"
        )

    @property
    def _doubts(self) -> str:
        """What is behind the numbers, where there is something."""
        short = f"; {self.unfinished} runs logged too few turns, and count as wrong" if self.unfinished else ""
        known = f"; {self.left_out} questions are left out, as the DM was trained on them" if self.left_out else ""
        aside = (
            f"; {self.set_aside} judged runs are not used, as they may have been chosen by what is in them"
            if self.set_aside
            else ""
        )
        return short + known + aside + self._chosen

    @property
    def _chosen(self) -> str:
        """What nobody judged; where it is much, what that means."""
        if not self.unjudged_share:
            return ""
        told = f"; {100 * self.unjudged_share:.1f} % of the runs have an answer that nobody judged"
        if self.unjudged_share > 0.05:
            return f"{told}, so it is about runs like those that were labelled"
        return f"{told}, which counts as wrong"


def percent(share: float) -> str:
    """A share in words, with no more digits than it needs."""
    return f"{100 * share:.6g} %"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a graph is about to run with."""

    identity: RunIdentity
    feedback: str
    max_turns: int
    policy_within: Callable[[int], str]
    """The policy as runs would record it, were they of at most so many turns: one that looks ahead goes by them."""


def differences(certificate: Certificate, setup: Setup) -> list[str]:
    """What of a setup is not what the certificate is about, in words; empty where it holds.

    It cannot see what no log records: the Reasoner's sampling settings, the parser, what a signal's function does, and
    budgets, which a certificate takes to be ample.
    """
    about, identity = certificate.depends_on, setup.identity
    compared = {
        "the DM": ((about.dm,), identity["dm"]),
        "the policy": ((about.policy,), setup.policy_within(certificate.max_turns)),  # turns have a line of their own
        "the prompts": (about.prompts, identity["prompts"]),
        "the Reasoner": (about.reasoners, identity["reasoner"]),
        "`max_turns`": ((certificate.max_turns,), setup.max_turns),
    }
    if max(setup.max_turns, certificate.max_turns) > 1:
        compared["the feedback"] = (about.feedback, setup.feedback)
    mended = {"`max_turns`": f"; pass max_turns={certificate.max_turns}"}
    return [
        f"{name} (certified with {_several(certified)}, in use {in_use}{mended.get(name, '')})"
        for name, (certified, in_use) in compared.items()
        if certified != (in_use,)
    ]


def check_certificates(
    certificates: Sequence[Certificate], setup: Setup, *, on_uncertified: OnUncertified
) -> bool | None:
    """Whether one of a DM's certificates holds for a setup; `None` where it has none.

    A warning names what differs from the certificate that is nearest. There is none for a policy of another kind than
    was certified: whoever passes one does not mean the certificate.

    Raises:
        ConfigError: none holds, or there is none, and `on_uncertified` is `raise`.
    """
    if on_uncertified not in ("warn", "raise", "ignore"):
        raise ConfigError(f"`on_uncertified` must be warn, raise or ignore, got {on_uncertified!r}")
    if not certificates:
        if on_uncertified == "raise":
            raise ConfigError(
                "expected a DM with a certificate, got one without; make one with `drr calibrate --target-error`, or "
                "build the graph with on_uncertified='warn'"
            )
        return None
    nearest = min(certificates, key=lambda certificate: len(differences(certificate, setup)))
    found = differences(nearest, setup)
    if found and on_uncertified == "raise":
        raise ConfigError(
            f"expected the setup that the DM's certificate is about, got another: {'; '.join(found)}; "
            "restore it, or certify this one with `drr calibrate --target-error`"
        )
    if found and on_uncertified == "warn" and _kind(nearest.depends_on.policy) == _kind(setup.identity["policy"]):
        warnings.warn(
            f"the graph runs uncertified, since this is not what the DM's certificate is about: {'; '.join(found)}. "
            "Restore it, or certify this setup with `drr calibrate --target-error`",
            UncertifiedWarning,
            stacklevel=3,
        )
    return not found


def _kind(policy: str) -> str:
    return policy.partition("(")[0]


def _several(certified: Sequence[object]) -> str:
    return " and ".join("what nobody recorded" if one is None else str(one) for one in certified) or "none"
