"""What a user sees of a training."""

# ruff: noqa: ARG002 - the signatures are transformers'

import sys
from collections.abc import Mapping
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class ProgressLine(TrainerCallback):
    """A bar over the steps, where there is a terminal, and a line for each evaluation, on standard error."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar."""
        if state.is_world_process_zero:
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc="train", unit="step", disable=None)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the line."""
        if self._bar is not None and metrics is not None:
            names = {"eval_loss": "loss", "eval_auroc": "AUROC", "eval_within_question_auroc": "within-question AUROC"}
            shown = ", ".join(f"{name} {metrics[key]:.3f}" for key, name in names.items() if key in metrics)
            self._bar.write(f"step {state.global_step} of {state.max_steps}, validation: {shown}", file=sys.stderr)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
