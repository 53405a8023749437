"""The DMs that are saved in folders: one with a text classifier, one of signals alone."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from drr_agent.dm.fusion import Evidence, Fusion
from drr_agent.dm.manifest import DMManifest
from drr_agent.dm.protocol import Score, ScoreRequest
from drr_agent.errors import DMError
from drr_agent.policy import ConsensusPolicy, ConsensusWeights
from drr_agent.stopping import StoppingPolicy

if TYPE_CHECKING:
    from drr_agent.dm.classifier import TextClassifier


class Reading(NamedTuple):
    """What a DM makes of an attempt before calibration."""

    logit: float | None
    """The text classifier's; `None` without one."""
    fused: float


@dataclass(frozen=True, kw_only=True)
class _SavedDM(ABC):
    """Classifier, if any, then fusion, then calibration."""

    manifest: DMManifest
    digest: str
    """Twelve hex digits over the weights and everything else that a score depends on."""
    seen: frozenset[str] = field(default=frozenset(), repr=False)
    """Keys of the questions that it has learned from, as far as its folder knows; see `questions.question_key`."""
    trained: frozenset[str] = field(default=frozenset(), repr=False)
    """Those of them that it was trained on; the others it was calibrated or certified on."""

    @property
    def consensus(self) -> ConsensusPolicy | None:
        """The policy that calibration stored: its weights, and its threshold where one was chosen."""
        stored = self.manifest.consensus
        if stored is None:
            return None
        weights = ConsensusWeights(**stored.model_dump(exclude={"threshold"}))
        if stored.threshold is None:
            return ConsensusPolicy(weights=weights)
        return ConsensusPolicy(weights=weights, threshold=stored.threshold)

    @property
    def stopping(self) -> StoppingPolicy | None:
        """The policy that training learned, at the setting that calibration chose where it did."""
        stored = self.manifest.stopping
        if stored is None:
            return None
        policy = StoppingPolicy(model=stored.model)
        return replace(
            policy,
            worth=policy.worth if stored.worth is None else stored.worth,
            accept_at=policy.accept_at if stored.accept_at is None else stored.accept_at,
        )

    @abstractmethod
    def text_logits(self, requests: Sequence[ScoreRequest]) -> list[float] | None:
        """The classifier's logit per request; `None` for a DM that reads no text."""

    def read(self, requests: Sequence[ScoreRequest]) -> list[Reading]:
        """Logits per request, in order.

        Raises:
            DMError: a logit is not finite.
        """
        texts = self.text_logits(requests)
        logits = [None] * len(requests) if texts is None else texts
        evidence = [Evidence(logit, request.signals) for logit, request in zip(logits, requests, strict=True)]
        return read_evidence(self.manifest.fusion, evidence)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Calibrated P(right) per request, in order.

        Raises:
            DMError: a logit is not finite.
        """
        probability = self.manifest.calibration.probability
        return [
            Score(probability(reading.fused), reading.fused, text_logit=reading.logit)
            for reading in self.read(requests)
        ]


@dataclass(frozen=True, kw_only=True)
class TransformersDM(_SavedDM):
    """Reads the text with a transformers classifier, and signals too where it has a fusion."""

    classifier: "TextClassifier"

    def text_logits(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """The classifier's logit per request."""
        return self.classifier.logits(requests)


@dataclass(frozen=True, kw_only=True)
class SignalDM(_SavedDM):
    """Reads signals alone; needs neither torch nor transformers."""

    def text_logits(self, requests: Sequence[ScoreRequest]) -> None:
        """None: nothing reads the text."""


def read_evidence(fusion: Fusion | None, evidence: Sequence[Evidence]) -> list[Reading]:
    """Fuse a batch; without a fusion the classifier's logits stand for themselves.

    Raises:
        DMError: a logit is not finite, before or after the fusion.
    """
    _require_finite([row.logit for row in evidence if row.logit is not None], "the text classifier")
    fused = [_sole_logit(row) if fusion is None else fusion.fuse(row) for row in evidence]
    _require_finite(fused, "the fusion")
    return [Reading(row.logit, value) for row, value in zip(evidence, fused, strict=True)]


def _sole_logit(evidence: Evidence) -> float:
    return math.nan if evidence.logit is None else evidence.logit


def _require_finite(logits: Sequence[float], source: str) -> None:
    bad = sum(not math.isfinite(logit) for logit in logits)
    if bad:
        raise DMError(
            f"expected finite logits, got {bad} of {len(logits)} in a batch that are not, from {source}; "
            "the weights or a signal's values are broken: train the DM anew, or check the signals"
        )
