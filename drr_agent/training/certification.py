"""Certification: what a policy promises of its accepted answers, on questions that nothing in it was fitted to.

One run a question, since a certificate counts independent rows. Only answers with a label count, and a weak one is
none; what is a judge's word is told. A run that an accept cut off cannot be replayed beyond it: those that explored
stand for it by their weights (`drr_agent.training.weights`), and since an exact test needs equal weights, the sample is
thinned to one, by chance and not by what is in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from drr_agent.dm.certificate import Certificate, Dependencies
from drr_agent.dm.folder import add_questions, load_dm, update_manifest
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.errors import DMError
from drr_agent.grading import AUTO, Grader
from drr_agent.policy import ConsensusPolicy, Policy
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.behaviors import Behavior, is_labelled
from drr_agent.training.certify import Certified, best_first, certify
from drr_agent.training.independence import halves, one_run_each
from drr_agent.training.labels import label_kind
from drr_agent.training.logged import IDENTICAL, LabelledQuestion, canonical, label_questions, require_judged
from drr_agent.training.outcomes import outcomes
from drr_agent.training.refusal import Refusal, check_target, too_few
from drr_agent.training.weights import Coverage

CUTOFFS = (*(round(0.01 * step, 2) for step in range(5, 100)), 0.995)
"""The grid, fixed before any data are seen."""
Fit = TypeVar("Fit")
Promise = Certificate | Refusal


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is to be promised."""

    target_error: float
    confidence: float
    max_turns: int
    grader: Grader = AUTO

    def __post_init__(self) -> None:
        """Check the settings."""
        check_target(self.target_error, self.confidence)


def certify_half(
    path: Path,
    rows: Sequence[Behavior],
    fit: Callable[[Sequence[Behavior]], Fit],
    terms: Terms,
    *,
    dataset: str | None = None,
) -> tuple[Promise, Fit | None]:
    """Fit a DM's calibration and policy to one half of the questions, certify on the other, and store both.

    The halves are made by a hash of the question, so near-duplicates stay together. The half that fits also says
    where the tests begin.

    Args:
        path: the DM folder.
        rows: the calibration split.
        fit: calibrates the DM at `path`, and stores its consensus; given one half.
        terms: what is to be promised.
        dataset: digest of the dataset.

    Returns:
        The certificate, or why there is none; and what `fit` gave, `None` where it was not called.

    Raises:
        DataError: the half that fits does not do for a fit.
    """
    fitting, certifying = halves(rows)
    asked = [len({row["question_key"] for row in part if is_labelled(row)}) for part in (certifying, rows)]
    share = asked[0] / asked[1] if asked[0] else 0.5
    hopeless = too_few(asked[0], target_error=terms.target_error, confidence=terms.confidence, share=share)
    if hopeless is not None:
        return hopeless, None
    fitted = fit(fitting)
    return certify_dm(path, certifying, terms, other=fitting, share=share, dataset=dataset), fitted


def certify_dm(
    path: Path,
    rows: Sequence[Behavior],
    terms: Terms,
    *,
    other: Sequence[Behavior],
    share: float = 1.0,
    dataset: str | None = None,
) -> Promise:
    """Certify a threshold of the policy that is stored with a DM, and store it with its certificate.

    The policy is the one that graphs run by default: what was learned about stopping, else the consensus.

    Args:
        path: the DM folder, calibrated.
        rows: labelled attempts that neither DM nor policy was fitted to.
        terms: what is to be promised.
        other: attempts at other questions, which say where the tests begin.
        share: the share of all labelled questions that `rows` hold, for what a refusal asks for.
        dataset: digest of the dataset.

    Raises:
        DMError: there is no DM at `path`, or no policy with it.
        DataError: there are rows, and every question has an answer without a label.
    """
    dm = load_dm(path)
    policy = dm.stopping or dm.consensus
    if policy is None:
        raise DMError(f"expected a policy with the DM at {str(path)!r}, got none; run `drr calibrate`")
    log, policy = label_questions(rows, dm), replace(policy, grader=terms.grader)
    blind = _unseen(log.coverage)
    if blind is not None:
        return blind
    turns = _turns(one_run_each(log.questions), terms.max_turns)
    found = certify_policy(
        [canonical(question, terms.grader) for question in log.questions],
        partial(_at, replace(policy, grader=IDENTICAL)),
        CUTOFFS,
        max_turns=turns,
        target_error=terms.target_error,
        confidence=terms.confidence,
        other=[canonical(question, terms.grader) for question in label_questions(other, dm).questions],
        share=share,
    )
    if isinstance(found, Refusal):
        return found
    certificate = _write(found, rows, dm, _at(policy, found.cutoff), replace(terms, max_turns=turns), dataset)
    update_manifest(path, **_stored(dm, found.cutoff), certificates=(certificate,))
    add_questions(path, (row["question_key"] for row in rows))
    return certificate


