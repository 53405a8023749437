"""What a DM folder says of itself beside the weights, in `drr.json`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from drr_agent.dm.calibration import IsotonicCalibration, SigmoidCalibration
from drr_agent.dm.certificate import Certificate
from drr_agent.dm.fusion import Fusion, Inputs
from drr_agent.stopping import StoppingModel

DM_SCHEMA: Literal[1] = 1
LABELS: Mapping[int, str] = {0: "reject", 1: "accept"}

Metrics = dict[str, FiniteFloat | None]
"""Numbers by name; `None` where a number is not defined, such as a within-question AUROC without mixed questions."""


class TextRecord(BaseModel):
    """How the classifier reads its text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template_digest: str
    """Of the text template, `drr_agent.encoding.TEMPLATE_DIGEST`."""
    max_length: Annotated[int, Field(gt=0)]
    """Most tokens of a text."""
    backbone: str
    """The name or path that the training started from."""


Weight = Annotated[FiniteFloat, Field(ge=-1000, le=1000)]


class ConsensusRecord(BaseModel):
    """The consensus policy that was fitted to a DM's scores; see `drr_agent.policy.ConsensusWeights`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: Weight = 1.0
    agreement: Weight = 1.0
    none: Weight = 0.0
    none_per_attempt: Weight = 0.0
    threshold: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None


class StoppingRecord(BaseModel):
    """When to stop, as learned from runs with this DM's scores; see `drr_agent.stopping.StoppingPolicy`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: StoppingModel
    worth: Annotated[FiniteFloat, Field(gt=0)] | None = None
    """Of a right answer, in Reasoner calls; `None` until calibration chooses one."""
    accept_at: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    """Probability from which an answer is accepted; `None` is the policy's own."""


class DMManifest(BaseModel):
    """Everything but the weights: how scores are made of logits, and where the DM comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = DM_SCHEMA
    inputs: Inputs
    text: TextRecord | None
    """`None` for a DM that reads no text."""
    fusion: Fusion | None
    """`None` for a DM of text alone."""
    calibration: Annotated[SigmoidCalibration | IsotonicCalibration, Field(discriminator="kind")]
    calibrated_on: str
    """The split whose base rate the probabilities are at."""
    consensus: ConsensusRecord | None = None
    """Parameters of the consensus policy that were fitted to this DM's scores."""
    stopping: StoppingRecord | None = None
    """`None` where the log could not teach it."""
    no_stopping: str | None = None
    """Why not."""
    certificates: tuple[Certificate, ...] = ()
    """What was proved of the loop with this DM; each names the setup it is about."""
    dataset_digest: str | None = None
    reasoners: tuple[str, ...] = ()
    """Whose attempts the DM was trained on."""
    prompts: tuple[str, ...] = ()
    """Digests of the prompts that those attempts were asked with."""
    train_config: dict[str, Any] = {}
    metrics: dict[str, Metrics] = {}
    """By split."""

    @model_validator(mode="after")
    def _check_inputs(self) -> Self:
        if (self.inputs == "signals") != (self.text is None):
            raise ValueError(f"`text` belongs to a DM that reads text, but `inputs` is {self.inputs!r}")
        if (self.inputs == "text") != (self.fusion is None):
            raise ValueError(f"a fusion belongs to a DM that reads signals, but `inputs` is {self.inputs!r}")
        return self

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals that the scores depend on."""
        return () if self.fusion is None else tuple(term.name for term in self.fusion.signals)


def describe_fault(error: Exception) -> str:
    """Why a manifest is none, on a line: the first field that is wrong, and how many more are."""
    if not isinstance(error, ValidationError):
        return str(error)
    first, *more = error.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in first["loc"])
    others = f" (and {len(more)} more)" if more else ""
    return f"{place}: {first['msg']}{others}" if place else f"{first['msg']}{others}"
