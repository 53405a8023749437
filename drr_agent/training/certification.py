"""Certification: what a policy promises of its accepted answers, on questions that nothing in it was fitted to.

One run a question, since a certificate counts independent rows. Only answers with a label count, and a weak one is
none; what is a judge's word is told. Questions that the DM was trained on are left out, and so are those nearly the
same: of them it knows more than of what it will meet. Where many runs have an answer that nobody judged, it matters how
the others were chosen (`drr_agent.training.sample`). A run that its policy ended cannot be replayed beyond it: those
that explored stand for it by their weights (`drr_agent.training.weights`), and since an exact test needs equal weights,
the sample is thinned to one, by chance and not by what is in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from drr_agent.dm.certificate import Certificate, Dependencies
from drr_agent.dm.folder import load_dm, read_manifest, update_manifest
from drr_agent.dm.learned import Learned, add_questions, calibrated_lines, read_questions
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.errors import DataError, DMError
from drr_agent.grading import AUTO, Grader
from drr_agent.policy import ConsensusPolicy, Policy
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.behaviors import Behavior, is_labelled
from drr_agent.training.certify import Certified
from drr_agent.training.independence import halves, labelled_units, one_run_each, require_untrained, untrained
from drr_agent.training.labels import label_kind
from drr_agent.training.logged import IDENTICAL, LabelledQuestion, canonical, label_questions
from drr_agent.training.outcomes import certify_policy
from drr_agent.training.refusal import Refusal, check_target, least_accepted, too_few
from drr_agent.training.sample import ASSUMED, MATERIAL, refuse_chosen, take_sample
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
    drawn: bool = False
    """Whether the user vouches that chance chose the judged runs, where a log cannot show it."""

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
    where the tests begin. Questions that the DM was trained on are in neither. What an earlier calibration learned of
    when to stop is dropped first, since it may have been from the half that certifies.

    Args:
        path: the DM folder.
        rows: the calibration split.
        fit: calibrates the DM at `path`, and stores its consensus; given one half.
        terms: what is to be promised.
        dataset: digest of the dataset.

    Returns:
        The certificate, or why there is none; and what `fit` gave, `None` where so few labels do not do for a fit.

    Raises:
        DataError: the half that fits does not do for a fit, and that is not for want of labels.
    """
    fresh = untrained(rows, Learned.of(read_questions(path)).trained)
    fitting, certifying = halves(fresh)
    asked, total = (labelled_units(part) for part in (certifying, fresh))
    left_out, share = labelled_units(rows) - total, asked / total if asked else 0.5
    hopeless = too_few(asked, target_error=terms.target_error, confidence=terms.confidence, share=share)
    if not asked and hopeless is not None:
        return hopeless.telling(left_out), None
    _forget_calibration(path)
    try:
        fitted = fit(fitting)
        promise = certify_dm(path, certifying, terms, other=fitting, share=share, dataset=dataset, left_out=left_out)
    except DataError:
        if hopeless is None:
            raise
        return hopeless.telling(left_out), None
    return promise, fitted


def _forget_calibration(path: Path) -> None:
    stopping = read_manifest(path).stopping
    if stopping is not None:
        answers = stopping.model.answers.model_copy(update={"calibration": None})
        model = stopping.model.model_copy(update={"answers": answers})
        update_manifest(path, stopping=stopping.model_copy(update={"model": model}).model_dump())


def certify_dm(
    path: Path,
    rows: Sequence[Behavior],
    terms: Terms,
    *,
    other: Sequence[Behavior],
    share: float = 1.0,
    dataset: str | None = None,
    left_out: int = 0,
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
        left_out: labelled questions that are not among `rows` since the DM was trained on them; only told.

    Raises:
        DMError: there is no DM at `path`, or no policy with it.
        DataError: the DM was trained on some of the rows' questions, or there are rows, and every question has an
            answer without a label.
    """
    dm = load_dm(path)
    require_untrained(rows, dm.trained)
    policy = dm.stopping or dm.consensus
    if policy is None:
        raise DMError(f"expected a policy with the DM at {str(path)!r}, got none; run `drr calibrate`")
    sample = take_sample(rows, least_accepted(1.0 - terms.confidence, terms.target_error))
    log, policy = label_questions(sample.rows, dm), replace(policy, grader=terms.grader)
    blind = _unseen(log.coverage, sample.runs) or refuse_chosen(sample, dm, drawn=terms.drawn)
    if blind is not None:
        return blind.telling(left_out)
    elsewhere = label_questions(other, dm).questions
    turns = _turns(elsewhere, terms.max_turns)
    if isinstance(policy, StoppingPolicy):  # as a graph of so many turns would run it
        policy = policy.within(turns)
    found = certify_policy(
        [canonical(question, terms.grader) for question in log.questions],
        partial(_at, replace(policy, grader=IDENTICAL)),
        CUTOFFS,
        max_turns=turns,
        target_error=terms.target_error,
        confidence=terms.confidence,
        other=[canonical(question, terms.grader) for question in elsewhere],
        share=share,
    )
    if isinstance(found, Refusal):
        return found.telling(left_out, sample.set_aside)
    made = _write(found, sample.rows, dm, _at(policy, found.cutoff), replace(terms, max_turns=turns), dataset)
    certificate = made.model_copy(
        update={"left_out": left_out, "unjudged_share": sample.share, "set_aside": sample.set_aside}
    )
    update_manifest(path, **_stored(dm, found.cutoff), certificates=(certificate,))
    add_questions(path, calibrated_lines(row["question_key"] for row in rows))
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


def _turns(other: Sequence[LabelledQuestion], max_turns: int) -> int:
    """Turns that the log can tell of: as many as nine in ten of its runs have.

    A run with fewer counts as wrong where it would go on, so a few long runs must not ask more of all the others. They
    are counted on the questions that do not certify, since a choice made on those that do would have to be paid for.
    """
    lengths = sorted(len(run.attempts) for run in one_run_each(other))
    return min(max_turns, lengths[len(lengths) // 10]) if lengths else max_turns


def _unseen(coverage: Coverage, runs: int) -> Refusal | None:
    """A log that hides a part of the runs is no fair sample, whatever the rest says."""
    if coverage.unexplored > MATERIAL * runs:  # fewer do no harm: where the policy goes on they count as wrong
        return Refusal(
            f"{coverage.unexplored} runs were cut off by an accept, a stop, a review or shadow mode, and no run of "
            "their Reasoner that ended in the same way and explored stands for them. Log with `create_drr_graph(…, "
            "explore=0.05)`, or certify on distilled attempts.",
            None,
        )
    if coverage.unlike > MATERIAL * runs:
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
    labelled = [row for row in rows if is_labelled(row) and row["label_source"] != ASSUMED]
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
