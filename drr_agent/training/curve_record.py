"""`curve.json`: what a learning curve found, beside the DM that it is about."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from drr_agent.dm.folder import CURVE
from drr_agent.errors import DMError
from drr_agent.lines import write_whole
from drr_agent.training.power_law import PowerLaw


class CurvePoint(BaseModel):
    """A DM trained on a share of the training questions, judged on validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: Annotated[FiniteFloat, Field(gt=0, le=1)]
    questions: int
    """Labelled questions learned from; of several trainings the mean, rounded, as below."""
    attempts: int
    trainings: int
    """Over which the numbers are means."""
    within_question_auroc: FiniteFloat | None = None
    auroc: FiniteFloat | None = None
    log_loss: FiniteFloat | None = None
    """Nats, of the calibrated probabilities."""
    skipped: str | None = None
    """Why there are no numbers."""


class Doubling(BaseModel):
    """What twice the labelled questions would add to the within-question AUROC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: int
    gain: FiniteFloat
    low: FiniteFloat
    """Of the 95 % interval over the validation questions; another training may differ by more."""
    high: FiniteFloat


class Curve(BaseModel):
    """A learning curve, as it stands in `curve.json` in a DM's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    points: tuple[CurvePoint, ...]
    mixed_questions: int
    """Validation questions with right and wrong attempts by one Reasoner, which alone count in the measure."""
    law: PowerLaw | None
    """Of the within-question AUROC by the number of questions; `None` where none fits."""
    doubling: Doubling | None
    summary: str
    """What more labels would bring, in one sentence."""
    train_config: dict[str, Any]
    """What the DM was trained with; another training's curve is not this one."""


def write_curve(path: Path, curve: Curve) -> None:
    """Write or replace the learning curve in a DM's folder, whole or not at all."""
    write_whole(path / CURVE, curve.model_dump_json(indent=2) + "\n")


def read_curve(path: Path | str) -> Curve | None:
    """The learning curve in a DM's folder, if there is one.

    Raises:
        DMError: there is one that cannot be read.
    """
    file = Path(path) / CURVE
    if not file.is_file():
        return None
    try:
        return Curve.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise DMError(f"expected a learning curve at {str(file)!r}, got {error}; delete it and train again") from error
