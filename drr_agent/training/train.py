"""Train: from labelled behaviors to a DM folder.

Classifier and signals learn on the training split, and weigh against each other on validation, where logits are as
uncertain as they will be live. The first calibration is on validation too: `drr_agent.training.calibrate` fits the one
to use.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from drr_agent.dm.folder import save_dm
from drr_agent.dm.learned import add_questions
from drr_agent.dm.manifest import DMManifest, StoppingRecord, TextRecord
from drr_agent.dm.quiet import quiet_loading
from drr_agent.encoding import TEMPLATE_DIGEST
from drr_agent.errors import DataError
from drr_agent.training.behaviors import Behavior, is_labelled
from drr_agent.training.checkpoints import Checkpoints, digest_rows
from drr_agent.training.config import TrainConfig
from drr_agent.training.dataset import Dataset, require_both_classes
from drr_agent.training.judgment import Judgment, learn_judgment

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
        train_rows: behaviors to learn from. Those without an answer or a label teach nothing of right and wrong, here
            and below; they are part of their runs, where it is learned when to stop.
        validation_rows: behaviors at other questions, to stop early by and to fit fusion and calibration on.
        config: the settings.
        out: a new or empty folder, or one of a training to resume.
        resume: go on with the unfinished training at `out`, if there is one; a finished one is returned as it is.
        dataset_digest: recorded in the manifest; by default a digest of the rows.

    Returns:
        `out`, now a DM folder.

    Raises:
        ConfigError: settings that cannot work, or `out` holds something else.
        DataError: a split with one class only, or no log probabilities where they are to be read.
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
            judgment = learn_judgment(train, train_rows, validation_rows, classifier, config)
            manifest = _describe(judgment, train, classifier, config)
            digest = rows_digest if dataset_digest is None else dataset_digest
            recorded = manifest.model_copy(update={"train_config": checkpoints.settings, "dataset_digest": digest})
            save_dm(checkpoints.out, recorded, classifier=classifier)
            add_questions(checkpoints.out, judgment.learned)
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
        dataset.rows("train"),
        dataset.rows("validation"),
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

    from drr_agent.dm.classifier import TextClassifier, set_reads_reasoner
    from drr_agent.training.backbones import load_backbone, merge_adapters
    from drr_agent.training.trainer import create_trainer

    if config.logprob_input:
        _require_spans(train)
    set_seed(config.seed)
    model, tokenizer = load_backbone(
        config.backbone, max_length=config.max_length, lora=config.lora, logprobs=config.logprob_input
    )
    set_reads_reasoner(model, config.reasoner_input)
    trainer = create_trainer(model, tokenizer, train, validation, config=config, checkpoints=checkpoints.path)
    if trainer.is_world_process_zero():
        checkpoints.begin()
    with quiet_loading():
        trainer.train(resume_from_checkpoint=checkpoints.last())
    return TextClassifier(merge_adapters(model), tokenizer, max_length=config.max_length)


def _require_spans(rows: Sequence[Behavior]) -> None:
    """Refuse to learn from log probabilities where there are none; some rows may be without."""
    if not any(row["logprobs"] and row["spans"] for row in rows):
        raise DataError(
            "expected training rows with the Reasoner's token log probabilities and their places for `logprob_input`, "
            f"got none in {len(rows)}; log attempts with logprobs anew and harvest them, or leave the option out"
        )


def _describe(
    judgment: Judgment, teaching: Sequence[Behavior], classifier: "TextClassifier | None", config: TrainConfig
) -> DMManifest:
    """Write down all but the weights."""
    text = TextRecord(template_digest=TEMPLATE_DIGEST, max_length=config.max_length, backbone=config.backbone)
    stopping = judgment.stopping
    return DMManifest(
        inputs=config.inputs,
        text=None if classifier is None else text,
        fusion=judgment.fusion,
        calibration=judgment.calibration,
        calibrated_on="validation",
        stopping=None if stopping is None else StoppingRecord(model=stopping),
        no_stopping=judgment.no_stopping,
        reasoners=tuple(sorted({row["reasoner"] for row in teaching})),
        prompts=tuple(sorted({row["prompts"] for row in teaching if row["prompts"] is not None})),
        metrics={"validation": judgment.metrics},
    )


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
