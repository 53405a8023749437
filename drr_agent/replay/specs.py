"""Policies by one string, as families to replay."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.errors import ConfigError
from drr_agent.evaluation.certification import certificates_of
from drr_agent.grading import Grader
from drr_agent.graphs.drr import default_policy
from drr_agent.policy import BestScorePolicy, ConsensusPolicy, MajorityPolicy, Policy, ThresholdPolicy, within
from drr_agent.replay.families import Family, Labelled, OnePolicy
from drr_agent.replay.forms import AdaptiveFamily, ConsensusFamily, CountFamily, ThresholdFamily
from drr_agent.replay.stopping_form import StoppingFamily
from drr_agent.stopping import StoppingPolicy

VOTING = frozenset({"single", "self_consistency", "adaptive"})
"""Names of the families that vote, which a DM has to beat at equal calls."""
ALTERNATIVES = ("single", "self_consistency", "adaptive")
"""What a policy is set against by default."""


class Candidate(NamedTuple):
    """A family, and its setting where one was given."""

    family: Family
    setting: float | None


class Setting(NamedTuple):
    """What the number after a policy's name is."""

    name: str
    meaning: str
    example: str


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What all policies of a replay share."""

    dm: DiscriminativeModel | None
    grader: Grader
    max_turns: int
    """The most that the log holds, too: more of them would only look like another setting."""
    asked_turns: int | None = None
    """The most that were asked for, where the log holds fewer."""

    @property
    def counts(self) -> tuple[float, ...]:
        """Every number of turns."""
        return tuple(float(turns) for turns in range(1, self.max_turns + 1))

    def candidate(self, given: str | Policy | Family) -> Candidate:
        """A policy to replay.

        Args:
            given: a string such as `drr`, `stopping:50`, `consensus`, `threshold:0.7`, `adaptive:confidence=0.95`,
                `self_consistency:5`, `single` or `best_of_n`; any policy; or a family.

        Raises:
            ConfigError: no policy is called so, its setting is none, or it needs a DM and there is none.
        """
        if not isinstance(given, str):
            return self.of_policy(given) if isinstance(given, Policy) else Candidate(given, _only(given.settings))
        name, colon, setting = given.strip().partition(":")
        make = FORMS.get(name)
        if make is None:
            raise ConfigError(
                f"a policy must be one of {', '.join(FORMS)}, got {given!r}{_nearest(name, FORMS)}; "
                "see `drr replay --help`"
            )
        if self.dm is None and name not in UNSCORED:
            raise ConfigError(
                f"the policy {given!r} needs scores, got no DM; name one with `--dm`, or replay what needs none: "
                f"{', '.join(sorted(UNSCORED))}"
            )
        found = make(self)
        return found._replace(setting=self._setting(found, name, setting)) if colon else found

    def of_policy(self, policy: Policy, name: str | None = None) -> Candidate:
        """Any policy in its own setting; those of known form over their settings, too."""
        whole = within(_with_grader(policy, self.grader), self.asked_turns or self.max_turns)
        policy = within(whole, self.max_turns)
        if isinstance(policy, StoppingPolicy):
            return self._of_stopping(policy, whole, name or "stopping")
        if isinstance(policy, ConsensusPolicy):
            return Candidate(ConsensusFamily(name=name or "consensus", policy=policy), policy.threshold)
        if isinstance(policy, ThresholdPolicy):
            return Candidate(ThresholdFamily(name=name or "threshold", policy=policy), policy.threshold)
        if isinstance(policy, MajorityPolicy) and policy.confidence is not None:
            return Candidate(AdaptiveFamily(name=name or "adaptive", policy=policy), policy.confidence)
        return Candidate(OnePolicy(name=name or type(policy).__name__, policy=policy, max_turns=self.max_turns), 0.0)

    def _of_stopping(self, policy: StoppingPolicy, whole: Policy, name: str) -> Candidate:
        """A policy that looks ahead, with what it would be were the log longer."""
        horizon = whole.model.values.horizon if isinstance(whole, StoppingPolicy) else None
        shortened_from = None if horizon == policy.model.values.horizon else horizon
        certified = bool(certificates_of(self.dm))
        family = StoppingFamily(name=name, policy=policy, certified=certified, shortened_from=shortened_from)
        return Candidate(family, -1 / policy.worth)

    def _setting(self, found: Candidate, name: str, text: str) -> float:
        known = _SETTINGS.get(type(found.family))
        if known is None:
            raise ConfigError(f"{name!r} has no setting that a string can give, got {text!r}; write `{name}` alone")
        key, equals, number = text.rpartition("=")
        told = f"{name}:{text}"
        if equals and key.strip() != known.name:
            raise ConfigError(_expected(name, known, told) + _nearest(key.strip(), [known.name]))
        try:
            setting = float(number)
            setting = found.family.read_setting(setting) if isinstance(found.family, Labelled) else setting
            found.family.at(setting)
        except ConfigError as error:
            raise ConfigError(f"{_expected(name, known, told)} ({error})") from error
        except ValueError as error:
            raise ConfigError(_expected(name, known, told)) from error
        if isinstance(found.family, CountFamily) and setting not in found.family.settings:
            raise ConfigError(
                f"expected 1 to {self.max_turns} turns, the most that `max_turns` and the log allow, got {told!r}; "
                "give fewer"
            )
        return setting


def _expected(name: str, known: Setting, told: str) -> str:
    return (
        f"expected a setting of {name!r}, got {told!r}: it is `{known.name}`, {known.meaning}; write "
        f"`{name}:{known.example}` or `{name}:{known.name}={known.example}`"
    )


def _nearest(given: str, names: Iterable[str]) -> str:
    """The name that was probably meant, as the end of a sentence."""
    return "".join(f"; did you mean `{name}`?" for name in get_close_matches(given, list(names), n=1))


def _with_grader(policy: Policy, grader: Grader) -> Policy:
    """The policy with the replay's answer equality, where it compares answers."""
    given: Any = policy
    graded: Policy = replace(given, grader=grader) if "grader" in getattr(given, "__dataclass_fields__", {}) else policy
    return graded


