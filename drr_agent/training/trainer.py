"""transformers' Trainer with our loss, our order of rows, and our measure of the best checkpoint."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import torch
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from drr_agent.dm.classifier import accept_margins, pad_rows, read_tokens
from drr_agent.errors import DataError, DMError
from drr_agent.training.behaviors import Behavior, to_request
from drr_agent.training.calibrate import ranking
from drr_agent.training.config import TrainConfig
from drr_agent.training.losses import Objective
from drr_agent.training.pairing import Pairing, pair_attempts
from drr_agent.training.progress import ProgressLine
from drr_agent.training.sampler import PairSampler

_TIE = 0.01
"""Weight of AUROC beside within-question AUROC, which ties easily where few questions are mixed."""


class TokenRow(TypedDict):
    """A behavior as the classifier trains on it."""

    tokens: list[int]
    label: bool
    pairing: Pairing


class PairTrainer(Trainer):
    """Trains on batches that hold several attempts at a question.

    Args:
        objective: the loss.
        sampler: the order of the training rows.
        kwargs: what Trainer takes.
    """

    loss_is_scaled_for_ga = False

    def __init__(self, *, objective: Objective, sampler: PairSampler, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._objective = objective
        self._sampler = sampler

    def _get_train_sampler(self, train_dataset: Any = None) -> PairSampler:  # noqa: ARG002 - Trainer's signature
        return self._sampler

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - Trainer's signature
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002 - a mean per batch does not count items
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """The objective of a batch, and the logits where they are asked for."""
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        margins = accept_margins(outputs.logits)
        loss = self._objective(margins, inputs["labels"], inputs["groups"], inputs["weights"])
        return (loss, {"logits": outputs.logits}) if return_outputs else loss


def tokenize(
    rows: Sequence[Behavior], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, config: TrainConfig
) -> list[TokenRow]:
    """Labelled behaviors as the ids that the model reads."""
    tokens = read_tokens(model, tokenizer, [to_request(row) for row in rows], max_length=config.max_length)
    pairings = pair_attempts(rows, cross_reasoner=config.cross_reasoner)
    return [
        {"tokens": ids, "label": row["label"] == "correct", "pairing": pairing}
        for ids, row, pairing in zip(tokens, rows, pairings, strict=True)
    ]


def create_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[Behavior],
    validation: Sequence[Behavior],
    *,
    config: TrainConfig,
    checkpoints: Path,
) -> PairTrainer:
    """A trainer that keeps the checkpoint with the best within-question AUROC on validation.

    AUROC breaks ties, and decides where no validation question is mixed. Rows must have an answer and a label.
    """
    learned = tokenize(train, model, tokenizer, config=config)
    judged = tokenize(validation, model, tokenizer, config=config)
    # Rows of one length together, so that little is padded.
    order = sorted(range(len(judged)), key=lambda index: len(judged[index]["tokens"]))
    ordered = [validation[index] for index in order]
    trainer = PairTrainer(
        model=model,
        args=_arguments(config, checkpoints),
        objective=_objective(learned, config),
        sampler=_sampler(learned, config),
        train_dataset=learned,
        eval_dataset=[judged[index] for index in order],
        processing_class=tokenizer,
        data_collator=partial(_collate, pad_token_id=tokenizer.pad_token_id, hard_weight=config.hard_pair_weight),
        compute_metrics=partial(_evaluate, rows=ordered),
        callbacks=[ProgressLine()] if config.progress else [],
    )
    trainer.remove_callback(PrinterCallback)
    if config.early_stopping_patience is not None:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=config.early_stopping_patience))
    return trainer


def _sampler(rows: Sequence[TokenRow], config: TrainConfig) -> PairSampler:
    sampler = PairSampler(
        [row["pairing"].group for row in rows],
        [row["label"] for row in rows],
        [len(row["tokens"]) for row in rows],
        [row["pairing"].own for row in rows],
        batch_size=config.batch_size,
        chunk_size=config.attempts_per_question,
        pairs_only=config.bce_weight == 0,
        seed=config.seed,
    )
    if len(sampler) == 0:
        raise DataError(
            f"expected questions with right and wrong attempts to train on pairs alone, got none in {len(rows)} rows; "
            "log several attempts a question, or set `bce_weight` above 0"
        )
    return sampler


def _arguments(config: TrainConfig, checkpoints: Path) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=2 * config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_ratio,
        weight_decay=config.weight_decay,
        num_train_epochs=config.epochs,
        max_steps=-1 if config.max_steps is None else config.max_steps,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=1 / config.evaluations,
        save_steps=1 / config.evaluations,
        logging_steps=1 / config.evaluations,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="selection",
        greater_is_better=True,
        bf16=_has_bfloat16(),
        use_cpu=not cuda and _has_bfloat16(),
        dataloader_pin_memory=cuda,
        remove_unused_columns=False,
        label_names=["labels"],
        seed=config.seed,
        report_to=[],
        disable_tqdm=True,
    )


def _has_bfloat16() -> bool:
    """Whether bfloat16 is fast here: on CPUs that multiply it, a step takes some 0.6 of its time."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # of recent versions of torch
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def _objective(rows: Sequence[TokenRow], config: TrainConfig) -> Objective:
    accept, reject = 1.0, 1.0
    if config.class_weight == "balanced":
        right = sum(row["label"] for row in rows)
        accept, reject = len(rows) / (2 * right), len(rows) / (2 * (len(rows) - right))
    return Objective(
        bce_weight=config.bce_weight,
        pair_weight=config.pair_weight,
        list_weight=config.list_weight,
        accept_weight=accept,
        reject_weight=reject,
    )


def _collate(rows: Sequence[TokenRow], *, pad_token_id: int, hard_weight: float) -> dict[str, torch.Tensor]:
    return {
        **pad_rows([row["tokens"] for row in rows], pad_token_id),
        "labels": torch.tensor([int(row["label"]) for row in rows]),
        "groups": torch.tensor([row["pairing"].group for row in rows]),
        "weights": torch.tensor([hard_weight if row["pairing"].hard else 1.0 for row in rows]),
    }


def _evaluate(prediction: EvalPrediction, *, rows: Sequence[Behavior]) -> dict[str, float]:
    """The ranking metrics that are defined, and `selection`, by which checkpoints are compared."""
    margins = accept_margins(torch.as_tensor(prediction.predictions))
    broken = int((~torch.isfinite(margins)).sum())
    if broken:
        raise DMError(
            f"expected finite logits on validation, got {broken} of {len(rows)} that are not: the training diverged; "
            "lower `learning_rate` or raise `warmup_ratio`"
        )
    ranks = ranking(margins.tolist(), rows)
    known = {name: value for name, value in ranks.items() if value is not None}
    return {**known, "selection": known.get("within_question_auroc", 0.0) + _TIE * known["auroc"]}
