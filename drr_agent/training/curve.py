"""The learning curve: what a DM trained on fewer questions is worth, and what twice the labels would likely bring."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from drr_agent.dm.folder import load_dm, read_manifest
from drr_agent.errors import ConfigError, DataError
from drr_agent.evaluation.metrics import auroc
from drr_agent.questions import unit_of
from drr_agent.training.behaviors import Behavior, is_labelled, to_request
from drr_agent.training.config import TrainConfig
from drr_agent.training.curve_record import Curve, CurvePoint, Doubling, read_curve, write_curve
from drr_agent.training.dataset import Dataset
from drr_agent.training.power_law import Floats, Ranks, fit_power_law, gain_interval
from drr_agent.training.train import teaching_rows, train_dm, train_on

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Of the training questions."""
_DRAWS = 3
"""Trainings on different questions for each share but the whole, where a training takes seconds."""
_FEWEST = 20
"""Validation questions with right and wrong attempts, below which an interval over them means nothing."""


class _Measured(NamedTuple):
    """The trainings on one share of the questions."""

    point: CurvePoint
    ranks: Ranks | None


def learning_curve(
    train_rows: Sequence[Behavior],
    validation_rows: Sequence[Behavior],
    *,
    config: TrainConfig,
    out: Path,
    resume: bool = False,
) -> Curve:
    """Train a DM as `train_dm` does, and others on 1/8, 1/4 and 1/2 of its questions; writes `curve.json` beside it.

    The smaller sets of questions lie inside the larger ones, by a hash. Every training stops early, fuses and
    calibrates on the same validation rows that judge it, so each number is a little too good, and their differences
    less so. A killed curve goes on where it stopped, with `resume`.

    Args:
        train_rows: as for `train_dm`.
        validation_rows: as for `train_dm`.
        config: the settings of each training.
        out: the folder of the DM that is trained on all questions.
        resume: go on with what is there; a finished curve is returned as it is.

    Raises:
        ConfigError: as `train_dm`; or several processes train.
        DataError: as `train_dm`, for all questions. A share of them that cannot teach is skipped, and says why.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("a learning curve must be trained by one process, got several; leave out `accelerate launch`")
    train_dm(train_rows, validation_rows, config=config, out=out, resume=resume)
    settings = read_manifest(out).train_config
    stored = read_curve(out)
    if stored is not None and stored.train_config == settings:
        return stored
    known, judged = teaching_rows(train_rows, config), [row for row in validation_rows if is_labelled(row)]
    shares = tqdm(SHARES, desc="curve", unit="share", disable=None if config.progress else True)
    measured = [_measure(share, known, judged, config, Path(out)) for share in shares]
    curve = _conclude(measured, settings, seed=config.seed)
    write_curve(Path(out), curve)
    shutil.rmtree(_steps(Path(out)), ignore_errors=True)
    return curve


def learning_curve_on(dataset: Dataset, *, config: TrainConfig, out: Path, resume: bool = False) -> Curve:
    """`learning_curve` on the training and validation splits of a dataset."""
    train_on(dataset, config=config, out=out, resume=resume)
    learned, judged = dataset.labelled("train", weak=config.weak_labels), dataset.labelled("validation")
    return learning_curve(learned, judged, config=config, out=out, resume=True)


def _steps(out: Path) -> Path:
    """Where the trainings on fewer questions stand until the curve is done."""
    return out / "curve"


def _measure(
    share: float, known: Sequence[Behavior], judged: Sequence[Behavior], config: TrainConfig, out: Path
) -> _Measured:
    """Train on a share of the questions, with several draws of them where that is cheap."""
    draws = 1 if share == 1 or config.inputs != "signals" else _DRAWS
    drawn = [_share_of(known, share, draw) for draw in range(draws)]
    questions = [len({row["question_key"] for row in rows}) for rows in drawn]
    size = {
        "share": share,
        "questions": round(float(np.mean(questions))),
        "attempts": round(float(np.mean([len(rows) for rows in drawn]))),
        "trainings": draws,
    }
    folders = [out if share == 1 else _steps(out) / f"{share:g}-{draw}" for draw in range(draws)]
    try:
        for rows, folder in zip(drawn, folders, strict=True):
            train_dm(rows, judged, config=config, out=folder, resume=True)
    except DataError as error:
        return _Measured(CurvePoint.model_validate({**size, "skipped": str(error)}), None)
    metrics = [read_manifest(folder).metrics["validation"] for folder in folders]
    names = ("within_question_auroc", "auroc", "log_loss")
    means = {name: _mean([found.get(name) for found in metrics]) for name in names}
    return _Measured(CurvePoint.model_validate({**size, **means}), _rank(folders, judged))


def _share_of(rows: Sequence[Behavior], share: float, draw: int) -> list[Behavior]:
    """Those at a share of the questions, by a hash: what a smaller share holds, a larger one holds too."""

    def place(row: Behavior) -> float:
        digest = hashlib.sha256(f"curve:{draw}:{unit_of(row['question_key'])}".encode()).hexdigest()
        return int(digest[:8], 16) / 2**32

    return [row for row in rows if place(row) < share]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _rank(folders: Sequence[Path], rows: Sequence[Behavior]) -> Ranks:
    """How the DMs rank the attempts at each question that one Reasoner answered right and wrong."""
    requests = [to_request(row) for row in rows]
    scores = [np.array([score.score for score in load_dm(folder).score(requests)]) for folder in folders]
    right = np.array([row["label"] == "correct" for row in rows])
    groups: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row["question_key"], row["reasoner"]), []).append(index)
    questions: dict[str, Floats] = {}
    for (question, _), group in groups.items():
        shares = [auroc(values[group], right[group]) for values in scores]
        pairs = int(right[group].sum()) * int((~right[group]).sum())
        if pairs:
            counts = np.array([pairs, *(pairs * (share or 0.0) for share in shares)], dtype=np.float64)
            questions[question] = questions.get(question, 0.0) + counts
    table = np.array(list(questions.values())).reshape(len(questions), len(folders) + 1)
    return Ranks(wins=table[:, 1:].T, pairs=table[:, 0])


def _conclude(measured: Sequence[_Measured], settings: dict[str, Any], *, seed: int) -> Curve:
    """The curve with what follows from it."""
    points = tuple(one.point for one in measured)
    found = [(one.point, one.ranks) for one in measured if one.ranks is not None and len(one.ranks.pairs)]
    mixed = len(found[-1][1].pairs) if found else 0
    sizes = [point.questions for point, _ in found]
    values = [float(ranks.within(np.ones(len(ranks.pairs))).mean()) for _, ranks in found]
    law = fit_power_law(sizes, values) if mixed >= _FEWEST else None
    doubling = None
    if law is not None and law.b > 0:
        low, high = gain_interval(sizes, [ranks for _, ranks in found], seed=seed)
        doubling = Doubling(questions=2 * sizes[-1], gain=law.gain(sizes[-1]), low=low, high=high)
    return Curve(
        points=points,
        mixed_questions=mixed,
        law=law if doubling is not None else None,
        doubling=doubling,
        summary=_summarize(sizes, values, mixed, doubling),
        train_config=settings,
    )


def _summarize(sizes: Sequence[int], values: Sequence[float], mixed: int, doubling: Doubling | None) -> str:
    if mixed < _FEWEST:
        return (
            f"Nothing can be said of more labels: {mixed} validation questions have right and wrong attempts, and at "
            f"least {_FEWEST} are needed."
        )
    if len(set(sizes)) < 3:
        return "Nothing can be said of more labels: fewer than three shares of the questions could be trained on."
    if doubling is None:
        return (
            f"Nothing shows that more labels would help: within-question AUROC did not grow with the questions, from "
            f"{values[0]:.3f} after {sizes[0]:,} to {values[-1]:.3f} after {sizes[-1]:,}."
        )
    doubt = "" if doubling.low > 0 else ", so it may be none"
    return (
        f"Twice the labelled questions ({doubling.questions:,} in place of {sizes[-1]:,}) would likely add about "
        f"{doubling.gain:.3f} to the within-question AUROC of {values[-1]:.3f} (95 % interval over "
        f"{mixed:,} validation questions: {doubling.low:+.3f} to {doubling.high:+.3f}{doubt})."
    )