def _only(settings: object) -> float | None:
    return float(settings[0]) if isinstance(settings, list | tuple) and len(settings) == 1 else None


def _drr(frame: Frame) -> Candidate:
    """The DM's own default."""
    return frame.of_policy(default_policy(frame.dm), "drr")


def _consensus(frame: Frame) -> Candidate:
    stored: ConsensusPolicy | None = getattr(frame.dm, "consensus", None)
    return frame.of_policy(ConsensusPolicy() if stored is None else stored)._replace(setting=None)


def _stopping(frame: Frame) -> Candidate:
    stored: StoppingPolicy | None = getattr(frame.dm, "stopping", None)
    if stored is None:
        why = getattr(getattr(frame.dm, "manifest", None), "no_stopping", None) or "it was trained without"
        raise ConfigError(
            f"the policy 'stopping' needs a DM that has learned when to stop, got one that has not: {why}"
        )
    return frame.of_policy(stored)._replace(setting=None)


def _threshold(frame: Frame) -> Candidate:
    return frame.of_policy(ThresholdPolicy())._replace(setting=None)


def _adaptive(frame: Frame) -> Candidate:
    return frame.of_policy(MajorityPolicy(confidence=0.95))._replace(setting=None)


def _self_consistency(frame: Frame) -> Candidate:
    policy = MajorityPolicy(grader=frame.grader)
    return Candidate(CountFamily(name="self_consistency", policy=policy, settings=frame.counts), None)


def _single(frame: Frame) -> Candidate:
    return Candidate(CountFamily(name="single", policy=MajorityPolicy(grader=frame.grader), settings=(1.0,)), 1.0)


def _best_of_n(frame: Frame) -> Candidate:
    return Candidate(CountFamily(name="best_of_n", policy=BestScorePolicy(), settings=frame.counts), None)


_PROBABILITY = "a probability from 0 to 1 from which an answer is accepted"
_SETTINGS: Mapping[type, Setting] = {
    StoppingFamily: Setting("worth", "of a right answer in Reasoner calls, above 0", "50"),
    ConsensusFamily: Setting("threshold", _PROBABILITY, "0.7"),
    ThresholdFamily: Setting("threshold", _PROBABILITY, "0.7"),
    AdaptiveFamily: Setting("confidence", _PROBABILITY, "0.95"),
    CountFamily: Setting("turns", "how many attempts are made", "3"),
}

FORMS: Mapping[str, Callable[[Frame], Candidate]] = {
    "drr": _drr,
    "stopping": _stopping,
    "consensus": _consensus,
    "threshold": _threshold,
    "best_of_n": _best_of_n,
    "adaptive": _adaptive,
    "self_consistency": _self_consistency,
    "majority": _self_consistency,
    "single": _single,
}
"""By the name that a string opens with."""
UNSCORED = frozenset({"adaptive", "self_consistency", "majority", "single"})
"""Those that look at no score."""


def spell(given: str) -> str:
    """One spelling of a policy's string for all that mean the same, as `single` for `majority:1`."""
    name, _, text = given.strip().partition(":")
    number = text.rpartition("=")[2].strip()
    try:
        setting = f"{float(number):g}"
    except ValueError:
        setting = number
    name = "self_consistency" if name == "majority" else name
    if (name, setting) in {("self_consistency", "1"), ("single", "1")}:
        return "single"
    return f"{name}:{setting}" if setting else name
