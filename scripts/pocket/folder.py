"""The saved folder: an ordinary transformers model with its figures and its card."""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM

from pocket.conversations import PROMPTS
from pocket.evaluation import Metrics
from pocket.recipe import Recipe
from pocket.training import Training

_CARD = """\
# The pocket Reasoner

A stand-in, so that everything in this package runs offline: a Llama-shaped language model of {parameters:.1f} million
parameters that solves arithmetic word problems of two to five calculations, and nothing else. It is no measure of what
a real Reasoner does.

Made from scratch by `make pocket` (`scripts/train_pocket.py`), from the problems of
`drr_agent.reasoners.word_problems` alone, with no outside data: {lesson_steps} steps on worked solutions, then
{practice_steps} steps on its own attempts (solving after rejections, with answers ruled out and after replies without
an answer; saying whether an attempt is right). It was stopped early, while it still errs often, because a Reasoner
that is seldom wrong leaves nothing to accept or reject.

It was taught in the words of `drr_agent.prompts.Prompts`, digest `{prompts}`; with other words it does worse. A reply
is a line a calculation, then `Answer: <number>`.

Measured on {questions} fresh questions, {draws} draws each at temperature 1 (`metrics.json`):

| | |
|---|---|
{rows}
"""
_LABELS = {
    "greedy": "right, likeliest tokens",
    "sampled": "right, one draw",
    "majority": "right, majority of the draws",
    "any_of_draws": "right in any of the draws",
    "answered": "draws with an answer line",
    "slips": "wrong draws with a calculation that does not add up",
    "logprob_auroc_within": "within-question AUROC of the mean token log probability",
    "fresh_after_wrong": "right after a wrong draw, drawn anew",
    "retried_after_wrong": "right after a wrong draw, told it was wrong",
    "contrasted_after_wrong": "right after a wrong draw, with its answer ruled out",
    "nudged_after_wrong": "right after a wrong draw without its answer line",
    "critique_accuracy": "own verdicts that are right",
    "critique_balanced": "own verdicts, balanced accuracy",
    "critique_auroc": "own verdicts, AUROC",
    "critique_auroc_within": "own verdicts, within-question AUROC",
}


def write_folder(folder: Path, training: Training, metrics: Metrics) -> None:
    """Save everything beside the folder first, then move it in file by file."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        draft = Path(name)
        _save_model(training.model, training.recipe, draft)
        training.curriculum.tokenizer.save_pretrained(draft)
        (draft / "metrics.json").write_text(json.dumps(metrics.as_dict(), indent=2) + "\n")
        (draft / "README.md").write_text(_card(training, metrics))
        for path in draft.iterdir():
            path.chmod(0o644)
            shutil.move(path, folder / path.name)


def _save_model(model: LlamaForCausalLM, recipe: Recipe, folder: Path) -> None:
    config = model.config
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        max_new_tokens=recipe.max_new_tokens,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
    model.to(torch.float16).save_pretrained(folder)
    # stored in half the bytes, loaded in single precision: half precision is slow on a CPU
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "dtype": "float32"}, indent=2) + "\n")


def _card(training: Training, metrics: Metrics) -> str:
    values = metrics.as_dict()
    return _CARD.format(
        parameters=sum(p.numel() for p in training.model.parameters()) / 1e6,
        lesson_steps=training.recipe.lesson_steps,
        practice_steps=training.recipe.practice_steps,
        prompts=PROMPTS.digest,
        rows="\n".join(f"| {label} | {values[name]:.3f} |" for name, label in _LABELS.items()),
        **{name: values[name] for name in ("questions", "draws")},
    )