def _at(policy: ConsensusPolicy | StoppingPolicy, cutoff: float) -> ConsensusPolicy | StoppingPolicy:
    """The policy with a cut-off of its confidence."""
    if isinstance(policy, StoppingPolicy):
        return replace(policy, accept_at=cutoff)
    return replace(policy, threshold=cutoff)


def _stored(dm: TransformersDM | SignalDM, cutoff: float) -> dict[str, Any]:
    """The field of the manifest that holds the policy, with its cut-off."""
    name = "consensus" if dm.manifest.stopping is None else "stopping"
    place = "threshold" if dm.manifest.stopping is None else "accept_at"
    return {name: {**getattr(dm.manifest, name).model_dump(), place: cutoff}}


def certify_policy(
    questions: Sequence[LabelledQuestion],
    at: Callable[[float], Policy],
    cutoffs: Sequence[float],
    *,
    max_turns: int,
    target_error: float,
    confidence: float,
    other: Sequence[LabelledQuestion] = (),
    share: float = 1.0,
) -> Certified | Refusal:
    """Certify a cutoff of a family of policies.

    Args:
        questions: scored, labelled attempts that no part of the policy was fitted to.
        at: the policy at a cutoff.
        cutoffs: as for `certify`.
        max_turns: the most calls a question. A run that is logged shorter, and would go on, counts as accepted and
            wrong: the worst it could have come to.
        target_error: as for `certify`.
        confidence: as for `certify`.
        other: other questions, from which the order of the tests is learned; without them it is from the strictest.
        share: as for `certify`.

    Raises:
        DataError: there is no question whose every answer has a label.
    """
    runs = one_run_each(require_judged(questions, purpose="certify"))
    order = None
    if other:
        seen = outcomes(one_run_each(require_judged(other, purpose="order the tests")), at, cutoffs, max_turns)
        order = best_first(*seen, cutoffs, target_error=target_error)
    accepted, right = outcomes(runs, at, cutoffs, max_turns)
    found = certify(
        accepted, right, cutoffs, target_error=target_error, confidence=confidence, order=order, share=share
    )
    short = sum(len(run.attempts) < max_turns for run in runs)
    if isinstance(found, Refusal) and short:
        told = (
            f" {short} of {len(runs)} runs have fewer than {max_turns} attempts and count as wrong where they would go "
        )
        return found._replace(reason=found.reason + told + "on: certify for fewer turns (`--max-turns`), or log more.")
    return found


def _turns(questions: Sequence[LabelledQuestion], max_turns: int) -> int:
    """Turns that the log can tell of."""
    return min(max_turns, max((len(question.attempts) for question in questions), default=max_turns))


def _unseen(coverage: Coverage) -> Refusal | None:
    """A log that hides a part of the runs is no fair sample, whatever the rest says."""
    if coverage.unexplored:
        return Refusal(
            f"{coverage.unexplored} runs were cut off by an accept, and no run of their Reasoner that explored stands "
            "for them. Log with `create_drr_graph(…, explore=0.05)`, or certify on distilled attempts.",
            None,
        )
    if coverage.unlike:
        return Refusal(
            f"{coverage.unlike} questions or runs have an answer that nobody judged, and none like them is judged: "
            "what is left is no fair sample. `drr label` asks for the rest.",
            None,
        )
    return None


def _write(
    found: Certified,
    rows: Sequence[Behavior],
    dm: TransformersDM | SignalDM,
    policy: Policy,
    terms: Terms,
    dataset: str | None,
) -> Certificate:
    labelled = [row for row in rows if is_labelled(row)]
    told = {row["feedback"] for row in rows} - {"first", "no_answer"}
    return Certificate(
        target_error=terms.target_error,
        confidence=terms.confidence,
        threshold=found.cutoff,
        max_turns=terms.max_turns,
        judged_share=sum(label_kind(row["label_source"] or "") == "judge" for row in labelled) / len(labelled),
        depends_on=Dependencies(
            dm=dm.digest,
            policy=repr(policy),
            prompts=tuple(sorted({row["prompts"] for row in rows}, key=str)),
            reasoners=tuple(sorted({row["reasoner"] for row in rows})),
            feedback=tuple(sorted(told)) or ("fresh",),
            dataset=dataset,
        ),
        **{name: value for name, value in found._asdict().items() if name != "cutoff"},
    )
