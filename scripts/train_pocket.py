"""Train the pocket Reasoner, the small language model that ships so that everything runs offline.

Stage 1 teaches worked solutions; stage 2 teaches what to do about one's own attempts: solve after a rejection, find
another answer, mend a reply without one, say whether one is right. Usage: python scripts/train_pocket.py [--resume]
"""

import argparse
import json
import shutil
import time
from functools import partial
from pathlib import Path

import torch
from pocket.attempts import Attempt, draw_attempts
from pocket.curriculum import Attempted, Curriculum
from pocket.evaluation import Examiner
from pocket.folder import write_folder
from pocket.recipe import QUICK, Recipe
from pocket.tokens import train_tokenizer
from pocket.training import Training, create_model
from transformers import PreTrainedTokenizerFast

from drr_agent.reasoners.word_problems import generate_problems, normalize_question

FOLDER = Path(__file__).parents[1] / "drr_agent" / "reasoners" / "pocket"


def main() -> None:
    """Train, evaluate, save."""
    options = _parse_options()
    torch.set_num_threads(options.threads)
    if not options.resume:
        shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    training = _train(QUICK if options.quick else Recipe(), options.work)
    print(f"trained in {(time.monotonic() - started) / 60:.1f} minutes")
    examiner = Examiner(recipe=training.recipe, model=training.model, tokenizer=training.curriculum.tokenizer)
    metrics = examiner.examine()
    print(json.dumps(metrics.as_dict(), indent=2))
    write_folder(options.folder, training, metrics)
    print(f"saved in {options.folder}")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the model is saved")
    parser.add_argument("--work", type=Path, default=Path("runs/pocket"), help="where checkpoints are kept")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --work")
    parser.add_argument("--quick", action="store_true", help="a weak model in a quarter of the time")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _train(recipe: Recipe, work: Path) -> Training:
    tokenizer = _make_tokenizer(recipe)
    curriculum = Curriculum(recipe=recipe, tokenizer=tokenizer, held_out=_held_out(recipe))
    model = create_model(recipe, tokenizer)
    training = Training(recipe=recipe, curriculum=curriculum, model=model, checkpoint=work / "checkpoint.pt")
    if training.checkpoint.exists():
        training.load()
    training.run(recipe.lesson_steps, curriculum.lessons)
    if training.step < recipe.steps:
        attempted = _attempt(training, work / "attempts.json")
        training.run(recipe.steps, partial(curriculum.practice, attempted=attempted))
    return training


def _make_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast:
    problems = generate_problems(4000, seed=recipe.problem_seed("tokenizer"))
    texts = [text for problem in problems for text in (problem.question, problem.solution)]
    return train_tokenizer(texts, vocabulary=recipe.vocabulary, positions=recipe.positions)


def _held_out(recipe: Recipe) -> frozenset[str]:
    """The questions of the evaluations, and of the tests."""
    seeds = [recipe.problem_seed("evaluation"), *range(100)]
    return frozenset(normalize_question(p.question) for seed in seeds for p in generate_problems(500, seed=seed))


def _attempt(training: Training, path: Path) -> list[Attempted]:
    """The model's own attempts before stage 2, made once and kept in `path`."""
    recipe, tokenizer = training.recipe, training.curriculum.tokenizer
    problems = generate_problems(recipe.practice_questions, seed=recipe.problem_seed("practice"))
    if not path.exists():
        drawn = draw_attempts(
            training.model, tokenizer, problems, draws=recipe.practice_draws, temperature=1.0, seed=recipe.seed
        )
        path.write_text(json.dumps(drawn))
    rows = [[Attempt(*values) for values in row] for row in json.loads(path.read_text())]
    pairs = zip(problems, rows, strict=True)
    return [(p, row) for p, row in pairs if normalize_question(p.question) not in training.curriculum.held_out]


if __name__ == "__main__":
    main()
