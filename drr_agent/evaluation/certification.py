"""What a DM's certificate says of what was replayed or evaluated: that it holds, or that it does not, and why."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drr_agent.dm.certificate import Certificate, Dependencies, percent
from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.evaluation.records import ReportPart
from drr_agent.policy import Policy

_MODEL = re.compile(r"model=StoppingModel\('\w*'\), ")
"""What a stopping policy has learned, in its `repr`: it is for one number of turns."""


class Certification(ReportPart):
    """Whether a certificate of the DM's is about this."""

    certified: bool
    told: str
    """In a sentence."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was replayed or evaluated."""

    policy: Policy
    max_turns: int
    reasoners: Sequence[str]
    prompts: Sequence[str | None]
    """Their digests; `None` stands for those that nobody recorded."""
    feedback: Sequence[str]
    logged_turns: int | None = None
    """The most turns that a replayed log holds, where these are fewer: the policy is then one for so many."""


def certificates_of(dm: DiscriminativeModel | None) -> Sequence[Certificate]:
    """A DM's certificates, the latest last."""
    found: Sequence[Certificate] = getattr(getattr(dm, "manifest", None), "certificates", ())
    return found


def certification(dm: DiscriminativeModel | None, measured: Measured) -> Certification | None:
    """What the nearest of a DM's certificates says; `None` for a DM without one."""
    certificates = certificates_of(dm)
    if dm is None or not certificates:
        return None
    nearest = min(certificates, key=lambda one: len(list(_reasons(one, dm.digest, measured))))
    reasons = list(_reasons(nearest, dm.digest, measured))
    promise = f"at most {percent(nearest.target_error)} of the accepted answers wrong"
    if not reasons:
        told = f"Certified: {promise}, with {percent(nearest.confidence)} confidence; this is what was certified."
        return Certification(certified=True, told=told)
    told = f"Uncertified: the DM's certificate ({promise}) is not about this, since {'; '.join(reasons)}."
    return Certification(certified=False, told=told)


def _reasons(certificate: Certificate, dm: str, measured: Measured) -> Iterator[str]:
    """What is not as it was certified."""
    about, turns = certificate.depends_on, certificate.max_turns
    if about.dm != dm:
        yield "the DM has changed"
    if turns != measured.max_turns:
        yield f"runs have at most {_turns(measured.max_turns)} here, and {_turns(turns)} there"
    elif measured.logged_turns is not None:
        yield f"the log holds at most {_turns(measured.logged_turns)}, and it is of {turns}"
    as_learned = turns == measured.max_turns and measured.logged_turns is None
    if not _same_policy(about.policy, repr(measured.policy), as_learned=as_learned):
        yield "the policy is another one"
    yield from _reasons_of_attempts(about, measured, several_turns=max(turns, measured.max_turns) > 1)


def _reasons_of_attempts(about: Dependencies, measured: Measured, *, several_turns: bool) -> Iterator[str]:
    if set(about.reasoners) != set(measured.reasoners):
        yield f"the attempts are by {_listed(measured.reasoners)} here, and by {_listed(about.reasoners)} there"
    if set(about.prompts) != set(measured.prompts):
        yield "the attempts were asked for with other prompts"
    if several_turns and set(about.feedback) != set(measured.feedback):
        yield f"the feedback is {_listed(measured.feedback)} here, and {_listed(about.feedback)} there"
    if about.is_mixed:
        yield "it is of several or unknown Reasoners, prompts or kinds of feedback, and a graph runs one of each"


def _same_policy(certified: str, used: str, *, as_learned: bool) -> bool:
    """Whether two are the same policy; where turns differ, whatever it has learned for so many."""
    return certified == used if as_learned else _MODEL.sub("", certified) == _MODEL.sub("", used)


def _turns(count: int) -> str:
    return f"{count} turn{'s' if count > 1 else ''}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(sorted(names)) or "nobody"
