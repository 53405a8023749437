"""Train: from labelled behaviors to a DM folder.

The classifier learns on the training split; the fusion weighs its logits on validation, where they are as uncertain as
they will be live. The first calibration is on validation too: `drr_agent.training.calibrate` fits the one to use.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from drr_agent.dm.folder import add_questions, save_dm
from drr_agent.dm.fusion import Evidence, Fusion, fit_fusion
from drr_agent.dm.manifest import DMManifest, TextRecord
from drr_agent.dm.models import Reading, read_evidence
from drr_agent.dm.quiet import quiet_loading
from drr_agent.encoding import TEMPLATE_DIGEST
from drr_agent.training.behaviors import Behavior, is_labelled, to_request
from drr_agent.training.calibrate import calibrate_readings
from drr_agent.training.checkpoints import Checkpoints, digest_rows
from drr_agent.training.config import TrainConfig
from drr_agent.training.dataset import Dataset, require_both_classes

if TYPE_CHECKING:
    from drr_agent.dm.classifier import TextClassifier


def train_dm(
    train_rows: Sequence[Behavior],
    validation_rows: Sequence[Behavior],
    *,
    config: TrainConfig,
    out: Path,
    resume: bool = False,
    dataset_digest: str | None = None,
) -> Path:
    """Train a DM and save it.

    Ctrl-C or a kill loses at most the steps since the last evaluation: `resume` goes on from there. Under
    `accelerate launch`, the first process writes.

    Args:
        train_rows: behaviors to learn from. Those without an answer or a label are left out, here and below.
        validation_rows: behaviors at other questions, to stop early by and to fit fusion and calibration on.
        config: the settings.
        out: a new or empty folder, or one of a training to resume.
        resume: go on with the unfinished training at `out`, if there is one; a finished one is returned as it is.
        dataset_digest: recorded in the manifest; by default a digest of the rows.

    Returns:
        `out`, now a DM folder.

    Raises:
        ConfigError: settings that cannot work, or `out` holds something else.
        DataError: a split with one class only.
    """
    train = teaching_rows(train_rows, config)
    validation = [row for row in validation_rows if is_labelled(row)]
    require_both_classes(train, what="the training rows")
    require_both_classes(validation, what="the validation rows")
    rows_digest = digest_rows(train, validation)
    checkpoints = Checkpoints(out=Path(out), settings={**config.record(), "rows": rows_digest})
    if checkpoints.finished(resume=resume):
        checkpoints.remove()
        return checkpoints.out
    classifier = None if config.inputs == "signals" else _train_classifier(train, validation, config, checkpoints)
    with _first_process(trained=classifier is not None) as writes:
        if writes:
            manifest = _describe(train, validation, classifier, config)
            digest = rows_digest if dataset_digest is None else dataset_digest
            recorded = manifest.model_copy(update={"train_config": checkpoints.settings, "dataset_digest": digest})
            save_dm(checkpoints.out, recorded, classifier=classifier)
            add_questions(checkpoints.out, (row["question_key"] for row in (*train, *validation)))
            checkpoints.remove()
    return checkpoints.out


def train_on(dataset: Dataset, *, config: TrainConfig, out: Path, resume: bool = False) -> Path:
    """`train_dm` on the training and validation splits of a dataset.

    Raises:
        DataError: as `train_dm`; or the dataset holds hashes in place of the texts that are to be read.
    """
    if config.inputs != "signals":
        dataset.require_texts(instead="train on signals alone (`--inputs signals`), or ")
    return train_dm(
        dataset.labelled("train", weak=config.weak_labels),
        dataset.labelled("validation"),
        config=config,
        out=out,
        resume=resume,
        dataset_digest=dataset.digest,
    )


def teaching_rows(rows: Sequence[Behavior], config: TrainConfig) -> list[Behavior]:
    """The rows to learn from."""
    known = [row for row in rows if is_labelled(row, weak=config.weak_labels)]
    if config.copies == "all":
        return known
    said = {(row["question_key"], row["reasoner"], row["rationale"], row["answer"]): row for row in reversed(known)}
    return list(said.values())[::-1]


def _train_classifier(
    train: Sequence[Behavior], validation: Sequence[Behavior], config: TrainConfig, checkpoints: Checkpoints
) -> "TextClassifier":
    """The classifier of the best checkpoint."""
    from transformers import set_seed

    from drr_agent.dm.classifier import TextClassifier
    from drr_agent.training.backbones import load_backbone, merge_adapters
    from drr_agent.training.trainer import create_trainer

    set_seed(config.seed)
    model, tokenizer = load_backbone(config.backbone, max_length=config.max_length, lora=config.lora)
    trainer = create_trainer(model, tokenizer, train, validation, config=config, checkpoints=checkpoints.path)
    if trainer.is_world_process_zero():
        checkpoints.begin()
    with quiet_loading():
        trainer.train(resume_from_checkpoint=checkpoints.last())
    return TextClassifier(merge_adapters(model), tokenizer, max_length=config.max_length)


def _describe(
    train: Sequence[Behavior],
    validation: Sequence[Behavior],
    classifier: "TextClassifier | None",
    config: TrainConfig,
) -> DMManifest:
    """Fit what stands between the logits and the score, and write down the whole."""
    fusion, readings = _fuse(train, validation, classifier, config)
    calibration, metrics = calibrate_readings(readings, validation, seed=config.seed)
    text = TextRecord(template_digest=TEMPLATE_DIGEST, max_length=config.max_length, backbone=config.backbone)
    return DMManifest(
        inputs=config.inputs,
        text=None if classifier is None else text,
        fusion=fusion,
        calibration=calibration,
        calibrated_on="validation",
        reasoners=tuple(sorted({row["reasoner"] for row in train})),
        prompts=tuple(sorted({row["prompts"] for row in train if row["prompts"] is not None})),
        metrics={"validation": metrics},
    )


def _fuse(
    train: Sequence[Behavior],
    validation: Sequence[Behavior],
    classifier: "TextClassifier | None",
    config: TrainConfig,
) -> tuple[Fusion | None, list[Reading]]:
    """The fusion, and what it reads in the validation rows.

    With a classifier it is fitted on validation, where the classifier's logits are as uncertain as live; signals alone
    learn from the training rows.
    """
    seen = _evidence(validation, classifier)
    if config.inputs == "text":
        return None, read_evidence(None, seen)
    rows = train if classifier is None else validation
    fusion = fit_fusion(
        _evidence(train, None) if classifier is None else seen,
        [row["label"] == "correct" for row in rows],
        [row["question_key"] for row in rows],
        inputs=config.inputs,
        signals=config.signals,
        seed=config.seed,
    )
    return fusion, read_evidence(fusion, seen)


def _evidence(rows: Sequence[Behavior], classifier: "TextClassifier | None") -> list[Evidence]:
    logits = [None] * len(rows) if classifier is None else classifier.logits([to_request(row) for row in rows])
    return [Evidence(logit, row["signals"]) for logit, row in zip(logits, rows, strict=True)]


@contextmanager
def _first_process(*, trained: bool) -> Iterator[bool]:
    """Whether this process is the one that writes; after a training, the others wait until it has."""
    if not trained:
        yield int(os.environ.get("RANK", "0")) == 0
        return
    from accelerate import PartialState

    state = PartialState()
    yield state.is_main_process
    state.wait_for_everyone()
